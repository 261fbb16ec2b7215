"""A window of measurements: its edges by the minute, its middle by the hour or the day."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from lumosai.storage.base import TIERS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lumosai.rollups import SeriesKind
    from lumosai.storage.base import TelemetryHandle
    from lumosai.traces import Counted

MINUTES_KEPT_S: Final = 2 * 86_400
"""How far back measurements are known by the minute; before that by the hour."""
HOURS_KEPT_S: Final = 90 * 86_400
"""How far back by the hour; before that by the day."""
RUNS: Final[tuple[SeriesKind, ...]] = ("run", "model_call", "tool_call", "memory")
MODELS: Final[tuple[SeriesKind, ...]] = ("model_call", "embedding")
"""What runs are told by, and what models are."""
_FEW_S: Final = 6 * 3_600
"""A window up to which minutes are read throughout."""
_LONG_S: Final = 2 * 86_400
"""A window from which on days are read in the middle."""
_MINUTE, _HOUR, _DAY = TIERS

Part = tuple[int, tuple[float, float]]
"""A tier, and from when until when it is read."""


async def measured(
    handle: TelemetryHandle,
    window: tuple[float, float],
    *,
    now: float | None = None,
    kinds: Sequence[SeriesKind] = RUNS,
    agent: str | None = None,
    version: str | None = None,
    finest: bool = False,
) -> list[Counted]:
    """What was measured in a window.

    Before the last two days there are no minutes any more, and before the last 90 no hours: there the window is widened
    to whole hours, or days.

    Args:
        handle: whose.
        window: from when until when.
        now: unix seconds.
        kinds: of these.
        agent: of this one only.
        version: of this one only.
        finest: whether as many times are told apart as are known, and not as few as will do.
    """
    names = {key: value for key, value in (("agent", agent), ("version", version)) if value is not None}
    found: list[Counted] = []
    for tier, part in parts(window, time.time() if now is None else now, finest=finest):
        found += await handle.measured(kinds, part, tier=tier, names=names)
    return found


def parts(window: tuple[float, float], now: float, *, finest: bool = False) -> list[Part]:
    """A window in parts, in order, each with the tier it is read by. They lie edge to edge, each of whole times of its tier."""
    days_until, hours_until = _up(now - HOURS_KEPT_S, _DAY), _up(now - MINUTES_KEPT_S, _HOUR)
    since, until = window
    few = finest or until - since <= _FEW_S
    long = until - since > _LONG_S
    found: list[Part] = []
    if since < days_until:
        end = min(_up(until, _DAY), days_until)
        found.append((2, (_down(since, _DAY), end)))
        since = end
    if since < hours_until and since < until:
        end = min(_up(until, _HOUR), hours_until)
        found += _coarse(_down(since, _HOUR), end, long=long)
        since = end
    if since < until:
        since, until = _down(since, _MINUTE), _up(until, _MINUTE)
        first, last = _up(since, _HOUR), _down(until, _HOUR)
        if few or first >= last:
            found.append((0, (since, until)))
        else:
            found += [(0, (since, first)), *_coarse(first, last, long=long), (0, (last, until))]
    return [(tier, part) for tier, part in found if part[0] < part[1]]


def _coarse(since: float, until: float, *, long: bool) -> list[Part]:
    """Whole hours; in the middle of a long window whole days."""
    first, last = _up(since, _DAY), _down(until, _DAY)
    if not long or first >= last:
        return [(1, (since, until))]
    return [(1, (since, first)), (2, (first, last)), (1, (last, until))]


def _down(at: float, length: int) -> float:
    return at // length * length


def _up(at: float, length: int) -> float:
    return -(-at // length) * length
