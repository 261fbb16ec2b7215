"""One request to the model, with all the attempts that its wrappers make: chunks in, events and a message out."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from decimal import Decimal
from typing import TYPE_CHECKING, Any, cast

import msgspec

from lumosai.agent.answer import Answer, Opened
from lumosai.agent.inputs import scrub
from lumosai.agent.state import clock, ms_since, now
from lumosai.errors import RunError
from lumosai.events import (
    ModelCallComplete,
    ModelCallStarted,
    ModelChanged,
    OutputDelta,
    ReasoningDelta,
    Retrying,
    TextDelta,
    ToolCallDelta,
)
from lumosai.ids import new_id, new_span_id
from lumosai.messages import Message, TextPart, ToolCallPart
from lumosai.models.base import (
    AttemptStarted,
    Finished,
    PartChunk,
    ReasoningChunk,
    TextChunk,
    ToolCallChunk,
    UsageChunk,
)
from lumosai.models.prices import cost as price_of

if TYPE_CHECKING:
    from lumosai.agent.state import RunState
    from lumosai.models.base import ModelRequest
    from lumosai.models.calling import CallingModel

_FREE = Decimal(0)


class Ask:
    """Follows one request to its message.

    Attributes:
        answer: the answer so far, of the attempt that is going on.
        message: the whole message, once `run` returned.
        mode: how tools are called in the attempt that is going on.
    """

    __slots__ = (
        "answer",
        "attempt",
        "began",
        "call_id",
        "endpoint",
        "first_at",
        "index",
        "message",
        "mode",
        "model",
        "name",
        "provider",
        "request",
        "span",
        "state",
    )

    def __init__(self, state: RunState, model: CallingModel, request: ModelRequest, index: int) -> None:
        self.state = state
        self.model = model
        self.request = request
        self.index = index
        self.provider, self.name, self.endpoint = model.provider, model.name, model.endpoint
        self.mode = model.mode(request)
        self.attempt = 1
        self.answer = Answer(state.call_ids)
        self.message: Message | None = None
        self.first_at: float | None = None

    async def run(self) -> Message:
        """The answer as a message. A failure is told in an event before it is raised."""
        self._begin()
        trace = f"00-{self.state.trace_id}-{self.span}-01"
        try:
            await self._read(msgspec.structs.replace(self.request, trace=trace))
        except asyncio.CancelledError:
            self._failed("cancelled", "the run was stopped")
            raise
        except Exception as error:  # told in the event, whatever it is, and raised on
            self._failed(type(error).__name__, str(error))
            raise
        return self._complete()

    async def _read(self, request: ModelRequest) -> None:
        """Follows the stream. The hot path of every delta: local names, one event a chunk, no call that can wait."""
        state, answer, log, output = self.state, self.answer, self.state.log, self.state.output
        run_id, root_id, parent_id, name = state.run_id, state.root_id, state.parent_id, state.name
        step_span, span = state.step_span, self.span
        append, events, time = log.append, log.events, now
        plain = output is None or output.way == "tool"
        text: Opened | None = None
        held = ""
        async with aclosing(cast("Any", self.model.stream(request))) as chunks:
            async for chunk in chunks:
                kind = type(chunk)
                if kind is TextChunk:
                    delta = chunk.delta
                    if held or not delta.isascii():
                        delta, held = _joined(held + delta)
                        if not delta:
                            continue
                    if text is None or answer.last is not text:
                        text = answer.open_text()
                        add, number, message_id = text.pieces.append, text.number, answer.message_id
                        self._first()
                    add(delta)
                    seq = len(events) + 1
                    if plain:
                        append(
                            TextDelta(
                                run_id,
                                root_id,
                                parent_id,
                                seq,
                                time(),
                                span,
                                step_span,
                                name,
                                message_id,
                                number,
                                delta,
                            )
                        )
                    else:
                        state.in_step(OutputDelta, span, output.attempt, delta)  # type: ignore[union-attr]
                elif kind is AttemptStarted:
                    self._next_attempt(chunk)
                    answer, text, span, held = self.answer, None, self.span, ""
                else:
                    self._other(chunk)
                if log.bounded and log.full:
                    await log.room()
        if self.answer.finished is None:
            msg = f"the model {self.provider}:{self.name} ended its stream without saying that it had finished"
            raise RunError(msg)

    def _first(self) -> None:
        if self.first_at is None:
            self.first_at = clock()

    def _other(self, chunk: Any) -> None:
        """Every chunk but text."""
        kind, answer = type(chunk), self.answer
        if kind is Finished:
            answer.finished = chunk
        elif kind is UsageChunk:
            answer.usage = chunk.usage
        elif kind is ToolCallChunk:
            self._call(chunk)
        elif kind is ReasoningChunk:
            self._reasoning(chunk)
        elif kind is PartChunk:
            self._first()
            answer.whole(chunk.part)
        else:
            msg = f"the model {self.provider}:{self.name} gave a {kind.__name__}, which is no chunk of lumosai.models.base"
            raise RunError(msg)

    def _call(self, chunk: ToolCallChunk) -> None:
        self._first()
        state, answer, output = self.state, self.answer, self.state.output
        opened = answer.call(chunk)
        if output is not None and output.way == "tool" and opened.name == output.name:
            state.in_step(OutputDelta, self.span, output.attempt, chunk.delta)
        else:
            message_id, number = answer.message_id, opened.number
            state.in_step(ToolCallDelta, self.span, message_id, number, opened.call_id, opened.name, chunk.delta)

    def _reasoning(self, chunk: ReasoningChunk) -> None:
        self._first()
        delta = scrub(chunk.delta)
        opened = self.answer.reasoning(ReasoningChunk(delta, chunk.signature))
        if delta:
            self.state.in_step(ReasoningDelta, self.span, self.answer.message_id, opened.number, delta)

    def _begin(self) -> None:
        request = self.request
        self.call_id = new_id()
        self.span = new_span_id()
        self.first_at = None
        self.began = clock()
        self.state.in_step(
            ModelCallStarted,
            self.span,
            self.call_id,
            "answer",
            self.index,
            self.attempt,
            self.provider,
            self.name,
            self.endpoint,
            request.settings,
            self.state.system or None,
            request.messages,
            request.tools,
            self.mode,
        )

    def _next_attempt(self, chunk: AttemptStarted) -> None:
        """A wrapper asks again: the last attempt is closed, the next announced."""
        state = self.state
        self._failed(chunk.reason.partition(":")[0], chunk.reason)
        if (chunk.provider, chunk.model, chunk.tool_mode) != (self.provider, self.name, self.mode):
            before, after = f"{self.provider}:{self.name}", f"{chunk.provider}:{chunk.model}"
            state.of_step(ModelChanged, before, after, chunk.tool_mode, chunk.reason, chunk.discard)
        else:
            state.of_step(Retrying, "model", chunk.attempt, chunk.reason, chunk.delay_s, chunk.discard)
        self.provider, self.name, self.endpoint = chunk.provider, chunk.model, chunk.endpoint
        self.mode, self.attempt = chunk.tool_mode, chunk.attempt
        self.answer = Answer(state.call_ids)
        self._begin()

    def _complete(self) -> Message:
        state, answer, output = self.state, self.answer, self.state.output
        finished = cast("Finished", answer.finished)
        message = answer.message(self.provider)
        if output is not None and output.way == "tool":
            message = _output_as_text(message, output.name)
        local = self.provider == "local"
        cost, version = price_of(self.provider, self.name, answer.usage, local=local, price=self.model.price)
        state.budget.spend(answer.usage, cost)
        state.model_name = finished.model or self.name
        self.message = message
        reason: str = finished.reason
        if message.tool_calls:
            reason = "tool_calls"
        elif reason == "tool_calls":
            reason = "stop"
        self._ended(message, finished.response_id, state.model_name, answer.usage, cost, version, reason)
        return message

    def _failed(self, error_type: str, text: str) -> None:
        usage = self.answer.usage
        self.state.budget.spend(usage, _FREE)
        self._ended(None, None, self.name, usage, None, None, "error", text, error_type)

    def _ended(self, message: Message | None, response_id: str | None, model: str, *fields: Any) -> None:
        usage, cost, version, reason, *error = fields
        first = None if self.first_at is None else round((self.first_at - self.began) * 1e3, 3)
        self.state.in_step(
            ModelCallComplete,
            self.span,
            self.call_id,
            message,
            response_id,
            model,
            usage,
            cost,
            version,
            reason,
            first,
            ms_since(self.began),
            *error,
        )


def _joined(text: str) -> tuple[str, str]:
    """`text` without lone surrogates, and a first half at its end, which waits for the other in the next delta."""
    held = text[-1] if "\ud800" <= text[-1:] <= "\udbff" else ""
    return scrub(text[:-1] if held else text), held


def _output_as_text(message: Message, name: str) -> Message:
    """The answer with its call of the output tool as its text: the history is the same, whichever way it came."""
    for i, part in enumerate(message.parts):
        if type(part) is ToolCallPart and part.name == name:
            text = part.raw if part.arguments is None else msgspec.json.encode(part.arguments).decode()
            kept = [p for p in message.parts[:i] if type(p) is not TextPart]
            return msgspec.structs.replace(message, parts=(*kept, TextPart(text or "")))
    return message
