"""How a wrapper announces that it is about to send a further request."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from lumosai.models.base import AttemptStarted

if TYPE_CHECKING:
    from typing import Self

    from lumosai.models.base import Model, ModelRequest, Tell
    from lumosai.records import ToolMode


class Attempts(msgspec.Struct, eq=False):
    """Numbers the further requests that are told of, in the order in which they come.

    Args:
        tell: is told of them on.

    Attributes:
        made: requests so far, the first included.
    """

    tell: Callable[[AttemptStarted], None]
    made: int = 1

    def __call__(self, chunk: AttemptStarted) -> None:
        self.made += 1
        self.tell(msgspec.structs.replace(chunk, attempt=self.made))

    @classmethod
    def of(cls, tell: Tell) -> Self:
        """What numbers for `tell`: itself where it does already, for wrappers around one model count together."""
        return tell if type(tell) is cls else cls(tell)


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
