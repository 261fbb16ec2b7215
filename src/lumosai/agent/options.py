"""What a single run may be given besides its input."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypedDict

if TYPE_CHECKING:
    from collections.abc import Mapping

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
