"""Tool calling in every mode: `CallingModel` makes any model look as if it called tools natively.

* *native*: the provider's own `tools`. Its text is watched all the same: a declared tool's call written as text counts.
* *constrained*: one JSON object held to a schema, see `_constrained`.
* *text*: told in the prompt and read by a dialect, see `_text_calling`.
* *off*: no tools are sent.

"auto" takes what was learned about this model at this endpoint, else what its profile says. Two things are learned. A
server that rejects `tools` or `response_format` is asked again at once in another mode. And a model that has written
`PROOFS_NEEDED` declared calls as text although it was asked natively is asked so from then on: in text, by the dialect it
writes, where that has markers of its own, for then the model was trained on it; constrained, where it wrote bare JSON or
a sentence and can be held to a schema, for weak models write those, and write them wrong now and then.
"""

from __future__ import annotations

from contextlib import aclosing
from functools import cached_property
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

import msgspec

from lumosai.errors import SchemaUnsupportedError, ToolsUnsupportedError
from lumosai.models._attempts import Attempts
from lumosai.models._batches import batches_of, one_by_one
from lumosai.models._calling_plan import plan
from lumosai.models._plain_history import has_calls
from lumosai.models._readers import TextReader
from lumosai.models._text_calling import has_markers, text_dialect
from lumosai.models.base import AttemptStarted, Finished, TextChunk, ToolCallChunk
from lumosai.models.fallback import FallbackModel
from lumosai.models.profiles import NOTHING, PROOFS_NEEDED, Learned, Profile, keep_in, own_store, profile_key
from lumosai.models.retry import RetryModel
from lumosai.records import ToolMode

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from lumosai.errors import ModelError
    from lumosai.models._batches import Batches
    from lumosai.models._calling_plan import Plan
    from lumosai.models._readers import Reader
    from lumosai.models.base import Chunk, Model, ModelRequest, Tell, WholeModel
    from lumosai.models.profiles import ProfileStore

_NATIVE, _SCHEMA = "native", "json_schema"
"""The features a server may reject, as `Learned.tried` names them."""
_replace = msgspec.structs.replace


class _View(msgspec.Struct, frozen=True):
    """What follows from a model's profile and what was learned of it.

    Attributes:
        profile, learned: as given.
        known: what the model can do.
        auto: the mode that "auto" is.
    """

    profile: Profile
    learned: Learned
    known: Profile
    auto: ToolMode


