"""Any conversation, whoever made its parts, can be told to any provider, and loses nothing but what is another's own."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lumosai.messages import (
    AudioPart,
    ImagePart,
    Message,
    Part,
    ProviderPart,
    ReasoningPart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
)
from lumosai.models import ModelRequest
from lumosai.models import _anthropic_request as anthropic
from lumosai.models import _gemini_request as gemini
from lumosai.models import _openai_request as chat
from lumosai.models import _responses_request as responses
from lumosai.models._responses_seals import seal as sealed
from lumosai.models.providers import PROVIDERS, profile_of
from lumosai.records import ModelSettings, ToolDefinition
from tests.conftest import examples
from tests.models.histories.reading import Said, read
from tests.models.histories.wires import WIRES
from tests.models.test_history_across import answered, is_valid
from tests.test_media import PNG

TARGETS = {
    "openai": "gpt-5-mini",
    "deepseek": "deepseek-reasoner",
    "mistral": "magistral-medium-latest",
    "qwen": "qwen3-vl-plus",
    "anthropic": "claude-sonnet-4-5",
    "gemini": "gemini-3-flash-preview",
    "openai-responses": "gpt-5-mini",
}
MAKERS = [*TARGETS, "another"]
NAMES = ["weather", "chart", "a-b_c"]
TOOLS = tuple(ToolDefinition(n, n, {"type": "object", "properties": {}}) for n in NAMES)
WORDS = st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=8)
IDS = st.one_of(
    st.from_regex(r"call_[a-zA-Z0-9]{4,24}", fullmatch=True),
    st.from_regex(r"toolu_[a-zA-Z0-9]{6}", fullmatch=True),
    st.from_regex(r"[a-zA-Z0-9]{9}", fullmatch=True),
    st.sampled_from(["functions.weather:0", "call/é 1", "x" * 90, "chatcmpl-tool-" + "0f" * 16, "0"]),
)


def secret(maker: str, kind: str) -> str:
    """A thought, a seal (in base64, as they are) or an item that says whose it is."""
    words = f"[{kind} of {maker}]"
    return base64.b64encode(words.encode()).decode() if kind == "seal" else words


@st.composite
def said(draw: st.DrawFn, number: int) -> list[Message]:
    """What a model says: thoughts, a text, calls with their results, in the manner of some provider."""
    maker = draw(st.sampled_from(MAKERS))
    parts: list[Part] = []
    if draw(st.booleans()):
        seal = secret(maker, "seal") if draw(st.booleans()) else None
        parts.append(ReasoningPart(secret(maker, "thought"), seal, maker))
    if draw(st.booleans()):
        parts.append(ProviderPart(maker, "odd_item", {"type": "odd_item", "of": secret(maker, "item")}))
    if draw(st.booleans()):
        parts.append(TextPart(f"<{number}a {draw(WORDS)}>"))
    if draw(st.integers(0, 4)) == 0:
        parts.append(draw(st.sampled_from([ImagePart(PNG), AudioPart(b"RIFF", transcript=f"<{number}s>")])))
    ids = draw(st.lists(IDS, max_size=3, unique=True))
    calls = [
        ToolCallPart(f"{id_}", draw(st.sampled_from(NAMES)), {"n": draw(WORDS)}, signature=draw(_seal(maker)))
        for id_ in ids
    ]
    parts += calls
    if not any(isinstance(p, TextPart | ToolCallPart | AudioPart | ImagePart) for p in parts):
        parts.append(TextPart(f"<{number}t>"))
    if not calls:
        return [Message("assistant", tuple(parts))]
    results = [draw(result(c, f"<{number}r{i}>")) for i, c in enumerate(calls)]
    if draw(st.booleans()):
        return [Message("assistant", tuple(parts)), Message.tool(*results)]
    return [Message("assistant", tuple(parts)), *(Message.tool(r) for r in results)]


def _seal(maker: str) -> st.SearchStrategy[str | None]:
    """A call's seal in the manner of who made it; most give none."""
    words = secret(maker, "seal")
    given = {
        "anthropic": json.dumps({"caller": {"type": "code_execution_20250825", "tool_id": words}}),
        "gemini": words,
        "openai": json.dumps({"google": {"thought_signature": words}}),
        "openai-responses": sealed("here", {"type": "function_call", "id": words}),
    }.get(maker)
    return st.sampled_from([None, given])


