"""Requests of Gemini: what is sent for every value of ours, and that all of it is of the types that Google published."""

from __future__ import annotations

import base64
import json
from typing import Any

import msgspec
import pydantic
import pytest
from google.genai import types
from hypothesis import given, settings
from hypothesis import strategies as st

from lumosai.errors import InvalidInputError
from lumosai.messages import (
    AudioPart,
    FilePart,
    ImagePart,
    Message,
    Part,
    ProviderPart,
    ReasoningPart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
)
from lumosai.models import GeminiModel, ModelRequest, Profile
from lumosai.models._gemini_request import Encoder
from lumosai.models._gemini_send import address
from lumosai.models.providers import PROVIDERS, profile_of
from lumosai.records import ModelSettings, ToolChoice, ToolDefinition
from tests.conftest import examples
from tests.models.test_request_types import requests

PARAMETERS = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
TOOL = ToolDefinition("f", "Does.", PARAMETERS)
OUTPUT = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
USER = Message.user("go")


def profile(name: str) -> Profile:
    return profile_of("gemini", name, PROVIDERS["gemini"].base_url)


def body(*messages: Message, model: str = "gemini-2.5-flash", **fields: Any) -> dict[str, Any]:
    request = ModelRequest(messages=messages or (USER,), **fields)
    found: dict[str, Any] = json.loads(Encoder("gemini", profile(model)).body(request))
    return found


class Request(pydantic.BaseModel):
    """A request's fields, each of a type that Google published for its SDK, which refuse keys they do not know."""

    model_config = pydantic.ConfigDict(extra="forbid")

    contents: list[types.Content]
    systemInstruction: types.Content | None = None  # the wire's name
    tools: list[types.Tool] | None = None
    toolConfig: types.ToolConfig | None = None
    generationConfig: types.GenerationConfig | None = None


def check(raw: bytes) -> None:
    """That a request is of the published types, by the names of the wire alone."""
    Request.model_validate_json(raw, by_alias=True, by_name=False)
    for content in json.loads(raw)["contents"]:
        assert content["role"] in ("user", "model")
        assert content["parts"]
        for part in content["parts"]:
            assert len({"text", "inlineData", "fileData", "functionCall", "functionResponse"} & set(part)) == 1
            assert not [key for key in names(part) if "_" in key]


def names(value: Any) -> list[str]:
    """The keys of the wire in a part: those of arguments and results are the user's own."""
    if isinstance(value, list):
        return [key for each in value for key in names(each)]
    if not isinstance(value, dict):
        return []
    return [*value, *(key for k, v in value.items() if k not in ("args", "response") for key in names(v))]


OTHERS = st.sampled_from(
    [
        ImagePart(url="data:image/png;base64,iVBORw0KGgo="),
        ImagePart(url="https://x.example/a.png", media_type="image/webp"),
        AudioPart(url="data:audio/wav,%00%01"),
        FilePart(data=b"\0", media_type="video/mp4"),
        FilePart(file_id="files/abc", media_type="video/mp4"),
        ReasoningPart("hm", None, "gemini"),
        ReasoningPart("hm", "c2ln", "gemini"),
        ReasoningPart("hm", "x", "anthropic"),
        ReasoningPart("", "", None),
        ProviderPart("gemini", "fields", {"fields": {"thoughtSignature": "c2ln"}}),
        ProviderPart("gemini", "fields", {"start": 1, "end": 3, "fields": {"thoughtSignature": "c2ln"}}),
        ProviderPart("gemini", "fields", {"start": 2, "end": 2, "fields": {"thoughtSignature": "c2ln"}}),
        ProviderPart("gemini", "groundingMetadata", {"webSearchQueries": ["x"]}),
        ProviderPart("openai", "part", {"text": "no"}),
        ToolCallPart("call_0123456789abcdef", "f", {"a": 1}, signature="c2ln"),
        ToolCallPart("x", "f", None, "{", signature='{"google": {"thought_signature": "c2ln"}}'),
        ToolCallPart("y", "f", {}, signature="not a seal"),
        TextPart(""),
        TextPart("words"),
    ]
)


@st.composite
def answered(draw: st.DrawFn) -> Message:
    parts: list[Part] = draw(st.lists(OTHERS, max_size=6))
    return Message("assistant", tuple(parts))


