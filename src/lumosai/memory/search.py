"""Search for people: which messages, in which thread, and what of their text was meant."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import msgspec

from lumosai._terms import has_any, marked, wanted
from lumosai.errors import InvalidInputError
from lumosai.storage.base import MessageFilter, Page, StoredMessage, ThreadRecord, Within, searchable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lumosai.memory._fusion import Ranked
    from lumosai.memory._searching import Searcher
    from lumosai.storage.base import Handle

_QUOTED: Final = re.compile(r'"([^"]+)"|“([^”]+)”|「([^」]+)」')
_BY_MEANING: Final = 10
"""Messages without any of the words that are shown, at the most: those most similar in meaning."""
_MOST: Final = 1_000
_DIGITS: Final = 9
"""Of a cursor, which is how many were shown."""


class Hit(msgspec.Struct, frozen=True):
    """A message that was found.

    Attributes:
        thread: where it was said.
        message: it.
        score: how well it fits, the best of a search 1 at the most; 0 where it was found letter by letter.
        text: what of it is searched.
        highlights: where in `text` what was looked for stands, as (start, end); none where it was found by meaning.
    """

    thread: ThreadRecord
    message: StoredMessage
    score: float
    text: str
    highlights: tuple[tuple[int, int], ...] = ()

    def snippet(self, width: int = 160) -> tuple[str, tuple[tuple[int, int], ...]]:
        """A piece of the text around the first highlight, at most so many characters long, and its highlights."""
        text = self.text
        first = self.highlights[0][0] if self.highlights else 0
        start = max(0, min(first - width // 4, len(text) - width))
        end = min(len(text), start + width)
        before, after = "…" if start else "", "…" if end < len(text) else ""
        shift = len(before) - start
        inside = [(max(a, start) + shift, min(b, end) + shift) for a, b in self.highlights if a < end and b > start]
        return f"{before}{text[start:end]}{after}", tuple(inside)


async def search(
    searcher: Searcher, handle: Handle, text: str, within: Within, *, limit: int, cursor: str | None, semantic: bool
) -> Page[Hit]:
    """A page of the messages that fit a text.

    Raises:
        InvalidInputError: nothing is looked for; or the limit or the cursor is none of this search's.
        NotFoundError: there is no such thread or branch.
    """
    if not isinstance(text, str) or not text.strip():  # type: ignore[redundant-expr]  # it comes from anywhere
        raise InvalidInputError("search needs a text to look for")
    if not isinstance(limit, int) or not 1 <= limit <= _MOST:  # type: ignore[redundant-expr]  # it comes from anywhere
        raise InvalidInputError(f"limit must be a number between 1 and {_MOST}, not {limit!r}")
    if not has_any(text):
        return await _letters(handle, text, within, limit, cursor)
    start = _start(cursor)
    within = _with_phrase(within, text)
    await searcher.indexer.read()
    ranking = await searcher.rank(handle, within, text, semantic=semantic, lend=False)
    ranked = _worth_showing(ranking.ranked)
    excerpts = await handle.excerpts(within, [r.place for r in ranked[start : start + limit]])
    sought = wanted(text)
    by_place = {r.place: r for r in ranked}
    found = []
    for excerpt in excerpts:
        stored = excerpt.messages[0]
        told = searchable(stored.message)
        marks = tuple(marked(told, sought))
        found.append(Hit(excerpt.thread, stored, round(by_place[excerpt.place].score, 4), told, marks))
    return Page(tuple(found), str(start + limit) if start + limit < len(ranked) else None)


async def _letters(handle: Handle, text: str, within: Within, limit: int, cursor: str | None) -> Page[Hit]:
    """Messages that hold a text in which there is no word, such as an emoji or `--`."""
    if within.thread_id:
        wanted_ = msgspec.structs.replace(within.filter or MessageFilter(), text=text)
        page = await handle.messages(
            within.thread_id, branch=within.branch, filter=wanted_, limit=limit, cursor=cursor, newest=cursor is None
        )
        thread = await handle.thread(within.thread_id)
        assert thread is not None  # noqa: S101  # its messages were just read
        return Page(tuple([_hit(thread, s, text) for s in reversed(page.items)]), page.previous_cursor)
    found = await handle.search(text, resource_id=within.resource_id, limit=limit, cursor=cursor)
    return Page(tuple([_hit(thread, stored, text) for thread, stored in found.items]), found.next_cursor)


def _hit(thread: ThreadRecord, stored: StoredMessage, text: str) -> Hit:
    told = searchable(stored.message)
    at = told.find(text)
    return Hit(thread, stored, 0.0, told, ((at, at + len(text)),) if at >= 0 else ())


def _with_phrase(within: Within, text: str) -> Within:
    """Only messages that hold what the text has in quotes, letter by letter."""
    phrase = next((next(filter(None, m)) for m in _QUOTED.findall(text)), "").strip()
    if not phrase:
        return within
    given = within.filter or MessageFilter()
    return msgspec.structs.replace(within, filter=msgspec.structs.replace(given, text=given.text or phrase))


def _worth_showing(ranked: Iterable[Ranked]) -> list[Ranked]:
    return [
        r for r in ranked if r.text_rank is not None or (r.vector_rank is not None and r.vector_rank <= _BY_MEANING)
    ]


def _start(cursor: str | None) -> int:
    if cursor is None:
        return 0
    if not cursor.isascii() or not cursor.isdigit() or len(cursor) > _DIGITS:
        raise InvalidInputError(f"{cursor[:40]!r} is no cursor of a search")
    return int(cursor)
