"""Runs Python programs and the code blocks of documents as a user would: in a process of their own, against a loopback server.

The providers' base-URL variables point at a `ChatServer`, so `auto` and `openai:…` reach it; nothing else of the caller's
environment that could name a provider is passed on.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt

from tests.conftest import ROOT

KEYS = ("OPENAI_API_KEY",)
ADDRESSES = ("OPENAI_BASE_URL",)
RUNNER = """
import ast, asyncio, json, sys
asyncio.set_event_loop(loop := asyncio.new_event_loop())
scope = {"__name__": "__main__"}
for name, block in json.load(sys.stdin):
    code = compile(block, name, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    waiting = eval(code, scope)
    if waiting is not None:
        loop.run_until_complete(waiting)
loop.run_until_complete(loop.shutdown_asyncgens())
loop.close()
"""
"""Runs blocks one after the other in one namespace; `await` may stand at the top, as in `python -m asyncio`."""


@dataclass(frozen=True)
class Block:
    """A fenced block of a document: its language, its text, and the line it begins at, from 1."""

    language: str
    text: str
    line: int


def blocks(path: Path, language: str | None = None) -> list[Block]:
    """The fenced blocks of a document, those in one language where one is named."""
    tokens = MarkdownIt().parse(path.read_text(encoding="utf-8"))
    found = [Block(t.info.strip(), t.content, t.map[0] + 2) for t in tokens if t.type == "fence" and t.map]
    return [b for b in found if language is None or b.language == language]


def environment(base_url: str, home: Path) -> dict[str, str]:
    """The variables of a program that has one provider, on loopback, and a home of its own."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("LUMOSAI_") and not name.endswith(("_API_KEY", "_BASE_URL", "_API_BASE"))
    }
    kept |= dict.fromkeys(KEYS, "test-key") | dict.fromkeys(ADDRESSES, base_url)
    kept |= {"HOME": str(home), "XDG_CACHE_HOME": str(home / "cache"), "XDG_CONFIG_HOME": str(home / "config")}
    return kept | {
        "PYTHONPATH": str(ROOT / "src"),
        "PYTHONWARNINGS": "error",
        "PYTHONIOENCODING": "utf-8",
        "NO_COLOR": "1",
    }


def run_program(
    path: Path, base_url: str, home: Path, arguments: Sequence[str] = ()
) -> subprocess.CompletedProcess[str]:
    """Runs a program to its end, standing in `home`."""
    return _run([str(path), *arguments], environment(base_url, home), home)


def run_blocks(path: Path, base_url: str, home: Path) -> subprocess.CompletedProcess[str]:
    """Runs a document's Python blocks one after the other in one process; a traceback names the document's own lines."""
    # Blank lines before a block let its line numbers be those of the document.
    sources = [(str(path), "\n" * (b.line - 1) + b.text) for b in blocks(path, "python")]
    return _run(["-c", RUNNER], environment(base_url, home), home, stdin=json.dumps(sources))


def _run(
    arguments: list[str], variables: Mapping[str, str], home: Path, *, stdin: str = ""
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        input=stdin,
        capture_output=True,
        encoding="utf-8",
        env=dict(variables),
        cwd=home,
        timeout=150,
        check=False,
    )
