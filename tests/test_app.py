"""The application object: agents by name."""

from __future__ import annotations

import pytest

from lumosai.agent.agent import Agent
from lumosai.app import Lumosai
from lumosai.errors import ConfigurationError
from lumosai.testing import ScriptedModel
from tests.servers import ChatServer


def agents():
    return [Agent(name, model=ScriptedModel(f"I am {name}.")) for name in ("one", "two")]


async def test_agents_by_name():
    """Each agent is had by its name and runs; iterating keeps the order."""
    async with Lumosai(agents()) as app:
        assert (await app.agent("two").generate("who?")).text == "I am two."
        assert [a.name for a in app] == ["one", "two"]
        assert len(app) == 2
        assert "one" in app
        assert "three" not in app


def test_two_agents_of_one_name_are_refused():
    """Nothing is silently replaced."""
    with pytest.raises(ConfigurationError, match="two agents are named 'one'"):
        Lumosai([*agents(), *agents()])


def test_an_unknown_agent_is_named_with_those_that_there_are():
    """A near name is suggested."""
    with pytest.raises(ConfigurationError, match=r"no agent 'on' \(did you mean 'one'\?\); there is 'one', 'two'"):
        Lumosai(agents()).agent("on")
    with pytest.raises(ConfigurationError, match="there is none"):
        Lumosai().agent("x")


async def test_an_application_from_a_file(tmp_path, monkeypatch):
    """Every agent of the file, on a real server; leaving closes the connections, and a later use opens new ones."""
    async with ChatServer() as server:
        monkeypatch.setenv("HOUSE_KEY", "sk-house")
        path = tmp_path / "lumosai.toml"
        path.write_text(
            f'[agents.a.model]\nname = "openai:test-model"\nbase_url = "{server.base_url}"\napi_key = "${{HOUSE_KEY}}"\n'
            f"[agents.b]\nmodel = 'openai:other'\n"
        )
        async with Lumosai.load(path) as app:
            assert (await app.agent("a").generate("hi")).text == "You said: hi"
            assert server.requests[0].headers["authorization"] == "Bearer sk-house"
            assert [a.name for a in app] == ["a", "b"]
        assert (await app.agent("a").generate("again")).text == "You said: again"
        await app.aclose()


def test_a_broken_file_makes_no_application(tmp_path):
    """The error names file and line."""
    path = tmp_path / "lumosai.toml"
    path.write_text("modle = 1")
    with pytest.raises(ConfigurationError, match=r"lumosai\.toml:1: modle"):
        Lumosai.load(path)
