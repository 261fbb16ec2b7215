"""Operations: what is done to a database in one transaction, written once for every back end.

An operation is a generator that yields statements and is sent their rows; a back end drives it inside a transaction, a
synchronous one in its writer's thread, an asynchronous one by awaiting. It may be driven more than once (a transaction
that was rolled back is tried again), so it is handed about as a function that makes the generator, and changes nothing
but the database.

Statements are in the SQL that SQLite and PostgreSQL share, with `?` for parameters and no `?` anywhere else. Where they
differ, `{name}` stands for a word of the back end's `Words`.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import Any, Final, NamedTuple, TypeVar

import msgspec

from lumosai.errors import StorageBrokenError

T = TypeVar("T")

Row = Sequence[Any]
Rows = Sequence[Row]


class Query(NamedTuple):
    """One statement.

    Attributes:
        sql: it.
        parameters: what stands for its `?`.
        many: there are many rows of parameters: it is run once for each, and gives no rows.
        apart: whether it may be a transaction of its own: of an operation that only reads, where what follows need not
            see the very state that it saw. Where nothing follows, PostgreSQL then needs no other.
    """

    sql: str
    parameters: Sequence[Any] = ()
    many: bool = False
    apart: bool = False


Steps = Generator[Query, Rows, T]
"""One pass through an operation."""

Op = Callable[[], Steps[T]]
"""An operation, to be driven as often as its transaction is tried."""


UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, zlib.error)
"""What the reading of a row ends in that is not as it was written."""


def unreadable(error: Exception) -> StorageBrokenError:
    """What is said of such a row."""
    what = f"{type(error).__name__}: {str(error)[:200]}"
    return StorageBrokenError(
        f"what the database holds there is damaged, and cannot be read: restore a backup ({what})"
    )


class Words(NamedTuple):
    """What the two databases call by different names.

    Attributes:
        key: the type of a key that the database gives out by itself.
        real: a 64-bit float.
        data: bytes.
        by_key: what is said behind a table whose rows lie in the order of their primary key.
        now: seconds since 1970 by the database's own clock.
        lower: the function that turns A to Z, and nothing else, into small letters, where LIKE does not so by itself.
        bytewise: what is said behind a text so that it is compared byte by byte.
        lock: locks the rows that a SELECT gives until the transaction ends; nothing where a transaction is alone anyway.
        guard: likewise, against those who do this or lock or delete them, and not against those who hold them.
        hold: likewise, against those who lock or delete them only.
        there: what an INSERT does with a row that is there, so that it stays until the transaction ends.
        in_ranges: `messages` from `ranges.low` to `ranges.high` of the branch `ranges.source`, range by range.
        in_pieces: says that spans are looked up by their ids, of whichever the database would guess there are few.
        put_events: stores a row of events: its run, first number, last number and data.
        put_packed: the same, of a row that stays as it is.
        said_by: the id of the run that made a row of messages, as text, see `_ids`.
        skip: locks the rows that a SELECT gives, and leaves out those that another transaction has locked.
        fulltext: makes the table of the full text, where a message is its terms with a blank between them.
        fulltext_index: makes its index, where that is a statement of its own.
        place: the column by which a message is known in it.
        matches: holds for the messages that have a term, the `?` in it.
        begins: likewise, or one that begins with it.
        remember: puts a message in: its place, its terms.
        forget: takes it out again by the same.
        purge: writes the full text anew without what was taken out of it.
    """

    key: str
    real: str
    data: str
    by_key: str
    now: str
    lower: str
    bytewise: str
    lock: str
    guard: str
    hold: str
    there: str
    in_ranges: str
    in_pieces: str
    put_events: str
    put_packed: str
    said_by: str
    skip: str
    fulltext: str
    fulltext_index: str
    place: str
    matches: str
    begins: str
    remember: str
    forget: str
    purge: str


def marks(count: int) -> str:
    """`?, ?, ?` for an IN list."""
    return ", ".join("?" * count)


def rows_of(columns: int, count: int) -> str:
    """`(?, ?), (?, ?)`: so many rows to be put in by one statement."""
    return ", ".join([f"({marks(columns)})"] * count)


_SIZES: Final = (64, 32, 16, 8, 4, 2, 1)
"""Rows of one statement: of a few sizes only, for a statement that is known is cheaper."""


def slices(count: int) -> Iterator[tuple[int, int]]:
    """Cuts so many rows into parts of these sizes: from where to where."""
    start = 0
    for size in _SIZES:
        while count - start >= size:
            yield start, start + size
            start += size
