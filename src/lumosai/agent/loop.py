"""The loop: ask the model, run the tools it calls, ask again, until there is an answer or a named reason to stop.

There is this one loop; streaming reads its events while it goes, `generate` after it ended. It writes one event list
(`EventLog`), and every request and tool call goes through `step(name, fn, key)`, by default a plain call.
"""

from __future__ import annotations

import asyncio
import inspect
from typing import TYPE_CHECKING, Any, cast

from msgspec.structs import replace

from lumosai.agent.ask import STOPPED, Ask, said
from lumosai.agent.calls import Calls
from lumosai.agent.context import RunContext
from lumosai.agent.output import way_for
from lumosai.agent.state import clock, ms_since, now
from lumosai.errors import (
    ConfigurationError,
    LeaseLostError,
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
    Folding,
    GenerationComplete,
    InputReceived,
    ModelChanged,
    OutputComplete,
    Retrying,
    RunCancelled,
    RunPaused,
    RunStarted,
    StepComplete,
    StepStarted,
)
from lumosai.ids import new_id, new_span_id
from lumosai.messages import Message, scrub
from lumosai.models.base import ModelRequest
from lumosai.models.prices import cost as price_of
from lumosai.records import Scope, Usage

if TYPE_CHECKING:
    from collections.abc import Callable

    from lumosai.agent.definition import Definition
    from lumosai.agent.experience import Experience
    from lumosai.agent.journal import Journal
    from lumosai.agent.output import Way
    from lumosai.agent.remember import Remember
    from lumosai.agent.state import RunState
    from lumosai.records import AgentResult, FinishReason, ModelSettings, ToolChoice, ToolDefinition, ToolMode

FREE_CHOICES = (None, "auto", "none")


