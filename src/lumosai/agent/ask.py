"""One request to the model, with all the attempts that its wrappers make: chunks in, events and a message out."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from decimal import Decimal
from typing import TYPE_CHECKING, Any, ClassVar, Literal, cast

import msgspec

from lumosai.agent.answer import Answer, Opened
from lumosai.agent.inputs import joined
from lumosai.agent.state import clock, ms_since
from lumosai.agent.wrapping import wrap_inner
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
from lumosai.messages import AudioPart, FilePart, ImagePart, Message, ProviderPart, TextPart, ToolCallPart, scrub
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
from lumosai.records import NO_USAGE
from lumosai.telemetry.at_work import AT_WORK, AtWork, leave

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lumosai.agent.around import Opened as Wrapped
    from lumosai.agent.state import RunState
    from lumosai.messages import Part
    from lumosai.models.base import Chunk, ModelRequest
    from lumosai.models.calling import CallingModel
    from lumosai.records import ToolMode

STOPPED = ("refusal", "content_filter")
"""Ends of an answer whose calls are not made: the provider took back what the model had said."""
_FREE = Decimal(0)
_encode = msgspec.json.Encoder().encode
_WHOLE = (ImagePart, AudioPart, FilePart, ProviderPart)
"""What may come as a whole part; everything else has chunks of its own, so that it is shown as it comes."""


class Ask:
    """Follows one request to its message.

    Args:
        state: its run's.
        model: who is asked.
        request: what is asked.
        mode: how tools are called in the first attempt.
        index: the step's.
        attempt: from 1; more where the step asks again.

    Attributes:
        answer: the answer so far, of the attempt that is going on.
        at_work: what log records tell of it.
        message: the whole message, once `run` returned.
        mode: how tools are called in the attempt that is going on.
    """

    __slots__ = (
        "answer",
        "at_work",
        "attempt",
        "before",
        "began",
        "call_id",
        "endpoint",
        "first_at",
        "index",
        "message",
        "mode",
        "model",
        "name",
        "open",
        "provider",
        "request",
        "span",
        "state",
    )

    purpose: ClassVar[Literal["answer", "title", "summary"]] = "answer"

    def __init__(
        self,
        state: RunState,
        model: CallingModel,
        request: ModelRequest,
        mode: ToolMode,
        index: int,
        *,
        attempt: int = 1,
    ) -> None:
        self.state = state
        self.model = model
        self.request = request
        self.index = index
        self.provider, self.name, self.endpoint = model.provider, model.name, model.endpoint
        self.mode = mode
        self.attempt = attempt
        self.before = attempt - 1
        self.open = False
        self.answer = Answer(state.call_ids)
        self.message: Message | None = None
        self.first_at: float | None = None

    async def run(self) -> Message:
        """The answer as a message. A failure is told in an event before it is raised."""
        state, span = self.state, new_span_id()
        tracing = state.tracing
        self.at_work = AtWork(state.run_id, tracing.id, span, state.thread_id, state.name)
        token = AT_WORK.set(self.at_work)
        wrapped = self._wrapped(span) if state.around is not None else None
        ids = wrapped.ids if wrapped is not None else None
        try:
            self._begin(span if ids is None else ids.span_id)
            if ids is not None:
                trace, carried = ids.traceparent, ids.carried
            else:
                trace, carried = f"00-{tracing.id}-{span}-{tracing.flags}", tracing.carried
            request = msgspec.structs.replace(self.request, trace=trace, carried=carried)
            if self.state.log.keeper is not None:
                await self.state.log.settled()
            if request.incremental or not getattr(self.model, "in_one_piece", False):
                await self._read(request)
            else:
                self._read_whole(await self.model.answer(request, self._next_attempt))
            return self._complete()
        except asyncio.CancelledError:
            self._failed("cancelled", "the run was stopped")
            raise
        except GeneratorExit:  # the event loop is gone: there is nobody to tell
            raise
        except BaseException as error:  # told in the event, whatever it is, and raised on
            self._failed(type(error).__name__, said(error))
            raise
        finally:
            leave(token)
            if wrapped is not None:
                wrapped.close()

    def _wrapped(self, span: str) -> Wrapped:
        """What wraps the request with all its attempts, entered."""
        streamed = self.request.incremental or not getattr(self.model, "in_one_piece", False)
        known: dict[str, Any] = {
            "stream": streamed,
            "purpose": self.purpose,
            "provider": self.provider,
            "model": self.name,
            "endpoint": self.endpoint,
        }
        return wrap_inner(self.state, "model_call", self.name, span, known)

    async def _read(self, request: ModelRequest) -> None:
        """Follows the stream. The hot path of every delta: local names, one event a chunk, no call that can wait."""
        state, answer, log, output = self.state, self.answer, self.state.log, self.state.output
        run_id, root_id, parent_id, name = state.run_id, state.root_id, state.parent_id, state.name
        step_span, span = state.step_span, self.span
        append, events, time = log.append, log.events, state.at
        plain = output is None or output.way == "tool"
        text: Opened | None = None
        held = ""
        async with aclosing(cast("Any", self.model.batches(request))) as batches:
            async for chunks in batches:
                for chunk in chunks:
                    kind = type(chunk)
                    if kind is TextChunk:
                        delta = chunk.delta
                        if held or not delta.isascii():
                            delta, held = joined(held + delta)
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
                            output.shown = True  # type: ignore[union-attr]  # as `plain` says
                            state.in_step(OutputDelta, span, output.attempt, delta)  # type: ignore[union-attr]
                    elif kind is AttemptStarted:
                        self._next_attempt(chunk)
                        answer, text, span, held = self.answer, None, self.span, ""
                        await log.settled()
                    else:
                        self._other(chunk)
                    if len(events) > log.most:
                        await log.room()
        self._end_stream(held)

    def _read_whole(self, chunks: Sequence[Chunk]) -> None:
        """Takes an answer that came in one piece, since nobody reads it before it is whole."""
        for chunk in chunks:
            if type(chunk) is TextChunk:
                self._text(scrub(chunk.delta))
            else:
                self._other(chunk)
        self._end_stream("")

    def _text(self, delta: str) -> None:
        state, text, output = self.state, self.answer.open_text(), self.state.output
        text.pieces.append(delta)
        if self.first_at is None:
            self.first_at = clock()
        if output is None or output.way == "tool":
            state.in_step(TextDelta, self.span, self.answer.message_id, text.number, delta)
        else:
            output.shown = True
            state.in_step(OutputDelta, self.span, output.attempt, delta)

    def _end_stream(self, held: str) -> None:
        """Checks that the answer is whole. `held` is half a character at its end, whose other half never came."""
        if self.answer.finished is None:
            msg = f"the model {self.provider}:{self.name} ended its stream without saying that it had finished"
            raise RunError(msg)
        if held:
            self._text(scrub(held))

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
        elif kind is PartChunk and isinstance(chunk.part, _WHOLE):
            self._first()
            answer.whole(chunk.part)
        else:
            given = f"PartChunk of a {type(chunk.part).__name__}" if kind is PartChunk else kind.__name__
            msg = f"the model {self.provider}:{self.name} gave a {given}, which is no chunk of lumosai.models.base"
            raise RunError(msg)

    def _call(self, chunk: ToolCallChunk) -> None:
        if self.first_at is None:
            self.first_at = clock()
        state, answer, output = self.state, self.answer, self.state.output
        opened, delta = answer.call(chunk)
        if output is None or output.way != "tool" or opened.name != output.name:
            state.in_step(
                ToolCallDelta, self.span, answer.message_id, opened.number, opened.call_id, opened.name, delta
            )
        elif answer.first_named(output.name) is opened:  # a second one counts for nothing: see _output_as_text
            output.shown = True
            state.in_step(OutputDelta, self.span, output.attempt, delta)

    def _reasoning(self, chunk: ReasoningChunk) -> None:
        self._first()
        opened, delta = self.answer.reasoning(chunk)
        if delta:
            self.state.in_step(ReasoningDelta, self.span, self.answer.message_id, opened.number, delta)

    def _begin(self, span: str) -> None:
        request, output, system = self.request, self.state.output, self.state.system
        if self.purpose != "answer":
            system = request.messages[0].text
        elif output is not None:
            output.begin_attempt()
        self.open = True
        self.call_id = new_id()
        self.span = self.at_work.span_id = span
        self.first_at = None
        self.began = clock()
        self.state.in_step(
            ModelCallStarted,
            self.span,
            self.call_id,
            self.purpose,
            self.index,
            self.attempt,
            self.provider,
            self.name,
            self.endpoint,
            request.settings,
            system or None,
            request.messages[:],  # a plain tuple, without a transcript's notes
            request.tools,
            self.mode,
        )

    def _next_attempt(self, chunk: AttemptStarted) -> None:
        """A wrapper asks again: the last attempt is closed, the next announced."""
        state = self.state
        self._failed(chunk.reason.partition(":")[0], chunk.reason)
        self.attempt = chunk.attempt + self.before
        if (chunk.provider, chunk.model, chunk.tool_mode) != (self.provider, self.name, self.mode):
            before, after = f"{self.provider}:{self.name}", f"{chunk.provider}:{chunk.model}"
            state.of_step(ModelChanged, before, after, chunk.tool_mode, chunk.reason, chunk.discard)
        else:
            state.of_step(Retrying, "model", self.attempt, chunk.reason, chunk.delay_s, chunk.discard)
        self.provider, self.name, self.endpoint = chunk.provider, chunk.model, chunk.endpoint
        self.mode = chunk.tool_mode
        self.answer = Answer(state.call_ids)
        self._begin(new_span_id())

    def _complete(self) -> Message:
        answer, output = self.answer, self.state.output
        finished = cast("Finished", answer.finished)
        message = answer.message(self.provider)
        if output is not None and output.way == "tool":
            message = _output_as_text(message, output.name)
        cost, version = self._price()
        self.state.spend(answer.usage, cost)
        self.message = message
        reason: str = finished.reason
        if reason not in STOPPED and message.tool_calls:
            reason = "tool_calls"
        elif reason == "tool_calls":
            reason = "stop"
        self._ended(message, finished.response_id, finished.model or self.name, cost, version, reason)
        return message

    def _price(self) -> tuple[Decimal | None, str | None]:
        local = self.provider == "local"
        return price_of(self.provider, self.name, self.answer.usage, local=local, price=self.model.price)

    def _failed(self, error_type: str, text: str) -> None:
        """Closes an attempt that gave no answer. What it used is paid for as well, as far as it was told."""
        if not self.open:
            return
        cost: Decimal | None = _FREE
        version = None
        if self.answer.usage != NO_USAGE:
            try:
                cost, version = self._price()
            except Exception:  # noqa: BLE001  # a price of the user's own; why the attempt failed matters more
                cost = None
        self.state.spend(self.answer.usage, cost)
        self._ended(None, None, self.name, cost, version, "error", scrub(text), error_type)

    def _ended(self, message: Message | None, response_id: str | None, model: str, *fields: Any) -> None:
        self.open = False
        cost, version, reason, *error = fields
        first = None if self.first_at is None else int((self.first_at - self.began) * 1e6 + 0.5) / 1e3
        self.state.in_step(
            ModelCallComplete,
            self.span,
            self.call_id,
            message,
            response_id,
            model,
            self.answer.usage,
            cost,
            version,
            reason,
            first,
            ms_since(self.began),
            *error,
        )


def said(error: BaseException) -> str:
    """An error's text, whatever the error."""
    try:
        return scrub(str(error))
    except Exception:  # noqa: BLE001  # an exception of the user's that cannot even be shown
        return ""


def _output_as_text(message: Message, name: str) -> Message:
    """The answer with its call of the output tool as its text: the history is the same, whichever way it came.

    Other text of that answer is left out, for the text is the output; other calls stay. Only the first call counts.
    """
    parts: list[Part] = []
    output: TextPart | None = None
    for part in message.parts:
        if type(part) is not ToolCallPart or part.name != name:
            parts.append(part)
        elif output is None:
            output = TextPart((part.raw or "") if part.arguments is None else _encode(part.arguments).decode())
            parts.append(output)
    if output is None:
        return message
    kept = [p for p in parts if p is output or type(p) is not TextPart]
    return msgspec.structs.replace(message, parts=tuple(kept))
