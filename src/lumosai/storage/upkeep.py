"""What maintenance says of a database: its state, and what was removed, erased, written out and taken in."""

from __future__ import annotations

import msgspec


class Kind(msgspec.Struct, frozen=True):
    """One kind of what a database keeps.

    Attributes:
        name: "threads", "messages", "media and contents", "runs", "search index", "telemetry", "learned" or "bookkeeping".
        rows: in all its tables together.
        bytes: with their indexes; None where the database does not tell.
    """

    name: str
    rows: int
    bytes: int | None


class Removable(msgspec.Struct, frozen=True):
    """What retention would remove now.

    Attributes:
        runs: that ended long enough ago, or must go for the database's size.
        threads: that were not written to for long enough.
        traces: that began long enough ago, or must go for the database's size.
        bytes: of those runs' events and those traces' spans.
        over: bytes beyond the greatest size that neither can make up for.
    """

    runs: int = 0
    threads: int = 0
    traces: int = 0
    bytes: int = 0
    over: int = 0


class DatabaseInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A database's state.

    Attributes:
        url: where it is, without a password.
        schema: how many steps its schema has.
        newest: how many this program knows of.
        bytes: on the disk, the write-ahead log included.
        free_bytes: of these, what is free for new rows; None where the database does not tell.
        shrinks: whether free room is given back to the disk by itself.
        kinds: what it holds.
        threads, messages, blobs: how many.
        runs: how many, by status.
        oldest: when the oldest "thread", "message" and "run" were made, unix seconds; those that are.
        problems: what a check found, none where all is well; None where nobody asked for one.
        removable: what retention would remove; None where none was named.
    """

    url: str
    schema: int
    newest: int
    bytes: int
    free_bytes: int | None
    shrinks: bool
    kinds: tuple[Kind, ...]
    threads: int
    messages: int
    blobs: int
    runs: dict[str, int]
    oldest: dict[str, float]
    problems: tuple[str, ...] | None = None
    removable: Removable | None = None


class Collected(msgspec.Struct, frozen=True):
    """What one pass of retention did.

    Attributes:
        runs, threads, traces, blobs: removed.
        transactions: in how many.
        over: as in `Removable`.
    """

    runs: int = 0
    threads: int = 0
    traces: int = 0
    blobs: int = 0
    transactions: int = 0
    over: int = 0


class Erased(msgspec.Struct, frozen=True):
    """What was erased.

    Attributes:
        threads, messages, runs, traces: how many.
    """

    threads: int = 0
    messages: int = 0
    runs: int = 0
    traces: int = 0


class Loaded(msgspec.Struct, frozen=True):
    """What an import took in.

    Attributes:
        taken: how many of each kind of line were new here.
        there: how many were here already, as they are in the export.
        conflicts: what is here otherwise and stays as it is here, each by kind and name; the first hundred.
        conflicting: how many there were.
        unknown: how many lines of each kind this program does not know.
    """

    taken: dict[str, int] = {}
    there: dict[str, int] = {}
    conflicts: tuple[str, ...] = ()
    conflicting: int = 0
    unknown: dict[str, int] = {}
