"""Both READMEs: their Python runs, their links lead somewhere, and they say the same. `.ci/run` runs their shell blocks."""

from __future__ import annotations

import ast
import re
import subprocess
import sys

import pytest

from tests.conftest import ROOT
from tests.programs import blocks, run_blocks
from tests.servers import serve_in_thread

ENGLISH = ROOT / "README.md"
CHINESE = ROOT / "README.zh-CN.md"
BOTH = pytest.mark.parametrize("path", [ENGLISH, CHINESE], ids=["English", "Chinese"])
LINK = re.compile(r"\[[^\]]+\]\(([^)#]+)[^)]*\)")


@BOTH
def test_the_python_blocks_run(path, tmp_path):
    """Copied into a program one below the other, they call the tool and stream an answer."""
    with serve_in_thread() as server:
        done = run_blocks(path, server.base_url, tmp_path)
        models = {request.json["model"] for request in server.requests}
        declared = [request.json["tools"][0]["function"]["name"] for request in server.requests]
    assert (done.returncode, done.stderr) == (0, "")
    assert models == {"gpt-5-mini"}
    assert declared == ["population"] * 4
    assert "\nstop, 30 tokens\n" in done.stdout


@BOTH
def test_the_two_commands_come_first(path):
    """The first two shell blocks are the two commands, one each."""
    assert [block.text for block in blocks(path, "sh")][:2] == ["make demo\n", "make test\n"]


@BOTH
def test_the_links_lead_somewhere(path):
    """Every link that names no other site names a file that is there."""
    links = LINK.findall(path.read_text(encoding="utf-8"))
    assert [link for link in links if "://" not in link and not (ROOT / link).exists()] == []
    assert len(links) > 10


def test_both_say_the_same():
    """The two have the same headings, lists and code, whose sentences alone differ."""
    assert skeleton(ENGLISH) == skeleton(CHINESE)


def test_what_ci_runs_is_what_the_reader_types():
    """`scripts/readme.py` gives the shell blocks of the README, whole and in order."""
    done = subprocess.run(
        [sys.executable, ROOT / "scripts" / "readme.py"], capture_output=True, encoding="utf-8", check=True
    )
    assert done.stdout.split("\0")[:-1] == [block.text.strip() for block in blocks(ENGLISH, "sh")]


def skeleton(path):
    """A document without its sentences: headings by level, list items, tables, and code without its texts."""
    from markdown_it import MarkdownIt

    tokens = MarkdownIt().parse(path.read_text(encoding="utf-8"))
    return [
        code(token) if token.type == "fence" else (token.type, token.tag)
        for token in tokens
        if token.type in ("fence", "heading_open", "list_item_open", "paragraph_open")
    ]


def code(token):
    """A block's language and its code, with every text literal blanked."""
    if token.info.strip() != "python":
        return token.info.strip(), token.content
    tree = ast.parse(token.content)
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            node.value = ""
    return "python", ast.dump(tree)