@st.composite
def result(draw: st.DrawFn, call: ToolCallPart, mark: str) -> ToolResultPart:
    text = f"{mark} {draw(WORDS)}"
    content = draw(st.sampled_from([text, (TextPart(text),), (TextPart(text), ImagePart(PNG))]))
    return ToolResultPart(call.id, call.name, content, draw(st.booleans()))


@st.composite
def conversations(draw: st.DrawFn) -> tuple[Message, ...]:
    """Who speaks after whom is up to chance; the last word is the user's or a tool's."""
    told: list[Message] = [Message.system("<system>")] if draw(st.booleans()) else []
    for number in range(draw(st.integers(0, 5))):
        if draw(st.booleans()):
            told.append(Message.user(f"<{number}u {draw(WORDS)}>"))
        else:
            told += draw(said(number))
    if told and told[-1].role == "tool" and draw(st.booleans()):
        return tuple(told)
    return (*told, Message.user("<last>"))


def without_items(message: Message, maker: str) -> Message:
    """A message without the odd items of one provider, who would get them back as they came."""
    kept = tuple(p for p in message.parts if not (isinstance(p, ProviderPart) and p.provider == maker))
    return Message(message.role, kept)


def body_for(target: str, history: tuple[Message, ...], reasoning: Any = None) -> dict[str, Any]:
    """The request that a provider's model would send."""
    name = TARGETS[target]
    profile = profile_of(target, name, PROVIDERS[target].base_url)
    request = ModelRequest(messages=history, tools=TOOLS, settings=ModelSettings(reasoning=reasoning))
    match target:
        case "anthropic":
            made = anthropic.Encoder(target, profile).body(name, request, stream=False)
        case "gemini":
            made = gemini.Encoder(target, profile).body(request)
        case "openai-responses":
            made = responses.Encoder(target, "here", profile, responses.Options()).body(name, request, stream=False)
        case _:
            made = chat.Encoder(target, profile, seals=False).body(name, request, stream=bool(reasoning))
    found: dict[str, Any] = json.loads(made)
    return found


def marks(history: tuple[Message, ...]) -> list[str]:
    """What of a conversation must be told: every text, every result, every word said aloud."""
    found = []
    for message in history:
        for part in message.parts:
            if isinstance(part, TextPart):
                found.append(part.text)
            elif isinstance(part, ToolResultPart):
                found.append(part.text)
            elif isinstance(part, AudioPart) and not message.text:
                found.append(part.transcript or "")
    return found


@pytest.mark.parametrize("target", TARGETS)
@settings(max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(history=conversations(), reasoning=st.sampled_from([None, "high", False]))
def test_any_conversation_is_told_whole_and_sealed_only_to_its_own(
    target: str, history: tuple[Message, ...], reasoning: Any
) -> None:
    """Valid by the published types, each call with its result, every text there, no other's thought, seal or item."""
    history = tuple(without_items(m, target) for m in history)
    body = body_for(target, history, reasoning)
    is_valid(target, body)
    told = read_leniently(target, body)
    answered(told, WIRES[target])
    asked = [(c.name, c.arguments) for m in history for c in m.tool_calls]
    assert [(n, a) for s in told for _, n, a in s.calls] == asked
    everything = "\n".join(f"{s.text}\n" + "\n".join(t for _, t in s.results) for s in told)
    for text in marks(history):
        assert text in everything
    raw = json.dumps(body, ensure_ascii=False)
    for maker in MAKERS:
        if maker != target and (target, maker) != ("gemini", "openai"):  # Google's own, by way of the chat format
            assert [k for k in ("thought", "seal", "item") if secret(maker, k) in raw] == []


def read_leniently(target: str, body: dict[str, Any]) -> list[Said]:
    """What a request says; items that only their own server knows are passed by."""
    if target == "openai-responses":
        known = ("message", "function_call", "function_call_output", "reasoning")
        body = {**body, "input": [i for i in body["input"] if i.get("type", "message") in known]}
    return read(target, body)
