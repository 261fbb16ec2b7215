"""Every request of `/responses` that we build is one that the `openai` client's published types know.

The types are checked by pydantic, and what it makes of a request is compared with the request: a key that no type knows
would be left out, at any depth.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pydantic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai.types.responses.response_create_params import (
    ResponseCreateParamsNonStreaming,
    ResponseCreateParamsStreaming,
)

from lumosai.messages import (
    FilePart,
    Message,
    Part,
    ProviderPart,
    ReasoningPart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
)
from lumosai.models import ModelRequest, Profile
from lumosai.models._responses_request import Encoder, Options
from lumosai.models._responses_seals import seal
from lumosai.models.providers import PROVIDERS, profile_of
from lumosai.records import ModelSettings
from tests.conftest import examples
from tests.models.responses_server import Item, custom, message, thought
from tests.models.test_request_types import IMAGES, NAMES, SCHEMAS, SETTINGS, TEXT, TOOLS, VALUES, plain

WHOLE: pydantic.TypeAdapter[Any] = pydantic.TypeAdapter(ResponseCreateParamsNonStreaming)
STREAM: pydantic.TypeAdapter[Any] = pydantic.TypeAdapter(ResponseCreateParamsStreaming)

OWN = "openai-responses"
AT = f"{OWN}@api.openai.com"
FILES = (
    st.builds(
        FilePart, data=st.binary(min_size=1, max_size=4), media_type=st.just("application/pdf"), name=st.none() | NAMES
    )
    | st.builds(FilePart, file_id=st.just("file-1"))
    | st.builds(FilePart, url=st.just("https://x.example/a.pdf"))
)
MEDIA = IMAGES | FILES
CITED = {"type": "url_citation", "start_index": 0, "end_index": 1, "url": "https://x.example", "title": "X"}
ITEMS: Sequence[Item] = (
    {
        "type": "web_search_call",
        "id": "ws_1",
        "status": "completed",
        "action": {"type": "search", "query": "q", "queries": ["q"], "sources": [{"type": "url", "url": "https://x"}]},
    },
    {
        "type": "file_search_call",
        "id": "fs_1",
        "status": "completed",
        "queries": ["q"],
        "results": [{"file_id": "file-1", "filename": "a", "score": 0.5, "text": "t", "attributes": {"a": 1.5}}],
    },
    {
        "type": "code_interpreter_call",
        "id": "ci_1",
        "status": "completed",
        "code": "1+1",
        "container_id": "c",
        "outputs": [{"type": "logs", "logs": "2"}],
    },
    {"type": "image_generation_call", "id": "ig_1", "status": "completed", "result": None},
    {
        "type": "mcp_call",
        "id": "m_1",
        "server_label": "s",
        "name": "f",
        "arguments": "{}",
        "output": "x",
        "error": None,
    },
    {"type": "mcp_list_tools", "id": "ml_1", "server_label": "s", "tools": [{"name": "f", "input_schema": {}}]},
    {"type": "mcp_approval_request", "id": "ma_1", "server_label": "s", "name": "f", "arguments": "{}"},
    {
        "type": "computer_call",
        "id": "cu_1",
        "call_id": "call_cu",
        "status": "completed",
        "action": {"type": "screenshot"},
        "pending_safety_checks": [],
    },
    {"type": "tool_search_call", "id": "ts_1", "call_id": "call_ts", "execution": "server", "arguments": {"q": "x"}},
    {"type": "compaction", "id": "cmp_1", "encrypted_content": "gAAA"},
    {"type": "custom_tool_call_output", "call_id": "call_x", "output": "done"},
)
BUILT_IN: Sequence[Item] = (
    {"type": "web_search"},
    {"type": "file_search", "vector_store_ids": ["vs_1"]},
    {"type": "code_interpreter", "container": {"type": "auto"}},
    {"type": "image_generation"},
    {"type": "mcp", "server_label": "s", "server_url": "https://x.example/mcp", "require_approval": "never"},
    {"type": "custom", "name": "run", "format": {"type": "text"}},
)
OPTIONS = st.builds(
    Options,
    tools=st.lists(st.sampled_from(BUILT_IN), max_size=3).map(tuple),
    summary=st.sampled_from([None, "auto", "concise", "detailed"]),
    stored=st.booleans(),
)
THOUGHTS = st.one_of(
    st.builds(ReasoningPart, TEXT),
    st.builds(ReasoningPart, TEXT, st.just("EqQBCgIYAhIM"), st.just("anthropic")),
    st.builds(ReasoningPart, TEXT, st.just(seal(AT, thought("Hm."))), st.just(OWN)),
    st.builds(ReasoningPart, TEXT, st.just(seal(AT, thought()) + seal(AT, thought("B", id="rs_2"))), st.just(OWN)),
    st.builds(ReasoningPart, TEXT, st.just(seal(AT, thought(content=["Hm."], sealed=None))), st.just(OWN)),
    st.builds(ReasoningPart, TEXT, st.just(seal(AT, thought("Hm.", sealed=None))), st.just(OWN)),
    st.builds(ReasoningPart, TEXT, st.just(seal(f"{OWN}@other.example", thought("Hm."))), st.just(OWN)),
)
SIGNATURES = st.sampled_from(
    [
        None,
        '{"google": {"thought_signature": "x"}}',
        "CiQB",
        seal(AT, {"id": "fc_1"}),
        seal(AT, {"id": "fc_1", "namespace": "n"}),
        seal(AT, {"type": "custom_tool_call", "id": "ctc_1"}),
    ]
)
OPAQUE = st.one_of(
    st.sampled_from(ITEMS).map(lambda i: ProviderPart(OWN, i["type"], i)),
    st.just(ProviderPart("openrouter", "reasoning_details", [{"a": 1}])),
    st.just(ProviderPart(OWN, "response", {"id": "resp_1"})),
)


def told(text: str, **more: Any) -> list[Part]:
    """A text with what its message has besides."""
    item = message(text, annotations=[CITED], **more)
    piece = {k: v for k, v in item["content"][0].items() if k != "text"}
    return [TextPart(text), ProviderPart(OWN, "message", {**item, "content": [piece], "at": AT})]


@st.composite
def conversations(draw: st.DrawFn) -> tuple[Message, ...]:
    """System, user and assistant in any order, of this provider and of others, each call with its result."""
    said: list[Message] = []
    for number in range(draw(st.integers(1, 6))):
        match draw(st.sampled_from(["system", "user", "assistant"])):
            case "system":
                said.append(Message.system(draw(TEXT)))
            case "user":
                parts: list[Part] = [TextPart(draw(TEXT)), *draw(st.lists(MEDIA | OPAQUE, max_size=2))]
                said.append(Message("user", tuple(draw(st.permutations(parts)))))
            case _:
                calls = [
                    ToolCallPart(
                        f"c{number}-{i}" + "x" * draw(st.sampled_from([0, 90])),
                        draw(NAMES),
                        draw(st.none() | st.dictionaries(NAMES, VALUES, max_size=2)),
                        "{",
                        draw(SIGNATURES),
                    )
                    for i in range(draw(st.integers(0, 2)))
                ]
                text: list[Part] = draw(
                    st.sampled_from(
                        [[TextPart("a")], told("b"), told("c", phase="commentary"), [*told("d"), TextPart("e")]]
                    )
                )
                others = draw(st.lists(THOUGHTS | OPAQUE | IMAGES, max_size=3))
                said.append(Message("assistant", (*draw(st.permutations(others)), *text, *calls)))
                if calls:
                    said.append(Message.tool(*(draw(results(c)) for c in calls)))
    return tuple(said)


@st.composite
def results(draw: st.DrawFn, call: ToolCallPart) -> ToolResultPart:
    content = draw(TEXT | st.tuples(st.builds(TextPart, TEXT), MEDIA) | st.tuples(MEDIA))
    return ToolResultPart(call.id, call.name, content, draw(st.booleans()))


EXTRAS = st.sampled_from(
    [
        None,
        {"include": ["web_search_call.action.sources"], "tools": [{"type": "web_search"}]},
        {"text": {"verbosity": "low"}, "reasoning": {"summary": "auto"}},
        {"truncation": "auto", "service_tier": "flex", "metadata": {"a": "b"}},
        {"previous_response_id": "resp_9", "store": True},
    ]
)


@st.composite
def requests(draw: st.DrawFn) -> ModelRequest:
    tools = tuple(draw(TOOLS))
    choices: list[Any] = [None, "auto", "none", "required", *({"tool": t.name} for t in tools)]
    set_: ModelSettings = draw(SETTINGS)
    return ModelRequest(
        messages=draw(conversations()),
        tools=tools,
        settings=set_.merge(ModelSettings(extra=draw(EXTRAS))),
        tool_choice=draw(st.sampled_from(choices)),
        output_schema=draw(SCHEMAS),
        output_name=draw(TEXT),
        tool_mode=draw(st.sampled_from(["native", "text", "off"])),
    )


def check(body: dict[str, Any]) -> None:
    """That a request is of the published types, and has no key that they do not know."""
    adapter = STREAM if body.get("stream") else WHOLE
    assert plain(adapter.validate_python(body)) == body


@pytest.mark.parametrize("name", ["gpt-5-mini", "gpt-4o", "o3"])
@settings(max_examples=examples(100), deadline=None)
@given(request=requests(), options=OPTIONS, stream=st.booleans())
def test_openais_own_types(name: str, request: ModelRequest, options: Options, stream: bool) -> None:
    """OpenAI's models get what OpenAI published, and nothing else."""
    profile = profile_of(OWN, name, PROVIDERS[OWN].base_url)
    check(json.loads(Encoder(OWN, AT, profile, options).body(name, request, stream=stream)))


