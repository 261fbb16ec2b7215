"""The agent: frozen settings that can be run."""

# ruff: noqa: A002  # "input" is the field's word for it

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

from msgspec.structs import replace

from lumosai.agent.around import around_of
from lumosai.agent.calls import CURRENT
from lumosai.agent.definition import Definition, check_kinds, storage_of
from lumosai.agent.inputs import messages_of
from lumosai.agent.log import EventLog
from lumosai.agent.loop import Loop
from lumosai.agent.options import RunOptions
from lumosai.agent.output import OutputPlan
from lumosai.agent.run import Run, finish
from lumosai.agent.state import RunState, kept_now
from lumosai.agent.steps import Steps
from lumosai.agent.tracing import Tracing
from lumosai.errors import ConfigurationError, InvalidInputError, NotFoundError, ToolError
from lumosai.ids import new_id
from lumosai.records import AgentResult, Limits, ModelSettings, Out, Scope
from lumosai.tools.base import Tool

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Mapping
    from typing import Self, Unpack

    from lumosai.agent.calls import Caller
    from lumosai.agent.config import AgentConfig
    from lumosai.agent.connected import ConnectedRun
    from lumosai.agent.definition import Instructions
    from lumosai.agent.inputs import Input
    from lumosai.agent.journal import Journal
    from lumosai.agent.options import PlainOptions
    from lumosai.agent.past import Past
    from lumosai.agent.remember import Remember
    from lumosai.events import Event
    from lumosai.memory.base import RunMemory
    from lumosai.messages import Message
    from lumosai.models.base import Model
    from lumosai.records import ToolCalling
    from lumosai.storage.base import Lease, Storage

Typed = TypeVar("Typed")


