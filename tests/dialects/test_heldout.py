"""Texts that no dialect was written by: what templates and servers write in every family, and what only looks so.

`heldout.json` holds `tools` (the parameters' schema by name), `calls` and `negatives`. A text is read by its `dialect` and
on auto, unless `auto` is false. Of a call's text, `content` is what is left, but for blank space; where it is null, that
no markup is left is all that is asked.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from lumosai.dialects import parse
from lumosai.records import ToolDefinition
from tests.dialects.tools import in_pieces

HELD = json.loads((Path(__file__).parent / "heldout.json").read_text(encoding="utf-8"))
TOOLS = [ToolDefinition(name, f"About {name}.", schema) for name, schema in HELD["tools"].items()]
THOUGHT = re.compile(r"<think>.*?</think>", re.DOTALL)
MARKUP = re.compile(
    r"</?tool_call|\[TOOL_CALLS\]|\[ARGS\]|<\||<｜|</?function|</?parameter|</?invoke|arg_(?:key|value)"
    r"|functools\[|<tool_call\||longcat_tool|</?param|TOOLCALL|```|</s>|Action|>>>"
)


def dialects_of(case: dict) -> list[str]:
    return list(dict.fromkeys([case["dialect"], "auto"])) if case.get("auto", True) else [case["dialect"]]


def words(text: str) -> str:
    return " ".join(text.split())


@pytest.mark.parametrize("case", HELD["calls"], ids=lambda c: c["id"])
def test_a_call_is_understood(case):
    """The calls are those that a reader sees, whole and a character at a time, and no markup is shown."""
    for dialect in dialects_of(case):
        got = parse(case["text"], tools=TOOLS, dialect=dialect)
        assert in_pieces(case["text"], list(range(1, len(case["text"]))), TOOLS, dialect) == got, dialect
        assert [[c.name, c.arguments] for c in got.calls] == case["calls"], dialect
        if case["content"] is None:
            assert not MARKUP.search(THOUGHT.sub("", got.content)), dialect
        else:
            assert words(got.content) == words(case["content"]), dialect


@pytest.mark.parametrize("case", HELD["negatives"], ids=lambda c: c["id"])
def test_what_only_looks_like_a_call(case):
    """No call is seen in it, and nothing of it is lost."""
    for dialect in dialects_of(case):
        got = parse(case["text"], tools=TOOLS, dialect=dialect)
        assert in_pieces(case["text"], list(range(1, len(case["text"]))), TOOLS, dialect) == got, dialect
        assert got.calls == (), dialect
        assert words(got.content) == words(case.get("content", case["text"])), dialect