class CallingModel:
    """`inner`, asked in the tool mode that suits it; its answers look native in every mode.

    The ids of calls that were not native are "": whoever runs them gives ids.

    Attributes:
        inner: the model that is asked.
    """

    def __init__(self, inner: Model) -> None:
        self.inner = inner
        self._heart = innermost(inner)
        self._own = own_store(self._heart)
        self._speaker: Model = (
            inner.inner if type(inner) is RetryModel else inner
        )  # retries say of themselves what it says
        self._view: _View | None = None

    @property
    def provider(self) -> str:
        return self._speaker.provider

    @property
    def name(self) -> str:
        return self._speaker.name

    @property
    def profile(self) -> Profile:
        return self._known(self._own.get(self._key) or NOTHING)

    def profile_for(self, request: ModelRequest) -> Profile:
        """What the model can do, without what its server was found to reject by the request's store."""
        return self._known(self._learned(request))

    def remember_in(self, store: ProfileStore) -> None:
        """Keeps what it teaches there, where a request brings no store."""
        self._own = store
        keep_in(self._heart, store)

    @property
    def endpoint(self) -> str:
        return getattr(self._heart, "endpoint", "")

    @property
    def price(self) -> Any:
        return getattr(self._heart, "price", None)

    def mode(self, request: ModelRequest) -> ToolMode:
        """The mode in which this request will be sent first."""
        asked = request.tool_mode
        return self._seen(self._learned(request)).auto if asked == "auto" else asked

    def why(self, request: ModelRequest) -> str:
        """Why "auto" is not what the profile says; "" where it is."""
        learned = self._learned(request)
        if request.tool_mode != "auto" or self._auto(learned) == self._auto(NOTHING):
            return ""
        return learned.reason

    def stream(self, request: ModelRequest) -> AsyncIterator[Chunk]:
        """The answer's chunks; an `AttemptStarted` before each further request.

        Raises:
            ModelError: the inner model's, where another mode is of no help or was not left open.
        """
        return one_by_one(self.batches(request))

    def batches(self, request: ModelRequest) -> Batches:
        """As `stream`, in the inner model's lists."""
        if not request.tools and request.output_schema is None and not has_calls(request.messages):
            return batches_of(self.inner, _replace(request, tool_mode=self.mode(request), tool_choice=None))
        return self._batches(request)

    async def _batches(self, request: ModelRequest) -> Batches:
        mode = self.mode(request)
        attempt = 1
        refused: tuple[type[ModelError], ...] = ()
        while True:
            learned = self._learned(request)
            plan = self._plan(request, mode, self._seen(learned))
            reader = plan.reader()
            shown = False
            try:
                async with aclosing(batches_of(self.inner, plan.request)) as batches:
                    async for chunks in batches:
                        first = chunks[0]
                        if type(first) is AttemptStarted:
                            attempt += 1
                            reader, shown = plan.reader(), False
                            yield (_replace(first, attempt=attempt),)
                            continue
                        shown = True
                        # A cut makes no difference to a reader: what it would pass on as one text, it would in pieces.
                        texts = [c.delta for c in chunks if type(c) is TextChunk]
                        if len(texts) == len(chunks) and reader.plain("".join(texts)):
                            yield chunks
                        elif read := self._read_on(request, plan, mode, learned, reader, chunks):
                            yield read
                    return
            except (ToolsUnsupportedError, SchemaUnsupportedError) as error:
                mode, reason = self._go_on(request, plan, mode, error, refused)
                refused = (*refused, type(error))
            attempt += 1
            yield (AttemptStarted(self.provider, self.name, self.endpoint, attempt, mode, shown, reason),)

    def _read_on(  # noqa: PLR0917  # what every answer is read with
        self,
        request: ModelRequest,
        plan: Plan,
        mode: ToolMode,
        learned: Learned,
        reader: Reader,
        chunks: Sequence[Chunk],
    ) -> list[Chunk]:
        """What these chunks of an answer read as."""
        read: list[Chunk] = []
        for chunk in chunks:
            if type(chunk) is TextChunk:
                if reader.plain(chunk.delta):
                    read.append(chunk)
                else:
                    read += reader.feed(chunk.delta)
            elif type(chunk) is Finished:
                read += reader.close()
                self._note(request, plan, learned, reader)
                read.append(self._finished(request, mode, reader, chunk) if reader.called else chunk)
            else:
                if type(chunk) is ToolCallChunk:
                    reader.native(chunk)
                read.append(chunk)
        return read

    @property
    def in_one_piece(self) -> bool:
        """Whether `answer` may be asked: the inner model's."""
        return getattr(self._speaker, "in_one_piece", False)

    async def answer(self, request: ModelRequest, tell: Tell) -> Sequence[Chunk]:
        """The answer in one piece; else as `stream`.

        Raises:
            ModelError: as `stream`.
        """
        inner: WholeModel = self.inner  # type: ignore[assignment]  # as `in_one_piece` said
        seen = self._seen(self._learned(request))
        mode = seen.auto if request.tool_mode == "auto" else request.tool_mode
        if not request.tools and request.output_schema is None and not has_calls(request.messages):
            return await inner.answer(_replace(request, tool_mode=mode, tool_choice=None), tell)
        attempts = Attempts.of(tell)
        refused: tuple[type[ModelError], ...] = ()
        while True:
            plan = self._plan(request, mode, seen)
            try:
                return self._read(request, plan, mode, seen.learned, await inner.answer(plan.request, attempts))
            except (ToolsUnsupportedError, SchemaUnsupportedError) as error:
                mode, reason = self._go_on(request, plan, mode, error, refused)
                refused = (*refused, type(error))
                seen = self._seen(self._learned(request))
            attempts(AttemptStarted(self.provider, self.name, self.endpoint, 0, mode, False, reason))

    def _read(
        self, request: ModelRequest, plan: Plan, mode: ToolMode, learned: Learned, chunks: Sequence[Chunk]
    ) -> list[Chunk]:
        """What a whole answer reads as."""
        reader, kinds = plan.reader(), [*map(type, chunks)]
        if kinds.count(TextChunk) != 1:
            return self._read_on(request, plan, mode, learned, reader, chunks)
        at = kinds.index(TextChunk)
        before = self._read_on(request, plan, mode, learned, reader, chunks[:at]) if at else ()
        text: TextChunk = chunks[at]  # type: ignore[assignment]  # as `kinds` says
        return [
            *before,
            *reader.whole(text),
            *self._read_on(request, plan, mode, learned, reader, chunks[at + 1 :]),
        ]

    def _go_on(
        self,
        request: ModelRequest,
        plan: Plan,
        mode: ToolMode,
        error: ModelError,
        refused: tuple[type[ModelError], ...],
    ) -> tuple[ToolMode, str]:
        """The mode to ask again in after a refusal, and why; raises `error` where there is none."""
        new = None if type(error) in refused else self._learn_rejected(request, plan, mode, error)
        if new is None:
            raise error
        return new

    def _plan(self, request: ModelRequest, mode: ToolMode, seen: _View) -> Plan:
        profile, learned = seen.known, seen.learned
        return plan(
            request,
            mode,
            schemas=profile.json_schema,
            native_history=profile.native_tools,
            answers_after_tools=profile.answers_after_tools,
            dialect=lambda: text_dialect(learned.dialect, profile.dialect, self.name),
        )

    def _finished(self, request: ModelRequest, mode: ToolMode, reader: Reader, finished: Finished) -> Finished:
        """The end of an answer whose calls came as text, which is remembered, told as a native answer's would be."""
        if mode == "native" and request.tool_mode == "auto" and isinstance(reader, TextReader):
            self._learn_proof(request, reader)
        return _replace(finished, reason="tool_calls") if finished.reason == "stop" else finished

    def _note(self, request: ModelRequest, plan: Plan, learned: Learned, reader: Reader) -> None:
        """Remembers what this answer shows to work, where that was not known when it was asked for."""
        natives, tried = reader.natives, learned.tried
        new = [_NATIVE] if natives and ((t := tried.get(_NATIVE)) is None or not t.works) else []
        if natives > 1 and ((t := tried.get("parallel")) is None or not t.works):
            new.append("parallel")
        if plan.request.output_schema is not None and ((t := tried.get(_SCHEMA)) is None or not t.works):
            new.append(_SCHEMA)
        if request.incremental and ((t := tried.get("streaming")) is None or not t.works):
            new.append("streaming")
        if new:
            learned = self._learned(request)  # others may have learned in the meantime
            for feature in new:
                if (t := learned.tried.get(feature)) is None or not t.works:
                    learned = learned.having(feature, works=True)
            self._remember(request, learned)

    def _known(self, learned: Learned) -> Profile:
        """What the model can do, with what was learned."""
        return self._seen(learned).known

    def _auto(self, learned: Learned) -> ToolMode:
        """The mode that "auto" is, with what was learned."""
        return self._seen(learned).auto

    def _seen(self, learned: Learned) -> _View:
        """What follows from a profile and what was learned; worked out again once one of them is another."""
        profile, view = self._speaker.profile, self._view
        if view is None or view.profile is not profile or view.learned is not learned:
            known = self._corrected(profile, learned)
            view = self._view = _View(profile, learned, known, _best_mode(known, learned))
        return view

    def _corrected(self, profile: Profile, learned: Learned) -> Profile:
        tried = learned.tried
        if not tried:
            return profile
        native, schema = tried.get(_NATIVE), tried.get(_SCHEMA)
        takes = profile.native_tools if native is None else native.works
        keeps = profile.json_schema if schema is None else schema.works
        if takes == profile.native_tools and keeps == profile.json_schema:
            return profile
        return _replace(profile, native_tools=takes, json_schema=keeps)

    def _learn_proof(self, request: ModelRequest, reader: TextReader) -> None:
        """A declared call was written as text: a proof, unless only names that nobody declared were called."""
        declared = {t.name for t in request.tools}
        if not any(c.name in declared for c in reader.found):
            return
        learned = self._learned(request)
        proofs = learned.proofs + 1
        dialect = reader.dialect or learned.dialect
        learned = _replace(learned, proofs=proofs, dialect=dialect).having("dialect", works=True, why=dialect)
        if proofs >= PROOFS_NEEDED and learned.tool_mode is None:
            mode: ToolMode = "text" if has_markers(learned.dialect) else "constrained"
            reason = f"calls_as_text: {proofs} answers held calls as {learned.dialect or 'plain'} text"
            learned = learned.choosing(mode, reason)
        self._remember(request, learned)

    def _learn_rejected(
        self, request: ModelRequest, plan: Plan, mode: ToolMode, error: ModelError
    ) -> tuple[ToolMode, str] | None:
        """Remembers what the server rejects; the mode to go on in and why, where there is one."""
        auto = request.tool_mode == "auto"
        if isinstance(error, ToolsUnsupportedError):
            if mode != "native":
                return None
            feature, word, helps = _NATIVE, "tools_rejected", auto
        else:
            if plan.request.output_schema is None:
                return None
            feature, word, helps = _SCHEMA, "schema_rejected", auto or not plan.calls_by_schema
        learned = self._learned(request)
        reason = f"{word}: {error}"
        learned = _replace(learned, reason=reason).having(feature, works=False, why=str(error))
        self._remember(request, learned)
        if feature == _SCHEMA and mode in ("native", "off") and self._known(learned).native_tools:
            # The output can be asked for as a tool's arguments, which is better than in words. The caller decides it.
            helps = False
        return (self._auto(learned) if auto else mode, reason) if helps else None

    def _learned(self, request: ModelRequest) -> Learned:
        services = request.services
        store: ProfileStore | None = services.get("profiles") if services else None
        return (self._own if store is None else store).get(self._key) or NOTHING

    def _remember(self, request: ModelRequest, learned: Learned) -> None:
        self._store(request).put(self._key, learned)

    def _store(self, request: ModelRequest) -> ProfileStore:
        store: ProfileStore | None = request.services.get("profiles")
        return self._own if store is None else store

    @cached_property
    def _key(self) -> str:
        return profile_key(self.provider, self.endpoint, self.name)


