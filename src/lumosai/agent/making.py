"""What drives a run, made of an agent and what the run is given: its state, its turn on a thread, its journal."""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from msgspec.structs import replace

from lumosai.agent.around import around_of
from lumosai.agent.inputs import messages_of
from lumosai.agent.log import EventLog
from lumosai.agent.loop import Loop
from lumosai.agent.options import CHOICES, IF_BUSY, check, check_choice
from lumosai.agent.output import OutputPlan
from lumosai.agent.state import RunState, kept_now
from lumosai.agent.steps import Steps
from lumosai.agent.tracing import Tracing
from lumosai.errors import InvalidInputError
from lumosai.ids import new_id

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from lumosai.agent.calls import Caller
    from lumosai.agent.connected import ConnectedRun
    from lumosai.agent.definition import Definition
    from lumosai.agent.inputs import Input
    from lumosai.agent.journal import Journal
    from lumosai.agent.options import RunOptions
    from lumosai.agent.past import Past
    from lumosai.agent.remember import Remember
    from lumosai.events import Event
    from lumosai.messages import Message
    from lumosai.records import Scope
    from lumosai.storage.base import Lease

logger = logging.getLogger("lumosai.agent")


class Connect(Protocol):
    """Finds a run by its id."""

    def __call__(self, run_id: str, *, scope: Scope | None) -> Awaitable[ConnectedRun[Any]]: ...


def loop_of(
    agent: Definition[Any],
    given: Input,
    options: RunOptions | dict[str, Any],
    *,
    interactive: bool,
    connect: Connect,
    caller: Caller | None = None,
    past: Past | None = None,
    lease: Lease | None = None,
) -> Loop:
    """What drives a run.

    Args:
        agent: whose run it is.
        given: the input; None on a thread answers what that ends with.
        options: what this run is given besides.
        interactive: whether somebody holds the run, and can approve.
        connect: finds another run of the agent's, which this one's input may join.
        caller: the tool call in which the agent is asked, of a sub-run.
        past: what it had come to elsewhere, of one that goes on.
        lease: what of it was taken already.

    Raises:
        InvalidInputError: the input or an option cannot be taken.
        TypeError: an option that there is not.
    """
    if options:
        check(agent, options)
    if caller is not None and past is None and caller.state.past is not None:
        past = _past_of(caller, agent.name)
    known, thread_id = agent.known, options.get("thread_id")
    messages = () if given is None and thread_id is not None else messages_of(given, known.earlier)
    settings = agent.settings.merge(options.get("settings"))
    choice = options.get("tool_choice")
    choice = choice if choice is not None else settings.tool_choice
    if choice is not None and choice not in CHOICES:
        check_choice(agent, choice)
    limits = options.get("limits") or agent.limits
    schema = known.output(options.get("output_type") or agent.output_type)
    log = caller.state.log if caller is not None else EventLog(past.events if past is not None else ())
    state = RunState(
        agent.name,
        log,
        limits=limits,
        interactive=interactive,
        context=options.get("context"),
        output=OutputPlan(schema, "prompted", frozenset(known.tools)) if schema is not None else None,
        thread_id=thread_id,
        resource_id=options.get("resource_id"),
        scope=options.get("scope"),
        parent=None if caller is None else caller.state,
        parent_span=None if caller is None else caller.span,
        parent_trace=options.get("traceparent"),
        tracing=Tracing(options.get("traceparent"), options.get("tracestate"), options.get("baggage"))
        if options and caller is None
        else None,
        past=past,
    )
    for observer in agent.observers:
        log.watch(observer, None if caller is None else state.run_id)
        if past is not None:
            _tell_earlier(observer, past, state.run_id)
    if agent.observers or (caller is not None and caller.state.around is not None):
        state.around = around_of(agent.observers, None if caller is None else caller.state.around)
    steps = Steps
    if past is not None:
        from lumosai.agent.takeup import TakenUp

        steps = TakenUp
    return Loop(
        agent,
        state,
        messages,
        settings=settings,
        tool_choice=choice,
        incremental=interactive or caller is not None or any(map(_reads_deltas, agent.observers)),
        above=None if caller is None else caller.calls,
        remember=_turn(agent, state, messages, options) if thread_id is not None else None,
        keep=_keeper(agent, lease, has_context=state.context is not None) if caller is None else None,
        connect=partial(connect, scope=state.scope) if thread_id is not None else None,
        steps=steps,
    )


