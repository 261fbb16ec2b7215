"""The json toolkit: JMESPath over JSON files, bounded in time and size."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lumosai.errors import ConfigurationError, MissingExtraError, ToolError
from lumosai.tools.toolkits.documents import documents, outline, weight
from tests.conftest import examples

USERS = {"users": [{"name": "Alice", "age": 30}, {"name": "鲍勃", "age": 5}], "n": 1}

needs_jmespath = pytest.mark.skipif(find_spec("jmespath") is None, reason="the optional part 'tools' is not installed")


def query(path: Path, value: Any = USERS, **options: float) -> Callable[..., str]:
    path.write_text(value if isinstance(value, str) else json.dumps(value))
    return documents(path, **options)[0].fn


def refused(call: Callable[..., str], *args: str) -> str:
    with pytest.raises(ToolError) as caught:
        call(*args)
    return str(caught.value)


def test_without_the_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the library is not installed, the error says what to install, when the tool is made."""
    monkeypatch.setitem(documents.__globals__, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"pip install 'lumosai\[tools\]'"):
        documents(tmp_path)


@needs_jmespath
@pytest.mark.parametrize(
    ("expression", "shown"),
    [
        ("users[?age > `10`].name", '["Alice"]'),
        ("users[].[name, age]", '[["Alice",30],["鲍勃",5]]'),
        ("sum(users[].age)", "35"),
        ("max_by(users, &age).name", '"Alice"'),
        ("$.users[1].name", '"鲍勃"'),
        ("$", '{"users":[{"name":"Alice","age":30},{"name":"鲍勃","age":5}],"n":1}'),
        ("@.n", "1"),
        ("nope", "null (nothing is found there; an empty expression shows the structure)"),
        ("", "{users: list of 2 {name: string, age: number}, n: number}"),
    ],
)
def test_expression(tmp_path: Path, expression: str, shown: str) -> None:
    """What is found is given as JSON; an empty expression shows the structure."""
    assert query(tmp_path / "a.json")(expression) == shown


@needs_jmespath
def test_folder_of_files(tmp_path: Path) -> None:
    """The files of a folder are asked by name; lines of JSON are a list."""
    (tmp_path / "a.json").write_text('{"x": 1}')
    (tmp_path / "b.jsonl").write_text('{"y": "\u2028"}\n\n{"y": 3}\n')
    (tool,) = documents(tmp_path)
    assert tool.description == "Query JSON documents by JMESPath. Files: a.json, b.jsonl."
    assert tool.fn("a.json", "x") == "1"
    assert tool.fn("b.jsonl", "[].y") == '["\u2028",3]'
    assert "Did you mean 'a.json'" in refused(tool.fn, "a.jsn", "x")
    assert "There are: a.json, b.jsonl" in refused(tool.fn, "../../etc/passwd", "x")


@needs_jmespath
def test_description_shows_the_structure(tmp_path: Path) -> None:
    """The model sees the shape of a single document without a call."""
    (tmp_path / "a.json").write_text(json.dumps(USERS))
    assert documents(tmp_path / "a.json")[0].description.endswith("It is {users: list of 2 object of 2, n: number}.")
    (tmp_path / "a.json").write_text(json.dumps({f"key {i}": i for i in range(99)}))
    assert documents(tmp_path / "a.json")[0].description.endswith("An empty expression shows its structure.")


@needs_jmespath
@pytest.mark.parametrize(
    ("expression", "hint"),
    [
        ("users[?age > 10].name", "numbers stand in backticks"),
        ("users[*", "Incomplete expression"),
        ("foo(@)", "Unknown function: foo()"),
        ("sum(users)", "sum()"),
        ("sort_by(users, &nope)", "sort_by()"),
        ("users[::0]", "not a JMESPath expression that works here"),
        ("(" * 900, "nested too deeply"),
        ("a" * 3000, "at most 2000"),
        ("\x00", "not a JMESPath expression"),
        ("&users", "cannot be written as JSON"),
    ],
)
def test_wrong_expression(tmp_path: Path, expression: str, hint: str) -> None:
    """The error is the library's own, with what usually helps."""
    assert hint in refused(query(tmp_path / "a.json"), expression)


@needs_jmespath
@pytest.mark.parametrize(
    "expression",
    [
        "|".join(["[@,@]"] * 60),
        "|".join(["[@,@][]"] * 60),
        "|".join(["{a:@,b:@,c:@}"] * 60),
        "[" + "@," * 500 + "@][]" * 1,
    ],
)
def test_expression_that_builds_without_end(tmp_path: Path, expression: str) -> None:
    """A short expression whose answer would double at each step ends early."""
    ask = query(tmp_path / "a.json", timeout_s=2.0)
    try:
        assert len(ask(expression)) < 21_000
    except ToolError as error:
        assert "ask for less" in str(error)


