"""A call between markers that the answer's end cut off: not shown, not run, and told to the model."""

from __future__ import annotations

import pytest

from lumosai import Agent, tool
from lumosai.dialects import DIALECTS, DialectParser, get, parse
from lumosai.events import ToolCallComplete
from lumosai.messages import ToolCallPart
from lumosai.testing import Answer, ScriptedModel

CALL = ToolCallPart("", "lookup", {"key": "some value", "n": 3})
MARKED = [name for name, dialect in DIALECTS.items() if dialect.marked]
TOOLS = []
made: list[str] = []


@tool
def lookup(key: str, n: int = 1) -> str:
    """Looks something up."""
    made.append(key)
    return "found"


TOOLS.append(lookup.definition())


@pytest.mark.parametrize("name", MARKED)
async def test_a_call_that_was_cut_is_told_to_the_model(name: str) -> None:
    """Cut behind its tool's name, a call is no text; the model hears that it was cut, and its next answer counts."""
    text = get(name).encode(CALL)
    start, cuts, told = text.index("lookup") + len("lookup") + 3, 0, 0
    for end in range(start, len(text) - 1, 3):
        made.clear()
        model = ScriptedModel([Answer(text="Let me see.\n" + text[:end], finish="length"), "Fine."])
        async with Agent("a", model=model, tools=[lookup]).stream("go") as run:
            events = [e async for e in run]
            result = await run.result()
        cuts += 1
        assert result.messages[0].text.strip() == "Let me see."
        (ended,) = [e for e in events if isinstance(e, ToolCallComplete)]
        if made:  # enough of it was there
            assert made == ["some value"]
            continue
        told += 1
        assert (ended.name, ended.error_type) == ("lookup", "invalid_arguments")
        assert "cut" in ended.result.text or "not a JSON object" in ended.result.text
        assert result.text == "Fine."
    assert told >= cuts / 3


@pytest.mark.parametrize("name", MARKED)
def test_what_was_cut_is_said_by_the_parser(name: str) -> None:
    """`parse` gives all of the text; a parser that leaves broken calls out says what it left out, at every chunking."""
    text = "Well.\n" + get(name).encode(CALL)
    cut = text[: text.index("lookup") + 8]
    assert parse(cut, tools=TOOLS, dialect=name).content == cut
    for size in (1, 7, len(cut)):
        parser = DialectParser(tools=TOOLS, dialect=name, show_broken=False)
        items = [i for at in range(0, len(cut), size) for i in parser.feed(cut[at : at + size])] + parser.close()
        said = "".join(i for i in items if isinstance(i, str))
        assert said + parser.broken == cut or name == "harmony-flat", (said, parser.broken)


def test_what_only_looks_like_a_call_is_shown() -> None:
    """Prose that begins with a marker, a quoted marker, and code that was cut are the answer's own."""
    for text in (
        "<tool_call> is the tag that Hermes models write",
        'The tag `<tool_call>{"name": "lookup"',
        '```\n<tool_call>{"name": "lookup"',
        '{"name": "lookup", "arguments": {"key": "some',
        '> <tool_call>{"name": "lookup"',
    ):
        parser = DialectParser(tools=TOOLS, show_broken=False)
        assert "".join(i for i in [*parser.feed(text), *parser.close()] if isinstance(i, str)) == text
        assert parser.broken == ""