def _best_mode(profile: Profile, learned: Learned) -> ToolMode:
    """How a model of this profile is best asked to call tools."""
    mode = learned.tool_mode or profile.tool_mode
    if mode == "native" and not profile.native_tools:
        mode = "constrained"
    if mode == "constrained" and not profile.json_schema:
        mode = "text"
    return mode


def prepare(model: Model) -> Model:
    """`model` with retries and tool calling around it; a `FallbackModel` has them around each of its models.

    Cheap; what is prepared already is given back as it is. Whoever asks a model learns for all who share that object.
    """
    if _is_prepared(model):
        return model
    if isinstance(model, FallbackModel):
        return model.map(prepare)
    made = _PREPARED.get(id(model))
    if made is None:
        made = _PREPARED[id(model)] = CallingModel(model if isinstance(model, RetryModel) else RetryModel(model))
    return made


def innermost(model: Any) -> Any:
    """The model at the heart of wrappers."""
    while (inner := getattr(model, "inner", None)) is not None:
        model = inner
    return model


def remember_in(model: Model, store: ProfileStore) -> None:
    """Keeps what a prepared model teaches in `store`, where a request brings none. To be said before it is first asked."""
    if isinstance(model, FallbackModel):
        for one in model.models:
            remember_in(one, store)
    elif isinstance(model, CallingModel):
        model.remember_in(store)


def _is_prepared(model: Model) -> bool:
    if isinstance(model, FallbackModel):
        return all(map(_is_prepared, model.models))
    return isinstance(model, CallingModel)


_PREPARED: WeakValueDictionary[int, CallingModel] = WeakValueDictionary()
"""By the model's identity: an entry lives as long as the wrapper does, and the wrapper keeps the model alive."""
