"""`csv`: questions to CSV files in SQL, which even small models write well.

The files are read into an SQLite database in memory that nothing can leave (`_readonly`): only SELECT is authorised, no other
database can be attached, and each query is bounded in time, rows and the size of any value. Structured filters would
be a language of our own that no model has seen, and less of one.
"""

from __future__ import annotations

import csv
import io
import re
import threading
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lumosai.errors import ConfigurationError, ToolError
from lumosai.tools.base import Tool, tool
from lumosai.tools.toolkits._csv import RESERVED, Table, load, table_name
from lumosai.tools.toolkits._text import cut, did_you_mean

if TYPE_CHECKING:
    import os
    import sqlite3
    from collections.abc import Sequence

MAX_BYTES = 20_000_000
SHOWN_ROWS = 100
SHOWN_CHARS = 20_000
SHOWN_CELL = 500
SUFFIXES = (".csv", ".tsv", ".tab")
_DESCRIBED_CHARS = 300


def tables(
    path: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    *,
    max_bytes: int = MAX_BYTES,
    timeout_s: float = 5.0,
) -> list[Tool]:
    """A tool for SQL over CSV files: `query_table`.

    A file is a table named after it; its first line names the columns. A delimiter of `, ; |` or tab, the encoding and columns
    of whole and decimal numbers are found by themselves. A changed file is read again.

    Args:
        path: a CSV file, a folder of them, or several files.
        max_bytes: how much is read, all files together.
        timeout_s: seconds a query may take.

    Raises:
        ConfigurationError: no such file, or none that can be read.
    """
    data = _Data(_files(path), max_bytes, timeout_s)
    try:
        described = data.brief()
    except ToolError as error:
        raise ConfigurationError(f"csv: {error}") from error

    @tool(effect="pure", description=f"Query tables by SQL (SQLite, SELECT only). {described}")
    def query_table(sql: str = "") -> str:
        """Query tables by SQL.

        Args:
            sql: one SELECT; empty shows the tables and their columns.
        """
        return data.query(sql) if sql.strip() else data.describe()

    return [query_table]


def _files(path: str | os.PathLike[str] | Sequence[str | os.PathLike[str]]) -> tuple[Path, ...]:
    given = [
        Path(each).expanduser() for each in ([path] if isinstance(path, str) or hasattr(path, "__fspath__") else path)
    ]
    found: list[Path] = []
    for each in given:
        if each.is_dir():
            found += sorted(f for f in each.iterdir() if f.suffix.lower() in SUFFIXES and f.is_file())
        elif each.is_file():
            found.append(each)
        else:
            raise ConfigurationError(f"csv: there is no file {str(each)!r}")
    if not found:
        raise ConfigurationError(
            f"csv: there is no {' or '.join(SUFFIXES)} file in {', '.join(map(str, given)) or 'nothing'}"
        )
    return tuple(found)