@settings(max_examples=examples(50), deadline=None)
@given(request=requests(), options=OPTIONS, stream=st.booleans())
def test_of_a_model_of_which_nobody_knows(request: ModelRequest, options: Options, stream: bool) -> None:
    """The same, at another address."""
    profile = profile_of(OWN, "house-model", "https://house.example/v1")
    check(json.loads(Encoder(OWN, f"{OWN}@house.example", profile, options).body("m", request, stream=stream)))


@pytest.mark.parametrize("item", ITEMS, ids=lambda i: i["type"])
def test_an_item_that_only_the_server_knows(item: Item) -> None:
    """Each kind goes back unchanged, where the published types have it."""
    said = Message("assistant", (ProviderPart(OWN, item["type"], item),))
    encoder = Encoder(OWN, AT, Profile(), Options())
    body = json.loads(encoder.body("m", ModelRequest(messages=(Message.user("a"), said)), stream=True))
    assert body["input"][1:] == [item]
    check(body)


def test_the_check_sees_unknown_keys() -> None:
    """At the top, in a message, in a part, in an item and in a tool."""
    encoder = Encoder(OWN, AT, Profile(), Options())
    body = json.loads(encoder.body("m", ModelRequest(messages=(Message.user("a"),)), stream=True))
    check(body)
    for spoiled in (
        {**body, "surprise": 1},
        {**body, "input": [{"role": "user", "content": "a", "surprise": 1}]},
        {**body, "input": [{"role": "user", "content": [{"type": "input_text", "text": "a", "surprise": 1}]}]},
        {**body, "input": [{**custom("run", "x"), "surprise": 1}]},
        {**body, "tools": [{"type": "function", "name": "f", "parameters": {}, "strict": False, "surprise": 1}]},
    ):
        with pytest.raises((AssertionError, pydantic.ValidationError)):
            check(spoiled)
    with pytest.raises(pydantic.ValidationError):
        check({**body, "input": [{"role": "user"}]})
    with pytest.raises(pydantic.ValidationError):
        check({**body, "tools": [{"type": "function", "name": "f", "parameters": {}}]})