class Agent(Definition[Out], Generic[Out]):
    """A model with instructions and tools. Frozen: `replace` gives a changed copy, and one agent serves any number of runs.

        agent = Agent("assistant", instructions="Be brief.", model="openai:gpt-5-mini", tools=[calculator])
        result = await agent.generate("What is 17 * 23?")

    Attributes:
        name: what it is called in events.
        instructions: the system prompt, or a sync or async function of the `RunContext` that gives it.
        model: "provider:model", "auto", "local", or a `Model`.
        tools: functions, `Tool`s or classes of parameters that can be called.
        output_type: `str`, or any type with a JSON Schema: a pydantic model, dataclass, TypedDict, union, list, Literal.
        settings: how the model is to answer.
        limits: what a run may use.
        tool_calling: "auto" chooses by what the model can do and learns; or "native", "constrained", "text", "off".
        memory: where threads are kept; without it each run stands alone.
        storage: where runs are kept, so that another process can go on with them: the memory's by default; with neither
            a run lives in this process only.
        journal: False keeps threads only, and gives up `resume` and `connect`: only who holds a run reaches it.
        observers: called with each event; they only look. One whose attribute `deltas` is False may miss the deltas.
        version: yours, to tell runs of different versions apart.

    Raises:
        ConfigurationError: a setting that cannot work.
        ToolDefinitionError: a tool that cannot be described, or two of one name.
        UnknownModelError: no such provider.
    """

    __slots__ = ()

    if TYPE_CHECKING:

        @overload
        def __init__(
            self: Agent[str],
            name: str,
            *,
            instructions: Instructions = ...,
            model: Model | str = ...,
            tools: Iterable[Any] = ...,
            settings: ModelSettings = ...,
            limits: Limits = ...,
            tool_calling: ToolCalling = ...,
            memory: RunMemory | None = ...,
            storage: Storage | str | None = ...,
            journal: bool = ...,
            observers: Iterable[Callable[[Event], None]] = ...,
            version: str = ...,
        ) -> None: ...
        @overload
        def __init__(
            self: Agent[Out],
            name: str,
            *,
            output_type: type[Out],
            instructions: Instructions = ...,
            model: Model | str = ...,
            tools: Iterable[Any] = ...,
            settings: ModelSettings = ...,
            limits: Limits = ...,
            tool_calling: ToolCalling = ...,
            memory: RunMemory | None = ...,
            storage: Storage | str | None = ...,
            journal: bool = ...,
            observers: Iterable[Callable[[Event], None]] = ...,
            version: str = ...,
        ) -> None: ...
        @overload
        def __init__(
            self: Agent[Any],
            name: str,
            *,
            output_type: Any,
            instructions: Instructions = ...,
            model: Model | str = ...,
            tools: Iterable[Any] = ...,
            settings: ModelSettings = ...,
            limits: Limits = ...,
            tool_calling: ToolCalling = ...,
            memory: RunMemory | None = ...,
            storage: Storage | str | None = ...,
            journal: bool = ...,
            observers: Iterable[Callable[[Event], None]] = ...,
            version: str = ...,
        ) -> None: ...
        def __init__(self, name: str, **settings: Any) -> None: ...

    @classmethod
    def quick(cls, name: str, instructions: str = "", **settings: Any) -> Agent[Any]:
        """An agent on the first model that is there: a provider whose key is set, a local server, else a local model."""
        return cls(name, instructions=instructions, **{"model": "auto", **settings})

    @classmethod
    def from_config(
        cls, source: AgentConfig | str | os.PathLike[str] | Mapping[str, Any], *, name: str | None = None
    ) -> Agent[Any]:
        """An agent from an `AgentConfig`, a mapping, or a `lumosai.toml` or YAML file; `name` picks one of several.

        Raises:
            ConfigurationError: an unknown key, a wrong type or a missing file, by file, line and key.
        """
        from lumosai.agent import config

        return cls(**config.build(config.load(source, name=name)))

    def replace(self, **changes: Any) -> Self:
        """The same agent with some settings changed.

        Raises:
            TypeError: a setting that there is not.
        """
        unknown = changes.keys() - self.fields().keys()
        if unknown:
            msg = f"an agent has no setting {', '.join(sorted(unknown))}: there are {', '.join(self.fields())}"
            raise TypeError(msg)
        return type(self)(**{**self.fields(), **changes})

    @overload
    async def generate(self, input: Input, **options: Unpack[PlainOptions]) -> AgentResult[Out]: ...
    @overload
    async def generate(
        self, input: Input, *, output_type: type[Typed], **options: Unpack[PlainOptions]
    ) -> AgentResult[Typed]: ...
    @overload
    async def generate(self, input: Input, **options: Unpack[RunOptions]) -> AgentResult[Any]: ...
    async def generate(self, input: Input, **options: Any) -> AgentResult[Any]:
        """Runs to the end and gives the result.

        Nobody can approve a call here: a call that needs it ends the run as `paused`, with the call in `pending`.

        Args:
            input: a question, a message, or a conversation that ends with what is to be answered.
            **options: see `RunOptions`.

        Raises:
            InvalidInputError: the input is empty, of another type, or has a tool call without its result.
            LumosaiError: what the run ended with; its `result` is the partial one.
        """
        return await finish(self.loop_of(input, options, interactive=False))

    async def generate_with_memory(
        self, input: Input, thread_id: str | None = None, **options: Any
    ) -> AgentResult[Any]:
        """`generate` on a thread: the one named, or a new one, which `result.thread_id` names.

        Raises:
            InvalidInputError: the agent has no memory; or as `generate`.
            LumosaiError: as `generate`.
        """
        result: AgentResult[Any] = await self.generate(input, thread_id=thread_id or new_id(), **options)
        return result

    @overload
    def generate_sync(self, input: Input, **options: Unpack[PlainOptions]) -> AgentResult[Out]: ...
    @overload
    def generate_sync(
        self, input: Input, *, output_type: type[Typed], **options: Unpack[PlainOptions]
    ) -> AgentResult[Typed]: ...
    @overload
    def generate_sync(self, input: Input, **options: Unpack[RunOptions]) -> AgentResult[Any]: ...
    def generate_sync(self, input: Input, **options: Any) -> AgentResult[Any]:
        """`generate`, for code without an event loop; it works in a notebook too. Ctrl-C cancels the run."""
        from lumosai.agent.sync import run_sync

        return run_sync(self.generate(input, **options))

    @overload
    def stream(self, input: Input, **options: Unpack[PlainOptions]) -> Run[Out]: ...
    @overload
    def stream(self, input: Input, *, output_type: type[Typed], **options: Unpack[PlainOptions]) -> Run[Typed]: ...
    @overload
    def stream(self, input: Input, **options: Unpack[RunOptions]) -> Run[Any]: ...
    def stream(self, input: Input, **options: Any) -> Run[Any]:
        """A run to open with `async with` and to read while it goes. Takes what `generate` takes.

        Raises:
            InvalidInputError: as for `generate`.
        """
        return Run(self.loop_of(input, options, interactive=True))

    def as_tool(self, name: str | None = None, description: str | None = None, *, inputs: str = "task") -> Tool:
        """This agent as a tool of another: its run is part of the caller's, in events, limits, approvals and cancellation.

        It has no time-out of its own but the deadlines; `replace(timeout_s=…)` gives the tool one.

        Args:
            name: the tool's name; the agent's, made fit, when None.
            description: what it does, for the calling model; the first line of the instructions when None.
            inputs: what the one parameter, a text, is called.
        """
        instructions = self.instructions if isinstance(self.instructions, str) else ""
        about = description or instructions.partition("\n")[0] or f"Asks the agent {self.name!r}."

        async def ask(**arguments: str) -> str:
            caller = CURRENT.get()
            if caller is None or not caller.here:
                return _told(await finish(self.loop_of(arguments[inputs], {}, interactive=False)))
            loop = self.loop_of(arguments[inputs], {}, interactive=False, caller=caller)
            result = await caller.ask(finish(loop))
            if result.finish_reason == "paused":
                caller.paused.append(loop.end_paused)
            return _told(result)

        schema = {
            "type": "object",
            "properties": {inputs: {"type": "string"}},
            "required": [inputs],
            "additionalProperties": False,
        }
        fit = "".join(c if c.isascii() and (c.isalnum() or c in "_-") else "_" for c in name or self.name)[:64]
        return Tool(fit, about, schema, ask, timeout_s=math.inf)

    def resume(
        self,
        run_id: str,
        *,
        context: Any = None,
        output_type: Any = None,
        scope: Scope | None = None,
        force: bool = False,
    ) -> Run[Out]:
        """A run that was cut short or paused, to go on with; open it with `async with`, as any other.

        Finished model calls and tool calls are not made again. A model call that was cut is made anew; so are unfinished
        calls of tools, under their old idempotency keys, but for those with `effect="once"`: then the run pauses, for
        nobody knows whether they had their effect, until `Run.approve` or `Run.deny` says of each what is to be done. A sub-run's id resumes its root; a run that ended replays its events.
        What it had used of its limits is used: of `deadline_s` the time at work, not the time between.

        Args:
            run_id: the run's id, or a sub-run's.
            context: the user's object again, which is not stored.
            output_type: instead of the agent's, as the run had it.
            scope: as the run had it.
            force: goes on although a waiting call's tool is defined otherwise now.

        Raises (when it is opened):
            NotFoundError: there is no such run in this scope.
            LeaseLostError: a process that is alive is at work on it.
            ConfigurationError: the agent keeps no runs; a waiting call's tool has changed; or no output type is given to
            a run that had one.
        """
        from lumosai.agent.resume import Resumed

        return Resumed(self, self.loop_of, run_id, context=context, output_type=output_type, scope=scope, force=force)

    async def connect(self, run_id: str, *, scope: Scope | None = None) -> ConnectedRun[Out]:
        """A run of this agent's storage, wherever it goes on: to read, steer, answer and stop it, or to read it again.

        Args:
            run_id: the run's id, or a sub-run's, which gives its root.
            scope: as the run had it.

        Raises:
            NotFoundError: there is no such run in this scope.
            ConfigurationError: the agent keeps no runs.
        """
        from lumosai.agent.connected import ConnectedRun
        from lumosai.agent.ending import end
        from lumosai.agent.subscription import record_of

        storage = self.storage
        if storage is None:
            raise ConfigurationError(
                f"agent {self.name!r} keeps no runs: give it a storage, Agent(storage=…), to connect to one"
            )
        scope = scope if scope is not None else Scope()
        handle = storage.scope(scope)
        record = await record_of(storage, handle, run_id)
        if record is None:
            kept = "runs with journal=False are reached only by who holds them"
            why = kept if self.journal else f"agent {self.name!r} keeps none: {kept}"
            raise NotFoundError(f"there is no run {run_id!r} in {scope}; {why}")
        schema = self.known.output(self.output_type) if record.agent == self.name else None

        async def end_it() -> None:
            await end(self, record.agent, record.id, scope)

        async def take_up(context: Any) -> None:
            async with self.resume(record.id, context=context, scope=scope) as run:
                run.detach()

        return ConnectedRun(storage, handle, record, schema=schema, end=end_it, take_up=take_up)

    def _keeper(self, lease: Lease | None = None, *, has_context: bool) -> Callable[[Loop], Journal] | None:
        """Makes a root run's journal, where runs are kept."""
        storage = self.storage
        if storage is None or not self.journal:
            return None

        def keep(loop: Loop) -> Journal:
            from lumosai.agent.inbox import Inbox
            from lumosai.agent.journal import Journal
            from lumosai.storage.base import RunRecord
            from lumosai.storage.lookout import lookout_of

            state = loop.state
            record = RunRecord(
                id=state.run_id,
                agent=self.name,
                definition_hash=self.known.hash,
                thread_id=state.thread_id or "",
                resource_id=state.resource_id or "",
                has_context=has_context,
            )
            journal = Journal(storage.scope(state.scope), state.log, record, loop.lose, lease)
            state.at = kept_now
            if state.past is not None:
                journal.at_hand.tell(state.past.in_thread)
            journal.late = loop.take_late
            journal.work(Inbox(state, loop.inbox, loop.stop), lookout_of(storage), stays=state.interactive)
            state.log.keep(journal)
            return journal

        return keep

    def loop_of(
        self,
        given: Input,
        options: RunOptions | dict[str, Any],
        *,
        interactive: bool,
        caller: Caller | None = None,
        past: Past | None = None,
        lease: Lease | None = None,
    ) -> Loop:
        """What drives a run; with a `past` one that goes on."""
        if options:
            self._check(options)
        if caller is not None and past is None and caller.state.past is not None:
            past = _past_of(caller, self.name)
        known, thread_id = self.known, options.get("thread_id")
        messages = () if given is None and thread_id is not None else messages_of(given, known.earlier)
        settings = self.settings.merge(options.get("settings"))
        choice = options.get("tool_choice")
        choice = choice if choice is not None else settings.tool_choice
        if choice is not None and choice not in _CHOICES:
            self._check_choice(choice)
        limits = options.get("limits") or self.limits
        schema = known.output(options.get("output_type") or self.output_type)
        log = caller.state.log if caller is not None else EventLog(past.events if past is not None else ())
        state = RunState(
            self.name,
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
        for observer in self.observers:
            log.watch(observer, None if caller is None else state.run_id)
        if self.observers or (caller is not None and caller.state.around is not None):
            state.around = around_of(self.observers, None if caller is None else caller.state.around)
        steps = Steps
        if past is not None:
            from lumosai.agent.takeup import TakenUp

            steps = TakenUp
        return Loop(
            self,
            state,
            messages,
            settings=settings,
            tool_choice=choice,
            incremental=interactive or caller is not None or any(map(_reads_deltas, self.observers)),
            above=None if caller is None else caller.calls,
            remember=self._turn(state, messages, options) if thread_id is not None else None,
            keep=self._keeper(lease, has_context=state.context is not None) if caller is None else None,
            connect=partial(self.connect, scope=state.scope),
            steps=steps,
        )

    def _turn(self, state: RunState, messages: tuple[Message, ...], options: RunOptions | dict[str, Any]) -> Remember:
        """The run's turn on its thread; its input gets ids."""
        from lumosai.agent.remember import Remember
        from lumosai.memory.base import Turn, options_of

        memory = options.get("memory") or self.memory
        assert memory is not None  # noqa: S101  # `_check` looked
        assert state.thread_id is not None  # noqa: S101  # the caller looked
        if_busy = options.get("if_busy", "queue")
        if if_busy not in _IF_BUSY:
            raise InvalidInputError(f"if_busy={if_busy!r} is none of {', '.join(_IF_BUSY)}")
        turn = Turn(
            run_id=state.run_id,
            agent=self.name,
            thread_id=state.thread_id,
            branch=options.get("branch"),
            scope=state.scope,
            resource_id=state.resource_id,
            input=tuple([m if m.id is not None else replace(m, id=new_id()) for m in messages]),
            save=options.get("save_to_memory", True),
            memory=options_of(options.get("memory_options"), again=state.past is not None),
            if_busy=if_busy,
            busy_timeout_s=options.get("busy_timeout_s", 60.0 if state.past is None else None),
            kept=self.journal and state.parent is None,
            at_once=state.past is not None,
            observers=state.log.observers,
        )
        return Remember(memory, turn, state)

    def _check_choice(self, choice: object) -> None:
        """Raises where it asks for what there is not."""
        if not isinstance(choice, dict) or choice.keys() != {"tool"}:
            msg = f"tool_choice={choice!r} is none of 'auto', 'none', 'required' and {{'tool': name}}"
            raise InvalidInputError(msg)
        names = [t.name for t in self.tools] if self.tool_calling != "off" else []
        if choice["tool"] not in names:
            known = ", ".join(map(repr, names)) or "none"
            msg = f"tool_choice asks for {choice['tool']!r}, and the tools of agent {self.name!r} are: {known}"
            raise InvalidInputError(msg)

    def _check(self, options: RunOptions | dict[str, Any]) -> None:
        unknown = options.keys() - _OPTIONS
        if unknown:
            msg = f"a run has no option {', '.join(sorted(unknown))}: there are {', '.join(sorted(_OPTIONS))}"
            raise TypeError(msg)
        check_kinds("this run", {n: v for n, v in options.items() if v is not None}, InvalidInputError)
        thread_id = options.get("thread_id")
        memory = options.get("memory")
        if memory is not None:
            storage_of(self.name, self.storage, memory)
        if thread_id is not None and self.memory is None and memory is None:
            msg = f"thread_id={thread_id!r} needs a memory, and agent {self.name!r} has none: pass Agent(memory=…), or the earlier messages"
            raise InvalidInputError(msg)
        resource_id = options.get("resource_id")
        if thread_id is not None or resource_id:
            from lumosai.storage.base import name_of

            if thread_id is not None:
                name_of(thread_id, "thread id")
            if resource_id:
                name_of(resource_id, "resource id")
        alone = _OF_A_THREAD & options.keys()
        if alone and thread_id is None:
            msg = f"{', '.join(sorted(alone))} is about a thread: pass a thread_id too"
            raise InvalidInputError(msg)


def _past_of(caller: Caller, agent: str) -> Past | None:
    """What a sub-run had come to that the call at work had begun before its process ended."""
    from lumosai.agent.past import Past

    state = caller.state
    assert state.past is not None  # noqa: S101  # the caller looked
    child = state.past.child(caller.span, agent, state.taken)
    if child is None:
        return None
    state.taken.add(child)
    return Past(state.past.events, child)


_CHOICES = ("auto", "none", "required")
_IF_BUSY = ("queue", "reject", "steer", "interrupt")


def _reads_deltas(observer: Callable[[Event], None]) -> bool:
    """Whether an observer has any use for deltas; one that says it has none needs no answer streamed."""
    return getattr(observer, "deltas", True) is not False


_OF_A_THREAD = frozenset({"branch", "save_to_memory", "memory", "memory_options", "if_busy", "busy_timeout_s"})
_OPTIONS = frozenset(RunOptions.__annotations__)


def _told(result: AgentResult[Any]) -> str:
    """What the calling model is told of a sub-run."""
    reason = result.finish_reason
    if reason == "paused":
        names = ", ".join(c.name for c in result.pending)
        msg = f"waits for an approval of {names}"
        raise ToolError(msg)
    if not result.text and reason != "stop":
        msg = f"ended without an answer: {reason}"
        raise ToolError(msg)
    return result.text
