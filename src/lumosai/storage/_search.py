"""Operations that search: in which messages, what the full text says of them, their vectors, what was said around them.

The ranking is BM25 (Robertson and Zaragoza, 2009) over the messages searched, and over no others: what other threads,
owners and tenants wrote neither shows nor weighs. The database gives the messages that have a term; first the sum of the
terms' weights picks candidates, then those are read and scored in full. So both databases rank alike, and neither has to
know how long a message is.
"""

from __future__ import annotations

import heapq
from collections import Counter
from itertools import groupby
from math import log
from typing import TYPE_CHECKING, Final, NamedTuple

from lumosai._terms import Wanted, terms
from lumosai.errors import NotFoundError
from lumosai.storage import _branches as branches
from lumosai.storage import _ids as ids
from lumosai.storage import _index as index
from lumosai.storage import _match as match
from lumosai.storage import _messages as stored
from lumosai.storage import _threads as threads
from lumosai.storage._op import Query, marks
from lumosai.storage.base import Excerpt, FullText, Match, VectorBlock, Vectors, searchable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from lumosai.storage._op import Row, Steps
    from lumosai.storage._who import Who
    from lumosai.storage.base import MessageFilter, VectorsKnown, Within

_K1: Final = 1.2
_B: Final = 0.5
"""How much a message's length counts; less than for documents, as messages say one thing each."""
_TERMS: Final = 48
"""Terms of a question that count: the first ones."""
_FEW: Final = 24
"""Ranges that are asked for one by one; more are picked out of all that is found."""
_THREADS: Final = 1_000
"""Threads of a resource that are searched: those written to last."""
_COUNTED: Final = 10_000
"""Threads of a scope whose messages are counted, those written to last; with more of them a total is the least there is."""
_LEAST: Final = 1_000
_SHARE: Final = 3
"""A term that stands in more than one message of so many, and in more than the least, tells them apart no more."""
_LOOKED: Final = 5_000
"""Messages that are read at the most until enough of them are what a filter means."""
_SCORED: Final = 8_000
"""Characters of a message that are scored word by word."""
_EVERYWHERE: Final = 50_000
_ALL: Final = (1 << 63) - 1
_CHUNK: Final = 2_000


class Extent(NamedTuple):
    """The messages that a search goes through.

    Attributes:
        ranges: places from first to last, in order; None for all of the scope.
        total: how many messages, about.
    """

    ranges: tuple[tuple[int, int], ...] | None
    total: int


def extent_of(who: Who, within: Within) -> Steps[Extent]:
    """What a search goes through: a branch's path, the active paths of a resource's threads, or all there is.

    Raises:
        NotFoundError: no such thread or branch.
    """
    if within.thread_id:
        shown = yield from branches.line(who, within.thread_id, within.branch)
        paths = shown.path
    elif within.resource_id:
        paths = yield from _paths(who, within.resource_id)
    else:
        rows = yield Query(
            f"""SELECT CAST(coalesce(sum(messages), 0) AS BIGINT) FROM (
                SELECT messages FROM threads WHERE {who.where()} ORDER BY updated_at DESC LIMIT ?) AS counted""",
            (*who.parameters, _COUNTED),
        )
        return Extent(None, rows[0][0])
    ranges = {(index.place_of(s.source, s.first), index.place_of(s.source, s.last)) for s in paths if s.first <= s.last}
    return Extent(tuple(sorted(ranges)), sum(last - first + 1 for first, last in ranges))


def _paths(who: Who, resource_id: str) -> Steps[tuple[branches.Segment, ...]]:
    """What the active branches of a resource's threads show."""
    rows = yield Query(
        f"""SELECT branches.key, branches.start, branches.last FROM threads
            JOIN branches ON branches.thread = threads.key AND branches.number = threads.active
            WHERE {who.where()} AND threads.resource_id = ? AND threads.resource_id <> ''
            ORDER BY threads.updated_at DESC, threads.key DESC LIMIT ?""",
        (*who.parameters, threads.plain(resource_id), _THREADS),
    )
    found = [branches.Segment(key, start + 1, last) for key, start, last in rows]
    for key in [key for key, start, _ in rows if start]:
        shared = yield Query("SELECT source, first, last FROM segments WHERE branch = ?", (key,))
        found += [branches.Segment(*row) for row in shared]
    return tuple(found)


