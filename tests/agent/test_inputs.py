"""What a run may be started with."""

from __future__ import annotations

import asyncio
import math
from pathlib import Path

import pytest

from lumosai import Agent, Limits, Memory, Message, ModelSettings, ToolCallPart, ToolResultPart, tool
from lumosai.agent.inputs import messages_of, scrub
from lumosai.errors import ConfigurationError, InvalidInputError, ToolDefinitionError, UnknownModelError
from lumosai.messages import FilePart, TextPart
from lumosai.storage import SqliteStorage
from lumosai.testing import ScriptedModel
from tests.agent.helpers import add, scripted

CALLS = Message.assistant(ToolCallPart("c1", "add", {"a": 1}), ToolCallPart("c2", "add", {"a": 2}))


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("", "empty"),
        ("  \n", "empty"),
        ([], "empty"),
        ([Message.system("x")], "only system messages"),
        (Message("user", ()), "empty"),
        (Message.user(" \n"), "empty"),
        (Message("user", (TextPart(5),)), "texts"),
        (Message("user", (TextPart("a"),), id=5), "texts"),
        (7, "int"),
        ([{"role": "user", "content": "hi"}], "Message.user"),
        ([Message.user("x"), CALLS], r"without a result.*add \('c1'\), add \('c2'\)"),
        ([Message.user("x"), CALLS, Message.user("y")], "before message 2"),
        ([Message.user("x"), CALLS, Message.tool(ToolResultPart("c1", "add", "1"))], "c2"),
        ([Message.tool(ToolResultPart("c9", "add", "1"))], "c9"),
        (Message("bot", (TextPart("x"),)), "role 'bot'.*assistant, system"),
        (Message.user(5), r"message 0 holds 5.*Message\.user"),
        ([Message.user("x"), Message("user", "text")], "message 1 holds 'text'"),
    ],
)
async def test_what_cannot_be_answered_is_refused_before_anything_is_sent(given, says: str) -> None:
    """The error names the thing and the way out, and no request leaves."""
    agent, model = scripted(["x"])
    with pytest.raises(InvalidInputError, match=says):
        await agent.generate(given)
    assert model.requests == []


async def test_a_conversation_goes_through_as_it_is() -> None:
    """Earlier messages are sent in order, tool results included."""
    agent, model = scripted(["Alice."])
    earlier = [
        Message.user("我叫Alice"),
        Message.assistant(ToolCallPart("c1", "add", {"a": 1, "b": 1})),
        Message.tool(ToolResultPart("c1", "add", "2")),
        Message.assistant("你好，Alice"),
        Message.user("我叫什么名字？"),
    ]
    result = await agent.generate(earlier)
    assert model.requests[0].messages == tuple(earlier)
    assert result.messages[0].text == "Alice."


def test_lone_surrogates_are_replaced_and_pairs_joined() -> None:
    """A text that cannot be encoded is made one that can."""
    assert scrub("a\ud83d\ude00b") == "a😀b"
    assert scrub("a\ud83db") == "a\ufffdb"
    assert messages_of("x\udc00")[0].text == "x\ufffd"


async def test_a_thread_without_a_memory_is_a_clear_error() -> None:
    """The error says what is missing."""
    agent, _ = scripted(["x"])
    with pytest.raises(InvalidInputError, match="memory"):
        await agent.generate("go", thread_id="t1")


@pytest.mark.parametrize(
    ("settings", "error", "says"),
    [
        ({"name": ""}, ConfigurationError, "needs a name"),
        ({"model": 7}, ConfigurationError, "provider:model"),
        ({"model": "opnai:gpt-5"}, UnknownModelError, "openai"),
        ({"tool_calling": "always"}, ConfigurationError, "native"),
        ({"instructions": 3}, ConfigurationError, "string or a function"),
        ({"tools": [add, add]}, ToolDefinitionError, "two tools named 'add'"),
        ({"tools": add}, ToolDefinitionError, "must be a list of tools"),
        ({"tools": [7]}, ToolDefinitionError, "7"),
        ({"settings": {"temperature": 1}}, ConfigurationError, r"settings of agent 'a' is dict: pass ModelSettings\("),
        ({"limits": 5}, ConfigurationError, r"limits of agent 'a' is int: pass Limits\("),
        ({"storage": 5}, ConfigurationError, "storage of agent 'a' is int"),
        ({"observers": print}, ConfigurationError, r"write observers=\["),
        ({"observers": [5]}, ConfigurationError, "cannot be called"),
        ({"observers": [asyncio.sleep]}, ConfigurationError, "is async"),
        ({"colour": "red"}, TypeError, r"^Agent\(\) got an unexpected keyword argument 'colour'"),
    ],
)
def test_a_setting_that_cannot_work_is_found_when_the_agent_is_made(settings: dict, error: type, says: str) -> None:
    """Not in its first run."""
    with pytest.raises(error, match=says):
        Agent(**{"name": "a", "model": "openai:gpt-5-mini", **settings})


