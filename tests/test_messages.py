"""Messages are pure values that go through JSON unchanged."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given

from lumosai import AudioPart, FilePart, ImagePart, Message, ReasoningPart, TextPart, ToolCallPart, ToolResultPart
from lumosai.messages import ProviderPart
from tests.test_events import messages

MEDIA = Message.user(
    "look",
    ImagePart(data=b"\x89PNG", detail="low"),
    AudioPart(url="https://x/a.wav", transcript="hi"),
    FilePart(file_id="f1", name="a.pdf", media_type="application/pdf"),
    metadata={"k": [1, None]},
)
ANSWER = Message.assistant(
    ReasoningPart("hm", "sig", "p"),
    "text",
    TextPart(" more"),
    ToolCallPart("c1", "f", {"a": 1}),
    ToolCallPart("c2", "g", None, "{bro"),
    ProviderPart("p", "k", {"d": 1}),
)
RESULT = Message.tool(
    ToolResultPart("c1", "f", "ok"), ToolResultPart("c2", "g", (TextPart("a"), ImagePart(url="u"), TextPart("b")), True)
)


@pytest.mark.parametrize("message", [MEDIA, ANSWER, RESULT, Message.system("be brief", id="m1")])
def test_a_message_goes_through_json_unchanged(message: Message) -> None:
    """Equal content, equal objects, before and after."""
    assert msgspec.json.decode(msgspec.json.encode(message), type=Message) == message


@given(messages)
def test_any_message_goes_through_json_unchanged(message: Message) -> None:
    """decode(encode(x)) == x."""
    assert msgspec.json.decode(msgspec.json.encode(message), type=Message) == message


def test_a_message_tells_what_is_in_it() -> None:
    """Text, thought, calls and results are properties."""
    assert ANSWER.text == "text more"
    assert ANSWER.reasoning == "hm"
    assert [c.id for c in ANSWER.tool_calls] == ["c1", "c2"]
    assert [r.text for r in RESULT.tool_results] == ["ok", "ab"]
    assert Message.user("x") == Message.user("x")
    assert Message.user().text == ""


def test_a_message_is_frozen() -> None:
    """State does not change under a reader."""
    with pytest.raises(AttributeError):
        Message.user("x").role = "system"
