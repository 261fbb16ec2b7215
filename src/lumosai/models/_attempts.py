"""How a wrapper announces that it is about to send a further request."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lumosai.models.base import AttemptStarted

if TYPE_CHECKING:
    from collections.abc import Callable

    from lumosai.models.base import Model, ModelRequest
    from lumosai.records import ToolMode


def announce(
    model: Model, request: ModelRequest, attempt: int, reason: str, *, discard: bool, delay_s: float = 0.0
) -> AttemptStarted:
    """The chunk that goes before attempt number `attempt`, which will ask `model`.

    Args:
        model: who will be asked.
        request: with what.
        attempt: from 2.
        reason: why the last one was not enough.
        discard: whether the chunks since that one's start are void.
        delay_s: seconds that will be waited first.
    """
    endpoint = getattr(model, "endpoint", "")
    mode = mode_of(model, request)
    return AttemptStarted(model.provider, model.name, endpoint, attempt, mode, discard, reason, delay_s)


def mode_of(model: Model, request: ModelRequest) -> ToolMode:
    """How tools are called when `model` gets `request`."""
    chosen: Callable[[ModelRequest], ToolMode] | None = getattr(model, "mode", None)
    if chosen is not None:
        return chosen(request)
    return model.profile.tool_mode if request.tool_mode == "auto" else request.tool_mode
