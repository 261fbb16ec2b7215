"""Operations on sums of measurements: minutes, which become hours, which become days.

What is measured goes in as rows of its minute, several a minute, without a look at what is there. Later, once a minute,
an hour or a day is over, its rows are put together and counted to the next coarser one. A row says by its state how far
it has come, so that each measurement is in exactly one row of any answer, however late it was stored.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, get_args

from lumosai.rollups import Cell, Series, SeriesKind
from lumosai.storage._names import cut, looked_up, named, numbered
from lumosai.storage._op import Query, marks
from lumosai.storage._recording import TIERS
from lumosai.traces import Counted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lumosai.storage._op import Row, Steps

_KINDS: Final[tuple[SeriesKind, ...]] = ("run", "model_call", "tool_call", "memory", "resource", "embedding")
"""By their number in the tables. Only ever added to."""
_KIND: Final = {kind: number for number, kind in enumerate(_KINDS)}
FRESH, MERGED, COUNTED = 0, 1, 2
"""A row's state: as it was stored; the only one of its time and series; counted to the next coarser tier as well."""
_LATE_S: Final = 30
"""How long after its end a minute, an hour or a day is left alone, for what is stored late."""
_AT_ONCE: Final = 300
"""Rows that one transaction puts together, at the most."""
_SERIES: Final = "kind, agent, name, version"

if set(get_args(SeriesKind)) != set(_KINDS):  # pragma: no cover
    raise AssertionError("a kind of series has no number in the tables")


def add(tenant: int, counted: Sequence[Counted], names: Mapping[str, int]) -> Steps[None]:
    """Stores what was measured. `names` holds those of the series, cut as the tables know them."""
    rows = [
        (
            tenant,
            0,
            at,
            _KIND[series.kind],
            names[cut(series.agent)],
            names[cut(series.name)],
            names[cut(series.version)],
            FRESH,
            cell.to_bytes(),
        )
        for at, series, cell in counted
    ]
    yield Query(_INSERT, rows, many=True)


def count(tenant: str, counted: Sequence[Counted]) -> Steps[None]:
    """Stores what was measured of no trace."""
    wanted = {cut(tenant), *[cut(n) for _, series, _ in counted for n in (series.agent, series.name, series.version)]}
    names = yield from numbered(sorted(wanted))
    yield from add(names[cut(tenant)], counted, names)


_INSERT: Final = f"INSERT INTO sums (tenant, tier, at, {_SERIES}, state, data) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"


def put_together(now: float) -> Steps[bool]:
    """Puts some of what is over together; whether there may be more to do."""
    for tier, length in enumerate(TIERS):
        behind = int((now - _LATE_S) // length * length)
        rows = yield from _waiting(tier, FRESH, behind)
        if rows:
            yield from _merge(rows, tier)
            return True
        if tier + 1 < len(TIERS):
            whole = TIERS[tier + 1]
            rows = yield from _waiting(tier, MERGED, int((now - _LATE_S) // whole * whole))
            if rows:
                yield from _count_on(rows, tier)
                return True
    return False


def _waiting(tier: int, state: int, before: int) -> Steps[Sequence[Row]]:
    return (
        yield Query(
            f"""SELECT key, tenant, at, {_SERIES}, data FROM sums
                WHERE state = ? AND tier = ? AND at < ? ORDER BY at, key LIMIT ?{{lock}}""",
            (state, tier, before, _AT_ONCE),
        )
    )


def _merge(rows: Sequence[Row], tier: int) -> Steps[None]:
    """Makes one row of those of one time and series."""
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(tuple(row[1:7]), []).append(row)
    for place, members in groups.items():
        tenant, at, *series = place
        there = yield Query(
            f"""SELECT key, tenant, at, {_SERIES}, data FROM sums WHERE tenant = ? AND kind = ? AND agent = ? AND name = ?
                AND version = ? AND tier = ? AND at = ? AND state = ?{{lock}}""",
            (tenant, *series, tier, at, MERGED),
        )
        together = [*there, *members]
        keep = together[0]
        yield Query("UPDATE sums SET state = ?, data = ? WHERE key = ?", (MERGED, _sum(together), keep[0]))
        yield Query("DELETE FROM sums WHERE key = ?", [(r[0],) for r in together[1:]], many=True)


def _count_on(rows: Sequence[Row], tier: int) -> Steps[None]:
    """Counts rows to the next coarser tier."""
    length = TIERS[tier + 1]
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        _, tenant, at, *series, _ = row
        groups.setdefault((tenant, at // length * length, *series), []).append(row)
    fresh = [(tenant, tier + 1, at, *series, FRESH, _sum(members)) for (tenant, at, *series), members in groups.items()]
    yield Query(_INSERT, fresh, many=True)
    yield Query("UPDATE sums SET state = ? WHERE key = ?", [(COUNTED, row[0]) for row in rows], many=True)


def _sum(rows: Sequence[Row]) -> bytes:
    whole = Cell()
    for row in rows:
        whole.merge(Cell.from_bytes(bytes(row[-1])))
    return whole.to_bytes()


def told(
    tenant: str, kinds: Sequence[SeriesKind], names: Mapping[str, str], window: tuple[float, float], tier: int
) -> Steps[tuple[Counted, ...]]:
    """What was measured in a window, by times no finer than a tier's; a time that the window cuts is counted whole.

    Args:
        tenant: whose.
        kinds: of these.
        names: of "agent", "name" and "version", those that are asked for.
        window: from when until when, unix seconds.
        tier: how fine, as in `TIERS`.
    """
    wanted = sorted({cut(tenant), *map(cut, names.values())})
    known = yield from looked_up(wanted)
    if len(known) < len(wanted):
        return ()
    fixed = [(column, known[cut(names[column])]) for column in ("agent", "name", "version") if column in names]
    length = TIERS[tier]
    since, until = window
    begins, ends = int(since // length * length), int(-(-until // length) * length)
    counted: list[tuple[int, Row]] = []
    asked = (known[cut(tenant)], *[_KIND[k] for k in kinds], *[v for _, v in fixed])
    for finer in range(tier + 1):
        # Of what is finer only the little that is not counted on is wanted: the index of that is the one to use, and the
        # plus signs keep the others from being chosen.
        sign, state = ("", "") if finer == tier else ("+", f" AND state < {COUNTED} AND state IN ({FRESH}, {MERGED})")
        columns = "".join(f" AND {sign}{c} = ?" for c, _ in fixed)
        rows = yield Query(
            f"""SELECT at, {_SERIES}, data FROM sums
                WHERE {sign}tenant = ? AND {sign}kind IN ({marks(len(kinds))}){columns}
                AND tier = ? AND at >= ? AND at < ?{state}""",
            (*asked, finer, begins, ends),
        )
        counted += [(row[0] // length * length, row) for row in rows]
    texts = yield from named({n for _, row in counted for n in row[2:5]})
    cells: dict[tuple[int, Series], Cell] = {}
    for at, (_, kind, agent, name, version, data) in counted:
        series = Series(_KINDS[kind], texts[agent], texts[name], texts[version])
        cell = Cell.from_bytes(bytes(data))
        there = cells.setdefault((at, series), cell)
        if there is not cell:
            there.merge(cell)
    return tuple([Counted(at, series, cell) for (at, series), cell in sorted(cells.items(), key=lambda item: item[0])])