class _Data:
    """The files, and the database they are in at the moment. Thread-safe: one query at a time."""

    def __init__(self, files: tuple[Path, ...], max_bytes: int, timeout_s: float) -> None:
        self.files = files
        self.max_bytes = max_bytes
        self.timeout_s = timeout_s
        self.lock = threading.Lock()
        self.stamps: list[tuple[int, int]] = []
        self.database: sqlite3.Connection | None = None
        self.known: list[Table] = []

    def brief(self) -> str:
        """Tables and columns in one line, as far as they fit."""
        with self.lock:
            self.current()
        names = "; ".join(f"{t.name}({', '.join(_sql_name(c.name) for c in t.columns)})" for t in self.known)
        return f"Tables: {names}." if len(names) <= _DESCRIBED_CHARS else "An empty query shows the tables."

    def describe(self) -> str:
        """Each table with its columns, their types and its first rows."""
        with self.lock:
            database = self.current()
            return cut("\n\n".join(_described(database, table) for table in self.known), SHOWN_CHARS)

    def query(self, sql: str) -> str:
        """The rows of one SELECT, as CSV.

        Raises:
            ToolError: not one SELECT, wrong SQL, or too long in time.
        """
        import sqlite3

        from lumosai.tools.toolkits._readonly import bound

        with self.lock:
            database = self.current()
            bound(database, self.timeout_s)
            try:
                with closing(database.execute(sql)) as cursor:
                    if cursor.description is None:
                        raise ToolError("only a SELECT can be run: these tables are for reading")
                    rows = cursor.fetchmany(SHOWN_ROWS + 1)
                    return _shown([column[0] for column in cursor.description], rows)
            except (sqlite3.Error, sqlite3.Warning, OverflowError, ValueError) as error:
                # Besides SQL errors: a number above 64 bits, and a NUL in the text.
                raise ToolError(self.explain(str(error))) from None

    def explain(self, problem: str) -> str:
        """SQLite's message with what helps against it."""
        if problem == "interrupted":
            return f"the query took more than {self.timeout_s:g} s: ask for less"
        if "not authorized" in problem or "prohibited" in problem:
            return f"only a SELECT over these tables can be run ({problem})"
        if "user-defined function" in problem:
            return "a text function was given what it cannot take, or would build more than some megabytes"
        missing = re.search(r"no such (?:column|table): (.+)", problem)
        if missing is None:
            return f"SQLite says: {problem}"
        known = [*(t.name for t in self.known), *(c.name for t in self.known for c in t.columns)]
        near = did_you_mean(missing[1].rpartition(".")[2].strip('"'), known) or f" There are: {', '.join(known)}"
        return cut(f"SQLite says: {problem}.{near}", SHOWN_CELL)

    def current(self) -> sqlite3.Connection:
        """The database with the files as they are now."""
        try:
            stamps = [(s.st_mtime_ns, s.st_size) for s in (path.stat() for path in self.files)]
        except OSError as error:
            raise ToolError(f"cannot read {Path(error.filename or '').name!r}: {error.strerror}") from None
        if self.database is None or stamps != self.stamps:
            self.known = self.read()
            self.stamps = stamps
        assert self.database is not None  # noqa: S101  # `read` has set it
        return self.database

    def read(self) -> list[Table]:
        import sqlite3

        from lumosai.tools.toolkits._readonly import close_in

        # Threads take turns under the lock.
        fresh = sqlite3.connect(":memory:", check_same_thread=False, isolation_level=None)
        known: list[Table] = []
        left = self.max_bytes
        try:
            for path in self.files:
                name = table_name(path, [table.name for table in known])
                known.append(load(fresh, name, path, left))
                left -= path.stat().st_size
            close_in(fresh)
        except BaseException:
            fresh.close()
            raise
        if self.database is not None:
            self.database.close()
        self.database = fresh
        return known

    def __del__(self) -> None:
        if self.database is not None:
            self.database.close()


def _described(database: sqlite3.Connection, table: Table) -> str:
    columns = ", ".join(f"{_sql_name(c.name)} {c.type}" for c in table.columns)
    head = f"{table.name} ({columns}): {table.rows} rows" + (f"; {table.note}" if table.note else "")
    cursor = database.execute(f"SELECT * FROM {_sql_name(table.name)} LIMIT 3")  # noqa: S608  # a name of ours
    return f"{head}\n{_shown([c.name for c in table.columns], cursor.fetchall())}"


def _sql_name(name: str) -> str:
    """The name as it must be written in SQL."""
    plain = re.fullmatch(r"[^\W\d]\w*", name) is not None and name.lower() not in RESERVED
    return name if plain else '"' + name.replace('"', '""') + '"'


def _shown(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    if not rows:
        return "no rows"
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(header)
    writer.writerows([_cell(value) for value in row] for row in rows[:SHOWN_ROWS])
    text = cut(out.getvalue().rstrip("\n"), SHOWN_CHARS, "select fewer columns or rows")
    return text + (f"\n[the first {SHOWN_ROWS} rows; there are more]" if len(rows) > SHOWN_ROWS else "")


def _cell(value: Any) -> Any:
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if isinstance(value, float):
        return f"{value:.15g}"
    return f"{value[:SHOWN_CELL]}…" if isinstance(value, str) and len(value) > SHOWN_CELL else value