def full_text(who: Who, within: Within, sought: Sequence[Wanted], limit: int) -> Steps[FullText]:
    """The messages that fit the sought terms best."""
    extent = yield from extent_of(who, within)
    sought = sought[:_TERMS]
    if not sought or not extent.total or extent.ranges == ():
        return FullText(extent.total, 0.0, ())
    postings = yield from _postings(who, extent, sought)
    rarity = {
        term: log(1 + (max(extent.total, len(found)) - len(found) + 0.5) / (len(found) + 0.5))
        for term, found in postings.items()
    }
    weights = {term: weight for term, weight in rarity.items() if postings[term]}
    scores: dict[int, float] = {}
    for term, weight in weights.items():
        for place in postings[term]:
            scores[place] = scores.get(place, 0.0) + weight
    rarest = log(2 * extent.total + 2)
    told: dict[int, float] = {}
    for term, weight in weights.items():
        for place in postings[term]:
            told[place] = told.get(place, 0.0) + weight * term.words / rarest
    count = limit + limit // 2
    ranked = heapq.nlargest(count if within.filter is None else _LOOKED, scores, key=lambda p: (scores[p], p))
    found: list[Row] = []
    for start in range(0, len(ranked), count):
        rows = yield from _rows(ranked[start : start + count])
        found += [row for row in rows if within.filter is None or fits(row, within.filter)]
        if len(found) >= limit:
            break
    scored = _scored(found, weights, scores, told)
    scored.sort(key=lambda m: (-m.score, -m.place))
    asked = sum(weight * term.words for term, weight in rarity.items()) / rarest
    return FullText(extent.total, sum(rarity.values()), tuple(scored[:limit]), asked)


def _scored(
    rows: Iterable[Row], weights: Mapping[Wanted, float], sums: Mapping[int, float], told: Mapping[int, float]
) -> list[Match]:
    """Messages with their BM25 score; what stands beyond the beginning of a long one counts for what it weighs."""
    counted = [(row, Counter(terms(searchable(index.light(row[2:5]))[:_SCORED]))) for row in rows]
    lengths = [found.total() for _, found in counted]
    usual = max(sum(lengths) / len(lengths), 1.0) if lengths else 1.0
    matches = []
    for (row, found), length in zip(counted, lengths, strict=True):
        soft = _K1 * (1 - _B + _B * length / usual)
        score = 0.0
        for want, weight in weights.items():
            often = found[want.term]
            if want.begins:
                often += sum(n for term, n in found.items() if term.startswith(want.term) and term != want.term)
            score += weight * often * (_K1 + 1) / (often + soft)
        place = index.place_of(row[0], row[1])
        matches.append(Match(place, max(score, sums[place] / (1 + _K1)), told[place]))
    return matches


