"""The csv toolkit: SQL over CSV files, and nothing but reading them."""

from __future__ import annotations

import csv
import io
import os
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lumosai.errors import ConfigurationError, ToolError
from lumosai.tools.toolkits.tables import tables
from tests.conftest import examples

PEOPLE = "name,age,city name,zip\nAlice,30,Paris,01000\nBob,25,,10000\nCarol,41,Rome,00100\n"


def query(path: Path, text: str | bytes = PEOPLE, **options: float) -> Callable[..., str]:
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return tables(path, **options)[0].fn


def refused(call: Callable[..., str], sql: str) -> str:
    with pytest.raises(ToolError) as caught:
        call(sql)
    return str(caught.value)


def long_text(size: int) -> str:
    """SQL for a text of `size` letters, `size` a power of ten."""
    return "'a'" if size == 1 else f"replace({long_text(size // 10)}, 'a', 'aaaaaaaaaa')"


def test_rows_come_as_csv(tmp_path: Path) -> None:
    """A query gives its rows under their names; an empty cell is NULL."""
    ask = query(tmp_path / "people.csv")
    assert ask("SELECT name, age FROM people WHERE age > 28 ORDER BY age DESC") == "name,age\nCarol,41\nAlice,30"
    assert ask('SELECT count(*) n FROM people WHERE "city name" IS NULL') == "n\n1"
    assert ask("SELECT avg(age) FROM people") == "avg(age)\n32"
    assert ask("SELECT * FROM people WHERE age > 99") == "no rows"


def test_description_names_the_tables(tmp_path: Path) -> None:
    """The model sees tables and columns, as they must be written, without a call."""
    (tmp_path / "people.csv").write_text(PEOPLE)
    (tmp_path / "order.csv").write_text("when,id\n1,2\n")
    (tool,) = tables(tmp_path)
    assert tool.description.endswith('Tables: order_2("when", id); people(name, age, "city name", zip).')
    (tmp_path / "wide.csv").write_text(",".join(f"column{i}" for i in range(100)) + "\n")
    assert "An empty query shows" in tables(tmp_path)[0].description


def test_empty_query_describes(tmp_path: Path) -> None:
    """Types, number of rows and the first of them are shown; `00100` stays a text."""
    shown = query(tmp_path / "people.csv")("")
    assert 'people (name TEXT, age INTEGER, "city name" TEXT, zip TEXT): 3 rows' in shown
    assert "Carol,41,Rome,00100" in shown


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("a;b\n1;2,5\n3;4,25\n", "a,b\n1,2.5\n3,4.25"),
        ("a;b\n1;1.234,5\n", "a,b\n1,1234.5"),
        ("a\tb\nx\t2\n", "a,b\nx,2"),
        ("a|b\nx|y\n", "a,b\nx,y"),
        ('a,b\n"x, y","1,234.5"\n', 'a,b\n"x, y",1234.5'),
        ('a,b\n"line\nbreak",2\n', 'a,b\n"line\nbreak",2'),
        ("a\n1\n2\n", "a\n1\n2"),
        ("a,a,\n1,2,3\n", "a,a_2,column_3\n1,2,3"),
        ("a,b\n1\n1,2,3\n", "a,b\n1,\n1,2"),
        ("a,b\n\n1,2\n\n", "a,b\n1,2"),
        ("a,b\r\n1,2\r\n", "a,b\n1,2"),
        ("a\n12345678901234567890123\n", "a\n12345678901234567890123"),
        ('a\n"9,999,999,999,999,999,999"\n', 'a\n"9,999,999,999,999,999,999"'),
        ("城市,人口\n北京,2189万\n".encode("gb18030"), "城市,人口\n北京,2189万"),
        ("\ufeffa,b\n1,2\n", "a,b\n1,2"),
        ('a,b\n"say ""hi""",\'x\'\n', 'a,b\n"say ""hi""",\'x\''),
    ],
)
def test_forms_of_csv(tmp_path: Path, text: str | bytes, rows: str) -> None:
    """Delimiter, encoding, line ends and number formats are found by looking."""
    shown = query(tmp_path / "t.csv", text)("SELECT * FROM t")
    if "123456789012345678901" in rows:
        assert shown == "a\n1.23456789012346e+22"
    else:
        assert shown == rows


def test_longer_rows_are_told_of(tmp_path: Path) -> None:
    """Cells beyond the header are left out, and the description says so."""
    assert "1 rows have more cells than the header" in query(tmp_path / "t.csv", "a\n1,2\n")("")


