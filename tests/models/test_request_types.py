"""Every request of the chat format that we build is one that the `openai` client's published types know.

The types are checked by pydantic, and what it makes of a request is compared with the request: a key that no type knows
would be left out, at any depth. What other providers take besides is listed in `BESIDES`, and taken out first.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

import pydantic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai.types.chat.completion_create_params import (
    CompletionCreateParamsNonStreaming,
    CompletionCreateParamsStreaming,
)

from lumosai.messages import (
    AudioPart,
    FilePart,
    ImagePart,
    Message,
    Part,
    ReasoningPart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
)
from lumosai.models import ModelRequest, Profile
from lumosai.models._openai_request import Encoder
from lumosai.models.providers import PROVIDERS, profile_of
from lumosai.records import ModelSettings, ToolDefinition
from tests.conftest import examples

WHOLE: pydantic.TypeAdapter[Any] = pydantic.TypeAdapter(CompletionCreateParamsNonStreaming)
STREAM: pydantic.TypeAdapter[Any] = pydantic.TypeAdapter(CompletionCreateParamsStreaming)

BESIDES = {
    "thinking": "DeepSeek, Zhipu, Moonshot",
    "enable_thinking": "Qwen",
    "thinking_budget": "Qwen",
    "chat_template_kwargs": "vLLM, llama.cpp",
    "reasoning": "OpenRouter, Together, Snowflake; in a message Groq",
    "reasoning_content": "DeepSeek, Zhipu, Moonshot, llama.cpp",
    "reasoning_format": "Groq",
    "random_seed": "Mistral",
    "tool_stream": "Zhipu",
    "prefix": "DeepSeek, Mistral",
    "partial": "Qwen, Moonshot",
}
TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=12)
NAMES = st.from_regex(r"[a-zA-Z0-9_-]{1,12}", fullmatch=True)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | TEXT, lambda v: st.lists(v, max_size=2), max_leaves=3
)
IMAGES = st.builds(
    ImagePart, url=st.just("https://x.example/a.png"), detail=st.sampled_from([None, "low", "auto"])
) | st.builds(ImagePart, data=st.binary(min_size=1, max_size=4))
MEDIA = (
    IMAGES
    | st.builds(
        AudioPart, data=st.binary(min_size=1, max_size=4), media_type=st.sampled_from(["audio/wav", "audio/mpeg"])
    )
    | st.builds(
        FilePart, data=st.binary(min_size=1, max_size=4), media_type=st.just("application/pdf"), name=st.none() | NAMES
    )
    | st.builds(FilePart, file_id=st.just("file-1"))
)
TOOLS = st.lists(
    st.builds(
        ToolDefinition,
        NAMES,
        TEXT,
        st.fixed_dictionaries(
            {"type": st.just("object"), "properties": st.dictionaries(NAMES, st.just({"type": "string"}), max_size=2)}
        ),
        st.booleans(),
    ),
    max_size=3,
    unique_by=lambda t: t.name,
)
SETTINGS = st.builds(
    ModelSettings,
    temperature=st.none() | st.floats(0, 2),
    top_p=st.none() | st.floats(0, 1),
    max_output_tokens=st.none() | st.integers(1, 99),
    stop=st.none() | st.lists(NAMES, min_size=1, max_size=4).map(tuple),
    seed=st.none() | st.integers(0, 99),
    reasoning=st.none() | st.sampled_from(["none", "minimal", "low", "medium", "high"]),
    parallel_tool_calls=st.none() | st.booleans(),
)
SCHEMAS = st.none() | st.just({"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]})


@st.composite
def conversations(draw: st.DrawFn) -> tuple[Message, ...]:
    """System, user and assistant in any order, each call with its result, media where they may stand."""
    told: list[Message] = []
    for number in range(draw(st.integers(1, 6))):
        match draw(st.sampled_from(["system", "user", "assistant"])):
            case "system":
                told.append(Message.system(draw(TEXT)))
            case "user":
                parts: list[Part] = [TextPart(draw(TEXT)), *draw(st.lists(MEDIA, max_size=2))]
                told.append(Message("user", tuple(draw(st.permutations(parts)))))
            case _:
                calls = [
                    ToolCallPart(
                        f"c{number}-{i}", draw(NAMES), draw(st.none() | st.dictionaries(NAMES, VALUES, max_size=2)), "{"
                    )
                    for i in range(draw(st.integers(0, 2)))
                ]
                thoughts = draw(st.lists(st.builds(ReasoningPart, TEXT), max_size=1))
                told.append(Message("assistant", (*thoughts, TextPart(draw(TEXT)), *calls)))
                if calls:
                    told.append(Message.tool(*(draw(results(c)) for c in calls)))
    return tuple(told)


@st.composite
def results(draw: st.DrawFn, call: ToolCallPart) -> ToolResultPart:
    content = draw(TEXT | st.tuples(st.builds(TextPart, TEXT), IMAGES))
    return ToolResultPart(call.id, call.name, content, draw(st.booleans()))


@st.composite
def requests(draw: st.DrawFn) -> ModelRequest:
    tools = tuple(draw(TOOLS))
    choices: list[Any] = [None, "auto", "none", "required", *({"tool": t.name} for t in tools)]
    return ModelRequest(
        messages=draw(conversations()),
        tools=tools,
        settings=draw(SETTINGS),
        tool_choice=draw(st.sampled_from(choices)),
        output_schema=draw(SCHEMAS),
        output_name=draw(TEXT),
    )


def check(body: dict[str, Any]) -> None:
    """That a request is of the published types, and has no key that they do not know."""
    adapter = STREAM if body.get("stream") else WHOLE
    assert plain(adapter.validate_python(body)) == body


def plain(value: Any) -> Any:
    """What pydantic made, with its lazy iterables read."""
    if isinstance(value, Mapping):
        return {k: plain(v) for k, v in value.items()}
    if isinstance(value, str) or not isinstance(value, Iterable):
        return value
    return [plain(v) for v in value]


def without_besides(value: Any) -> Any:
    """A provider's request without what only it takes, and with the usual words for what it calls otherwise."""
    if isinstance(value, list):
        return [without_besides(v) for v in value]
    if not isinstance(value, dict):
        return value
    kept = {k: without_besides(v) for k, v in value.items() if k not in BESIDES}
    if kept.get("tool_choice") == "any":
        kept["tool_choice"] = "required"
    if kept.get("reasoning_effort") in ("max", "default"):
        kept["reasoning_effort"] = "high"
    if isinstance(kept.get("content"), list):
        kept["content"] = [p for p in kept["content"] if _is_published(p)] or "…"
    return kept


