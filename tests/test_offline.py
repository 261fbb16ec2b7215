"""Nothing leaves the machine unless configured: with name resolution blocked, imports and runs open no outside connection.

`.ci/run` shows the same for a run of the real local model, in a network that has loopback only.
"""

from __future__ import annotations

import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import lumosai
from tests.conftest import ROOT
from tests.programs import environment
from tests.servers import serve_in_thread

OFFLINE = ROOT / "scripts" / "offline.py"
EVERY_MODULE = """
import importlib, pkgutil, lumosai
for name in lumosai.__all__:
    getattr(lumosai, name)
for module in pkgutil.walk_packages(lumosai.__path__, "lumosai."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
print("imported")
"""
SCRIPTED_RUN = """
import asyncio
from lumosai import Agent, tool
from lumosai.testing import ScriptedModel, call

@tool
def double(n: int) -> int:
    "Double a number."
    return 2 * n

async def main():
    agent = Agent("a", model=ScriptedModel([call("double", n=21), "It is 42."]), tools=[double])
    async with agent.stream("What is twice 21?") as run:
        print("".join([text async for text in run.text()]))

asyncio.run(main())
print(Agent("b", model=ScriptedModel("Hello.")).generate_sync("Hi"))
"""
CONFIGURED_RUN = """
from lumosai import Agent
print(Agent("a", model="auto").generate_sync("Hi"))
"""
OUTSIDE = """
import socket
try:
    socket.create_connection(("example.com", 80), timeout=1)
except OSError as error:
    print(error)
"""
OUTSIDE_BY_LOOP = """
import asyncio
try:
    asyncio.run(asyncio.open_connection("192.0.2.1", 80))
except OSError as error:
    print(error)
"""


@pytest.fixture
def run(tmp_path):
    """Runs a program under the watch of `scripts/offline.py`, in this machine's own network."""

    def run(program: str, base_url: str = "http://127.0.0.1:9/v1") -> subprocess.CompletedProcess[str]:
        path = tmp_path / "program.py"
        path.write_text(program, encoding="utf-8")
        command = [sys.executable, OFFLINE, "--watch-only", path]
        variables = environment(base_url, tmp_path)
        return subprocess.run(
            command, capture_output=True, text=True, env=variables, timeout=150, check=False, cwd=tmp_path
        )

    return run


def test_importing_everything_reaches_for_nothing(run):
    """Resolving every public name and importing every module of ours looks up no name and connects to nothing."""
    done = run(EVERY_MODULE)
    assert (done.returncode, done.stderr) == (0, "")
    assert "imported" in done.stdout


def test_a_scripted_run_reaches_for_nothing(run):
    """An agent with a scripted model runs, streamed and not, without a look-up or a connection."""
    done = run(SCRIPTED_RUN)
    assert (done.returncode, done.stderr) == (0, "")
    assert "It is 42.\nHello.\n" in done.stdout


def test_a_configured_run_reaches_for_its_server_alone(run):
    """With a provider on loopback, a run connects to nothing else."""
    with serve_in_thread() as server:
        done = run(CONFIGURED_RUN, server.base_url)
        asked = [request.path for request in server.requests]
    assert (done.returncode, done.stderr) == (0, "")
    assert "You said: Hi" in done.stdout
    assert asked == ["/v1/chat/completions"]


@pytest.mark.parametrize("program", [OUTSIDE, OUTSIDE_BY_LOOP], ids=["by name", "by the event loop"])
def test_the_watch_sees_an_outside_connection(run, program):
    """The watch itself refuses and reports a program that does reach out."""
    done = run(program)
    assert done.returncode == 4
    assert "no connection to the outside is allowed here" in done.stdout
    assert "reached for the outside" in done.stderr


def test_every_module_is_imported_by_the_check():
    """The walk of the import check finds the modules that lie in the package's folder."""
    walked = {module.name for module in pkgutil.walk_packages(lumosai.__path__, "lumosai.")}
    folder = Path(lumosai.__file__).parent
    there = {
        ".".join(("lumosai", *path.relative_to(folder).with_suffix("").parts)).removesuffix(".__init__")
        for path in folder.rglob("*.py")
    }
    assert there - walked == {"lumosai"}
