"""CSV files as tables of an SQLite database in memory: delimiter, encoding and column types are found by looking."""

from __future__ import annotations

import csv
import io
import re
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from lumosai.errors import ToolError
from lumosai.tools.toolkits._text import decode

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

MAX_COLUMNS = 500
_DELIMITERS = ",;\t|"
_SAMPLE_LINES = 50
RESERVED = frozenset(
    {
        *("add", "all", "alter", "and", "as", "autoincrement", "between", "case", "check", "collate", "commit"),
        *("constraint", "create", "default", "deferrable", "delete", "distinct", "drop", "else", "escape"),
        *("except", "exists", "foreign", "from", "group", "having", "if", "in", "index", "insert", "intersect"),
        *("into", "is", "isnull", "join", "limit", "natural", "not", "nothing", "notnull", "null", "on", "or"),
        *("order", "primary", "references", "returning", "select", "set", "table", "then", "to", "transaction"),
        *("union", "unique", "update", "using", "values", "when", "where"),
    }
)
"""The words that SQLite takes for a name only in quotes, in lower case."""
_INTEGER = re.compile(r"[+-]?(?:0|[1-9][0-9]{0,17})")
_REAL = re.compile(r"[+-]?(?:(?:0|[1-9][0-9]*)(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?")
_COMMA = re.compile(r"[+-]?(?:[0-9]{1,3}(?:\.[0-9]{3})+|[0-9]+),[0-9]+")
_GROUPED = re.compile(r"[+-]?[1-9][0-9]{0,2}(?:,[0-9]{3}){1,5}(?:\.[0-9]+)?")

Cell = int | float | str | None


class Column(NamedTuple):
    """A column's name and its SQLite type: INTEGER, REAL or TEXT; and whether its decimals are written `1,5`."""

    name: str
    type: str
    comma: bool = False


class Table(NamedTuple):
    """What is known of a table without its rows.

    Attributes:
        name: as in SQL, without quotes.
        columns: in order.
        rows: how many.
        note: what was left out or is odd, empty where nothing is.
    """

    name: str
    columns: tuple[Column, ...]
    rows: int
    note: str = ""


def table_name(path: Path, taken: Sequence[str]) -> str:
    """A name for the file's table that needs no quotes in SQL, and that no other has."""
    name = re.sub(r"\W+", "_", path.stem).strip("_") or "data"
    if not (name[0].isalpha() or name[0] == "_"):
        name = f"t_{name}"
    lowered = {each.lower() for each in taken} | RESERVED
    candidates = (name if n == 1 else f"{name}_{n}" for n in range(1, len(lowered) + 2))
    return next(each for each in candidates if each.lower() not in lowered)


def load(database: sqlite3.Connection, name: str, path: Path, max_bytes: int) -> Table:
    """Reads the file into a new table of the database.

    Raises:
        ToolError: it cannot be read, is too large, is not text or has no header.
    """
    [delimiter], header, *rows = _cells(_read(path, max_bytes), path)
    # Where a comma parts the cells it cannot be the decimal sign.
    columns = _columns(header, rows, commas=delimiter != ",")
    quoted = [_quote(column.name) for column in columns]
    definition = ", ".join(f"{q} {c.type}" for q, c in zip(quoted, columns, strict=True))
    database.execute(f"CREATE TABLE {_quote(name)} ({definition})")
    marks = ", ".join("?" * len(columns))
    longer = sum(len(row) > len(columns) for row in rows)
    database.executemany(f"INSERT INTO {_quote(name)} VALUES ({marks})", _typed(rows, columns))  # noqa: S608  # quoted names
    note = f"{longer} rows have more cells than the header; the rest is left out" if longer else ""
    return Table(name, columns, len(rows), note)


def _read(path: Path, max_bytes: int) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(max_bytes + 1)
    except OSError as error:
        raise ToolError(f"cannot read {path.name!r}: {error.strerror}") from None
    if len(data) > max_bytes:
        raise ToolError(f"{path.name!r} is too large: {max_bytes} bytes could still be read")
    found = decode(data)
    if found is None:
        raise ToolError(f"{path.name!r} is not a text file but binary data")
    return found[0]