@needs_jmespath
def test_slow_expression(tmp_path: Path) -> None:
    """A query that takes too long ends after its time."""
    ask = query(tmp_path / "a.json", list(range(3000)), timeout_s=0.2)
    assert "more than 0.2 s" in refused(ask, "map(&length(map(&@, `" + json.dumps(list(range(300))) + "`)), @)")


@needs_jmespath
def test_long_answer_is_cut(tmp_path: Path) -> None:
    """An answer does not flood the model's context, and says what is missing."""
    shown = query(tmp_path / "a.json", ["x" * 100] * 1000)("@")
    assert len(shown) < 20_100
    assert "more characters; ask for less of it]" in shown


@needs_jmespath
def test_changed_file_is_read_again(tmp_path: Path) -> None:
    """A query sees the file as it is."""
    path = tmp_path / "a.json"
    ask = query(path)
    path.write_text('{"n": 22}')
    assert ask("n") == "22"
    path.write_text("{")
    assert "'a.json' is not JSON" in refused(ask, "n")
    path.unlink()
    assert "cannot read 'a.json'" in refused(ask, "n")


@needs_jmespath
@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "not JSON"),
        (b"{]", "not JSON"),
        (b"\x00\x01", "binary"),
        (b"[" * 100_000, "not JSON"),
        (b"[1]" + b" " * 100, "more than 50 bytes"),
    ],
)
def test_file_that_cannot_be_read(tmp_path: Path, data: bytes, message: str) -> None:
    """A file that is no JSON is found when the tool is made, and named."""
    path = tmp_path / "a.json"
    path.write_bytes(data)
    with pytest.raises(ConfigurationError, match=f"'a.json'.*{message}"):
        documents(path, max_bytes=50 if message.startswith("more") else 10**6)


@needs_jmespath
def test_files_that_are_not_there(tmp_path: Path) -> None:
    """A missing file and an empty folder are told at once."""
    with pytest.raises(ConfigurationError, match="there is no file"):
        documents(tmp_path / "x.json")
    with pytest.raises(ConfigurationError, match=r"there is no \.json"):
        documents(tmp_path)


@needs_jmespath
def test_other_encodings(tmp_path: Path) -> None:
    """JSON that some programs write in UTF-16 or with a mark is read too."""
    (tmp_path / "a.json").write_bytes('{"汉": "字"}'.encode("utf-16"))
    assert documents(tmp_path / "a.json")[0].fn('"汉"') == '"字"'


@needs_jmespath
def test_json_that_only_some_programs_write(tmp_path: Path) -> None:
    """NaN is read as null, and a lone half of a character does not make the rest unreadable."""
    ask = query(tmp_path / "a.json", '{"a": NaN, "b": [1, -Infinity], "c": "\\ud800"}')
    assert ask("b") == "[1,null]"
    assert ask("a").startswith("null")
    assert "cannot be written as JSON" in refused(ask, "c")


def test_weight_counts_what_is_held_twice_as_often() -> None:
    """A value that is small in memory and endless when written out weighs what it would be written out."""
    value: Any = [1]
    for _ in range(10):
        value = [value, value]
    assert weight(value, 10**6) == 2**10 * 3 - 1
    for _ in range(50):
        value = {"a": value, "b": value}
    assert weight(value, 1000) == 1001


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ({}, "{}"),
        ([], "list of 0"),
        ([1, "a"], "list of 2 number"),
        ({"a": True, "b": None, "c": 1.5}, "{a: boolean, b: null, c: number}"),
        ({"a": {"b": {"c": {"d": {"e": 1}}}}}, "{a: {b: {c: {d: object of 1}}}}"),
    ],
)
def test_outline(value: Any, shown: str) -> None:
    """The structure is told in one line, to a few levels."""
    assert outline(value) == shown


values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)


@needs_jmespath
@settings(max_examples=examples(100), deadline=None)
@given(values)
def test_whole_document_comes_back(tmp_path_factory: pytest.TempPathFactory, value: Any) -> None:
    """`@` gives the document as it is."""
    shown = query(tmp_path_factory.mktemp("json") / "a.json", {"v": value})("@")
    assert json.loads(shown) == {"v": value}


@needs_jmespath
@settings(max_examples=examples(150), deadline=None)
@given(st.text(alphabet="users[]?*.name()&@|`'\"{}:,<>=! 01n-", max_size=30))
def test_any_expression_answers_or_raises_ours(tmp_path_factory: pytest.TempPathFactory, expression: str) -> None:
    """No expression raises anything but a ToolError."""
    ask = query(tmp_path_factory.mktemp("json") / "a.json")
    try:
        assert isinstance(ask(expression), str)
    except ToolError as error:
        assert str(error)