@pytest.mark.parametrize(
    "sql",
    [
        "DROP TABLE people",
        "DELETE FROM people",
        "INSERT INTO people VALUES (1,2,3,4)",
        "UPDATE people SET age = 1",
        "CREATE TABLE x(y)",
        "CREATE TEMP TABLE x(y)",
        "WITH x AS (SELECT 1) DELETE FROM people",
        "PRAGMA journal_mode",
        "SELECT * FROM pragma_table_info('people')",
        "ATTACH '{folder}/evil.db' AS evil",
        "VACUUM INTO '{folder}/evil.db'",
        "SELECT load_extension('evil')",
        "SELECT writefile('{folder}/evil.db', 'x')",
        "SELECT readfile('/etc/passwd')",
        "SELECT fts3_tokenizer('simple')",
        "BEGIN",
        "COMMIT",
        "ROLLBACK",
        "SAVEPOINT a",
        "DETACH main",
        "ANALYZE",
        "REINDEX",
        "SELECT 1; DROP TABLE people",
        "-- nothing",
        "   ;",
        "SELECT '\x00",
        "SELECT \ud800",
    ],
)
def test_only_reading(tmp_path: Path, sql: str) -> None:
    """Whatever else SQL can do is refused, and the table is as before."""
    ask = query(tmp_path / "people.csv")
    assert refused(ask, sql.format(folder=tmp_path))
    assert ask("SELECT count(*) FROM people").endswith("3")
    assert os.listdir(tmp_path) == ["people.csv"]


@pytest.mark.parametrize(
    ("sql", "hint"),
    [
        ("SELECT agee FROM people", "Did you mean 'age'?"),
        ("SELECT people.agee FROM people", "Did you mean 'age'?"),
        ("SELECT * FROM peeple", "Did you mean 'people'?"),
        ("SELECT qqqqqq FROM people", "There are: people, name, age"),
        ("SELEC 1", "syntax error"),
        ("SELECT sum(1, 2, 3)", "wrong number of arguments"),
        ("SELECT abs(-9223372036854775808)", "integer overflow"),
    ],
)
def test_wrong_sql(tmp_path: Path, sql: str, hint: str) -> None:
    """The error is SQLite's own, with names that look like the unknown one."""
    assert hint in refused(query(tmp_path / "people.csv"), sql)


@pytest.mark.parametrize(
    "sql",
    [
        "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c) SELECT max(x) FROM c",
        f"SELECT count(*) FROM {', '.join(f'people p{i}' for i in range(30))}",
    ],
)
def test_endless_query(tmp_path: Path, sql: str) -> None:
    """A query that would take for ever ends after its time, and the next one works."""
    ask = query(tmp_path / "people.csv", timeout_s=0.2)
    assert "more than 0.2 s" in refused(ask, sql)
    assert ask("SELECT 1") == "1\n1"


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT randomblob(1000000000)",
        "SELECT length(printf('%1000000000d', 1))",
        "SELECT zeroblob(1000000000)",
        "SELECT length(printf('%.*c', 900000000, 'x'))",
        f"SELECT length({long_text(10**9)})",
        "SELECT '" + "x" * 30_000 + "'",
        "SELECT " + "+".join(["1"] * 9000),
        "SELECT " + "(" * 500 + "1" + ")" * 500,
        "SELECT 'x' LIKE '" + "%a" * 200 + "'",
    ],
)
def test_query_that_would_take_the_memory(tmp_path: Path, sql: str) -> None:
    """No value, text or nesting grows beyond its limit."""
    assert len(refused(query(tmp_path / "people.csv"), sql)) < 600


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT instr(a, substr(a, 1, 500000) || 'b')",
        "SELECT length(replace(a, substr(a, 1, 500000) || 'b', 'x'))",
        "SELECT length(trim(a, substr(a, 1, 100000) || 'b'))",
        "SELECT a LIKE '%a%a%a%a%a%a%a%a%a%a%a%a%b'",
        "SELECT a GLOB '*a*a*a*a*a*a*a*a*a*a*b'",
    ],
)
def test_no_single_step_takes_long(tmp_path: Path, sql: str) -> None:
    """Between two looks at the clock nothing compares each letter with each."""
    began = time.process_time()
    shown = query(tmp_path / "people.csv")(f"{sql} FROM (SELECT {long_text(1_000_000)} AS a)")
    assert shown.endswith(("\n0", "\n1000000"))
    assert time.process_time() - began < 5


@pytest.mark.parametrize(
    ("sql", "value"),
    [
        ("instr('abcb', 'b')", "2"),
        ("instr('abc', 'x')", "0"),
        ("instr(123, 2)", "2"),
        ("instr(NULL, 'x')", ""),
        ("replace('aXbX', 'X', '--')", "a--b--"),
        ("replace('a', '', 'x')", "a"),
        ("trim('  a ')", "a"),
        ("trim('xxaxx', 'x') || ltrim('xa', 'x') || rtrim('ax', 'x')", "aaa"),
        ("printf('%.2f', 2.0/3)", "0.67"),
        ("printf('%d, %s', 3, 'x')", "3, x"),
        ("printf('%,d', 1234567)", "1,234,567"),
        ("format('%05d|%-5s|%+d|%5.1f|%%', 42, 'ab', 7, 2.25)", "00042|ab   |+7|  2.2|%"),
        ("round(2.567, 1)", "2.6"),
        ("upper(substr('hello', 1, 2)) || length('汉字')", "HE2"),
        ("strftime('%Y', '2026-03-05')", "2026"),
        ("date('2026-01-31', '+1 day')", "2026-02-01"),
        ("CASE WHEN 3 BETWEEN 1 AND 5 THEN coalesce(NULL, 'y') END", "y"),
        ("CAST('12' AS INTEGER) + 1", "13"),
        ("(SELECT group_concat(name, '+') FROM people)", "Alice+Bob+Carol"),
        ("(SELECT name FROM people WHERE name LIKE 'c%')", "Carol"),
        ("(SELECT row_number() OVER (ORDER BY age) FROM people WHERE name = 'Alice')", "1"),
    ],
)
def test_functions(tmp_path: Path, sql: str, value: str) -> None:
    """The usual functions are there and give what SQLite's own give."""
    shown = query(tmp_path / "people.csv")(f"SELECT {sql} AS v")
    assert list(csv.reader(io.StringIO(shown))) == [["v"], [value]]


