"""Hand-written texts: what is a call, in every dialect, and what only looks like one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lumosai.dialects import parse
from tests.dialects.tools import TOOLS, by_character

HERE = Path(__file__).parent
CASES = json.loads((HERE / "cases.json").read_text(encoding="utf-8"))
NEGATIVES = json.loads((HERE / "negatives.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("case", CASES, ids=lambda c: c["id"])
def test_a_call_is_understood(case):
    """The calls are those that a reader sees, and what is left for the user holds nothing of their markup."""
    got = parse(case["text"], tools=TOOLS)
    assert [[c.name, c.arguments] for c in got.calls] == case["calls"]
    assert got.content == case["content"]
    assert all(c.id == "" and c.raw is None for c in got.calls)


@pytest.mark.parametrize("case", NEGATIVES, ids=lambda c: c["id"])
def test_what_only_looks_like_a_call(case):
    """No call is seen in it, and not a character is lost."""
    got = parse(case["text"], tools=TOOLS)
    assert got.calls == ()
    assert got.content == case["text"]


@pytest.mark.parametrize("case", [*CASES, *NEGATIVES], ids=lambda c: c["id"])
def test_the_same_text_a_character_at_a_time(case):
    """A stream gives what the whole text gives."""
    assert by_character(case["text"]) == parse(case["text"], tools=TOOLS)


def test_a_call_is_text_where_no_tool_is_declared():
    """Formats without markers of their own mean nothing without a tool that could be meant."""
    for case in CASES:
        if "<tool_call>" not in case["text"]:
            assert parse(case["text"], tools=[]).calls == (), case["id"]
