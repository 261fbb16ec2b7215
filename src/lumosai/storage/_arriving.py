"""Operations for traces whose spans come from elsewhere, in pieces: what of them is stored already."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from lumosai.spans import unpacked
from lumosai.storage._op import Query, marks
from lumosai.storage._traces import COLUMNS, records
from lumosai.traces import Arriving, Pieces

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lumosai.storage._op import Steps
    from lumosai.storage._who import Who

_AT_ONCE: Final = 500


def arriving(who: Who, wanted: Mapping[str, tuple[str, Sequence[str]]]) -> Steps[dict[str, Arriving]]:
    """What is stored of traces that spans come of.

    Args:
        who: whose.
        wanted: by the id of the run, the trace id and the ids of the spans.
    """
    found: dict[str, Arriving] = {}
    run_ids = list(wanted)
    for start in range(0, len(run_ids), _AT_ONCE):
        some = run_ids[start : start + _AT_ONCE]
        rows = yield Query(
            f"SELECT {COLUMNS}, pieces FROM traces WHERE tenant = ? AND owner = ? AND run_id IN ({marks(len(some))})",
            (who.tenant, who.owner, *some),
        )
        headers = yield from records([row[:-1] for row in rows])
        for row, header in zip(rows, headers, strict=True):
            if row[-1] is None:
                found[header.run_id] = Arriving(header)
                continue
            pieces = Pieces(base_us=row[-2], state=row[-1], before=row[-1])
            spans = yield from _of_pieces(row[0], wanted[header.run_id][1])
            found[header.run_id] = Arriving(header, pieces, spans)
        trace_ids = {wanted[run_id][0] for run_id in some}
        rows = yield Query(
            f"SELECT key, trace_id, tenant, owner FROM traces WHERE trace_id IN ({marks(len(trace_ids))}) AND pieces IS NULL",
            tuple(trace_ids),
        )
        own: dict[str, set[str]] = {}
        for key, trace_id, tenant, owner in rows:
            if (tenant, owner) == tuple(who):
                own.setdefault(trace_id, set()).update((yield from _own(key)))
        for run_id in some:
            trace_id, ids = wanted[run_id]
            there = found.get(run_id, Arriving())
            found[run_id] = there._replace(elsewhere=frozenset(own.get(trace_id, set()).intersection(ids)))
    return found


def _of_pieces(key: int, ids: Sequence[str]) -> Steps[dict[str, tuple[int, bool]]]:
    """Number of each of the spans that is stored, and whether it has ended."""
    found: dict[str, tuple[int, bool]] = {}
    for start in range(0, len(ids), _AT_ONCE):
        some = [bytes.fromhex(i) for i in ids[start : start + _AT_ONCE]]
        rows = yield Query(
            f"""SELECT id, number, duration_us FROM spans{{in_pieces}}
                WHERE trace = ? AND run < 0 AND id IN ({marks(len(some))})""",
            (key, *some),
        )
        found |= {bytes(span).hex(): (number, duration is not None) for span, number, duration in rows}
    return found


def _own(key: int) -> Steps[set[str]]:
    """The ids of the spans that a run of ours has recorded."""
    rows = yield Query("SELECT id FROM spans WHERE trace = ?", (key,))
    found = {bytes(row[0]).hex() for row in rows}
    rows = yield Query("SELECT data FROM packed_spans WHERE trace = ?", (key,))
    return found | {span.span_id for row in rows for span in unpacked(bytes(row[0]))}
