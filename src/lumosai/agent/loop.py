"""The loop: ask the model, run the tools it calls, ask again, until there is an answer or a named reason to stop.

There is this one loop; streaming reads its events while it goes, `generate` after it ended. It writes one event list
(`EventLog`), and every request and tool call goes through `step(name, fn, key)`, by default a plain call.
"""

from __future__ import annotations

import asyncio
import inspect
from typing import TYPE_CHECKING, Any

import msgspec

from lumosai.agent.ask import Ask
from lumosai.agent.calls import Calls
from lumosai.agent.context import RunContext
from lumosai.agent.inputs import scrub
from lumosai.agent.output import way_for
from lumosai.agent.state import clock, ms_since, now
from lumosai.errors import (
    ConfigurationError,
    LumosaiError,
    OutputInvalidError,
    RunError,
    SchemaUnsupportedError,
    ToolFailuresError,
)
from lumosai.events import (
    VERSION,
    BudgetWarning,
    Error,
    GenerationComplete,
    InputReceived,
    ModelChanged,
    OutputComplete,
    Retrying,
    RunCancelled,
    RunStarted,
    RunTotals,
    StepComplete,
    StepStarted,
)
from lumosai.ids import new_id, new_span_id
from lumosai.messages import Message
from lumosai.models.base import ModelRequest
from lumosai.models.prices import cost as price_of
from lumosai.records import Usage

if TYPE_CHECKING:
    from lumosai.agent.definition import Definition
    from lumosai.agent.state import RunState
    from lumosai.records import FinishReason, ModelSettings, ToolChoice, ToolDefinition, ToolMode

_FREE_CHOICES = (None, "auto", "none")


