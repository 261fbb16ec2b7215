"""What a single run may be given besides its input, and what is refused of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypedDict

from lumosai.agent.definition import check_kinds, storage_of
from lumosai.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lumosai.agent.definition import Definition
    from lumosai.memory.base import IfBusy, MemoryOptions, RunMemory
    from lumosai.records import Limits, ModelSettings, Scope, ToolChoice


class PlainOptions(TypedDict, total=False):
    """`RunOptions`, but for the output's type, which decides the result's."""

    thread_id: str | None
    branch: int | None
    save_to_memory: bool
    memory: RunMemory | None
    memory_options: MemoryOptions | Mapping[str, Any] | None
    if_busy: IfBusy
    busy_timeout_s: float | None
    resource_id: str | None
    scope: Scope | None
    context: Any
    tool_choice: ToolChoice | None
    settings: ModelSettings | None
    limits: Limits | None
    traceparent: str | None
    tracestate: str | None
    baggage: str | None


class RunOptions(PlainOptions, total=False):
    """The keyword arguments of `generate`, `generate_sync` and `stream`.

    Attributes:
        thread_id: the conversation to go on with; needs a memory. It is made where there is none.
        branch: the number of the thread's branch, None for the active one.
        save_to_memory: whether the input and what comes of it are kept.
        memory: instead of the agent's, in the same storage.
        memory_options: what this run wants otherwise than the memory has it: last_messages, token_budget, recall (False
            for none), working (False for none), read_only, processors, such as {"last_messages": 50}.
        if_busy: where another run is at work on the branch, in whichever process: "queue" waits for it, "reject" raises,
            "interrupt" ends it, and with "steer" the input joins that run: its id, events and result are then this one's.
        busy_timeout_s: how long to wait for it, 60 by default; None is for ever.
        resource_id: whom the run is about.
        scope: whose rows it may see and write.
        context: an object of yours, handed to tools and to an instructions function.
        tool_choice: "auto", "none", "required" or {"tool": name}, for the first answer.
        output_type: instead of the agent's.
        settings: merged over the agent's.
        limits: instead of the agent's.
        traceparent: a W3C header that makes the run part of the caller's trace.
        tracestate, baggage: those that go with it; `lumosai.propagation.incoming` takes all three out of a request.
    """

    output_type: Any


CHOICES: Final = ("auto", "none", "required")
IF_BUSY: Final = ("queue", "reject", "steer", "interrupt")
OF_A_THREAD: Final = frozenset({"branch", "save_to_memory", "memory", "memory_options", "if_busy", "busy_timeout_s"})
OPTIONS: Final = frozenset(RunOptions.__annotations__)


def check(agent: Definition[Any], options: RunOptions | dict[str, Any]) -> None:
    """Raises where a run cannot be given these.

    Raises:
        TypeError: an option that there is not.
        InvalidInputError: one that this agent cannot take, or that says nothing by itself.
        ConfigurationError: a memory in another storage than the agent's.
    """
    unknown = options.keys() - OPTIONS
    if unknown:
        msg = f"a run has no option {', '.join(sorted(unknown))}: there are {', '.join(sorted(OPTIONS))}"
        raise TypeError(msg)
    check_kinds("this run", {n: v for n, v in options.items() if v is not None}, InvalidInputError)
    thread_id = options.get("thread_id")
    memory = options.get("memory")
    if memory is not None:
        storage_of(agent.name, agent.storage, memory)
    if thread_id is not None and agent.memory is None and memory is None:
        msg = f"thread_id={thread_id!r} needs a memory, and agent {agent.name!r} has none: pass Agent(memory=…), or the earlier messages"
        raise InvalidInputError(msg)
    resource_id = options.get("resource_id")
    if thread_id is not None or resource_id:
        from lumosai.storage.base import name_of

        if thread_id is not None:
            name_of(thread_id, "thread id")
        if resource_id:
            name_of(resource_id, "resource id")
    alone = OF_A_THREAD & options.keys()
    if alone and thread_id is None:
        msg = f"{', '.join(sorted(alone))} is about a thread: pass a thread_id too"
        raise InvalidInputError(msg)


def check_choice(agent: Definition[Any], choice: object) -> None:
    """Raises where it asks for what there is not."""
    if not isinstance(choice, dict) or choice.keys() != {"tool"}:
        msg = f"tool_choice={choice!r} is none of 'auto', 'none', 'required' and {{'tool': name}}"
        raise InvalidInputError(msg)
    names = [t.name for t in agent.tools] if agent.tool_calling != "off" else []
    if choice["tool"] not in names:
        known = ", ".join(map(repr, names)) or "none"
        msg = f"tool_choice asks for {choice['tool']!r}, and the tools of agent {agent.name!r} are: {known}"
        raise InvalidInputError(msg)