def _keeper(
    agent: Definition[Any], lease: Lease | None = None, *, has_context: bool
) -> Callable[[Loop], Journal] | None:
    """Makes a root run's journal, where runs are kept."""
    storage = agent.storage
    if storage is None or not agent.journal:
        return None

    def keep(loop: Loop) -> Journal:
        from lumosai.agent.inbox import Inbox
        from lumosai.agent.journal import Journal
        from lumosai.storage.base import RunRecord
        from lumosai.storage.lookout import lookout_of

        state = loop.state
        record = RunRecord(
            id=state.run_id,
            agent=agent.name,
            definition_hash=agent.known.hash,
            thread_id=state.thread_id or "",
            resource_id=state.resource_id or "",
            has_context=has_context,
        )
        journal = Journal(storage.scope(state.scope), state.log, record, loop.lose, lease)
        state.at = kept_now
        if state.past is not None:
            journal.at_hand.tell(state.past.in_thread)
        inbox = Inbox(state, loop.inbox, loop.stop)
        journal.work(inbox, lookout_of(storage), loop.take_late, stays=state.interactive)
        state.log.keep(journal)
        return journal

    return keep


def _turn(
    agent: Definition[Any], state: RunState, messages: tuple[Message, ...], options: RunOptions | dict[str, Any]
) -> Remember:
    """The run's turn on its thread; its input gets ids."""
    from lumosai.agent.remember import Remember
    from lumosai.memory.base import Turn, options_of

    memory = options.get("memory") or agent.memory
    assert memory is not None  # noqa: S101  # `check` looked
    assert state.thread_id is not None  # noqa: S101  # the caller looked
    if_busy = options.get("if_busy", "queue")
    if if_busy not in IF_BUSY:
        raise InvalidInputError(f"if_busy={if_busy!r} is none of {', '.join(IF_BUSY)}")
    turn = Turn(
        run_id=state.run_id,
        agent=agent.name,
        thread_id=state.thread_id,
        branch=options.get("branch"),
        scope=state.scope,
        resource_id=state.resource_id,
        input=tuple([m if m.id is not None else replace(m, id=new_id()) for m in messages]),
        save=options.get("save_to_memory", True),
        memory=options_of(options.get("memory_options"), again=state.past is not None),
        if_busy=if_busy,
        busy_timeout_s=options.get("busy_timeout_s", 60.0 if state.past is None else None),
        kept=agent.journal and state.parent is None,
        at_once=state.past is not None,
        observers=state.log.observers,
    )
    return Remember(memory, turn, state)


def _tell_earlier(observer: Any, past: Past, run_id: str) -> None:
    """Gives an observer that has a method `earlier` what the run had said in other processes: it is shown only what is new."""
    earlier = getattr(observer, "earlier", None)
    if earlier is None:
        return
    try:
        earlier(past.events, run_id)
    except Exception:
        logger.exception("observer %r raised in `earlier`", observer)


def _past_of(caller: Caller, agent: str) -> Past | None:
    """What a sub-run had come to that the call at work had begun before its process ended."""
    from lumosai.agent.past import Past

    state = caller.state
    assert state.past is not None  # noqa: S101  # the caller looked
    child = state.past.child(caller.span, agent, state.taken)
    if child is None:
        return None
    state.taken[child] = agent
    return Past(state.past.events, child)


def _reads_deltas(observer: Callable[[Event], None]) -> bool:
    """Whether an observer has any use for deltas; one that says it has none needs no answer streamed."""
    return getattr(observer, "deltas", True) is not False