@pytest.mark.parametrize("form", ["json", "openapi"])
@pytest.mark.parametrize(
    "name", ["gemini-3.8-flash", "gemini-3-pro-preview", "gemini-2.5-pro", "gemini-2.0-flash", "gemma-3-27b-it"]
)
@settings(max_examples=examples(40))
@given(request=requests(), answer=answered())
def test_googles_own_types(name: str, form: str, request: ModelRequest, answer: Message) -> None:
    """Whatever is asked, with whatever history: nothing that Google did not publish is sent."""
    known = msgspec.structs.replace(profile(name), schema_form=form)
    told = msgspec.structs.replace(request, messages=(USER, answer, *request.messages))
    check(Encoder("gemini", known).body(told))


def test_the_check_sees_unknown_keys() -> None:
    """At the top, in a content, in a part; and names that are not the wire's."""
    good = body()
    check(json.dumps(good).encode())
    part = {"functionCall": {"name": "f", "args": {}, "surprise": 1}}
    for spoiled in (
        {**good, "surprise": 1},
        {**good, "contents": [{"role": "user", "parts": [part]}]},
        {**good, "contents": [{"role": "user", "parts": [{"text": "a", "part_metadata": {}}]}]},
        {**good, "generationConfig": {"top_p": 1}},
    ):
        with pytest.raises((pydantic.ValidationError, AssertionError)):
            check(json.dumps(spoiled).encode())


def test_the_least() -> None:
    """Only what is set is sent."""
    assert body() == {"contents": [{"role": "user", "parts": [{"text": "go"}]}]}


def test_settings() -> None:
    """Each under its name on the wire; `extra` is joined with them, and replaces what it names."""
    given_settings = ModelSettings(
        temperature=0.5,
        top_p=0.9,
        max_output_tokens=7,
        stop=("a", "b"),
        seed=3,
        extra={"generationConfig": {"topK": 40, "seed": 4}, "cachedContent": "cachedContents/1", "safetySettings": []},
    )
    found = body(settings=given_settings)
    assert found["generationConfig"] == {
        "temperature": 0.5,
        "topP": 0.9,
        "maxOutputTokens": 7,
        "stopSequences": ["a", "b"],
        "seed": 4,
        "topK": 40,
    }
    assert (found["cachedContent"], found["safetySettings"]) == ("cachedContents/1", [])
    assert body(settings=ModelSettings(extra={"contents": []}))["contents"] == []


def test_system_messages() -> None:
    """All of them are the system instruction, wherever they stand; a model that takes none hears them as the user's words."""
    said = (Message.system("A"), USER, Message.system("B"))
    found = body(*said)
    assert found["systemInstruction"] == {"parts": [{"text": "A"}, {"text": "B"}]}
    assert [c["role"] for c in found["contents"]] == ["user"]
    found = body(*said, model="gemma-3-27b-it")
    assert "systemInstruction" not in found
    assert found["contents"][0] == {"role": "user", "parts": [{"text": "A"}, {"text": "B"}]}


@pytest.mark.parametrize(
    ("choice", "config"),
    [
        ("auto", {"mode": "AUTO"}),
        ("none", {"mode": "NONE"}),
        ("required", {"mode": "ANY"}),
        ({"tool": "f"}, {"mode": "ANY", "allowedFunctionNames": ["f"]}),
    ],
)
def test_tool_choice(choice: ToolChoice, config: dict[str, Any]) -> None:
    """As a mode, and the names that are allowed; nothing is said where no tools are."""
    assert body(tools=(TOOL,), tool_choice=choice)["toolConfig"] == {"functionCallingConfig": config}
    assert body(tools=(TOOL,), settings=ModelSettings(tool_choice=choice))["toolConfig"] == {
        "functionCallingConfig": config
    }
    assert "toolConfig" not in body(tool_choice=choice)


def test_tools() -> None:
    """Declared with their JSON Schemas; what `extra` has besides, a search say, stands beside them."""
    declared = {"name": "f", "description": "Does.", "parametersJsonSchema": PARAMETERS}
    assert body(tools=(TOOL,))["tools"] == [{"functionDeclarations": [declared]}]
    extra = {"tools": [{"googleSearch": {}}], "toolConfig": {"includeServerSideToolInvocations": True}}
    found = body(tools=(TOOL,), tool_choice="auto", settings=ModelSettings(extra=extra))
    assert found["tools"] == [{"functionDeclarations": [declared]}, {"googleSearch": {}}]
    assert found["toolConfig"] == {
        "functionCallingConfig": {"mode": "AUTO"},
        "includeServerSideToolInvocations": True,
    }
    assert body(settings=ModelSettings(extra=extra))["tools"] == [{"googleSearch": {}}]
    assert "tools" not in body(tools=(TOOL,), tool_mode="text")


