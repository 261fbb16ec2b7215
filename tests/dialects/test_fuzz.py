"""All families' markup spliced at random: nothing breaks the parser, no cut matters, and nothing undeclared is called by chance.

python -m tests.dialects.test_fuzz [EXAMPLES]      # the same for long
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from lumosai.dialects import DIALECTS, DialectParser, get, parse
from lumosai.dialects._known import is_prose
from lumosai.messages import ToolCallPart
from tests.conftest import examples
from tests.dialects.tools import TOOLS, in_pieces

CALLS = [
    ToolCallPart("", "calculator", {"expression": "17 * 23"}),
    ToolCallPart("", "get_weather", {"city": "北京"}),
    ToolCallPart("", "ping", {}),
    ToolCallPart("", "search", {"query": "a b", "limit": 3, "filters": {"x": [1, None, True]}}),
    ToolCallPart("", "nobody", {"a": "b c"}),
]
DECLARED = {tool.name for tool in TOOLS}
WRITTEN = [get(name).encode(call) for name in DIALECTS for call in CALLS]
HELD = [
    json.loads(path.read_text(encoding="utf-8")) for path in sorted((Path(__file__).parent / "families").glob("*.json"))
]
OWN = [
    case["text"]
    for held in HELD
    for kind in ("calls", "negatives")
    for case in held.get(kind, ())
    if len(case["text"]) < 600
]
FILLERS = st.sampled_from(
    [
        "\n",
        "\n\n",
        " ",
        "Well. ",
        "I look it up.",
        "好的。",
        "- ",
        "> ",
        "| ",
        "`",
        "```\n",
        '"',
        "{",
        "[",
        "}",
        "]",
        "<",
        "|>",
        "</",
        "x",
    ]
)


@st.composite
def piece(draw) -> str:
    """A part of a text of some family."""
    text = draw(st.sampled_from(WRITTEN) | st.sampled_from(OWN))
    start, end = sorted((draw(st.integers(0, len(text))), draw(st.integers(0, len(text)))))
    return draw(st.sampled_from([text, text[start:], text[:end], text[start:end]]))


SPLICED = st.lists(piece() | FILLERS, max_size=7).map("".join)
NAMES = st.sampled_from(["auto", "auto", *DIALECTS])


def check(text: str, cuts: list[int], dialect: str) -> None:
    """The promises that hold for any text."""
    whole = parse(text, tools=TOOLS, dialect=dialect)
    assert in_pieces(text, [cut % (len(text) + 1) for cut in cuts], dialect=dialect) == whole
    if is_prose(text, TOOLS, dialect):
        parser = DialectParser(tools=TOOLS, dialect=dialect, alone=False, show_broken=False)
        assert "".join(map(str, [*parser.feed(text), *parser.close()])) == text
    parser = DialectParser(tools=TOOLS, dialect=dialect)
    for char in [*text, ""]:
        for item in parser.feed(char) if char else parser.close():
            if isinstance(item, ToolCallPart) and item.name not in DECLARED:
                assert DIALECTS[parser.seen].marked


@settings(max_examples=examples(150), deadline=None)
@given(SPLICED, st.lists(st.integers(0, 5000), max_size=6), NAMES)
def test_spliced_markup(text, cuts, dialect):
    """Whatever is spliced, whichever dialect is named, wherever the stream is cut."""
    check(text, cuts, dialect)


PROSE = st.sampled_from(
    ["I look it up.", "好的，我来查一下。", "First this.\n\nThen *that*.", "It is 5 < 6.", "Well: one"]
)
DECLARED = {tool.name for tool in TOOLS}
# Flattened Harmony has words for marks, so only a declared tool's call counts there.
ONE = st.tuples(st.sampled_from([n for n, d in DIALECTS.items() if d.marked]), st.sampled_from(CALLS)).filter(
    lambda one: one[0] != "harmony-flat" or one[1].name in DECLARED
)


@settings(max_examples=examples(80), deadline=None)
@given(st.lists(st.tuples(PROSE, ONE), min_size=1, max_size=4), st.lists(st.integers(0, 5000), max_size=6))
def test_whole_calls_of_any_families(parts, cuts):
    """One below the other with prose between them, all are called, and of their markup nothing is shown."""
    text = "".join(f"{prose}\n{get(name).encode(call)}\n" for prose, (name, call) in parts)
    got = parse(text, tools=TOOLS)
    assert got.calls == tuple(call for _, (_, call) in parts)
    assert got.content == "".join(f"{prose}\n" for prose, _ in parts)
    assert in_pieces(text, [cut % (len(text) + 1) for cut in cuts]) == got


if __name__ == "__main__":
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    settings(max_examples=count, deadline=None)(
        given(SPLICED, st.lists(st.integers(0, 5000), max_size=6), NAMES)(check)
    )()
    print(f"{count} texts: no exception, no cut that mattered, nothing undeclared called without markers")
