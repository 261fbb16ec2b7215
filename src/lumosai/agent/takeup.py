"""The steps of a run that another process left: it goes on from what is stored."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from lumosai.agent.ask import STOPPED
from lumosai.agent.prompt import FREE_CHOICES
from lumosai.agent.state import clock
from lumosai.agent.steps import REASONS, Steps
from lumosai.events import Retrying, RunPaused, RunResumed, StepComplete
from lumosai.messages import Message

if TYPE_CHECKING:
    from lumosai.agent.past import Past
    from lumosai.events import ModelCallComplete, ModelCallStarted
    from lumosai.records import FinishReason


class TakenUp(Steps):
    """Goes on from a run's past, which its state holds."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._past = cast("Past", self._state.past)

    async def _begin(self) -> tuple[int, FinishReason | None]:
        """The next step's number, and why the run ends, if it does already."""
        next_step, done = await self._go_on(self._past)
        self._check_stopped()
        return next_step, done

    async def _go_on(self, past: Past) -> tuple[int, FinishReason | None]:
        state = self._state
        state.of_run(RunResumed, self.epoch)
        if past.has_context and state.context is None and state.parent is None:
            state.of_run(RunPaused, "context_missing", ())
            return 0, "paused"
        if past.step is not None:
            state.step_span, state.step_usage = past.step.span_id, past.step_usage
        if past.asked is None:
            await self._open()
            self._prompt.messages.extend(past.later)
            return (1, await self._one_step(0, None, begun=True)) if past.step is not None else (0, None)
        if self._remember is not None:
            self._prompt.add_tools(await self._remember.tools(past.asked.tools))
        self._restore(past)
        index = past.asked.step
        if past.between_steps:
            self._say_again(past)
            return index + 2, await self._one_step(index + 1, self._closing(index + 1), begun=True)
        if past.answer is None:
            why = "resumed: the process that asked has ended"
            state.of_step(Retrying, "model", past.attempts + 1, why, 0.0, True)
            done = await self._one_step(index, self._closing(index), attempt=past.attempts + 1, begun=True)
            return index + 1, done
        return index + 1, await self._go_on_after(past, past.answer, index)

    async def _go_on_after(self, past: Past, answer: Message, index: int) -> FinishReason | None:
        """What is left of a step whose answer is there; why the run ends with it, None where it goes on."""
        state, closing = self._state, self._closing(index)
        finished = cast("ModelCallComplete", past.answered).finish_reason
        reason = REASONS.get(finished, "stop")
        if past.step_done is None and past.later:  # an output that did not fit was asked for again
            self._say_again(past)
            state.of_step(StepComplete, index, state.step_usage, 0.0)
            return None
        if past.step_done is None:
            once = [t.name for t in self._agent.tools if t.effect == "once"]
            if (unknown := past.unknown(once)) and (left := await self.calls.settle(unknown, past)):
                state.of_run(RunPaused, "unknown_effect", left)
                return "paused"
            self._prompt.messages.append(answer)
            return await self._answered(index, answer, closing, cut=finished == "length", reason=reason, began=clock())
        self._say_again(past)
        if (answer.tool_calls and reason not in STOPPED) or past.later:
            return closing
        if state.output is not None and reason == "stop":
            state.output.read(answer.text)
        return closing or reason

    def _say_again(self, past: Past) -> None:
        """The last answer, its results and what came in behind them, in the conversation."""
        answer = cast("Message", past.answer)
        self._prompt.messages.append(answer)
        results = tuple([past.results[c.id] for c in answer.tool_calls if c.id in past.results])
        if results:
            self._prompt.messages.append(Message("tool", results, f"{answer.id}.r"))
        self._prompt.messages.extend(past.later)

    def _closing(self, index: int) -> FinishReason | None:
        """Why a step is the last one, where it is."""
        if self.calls.refused:
            return "tool_limit"
        most = self._state.limits.max_steps
        return "step_limit" if most is not None and index >= most else None

    def _restore(self, past: Past) -> None:
        """The conversation, and what the run knew of itself."""
        asked = cast("ModelCallStarted", past.asked)
        state = self._state
        state.system = asked.system or ""
        self._prompt.choose_way()
        prompted = state.output is not None and state.output.way == "prompted"
        self._prompt.messages.extend(past.prompt(instructed=bool(state.system) or prompted))
        self._prompt.recalled = past.recalled + len(self._prompt.given)
        if self._fit is not None:
            self._fit.go_on(past)
        self._mode = asked.tool_mode
        if past.step_done is not None or asked.step > 0:
            self._prompt.choice = None if self._prompt.choice not in FREE_CHOICES else self._prompt.choice
        open_calls = {c.id for c in past.answer.tool_calls} if past.answer is not None and past.unfinished else ()
        for outcome in past.outcomes():
            if (
                outcome.result is not None and outcome.call.id not in open_calls
            ):  # those count when the others are there
                self.calls.repeated_failure(outcome.call, outcome)
            self.calls.refused = self.calls.refused or outcome.error_type == "limit"