def _is_published(part: dict[str, Any]) -> bool:
    """Whether a part is of OpenAI's shapes; Mistral's thoughts, sounds and documents have their own."""
    known = part["type"] in ("image_url", "input_audio", "file") and isinstance(part.get(part["type"]), dict)
    return known or part["type"] == "text"


@pytest.mark.parametrize("name", ["gpt-5-mini", "gpt-4o", "gpt-3.5-turbo", "o3"])
@settings(max_examples=examples(60), deadline=None)
@given(request=requests(), stream=st.booleans())
def test_openais_own_types(name: str, request: ModelRequest, stream: bool) -> None:
    """OpenAI's models get what OpenAI published, and nothing else."""
    profile = profile_of("openai", name, PROVIDERS["openai"].base_url)
    check(json.loads(Encoder("openai", profile).body(name, request, stream=stream)))


@pytest.mark.parametrize(
    "written", [f"{p.name}:{p.default or 'any'}" for p in PROVIDERS.values() if p.protocol == "openai-chat"]
)
@settings(max_examples=examples(25), deadline=None)
@given(request=requests(), stream=st.booleans())
def test_everyones_types_but_for_their_own(written: str, request: ModelRequest, stream: bool) -> None:
    """Other providers get the same but for what they document besides."""
    provider, _, name = written.partition(":")
    profile = profile_of(provider, name, PROVIDERS[provider].base_url)
    body = json.loads(Encoder(provider, profile).body(name, request, stream=stream))
    arguments = [c["function"]["arguments"] for m in body["messages"] for c in m.get("tool_calls") or ()]
    assert all(isinstance(json.loads(a), dict) for a in arguments)
    check(without_besides(body))


def test_the_check_sees_unknown_keys() -> None:
    """At the top, in a message, in a part and in a tool."""
    body = json.loads(Encoder("openai", Profile()).body("m", ModelRequest(messages=(Message.user("a"),)), stream=True))
    check(body)
    for spoiled in (
        {**body, "surprise": 1},
        {**body, "messages": [{"role": "user", "content": "a", "surprise": 1}]},
        {**body, "messages": [{"role": "user", "content": [{"type": "text", "text": "a", "surprise": 1}]}]},
        {**body, "tools": [{"type": "function", "function": {"name": "f", "surprise": 1}}]},
    ):
        with pytest.raises(AssertionError):
            check(spoiled)
    with pytest.raises(pydantic.ValidationError):
        check({**body, "messages": [{"role": "user"}]})
