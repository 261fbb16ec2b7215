"""What runs learn of a model is kept in the storage: another process does not ask what was refused before."""

from __future__ import annotations

from lumosai import Agent, Scope, tool
from lumosai.models import OpenAIChatModel
from lumosai.storage import Storage
from tests.servers import ChatServer, Reply, Request


@tool
def add(a: int, b: int) -> str:
    """Adds."""
    return str(a + b)


def refusing(request: Request) -> Reply:
    """A server that knows no tools."""
    if request.json and "tools" in request.json:
        return Reply(status=400, text="'tools' is not supported by this model")
    return Reply("Hello.")


async def test_what_a_server_refused_is_known_to_the_next_process(storage: Storage) -> None:
    """The first run is refused once; another agent, with a model object of its own, on the same storage is not."""
    async with ChatServer(refusing) as server:

        def agent() -> Agent:
            model = OpenAIChatModel("test-model", base_url=server.base_url, api_key="k")
            return Agent("a", model=model, tools=[add], storage=storage)

        assert (await agent().generate("hi")).text == "Hello."
        asked = len(server.requests)
        assert asked == 2
        assert (await agent().generate("hi")).text == "Hello."
        assert len(server.requests) == asked + 1
        assert "tools" not in server.requests[-1].json
        (row,) = (await storage.scope(Scope()).experience()).values()
        assert b'"native"' in row
        assert (await agent().generate("hi", scope=Scope("another"))).text == "Hello."
        assert len(server.requests) == asked + 3  # another tenant learns for itself