def test_many_rows_and_long_cells_are_cut(tmp_path: Path) -> None:
    """A result does not flood the model's context, and says what is missing."""
    ask = query(tmp_path / "t.csv", "a,b\n" + "".join(f"{i},{'x' * 600}\n" for i in range(300)))
    shown = ask("SELECT a FROM t")
    assert shown.endswith("\n99\n[the first 100 rows; there are more]")
    assert "x" * 500 + "…" in ask("SELECT b FROM t LIMIT 1")
    assert len(ask("SELECT * FROM t")) < 20_200


def test_changed_file_is_read_again(tmp_path: Path) -> None:
    """A query sees the file as it is; where it is gone, it says so."""
    path = tmp_path / "t.csv"
    ask = query(path, "a\n1\n")
    path.write_text("a\n1\n22\n")
    assert ask("SELECT max(a) FROM t") == "max(a)\n22"
    path.write_text("")
    assert "empty" in refused(ask, "SELECT 1")
    path.unlink()
    assert "cannot read 't.csv'" in refused(ask, "SELECT 1")
    path.write_text("a\n7\n")
    assert ask("SELECT a FROM t") == "a\n7"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "is empty"),
        (b"\x00\x01", "binary"),
        (b"a\n" + b"x" * 200_000, "field larger"),
        (b"a," * 600, "at most 500"),
    ],
)
def test_file_that_cannot_be_read(tmp_path: Path, text: bytes, message: str) -> None:
    """A file that is no table is found when the tool is made, and named."""
    path = tmp_path / "t.csv"
    path.write_bytes(text)
    with pytest.raises(ConfigurationError, match=f"'t.csv'.*{message}"):
        tables(path)


def test_files_that_are_not_there(tmp_path: Path) -> None:
    """A missing file, an empty folder and too much data are told at once."""
    with pytest.raises(ConfigurationError, match="there is no file"):
        tables(tmp_path / "x.csv")
    with pytest.raises(ConfigurationError, match=r"there is no \.csv"):
        tables(tmp_path)
    with pytest.raises(ConfigurationError, match="nothing"):
        tables([])
    (tmp_path / "a.csv").write_text("a\n" + "1\n" * 50)
    (tmp_path / "b.csv").write_text("a\n" + "1\n" * 50)
    tables(tmp_path, max_bytes=204)
    with pytest.raises(ConfigurationError, match=r"'b\.csv' is too large"):
        tables(tmp_path, max_bytes=203)


def test_queries_from_many_threads(tmp_path: Path) -> None:
    """Calls that run side by side take turns."""
    ask = query(tmp_path / "people.csv")
    answers: list[str] = []
    threads = [threading.Thread(target=lambda: answers.append(ask("SELECT sum(age) FROM people"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == ["sum(age)\n96"] * 8


cells = st.text(
    st.characters(codec="utf-8", exclude_characters="\x00\r\n", exclude_categories=["Cs", "Cc"]), max_size=8
)


@settings(max_examples=examples(100), deadline=None)
@given(st.lists(st.tuples(cells, st.integers(-(10**17), 10**17)), min_size=1, max_size=8))
def test_what_is_written_is_read(tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, int]]) -> None:
    """Texts and numbers written by the csv module come back by SQL as SQLite itself would hold them."""
    path = tmp_path_factory.mktemp("csv") / "t.csv"
    out = io.StringIO()
    writer = csv.writer(out, quoting=csv.QUOTE_NONNUMERIC)
    writer.writerow(["text", "number"])
    writer.writerows((f"t{text}t", number) for text, number in rows)
    ask = query(path, out.getvalue())
    with sqlite3.connect(":memory:") as other:
        total = other.execute(f"SELECT {'+'.join(str(n) if n >= 0 else f'({n})' for _, n in rows)}").fetchone()[0]
    other.close()
    assert ask("SELECT sum(number) FROM t") == f"sum(number)\n{total}"
    shown = list(csv.reader(io.StringIO(ask("SELECT text FROM t"), newline="")))
    assert [row[0] for row in shown[1:]] == [f"t{text}t" for text, _ in rows]
