"""What a single run may be given besides its input."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypedDict

if TYPE_CHECKING:
    from lumosai.records import Limits, ModelSettings, Scope, ToolChoice


class PlainOptions(TypedDict, total=False):
    """`RunOptions`, but for the output's type, which decides the result's."""

    thread_id: str | None
    resource_id: str | None
    scope: Scope | None
    context: Any
    tool_choice: ToolChoice | None
    settings: ModelSettings | None
    limits: Limits | None
    traceparent: str | None


class RunOptions(PlainOptions, total=False):
    """The keyword arguments of `generate`, `generate_sync` and `stream`.

    Attributes:
        thread_id: the conversation to go on with; needs a memory.
        resource_id: whom the run is about.
        scope: whose rows it may see and write.
        context: an object of yours, handed to tools and to an instructions function.
        tool_choice: "auto", "none", "required" or {"tool": name}, for the first answer.
        output_type: instead of the agent's.
        settings: merged over the agent's.
        limits: instead of the agent's.
        traceparent: a W3C header that makes the run part of the caller's trace.
    """

    output_type: Any
