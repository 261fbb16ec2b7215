"""The names of the conventions, and what goes without OpenTelemetry installed."""

from __future__ import annotations

import sys

import pytest

from lumosai.errors import MissingExtraError
from lumosai.messages import Message, ToolCallPart
from lumosai.telemetry import _genai as genai
from lumosai.telemetry import semconv
from lumosai.telemetry.otel import OpenTelemetry


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """The module can be imported; who makes an observer is told how to get what is missing."""
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'lumosai\[otel\]'"):
        OpenTelemetry()


@pytest.mark.parametrize(
    ("endpoint", "told"),
    [
        ("https://api.example/v1", ("api.example", 443)),
        ("http://127.0.0.1:8080/v1", ("127.0.0.1", 8080)),
        ("http://[::1]:1/v1", ("::1", 1)),
        ("local:/weights.gguf", None),
        ("http://x:port/", None),
        ("", None),
    ],
)
def test_where_a_model_is(endpoint: str, told: tuple[str, int] | None) -> None:
    """An address never without its port; none of a model in this process."""
    found = genai.server_attributes(endpoint)
    assert found == ({"server.address": told[0], "server.port": told[1]} if told else {})


def test_messages() -> None:
    """What stands before the conversation is apart; what comes later in it stays in its place; broken arguments as text."""
    said = [
        Message.system("Be brief."),
        Message.user("Hi"),
        Message.system("Now be long."),
        Message.assistant(ToolCallPart("c1", "add", None, "{broken")),
    ]
    assert genai.system_instructions(said) == [{"type": "text", "content": "Be brief."}]
    told = genai.input_messages(said)
    assert [m["role"] for m in told] == ["user", "system", "assistant"]
    assert told[2]["parts"] == [{"type": "tool_call", "id": "c1", "name": "add", "arguments": "{broken"}]


def test_the_profiles_differ_where_they_are_meant_to() -> None:
    """Names of providers and operations are the conventions'."""
    assert semconv.provider("openai-responses") == "openai"
    assert semconv.provider("somebody") == "somebody"
    assert semconv.operation("gemini") == "generate_content"
    assert semconv.operation("openai") == "chat"
    assert [f for f, a, b in zip(semconv.V1_41._fields, semconv.V1_41, semconv.LATEST, strict=True) if a == b] == []
