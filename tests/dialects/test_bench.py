"""`make bench-dialects`: its generator, what it counts, and the table that the documentation shows."""

from __future__ import annotations

import json
import random
import re

import pytest

from lumosai.dialects import DIALECTS, get, parse
from lumosai.messages import ToolCallPart
from scripts import bench_dialects as bench
from tests.conftest import find_data, thorough

CALL = ToolCallPart("", bench.TOOL, bench.made(random.Random(1)))


def test_the_same_calls_each_time():
    """A seed makes the same calls, so that the figures are those of the code."""
    assert bench.made(random.Random(1)) == CALL.arguments
    assert bench.made(random.Random(2)) != CALL.arguments


def test_every_damage_is_done():
    """Each changes the text, and all that are named are done to a call in JSON."""
    text = get("hermes").encode(CALL)
    done = dict(bench.damaged(text, CALL))
    assert set(done) == {*bench.DAMAGES, *bench.SHAPES, "numbers in quotes"}
    assert [name for name, hurt in done.items() if hurt == text] == []
    assert json.loads(bench.written(CALL.arguments)) == CALL.arguments


def test_a_call_that_is_cut_off():
    """It is cut within its arguments, so that none of it may count."""
    text = get("hermes").encode(CALL)
    cuts = list(bench.cut_off(text, CALL, random.Random(1)))
    assert len(cuts) == bench.CUTS
    assert all(text.startswith(cut) and '"city"' in cut + '"city"' for cut in cuts)
    assert [parse(cut, tools=bench.TOOLS).calls for cut in cuts] == [()] * bench.CUTS


def shown(page: str) -> dict[str, list[str]]:
    """The rows of a page's table by their dialect."""
    rows = [line.strip("| \n").split(" | ") for line in bench.PLACE.search(page)[0].splitlines()[3:-2]]
    return {row[0].strip("`"): row[1:] for row in rows}


def share(cell: str) -> float:
    right, _, of = cell.partition("/")
    return int(right) / int(of) if of else 1.0


@thorough
@pytest.mark.skipif(find_data() is None, reason="the recorded corpus is not part of a clone")
def test_the_table_of_the_documentation():
    """It promises no more than what is measured, of no dialect that is not there, and there is no false execution."""
    rows = bench.measured()
    for language, path in bench.PAGES.items():
        page = shown(path.read_text(encoding="utf-8"))
        assert set(page) <= set(DIALECTS), "make bench-dialects writes it anew"
        for name, row in rows.items():
            assert row.false == [], name
            for said, is_so in zip(page.get(name, ()), row.cells(recorded=True), strict=name in page):
                assert share(said) <= share(is_so) if "/" in said else said in ("", "0"), f"{language}: {name}"
    assert re.search("bench-dialects", bench.PAGES["en"].read_text(encoding="utf-8"))
