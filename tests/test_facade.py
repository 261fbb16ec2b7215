"""The facade: the names users hold on to, loaded when they are first used."""

from __future__ import annotations

import ast
import json
import subprocess
import sys

import pytest

import lumosai
from tests.conftest import ROOT

HELD_BACK = (
    "asyncio",
    "aiohttp",
    "pydantic",
    "sqlite3",
    "starlette",
    "typer",
    "click",
    "rich",
    "prompt_toolkit",
    "opentelemetry",
    "jsonschema",
    "yaml",
    "docstring_parser",
    "json_repair",
    "uvloop",
    "xllamacpp",
    "genai_prices",
)
SOURCE = ROOT / "src" / "lumosai" / "__init__.py"


def loaded_after(program: str) -> set[str]:
    """The modules that a fresh interpreter holds after a program."""
    code = f"{program}\nimport sys, json; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_importing_loads_nothing_heavy():
    """`import lumosai` loads no event loop, HTTP client, pydantic, database, server, terminal or telemetry library."""
    assert loaded_after("import lumosai").isdisjoint(HELD_BACK)


def test_importing_loads_next_to_nothing():
    """Not even `logging` or `typing`, which take longer than all the rest."""
    before, after = loaded_after("pass"), loaded_after("import lumosai")
    assert {m for m in after - before if not m.startswith("lumosai")} <= {"__future__"}


def test_what_logs_is_silent_until_it_is_told_where_logs_go():
    """A warning of ours goes nowhere in a program that has set up no logging."""
    program = "from lumosai.agent.log import logger; logger.warning('a word')"
    done = subprocess.run([sys.executable, "-I", "-c", program], capture_output=True, text=True, check=True)
    assert done.stderr == ""


def test_values_are_light_too():
    """Messages, records, errors and events load no event loop, HTTP client or pydantic either."""
    program = "from lumosai import Message, Limits, AgentResult, LumosaiError, Event, fold, ModelSettings"
    assert loaded_after(program).isdisjoint(HELD_BACK)


def test_an_agent_on_a_model_of_ones_own_needs_no_wire():
    """An agent loads what runs it, but the HTTP client only with a model that talks to a server, and the rest never."""
    heavy = {"aiohttp", "sqlite3", "typer", "rich", "prompt_toolkit", "yaml", "xllamacpp", "genai_prices"}
    program = """
from lumosai import Agent
from lumosai.testing import ScriptedModel
assert Agent("a", model=ScriptedModel("Hello.")).generate_sync("Hi").text == "Hello."
"""
    assert loaded_after(program).isdisjoint(heavy)


@pytest.mark.parametrize("name", lumosai.__all__)
def test_a_public_name_resolves(name):
    """Every name of `__all__` is there, by attribute, and is kept after its first use."""
    value = getattr(lumosai, name)
    assert vars(lumosai)[name] is value
    assert name in dir(lumosai)


def test_star_import_gives_the_public_names():
    """`from lumosai import *` gives `__all__` and nothing else."""
    scope: dict[str, object] = {}
    exec("from lumosai import *", scope)
    assert {*scope} - {"__builtins__"} == {*lumosai.__all__}


def test_type_checkers_see_the_same_names():
    """The imports for type checkers name exactly what `__all__` names, each from the module it is loaded from."""
    tree = ast.parse(SOURCE.read_text(encoding="utf-8"))
    block = next(node for node in tree.body if isinstance(node, ast.If))
    seen = {
        alias.asname or alias.name: node.module
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert sorted(seen) == sorted(lumosai.__all__)
    assert seen == {name: f"lumosai.{home}" for name, home in lumosai._HOMES.items()}


def test_all_is_sorted_and_short():
    """The public surface can be held in the head: about thirty names, in order."""
    assert list(lumosai.__all__) == sorted(lumosai.__all__)
    assert len(lumosai.__all__) <= 40


def test_an_unknown_name_is_an_attribute_error():
    """A name that is not public fails as any module's would, naming it."""
    with pytest.raises(AttributeError, match="no attribute 'Agnet'"):
        lumosai.Agnet  # noqa: B018


def test_the_package_is_typed():
    """`py.typed` lies beside the facade, so that users' type checkers read our types."""
    assert (SOURCE.parent / "py.typed").is_file()