def test_output() -> None:
    """A schema holds the answer; with tools only a model that can do both is held, unless it must call one: else words do."""
    held = {"responseMimeType": "application/json", "responseJsonSchema": OUTPUT}
    assert body(output_schema=OUTPUT)["generationConfig"] == held
    assert body(output_schema=OUTPUT, tools=(TOOL,), model="gemini-3.8-flash")["generationConfig"] == held
    forced = {"tools": (TOOL,), "tool_choice": "required", "model": "gemini-3.8-flash"}
    for told in (body(output_schema=OUTPUT, tools=(TOOL,)), body(output_schema=OUTPUT, **forced)):
        assert "generationConfig" not in told
        assert '"required":["n"]' in told["systemInstruction"]["parts"][0]["text"]


@pytest.mark.parametrize(
    ("model", "reasoning", "config"),
    [
        ("gemini-2.5-flash", "low", {"thinkingBudget": 1024, "includeThoughts": True}),
        ("gemini-2.5-flash", "high", {"thinkingBudget": 24576, "includeThoughts": True}),
        ("gemini-2.5-flash", True, {"thinkingBudget": -1, "includeThoughts": True}),
        ("gemini-2.5-flash", False, {"thinkingBudget": 0}),
        ("gemini-2.5-flash-lite", "minimal", {"thinkingBudget": 512, "includeThoughts": True}),
        ("gemini-2.5-pro", "none", {"thinkingBudget": 128}),
        ("gemini-3-pro-preview", "low", {"thinkingLevel": "low", "includeThoughts": True}),
        ("gemini-3-pro-preview", "medium", {"thinkingLevel": "high", "includeThoughts": True}),
        ("gemini-3-pro-preview", "none", {"thinkingLevel": "low"}),
        ("gemini-3.1-pro-preview", "medium", {"thinkingLevel": "medium", "includeThoughts": True}),
        ("gemini-3-flash-preview", "minimal", {"thinkingLevel": "minimal", "includeThoughts": True}),
        ("gemini-3-flash-preview", False, {"thinkingLevel": "minimal"}),
        ("gemini-3.8-flash", "minimal", {"thinkingLevel": "low", "includeThoughts": True}),
        ("gemini-3.8-flash", True, {"includeThoughts": True}),
        ("gemini-flash-latest", "high", {"thinkingLevel": "high", "includeThoughts": True}),
        ("gemini-2.0-flash", "high", None),
        ("gemini-2.5-flash-image", "high", None),
        ("gemini-2.5-flash", None, None),
    ],
)
def test_thinking(model: str, reasoning: str | bool | None, config: dict[str, Any] | None) -> None:
    """A budget of tokens or a level, whichever the model has, and the thoughts that were asked for."""
    found = body(model=model, settings=ModelSettings(reasoning=reasoning))
    assert found.get("generationConfig", {}).get("thinkingConfig") == config


CALLS = Message.assistant(
    ToolCallPart("a", "f", {"a": "1"}),
    ToolCallPart("b", "g", {}),
    ToolCallPart("call_0123456789abcdef", "f", {"a": "2"}),
)


def test_results() -> None:
    """Of one turn in one content, in the order of the calls, however they were said; with the ids that the calls have."""
    first, second = ToolResultPart("a", "f", "one"), ToolResultPart("b", "g", "no", is_error=True)
    third = ToolResultPart("call_0123456789abcdef", "f", "two")
    content = {
        "role": "user",
        "parts": [
            {"functionResponse": {"name": "f", "id": "a", "response": {"output": "one"}}},
            {"functionResponse": {"name": "g", "id": "b", "response": {"error": "no"}}},
            {"functionResponse": {"name": "f", "response": {"output": "two"}}},
        ],
    }
    for said in (
        (Message.tool(first, second, third),),
        (Message.tool(third, first, second),),
        (Message.tool(third), Message.tool(second), Message.tool(first)),
    ):
        found = body(USER, CALLS, *said)["contents"]
        assert found[2:] == [content]
    calls = [p["functionCall"] for p in found[1]["parts"]]
    assert calls == [
        {"name": "f", "args": {"a": "1"}, "id": "a"},
        {"name": "g", "args": {}, "id": "b"},
        {"name": "f", "args": {"a": "2"}},
    ]