class Loop:
    """Drives one run from its input to its last event.

    Args:
        agent: whose run it is.
        state: what the run's parts share.
        messages: the input.
        settings: how the model is to answer.
        tool_choice: which tool must be called, if any, the settings' included.
        incremental: whether anybody sees the events before the end.
        above: the calls of the run that asked this one.
        remember: its turn on a thread, None where it stands alone.
        keep: makes the journal of a root run; None where it is not kept, and of sub-runs.

    Attributes:
        state: as given.
        calls: its tool calls.
        inbox: messages to take in before the next step. What is left when the run ends is taken in unanswered.
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
        above: Calls | None = None,
        remember: Remember | None = None,
        keep: Callable[[Loop], Journal] | None = None,
    ) -> None:
        known = agent.known
        self.state = state
        self.calls = Calls(state, above)
        self.inbox: list[Message] = []
        self.error: BaseException | None = None
        self._agent = agent
        self._known = known
        self._model = known.model
        self._definitions = known.definitions if agent.tool_calling != "off" else ()
        self._given = settings
        # The choice goes with each request by itself: it may hold for the first answer only.
        self._settings = settings if settings.tool_choice is None else replace(settings, tool_choice=None)
        self._choice = tool_choice
        self._incremental = incremental
        self._input = messages if remember is None else remember.turn.input
        self._remember = remember
        self._keep = keep
        self._journal: Journal | None = None
        self._home: asyncio.AbstractEventLoop | None = None
        self._began_events = state.past is not None
        self._interrupted = False
        self._lost: LumosaiError | None = None
        self._closed = False
        self._recalled = 0
        self._messages: list[Message] = []
        self._mode: ToolMode | None = None
        self._began = clock()
        self._folding: Folding | None = None

    async def drive(self) -> None:
        """Runs to the last event. Raises only what is meant for the caller's task: a cancel from outside, Ctrl-C, an exit."""
        self._home = asyncio.get_running_loop()
        if self._keep is not None:
            self._journal = self._keep(self)
            if self._remember is not None:
                self._remember.journal = self._journal
        try:
            await self._drive()
        except GeneratorExit:  # the event loop is gone: nothing can be waited for
            raise
        except BaseException:
            await self._written()
            raise
        if (cancelled := await self._written()) is not None:
            raise cancelled

    async def _written(self) -> asyncio.CancelledError | None:
        """Waits until all events are kept; a cancel meanwhile is given back."""
        return await self._journal.finished() if self._journal is not None and self._at_home() else None

    def _at_home(self) -> bool:
        """Whether the event loop is there. Of one that is gone the garbage collector closes what is left, anywhere."""
        try:
            return asyncio.get_running_loop() is self._home
        except RuntimeError:
            return False

    async def _drive(self) -> None:
        state = self.state
        self._began = clock()
        state.begin()
        try:
            reason = await self._held_to_time()
            if reason != "paused":
                await self._kept_and_settled()
        except GeneratorExit:  # the event loop is gone: there is nobody to tell
            raise
        except BaseException as error:  # any failure, the user's functions' too, ends in a last event
            if not self._at_home():
                raise
            if self._ended_by(await self._kept(error)):
                raise
        else:
            if reason != "paused":
                self._end(GenerationComplete, reason)
        finally:
            if self._remember is not None:
                self._remember.leave()
            if state.parent is not None:
                state.log.unwatch(state.run_id)

    async def _held_to_time(self) -> FinishReason:
        """The run up to its last event; why it ended."""
        async with cast("asyncio.Timeout", self.state.deadline):
            if self._remember is not None:
                await self._remember.enter(self._interrupt)
            if not self._began_events:
                self._start()
            if self._known.experience is not None:
                await self._with_experience(self._known.experience, save=False)
            return await self._run()

    async def _with_experience(self, experience: Experience, *, save: bool) -> None:
        """Reads what other processes learned of the model, or keeps what this one did."""
        storage = self._agent.storage
        if storage is not None and experience.waits(save=save):
            handle = storage.scope(Scope(self.state.scope.tenant))
            await (experience.save(handle) if save else experience.load(handle))

    async def _kept_and_settled(self) -> None:
        """All that the run said is stored before its last event."""
        if self._known.experience is not None:
            await self._with_experience(self._known.experience, save=True)
        if self._remember is not None:
            await self._remember.keep(self._said())
        if self.state.log.keeper is not None:
            await self.state.log.settled()

    def lose(self, error: LumosaiError) -> None:
        """The run cannot be kept any longer: it ends with that error, though its last event was on its way."""
        if self._closed:
            self.error = self.error or error
            return
        self._lost = error
        self._interrupted = self.state.cancel()

    async def leave(self) -> None:
        """Stops the run here without an end, so that another process goes on with it."""
        if self._journal is not None:
            await self._journal.leave()
        if self._remember is not None:
            self._remember.leave()
            self._remember = None

    def _interrupt(self, reason: str) -> None:
        """A later run takes this one's place on its thread."""
        state = self.state
        if state.ended or state.stopping:
            return
        state.stopping = reason
        state.log.unbound()
        state.log.halt()
        self._interrupted = state.cancel()

    def _said(self) -> tuple[Message, ...]:
        """All that the run said, its end as the last event will have it. From here on no message is taken in."""
        self.state.ended = True
        self.calls.close()
        self._take_inbox()
        return Folding(self.state.own_events()).result().messages

    async def _kept(self, error: BaseException) -> BaseException:
        """Keeps what a run said that failed or was stopped; what ended it, which is a cancel where one came meanwhile."""
        if not self._began_events:
            self._start()
        error = self._lost or error
        mine = not isinstance(error, LeaseLostError)  # else the thread is another process's matter now
        if self._remember is not None and mine and isinstance(error, Exception | asyncio.CancelledError):
            error = await self._remember.keep_in_the_end(self._said()) or error
        task = asyncio.current_task()
        if self._interrupted and task is not None:
            self._interrupted = False
            task.uncancel()
        return error

    def _ended_by(self, error: BaseException) -> bool:
        """Says how the run ended; whether the error is the caller's to handle."""
        state = self.state
        why, cancel = state.stop_reason, isinstance(error, asyncio.CancelledError)
        if not cancel and not isinstance(error, Exception):
            self._end(RunCancelled, "cancelled", type(error).__name__)
            return True
        if state.overdue and not why:
            self._end(GenerationComplete, "deadline")
            return cancel
        if why or (cancel and state.cancelled):
            self._end(RunCancelled, "abandoned" if why == "abandoned" else "cancelled", why or "cancelled")
            return cancel and not state.stopping
        # What is left of cancels is one that nobody asked for: it came out of a model or a function of the user's.
        self._fail(error)
        return False

    def end_paused(self) -> None:
        """Ends a sub-run that waits for an approval: the run that asked it waits no more."""
        why = self.state.stop_reason
        self._end(RunCancelled, "abandoned" if why == "abandoned" else "cancelled", why or "cancelled")

    def never_began(self) -> asyncio.Task[Any] | None:
        """The run's task was cancelled before its first step: the run has a first and a last event all the same.

        Returns:
            What stores them, where they are stored.
        """
        if self.state.log.events:
            return None
        if self._keep is not None and self._journal is None:
            self._journal = self._keep(self)
        self._start()
        self._end(RunCancelled, "cancelled", self.state.stopping or "cancelled")
        return asyncio.ensure_future(self._journal.finished()) if self._journal is not None else None

    def result(self) -> AgentResult[Any]:
        """What the run gave so far, `output` as its type."""
        folding = self._folding if self._folding is not None else Folding(self.state.own_events())
        result = folding.result()
        output = self.state.output
        if output is None or result.output is None:
            return result
        return replace(result, output=output.value)

    def _start(self) -> None:
        state, model, remember = self.state, self._model, self._remember
        self._began_events = True
        state.of_run(
            RunStarted,
            VERSION,
            self._agent.version,
            self._known.hash,
            self._input,
            self._given,
            state.limits,
            self._choice,
            state.output.schema.schema if state.output is not None else None,
            f"{model.provider}:{model.name}",
            state.thread_id,
            remember.branch if remember is not None else None,
            state.resource_id,
            state.scope,
            remember is not None and remember.turn.save,
            remember.turn.options if remember is not None else None,
            state.trace_id,
            state.parent_trace,
            state.until,
            remember.queued_ms if remember is not None else 0.0,
        )

    def _check_stopped(self) -> None:
        """Ends a run that is to stop, where the cancel of its task has not come through yet."""
        if self.state.stop_reason:
            raise asyncio.CancelledError

    async def _run(self) -> FinishReason:
        """Steps until there is an answer; why it ended."""
        self._check_stopped()
        index, done = await self._begin()
        if done is not None and (done == "paused" or not self.inbox):
            return done
        closing: FinishReason | None = "tool_limit" if self.calls.refused else None
        max_steps = self.state.limits.max_steps
        while True:
            self._take_inbox()
            if (over := self._over()) is not None:
                return over
            if closing is None and max_steps is not None and index >= max_steps:
                closing = "step_limit"
            done = await self._one_step(index, closing)
            self._check_stopped()
            index += 1
            self._warn()
            if done is None:
                if self.calls.refused and closing is None:
                    closing = "tool_limit"
            elif done == "paused" or closing is not None or not self.inbox:
                return done

    def _over(self) -> FinishReason | None:
        """The limit that leaves no room for another step, None while there is."""
        until = self.state.until
        return "deadline" if until is not None and now() >= until else self.state.budget.exhausted()

    async def _begin(self) -> tuple[int, FinishReason | None]:
        """What comes before the first step: its number, and why the run ends, if it does already."""
        await self._open()
        return 0, None

    async def _open(self) -> None:
        """Makes the prompt's beginning and checks that the run can be held to its limits."""
        state = self.state
        if state.budget.costs_count:
            self._check_price()
        state.system = await self._instructions()
        if state.output is not None:
            state.output.way = self._way(self._request(self._definitions, self._input))
        if self._remember is not None:
            self._messages.extend(await self._remember.recall())
        self._recalled = len(self._messages) + len(self._input)
        self._messages.extend(self._input)

    def _check_price(self) -> None:
        """Raises where a limit of cost, the run's or one above it, cannot be kept."""
        price = self._model.price
        for model in getattr(self._model, "models", (self._model,)):
            local = model.provider == "local"
            if price_of(model.provider, model.name, Usage(), local=local, price=price)[0] is None:
                msg = (
                    f"max_cost_usd cannot be kept: the price of {model.provider}:{model.name} is not known. "
                    "Install lumosai[prices], give the model a price=…, or drop the limit"
                )
                raise ConfigurationError(msg)

    def _way(self, request: ModelRequest, *, schemas: bool = True) -> Way:
        """How the model is best held to the output's type."""
        known = getattr(self._model, "profile_for", None)  # a FallbackModel has its first model's, unlearned
        profile = known(request) if known is not None else self._model.profile
        profile = profile if schemas else replace(profile, json_schema=False)
        return way_for(profile, self._model.mode(request), has_tools=bool(self._definitions))

    async def _instructions(self) -> str:
        given = self._agent.instructions
        if isinstance(given, str):
            return scrub(given)
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
            settings = replace(settings, max_output_tokens=left)
        if output is not None and output.way == "tool":
            definitions = (output.tool,) if choice == "none" else (*definitions, output.tool)
            choice = "required" if choice in FREE_CHOICES else choice
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

    async def _one_step(
        self, index: int, closing: FinishReason | None, *, attempt: int = 1, begun: bool = False
    ) -> FinishReason | None:
        """One answer and its calls; why the run ends with it, None where it goes on. `begun`: the step is told of already."""
        state, began = self.state, clock()
        definitions = self._definitions if closing is None else ()
        request = self._request(definitions, self._prompt())
        mode = self._model.mode(request)
        if not begun:
            state.step_span, state.step_usage = new_span_id(), Usage()
            state.of_step(StepStarted, index, mode)
        if definitions and self._mode not in (None, mode):
            name = f"{self._model.provider}:{self._model.name}"
            state.of_step(ModelChanged, name, name, mode, self._model.why(request), False)
        ask, message = await self._asked(request, mode, definitions, index, attempt)
        if definitions:
            self._mode = ask.mode
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
        state = self.state
        done: FinishReason | None
        taken_back = reason in STOPPED
        if message.tool_calls:
            done = await self._run_tools(index, message, closing, cut=cut, forbidden=taken_back) or closing
            done = reason if taken_back else done
        elif state.output is not None and reason == "stop":
            done = self._read_output(message, closing)
        else:
            done = closing or reason
        if self._choice not in FREE_CHOICES:
            # The call that was forced has been made; forcing it again would never let the model answer.
            self._choice = None
        if done == "paused":
            return done
        state.of_step(StepComplete, index, state.step_usage, ms_since(began))
        if self._remember is not None:
            await self._remember.keep_step(self._messages[self._recalled :])
        return done

    async def _asked(
        self, request: ModelRequest, mode: ToolMode, definitions: tuple[ToolDefinition, ...], index: int, attempt: int
    ) -> tuple[Ask, Message]:
        """The answer to `request`, through the step seam; where a server refuses the schema, in another way."""
        state, output = self.state, self.state.output
        ask = Ask(state, self._model, request, mode, index, attempt=attempt)
        key = f"{state.run_id}:{index}"
        try:
            message: Message = await state.step("model", ask.run, key)
        except SchemaUnsupportedError as error:
            if output is None or output.way != "native":
                raise
            output.way = self._way(request, schemas=False)
            again = ask.attempt + 1
            state.of_step(Retrying, "model", again, f"schema_rejected: {scrub(str(error))}", 0.0, True)
            request = self._request(definitions, self._prompt())
            ask = Ask(state, self._model, request, self._model.mode(request), index, attempt=again)
            message = await state.step("model", ask.run, f"{key}:{again}")
        self._messages.append(message)
        return ask, message

    async def _run_tools(
        self, index: int, message: Message, closing: FinishReason | None, *, cut: bool, forbidden: bool
    ) -> FinishReason | None:
        """Runs the answer's calls, but those that have their results, and puts the results behind it."""
        forbidden = forbidden or closing is not None or self._choice == "none" or not self._definitions
        past = self.state.past
        there = past.results if past is not None and past.answer is message else {}
        told = {o.call.id: o for o in past.outcomes() if o.call.id in there} if past is not None and there else {}
        calls = [c for c in message.tool_calls if c.id not in there]
        outcomes = await self.calls.run(calls, {} if forbidden else self._known.tools, index, cut=cut) if calls else []
        if self.state.log.keeper is not None:
            await self.state.log.settled()
        given = there | {o.call.id: o.result for o in outcomes if o.result is not None}
        results = tuple([given[c.id] for c in message.tool_calls if c.id in given])
        if results:
            self._messages.append(Message("tool", results, f"{message.id}.r"))
        for outcome in (told | {o.call.id: o for o in outcomes}).values():
            call = outcome.call
            if outcome.result is not None and self.calls.repeated_failure(call, outcome):
                times = self.state.limits.max_identical_failures
                msg = f"the same call of tool {call.name!r} failed {times} times; the last time: {outcome.result.text}"
                raise ToolFailuresError(msg)
        if len(results) < len(message.tool_calls):
            self.calls.say_paused()
            if not self.calls.paused:
                self._pause_with_sub_run()
            return "paused"
        return None

    def _pause_with_sub_run(self) -> None:
        """Nothing goes on but a sub-run that paused by itself: this one pauses for the same reason."""
        state = self.state
        events = [e for e in state.own_events() if type(e) is RunPaused and e.run_id != state.run_id]
        if events:
            state.of_run(RunPaused, events[-1].reason, events[-1].pending)

    def _read_output(self, message: Message, closing: FinishReason | None) -> FinishReason | None:
        """Checks a structured answer; None where it is asked for again."""
        from lumosai._schema import InvalidOutput

        state, output = self.state, self.state.output
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
        self._messages.append(message)
        self.state.of_run(InputReceived, message)

    def _take_inbox(self) -> None:
        if self.inbox:
            waiting, self.inbox = self.inbox, []
            for message in waiting:
                self._receive(message)

    def _warn(self) -> None:
        for limit, used, share in self.state.budget.warnings():
            self.state.of_run(BudgetWarning, limit, float(used), round(share, 4))

    def _fail(self, error: BaseException) -> None:
        reason: FinishReason = "error"
        if isinstance(error, OutputInvalidError):
            reason = "output_invalid"
        elif isinstance(error, ToolFailuresError):
            reason = "tool_errors"
        text = said(error)
        if isinstance(error, LumosaiError):
            self.error = error
        else:
            self.error = RunError(f"{type(error).__name__}: {text}")
            self.error.__cause__ = error
        retryable = isinstance(error, LumosaiError) and error.retryable
        self._end(Error, reason, type(error).__name__, text, retryable)

    def _end(self, kind: Any, reason: FinishReason, *fields: Any) -> None:
        """Emits the last event. A message that was taken but not answered is kept: its sender was told so."""
        state = self.state
        state.ended = True
        self.calls.close()
        self._take_inbox()
        events = state.own_events()
        self._closed = True
        self._folding = Folding(events)
        last = state.of_run(kind, *fields, self._folding.totals(reason, ms_since(self._began)))
        if events is not state.log.events:
            events.append(last)


REASONS: dict[str, FinishReason] = {
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
    return REASONS[finished.reason] if finished is not None else "stop"