def _cells(text: str, path: Path) -> list[list[str]]:
    """The delimiter in a row of its own, then the header, then the rows."""
    delimiter = "\t" if path.suffix.lower() in (".tsv", ".tab") else _delimiter(text)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True)
    try:
        rows = [row for row in reader if any(row)]
    except csv.Error as error:
        raise ToolError(f"{path.name!r}, line {reader.line_num}, is not CSV that can be read: {error}") from None
    if not rows:
        raise ToolError(f"{path.name!r} is empty: there is no header line")
    if len(rows[0]) > MAX_COLUMNS:
        raise ToolError(f"{path.name!r} has {len(rows[0])} columns: at most {MAX_COLUMNS} are read")
    return [[delimiter], *rows]


def _delimiter(text: str) -> str:
    """The sign that parts the first lines into the same number of cells, and into most."""
    lines = list(islice(io.StringIO(text), _SAMPLE_LINES))

    def score(delimiter: str) -> tuple[bool, int]:
        try:
            widths = [len(row) for row in csv.reader(lines, delimiter=delimiter) if row]
        except csv.Error:
            return False, 0
        return len(set(widths[:-1] or widths)) == 1 and widths[0] > 1, widths[0] if widths else 0

    return max(_DELIMITERS, key=score)


def _columns(header: Sequence[str], rows: Sequence[Sequence[str]], *, commas: bool) -> tuple[Column, ...]:
    columns: list[Column] = []
    taken: set[str] = set()
    for i, title in enumerate(header):
        name = stem = " ".join(title.replace("\0", "").split()) or f"column_{i + 1}"
        n = 1
        while name.lower() in taken:
            n += 1
            name = f"{stem}_{n}"
        taken.add(name.lower())
        columns.append(_column(name, [row[i].strip() for row in rows if i < len(row)], commas=commas))
    return tuple(columns)


def _column(name: str, values: Sequence[str], *, commas: bool) -> Column:
    kind = _type(values)
    if (
        kind == "TEXT"
        and commas
        and _type([_with_point(value) if _COMMA.fullmatch(value) else value for value in values]) == "REAL"
    ):
        return Column(name, "REAL", comma=True)
    return Column(name, kind)


def _type(values: Sequence[str]) -> str:
    """INTEGER or REAL where every cell that is not empty is one; `007` is text, as in a post code."""
    kind = ""
    for value in values:
        if not value:
            continue
        if _INTEGER.fullmatch(value) or (_GROUPED.fullmatch(value) and "." not in value):
            kind = kind or "INTEGER"
        elif _REAL.fullmatch(value) or _GROUPED.fullmatch(value):
            kind = "REAL"
        else:
            return "TEXT"
    return kind or "TEXT"


def _with_point(value: str) -> str:
    return value.replace(".", "").replace(",", ".")


def _typed(rows: Sequence[Sequence[str]], columns: Sequence[Column]) -> Iterator[list[Cell]]:
    convert = [_CONVERT[column.type, column.comma] for column in columns]
    for row in rows:
        cells = [make(cell) for make, cell in zip(convert, row, strict=False)]
        yield cells + [None] * (len(columns) - len(cells))


def _integer(cell: str) -> int | None:
    return int(cell.replace(",", "")) if cell.strip() else None


def _real(cell: str) -> float | None:
    return float(cell.replace(",", "")) if cell.strip() else None


def _comma_real(cell: str) -> float | None:
    return _real(_with_point(cell))


def _plain(cell: str) -> str | None:
    return cell.strip() or None


_CONVERT: dict[tuple[str, bool], Callable[[str], Cell]] = {
    ("INTEGER", False): _integer,
    ("REAL", False): _real,
    ("REAL", True): _comma_real,
    ("TEXT", False): _plain,
}


def _quote(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