@pytest.mark.parametrize(
    ("made", "says"),
    [
        (lambda: ModelSettings(temperature="hot"), "temperature='hot': it must be a number"),
        (lambda: ModelSettings(stop="END"), "stop='END': it must be a tuple"),
        (lambda: ModelSettings(max_output_tokens=True), "max_output_tokens=True"),
        (lambda: ModelSettings(seed=1.5), "seed=1.5"),
        (lambda: ModelSettings(extra=[1]), "extra=.*a dict"),
        (lambda: ModelSettings(reasoning=3), "reasoning=3: .*low"),
        (lambda: ModelSettings().merge(ModelSettings(top_p="1")), "top_p='1'"),
        (lambda: Limits(max_steps="3"), "max_steps='3': it must be 0 or more"),
        (lambda: Limits(deadline_s=math.nan), "deadline_s=nan"),
    ],
)
def test_a_value_of_another_type(made, says: str) -> None:
    """It is refused where it is written."""
    with pytest.raises(ConfigurationError, match=says):
        made()


@pytest.mark.parametrize("option", ["settings", "limits", "scope"])
async def test_an_option_of_a_run_of_another_type(option: str) -> None:
    """Likewise, before anything is sent."""
    agent, model = scripted(["x"])
    with pytest.raises(InvalidInputError, match=f"{option} of this run is int: pass "):
        await agent.generate("go", **{option: 5})
    assert model.requests == []


def test_a_storage_is_the_memorys_however_it_is_named(tmp_path: Path) -> None:
    """One file by two names is one storage, and two in memory are two."""
    memory = Memory(f"sqlite:///{tmp_path}/a.db")
    (tmp_path / "b.db").symlink_to(tmp_path / "a.db")
    agent = Agent("a", model=ScriptedModel("x"), memory=memory, storage=f"sqlite:///{tmp_path}/b.db")
    assert agent.storage is memory.storage
    with pytest.raises(ConfigurationError, match="give both one storage"):
        Agent("a", model=ScriptedModel("x"), memory=Memory("sqlite://"), storage=SqliteStorage("sqlite://"))


def test_an_agent_is_frozen_and_replace_gives_another() -> None:
    """State is immutable; a change is a new object."""
    agent, model = scripted(["x"])
    with pytest.raises(AttributeError, match="replace"):
        agent.name = "other"
    other = agent.replace(name="other", instructions="New.")
    assert (other.name, other.instructions, other.model) == ("other", "New.", model)
    assert agent.name == "tester"
    with pytest.raises(TypeError, match="no setting temperature"):
        agent.replace(temperature=1)


def test_plain_functions_are_tools() -> None:
    """A function needs no decorator."""

    def area(width: float, height: float = 1.0) -> float:
        """The area of a rectangle."""
        return width * height

    agent = Agent("a", model="openai:gpt-5-mini", tools=[area, tool(name="other")(area)])
    assert [t.name for t in agent.tools] == ["area", "other"]
    assert agent.tools[0].definition().parameters["required"] == ["width"]


@pytest.mark.parametrize("long", [1, 40])
async def test_half_a_surrogate_pair_is_replaced_wherever_a_message_holds_it(tmp_path: Path, long: int) -> None:
    """A run of such messages is kept as any other, also of a long conversation that comes again; a name is refused at once."""
    torn = Message(
        "user",
        (TextPart("x\ud800"), FilePart(data=b"x", media_type="text/plain", name="\udfff")),
        metadata={"\ud800": ["\ud800"]},
    )
    given = [*[Message.user("hi"), Message.assistant("ho")] * (long // 2), torn]
    model = ScriptedModel(lambda _: "ok")
    async with Memory(f"sqlite:///{tmp_path / 'test.db'}") as memory:
        agent = Agent("test", instructions="be \ud800", model=model, memory=memory)
        for thread in ("a", "b", "c"):
            await agent.generate(given, thread_id=thread)
            (last,) = (await (await memory.thread(thread)).get_messages(limit=2, newest=True)).items[:1]
            assert last.message.text == "x\ufffd"
            assert last.message.metadata == {"\ufffd": ["\ufffd"]}
            assert model.requests[-1].messages[-1].parts == last.message.parts
        for names in ({"thread_id": "\ud800"}, {"resource_id": "a\0"}):
            with pytest.raises(ConfigurationError, match=next(iter(names)).partition("_")[0]):
                await agent.generate("x", **names)
    with pytest.raises(ConfigurationError, match="surrogate"):
        Agent("\ud800")
