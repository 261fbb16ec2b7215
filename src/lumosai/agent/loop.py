"""The life of a run: its first event, its steps held to its time, what is kept of it, and its last event, whatever happens.

There is this one loop; streaming reads its events while it goes, `generate` after it ended. It writes one event list
(`EventLog`). What happens between the first event and the last is in `steps.py`.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, cast

from msgspec.structs import replace

from lumosai.agent import live
from lumosai.agent.asked import has_decided, will_ask
from lumosai.agent.history import error_of
from lumosai.agent.joining import Joining, joined
from lumosai.agent.leftovers import leftovers
from lumosai.agent.log import NotBegunError
from lumosai.agent.opening import say_started
from lumosai.agent.prompt import Prompt
from lumosai.agent.state import clock, ms_since
from lumosai.agent.steps import ANSWERED, Steps
from lumosai.agent.title import entitle
from lumosai.agent.verdict import stopped, verdict
from lumosai.agent.wrapping import wrap_run
from lumosai.errors import LeaseLostError, LumosaiError
from lumosai.events import Error, Folding, GenerationComplete, RunCancelled
from lumosai.memory.base import OtherRunError
from lumosai.messages import scrub
from lumosai.records import Scope
from lumosai.telemetry.at_work import AT_WORK, AtWork, leave

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Sequence

    from lumosai.agent.calls import Calls
    from lumosai.agent.connected import ConnectedRun
    from lumosai.agent.definition import Definition
    from lumosai.agent.experience import Experience
    from lumosai.agent.journal import Journal
    from lumosai.agent.past import Past
    from lumosai.agent.remember import Remember
    from lumosai.agent.state import RunState
    from lumosai.events import Event
    from lumosai.messages import Message
    from lumosai.records import AgentResult, FinishReason, ModelSettings, ToolChoice
    from lumosai.storage.base import InboxItem, Storage


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
        connect: finds another run, to join it.
        steps: what goes from the input to the answer.

    Attributes:
        state: as given.
        calls: its tool calls.
        inbox: messages to take in before the next step. What is left when the run ends is taken in unanswered.
        error: the exception that ended it, else None.
        posted: what lay in its inbox when it was taken up.
        joining: the run that its input has joined, where that was at work on its thread.
        journal: keeps its events, once it goes; None where they are not kept, and of sub-runs.
        home: the event loop that it goes on, once it does.
        unwanted: whether somebody asked for its end: where it had one already, it does not go on to answer what comes late.
    """

    error: BaseException | None = None
    posted: Sequence[InboxItem] = ()
    joining: Joining | None = None
    journal: Journal | None = None
    home: asyncio.AbstractEventLoop | None = None
    _interrupted = False
    _lost: LumosaiError | None = None
    _closed = False
    _ended_as: FinishReason | None = None
    unwanted = False
    _folding: Folding | None = None

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
        connect: Callable[[str], Awaitable[ConnectedRun[Any]]] | None = None,
        steps: type[Steps] = Steps,
    ) -> None:
        self.state = state
        self._connect = connect
        self._agent = agent
        self._known = agent.known
        given = messages if remember is None else remember.turn.input
        self._prompt = Prompt(agent, state, given, settings=settings, choice=tool_choice, incremental=incremental)
        self._steps = steps(agent, state, self._prompt, above, remember)
        self.calls = self._steps.calls
        self.inbox = self._steps.inbox
        self._remember = remember
        self._keep = keep
        self._began_events = state.past is not None
        self._began = clock()

    async def drive(self) -> None:
        """Runs to the last event. Raises only what is meant for the caller's task: a cancel from outside, Ctrl-C, an exit.

        A run that ended in another process gives what it gave.
        """
        if self.state.past is not None and self.state.past.ended is not None:
            self._replay(self.state.past)
            return
        self.home = asyncio.get_running_loop()
        state = self.state
        at_work = AtWork(state.run_id, state.tracing.id, state.span, state.thread_id, state.name)
        token = AT_WORK.set(at_work)
        try:
            await self._driven(at_work)
        finally:
            leave(token)

    async def _driven(self, at_work: AtWork) -> None:
        if self._keep is not None:
            self._begin_to_keep(self._keep)
        wrapped = wrap_run(self.state, self._known.model, self._agent.version)
        at_work.trace_id, at_work.span_id = self.state.tracing.id, self.state.span
        try:
            self._began = clock()
            self.state.begin()
            await self._drive(self._answered())
            cancelled = await self._written() if self.journal is not None else None
            while self._ended_as is not None:
                await self._drive(self._answered_late(self._ended_as, cancelled))
                cancelled = await self._written()
        except GeneratorExit:  # the event loop is gone: nothing can be waited for
            raise
        except BaseException:
            await self._written()
            await self._left_thread()
            raise
        else:
            await self._left_thread()
            if cancelled is not None:
                raise cancelled
        finally:
            if self.journal is not None:
                live.leave(cast("Storage", self._agent.storage), self)
            if self._remember is not None:  # the next run on the thread reads what this one has kept
                self._remember.leave()
            if wrapped is not None:
                wrapped.close()

    def _begin_to_keep(self, keep: Callable[[Loop], Journal]) -> None:
        """Events are kept from here on, and others in this process find the run."""
        journal = self.journal = keep(self)
        self._steps.epoch = journal.epoch
        if self._remember is not None:
            self._remember.journal = journal
        live.enter(cast("Storage", self._agent.storage), self)
        if journal.inbox is not None:
            journal.inbox.take(self.posted)

    async def _written(self) -> asyncio.CancelledError | None:
        """Waits until all events are kept; a cancel meanwhile is given back."""
        return await self.journal.finished() if self.journal is not None and self._at_home() else None

    async def _left_thread(self) -> None:
        """The next run on the thread is let in."""
        if self._remember is not None and self._at_home():
            await self._remember.give_back()

    def _at_home(self) -> bool:
        """Whether the event loop is there. Of one that is gone the garbage collector closes what is left, anywhere."""
        try:
            return asyncio.get_running_loop() is self.home
        except RuntimeError:
            return False

    async def _drive(self, answered: Coroutine[Any, Any, FinishReason]) -> None:
        state = self.state
        try:
            reason = await answered
            if reason != "paused" and (self._remember is not None or self._known.experience is not None):
                reason = await self._kept_and_settled(reason)  # a message that came meanwhile may pause it
        except GeneratorExit:  # the event loop is gone: there is nobody to tell
            raise
        except BaseException as error:  # any failure, the user's functions' too, ends in a last event
            if not self._at_home():
                raise
            if self.joining is not None:
                self._parted(error)
            elif self._ended_by(await self._kept(error)):
                raise
        else:
            if reason != "paused":
                self._end(GenerationComplete, reason)
        finally:
            if state.parent is not None:
                state.log.unwatch(state.run_id)

    async def _answered(self) -> FinishReason:
        """The run up to what is left to do at its end; why it ended."""
        if self.state.deadline is None:
            reason = await self._to_its_end()
        else:
            async with self.state.deadline:
                reason = await self._to_its_end()
        if reason == "paused":
            return reason
        if self._remember is not None:
            await self._entitled(self._remember, reason)
        return (await self._gone_on() or reason) if self.inbox else reason

    async def _answered_late(self, reason: FinishReason, cancelled: asyncio.CancelledError | None) -> FinishReason:
        """Answers what was sent in while the run ended for a reason; why it ends then."""
        self._ended_as = None
        if cancelled is not None:
            raise cancelled
        return await self._gone_on() or reason

    async def _gone_on(self) -> FinishReason | None:
        """What was sent in behind the answer is answered, too; why it ended then, None where nothing was."""
        state = self.state
        if not self.inbox:
            return None
        left_s = state.left_s
        if left_s is None:
            return await self._steps.again()
        state.deadline = asyncio.timeout(max(0.0, left_s))
        async with state.deadline:
            return await self._steps.again()

    async def _to_its_end(self) -> FinishReason:
        if self._remember is not None and await self._joins(self._remember):
            return "paused"
        if not self._began_events:
            self._start()
        if self._known.experience is not None:
            await self._with_experience(self._known.experience, save=False)
        try:
            return await self._steps.run()
        except NotBegunError:
            self._anew()
            return await self._to_its_end()

    def _anew(self) -> None:
        """Takes back what nobody has seen: the run's turn on its thread was not what it took it for, and it has asked nothing yet."""
        assert self.journal is not None  # noqa: S101  # who else says so
        assert self._remember is not None  # noqa: S101  # as above
        self._steps.anew()
        self._remember.anew()
        self.state.log.events.clear()
        self.journal.anew()
        self._began_events = False

    async def _joins(self, remember: Remember) -> bool:
        """Waits for the run's turn; whether it has joined the run that was at work instead, and followed that to its end."""
        tries = 0
        while True:
            try:
                await remember.enter(self.stop)
            except OtherRunError as other:
                assert self._connect is not None  # noqa: S101  # every agent's runs have it
                tries += 1
                found = await joined(self._connect, other.run_id, remember.turn.input, tries)
                if found is None:
                    continue
                live.leave(cast("Storage", self._agent.storage), self)
                self.joining = Joining(self.state, found)
                self.error = await self.joining.follow()
                return True
            return False

    def _parted(self, error: BaseException) -> None:
        """The run that was joined is followed no more; it goes on.

        Raises:
            BaseException: what ended this is the caller's to handle.
        """
        if isinstance(error, LumosaiError):
            self.error = error
        elif not self.state.overdue:
            raise error

    async def _with_experience(self, experience: Experience, *, save: bool) -> None:
        """Reads what other processes learned of the model, or keeps what this one did."""
        storage = self._agent.storage
        if storage is not None and experience.waits(save=save):
            handle = storage.scope(Scope(self.state.scope.tenant))
            await (experience.save(handle) if save else experience.load(handle))

    async def _kept_and_settled(self, reason: FinishReason) -> FinishReason:
        """What the run said and learned is stored, or is with its last event; why it ended."""
        experience, journal = self._known.experience, self.journal
        if experience is not None and journal is None:
            await self._with_experience(experience, save=True)
            reason = await self._gone_on() or reason
        if reason == "paused":
            return reason
        if self._remember is not None:
            await self._remember.keep(self._said())
        if experience is not None and journal is not None and experience.waits(save=True):
            write, told = experience.saving(cast("Storage", self._agent.storage).scope(self.state.scope))
            journal.along(write, needed=False).add_done_callback(told)
        return reason

    async def _entitled(self, remember: Remember, reason: FinishReason) -> None:
        """The thread has its title, where the model is to give it one."""
        if remember.entitles and reason in ("stop", "length"):
            said = (*remember.turn.input, *self._fold().messages)
            await entitle(self.state, self._known.model, remember, self._prompt.settings, said)

    def lose(self, error: LumosaiError) -> None:
        """The run cannot be kept any longer: it ends with that error, though its last event was on its way."""
        if self._closed:
            self.error = self.error or error
            return
        self._lost = error
        self._interrupted = self.state.cancel()

    async def leave(self) -> None:
        """Stops the run here without an end, so that another process goes on with it."""
        if self.journal is not None:
            await self.journal.leave()
        elif self._remember is not None:
            await self._remember.give_back()
        if self._remember is not None:
            self._remember.leave()
            self._remember = None
            self._steps.leave_thread()

    def stop(self, reason: str) -> None:
        """Somebody else than who holds the run ends it, such as a later run that takes its place on its thread."""
        state = self.state
        self.unwanted = True
        if state.ended or state.stopping:
            return
        state.stopping = scrub(reason) or "cancelled"
        state.log.unbound()
        state.log.halt()
        self._interrupted = state.cancel()

    def _said(self) -> tuple[Message, ...]:
        """All that the run said, its end as the last event will have it. From here on no message is taken in."""
        self._close()
        return self._fold().messages

    def _fold(self) -> Folding:
        """What the events add up to; of a root run read on from where it was read last."""
        events = self.state.own_events()
        if events is not self.state.log.events:
            return Folding(events)
        if self._folding is None:
            self._folding = Folding(events)
        return self._folding

    async def _kept(self, error: BaseException) -> BaseException:
        """Keeps what a run said that failed or was stopped; what ended it, which is a cancel where one came meanwhile."""
        if not self._began_events:
            self._start()
        error = self._lost or error
        # Else the thread is the matter of who goes on with the run, or comes to the thread before that.
        mine = not isinstance(error, LeaseLostError) and (self.journal is None or not self.journal.left)
        if self._remember is not None and mine and isinstance(error, Exception | asyncio.CancelledError):
            error = await self._remember.keep_in_the_end(self._said()) or error
        task = asyncio.current_task()
        if self._interrupted and task is not None:
            self._interrupted = False
            task.uncancel()
            if self._lost is not None and not self.state.cancelled:  # the cancel that came meanwhile was `lose`'s own
                error = self._lost
        return error

    def _ended_by(self, error: BaseException) -> bool:
        """Says how the run ended; whether the error is the caller's to handle."""
        end = verdict(self.state, error)
        if end.error is not None:
            self.error = end.error
        self._end(end.kind, end.reason, *end.told)
        return end.raised

    def end_paused(self) -> None:
        """Ends a sub-run that waits for an approval: the run that asked it waits no more."""
        self._end(RunCancelled, *stopped(self.state.stop_reason))

    def never_began(self) -> asyncio.Task[Any] | None:
        """The run's task was cancelled before its first step: the run has a first and a last event all the same.

        Returns:
            What stores them, where they are stored.
        """
        if self.state.log.events:
            return None
        if self._keep is not None and self.journal is None:
            self.journal = self._keep(self)
        self._start()
        self._end(RunCancelled, "cancelled", self.state.stopping or "cancelled")
        return asyncio.ensure_future(self.journal.finished()) if self.journal is not None else None

    def waits(self, call_id: str) -> str | None:
        """The hash of the arguments of a call that will be asked about when the run, resumed, has come to it; else None."""
        past = self.state.past
        return None if past is None else will_ask(past.events, call_id, self._known.tools)

    def was_decided(self, call_id: str) -> bool:
        """Whether a decision about a call is in the run's past, and nothing more is asked of it."""
        past = self.state.past
        return past is not None and has_decided(past.events, call_id)

    def result(self) -> AgentResult[Any]:
        """What the run gave so far, `output` as its type."""
        if self.joining is not None:
            return self.joining.result()
        folding = self._folding if self._folding is not None else Folding(self.state.own_events())
        result = folding.result()
        output = self.state.output
        if output is None or result.output is None:
            return result
        return replace(result, output=output.value)

    def _start(self) -> None:
        self._began_events = True
        say_started(self._agent, self.state, self._prompt, self._remember)

    def _end(self, kind: Any, reason: FinishReason, *fields: Any) -> None:
        """Emits the last event. A message that was taken but not answered is kept: its sender was told so."""
        state = self.state
        self._close()
        events = state.own_events()
        self._closed = True
        self._folding = self._fold() if events is state.log.events else Folding(events)
        last = state.of_run(kind, *fields, self._folding.totals(reason, ms_since(self._began)))
        if events is not state.log.events:
            events.append(last)

    def _close(self) -> None:
        """Nothing goes on any more: calls, and what an earlier process left open, end; what was sent is taken in."""
        state = self.state
        state.ended = True
        self.calls.close()
        if state.past is not None and state.parent is None:
            for event in leftovers(state.log.events, state.run_id, state.stop_reason or "interrupted", state.at()):
                state.log.append(event)
        self._steps.take_inbox()

    def seen_by(self, scope: Scope) -> bool:
        """Whether a scope may see the run."""
        mine = self.state.scope
        return mine.tenant == scope.tenant and scope.owner in (None, mine.owner)

    async def take_late(self, messages: list[Message]) -> Event | None:
        """Takes in what was sent into the run while it ended; None where the run goes on to answer it.

        Else its last event, which comes behind that now: it reached a limit, failed or was stopped.
        """
        log = self.state.log
        last: Any = log.events.pop()
        self.inbox.extend(messages)
        goes_on = self._steps.goes_on and last.result.finish_reason in ANSWERED and not self.unwanted
        if self.inbox and goes_on:
            self.state.ended = self._closed = False
            self._folding, self._ended_as = None, last.result.finish_reason
            return None
        self._steps.take_inbox()
        if self._remember is not None:
            await self._remember.keep_step(messages)
        self._folding = Folding(log.events)
        totals = self._folding.totals(last.result.finish_reason, last.result.duration_ms)
        again: Event = replace(last, seq=len(log.events) + 1, result=totals)
        log.events.append(again)
        return again

    def _replay(self, past: Past) -> None:
        state = self.state
        state.ended = True
        self._folding = Folding([e for e in past.events if e.run_id in state.tree])
        if type(past.ended) is Error:
            self.error = error_of(past.ended)
        given = self._folding.result().output
        if state.output is not None and given is not None:
            from lumosai._schema import InvalidOutput

            try:
                state.output.value = state.output.schema.load(given)
            except InvalidOutput:  # the run had another type than it is given now: its output stays as JSON
                state.output = None
