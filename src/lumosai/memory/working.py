"""Working memory: facts about a thread or a person, each change kept, merged with others' or refused.

    working = memory.working(resource_id="alice")
    await working.set("name", "Alice")
    await working.patch([{"op": "append", "path": "likes", "value": "tea"}])
    await working.history()        # what changed, when, by whom
    await working.undo()

The model is shown the facts behind its instructions, as data, and changes them by a tool with the same operations.
"""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec

from lumosai.errors import ConfigurationError, ConflictError, InvalidInputError
from lumosai.memory import _patch as patches
from lumosai.memory._template import Template
from lumosai.storage.base import Facts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from lumosai._schema import PartialSchema
    from lumosai.memory._patch import Operation
    from lumosai.storage.base import Handle

_KEPT: Final = 100
_KEPT_CHARS: Final = 64_000
_CHARS: Final = 8_000
_SHOWN: Final = 80
_LARGER: Final = 8
"""How many times what all facts may take a patch may: its bytes are more than its characters, and it is kept with them."""


class Origin(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where a change came from.

    Attributes:
        by: "user" (the program) or "model".
        run_id, message_id, call_id: the run, its message and its call that made it, "" where none did.
    """

    by: Literal["user", "model"] = "user"
    run_id: str = ""
    message_id: str = ""
    call_id: str = ""


class FactChange(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One change of working memory.

    Attributes:
        version: that it made.
        at: when, unix seconds.
        operations: what was asked for, empty for what is done to all at once.
        changed: the facts that it changed by name, each with "before" and "after" as far as it was and is.
        origin: where it came from.
        undoes: the version whose change it took back, 0 where it took back none.
    """

    version: int
    at: float = 0.0
    operations: tuple[patches.Operation, ...] = ()
    changed: dict[str, dict[str, Any]] = {}
    origin: Origin = Origin()
    undoes: int = 0


class WorkingFacts(msgspec.Struct, frozen=True):
    """What is remembered.

    Attributes:
        version: grows with each change, 0 where there was none.
        facts: by name.
    """

    version: int = 0
    facts: dict[str, Any] = {}


class WorkingMemory:
    """Which facts a memory keeps for runs: give it to `Memory(working=…)`.

    Args:
        over: whether they are a thread's, or a person's (`resource_id`) over all their threads.
        schema: what they may be: a pydantic model, a dataclass, a TypedDict or a JSON Schema of an object. Each field may
            be missing; no others are taken.
        template: a Markdown text with fields, such as "- **Name**:", that says what is worth knowing, and how it is shown.
        max_chars: the most that all of it may take, as JSON.

    Raises:
        ConfigurationError: both a schema and a template, or one that cannot be used.
    """

    def __init__(
        self,
        over: Literal["thread", "resource"] = "thread",
        *,
        schema: Any = None,
        template: str | None = None,
        max_chars: int = _CHARS,
    ) -> None:
        if over not in ("thread", "resource"):
            raise ConfigurationError(f"WorkingMemory(over={over!r}) is neither 'thread' nor 'resource'")
        if schema is not None and template is not None:
            raise ConfigurationError("working memory has a schema or a template, not both")
        if max_chars < _SHOWN:
            raise ConfigurationError(f"max_chars={max_chars}: it must be {_SHOWN} or more")
        self.over = over
        self.max_chars = max_chars
        self.template = Template(template) if template is not None and template.strip() else None
        self.schema = _partial(schema) if schema is not None else None
        self.tool: Any = None

    def __repr__(self) -> str:
        how = "schema" if self.schema is not None else "template" if self.template is not None else "free"
        return f"WorkingMemory({self.over!r}, {how})"

    def checked(self, document: dict[str, Any], was: dict[str, Any] | None = None) -> dict[str, Any]:
        """The document, if it is one.

        Args:
            document: it.
            was: what it was before. What of that does not fit, since the schema was another one, stays as long as it is
                not changed.

        Raises:
            InvalidInputError: it does not fit the schema, by field; or it is too long.
        """
        if self.schema is not None:
            document = _fitting(self.schema, document, was or {})
        size = len(msgspec.json.encode(document).decode())
        if size > self.max_chars:
            longest = max(document, key=lambda k: len(msgspec.json.encode(document[k])))
            raise InvalidInputError(
                f"working memory would take {size:,} of {self.max_chars:,} characters, most of them for {longest!r}: "
                "make it shorter, or unset what is not needed any more"
            )
        return document


def _fitting(schema: PartialSchema, document: dict[str, Any], was: dict[str, Any]) -> dict[str, Any]:
    """The document as a schema wants it, see `WorkingMemory.checked`."""
    try:
        return schema.load(document)
    except InvalidInputError:
        new = {k: v for k, v in document.items() if k not in was or was[k] != v}
        if len(new) == len(document) or _fits(schema, was):
            raise
    return {**document, **schema.load(new)}


def _fits(schema: PartialSchema, document: dict[str, Any]) -> bool:
    try:
        schema.load(document)
    except InvalidInputError:
        return False
    return True


def _partial(schema: Any) -> PartialSchema:
    from lumosai._schema import PartialSchema as Made

    return Made(schema)


class Working:
    """The facts of one thread or person. Made by `memory.working(…)`.

    All changes raise `InvalidInputError` where they cannot be done or do not fit, and `ConflictError` where a `version`
    is given and others changed the same facts since. Nothing is changed then.
    """

    __slots__ = ("_handle", "_of", "settings")

    def __init__(self, handle: Handle, settings: WorkingMemory, **of: str) -> None:
        self._handle = handle
        self._of = of
        self.settings = settings

    def __repr__(self) -> str:
        return f"<working memory of {self._of}>"

    async def read(self) -> WorkingFacts:
        """All facts, with their version."""
        found = await self._handle.facts(**self._of)
        return WorkingFacts(found.version, found.document) if found is not None else WorkingFacts()

    async def get(self, path: str | None = None, default: Any = None) -> Any:
        """A fact, or all of them by name; `default` where it is not known."""
        facts = (await self.read()).facts
        return facts if path is None else patches.look(facts, patches.path_of(path), default)

    async def set(self, path: str, value: Any, *, version: int | None = None) -> WorkingFacts:
        """Remembers a fact, in place of what was there."""
        return await self.patch([patches.Operation("set", path, value)], version=version)

    async def delete(self, path: str, *, version: int | None = None) -> WorkingFacts:
        """Forgets a fact; its history stays."""
        return await self.patch([patches.Operation("unset", path)], version=version)

    async def patch(
        self,
        operations: Iterable[Operation | Mapping[str, Any]],
        *,
        version: int | None = None,
        origin: Origin = Origin(),  # noqa: B008  # frozen
    ) -> WorkingFacts:
        """Does several operations, all or none.

        Args:
            operations: `{"op": "set" | "unset" | "append", "path": "address.city", "value": …}`.
            version: that they were made for: changes of others since are merged with, where they were of other facts.
            origin: where they come from.
        """
        new = tuple(
            [
                msgspec.structs.replace(o, value=patches.json_value(o.value, o.path))
                for o in patches.operations_of(operations)
            ]
        )

        size = len(msgspec.json.encode(new))
        if size > _LARGER * self.settings.max_chars:
            raise InvalidInputError(
                f"the patch takes {size:,} characters, and all of working memory {self.settings.max_chars:,} at the most"
            )

        def make(was: Facts) -> tuple[dict[str, Any], int]:
            if version is not None:
                _check(was, new, version, origin)
            return patches.patched(was.document, new), 0

        return await self._change(make, new, origin)

    async def clear(self, *, version: int | None = None, origin: Origin = Origin()) -> WorkingFacts:  # noqa: B008  # frozen
        """Forgets all facts; the history stays, and `undo` brings them back."""

        def make(was: Facts) -> tuple[dict[str, Any], int]:
            if version is not None and version != was.version:
                raise ConflictError(_moved(was, version))
            return {}, 0

        return await self._change(make, (), origin)

    async def undo(self, *, origin: Origin = Origin()) -> WorkingFacts:  # noqa: B008  # frozen
        """Takes back the last change that was not taken back yet; the history keeps both.

        Raises:
            ConflictError: there is none.
        """

        def make(was: Facts) -> tuple[dict[str, Any], int]:
            back = {c.undoes for c in history_of(was) if c.undoes}
            last = next((c for c in reversed(history_of(was)) if not c.undoes and c.version not in back), None)
            if last is None:
                raise ConflictError("nothing is left in the history that could be undone")
            return patches.undone(was.document, last.changed), last.version

        return await self._change(make, (), origin)

    async def history(self, limit: int = _KEPT) -> tuple[FactChange, ...]:
        """The last changes, the newest last: as many as are kept, 100 at the most."""
        found = await self._handle.facts(**self._of)
        return history_of(found)[-limit:] if found is not None and limit > 0 else ()

    async def erase(self) -> bool:
        """Deletes the facts and their history; whether there were any."""
        return await self._handle.forget_facts(**self._of)

    async def _change(
        self,
        make: Callable[[Facts], tuple[dict[str, Any], int]],
        operations: tuple[Operation, ...],
        origin: Origin,
    ) -> WorkingFacts:
        change = partial(_changed, self.settings, make, operations, origin)
        made = await self._handle.change_facts(change, **self._of)
        return WorkingFacts(made.version, made.document)


def _changed(
    settings: WorkingMemory,
    make: Callable[[Facts], tuple[dict[str, Any], int]],
    operations: tuple[Operation, ...],
    origin: Origin,
    was: Facts,
) -> Facts:
    """What is remembered after a change, the change with it; as it was where nothing changes, or the call was done before."""
    if origin.call_id and any(
        c.origin.call_id == origin.call_id and c.origin.run_id == origin.run_id for c in history_of(was)
    ):
        return was
    document, undoes = make(was)
    document = settings.checked(document, was.document)
    if document == was.document:
        return was
    change = FactChange(
        version=was.version + 1,
        at=round(time.time(), 3),
        operations=operations,
        changed=patches.difference(was.document, document),
        origin=origin,
        undoes=undoes,
    )
    changes = [*was.changes, msgspec.to_builtins(change)][-_KEPT:]
    while len(changes) > 1 and len(msgspec.json.encode(changes)) > _KEPT_CHARS:
        del changes[0]
    return Facts(version=change.version, document=document, changes=tuple(changes))


def history_of(facts: Facts) -> tuple[FactChange, ...]:
    """The changes of facts; those of a form that this version does not know are left out."""
    found = []
    for each in facts.changes:
        try:
            found.append(msgspec.convert(each, FactChange))
        except msgspec.ValidationError:
            continue
    return tuple(found)


def _check(was: Facts, operations: Sequence[Operation], version: int, origin: Origin) -> None:
    """Raises where others changed, since a version, what the operations are about.

    Raises:
        ConflictError: they did, or nobody knows any more.
    """
    if version == was.version:
        return
    since = [c for c in history_of(was) if c.version > version]
    if version > was.version or len(since) != was.version - version:
        raise ConflictError(_moved(was, version))
    for change in since:
        if origin.run_id and change.origin.run_id == origin.run_id:
            continue
        theirs = [patches.path_of(o.path) for o in change.operations] or [(name,) for name in change.changed]
        for mine in operations:
            path = patches.path_of(mine.path)
            appended = mine.op == "append" and all(o.op == "append" for o in change.operations) and change.operations
            if not appended and any(patches.meet(path, other) for other in theirs):
                now = msgspec.json.encode(patches.look(was.document, path)).decode()
                by = f", by run {change.origin.run_id}" if change.origin.run_id else ""
                raise ConflictError(
                    f"{mine.path!r} was changed meanwhile (version {change.version}{by}): it is "
                    f"{now if len(now) <= _SHOWN else now[:_SHOWN] + '…'} now. Look at it, and patch version {was.version}"
                )


def _moved(was: Facts, version: int) -> str:
    return f"working memory has version {was.version}, not {version}: read it again"