class Loop:
    """Drives one run from its input to its last event.

    Attributes:
        state: what the run's parts share.
        calls: its tool calls.
        inbox: messages to take in before the next step.
        stopping: the canceller's reason, once the run is being cancelled.
        error: the exception that ended it, else None.
    """

    def __init__(
        self,
        agent: Definition[Any],
        state: RunState,
        messages: tuple[Message, ...],
        *,
        settings: ModelSettings,
        tool_choice: ToolChoice | None = None,
        incremental: bool = True,
    ) -> None:
        known = agent.known
        self.state = state
        self.calls = Calls(state)
        self.inbox: list[Message] = []
        self.stopping = ""
        self.error: BaseException | None = None
        self._agent = agent
        self._known = known
        self._model = known.model
        self._definitions = known.definitions if agent.tool_calling != "off" else ()
        self._settings = settings
        self._choice = tool_choice if tool_choice is not None else settings.tool_choice
        self._incremental = incremental
        self._input = messages
        self._messages: list[Message] = []
        self._new: list[str] = []
        self._mode: ToolMode | None = None
        self._steps = 0
        self._began = clock()

    async def drive(self) -> None:
        """Runs to the last event. Raises only `CancelledError`, where the task was cancelled from outside."""
        deadline_s = self.state.limits.deadline_s
        deadline = asyncio.timeout(deadline_s)
        try:
            self._start(now() + deadline_s if deadline_s is not None else None)
            self._check_stopped()
            async with deadline:
                reason = await self._run()
        except asyncio.CancelledError:
            why = self.stopping or "cancelled"
            self._end(RunCancelled, why, self._totals("abandoned" if why == "abandoned" else "cancelled"))
            if not self.stopping:
                raise
        except Exception as error:  # noqa: BLE001  # any failure, the user's functions' too, ends in an `Error` event
            if isinstance(error, TimeoutError) and deadline.expired():
                self._end(GenerationComplete, self._totals("deadline"))
            else:
                self._fail(error)
        else:
            if reason != "paused":
                self._end(GenerationComplete, self._totals(reason))

    def _start(self, deadline: float | None) -> None:
        state, model = self.state, self._model
        state.of_run(
            RunStarted,
            VERSION,
            self._agent.version,
            self._known.hash,
            self._input,
            self._settings,
            state.limits,
            self._choice,
            state.output.schema.schema if state.output is not None else None,
            f"{model.provider}:{model.name}",
            state.thread_id,
            None,
            state.resource_id,
            state.scope,
            False,
            None,
            state.trace_id,
            state.parent_trace,
            deadline,
        )

    def _check_stopped(self) -> None:
        """A run that was cancelled before it began only has its first and its last event."""
        if self.stopping:
            raise asyncio.CancelledError

    async def _run(self) -> FinishReason:
        """Steps until there is an answer; why it ended."""
        await self._open()
        index = 0
        closing: FinishReason | None = None
        max_steps = self.state.limits.max_steps
        while True:
            self._take_inbox()
            if (over := self.state.budget.exhausted()) is not None:
                return over
            if closing is None and max_steps is not None and index >= max_steps:
                closing = "step_limit"
            done = await self._one_step(index, closing)
            index += 1
            self._warn()
            if done is None:
                if self.calls.refused and closing is None:
                    closing = "tool_limit"
            elif done == "paused" or closing is not None or not self.inbox:
                return done

    async def _open(self) -> None:
        """Makes the prompt's beginning and checks that the run can be held to its limits."""
        state, model = self.state, self._model
        if state.limits.max_cost_usd is not None:
            local = model.provider == "local"
            if price_of(model.provider, model.name, Usage(), local=local, price=model.price)[0] is None:
                msg = (
                    f"max_cost_usd cannot be kept: the price of {model.provider}:{model.name} is not known. "
                    "Install lumosai[prices], give the model a price=…, or drop the limit"
                )
                raise ConfigurationError(msg)
        state.system = await self._instructions()
        if state.output is not None:
            request = self._request(self._definitions, self._input)
            profile = model.profile_for(request)
            state.output.way = way_for(profile, model.mode(request), has_tools=bool(self._definitions))
        self._messages.extend(self._input)

    async def _instructions(self) -> str:
        given = self._agent.instructions
        if isinstance(given, str):
            return given
        state = self.state
        made: object = given(
            RunContext(
                run_id=state.run_id,
                agent=state.name,
                context=state.context,
                input=self._input,
                thread_id=state.thread_id,
                resource_id=state.resource_id,
                scope=state.scope,
            )
        )
        if inspect.isawaitable(made):
            made = await made
        if not isinstance(made, str):
            msg = f"the instructions function of agent {state.name!r} returned {type(made).__name__}, not str"
            raise ConfigurationError(msg)
        return scrub(made)

    def _prompt(self) -> tuple[Message, ...]:
        system, output = self.state.system, self.state.output
        if output is not None and output.way == "prompted":
            system = f"{system}\n\n{output.instructions}" if system else output.instructions
        if not system:
            return tuple(self._messages)
        return (self._known.system_message(system), *self._messages)

    def _request(self, definitions: tuple[ToolDefinition, ...], prompt: tuple[Message, ...]) -> ModelRequest:
        output, settings, choice = self.state.output, self._settings, self._choice
        left = self.state.budget.output_left()
        if left is not None and (settings.max_output_tokens is None or settings.max_output_tokens > left):
            settings = msgspec.structs.replace(settings, max_output_tokens=left)
        if output is not None and output.way == "tool":
            definitions = (*definitions, output.tool)
            choice = "required" if choice in _FREE_CHOICES else choice
        native = output is not None and output.way == "native"
        mode = self._agent.tool_calling
        if mode == "off" and definitions:
            mode = "native"  # no tools of the user's: the one there is carries the output
        return ModelRequest(
            messages=prompt,
            tools=definitions,
            tool_choice=choice if definitions else None,
            settings=settings,
            output_schema=output.wire_schema if output is not None and native else None,
            output_name=output.schema.name if output is not None else "output",
            tool_mode=mode,
            incremental=self._incremental,
            services=self._known.services,
        )

    async def _one_step(self, index: int, closing: FinishReason | None) -> FinishReason | None:
        """One answer and its calls; why the run ends with it, None where it goes on."""
        state, began = self.state, clock()
        definitions = self._definitions if closing is None else ()
        request = self._request(definitions, self._prompt())
        mode = self._model.mode(request)
        state.step_span = new_span_id()
        state.of_step(StepStarted, index, mode)
        if definitions and self._mode not in (None, mode):
            name = f"{self._model.provider}:{self._model.name}"
            state.of_step(ModelChanged, name, name, mode, self._model.why(request), False)
        ask, message = await self._asked(request, index)
        if definitions:
            self._mode = ask.mode
        self._steps = index + 1
        done: FinishReason | None
        if message.tool_calls:
            done = await self._run_tools(ask, message, closing) or closing
        elif state.output is not None and _reason(ask) == "stop":
            done = self._read_output(message, closing)
        else:
            done = closing or _reason(ask)
        if self._choice not in _FREE_CHOICES:
            # The call that was forced has been made; forcing it again would never let the model answer.
            self._choice = None
        state.of_step(StepComplete, index, ask.answer.usage, ms_since(began))
        return done

    async def _asked(self, request: ModelRequest, index: int) -> tuple[Ask, Message]:
        """The answer to `request`, through the step seam; where a server refuses the schema, in another way."""
        state, output = self.state, self.state.output
        while True:
            ask = Ask(state, self._model, request, index)
            try:
                message: Message = await state.step("model", ask.run, f"{state.run_id}:{index}")
            except SchemaUnsupportedError as error:
                if output is None or output.way != "native":
                    raise
                output.way = "tool" if self._model.profile.native_tools else "prompted"
                state.of_step(Retrying, "model", 2, f"schema_rejected: {error}", 0.0, True)
                request = self._request(self._definitions if request.tools else (), self._prompt())
            else:
                self._keep(message)
                return ask, message

    async def _run_tools(self, ask: Ask, message: Message, closing: FinishReason | None) -> FinishReason | None:
        """Runs the answer's calls and puts their results behind it."""
        declared = self._known.tools if closing is None and self._definitions else {}
        calls = message.tool_calls
        outcomes = await self.calls.run(calls, declared, ask.index, cut=ask.answer.cut)
        results = tuple([o.result for o in outcomes if o.result is not None])
        if results:
            self._keep(Message("tool", results, f"{message.id}.r"))
        for call, outcome in zip(calls, outcomes, strict=True):
            if outcome.result is not None and self.calls.repeated_failure(call, outcome):
                times = self.state.limits.max_identical_failures
                msg = f"the same call of tool {call.name!r} failed {times} times; the last time: {outcome.result.text}"
                raise ToolFailuresError(msg)
        if len(results) < len(calls):
            self.calls.say_paused()
            return "paused"
        return None

    def _read_output(self, message: Message, closing: FinishReason | None) -> FinishReason | None:
        """Checks a structured answer; None where it is asked for again."""
        from lumosai._schema import InvalidOutput

        state, output = self.state, self.state.output
        assert output is not None  # noqa: S101  # the caller looked
        try:
            value = output.read(message.text)
        except InvalidOutput as error:
            if closing is not None or output.attempt > state.limits.max_output_retries:
                msg = f"the answer does not fit the output type after {output.attempt} attempts: {error}"
                raise OutputInvalidError(msg) from error
            output.attempt += 1
            state.of_step(Retrying, "output", output.attempt, str(error), 0.0, False)
            self._receive(Message.user(output.again(str(error)), metadata={"source": "output_retry"}))
            return None
        state.of_step(OutputComplete, value)
        return closing or "stop"

    def _keep(self, message: Message) -> None:
        self._messages.append(message)
        if message.id is not None:
            self._new.append(message.id)

    def _receive(self, message: Message) -> None:
        message = message if message.id is not None else msgspec.structs.replace(message, id=new_id())
        self._keep(message)
        self.state.of_run(InputReceived, message)

    def _take_inbox(self) -> None:
        if self.inbox:
            waiting, self.inbox = self.inbox, []
            for message in waiting:
                self._receive(message)

    def _warn(self) -> None:
        for limit, used, share in self.state.budget.warnings():
            self.state.of_run(BudgetWarning, limit, float(used), round(share, 4))

    def _totals(self, reason: FinishReason) -> RunTotals:
        state = self.state
        budget = state.budget
        return RunTotals(
            state.run_id,
            reason,
            state.thread_id,
            tuple(self._new),
            self._steps,
            budget.tool_calls,
            budget.usage,
            budget.cost if state.model_name else None,
            state.model_name,
            ms_since(self._began),
        )

    def _fail(self, error: Exception) -> None:
        reason: FinishReason = "error"
        if isinstance(error, OutputInvalidError):
            reason = "output_invalid"
        elif isinstance(error, ToolFailuresError):
            reason = "tool_errors"
        if isinstance(error, LumosaiError):
            self.error = error
        else:
            self.error = RunError(f"{type(error).__name__}: {error}")
            self.error.__cause__ = error
        retryable = isinstance(error, LumosaiError) and error.retryable
        self._end(Error, type(error).__name__, str(error), retryable, self._totals(reason))

    def _end(self, kind: Any, *fields: Any) -> None:
        self.state.of_run(kind, *fields)


_REASONS: dict[str, FinishReason] = {
    "stop": "stop",
    "tool_calls": "stop",
    "pause": "stop",
    "length": "length",
    "content_filter": "content_filter",
    "refusal": "refusal",
}


def _reason(ask: Ask) -> FinishReason:
    """The run's reason for what the provider calls its answer's end."""
    finished = ask.answer.finished
    return _REASONS[finished.reason] if finished is not None else "stop"