def _postings(who: Who, extent: Extent, sought: Sequence[Wanted]) -> Steps[dict[Wanted, list[int]]]:
    """The places that have each term, but for those that nearly all have, where any other is left."""
    ordered = sorted(sought, key=lambda w: w.begins)
    ranges = extent.ranges
    apart = ranges is not None and len(ranges) <= _FEW
    most = max(_LEAST, extent.total // _SHARE) if apart else _EVERYWHERE
    part = "SELECT * FROM (SELECT {number} AS term, {{place}} AS place FROM fulltext WHERE {{{matches}}} AND {{place}} BETWEEN ? AND ? ORDER BY {{place}} DESC LIMIT ?) AS t{number}"
    statement = " UNION ALL ".join(
        part.format(number=n, matches="begins" if want.begins else "matches") for n, want in enumerate(ordered)
    )
    found: list[list[int]] = [[] for _ in ordered]
    for first, last in ranges if apart and ranges is not None else ((0, _ALL),):
        parameters = [value for want in ordered for value in (want.term, first, last, most + 1)]
        for number, place in (yield Query(statement, parameters)):
            found[number].append(place)
    if not apart:
        found = yield from _inside(who, ranges, found)
    by_term = {want: found[n] for n, want in enumerate(ordered)}
    telling = {want: places for want, places in by_term.items() if len(places) <= most}
    return telling if any(telling.values()) else by_term


def _inside(
    who: Who, ranges: tuple[tuple[int, int], ...] | None, found: Sequence[Sequence[int]]
) -> Steps[list[list[int]]]:
    """Of places found anywhere those that a search goes through."""
    seen = sorted({place >> index.SEQ for places in found for place in places})
    if ranges is None:
        mine: set[int] = set()
        for start in range(0, len(seen), 500):
            some = seen[start : start + 500]
            rows = yield Query(
                f"""SELECT branches.key FROM branches JOIN threads ON threads.key = branches.thread
                    WHERE {who.where()} AND branches.key IN ({marks(len(some))})""",
                (*who.parameters, *some),
            )
            mine.update(row[0] for row in rows)
        return [[p for p in places if p >> index.SEQ in mine] for places in found]
    own: dict[int, list[tuple[int, int]]] = {}
    for first, last in ranges:
        own.setdefault(first >> index.SEQ, []).append((first, last))
    return [
        [p for p in places if any(first <= p <= last for first, last in own.get(p >> index.SEQ, ()))]
        for places in found
    ]


def _rows(places: Iterable[int]) -> Steps[list[Row]]:
    """Messages by their places: branch, seq, role, id, body, run_id, at; in no order."""
    found: list[Row] = []
    for branch, some in groupby(sorted(places), key=lambda p: p >> index.SEQ):
        seqs = [p & index.LAST for p in some]
        for start in range(0, len(seqs), 500):
            part = seqs[start : start + 500]
            found += yield Query(
                f"""SELECT branch, seq, role, id, body, run_id, at FROM messages
                    WHERE branch = ? AND seq IN ({marks(len(part))})""",
                (branch, *part),
            )
    return found


def fits(row: Row, wanted: MessageFilter) -> bool:
    """Whether a row of `_rows` is what a filter means."""
    if wanted.roles and row[2] not in wanted.roles:
        return False
    if (wanted.since is not None and row[6] < wanted.since) or (wanted.until is not None and row[6] >= wanted.until):
        return False
    if wanted.run_id and row[5] != ids.packed(threads.plain(wanted.run_id)):
        return False
    if not (wanted.text or wanted.metadata):
        return True
    message = index.light(row[2:5])
    return (not wanted.text or match.holds_text(message, wanted.text)) and match.has(message.metadata, wanted.metadata)


def fitting(who: Who, within: Within, places: Sequence[int]) -> Steps[dict[int, float]]:
    """Of some places those that a search goes through and its filter means, each with when it was stored."""
    extent = yield from extent_of(who, within)
    (inside,) = yield from _inside(who, extent.ranges, [places])
    rows = yield from _rows(inside)
    wanted = within.filter
    return {index.place_of(row[0], row[1]): row[6] for row in rows if wanted is None or fits(row, wanted)}


def vectors(who: Who, within: Within, name: str, known: Mapping[int, VectorsKnown]) -> Steps[Vectors]:
    """The vectors of the messages that a search goes through, as far as they are not known yet, by branch."""
    extent = yield from extent_of(who, within)
    ranges = extent.ranges
    if ranges is None:
        ranges = yield from _everything(who)
    rows = yield Query("SELECT key FROM spaces WHERE tenant = ? AND name = ?", (who.tenant, name))
    if not rows:
        return Vectors(ranges, extent.total, ())
    space = rows[0][0]
    blocks = []
    wanted = sorted({first >> index.SEQ for first, _ in ranges})
    for start in range(0, len(wanted), 500):
        some = wanted[start : start + 500]
        counts = yield Query(
            f"SELECT branch, count, version FROM vector_counts WHERE space = ? AND branch IN ({marks(len(some))})",
            (space, *some),
        )
        for branch, count, version in counts:
            blocks.append((yield from _block(space, branch, count, version, known.get(branch))))
    return Vectors(ranges, extent.total, tuple(blocks))


def _everything(who: Who) -> Steps[tuple[tuple[int, int], ...]]:
    rows = yield Query(
        f"""SELECT branches.key FROM threads JOIN branches ON branches.thread = threads.key
            WHERE {who.where()} ORDER BY threads.updated_at DESC LIMIT ?""",
        (*who.parameters, _THREADS),
    )
    keys = sorted(row[0] for row in rows)
    return tuple([(index.place_of(key, 0), index.place_of(key + 1, 0) - 1) for key in keys])


def _block(space: int, branch: int, count: int, version: int, known: VectorsKnown | None) -> Steps[VectorBlock]:
    """One branch's vectors: only those behind what is known, where that is all that is new."""
    if known is not None and known.version == version and known.space == space:
        if known.count == count:
            return VectorBlock(branch, space, version, False, (), ())
        seqs, data = yield from _read(space, branch, known.last + 1)
        if known.count + len(seqs) == count:
            return VectorBlock(branch, space, version, False, seqs, data)
    seqs, data = yield from _read(space, branch, 0)
    return VectorBlock(branch, space, version, True, seqs, data)


def _read(space: int, branch: int, first: int) -> Steps[tuple[tuple[int, ...], tuple[bytes, ...]]]:
    seqs: list[int] = []
    data: list[bytes] = []
    while True:
        rows = yield Query(
            "SELECT seq, data FROM vectors WHERE branch = ? AND space = ? AND seq >= ? ORDER BY seq LIMIT ?",
            (branch, space, first, _CHUNK),
        )
        seqs += [row[0] for row in rows]
        data.append(b"".join([row[1] for row in rows]))
        if len(rows) < _CHUNK:
            return tuple(seqs), tuple(data)
        first = rows[-1][0] + 1


def excerpts(who: Who, within: Within, places: Sequence[int], before: int, after: int) -> Steps[tuple[Excerpt, ...]]:
    """What was said at places that a search goes through, and around them on the path that shows them, in this order.

    A place that is not there any more, or that the search does not go through, is left out.
    """
    if within.thread_id:
        shown = yield from branches.line(who, within.thread_id, within.branch)
        lines = {place: shown for place in places if _shows(shown, place)}
    else:
        lines = yield from _lines(who, within, places)
    beside: dict[int, list[Row]] = {}
    for shown in {shown.key: shown for shown in lines.values()}.values():
        here = [place for place, its in lines.items() if its.key == shown.key]
        rows = yield from stored.all_around(shown, [place & index.LAST for place in here], before, after)
        beside |= {place: rows[place & index.LAST] for place in here}
    found = []
    for place in places:
        if any(index.place_of(row[0], row[1]) == place for row in beside.get(place, ())):
            items = yield from stored.read(beside[place])
            found.append(Excerpt(place, lines[place].thread.record, place & index.LAST, tuple(items)))
    return tuple(found)


def _shows(shown: branches.Line, place: int) -> bool:
    return branches.shows(shown, place >> index.SEQ, place & index.LAST)


def _lines(who: Who, within: Within, places: Sequence[int]) -> Steps[dict[int, branches.Line]]:
    """The branch that shows each place: its thread's active one, else, where all branches are searched, its own."""
    found: dict[int, branches.Line] = {}
    for branch in sorted({place >> index.SEQ for place in places}):
        about = " AND threads.resource_id = ?" if within.resource_id else ""
        # A cross join, so that SQLite goes from the branch to its thread, and not through all threads there are.
        rows = yield Query(
            f"""SELECT threads.id, threads.owner, branches.number FROM branches CROSS JOIN threads
                WHERE branches.key IN (SELECT CAST(? AS BIGINT) UNION SELECT branch FROM segments WHERE source = ?)
                AND threads.key = branches.thread AND {who.where()}{about}
                ORDER BY CASE WHEN branches.number = threads.active THEN 0 ELSE 1 END, branches.key""",
            (branch, branch, *who.parameters, *((threads.plain(within.resource_id),) if about else ())),
        )
        for thread_id, owner, number in rows:
            try:
                shown = yield from branches.line(who._replace(owner=owner) if owner else who, thread_id, number)
            except NotFoundError:
                continue
            if within.resource_id and number != shown.thread.record.branch:
                continue
            for place in places:
                if place >> index.SEQ == branch and place not in found and _shows(shown, place):
                    found[place] = shown
    return found
