"""A span while it grows, from the event that begins it to the one that ends it.

It holds on to these two events, and what they say is put at its place only when somebody wants it: the recorder, as a row
to be stored, or a reader.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec

from lumosai._secrets import redact, redacted
from lumosai.events import RunCancelled, ToolCallComplete, ToolCallStart
from lumosai.messages import AudioPart, FilePart, ImagePart
from lumosai.records import ModelSettings, Usage
from lumosai.spans import KIND, attributes_of
from lumosai.traces import SpanRow, TraceStep

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from lumosai.events import (
        EmbeddingCall,
        Event,
        ModelCallComplete,
        ModelCallStarted,
        RunStarted,
        StepComplete,
        StepStarted,
    )
    from lumosai.messages import Message, Part
    from lumosai.traces import StepKind

Content = Literal["off", "metadata", "full"]
"""How much of what was said a span tells: nothing, not even an error's words; sizes and ids; all of it."""

_NO_USAGE: Final = Usage()
_NO_SETTINGS: Final = ModelSettings()
_NO_TOKENS: Final = (None,) * 6
_SHOWN: Final = 65_536
"""Bytes of a part's JSON up to which it stands in a span whole."""
_LONGEST: Final = 200
"""Characters of a name; what is longer is cut, for names are no content."""
_WORDS: Final = frozenset({"notes", "reason", "arguments", "result", "input", "output", "prompt"})
"""Attributes whose values somebody wrote."""
_encode = msgspec.json.Encoder().encode
_row = tuple.__new__


class GrowingSpan:
    """A span while it grows.

    Args:
        number: its number in the trace.
        kind, name, span_id, parent, start: as in `TraceStep`.
        began: the event that began it.
        root: the trace's own run.
        content: how much of what was said it tells.

    Attributes:
        ended: the event that ended it, None where none did.
        more: what no event's fields say, None where there is nothing.
        waited: whether somebody was asked in it, so that no single clock measured it.
    """

    __slots__ = (
        "began",
        "content",
        "duration_ms",
        "ended",
        "error",
        "error_type",
        "kind",
        "more",
        "name",
        "number",
        "parent",
        "root",
        "span_id",
        "start",
        "waited",
    )

    def __init__(  # noqa: PLR0917  # a span's header
        self,
        number: int,
        kind: StepKind,
        name: str,
        span_id: str,
        parent: str | None,
        start: float,
        began: Event,
        root: str,
        content: Content,
    ) -> None:
        self.number = number
        self.kind = kind
        self.name = name
        self.span_id = span_id
        self.parent = parent
        self.start = start
        self.began = began
        self.root = root
        self.content = content
        self.ended: Event | None = None
        self.duration_ms: float | None = None
        self.error: str | None = None
        self.error_type: str | None = None
        self.more: dict[str, Any] | None = None
        self.waited = False

    @property
    def run_id(self) -> str:
        """The run that it is of."""
        return self.began.run_id

    @property
    def silent(self) -> bool:
        """Whether it tells nothing of what was said."""
        return self.content == "off"

    def fail(self, error_type: str, error: str | None) -> None:
        """What it stood for went wrong, in these words."""
        self.error_type, self.error = error_type, error if self.content != "off" else None

    def known(self) -> dict[str, Any]:
        """What no event's fields say, to be written to."""
        if self.more is None:
            self.more = {}
        return self.more

    def row(self) -> SpanRow:
        """What is stored of it once it has ended, without what looks like a secret."""
        began: Any = self.began
        kind, error, more = self.kind, self.error, self.more
        if self.content == "full" or (kind == "model_call" and began.settings != _NO_SETTINGS):
            more = self._more()
        if more is not None and not _WORDS.isdisjoint(more):
            more = {k: redacted(v) if k in _WORDS else v for k, v in more.items()}
        name, run_id = self.name, began.run_id
        values = _VALUES.get(kind)
        return _row(
            SpanRow,
            (
                self.number,
                KIND[kind],
                self.span_id,
                self.parent,
                name if len(name) <= _LONGEST else name[:_LONGEST],
                began.agent,
                run_id if run_id != self.root else None,
                round(self.start * 1e6),
                round((self.duration_ms or 0.0) * 1e3),
                self.error_type,
                redact(error) if error is not None else None,
                values(began, self.ended, self.content) if values is not None else (),
                more,
            ),
        )

    @property
    def step(self) -> TraceStep:
        """What a reader sees of it."""
        return TraceStep(
            span_id=self.span_id,
            parent_span_id=self.parent,
            kind=self.kind,
            name=self.name,
            start=self.start,
            duration_ms=self.duration_ms,
            run_id=self.began.run_id,
            agent=self.began.agent,
            error=self.error,
            error_type=self.error_type,
            attributes=attributes_of(self.kind, self._values(), self._more()),
        )

    def _values(self) -> tuple[Any, ...]:
        """The attributes that have a place of their own."""
        values = _VALUES.get(self.kind)
        return values(self.began, self.ended, self.content) if values is not None else ()

    def _more(self) -> dict[str, Any] | None:
        """The attributes that have no place of their own."""
        told = _TOLD.get(self.kind)
        said = told(self.began, self.ended, self.content) if told is not None else None
        if said is None:
            return self.more
        return said if self.more is None else {**said, **self.more}


