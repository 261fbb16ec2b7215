"""What a small model is told in the text mode: JSON definitions, calls as it writes them, results without calls."""

from __future__ import annotations

import json

import pytest

from lumosai.messages import ImagePart, Message, TextPart, ToolCallPart, ToolResultPart
from lumosai.models import Profile, _small_text
from lumosai.models.base import ModelRequest, TextChunk, ToolCallChunk
from lumosai.models.calling import CallingModel
from lumosai.records import ToolDefinition
from lumosai.testing import ScriptedModel
from lumosai.tools import tool
from lumosai.tools.toolkits import calculator

SMALL = Profile(native_tools=False, answers_after_tools=True)
ADD = ToolDefinition("add", "Adds.", {"type": "object", "properties": {"x": {"type": "integer"}}, "required": ["x"]})
CALL = ToolCallPart("c1", "add", {"x": 1})
ASKED = Message.user("What is 1 + 1?")
RESULT = Message.tool(ToolResultPart("c1", "add", "2"))
TURN = (ASKED, Message("assistant", (TextPart("Let me see."), CALL)), RESULT)


def said(messages) -> list[tuple[str, str]]:
    return [(m.role, m.text) for m in messages]


def definitions(*tools: ToolDefinition) -> list[dict]:
    told = _small_text.asked((ASKED,), tools, None)[0].text
    lines = told.partition("<tools>\n")[2].partition("\n</tools>\n\nFor each")[0].splitlines()
    return [json.loads(line)["function"] for line in lines[: len(tools)] or lines]


def test_tools_are_told_as_definitions() -> None:
    """Without what a small model takes for arguments: defaults, titles, and what may be left out or null."""
    (told,) = definitions(calculator.definition())
    assert list(told["parameters"]["properties"]) == ["expression"]

    @tool
    def find(city: str, days: int = 1, tags: list[str] | None = None) -> str:
        """Finds."""
        return f"{city}{days}{tags}"

    (told,) = definitions(find.definition())
    assert told["parameters"]["properties"] == {"city": {"type": "string"}, "days": {"type": "integer"}}


@pytest.mark.parametrize(
    ("choice", "words"), [("required", "a function call now"), ({"tool": "add"}, "the function add now")]
)
def test_a_choice_is_told(choice, words) -> None:
    """In words, at the end."""
    assert words in _small_text.asked((ASKED,), (ADD,), choice)[0].text


def test_where_a_call_may_come() -> None:
    """Earlier calls as plain JSON, results in their tags, and what the model made of a result left out."""
    told = _small_text.asked((*TURN, Message.assistant("It is 2."), Message.user("And 2 + 2?")), (ADD,), None)
    assert said(told)[1:] == [
        ("user", "What is 1 + 1?"),
        ("assistant", 'Let me see.\n{"name":"add","arguments":{"x":1}}'),
        ("user", "<tool_response>\n2\n</tool_response>\n\nAnd 2 + 2?"),
    ]


def test_small_talk_stays() -> None:
    """Only what tells a result is left out."""
    talk = (Message.user("I am Alice."), Message.assistant("Hello Alice!"), ASKED)
    assert said(_small_text.asked(talk, (ADD,), None))[1:] == said(talk)


def test_where_a_result_is_to_be_told() -> None:
    """No call is in the conversation: the result stands behind the question that it serves, earlier ones are told already."""
    told = _small_text.answered((Message.system("Be brief."), *TURN, Message.assistant("It is 2."), *TURN))
    assert said(told) == [
        ("system", "Be brief."),
        ("user", "What is 1 + 1?"),
        ("assistant", "It is 2."),
        ("user", "What is 1 + 1?\n\nResult of add: 2"),
    ]


def test_results_of_several_steps() -> None:
    """All that serve one question, errors named so, media kept."""
    second = Message.tool(ToolResultPart("c2", "add", "no", is_error=True))
    image = Message.tool(ToolResultPart("c3", "draw", (TextPart("see"), ImagePart(data=b"x"))))
    (told,) = _small_text.answered((*TURN, TURN[1], second, TURN[1], image))
    assert told.text == "What is 1 + 1?\n\nResult of add: 2\nError of add: no\nResult of draw: see"
    assert told.parts[-1] == ImagePart(data=b"x")


async def test_a_run_of_two_steps() -> None:
    """A call in the model's own JSON counts; the answer is asked for without tools, and a call in it is dropped."""
    inner = ScriptedModel(
        ['{"name": "add", "arguments": {"x": 1}}', 'It is 2.\n{"name": "add", "arguments": {"x": 1}}'], profile=SMALL
    )
    model = CallingModel(inner)
    request = ModelRequest(messages=(ASKED,), tools=(ADD,), tool_mode="auto")
    chunks = [c async for c in model.stream(request)]
    assert [c.name for c in chunks if isinstance(c, ToolCallChunk)] == ["add"]
    chunks = [c async for c in model.stream(ModelRequest(messages=TURN, tools=(ADD,), tool_mode="auto"))]
    assert "".join(c.delta for c in chunks if isinstance(c, TextChunk)).strip() == "It is 2."
    assert not any(isinstance(c, ToolCallChunk) for c in chunks)
    assert said(inner.requests[1].messages) == [("user", "What is 1 + 1?\n\nResult of add: 2")]
