"""Every table of the schema: what its rows belong to, and so what becomes of them.

Deleting, erasing, retention, export and the check of a database go through this list. A table that a migration adds is
named here, or a test fails: nothing that is kept can be forgotten by what must find all of it.
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

Root = Literal["thread", "branch", "run", "run id", "trace", "content", "resource", "tenant", "none"]
Kind = Literal[
    "threads",
    "messages",
    "media and contents",
    "memory",
    "runs",
    "search index",
    "learned",
    "telemetry",
    "bookkeeping",
]

_DERIVED: Final = "it is made anew from the messages, and what is deleted leaves it with its message"
_MEASURED: Final = "it tells of how this database's programs ran; `lumosai traces export` writes it"


class Table(NamedTuple):
    """One table.

    Attributes:
        name: as in the schema.
        kind: under which name `lumosai db info` counts it.
        roots: what its rows belong to, each with the column that says so: the key of a thread, branch, run, trace or of
            contents, a run's id, a resource's id, or a tenant, whose rows go when nothing refers to them. They go with
            whichever goes first.
        rest: the other columns of its primary key, where its rows are many: then they go some at a time.
        refers: whether it has the key of contents as `content`, which stay for as long as a row says so.
        exported: the line of an export that carries it, "" where none does.
        why: why an export or an erasure leaves it out, "" where neither does.
        kept: how long its rows are, where what they belong to does not say so.
        counted: whether its rows can be.
    """

    name: str
    kind: Kind
    roots: tuple[tuple[Root, str], ...]
    rest: tuple[str, ...] = ()
    refers: bool = False
    exported: str = ""
    why: str = ""
    kept: str = ""
    counted: bool = True


TABLES: Final = (
    Table("threads", "threads", (("thread", "key"),), exported="thread"),
    Table("branches", "threads", (("thread", "thread"),), exported="branch"),
    Table("segments", "threads", (("branch", "branch"),), exported="branch"),
    Table("messages", "messages", (("branch", "branch"),), rest=("seq",), exported="messages"),
    Table("uses", "messages", (("branch", "branch"),), rest=("seq", "content"), refers=True, exported="messages"),
    Table("contents", "media and contents", (("tenant", "tenant"),), exported="content"),
    Table("pieces", "media and contents", (("content", "whole"),), rest=("number",), exported="content"),
    Table("runs", "runs", (("run", "key"),), exported="run"),
    Table("children", "runs", (("run", "run"),), rest=("id",), exported="run"),
    Table("events", "runs", (("run", "run"),), rest=("first",), exported="events"),
    Table("run_uses", "runs", (("run", "run"),), rest=("content",), refers=True, exported="run"),
    Table("epochs", "runs", (("run", "run"),), exported="run"),
    Table("inbox", "runs", (("run id", "run_id"),), exported="run"),
    Table(
        "turns",
        "runs",
        (("thread", "thread"), ("run id", "run_id")),
        why="it says which process is at work, which is none where an export goes",
    ),
    Table("facts", "memory", (("thread", "thread"), ("resource", "resource_id")), exported="facts"),
    Table(
        "views", "memory", (("branch", "branch"),), why="it is made anew from the messages, and goes with any of them"
    ),
    Table("view_sources", "memory", (("branch", "branch"),), why="it says what a view was made from"),
    Table("sessions", "memory", (("resource", "resource_id"),), exported="session", kept="for ever, as threads are"),
    # Behind the messages: what leaves the index is known by them.
    Table("to_index", "search index", (("branch", "branch"),), rest=("seq", "kind"), why=_DERIVED),
    Table("vectors", "search index", (("branch", "branch"),), rest=("space", "seq"), why=_DERIVED),
    Table("vector_counts", "search index", (("branch", "branch"),), why=_DERIVED),
    Table("fulltext", "search index", (("none", ""),), why=_DERIVED, kept="as its message is", counted=False),
    Table("spaces", "search index", (("none", ""),), why="it names embedding models", kept="a week after its last use"),
    Table(
        "experience",
        "learned",
        (("none", ""),),
        exported="experience",
        why="it is about models, not about people",
        kept="for ever, the newest",
    ),
    # A trace outlives its run's journal; it goes by its own age, or with what is erased.
    Table("traces", "telemetry", (("trace", "key"),), why=_MEASURED),
    Table("trace_names", "telemetry", (("trace", "trace"),), rest=("name",), why=_MEASURED),
    Table("spans", "telemetry", (("trace", "trace"),), rest=("number",), why=_MEASURED),
    Table("packed_spans", "telemetry", (("trace", "trace"),), rest=("first",), why=_MEASURED),
    Table(
        "sums",
        "telemetry",
        (("none", ""),),
        why="it adds up times and tokens, and names agents, models and tools",
        kept="telemetry_days",
    ),
    Table("name_sets", "telemetry", (("none", ""),), why="it names models and tools", kept="for ever"),
    Table("names", "telemetry", (("none", ""),), why="it names agents, models and tools", kept="for ever"),
    Table(
        "removed", "bookkeeping", (("none", ""),), why="it names rows that are about to go", kept="until they are gone"
    ),
    Table("lumosai", "bookkeeping", (("none", ""),), why="it counts the steps of the schema", kept="for ever"),
)
"""All of them."""

REFERRING: Final = tuple(t.name for t in TABLES if t.refers)
"""Those that say which contents are in use."""


def of(root: Root, *, many: bool | None = None) -> tuple[tuple[str, str], ...]:
    """The tables whose rows belong to such a thing, each with the column that says to which; last the thing's own.

    Args:
        root: what they belong to.
        many: only those whose rows are many, or are not.
    """
    found = [
        (t.name, column)
        for t in TABLES
        for kind, column in t.roots
        if kind == root and (many is None or many == bool(t.rest))
    ]
    return tuple(sorted(found, key=lambda f: f[1] == "key"))


def unused() -> str:
    """The condition under which a row of `contents` is referred to by nobody."""
    return " AND ".join(f"NOT EXISTS (SELECT 1 FROM {name} WHERE {name}.content = contents.key)" for name in REFERRING)
