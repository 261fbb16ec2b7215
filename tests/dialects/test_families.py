"""Hand-written texts of one model family each: `families/*.json`, read by the dialect's name and on auto.

A file holds
    dialect: the name or an alias by which its texts are read
    tools: what is declared besides those of `tests/dialects/tools.py`, as parameters' schema by name
    calls: texts with `calls`, a list of [name, arguments], and the `content` that is left ("" where it is not given)
    negatives: texts that hold no call and of which no character is lost, or `content` is left
`"auto": false` at a text says that it is read so by name only, and on auto stays as it is; `auto_content` what is left on
auto, where that is something else.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lumosai.dialects import DIALECTS, get, parse
from lumosai.messages import ToolCallPart
from lumosai.records import ToolDefinition
from tests.conftest import THOROUGH
from tests.dialects.tools import TOOLS, in_pieces

FILES = {
    path.stem: json.loads(path.read_text(encoding="utf-8"))
    for path in sorted((Path(__file__).parent / "families").glob("*.json"))
}


def texts(kind: str) -> list:
    return [
        pytest.param(family, case, id=f"{family}: {case['id']}")
        for family, held in FILES.items()
        for case in held.get(kind, ())
    ]


def tools_of(family: str) -> list[ToolDefinition]:
    own = FILES[family].get("tools", {})
    return TOOLS + [ToolDefinition(name, f"About {name}.", schema) for name, schema in own.items()]


def ways(family: str, case: dict) -> list[str]:
    return [FILES[family]["dialect"], "auto"] if case.get("auto", True) else [FILES[family]["dialect"]]


def left(case: dict, dialect: str, otherwise: str) -> str:
    content = case.get("content", otherwise)
    return case.get("auto_content", content) if dialect == "auto" else content


@pytest.mark.parametrize(("family", "case"), texts("calls"))
def test_a_call_is_understood(family, case):
    """The calls are those that a reader sees, and what is left for the user holds nothing of their markup."""
    for dialect in ways(family, case):
        got = parse(case["text"], tools=tools_of(family), dialect=dialect)
        assert [[c.name, c.arguments] for c in got.calls] == case["calls"], dialect
        assert got.content == left(case, dialect, ""), dialect
    if not case.get("auto", True):
        assert parse(case["text"], tools=tools_of(family)).calls == ()


@pytest.mark.parametrize(("family", "case"), texts("negatives"))
def test_what_only_looks_like_a_call(family, case):
    """No call is seen in it, and not a character is lost."""
    for dialect in ways(family, case):
        got = parse(case["text"], tools=tools_of(family), dialect=dialect)
        assert got.calls == (), dialect
        assert got.content == left(case, dialect, case["text"]), dialect


@pytest.mark.parametrize(("family", "case"), texts("calls") + texts("negatives"))
def test_the_same_text_a_character_at_a_time(family, case):
    """A stream gives what the whole text gives."""
    tools = tools_of(family)
    for dialect in (FILES[family]["dialect"], "auto"):
        cuts = list(range(1, len(case["text"])))
        assert in_pieces(case["text"], cuts, tools, dialect) == parse(case["text"], tools=tools, dialect=dialect)


CALL = ToolCallPart("", "calculator", {"expression": "17 * 23"})
QUOTING = {
    "block quote": lambda text: "".join(f"> {line}\n" for line in text.split("\n")),
    "list": lambda text: f"Like so:\n\n- {text}\n",
    "numbers": lambda text: f"1. Say it.\n2. {text}",
    "table": lambda text: "| how |\n|---|\n| " + text.replace("\n", " ") + " |\n",
    "row": lambda text: "| " + text.replace("\n", " ") + " |",
    "inline code": lambda text: "It is `` " + text.replace("\n", " ") + " ``.",
    "quotation marks": lambda text: "He wrote “" + text.replace("\n", " ") + "” to me.",
    "fence, then prose": lambda text: f"````\n{text}\n````\nThat is how.",
    "fence of a language": lambda text: f"````python\n{text}\n````\n",
    "thought": lambda text: f"<think>\n{text}\n</think>\nNo.",
    "example": lambda text: f"<example>\n{text}\n</example>\n",
}


@pytest.mark.parametrize("frame", QUOTING)
@pytest.mark.parametrize("name", DIALECTS)
def test_a_quoted_call(name, frame):
    """Quoted in any way, it is none, whether the dialect is named or not, and not a character is lost."""
    text = QUOTING[frame](get(name).encode(CALL))
    for dialect in (name, "auto"):
        got = parse(text, tools=TOOLS, dialect=dialect)
        assert got.calls == ()
        assert got.content == text


@pytest.mark.parametrize("name", DIALECTS)
def test_a_call_in_a_sentence(name):
    """In the middle of a sentence, or with more of it behind, none is seen where no dialect is named."""
    call = get(name).encode(CALL).replace("\n", " ")
    for text in (f"Write {call}", f"Write {call} and wait.", f"It is this: {call}", f"I say. {call} is how it looks."):
        got = parse(text, tools=TOOLS)
        assert got.calls == ()
        assert got.content == text


@pytest.mark.parametrize("name", [n for n, d in DIALECTS.items() if d.control])
def test_a_control_token_behind_prose(name):
    """It counts behind a sentence that it ends the answer of, and where its dialect is named anywhere on the line.

    One that anyone might write, such as `<tool_call>`, needs the sentence where its dialect is named, too.
    """
    call = get(name).encode(CALL)
    for before in ("I look it up. ", "I look it up.", "我来查一下。", "It is (so I hear) **easy!**"):
        assert parse(before + call, tools=TOOLS).calls == (CALL,)
        assert parse(before + call, tools=TOOLS).content == before
    got = parse(f"Well, {call}", tools=TOOLS, dialect=name)
    printable = call[0] == "<" and "|" not in call and "｜" not in call
    assert got.calls == (() if printable else (CALL,))
    assert got.content == (f"Well, {call}" if printable else "Well, ")


@pytest.mark.parametrize("name", DIALECTS)
def test_a_call_cut_anywhere(name):
    """However much of a call is there, it gives that call and shows nothing of its markup, or all of it is text."""
    text = get(name).encode(CALL)
    for end in range(len(text)) if THOROUGH else range(len(name) % 3, len(text), 3):
        for dialect in (name, "auto"):
            got = parse(text[:end], tools=TOOLS, dialect=dialect)
            assert got.calls in ((), (CALL,))
            assert got.content == ("" if got.calls else text[:end])
