"""Patches of a document of facts: what each operation does, and which of them get in each other's way.

A path names a place in the document, with dots: "name", "address.city", "hobbies.0". A dot of a name itself has a
backslash before it. Nothing here changes what it is given.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec

from lumosai.errors import InvalidInputError
from lumosai.messages import scrub, scrubbed

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Path = tuple[str, ...]

_DOT: Final = re.compile(r"(?<!\\)\.")
_OPS: Final = ("set", "unset", "append")
_DEEPEST: Final = 8
_LONGEST: Final = 200
_MOST: Final = 100


class Operation(msgspec.Struct, frozen=True, omit_defaults=True):
    """One change of a document.

    Attributes:
        op: "set" puts a value in a place, "unset" takes it away, "append" adds to a list, or to a text as a new line.
        path: the place.
        value: any JSON value; of no meaning to "unset".
    """

    op: Literal["set", "unset", "append"]
    path: str
    value: Any = None


def operations_of(given: Iterable[Operation | Mapping[str, Any]]) -> tuple[Operation, ...]:
    """Operations, as they are given or as JSON objects, whose `op` is "set" where they have none.

    Raises:
        InvalidInputError: one is none, by its place in the list.
    """
    if isinstance(given, str | bytes | Mapping):
        raise InvalidInputError(f"a patch is a list of operations, not {_short(given)}")
    found: list[Operation] = []
    for number, each in enumerate(given, 1):
        operation = each if isinstance(each, Operation) else _operation(each, number)
        path_of(operation.path)
        sound = scrub(operation.path)
        found.append(operation if sound is operation.path else msgspec.structs.replace(operation, path=sound))
    if not found:
        raise InvalidInputError("a patch needs at least one operation")
    if len(found) > _MOST:
        raise InvalidInputError(f"a patch takes {_MOST} operations at the most, not {len(found)}")
    return tuple(found)


def _operation(given: Any, number: int) -> Operation:
    raw = dict(given) if isinstance(given, Mapping) else {}
    op = raw.get("op", "set")
    if op not in _OPS or not isinstance(raw.get("path"), str):
        raise InvalidInputError(
            f"operation {number} is {_short(given)}: it needs an 'op', one of {', '.join(_OPS)}, and a 'path', the fact's "
            "name"
        )
    if op != "unset" and "value" not in raw:
        raise InvalidInputError(f"operation {number} is {_short(given)}: {op} needs a 'value'")
    return Operation(op, raw["path"], raw.get("value"))


def path_of(text: str) -> Path:
    """The steps of a path.

    Raises:
        InvalidInputError: it is empty, too long or too deep.
    """
    text = scrub(text)
    steps = [s.replace("\\.", ".") for s in _DOT.split(text)]
    if len(text) > _LONGEST or len(steps) > _DEEPEST or not all(s.strip() for s in steps):
        raise InvalidInputError(
            f"the path {text[:_LONGEST]!r} is none: it has 1 to {_DEEPEST} names with dots between them, none empty, in "
            f"{_LONGEST} characters at the most"
        )
    return tuple(steps)


def path_text(path: Sequence[str]) -> str:
    """A path as it is written."""
    return ".".join([step.replace(".", "\\.") for step in path])


def meet(one: Path, other: Path) -> bool:
    """Whether a change in one place touches the other."""
    return all(a == b for a, b in zip(one, other, strict=False))


def look(document: Any, path: Path, default: Any = None) -> Any:
    """What is in a place."""
    for step in path:
        if isinstance(document, dict) and step in document:
            document = document[step]
        elif isinstance(document, list) and step.isdecimal() and int(step) < len(document):
            document = document[int(step)]
        else:
            return default
    return document


def patched(document: dict[str, Any], operations: Iterable[Operation]) -> dict[str, Any]:
    """The document with the operations done, one after the other; as it was where one of them cannot be.

    Raises:
        InvalidInputError: one cannot be done, by its path.
    """
    for operation in operations:
        document = _done(document, path_of(operation.path), operation, ())
    return document


def _done(value: Any, path: Path, operation: Operation, above: Path) -> Any:
    """`value` with the operation done in a place below it."""
    if not path:
        return _put(value, operation, above)
    step, rest = path[0], path[1:]
    here = (*above, step)
    if value is None or isinstance(value, dict):
        inner: dict[str, Any] = value or {}
        if operation.op == "unset" and not rest:
            return {k: v for k, v in inner.items() if k != step}
        if operation.op == "unset" and step not in inner:
            return inner
        return {**inner, step: _done(inner.get(step), rest, operation, here)}
    if isinstance(value, list):
        return _in_list(value, path, operation, above)
    raise InvalidInputError(
        f"{path_text(here)!r} cannot be: {path_text(above)!r} is {_short(value)}, which has no parts; set it as a whole"
    )


def _in_list(value: list[Any], path: Path, operation: Operation, above: Path) -> list[Any]:
    step, rest = path[0], path[1:]
    at = int(step) if step.isdecimal() else -1
    if operation.op == "unset" and not rest and at >= len(value):
        return value
    if not 0 <= at < len(value) + (operation.op != "unset"):
        raise InvalidInputError(
            f"{path_text((*above, step))!r} is not there: {path_text(above)!r} is a list of {len(value)}; its places are "
            f"0 to {len(value) - 1}, and append adds one"
        )
    if operation.op == "unset" and not rest:
        return [*value[:at], *value[at + 1 :]]
    was = value[at] if at < len(value) else None
    return [*value[:at], _done(was, rest, operation, (*above, step)), *value[at + 1 :]]


def _put(was: Any, operation: Operation, path: Path) -> Any:
    if operation.op == "set":
        return operation.value
    if was is None:
        return [operation.value]
    if isinstance(was, list):
        return [*was, operation.value]
    if isinstance(was, str) and isinstance(operation.value, str):
        return f"{was}\n{operation.value}" if was else operation.value
    raise InvalidInputError(
        f"nothing can be appended to {path_text(path)!r}, which is {_short(was)}: append adds to a list, or a text to a text"
    )


def difference(before: dict[str, Any], after: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The facts that differ, each with what it was and what it is, as far as it was and is."""
    found: dict[str, dict[str, Any]] = {}
    for name in {**before, **after}:
        if name in before and name in after and before[name] == after[name]:
            continue
        sides = (("before", before), ("after", after))
        found[name] = {side: values[name] for side, values in sides if name in values}
    return found


def undone(document: dict[str, Any], changed: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The document with those facts as they were before."""
    made = dict(document)
    for name, sides in changed.items():
        if "before" in sides:
            made[name] = sides["before"]
        else:
            made.pop(name, None)
    return made


def _short(value: Any) -> str:
    text = msgspec.json.encode(scrubbed(value), enc_hook=repr).decode("utf-8", "replace")
    return text if len(text) <= 80 else f"{text[:60]}… ({len(text)} characters)"  # noqa: PLR2004  # a line


def json_value(value: Any, path: str) -> Any:
    """A value as JSON has it.

    Raises:
        InvalidInputError: it has no such form.
    """
    try:
        return msgspec.json.decode(msgspec.json.encode(value))
    except UnicodeEncodeError:
        return json_value(scrubbed(value), path)
    except (TypeError, ValueError, RecursionError, msgspec.MsgspecError) as error:
        raise InvalidInputError(f"{path!r} cannot be {type(value).__name__}: it is no JSON value ({error})") from None
