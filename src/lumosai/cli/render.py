"""How a run looks: events in, text out. A fold without a terminal, so that it can be tested as one.

The answer's text goes to one channel, everything about it to another: tool calls with arguments and results, what was
thought, attempts, tokens, time, cost.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from lumosai.cli.terminal import Style, one_line, safe
from lumosai.events import (
    ApprovalRequested,
    ApprovalResolved,
    BudgetWarning,
    Error,
    Event,
    GenerationComplete,
    ModelCallComplete,
    ModelChanged,
    OutputDelta,
    ReasoningDelta,
    Retrying,
    RunCancelled,
    RunStarted,
    RunTotals,
    TextDelta,
    ToolCallComplete,
    ToolCallStart,
    ToolProgress,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from decimal import Decimal

    from lumosai.messages import ToolCallPart

Channel = Literal["answer", "note"]

ENDS = {
    "step_limit": "stopped at the limit of steps (max_steps)",
    "tool_limit": "stopped at the limit of tool calls (max_tool_calls)",
    "token_limit": "stopped at the limit of tokens",
    "cost_limit": "stopped at the limit of cost (max_cost_usd)",
    "deadline": "stopped: the time allowed is over (deadline_s)",
    "length": "cut: the answer is longer than the model may give (max_output_tokens)",
    "content_filter": "cut by the provider's content filter",
    "refusal": "the model refused",
    "paused": "paused: a call waits for an approval",
    "blocked": "blocked by a guard",
}
"""What each end but "stop" means to a user."""

_ARGUMENTS_SHOWN = 200
_RESULT_SHOWN = 300
_SHORTEST_S = 0.05
"""A rate measured over less says nothing."""


class Piece(NamedTuple):
    """Text for one channel."""

    channel: Channel
    text: str


class Renderer:
    """Turns the events of one run into pieces of text, in order.

    Args:
        style: colours, or none.
        show_reasoning: the thoughts themselves, instead of one line that says how long they took.
        whole: give the answer in one piece at the end: the last step's text alone.
        clean: take control characters out of the answer, for a terminal.
        shared: both channels show in one place, so that a note must begin on a line of its own.
    """

    def __init__(
        self,
        style: Style,
        *,
        show_reasoning: bool = False,
        whole: bool = False,
        clean: bool = True,
        shared: bool = True,
    ) -> None:
        self.style = style
        self.show_reasoning = show_reasoning
        self.whole = whole
        self.clean = clean
        self.shared = shared
        self.run_id: str | None = None
        self._held = ""
        self._answering = False
        self._at_start = {"answer": True, "note": True}
        self._thought = _Thought()
        self._calls: dict[str, ToolCallPart] = {}
        self._generating_ms = 0.0

    @property
    def at_line_start(self) -> bool:
        """Whether no line of either channel has been begun and not ended."""
        return all(self._at_start.values())

    def feed(self, event: Event) -> list[Piece]:
        """What the event adds to the screen."""
        if self.run_id is None and isinstance(event, RunStarted):
            self.run_id = event.run_id
        pieces: list[Piece] = []
        if not isinstance(event, ReasoningDelta | ModelCallComplete) or event.run_id != self.run_id:
            pieces += self._end_thought(event)
        handler = _HANDLERS.get(type(event))
        return pieces + handler(self, event) if handler is not None else pieces

    # The answer

    def on_text(self, event: TextDelta | OutputDelta) -> list[Piece]:
        if event.run_id != self.run_id:
            return []
        text = safe(event.delta) if self.clean else event.delta
        if self.whole:
            self._held += text
            return []
        return self._answer(text)

    def _answer(self, text: str) -> list[Piece]:
        if not text:
            return []
        self._answering = True
        self._at_start["answer"] = text.endswith("\n")
        return [Piece("answer", text)]

    def _end_answer(self) -> list[Piece]:
        """Ends the answer's last line, where that was begun."""
        if not self._answering:
            return []
        self._answering = False
        if self._at_start["answer"]:
            return []
        self._at_start["answer"] = True
        return [Piece("answer", "\n")]

    def _void(self) -> list[Piece]:
        """What came of this answer so far does not count."""
        self._held = ""
        return self._end_answer()

    # Notes

    def _note(self, text: str) -> list[Piece]:
        return [*(self._end_answer() if self.shared else []), Piece("note", f"{text}\n")]

    def _dim(self, text: str, event: Event) -> list[Piece]:
        return self._note(self.style.dim(f"{self._indent(event)}{text}"))

    def _indent(self, event: Event) -> str:
        """A sub-agent's doings stand under its name."""
        return "" if event.run_id == self.run_id else f"  [{one_line(event.agent, 40)}] "

    def on_reasoning(self, event: ReasoningDelta) -> list[Piece]:
        if event.run_id != self.run_id:
            return []
        first = self._thought.add(event)
        if not self.show_reasoning:
            return []
        before = self._end_answer() if self.shared and first else []
        self._at_start["note"] = event.delta.endswith("\n")
        return [*before, Piece("note", self.style.dim(safe(event.delta)))]

    def _end_thought(self, event: Event) -> list[Piece]:
        thought, self._thought = self._thought, _Thought()
        if not thought.characters:
            return []
        if self.show_reasoning:
            ended, self._at_start["note"] = self._at_start["note"], True
            return [] if ended else [Piece("note", "\n")]
        took = max(0.0, event.at - thought.began)
        return self._dim(
            f"thought for {took:.1f} s ({thought.characters} characters; --show-reasoning shows it)", event
        )

    def on_call_start(self, event: ToolCallStart) -> list[Piece]:
        self._calls[event.call.id] = event.call
        return self._call_line(event.call, event)

    def _call_line(self, call: ToolCallPart, event: Event) -> list[Piece]:
        name = self.style.cyan(one_line(call.name, 80))
        shown = arguments_text(call.arguments, call.raw)
        return self._note(f"{self._indent(event)}{self.style.dim('→')} {name}{self.style.dim(f'({shown})')}")

    def on_call_complete(self, event: ToolCallComplete) -> list[Piece]:
        pieces: list[Piece] = []
        started = self._calls.pop(event.call_id, None)
        if started is None:  # it was refused before it ran
            pieces = self._note(f"{self._indent(event)}{self.style.dim('→')} {one_line(event.name, 80)}")
        text = one_line(event.result.text, _RESULT_SHOWN) or "(nothing)"
        name = one_line(event.name, 80)
        took = f" ({duration(event.duration_ms)})" if event.duration_ms >= 1 else ""
        if event.is_error:
            line = self.style.red(f"← {name}: {one_line(event.error_type or 'error', 80)}: {text}")
        else:
            line = f"{self.style.dim(f'← {name}:')} {text}{self.style.dim(took)}"
        return pieces + self._note(f"{self._indent(event)}{line}")

    def on_progress(self, event: ToolProgress) -> list[Piece]:
        return self._dim(f"· {one_line(event.text, _RESULT_SHOWN)}", event)

    def on_approval(self, event: ApprovalRequested) -> list[Piece]:
        shown = arguments_text(event.call.arguments, event.call.raw, most=2000)
        return self._note(self.style.yellow(f"? {one_line(event.call.name, 80)}({shown}) needs your approval"))

    def on_approval_resolved(self, event: ApprovalResolved) -> list[Piece]:
        why = f": {one_line(event.reason)}" if event.reason else ""
        return self._dim(f"{event.decision}{why}", event)

    def on_retrying(self, event: Retrying) -> list[Piece]:
        if event.run_id != self.run_id:
            return []
        void = self._void() if event.discard else []
        wait = f", in {event.delay_s:.1f} s" if event.delay_s else ""
        anew = "; the answer begins anew" if event.discard else ""
        return void + self._dim(f"↻ asking again ({one_line(event.reason)}){wait}{anew}", event)

    def on_model_changed(self, event: ModelChanged) -> list[Piece]:
        if event.run_id != self.run_id:
            return []
        void = self._void() if event.discard else []
        models = one_line(event.to) if event.from_ == event.to else f"{one_line(event.from_)} → {one_line(event.to)}"
        return void + self._dim(f"↻ {models}, tools: {event.tool_mode} ({one_line(event.reason)})", event)

    def on_budget(self, event: BudgetWarning) -> list[Piece]:
        return self._dim(f"! {event.limit}: {event.share:.0%} used", event)

    # Ends

    def on_model_complete(self, event: ModelCallComplete) -> list[Piece]:
        self._generating_ms += event.duration_ms - (event.time_to_first_chunk_ms or 0.0)
        if event.run_id != self.run_id or event.message is None:
            return []
        if not self.whole:
            return self._end_answer()
        if event.message.tool_calls:
            self._held = ""  # words before a call are not the answer
        return []

    def on_complete(self, event: GenerationComplete) -> list[Piece]:
        if event.run_id != self.run_id:
            return []
        why = ENDS.get(event.result.finish_reason, "")
        ends = self._note(self.style.yellow(why)) if why else []
        return [*self._whole(), *ends, *self._totals(event.result)]

    def on_cancelled(self, event: RunCancelled) -> list[Piece]:
        if event.run_id != self.run_id:
            return []
        return [*self._whole(), *self._note(self.style.yellow("cancelled")), *self._totals(event.result)]

    def on_error(self, event: Error) -> list[Piece]:
        if event.run_id != self.run_id:
            return []
        return [*self._whole(), *self._note(self.style.red(f"lumosai: {one_line(event.message, 2000)}"))]

    def _whole(self) -> list[Piece]:
        """The rest of the answer, with its last line ended."""
        held, self._held = self._held, ""
        return [*self._answer(held), *self._end_answer()]

    def _totals(self, totals: RunTotals) -> list[Piece]:
        return self._note(self.style.dim(totals_text(totals, self._generating_ms)))