def test_ids_that_say_nothing() -> None:
    """Calls of one name without ids have their results in order, also where a run numbered them."""
    ids = ["call_00000000000000a1", "call_00000000000000a2", "call_00000000000000a3"]
    calls = Message.assistant(*(ToolCallPart(i, "f", {"n": n}) for n, i in enumerate(ids)))
    results = [Message.tool(ToolResultPart(i, "f", str(n))) for n, i in reversed(list(enumerate(ids)))]
    found = body(USER, calls, *results)["contents"][2]["parts"]
    assert [p["functionResponse"] for p in found] == [{"name": "f", "response": {"output": str(n)}} for n in range(3)]


def test_a_message_of_role_tool_without_results() -> None:
    """It is an error of the caller's."""
    with pytest.raises(InvalidInputError, match="no ToolResultPart"):
        body(USER, Message("tool", (TextPart("x"),)))


def test_broken_arguments_are_shown_as_they_were() -> None:
    """Of a call of the history."""
    found = body(USER, Message.assistant(ToolCallPart("a", "f", None, "{oops")))["contents"][1]["parts"][0]
    assert found["functionCall"]["args"] == {"invalid_json": "{oops"}


@pytest.mark.parametrize(
    ("signature", "sent"),
    [
        ("EpEgCo4gAb4+9/w==", "EpEgCo4gAb4+9/w=="),
        ("sig_of-ours", "sig_of-ours"),
        ('{"google":{"thought_signature":"c2ln"}}', "c2ln"),
        ('{"other":{}}', None),
        ("<redacted>", "<redacted>"),
        ("lumosai openai-responses:x [1]", None),
        ("", None),
        (None, None),
    ],
)
def test_signatures_of_calls(signature: str | None, sent: str | None) -> None:
    """Gemini's own go back, also where `/chat/completions` wrapped them; others do not. Where one has to be, the first has."""
    message = Message.assistant(ToolCallPart("a", "f", {}, signature=signature), ToolCallPart("b", "f", {}))
    first, second = body(USER, message)["contents"][1]["parts"]
    assert (first.get("thoughtSignature"), second.get("thoughtSignature")) == (sent, None)
    first, second = body(USER, message, model="gemini-3-pro-preview")["contents"][1]["parts"]
    assert first["thoughtSignature"] == (sent or "skip_thought_signature_validator")
    assert "thoughtSignature" not in second


DATA = base64.b64encode(b"\0\1").decode()


@pytest.mark.parametrize(
    ("part", "sent"),
    [
        (ImagePart(data=b"\0\1", media_type="image/webp"), {"inlineData": {"mimeType": "image/webp", "data": DATA}}),
        (ImagePart(url=f"data:image/gif;base64,{DATA}"), {"inlineData": {"mimeType": "image/gif", "data": DATA}}),
        (AudioPart(url="data:audio/mp3,%00%01"), {"inlineData": {"mimeType": "audio/mp3", "data": DATA}}),
        (AudioPart(data=b"\0\1"), {"inlineData": {"mimeType": "audio/wav", "data": DATA}}),
        (
            FilePart(data=b"\0\1", media_type="application/pdf"),
            {"inlineData": {"mimeType": "application/pdf", "data": DATA}},
        ),
        (FilePart(data=b"\0\1", media_type="video/mp4"), {"inlineData": {"mimeType": "video/mp4", "data": DATA}}),
        (ImagePart(url="https://x/a.png"), {"fileData": {"mimeType": "image/png", "fileUri": "https://x/a.png"}}),
        (
            FilePart(url="https://www.youtube.com/watch?v=x", media_type="video/mp4"),
            {"fileData": {"mimeType": "video/mp4", "fileUri": "https://www.youtube.com/watch?v=x"}},
        ),
        (
            FilePart(file_id="files/abc", media_type="video/mp4"),
            {
                "fileData": {
                    "mimeType": "video/mp4",
                    "fileUri": "https://generativelanguage.googleapis.com/v1beta/files/abc",
                }
            },
        ),
        (
            FilePart(file_id="gs://bucket/a.pdf", media_type="application/pdf"),
            {"fileData": {"mimeType": "application/pdf", "fileUri": "gs://bucket/a.pdf"}},
        ),
    ],
)
def test_media(part: ImagePart | AudioPart | FilePart, sent: dict[str, Any]) -> None:
    """By their bytes or their address."""
    assert body(Message.user("See", part))["contents"][0]["parts"] == [{"text": "See"}, sent]


