"""How a run ends that did not come to its answer: what a failure, a cancel or a deadline makes its last event."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, NamedTuple

from lumosai.agent.ask import said
from lumosai.errors import LumosaiError, OutputInvalidError, RunError, ToolFailuresError
from lumosai.events import Error, GenerationComplete, RunCancelled

if TYPE_CHECKING:
    from lumosai.agent.state import RunState
    from lumosai.events import Event
    from lumosai.records import FinishReason


class Verdict(NamedTuple):
    """How a run ends.

    Attributes:
        kind: its last event.
        reason: why it ended.
        told: that event's other fields.
        raised: whether what ended it is the caller's to handle.
        error: what `result` raises, else None.
    """

    kind: type[Event]
    reason: FinishReason
    told: tuple[Any, ...] = ()
    raised: bool = False
    error: BaseException | None = None


def verdict(state: RunState, error: BaseException) -> Verdict:
    """How a run ends that this came out of."""
    why, cancel = state.stop_reason, isinstance(error, asyncio.CancelledError)
    if not cancel and not isinstance(error, Exception):
        return Verdict(RunCancelled, "cancelled", (type(error).__name__,), raised=True)
    if state.overdue and not why:
        return Verdict(GenerationComplete, "deadline", raised=cancel)
    if why or (cancel and state.cancelled):
        reason, told = stopped(why)
        return Verdict(RunCancelled, reason, (told,), raised=cancel and not state.stopping)
    # What is left of cancels is one that nobody asked for: it came out of a model or a function of the user's.
    return _failed(error)


def stopped(why: str) -> tuple[FinishReason, str]:
    """The reason of a run that somebody stopped, and what its last event says of it."""
    return "abandoned" if why == "abandoned" else "cancelled", why or "cancelled"


def _failed(error: BaseException) -> Verdict:
    reason: FinishReason = "error"
    if isinstance(error, OutputInvalidError):
        reason = "output_invalid"
    elif isinstance(error, ToolFailuresError):
        reason = "tool_errors"
    text, ours = said(error), error
    if not isinstance(error, LumosaiError):
        ours = RunError(f"{type(error).__name__}: {text}")
        ours.__cause__ = error
    retryable = isinstance(error, LumosaiError) and error.retryable
    return Verdict(Error, reason, (type(error).__name__, text, retryable), error=ours)