class _Thought:
    """What was thought since the last other event."""

    def __init__(self) -> None:
        self.characters = 0
        self.began = 0.0

    def add(self, event: ReasoningDelta) -> bool:
        """Counts it; whether it is the first."""
        first = self.characters == 0
        if first:
            self.began = event.at
        self.characters += len(event.delta)
        return first


def arguments_text(arguments: Mapping[str, Any] | None, raw: str | None, *, most: int = _ARGUMENTS_SHOWN) -> str:
    """A call's arguments as a person would write them."""
    if arguments is None:
        return one_line(raw or "", most)
    pairs = (f"{k}={json.dumps(v, ensure_ascii=False, default=str)}" for k, v in arguments.items())
    return one_line(", ".join(pairs), most)


def totals_text(totals: RunTotals, generating_ms: float) -> str:
    """One line: tokens, time, tokens a second, cost, model; what is not known is left out."""
    usage = totals.usage
    parts: list[str] = []
    if usage.input_tokens or usage.output_tokens:
        cached = f" ({usage.cache_read_tokens} cached)" if usage.cache_read_tokens else ""
        thought = f" ({usage.reasoning_tokens} reasoning)" if usage.reasoning_tokens else ""
        parts.append(f"{usage.input_tokens} in{cached} + {usage.output_tokens} out{thought} tokens")
    parts.append(duration(totals.duration_ms))
    if usage.output_tokens > 1 and generating_ms >= _SHORTEST_S * 1000:
        parts.append(f"{usage.output_tokens / generating_ms * 1000:.1f} tokens/s")
    if totals.cost_usd is not None:
        parts.append(cost_text(totals.cost_usd))
    if totals.model:
        parts.append(one_line(totals.model, 80))
    return " · ".join(parts)