def _run(began: RunStarted, ended: Any, _: Content) -> tuple[Any, ...]:
    known = (
        began.model or None,
        began.agent_version or None,
        began.thread_id or None,
        began.resource_id or None,
        began.parent_run_id,
        began.definition_hash or None,
        began.queued_ms or None,
    )
    if ended is None:
        return known
    totals = ended.result
    cost = totals.cost_usd
    return (
        *known,
        totals.finish_reason,
        totals.steps,
        totals.tool_calls,
        totals.model or None,
        str(cost) if cost is not None else None,
        redact(ended.reason) if type(ended) is RunCancelled else None,
        *_tokens(totals.usage),
    )


def _step(began: StepStarted, ended: StepComplete | None, _: Content) -> tuple[Any, ...]:
    if ended is None:
        return (began.index, began.tool_mode)
    return (began.index, began.tool_mode, *_tokens(ended.usage))


def _model_call(began: ModelCallStarted, ended: ModelCallComplete | None, content: Content) -> tuple[Any, ...]:
    known = (
        began.purpose,
        began.provider,
        began.model,
        _plain_endpoint(began.endpoint),
        began.model_call_id,
        began.step,
        began.attempt,
        began.tool_mode,
        None if content == "off" else len(began.prompt) or len(began.prompt_hashes),
    )
    if ended is None:
        return known
    message, cost = ended.message, ended.cost_usd
    return (
        *known,
        ended.finish_reason or None,
        ended.model or None,
        ended.response_id or None,
        ended.time_to_first_chunk_ms,
        message.id if message is not None else None,
        len(message.tool_calls) or None if message is not None else None,
        str(cost) if cost is not None else None,
        (ended.price_version or None) if cost is not None else None,
        *_tokens(ended.usage),
    )


def _tool_call(began: Any, ended: ToolCallComplete | None, content: Content) -> tuple[Any, ...]:
    size = None
    if ended is not None and content != "off":
        result = ended.result.content
        size = len(result) if isinstance(result, str) else len(_json(result))
    if type(began) is ToolCallStart:
        return (began.call.id, began.idempotency_key, began.queued_ms or None, size)
    if type(began) is ToolCallComplete:
        return (began.call_id, None, None, size, True)
    return (began.call.id, None, None, size)


_VALUES: Final[dict[str, Callable[[Any, Any, Content], tuple[Any, ...]]]] = {
    "run": _run,
    "step": _step,
    "model_call": _model_call,
    "tool_call": _tool_call,
}
"""What stands at the places of a kind of span, see `lumosai.spans.PLACES`."""


def _run_said(began: RunStarted, _: Any, content: Content) -> dict[str, Any] | None:
    return {"input": _texts(began.input)} if content == "full" else None


def _model_said(began: ModelCallStarted, ended: ModelCallComplete | None, content: Content) -> dict[str, Any] | None:
    said: dict[str, Any] | None = None
    if began.settings != _NO_SETTINGS:
        said = {"settings": redacted(msgspec.to_builtins(began.settings))}
    if content == "full":
        said = said or {}
        said["prompt"] = _texts(began.prompt)
        if ended is not None and ended.message is not None:
            said["output"] = _texts((ended.message,))
    return said


def _tool_said(began: Any, ended: ToolCallComplete | None, content: Content) -> dict[str, Any] | None:
    if content != "full":
        return None
    said: dict[str, Any] = {}
    if type(began) is not ToolCallComplete:
        said["arguments"] = _json(began.call.arguments)
    if ended is not None:
        result = ended.result.content
        said["result"] = result if isinstance(result, str) else _json(result)
    return said


_TOLD: Final[dict[str, Callable[[Any, Any, Content], dict[str, Any] | None]]] = {
    "run": _run_said,
    "model_call": _model_said,
    "tool_call": _tool_said,
}
"""What its events say besides, by the kind of span."""


def _tokens(usage: Usage) -> tuple[int | None, ...]:
    if usage is _NO_USAGE:
        return _NO_TOKENS
    return (
        usage.input_tokens or None,
        usage.output_tokens or None,
        usage.total_tokens or None,
        usage.reasoning_tokens or None,
        usage.cache_read_tokens or None,
        usage.cache_write_tokens or None,
    )


def embedding_attributes(call: EmbeddingCall) -> dict[str, Any]:
    """What its span says of an embedding call."""
    said = {
        "provider": call.provider,
        "model": call.model,
        "endpoint": _plain_endpoint(call.endpoint),
        "of": call.kind,
        "texts": call.texts,
        "dimensions": call.dimensions or None,
        "input_tokens": call.tokens or None,
        "total_tokens": call.tokens or None,
        "cost_usd": str(call.cost_usd) if call.cost_usd is not None else None,
        "price_version": call.price_version,
    }
    return {name: value for name, value in said.items() if value is not None and value != ""}


@lru_cache(256)
def _plain_endpoint(url: str) -> str:
    """Where a request goes, without what looks like a secret in it."""
    return redact(url)


def _texts(messages: Iterable[Message]) -> list[dict[str, Any]]:
    """Messages as they may be shown: media by kind alone."""
    return [{"role": m.role, "parts": [_part(p) for p in m.parts]} for m in messages]


def _part(part: Part) -> Any:
    if isinstance(part, ImagePart | AudioPart | FilePart):
        return {"type": type(part).__name__}
    told = msgspec.to_builtins(part)
    return told if len(_encode(told)) <= _SHOWN else {"type": type(part).__name__}


def _json(value: Any) -> str:
    return _encode(value).decode()
