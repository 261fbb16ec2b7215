"""Whatever a migration adds is known to all that must find everything: deleting, erasing, retention, export, checks."""

from __future__ import annotations

import sqlite3

from lumosai.storage import _sqlite_run as sqlite
from lumosai.storage import _tables as tables
from lumosai.storage._lines import KINDS
from lumosai.storage._migrations import MIGRATIONS


def schema() -> dict[str, list[tuple[str, bool]]]:
    """Every table of the newest schema: its columns, and whether each is of the primary key."""
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE lumosai (number INTEGER PRIMARY KEY, oldest INTEGER NOT NULL, at REAL NOT NULL)")
    for migration in MIGRATIONS:
        for statement in migration.statements:
            connection.execute(sqlite.spelled(statement))
    names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name <> 'sqlite_sequence'")
    found = {
        name: [(row[1], bool(row[5])) for row in connection.execute(f"PRAGMA table_info({name})")]
        for (name,) in names.fetchall()
        if not name.startswith("fulltext_")  # what the full text is made of
    }
    connection.close()
    return found


def test_every_table_says_what_becomes_of_its_rows() -> None:
    """The list is the schema's: no table is missing, none is too many, and its columns are there."""
    there = schema()
    assert sorted(t.name for t in tables.TABLES) == sorted(there)
    for table in tables.TABLES:
        columns = dict(there[table.name])
        assert table.roots, f"{table.name} belongs to nothing: who deletes its rows?"
        for root, column in table.roots:
            assert (root == "none") == (column == ""), table.name
            assert root == "none" or column in columns, table.name
        if table.rest:
            key = {name for name, of_key in columns.items() if of_key}
            assert key <= {table.roots[0][1], *table.rest}, f"{table.name}: its rows cannot be told apart"


def test_every_table_is_erased_and_exported_or_says_why_not() -> None:
    """What belongs to a thread or run goes with it; what does not, or is not written out, has its reason."""
    for table in tables.TABLES:
        erased = any(root != "none" for root, _ in table.roots)
        assert table.why or (erased and table.exported), f"{table.name}: neither erased nor exported, and no reason"


def test_every_table_is_kept_for_a_time_that_is_said() -> None:
    """By the age of its thread, run or trace, for as long as it is referred to, or by a word of its own."""
    for table in tables.TABLES:
        aged = {root for root, _ in table.roots} & {"thread", "branch", "run", "run id", "trace", "content", "tenant"}
        assert bool(aged) != bool(table.kept), f"{table.name}: how long are its rows kept?"
        assert not table.exported or table.exported in KINDS, f"{table.name}: an export has no line {table.exported!r}"


def test_every_reference_to_contents_keeps_them() -> None:
    """A table with a key of contents says so, or what it refers to would be removed under it."""
    for name, columns in schema().items():
        names = {column for column, _ in columns}
        assert ("content" in names) == (name in tables.REFERRING), name
