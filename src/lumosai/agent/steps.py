"""The steps of a run: ask the model, run the tools it calls, ask again, until there is an answer or a reason to stop.

Every request and tool call goes through `step(name, fn, key)`, by default a plain call.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from msgspec.structs import replace

from lumosai.agent.ask import STOPPED, Ask
from lumosai.agent.calls import Calls
from lumosai.agent.fit import Fit
from lumosai.agent.prompt import FREE_CHOICES
from lumosai.agent.state import clock, ms_since
from lumosai.errors import OutputInvalidError, SchemaUnsupportedError, ToolFailuresError
from lumosai.events import (
    BudgetWarning,
    InputReceived,
    ModelChanged,
    OutputComplete,
    Retrying,
    RunPaused,
    StepComplete,
    StepStarted,
)
from lumosai.ids import new_id, new_span_id
from lumosai.messages import Message, scrub
from lumosai.records import NO_USAGE

if TYPE_CHECKING:
    from lumosai.agent.definition import Definition
    from lumosai.agent.prompt import Prompt
    from lumosai.agent.remember import Remember
    from lumosai.agent.state import RunState
    from lumosai.messages import ToolCallPart
    from lumosai.records import FinishReason, ToolDefinition, ToolMode

REASONS: dict[str, FinishReason] = {
    "stop": "stop",
    "tool_calls": "stop",
    "pause": "stop",
    "length": "length",
    "content_filter": "content_filter",
    "refusal": "refusal",
}
"""The run's reason for what a provider calls its answer's end."""
ANSWERED: Final = frozenset(REASONS.values())
"""The reasons of a run that was not ended by a limit, a failure or somebody who stopped it."""


class Steps:
    """Goes from a run's input to its answer.

    Args:
        agent: whose run it is.
        state: what the run's parts share.
        prompt: what it asks.
        above: the calls of the run that asked this one.
        remember: its turn on a thread, None where it stands alone.

    Attributes:
        calls: its tool calls.
        inbox: messages to take in before the next step.
        epoch: how often the run was taken up, from 1.
    """

    def __init__(
        self, agent: Definition[Any], state: RunState, prompt: Prompt, above: Calls | None, remember: Remember | None
    ) -> None:
        self.calls = Calls(state, above)
        self.inbox: list[Message] = []
        self.epoch = 1
        self._agent = agent
        self._known = agent.known
        self._model = agent.known.model
        self._state = state
        self._prompt = prompt
        self._remember = remember
        self._fit = Fit(state, prompt, remember) if remember is not None else None
        self._mode: ToolMode | None = None
        self._next: tuple[int, FinishReason | None] = 0, "stop"

    async def run(self) -> FinishReason:
        """Steps until there is an answer; why it ended."""
        self._check_stopped()
        index, done = await self._begin()
        closing: FinishReason | None = "tool_limit" if self.calls.refused else None
        if done is not None and (done == "paused" or not self.inbox):
            self._next = index, done if done == "paused" else closing
            return done
        return await self._go(index, closing)

    @property
    def goes_on(self) -> bool:
        """Whether what is sent in behind the answer would be answered."""
        return self._next[1] is None

    async def again(self) -> FinishReason | None:
        """Goes on where something was sent in behind the answer; None where nothing was, or nothing more is answered."""
        return await self._go(self._next[0], None) if self.inbox and self.goes_on else None

    async def _go(self, index: int, closing: FinishReason | None) -> FinishReason:
        max_steps, budget = self._state.limits.max_steps, self._state.budget
        while True:
            if self.inbox:
                self.take_inbox()
            if (over := self._over()) is not None:
                return over
            if closing is None and max_steps is not None and index >= max_steps:
                closing = "step_limit"
            done = await self._one_step(index, closing)
            self._check_stopped()
            index += 1
            if budget.warns:
                self._warn()
            if done is None:
                if self.calls.refused and closing is None:
                    closing = "tool_limit"
            elif done == "paused" or closing is not None or not self.inbox:
                self._next = index, done if done == "paused" else closing
                return done

    def take_inbox(self) -> None:
        """What was sent into the run becomes part of its conversation."""
        if self.inbox:
            waiting = [*self.inbox]
            self.inbox.clear()
            for message in waiting:
                self._receive(message)

    def anew(self) -> None:
        """The run begins anew, since its first request could not leave: what was sent into it waits again."""
        self.inbox[:0] = [e.message for e in self._state.log.events if type(e) is InputReceived]
        self._prompt.anew()
        if self._remember is not None:
            self._fit = Fit(self._state, self._prompt, self._remember)

    def leave_thread(self) -> None:
        """The run writes nothing more to its thread."""
        self._remember = None

    def _check_stopped(self) -> None:
        """Ends a run that is to stop, where the cancel of its task has not come through yet."""
        state = self._state
        if state.stopping or (state.parent is not None and state.stop_reason):
            raise asyncio.CancelledError

    def _over(self) -> FinishReason | None:
        """The limit that leaves no room for another step, None while there is."""
        until = self._state.until
        return "deadline" if until is not None and clock() >= until else self._state.budget.exhausted()

    async def _begin(self) -> tuple[int, FinishReason | None]:
        """What comes before the first step: its number, and why the run ends, if it does already."""
        await self._open()
        return 0, None

    async def _open(self) -> None:
        """Makes the prompt's beginning."""
        await self._prompt.open()
        remember = self._remember
        self._prompt.begin_with(await remember.recall(self._prompt.asking()) if remember is not None else None)

    async def _one_step(
        self, index: int, closing: FinishReason | None, *, attempt: int = 1, begun: bool = False
    ) -> FinishReason | None:
        """One answer and its calls; why the run ends with it, None where it goes on. `begun`: the step is told of already."""
        state, began = self._state, clock()
        definitions = self._prompt.definitions if closing is None else ()
        if self._fit is not None:
            self._fit.next()
            definitions = self._prompt.definitions if closing is None else ()
        request = self._prompt.request(definitions)
        mode = self._model.mode(request)
        if not begun:
            state.step_span, state.step_usage = new_span_id(), NO_USAGE
            state.of_step(StepStarted, index, mode)
        if definitions and self._mode not in (None, mode):
            name = f"{self._model.provider}:{self._model.name}"
            state.of_step(ModelChanged, name, name, mode, self._model.why(request), False)
        ask = Ask(state, self._model, request, mode, index, attempt=attempt)
        try:
            message: Message = await state.step("model", ask.run, f"{state.run_id}:{index}")
        except SchemaUnsupportedError as error:
            ask = self._otherwise(ask, error, definitions)
            message = await state.step("model", ask.run, f"{state.run_id}:{index}:{ask.attempt}")
        self._prompt.messages.append(message)
        if definitions:
            self._mode = ask.mode
        if self._remember is not None and ask.name == self._model.name:  # else it is another's report
            self._remember.learn(ask.answer.usage)
        return await self._answered(index, message, closing, cut=ask.answer.cut, reason=_reason(ask), began=began)

    async def _answered(
        self,
        index: int,
        message: Message,
        closing: FinishReason | None,
        *,
        cut: bool,
        reason: FinishReason,
        began: float,
    ) -> FinishReason | None:
        """What follows from an answer: its calls are run, its output is read, and the step ends."""
        state, prompt = self._state, self._prompt
        done: FinishReason | None
        taken_back = reason in STOPPED
        calls = message.tool_calls
        if calls:
            done = await self._run_tools(index, message, calls, closing, cut=cut, forbidden=taken_back) or closing
            done = reason if taken_back else done
        elif state.output is not None and reason == "stop":
            done = self._read_output(message, closing)
        else:
            done = closing or reason
        if prompt.choice not in FREE_CHOICES:
            # The call that was forced has been made; forcing it again would never let the model answer.
            prompt.choice = None
        if done == "paused":
            return done
        state.of_step(StepComplete, index, state.step_usage, ms_since(began))
        if self._remember is not None:
            await self._remember.keep_step(prompt.messages[prompt.recalled :])
        return done

    def _otherwise(self, ask: Ask, error: SchemaUnsupportedError, definitions: tuple[ToolDefinition, ...]) -> Ask:
        """Asks again in another way where a server refuses the schema; raises the refusal where there is none."""
        state, output = self._state, self._state.output
        if output is None or output.way != "native":
            raise error
        output.way = self._prompt.way(ask.request, schemas=False)
        again = ask.attempt + 1
        state.of_step(Retrying, "model", again, f"schema_rejected: {scrub(str(error))}", 0.0, True)
        request = self._prompt.request(definitions)
        return Ask(state, self._model, request, self._model.mode(request), ask.index, attempt=again)

    async def _run_tools(
        self,
        index: int,
        message: Message,
        asked: tuple[ToolCallPart, ...],
        closing: FinishReason | None,
        *,
        cut: bool,
        forbidden: bool,
    ) -> FinishReason | None:
        """Runs the answer's calls, but those that have their results, and puts the results behind it."""
        forbidden = forbidden or closing is not None or self._prompt.choice == "none" or not self._prompt.definitions
        past = self._state.past
        there = past.results if past is not None and past.answer is message else {}
        told = {o.call.id: o for o in past.outcomes() if o.call.id in there} if past is not None and there else {}
        calls = [c for c in asked if c.id not in there] if there else asked
        if self._remember is not None:
            self._remember.answering(message)
        outcomes = await self.calls.run(calls, {} if forbidden else self._prompt.tools, index, cut=cut) if calls else []
        given = there | {o.call.id: o.result for o in outcomes if o.result is not None}
        results = tuple([given[c.id] for c in asked if c.id in given])
        if results:
            self._prompt.messages.append(Message("tool", results, f"{message.id}.r"))
        for outcome in (told | {o.call.id: o for o in outcomes}).values() if told else outcomes:
            call = outcome.call
            if outcome.result is not None and self.calls.repeated_failure(call, outcome):
                times = self._state.limits.max_identical_failures
                msg = f"the same call of tool {call.name!r} failed {times} times; the last time: {outcome.result.text}"
                raise ToolFailuresError(msg)
        if len(results) < len(asked):
            self.calls.say_paused()
            if not self.calls.paused:
                self._pause_with_sub_run()
            return "paused"
        return None

    def _pause_with_sub_run(self) -> None:
        """Nothing goes on but a sub-run that paused by itself: this one pauses for the same reason."""
        state = self._state
        events = [e for e in state.own_events() if type(e) is RunPaused and e.run_id != state.run_id]
        if events:
            state.of_run(RunPaused, events[-1].reason, events[-1].pending)

    def _read_output(self, message: Message, closing: FinishReason | None) -> FinishReason | None:
        """Checks a structured answer; None where it is asked for again."""
        from lumosai._schema import InvalidOutput

        state, output = self._state, self._state.output
        assert output is not None  # noqa: S101  # the caller looked
        try:
            value = output.read(message.text)
        except InvalidOutput as error:
            output.misfits += 1
            if closing is not None or output.misfits > state.limits.max_output_retries:
                msg = f"the answer does not fit the output type after {output.misfits} attempts: {error}"
                raise OutputInvalidError(msg) from error
            state.of_step(Retrying, "output", output.misfits + 1, scrub(str(error)), 0.0, False)
            self._receive(Message.user(output.again(str(error)), metadata={"source": "output_retry"}))
            return None
        state.of_step(OutputComplete, value)
        return closing or "stop"

    def _receive(self, message: Message) -> None:
        message = message if message.id is not None else replace(message, id=new_id())
        self._prompt.messages.append(message)
        self._state.of_run(InputReceived, message)

    def _warn(self) -> None:
        for limit, used, share in self._state.budget.warnings():
            self._state.of_run(BudgetWarning, limit, float(used), round(share, 4))


def _reason(ask: Ask) -> FinishReason:
    """The run's reason for what the provider calls its answer's end."""
    finished = ask.answer.finished
    return REASONS[finished.reason] if finished is not None else "stop"
