"""Toolkits by name, as configuration files and the command line give them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from lumosai.errors import ConfigurationError, ToolError
from lumosai.tools import toolkits
from lumosai.tools.base import Tool, check_names
from lumosai.tools.toolkits import BUILTIN, from_name


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "a.csv").write_text("x\n1\n")
    (tmp_path / "a.json").write_text('{"x": 1}')
    return tmp_path


def specs(folder: Path) -> dict[str, str]:
    """A working spec for each toolkit."""
    behind = {"files": folder, "files-write": folder, "http": "a.test,*.b.test", "http-private": "localhost:*"}
    behind |= {"csv": folder, "json": folder / "a.json"}
    return {name: f"{name}:{behind[name]}" if name in behind else name for name in BUILTIN}


@pytest.mark.parametrize(
    ("name", "tools"),
    [
        ("calculator", ["calculator"]),
        ("clock", ["clock"]),
        ("dates", ["add_to_date", "days_between"]),
        ("files", ["list_files", "read_file", "search_files"]),
        ("files-write", ["list_files", "read_file", "search_files", "write_file", "edit_file"]),
        ("http", ["fetch"]),
        ("http-private", ["fetch"]),
        ("csv", ["query_table"]),
        ("json", ["query_json"]),
    ],
)
def test_each_toolkit(folder: Path, name: str, tools: list[str]) -> None:
    """Every name gives its tools."""
    if name == "json":
        pytest.importorskip("jmespath", reason="the optional part 'tools' is not installed")
    assert [tool.name for tool in from_name(specs(folder)[name])] == tools
    assert name in (toolkits.__doc__ or "")


def test_no_toolkit_is_forgotten(folder: Path) -> None:
    """The list of names above is the whole list."""
    assert set(specs(folder)) == set(BUILTIN)
    assert len(BUILTIN) == 9


def test_toolkits_go_together(folder: Path) -> None:
    """One agent may have one of each kind: no two tools have one name."""
    pytest.importorskip("jmespath", reason="the optional part 'tools' is not installed")
    chosen = [spec for name, spec in specs(folder).items() if name not in ("files", "http")]
    made = [tool for spec in chosen for tool in from_name(spec)]
    assert len(check_names(made)) == len(made)


def test_plain_names_give_the_very_tools() -> None:
    """`calculator` by name is the tool that can be imported, described once."""
    assert from_name("calculator")[0] is toolkits.calculator
    assert isinstance(toolkits.calculator, Tool)
    assert from_name(" Clock ")[0] is toolkits.clock


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("calculater", "Did you mean 'calculator'?"),
        ("", "there is no toolkit ''"),
        ("file:docs", "Did you mean 'files'"),
        ("nope", "there are calculator, clock, dates, files:PATH"),
        ("calculator:x", "takes nothing after it"),
        ("files", "'files:PATH'"),
        ("http:", "'http:HOST'"),
        ("http: , ", "needs a list of hosts"),
        ("files:/no/such/folder", "/no/such/folder"),
        ("csv:/no/such.csv", "/no/such.csv"),
    ],
)
def test_name_that_does_not_work(spec: str, message: str) -> None:
    """The error says what there is, or what is missing after the colon."""
    with pytest.raises(ConfigurationError) as caught:
        from_name(spec)
    assert message in str(caught.value)


async def test_private_hosts_only_by_their_own_name() -> None:
    """`http` never reaches loopback; `http-private` may."""
    with pytest.raises(ToolError, match="open Internet"):
        await from_name("http:127.0.0.1:*")[0].fn("http://127.0.0.1:1/")
    with pytest.raises(ToolError, match="could not be reached"):
        await from_name("http-private:127.0.0.1:*")[0].fn("http://127.0.0.1:1/")


def test_definitions_are_short(folder: Path) -> None:
    """A small local model reads the tools of a name in few words; strict mode can describe each."""
    for name, spec in specs(folder).items():
        if name == "json":
            pytest.importorskip("jmespath", reason="the optional part 'tools' is not installed")
        for tool in from_name(spec):
            definition = tool.definition()
            words = [
                definition.description,
                *(str(p.get("description", "")) for p in definition.parameters["properties"].values()),
            ]
            assert all(words)
            assert sum(map(len, words)) < 300
            assert tool.definition(strict=True).strict


def test_import_is_light() -> None:
    """Naming a toolkit loads neither a database nor an HTTP client."""
    code = "import sys, lumosai.tools.toolkits; print([m for m in ('sqlite3', 'aiohttp', 'jmespath', 'zoneinfo._zoneinfo') if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