def cost_text(cost: Decimal) -> str:
    """US dollars, with as many digits as say something."""
    if not cost:
        return "free"
    return f"${cost:.4f}" if cost >= 1 / 1000 else f"${cost:.2g}" if cost >= 1 / 10_000_000 else "<$0.0000001"


def duration(ms: float) -> str:
    """Milliseconds as a person would say them."""
    if ms < 1000:  # noqa: PLR2004  # a second
        return f"{ms:.0f} ms"
    seconds = ms / 1000
    return f"{seconds:.1f} s" if seconds < 60 else f"{int(seconds // 60)} min {seconds % 60:.0f} s"  # noqa: PLR2004


_HANDLERS: dict[type, Callable[[Renderer, Any], list[Piece]]] = {
    TextDelta: Renderer.on_text,
    OutputDelta: Renderer.on_text,
    ReasoningDelta: Renderer.on_reasoning,
    ToolCallStart: Renderer.on_call_start,
    ToolCallComplete: Renderer.on_call_complete,
    ToolProgress: Renderer.on_progress,
    ApprovalRequested: Renderer.on_approval,
    ApprovalResolved: Renderer.on_approval_resolved,
    Retrying: Renderer.on_retrying,
    ModelChanged: Renderer.on_model_changed,
    BudgetWarning: Renderer.on_budget,
    ModelCallComplete: Renderer.on_model_complete,
    GenerationComplete: Renderer.on_complete,
    RunCancelled: Renderer.on_cancelled,
    Error: Renderer.on_error,
}
