"""The agent: frozen settings that can be run."""

# ruff: noqa: A002  # "input" is the field's word for it

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

from lumosai.agent.calls import CURRENT
from lumosai.agent.definition import Definition
from lumosai.agent.making import loop_of
from lumosai.agent.run import Run, finish
from lumosai.errors import ConfigurationError, NotFoundError, ToolError
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
    from lumosai.agent.loop import Loop
    from lumosai.agent.options import PlainOptions, RunOptions
    from lumosai.agent.past import Past
    from lumosai.events import Event
    from lumosai.memory.base import RunMemory
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
        return loop_of(
            self,
            given,
            options,
            interactive=interactive,
            connect=self.connect,
            caller=caller,
            past=past,
            lease=lease,
        )


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
