"""The text mode from end to end, in every dialect: described, answered, called, its result shown; three tools in one run.

The server on loopback is a model of one family: it takes no `tools`, reads nothing but messages, and writes each call as
the family's encoder writes it, streamed in small pieces.
"""

from __future__ import annotations

from typing import Any

import pytest

from lumosai import Agent
from lumosai.dialects import DIALECTS, get
from lumosai.events import Event, TextDelta, ToolCallComplete, ToolCallStart
from lumosai.messages import ToolCallPart, ToolResultPart
from lumosai.models import OpenAIChatModel, Profile
from lumosai.models._dialect_table import dialect_of
from lumosai.models._text_calling import DEFAULT, text_dialect
from lumosai.models.profiles import Learned, own_store, profile_key
from tests.servers import ChatServer, Reply, Request


def add(a: int, b: int) -> int:
    """Adds two numbers.

    Args:
        a: the first.
        b: the second.
    """
    return a + b


def weather(city: str, days: int = 1) -> str:
    """The weather in a city.

    Args:
        city: which.
        days: for how many days.
    """
    return f"{city}: sunny for {days} days"


def note(text: str, tags: list[str]) -> str:
    """Keeps a note.

    Args:
        text: what to keep.
        tags: under which words.
    """
    return f"kept {len(text)} characters under {', '.join(tags)}"


CALLS = (
    ("add", {"a": 17, "b": 23}),
    ("weather", {"city": "上海", "days": 3}),
    ("note", {"text": 'It is "40", and sunny.', "tags": ["数", "weather"]}),
)
RESULTS = ("40", "上海: sunny for 3 days", "kept 22 characters under 数, weather")
END = "It is 40, and sunny in 上海; that is noted."


class Family:
    """A model of one family, behind a server that knows nothing of tools."""

    def __init__(self, name: str, before: str = "") -> None:
        self.dialect = get(name)
        self.before = before
        self.wrong = ""

    def __call__(self, request: Request) -> Reply:
        try:
            return self.answer(request)
        except AssertionError as error:
            self.wrong = self.wrong or str(error) or "an assertion"
            return Reply("That was wrong.")

    def answer(self, request: Request) -> Reply:
        body, messages = request.json or {}, request.messages
        assert not {"tools", "tool_choice", "response_format"} & set(body)
        assert all(m["role"] in ("system", "user", "assistant") and isinstance(m["content"], str) for m in messages)
        system = messages[0]["content"]
        assert messages[0]["role"] == "system" and all(name in system for name, _ in CALLS)
        told = sum(m["role"] == "assistant" for m in messages)
        for turn in range(told):
            self.check_turn(turn, messages[2 + 2 * turn : 4 + 2 * turn])
        text = END if told == len(CALLS) else self.before + self.encode(told)
        return Reply(text, pieces=[text[i : i + 3] for i in range(0, len(text), 3)])

    def encode(self, turn: int) -> str:
        name, arguments = CALLS[turn]
        return self.dialect.encode(ToolCallPart("", name, arguments))

    def check_turn(self, turn: int, pair: list[dict[str, Any]]) -> None:
        """What an earlier turn is told as: the call as it was written, and its result as the family shows one."""
        said, shown = pair
        assert said["role"] == "assistant" and self.encode(turn) in said["content"]
        result = self.dialect.show(ToolResultPart("", CALLS[turn][0], RESULTS[turn]))
        assert shown["role"] == "user" and result in shown["content"] and RESULTS[turn] in shown["content"]


async def run_of(
    family: Family, *, name: str = "m", profile: Profile | None = None, learned: str = ""
) -> tuple[list[Event], str]:
    """The events of a run against that model, and the answer."""
    async with ChatServer(family) as server:
        profile = Profile(native_tools=False) if profile is None else profile
        model = OpenAIChatModel(name, base_url=server.base_url, api_key="k", profile=profile)
        if learned:
            own_store(model).put(profile_key("openai", server.base_url, name), Learned(dialect=learned))
        agent = Agent("test", instructions="Be brief.", model=model, tools=[add, weather, note])
        async with agent.stream("Add 17 and 23, then the weather in 上海, then note both.") as run:
            events = [event async for event in run]
            result = await run.result()
        assert family.wrong == ""
        return events, result.text