def test_what_a_model_said_aloud() -> None:
    """Another model's voice is told in its words; sound without words goes back as it is."""
    message = Message.assistant(AudioPart(data=b"\0\1", transcript="Hello."), AudioPart(data=b"\0\1"))
    inline = {"inlineData": {"mimeType": "audio/wav", "data": DATA}}
    assert body(USER, message)["contents"][1]["parts"] == [{"text": "Hello."}, inline]


def test_media_in_results() -> None:
    """In the result where the model takes them there, else in a content right behind it, which says whose they are."""
    image = ImagePart(data=b"\0\1")
    result = ToolResultPart("a", "f", (TextPart("Here."), image))
    history = (USER, Message.assistant(ToolCallPart("a", "f", {})), Message.tool(result))
    inline = {"inlineData": {"mimeType": "image/png", "data": DATA}}
    response = {"name": "f", "id": "a", "response": {"output": "Here."}}
    new = body(*history, model="gemini-3.8-flash")["contents"][2:]
    assert new == [{"role": "user", "parts": [{"functionResponse": {**response, "parts": [inline]}}]}]
    old = body(*history)["contents"][2:]
    assert old[0] == {"role": "user", "parts": [{"functionResponse": response}]}
    assert old[1] == {"role": "user", "parts": [{"text": "Content of the result of f (a):"}, inline]}


@pytest.mark.parametrize(
    ("base_url", "model", "wanted"),
    [
        ("https://g.example/v1beta", "m", "https://g.example/v1beta/models/m:generateContent"),
        ("https://g.example/v1beta/", "m", "https://g.example/v1beta/models/m:generateContent"),
        ("https://g.example", "m", "https://g.example/v1beta/models/m:generateContent"),
        ("http://127.0.0.1:9/", "models/m", "http://127.0.0.1:9/v1beta/models/m:generateContent"),
        ("https://g.example/v1alpha", "tunedModels/t", "https://g.example/v1alpha/tunedModels/t:generateContent"),
        ("https://g.example/v1?key=k", "m", "https://g.example/v1/models/m:generateContent?key=k"),
        ("https://g.example/v1/models/x:generateContent", "m", "https://g.example/v1/models/m:generateContent"),
        (
            "https://g.example/v1/models/x:streamGenerateContent?alt=sse",
            "m",
            "https://g.example/v1/models/m:generateContent",
        ),
        (
            "https://aiplatform.example/v1/projects/p/locations/l/publishers/google",
            "m",
            "https://aiplatform.example/v1/projects/p/locations/l/publishers/google/models/m:generateContent",
        ),
        ("https://g.example/v1beta", "a b?c#d", "https://g.example/v1beta/models/a%20b%3Fc%23d:generateContent"),
    ],
)
def test_addresses(base_url: str, model: str, wanted: str) -> None:
    """The model's method under the base URL, with or without its version; a stream is asked for as events."""
    assert address(base_url, model, stream=False) == wanted
    path, _, query = wanted.partition("?")
    streamed = (
        path.removesuffix("generateContent") + "streamGenerateContent?" + (f"{query}&" if query else "") + "alt=sse"
    )
    assert address(base_url, model, stream=True) == streamed


def test_the_table_knows_gemini(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its key and address are in either of their variables."""
    monkeypatch.setenv("GOOGLE_API_KEY", "k2")
    monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", "http://127.0.0.1:9")
    model = GeminiModel("gemini-2.5-flash")
    assert (model.provider, model.endpoint) == ("gemini", "http://127.0.0.1:9")
    assert model._open().to.headers["x-goog-api-key"] == "k2"  # type: ignore[attr-defined]


def test_a_message_is_encoded_once() -> None:
    """A long history is not encoded again at every step."""
    encoder = Encoder("gemini", profile("gemini-2.5-flash"))
    history = (
        Message.system("S"),
        USER,
        CALLS,
        Message.tool(*(ToolResultPart(c.id, c.name, "1") for c in CALLS.tool_calls)),
    )
    first = encoder.body(ModelRequest(messages=history, tools=(TOOL,)))
    kept = dict(encoder.messages._kept)
    assert encoder.body(ModelRequest(messages=history, tools=(TOOL,))) == first
    assert len(kept) == 3
    assert all(encoder.messages._kept[k] is v for k, v in kept.items())