def shown(events: list[Event]) -> str:
    return "".join(e.delta for e in events if isinstance(e, TextDelta))


def called(events: list[Event]) -> list[tuple[str, Any]]:
    return [(e.call.name, e.call.arguments) for e in events if isinstance(e, ToolCallStart)]


@pytest.mark.parametrize("before", ["", "Let me see.\n"], ids=["bare", "behind prose"])
@pytest.mark.parametrize("name", DIALECTS)
async def test_three_tools_in_one_conversation(name: str, before: str) -> None:
    """Each is called with exactly its arguments, gets its result told, and no markup is shown."""
    events, text = await run_of(Family(name, before), profile=Profile(native_tools=False, dialect=name))
    assert called(events) == list(CALLS)
    assert [e.result.text for e in events if isinstance(e, ToolCallComplete)] == list(RESULTS)
    assert text == END
    assert shown(events).split() == f"{before} {before} {before} {END}".split()


MARKED = [n for n, d in DIALECTS.items() if d.marked]


@pytest.mark.parametrize("name", MARKED)
async def test_a_dialect_that_was_learned(name: str) -> None:
    """What a model was seen to write is what it is asked to write."""
    events, text = await run_of(Family(name), learned=name)
    assert called(events) == list(CALLS) and text == END and shown(events) == END


@pytest.mark.parametrize(
    ("model", "dialect"),
    [
        ("Qwen/Qwen2.5-7B-Instruct", "hermes"),
        ("qwen3-coder:30b", "qwen3-coder"),
        ("meta-llama/Llama-3.3-70B-Instruct", "llama3"),
        ("llama4:scout", "llama4"),
        ("deepseek-ai/DeepSeek-V3.1", "deepseek-v3.1"),
        ("deepseek-r1:14b", "deepseek-v3"),
        ("moonshotai/Kimi-K2-Thinking", "kimi-k2"),
        ("zai-org/GLM-4.6", "glm"),
        ("openai/gpt-oss-20b", "harmony"),
        ("mistralai/Mistral-7B-Instruct-v0.3", "mistral-v3"),
        ("mistral-small-3.2", "mistral"),
        ("ibm-granite/granite-3.3-8b-instruct", "granite"),
        ("LiquidAI/LFM2-1.2B", "lfm2"),
        ("allenai/Olmo-3-7B-Instruct", "olmo3"),
        ("microsoft/Phi-4-mini-instruct", "functools"),
    ],
)
async def test_a_dialect_that_the_name_tells(model: str, dialect: str) -> None:
    """A model's name says what it was trained on, where nothing else does."""
    events, text = await run_of(Family(dialect), name=model)
    assert called(events) == list(CALLS) and text == END


def test_every_name_in_the_table_is_a_dialect() -> None:
    """And its own name is none of a family."""
    from lumosai.models._dialect_table import _FAMILIES

    assert {dialect for _, dialect in _FAMILIES} <= set(DIALECTS)
    assert dialect_of("house-model-7b") == ""


def test_which_dialect_counts() -> None:
    """What was seen, if it has markers; then the profile's, by an alias too; then the name's; then the default."""
    assert text_dialect("kimi-k2", "llama3", "qwen2.5").name == "kimi-k2"
    assert text_dialect("json", "llama3", "qwen2.5").name == "llama3"
    assert text_dialect("", "gpt_oss", "qwen2.5").name == "harmony"
    assert text_dialect("", "auto", "Llama-3.1-8B").name == "llama3"
    assert text_dialect("no such", "no such", "house-model").name == DEFAULT


@pytest.mark.parametrize("told", ["hermes", "llama3", "deepseek-v3.1", "qwen3-coder"])
@pytest.mark.parametrize("written", ["hermes", "mistral", "kimi-k2", "llama4", "minimax-m2", "json", "fenced-json"])
async def test_a_model_that_writes_another_dialect_than_it_was_told(told: str, written: str) -> None:
    """Its calls count all the same, and no markup is shown."""
    family = Family(written, "Let me see.\n")
    family.check_turn = lambda turn, pair: None  # type: ignore[method-assign]  # told in the other's words
    events, text = await run_of(family, profile=Profile(native_tools=False, dialect=told))
    assert called(events) == list(CALLS) and text == END
    assert shown(events).split() == f"{'Let me see. ' * 3}{END}".split()
