"""The model of `/chat/completions`: what it sends, what it makes of answers, and what it costs to have one."""

from __future__ import annotations

import asyncio
import base64
import gc
import json
import re
import tracemalloc
from contextlib import aclosing
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lumosai.errors import (
    AuthenticationError,
    BadRequestError,
    ConfigurationError,
    InvalidInputError,
    MalformedAnswerError,
    MissingKeyError,
    ModelTimeoutError,
    ToolsUnsupportedError,
)
from lumosai.messages import (
    AudioPart,
    FilePart,
    ImagePart,
    Message,
    ProviderPart,
    ReasoningPart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
)
from lumosai.models import FallbackModel, ModelRequest, OpenAIChatModel, Profile, Timeouts
from lumosai.models._openai_answer import Answer, whole
from lumosai.models._openai_request import Encoder, is_strict
from lumosai.models._openai_send import address
from lumosai.models._openai_wire import decode
from lumosai.models.base import AttemptStarted, Chunk, Finished, Model, TextChunk, ToolCallChunk, UsageChunk
from lumosai.records import ModelSettings, ToolDefinition
from tests.conftest import examples
from tests.raw_server import Connection, RawServer
from tests.servers import Call, ChatServer, Reply, Request

ADD = ToolDefinition("add", "Adds.", {"type": "object", "properties": {"x": {"type": "integer"}}, "required": ["x"]})
PLAIN = Profile()


async def ask(model: Model, request: ModelRequest) -> list[Chunk]:
    return [chunk async for chunk in model.stream(request)]


async def sent(request: ModelRequest, **options: Any) -> dict[str, Any]:
    """The JSON that a request becomes."""
    async with ChatServer([Reply("ok")]) as server:
        model = OpenAIChatModel(options.pop("name", "m"), base_url=server.base_url, api_key="sk-test", **options)
        await ask(model, request)
        found = server.requests[0].json
    assert found is not None
    return found


def messages(*history: Message, profile: Profile = PLAIN, provider: str = "openai") -> list[dict[str, Any]]:
    """The wire's messages of a history."""
    body = Encoder(provider, profile).body("m", ModelRequest(messages=history), stream=False)
    found: list[dict[str, Any]] = json.loads(body)["messages"]
    return found


def fields(profile: Profile = PLAIN, *, stream: bool = False, **request: Any) -> dict[str, Any]:
    """The wire's fields of a request but for its messages and model."""
    asked = ModelRequest(messages=(Message.user("go"),), **request)
    found: dict[str, Any] = json.loads(Encoder("openai", profile).body("m", asked, stream=stream))
    del found["messages"], found["model"]
    return found


# What is sent.


async def test_a_streamed_request() -> None:
    """Where deltas are read, events are asked for, with usage at their end; only what is set is sent."""
    body = await sent(ModelRequest(messages=(Message.system("Be brief."), Message.user("hi"))))
    assert body == {
        "model": "m",
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hi"}],
        "stream": True,
        "stream_options": {"include_usage": True},
    }


async def test_a_whole_request() -> None:
    """Where nobody reads deltas, one JSON answer is asked for."""
    body = await sent(ModelRequest(messages=(Message.user("hi"),), incremental=False))
    assert body == {"model": "m", "messages": [{"role": "user", "content": "hi"}]}


async def test_headers() -> None:
    """The key, the user's headers and the trace are sent; the trace only with its request."""
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    async with ChatServer([Reply("ok")]) as server:
        model = OpenAIChatModel("m", base_url=server.base_url + "/", api_key="sk-test", headers={"X-Team": "blue"})
        await ask(model, ModelRequest(messages=(Message.user("a"),), trace=trace))
        await ask(model, ModelRequest(messages=(Message.user("b"),), incremental=False))
    first, second = (r.headers for r in server.requests)
    assert first["authorization"] == "Bearer sk-test" and first["x-team"] == "blue"
    assert first["content-type"] == "application/json" and first["user-agent"].startswith("lumosai/")
    assert first["traceparent"] == trace and "traceparent" not in second
    assert server.requests[0].path == "/v1/chat/completions"


def test_settings_under_the_wires_names() -> None:
    """Each setting has its field; what is not set has none."""
    chosen = ModelSettings(
        temperature=0.5, top_p=0.9, max_output_tokens=7, stop=("a", "b"), seed=3, extra={"top_k": 5, "temperature": 0.1}
    )
    assert fields(settings=chosen) == {
        "temperature": 0.1,
        "top_p": 0.9,
        "max_tokens": 7,
        "stop": ["a", "b"],
        "seed": 3,
        "top_k": 5,
    }
    other = Profile(max_tokens_field="max_completion_tokens", sampling=False)
    assert fields(other, settings=ModelSettings(temperature=0.5, max_output_tokens=7)) == {"max_completion_tokens": 7}


def test_extra_goes_before_everything() -> None:
    """What the user writes into the request by hand stands once, as they wrote it."""
    asked = ModelRequest(
        messages=(Message.user("x"),),
        tools=(ADD,),
        settings=ModelSettings(extra={"model": "other", "messages": [], "tools": [], "stream_options": None}),
    )
    text = Encoder("openai", PLAIN).body("m", asked, stream=True)
    pairs: list[tuple[str, Any]] = json.loads(text, object_pairs_hook=list)
    assert sorted(pairs) == [
        ("messages", []),
        ("model", "other"),
        ("stream", True),
        ("stream_options", None),
        ("tools", []),
    ]


@pytest.mark.parametrize(
    ("profile", "reasoning", "wanted"),
    [
        (Profile(reasoning_effort=True), "low", {"reasoning_effort": "low"}),
        (Profile(reasoning_effort=True), False, {"reasoning_effort": "none"}),
        (Profile(reasoning_effort=True), True, {}),
        (Profile(), "low", {}),
        (Profile(thinking="thinking"), True, {"thinking": {"type": "enabled"}}),
        (Profile(thinking="thinking"), "none", {"thinking": {"type": "disabled"}}),
        (Profile(thinking="enable_thinking"), False, {"enable_thinking": False}),
        (Profile(thinking="template"), "high", {"chat_template_kwargs": {"enable_thinking": True}}),
        (Profile(thinking="openrouter"), "high", {"reasoning": {"effort": "high"}}),
        (Profile(thinking="openrouter"), False, {"reasoning": {"enabled": False}}),
    ],
)
def test_how_thinking_is_asked_for(profile: Profile, reasoning: str | bool, wanted: dict[str, Any]) -> None:
    """Each kind of server has its own switch."""
    assert fields(profile, settings=ModelSettings(reasoning=reasoning)) == wanted


def test_tools() -> None:
    """Tools stand in their OpenAI form; strict only where both the tool and the server have it."""
    strict = ToolDefinition("add", "Adds.", ADD.parameters, strict=True)
    plain = {"type": "function", "function": {"name": "add", "description": "Adds.", "parameters": ADD.parameters}}
    assert fields(tools=(ADD,)) == {"tools": [plain]}
    assert fields(tools=(strict,)) == {"tools": [plain]}
    both = fields(Profile(strict_tools=True), tools=(strict, ADD))["tools"]
    assert [t["function"].get("strict") for t in both] == [True, None]
    for mode in ("constrained", "text", "off"):
        assert fields(tools=(ADD,), tool_mode=mode, tool_choice="required") == {}
    assert "tools" in fields(tools=(ADD,), tool_mode="auto")


@pytest.mark.parametrize(
    ("choice", "wire"),
    [
        ("auto", "auto"),
        ("none", "none"),
        ("required", "required"),
        ({"tool": "add"}, {"type": "function", "function": {"name": "add"}}),
    ],
)
def test_the_choice_of_a_tool(choice: Any, wire: Any) -> None:
    """The request's choice, else the settings', in the wire's form; never without tools, which servers refuse."""
    assert fields(tools=(ADD,), tool_choice=choice)["tool_choice"] == wire
    assert fields(tools=(ADD,), settings=ModelSettings(tool_choice=choice))["tool_choice"] == wire
    assert fields(tools=(ADD,), tool_choice=choice, settings=ModelSettings(tool_choice="auto"))["tool_choice"] == wire
    assert fields(tool_choice=choice) == {}


def test_parallel_calls() -> None:
    """Sent where it is set, there are tools, and the server knows it."""
    setting = ModelSettings(parallel_tool_calls=False)
    assert fields(tools=(ADD,), settings=setting)["parallel_tool_calls"] is False
    assert fields(settings=setting) == {}
    assert "parallel_tool_calls" not in fields(Profile(parallel_tools=False), tools=(ADD,), settings=setting)


def test_an_output_schema() -> None:
    """A schema becomes a `response_format`: strict where it keeps to the strict rules, its name made safe."""
    strict = {
        "type": "object",
        "properties": {"x": {"anyOf": [{"type": "integer"}, {"type": "null"}]}},
        "required": ["x"],
        "additionalProperties": False,
    }
    loose = {"type": "object", "properties": {"x": {"type": "integer"}}}
    assert fields(output_schema=strict, output_name="my output[int]") == {
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "my_output_int_", "schema": strict, "strict": True},
        }
    }
    assert fields(output_schema=loose)["response_format"]["json_schema"] == {"name": "output", "schema": loose}
    assert not is_strict({"$defs": {"A": loose}, **strict})
    assert is_strict({**strict, "examples": [loose]})


# Messages.


def test_media_in_a_users_message() -> None:
    """Images, sound and files go by their bytes or by URL, in the order they were given."""
    message = Message.user(
        "look",
        ImagePart(data=b"png", detail="low"),
        ImagePart(url="https://x.example/a.jpg"),
        AudioPart(data=b"wav", media_type="audio/mpeg"),
        FilePart(data=b"pdf", media_type="application/pdf", name="a.pdf"),
        FilePart(file_id="file-1"),
    )
    encoded = {w: base64.b64encode(w.encode()).decode() for w in ("png", "wav", "pdf")}
    assert messages(message) == [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "look"},
                {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{encoded['png']}", "detail": "low"}},
                {"type": "image_url", "image_url": {"url": "https://x.example/a.jpg"}},
                {"type": "input_audio", "input_audio": {"data": encoded["wav"], "format": "mp3"}},
                {
                    "type": "file",
                    "file": {"filename": "a.pdf", "file_data": f"data:application/pdf;base64,{encoded['pdf']}"},
                },
                {"type": "file", "file": {"file_id": "file-1"}},
            ],
        }
    ]


def test_a_turn_with_tools() -> None:
    """Calls go back as they came, each result as a message of its own behind them."""
    history = (
        Message.assistant(
            "Let me see.", ToolCallPart("a", "add", {"x": 1}), ToolCallPart("b", "add", None, raw='{"x": oops')
        ),
        Message.tool(ToolResultPart("a", "add", "2"), ToolResultPart("b", "add", "not JSON", is_error=True)),
    )
    assert messages(*history) == [
        {
            "role": "assistant",
            "content": "Let me see.",
            "tool_calls": [
                {"id": "a", "type": "function", "function": {"name": "add", "arguments": '{"x":1}'}},
                {
                    "id": "b",
                    "type": "function",
                    "function": {"name": "add", "arguments": '{"invalid_json":"{\\"x\\": oops"}'},
                },
            ],
        },
        {"role": "tool", "tool_call_id": "a", "content": "2"},
        {"role": "tool", "tool_call_id": "b", "content": "not JSON"},
    ]


def test_a_call_without_text() -> None:
    """No content is null beside calls, and empty text without them."""
    assert messages(Message.assistant(ToolCallPart("a", "add", {})))[0]["content"] is None
    assert messages(Message.assistant())[0]["content"] == ""


def test_media_in_a_tools_result() -> None:
    """A tool message may hold text only: media follow in a user's message, behind all results."""
    image = ImagePart(data=b"png")
    wire = messages(
        Message.tool(ToolResultPart("a", "shot", (TextPart("done"), image)), ToolResultPart("b", "add", "2"))
    )
    assert [m["role"] for m in wire] == ["tool", "tool", "user"]
    assert wire[0]["content"] == "done"
    assert [p["type"] for p in wire[2]["content"]] == ["text", "image_url"]
    assert "shot" in wire[2]["content"][0]["text"]


def test_reasoning_goes_back_only_to_who_wants_it() -> None:
    """With a call's history, to its own provider, where the profile says so."""
    call = ToolCallPart("a", "add", {})
    own = Message.assistant(ReasoningPart("hm", provider="deepseek"), call)
    other = Message.assistant(ReasoningPart("hm", provider="openai"), call)
    plain = Message.assistant(ReasoningPart("hm"), "text")
    wants = Profile(send_reasoning=True)
    assert messages(own, profile=wants, provider="deepseek")[0]["reasoning_content"] == "hm"
    for message, profile in ((own, PLAIN), (other, wants), (plain, wants)):
        assert "reasoning_content" not in messages(message, profile=profile, provider="deepseek")[0]


def test_parts_of_other_providers() -> None:
    """A provider's own part goes back to it and to nobody else."""
    message = Message.assistant("x", ProviderPart("openrouter", "reasoning_details", [{"type": "a"}]))
    assert messages(message, provider="openrouter")[0]["reasoning_details"] == [{"type": "a"}]
    assert "reasoning_details" not in messages(message)[0]


def test_a_calls_seal() -> None:
    """A seal of this protocol goes back as it came; another protocol's is left out."""
    sealed = ToolCallPart("a", "add", {}, signature='{"google":{"thought_signature":"c2VhbA=="}}')
    foreign = ToolCallPart("b", "add", {}, signature="EqQB")
    first, second = messages(Message.assistant(sealed, foreign))[0]["tool_calls"]
    assert first["extra_content"] == {"google": {"thought_signature": "c2VhbA=="}}
    assert "extra_content" not in second


def test_ids_of_calls_for_mistral() -> None:
    """Mistral takes nine letters and digits: other ids are mapped, call and result alike; its own are kept."""
    history = (
        Message.assistant(ToolCallPart("call_0", "add", {}), ToolCallPart("abcDEF123", "add", {})),
        Message.tool(ToolResultPart("call_0", "add", "1"), ToolResultPart("abcDEF123", "add", "2")),
    )
    calls, first, second = messages(*history, profile=Profile(call_ids="mistral"))
    ids = [c["id"] for c in calls["tool_calls"]]
    assert ids == [first["tool_call_id"], second["tool_call_id"]]
    assert ids[1] == "abcDEF123" and len(ids[0]) == 9 and ids[0].isalnum()


def test_instructions_for_a_developer() -> None:
    """Where the model knows the developer's role, instructions have it."""
    assert messages(Message.system("x"), profile=Profile(system_role="developer"))[0]["role"] == "developer"


def test_half_a_character() -> None:
    """A lone surrogate, which UTF-8 cannot hold, does not stop a request."""
    wire = messages(Message.user("a\ud83d"), Message.assistant(ToolCallPart("a", "add", {"k\udc00": ["\udc00"]})))
    assert wire[0]["content"] == "a\ufffd"
    assert json.loads(wire[1]["tool_calls"][0]["function"]["arguments"]) == {"k\ufffd": ["\ufffd"]}


@pytest.mark.parametrize(
    "message", [Message.tool(), Message("user", (TextPart("x"), ToolCallPart("a", "b", {}), ImagePart(url="u")))]
)
def test_a_message_that_cannot_be_sent(message: Message) -> None:
    """A tool message without results is refused by name; a part that has no place in a user's message is left out."""
    if message.role == "tool":
        with pytest.raises(InvalidInputError, match="ToolResultPart"):
            messages(message)
    else:
        assert [p["type"] for p in messages(message)[0]["content"]] == ["text", "image_url"]


# Bytes that are kept.


def test_old_messages_are_encoded_once() -> None:
    """The bytes of a message live as long as it does and are not made again."""
    encoder = Encoder("openai", PLAIN)
    history = [Message.user(f"message {i}") for i in range(50)]
    request = ModelRequest(messages=tuple(history), tools=(ADD,))
    first = encoder.body("m", request, stream=False)
    made: list[Message] = []
    encoder.messages._encode = lambda m: made.append(m) or b"{}"  # type: ignore[func-returns-value]
    assert encoder.body("m", request, stream=False) == first
    assert made == [] and len(encoder.messages) == 50
    del request, history[10:]
    gc.collect()
    assert len(encoder.messages) == 10


@settings(max_examples=examples(100), deadline=None)
@given(texts=st.lists(st.text(max_size=20), max_size=20), picks=st.lists(st.integers(0, 19), max_size=20))
def test_bodies_are_the_same_from_kept_bytes(texts: list[str], picks: list[int]) -> None:
    """Whatever was sent before, a body is what it would be the first time."""
    made = [Message.user(t) if i % 2 else Message.assistant(t) for i, t in enumerate(texts)]
    chosen = tuple(made[i] for i in picks if i < len(made))
    used = Encoder("openai", PLAIN)
    used.body("m", ModelRequest(messages=tuple(made)), stream=True)
    request = ModelRequest(messages=chosen, tools=(ADD,))
    body = used.body("m", request, stream=True)
    assert body == Encoder("openai", PLAIN).body("m", request, stream=True)
    assert [m["content"] for m in json.loads(body)["messages"]] == [
        json.loads(json.dumps(m.text.encode("utf-16", "surrogatepass").decode("utf-16", "replace"))) for m in chosen
    ]


# What comes back.


async def test_a_streamed_answer(chat_server: ChatServer) -> None:
    """Text in the server's pieces, then usage, then the end."""
    model = OpenAIChatModel("m", base_url=chat_server.base_url, api_key="sk-test")
    chunks = await ask(model, ModelRequest(messages=(Message.user("one two"),)))
    assert [c.delta for c in chunks if isinstance(c, TextChunk)] == ["You ", "said: ", "one ", "two"]
    assert isinstance(chunks[-2], UsageChunk) and chunks[-2].usage.input_tokens == 10
    assert chunks[-1] == Finished("stop", "chatcmpl-1", "m")


@pytest.mark.parametrize("incremental", [True, False])
async def test_a_call(incremental: bool) -> None:
    """Streamed or whole, a call has its index, id, name and raw arguments."""
    replies = [Reply(calls=[Call("add", {"x": 1}, "a"), Call("mul", '{"y": oops', "b")])]
    async with ChatServer(replies) as server:
        model = OpenAIChatModel("m", base_url=server.base_url, api_key="sk-test")
        chunks = await ask(model, ModelRequest(messages=(Message.user("go"),), tools=(ADD,), incremental=incremental))
    calls = [c for c in chunks if isinstance(c, ToolCallChunk)]
    for index, (id_, name, raw) in enumerate([("a", "add", '{"x": 1}'), ("b", "mul", '{"y": oops')]):
        mine = [c for c in calls if c.index == index]
        assert (mine[0].id, mine[0].name) == (id_, name)
        assert "".join(c.delta for c in mine) == raw
        assert all(c.id == c.name == "" for c in mine[1:])
    assert chunks[-1] == Finished("tool_calls", "chatcmpl-1", "m")


COUNTS = st.integers(0, 10**6)
TEXT = st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=20)
CALL = st.fixed_dictionaries(
    {"id": TEXT, "type": st.just("function"), "function": st.fixed_dictionaries({"name": TEXT, "arguments": TEXT})}
)
MESSAGE = st.fixed_dictionaries(
    {"role": st.just("assistant"), "content": st.none() | TEXT},
    optional={
        "tool_calls": st.none() | st.lists(CALL, max_size=3),
        "reasoning_content": st.none() | TEXT,
        "refusal": st.none() | TEXT,
        "function_call": st.none(),
    },
)


@settings(max_examples=examples(200), deadline=None)
@given(
    message=MESSAGE,
    finish=st.sampled_from(["stop", "tool_calls", "length", "content_filter"]),
    usage=st.none() | st.fixed_dictionaries({"prompt_tokens": COUNTS, "completion_tokens": COUNTS}),
)
def test_the_short_way_through_a_whole_answer(
    message: dict[str, Any], finish: str, usage: dict[str, int] | None
) -> None:
    """Where the usual shape is read straight on, it gives what the long way gives."""
    body = {
        "id": "c",
        "model": "m",
        "choices": [{"index": 0, "message": message, "finish_reason": finish}],
        "usage": usage,
    }
    event = decode(json.dumps(body).encode())
    short = whole(event)
    answer = Answer()
    long = answer.feed(event) + answer.end()
    assert short is None or short == long


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b'{"choices": []}',
        b'{"choices": "none"}',
        b'{"id": "c", "choices": [{"mess',
        b"<html><title>Hello</title></html>",
        b"OK",
    ],
)
@pytest.mark.parametrize("incremental", [True, False])
async def test_an_answer_that_is_none(body: bytes, incremental: bool) -> None:
    """200 with something else in it: the error shows how it begins, and no answer is made up."""
    async with ChatServer([Reply(body=body)]) as server:
        model = OpenAIChatModel("m", base_url=server.base_url, api_key="sk-test")
        with pytest.raises(MalformedAnswerError, match=re.escape(server.base_url)):
            await ask(model, ModelRequest(messages=(Message.user("go"),), incremental=incremental))


@pytest.mark.parametrize("incremental", [True, False])
async def test_an_error_in_a_200(incremental: bool) -> None:
    """An error is an error whatever the status."""
    async with ChatServer([Reply(body=b'{"error":{"message":"no credit","code":402}}')]) as server:
        model = OpenAIChatModel("m", base_url=server.base_url, api_key="sk-test")
        with pytest.raises(Exception, match="no credit"):
            await ask(model, ModelRequest(messages=(Message.user("go"),), incremental=incremental))


async def test_a_refused_key_is_not_shown() -> None:
    """The provider's words are kept, the key in them is not."""
    async with ChatServer([Reply("Incorrect API key provided: my-own-key-42", status=401)]) as server:
        model = OpenAIChatModel("m", base_url=server.base_url, api_key="my-own-key-42")
        with pytest.raises(Exception, match=r"Incorrect API key provided: \[hidden\]") as caught:
            await ask(model, ModelRequest(messages=(Message.user("go"),)))
    assert caught.value.provider == "openai" and caught.value.model == "m"  # type: ignore[attr-defined]


async def test_tools_that_are_rejected() -> None:
    """The error that makes the tool mode change comes out as such."""
    async with ChatServer([Reply("m does not support tools", status=400)]) as server:
        model = OpenAIChatModel("m", base_url=server.base_url, api_key="sk-test")
        with pytest.raises(ToolsUnsupportedError):
            await ask(model, ModelRequest(messages=(Message.user("go"),), tools=(ADD,)))


# What servers refuse that nobody asked for.


async def _learns(
    refuse: Any, profile: Profile, longest: int | None = None
) -> tuple[list[Chunk], list[dict[str, Any]]]:
    def script(request: Request) -> Reply:
        words = refuse(request.json or {})
        return Reply(words, status=400) if words else Reply("ok")

    async with ChatServer(script) as server:
        model = OpenAIChatModel("m", base_url=server.base_url, api_key="sk-test", profile=profile)
        request = ModelRequest(
            messages=(Message.system("s"), Message.user("go")), settings=ModelSettings(max_output_tokens=longest)
        )
        chunks = await ask(model, request)
        await ask(model, request)
        return chunks, [r.json or {} for r in server.requests]


@pytest.mark.parametrize(
    ("profile", "refuse", "field"),
    [
        (
            PLAIN,
            lambda b: "Extra inputs are not permitted: stream_options" if "stream_options" in b else "",
            "stream_options",
        ),
        (
            PLAIN,
            lambda b: (
                "'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."
                if "max_tokens" in b
                else ""
            ),
            "max_tokens",
        ),
        (
            Profile(max_tokens_field="max_completion_tokens"),
            lambda b: (
                "Unrecognized request argument supplied: max_completion_tokens" if "max_completion_tokens" in b else ""
            ),
            "max_completion_tokens",
        ),
    ],
)
async def test_a_server_that_refuses_what_nobody_asked_for(profile: Profile, refuse: Any, field: str) -> None:
    """It is asked again without it, which is announced, and never asked with it again."""
    chunks, bodies = await _learns(refuse, profile, 5)
    assert [field in b for b in bodies] == [True, False, False]
    first = chunks[0]
    assert isinstance(first, AttemptStarted) and first.attempt == 2 and not first.discard
    assert "rejected" in first.reason and first.tool_mode == "native"
    assert [type(c) for c in chunks[1:]] == [TextChunk, UsageChunk, Finished] or isinstance(chunks[1], TextChunk)


async def test_a_server_without_the_developers_role() -> None:
    """Instructions go as a system message from then on."""

    def refuse(body: dict[str, Any]) -> str:
        developer = body["messages"][0]["role"] == "developer"
        return "'developer' is not one of ['system', 'assistant', 'user']" if developer else ""

    _, bodies = await _learns(refuse, Profile(system_role="developer"))
    assert [b["messages"][0]["role"] for b in bodies] == ["developer", "system", "system"]


async def test_a_server_that_refuses_what_was_asked_for() -> None:
    """What the user set is never dropped behind their back."""
    async with ChatServer([Reply("Unsupported value: 'temperature' does not support 0.2", status=400)]) as server:
        model = OpenAIChatModel("m", base_url=server.base_url, api_key="sk-test")
        with pytest.raises(BadRequestError, match="temperature"):
            await ask(model, ModelRequest(messages=(Message.user("go"),), settings=ModelSettings(temperature=0.2)))
        assert len(server.requests) == 1


async def test_a_server_that_only_streams() -> None:
    """Where the profile says so, a whole answer is read from a stream."""
    async with ChatServer([Reply("all of it")]) as server:
        model = OpenAIChatModel("m", base_url=server.base_url, api_key="k", profile=Profile(stream_only=True))
        chunks = await ask(model, ModelRequest(messages=(Message.user("go"),), incremental=False))
        assert server.requests[0].json is not None and server.requests[0].json["stream"] is True
    assert "".join(c.delta for c in chunks if isinstance(c, TextChunk)) == "all of it"


# Time and closing.


async def test_a_model_that_says_nothing() -> None:
    """`timeout_s` is the longest silence; the error says how to raise it."""

    async def handler(connection: Connection) -> None:
        await connection.request()
        await connection.until_gone()

    async with RawServer(handler) as server:
        model = OpenAIChatModel("m", base_url=server.url, api_key="k", timeout_s=0.05)
        with pytest.raises(ModelTimeoutError, match="timeout_s"):
            await ask(model, ModelRequest(messages=(Message.user("go"),)))


async def test_a_slow_stream_is_no_silence() -> None:
    """A stream may take far longer than `timeout_s`, as long as it moves; a `Timeouts` bounds the whole."""

    async def handler(connection: Connection) -> None:
        await connection.request()
        await connection.begin()
        for _ in range(12):
            await connection.chunk(b'data: {"choices":[{"delta":{"content":"x"}}]}\n\n')
            await asyncio.sleep(0.08)
        await connection.chunk(b"data: [DONE]\n\n")
        await connection.chunk(b"")

    async with RawServer(handler) as server:
        model = OpenAIChatModel("m", base_url=server.url, api_key="k", timeout_s=0.8)
        chunks = await ask(model, ModelRequest(messages=(Message.user("go"),)))
        assert len([c for c in chunks if isinstance(c, TextChunk)]) == 12
        bounded = OpenAIChatModel("m", base_url=server.url, api_key="k", timeout_s=Timeouts(5.0, 5.0, 0.1))
        with pytest.raises(ModelTimeoutError):
            await ask(bounded, ModelRequest(messages=(Message.user("go"),)))


async def test_closing_the_chunks_closes_the_connection() -> None:
    """The server sees at once that nobody listens any more."""
    hold = asyncio.Event()
    async with ChatServer([Reply("one two three four", hold=hold, hold_at=3)]) as server:
        model = OpenAIChatModel("m", base_url=server.base_url, api_key="k")
        async with aclosing(model.stream(ModelRequest(messages=(Message.user("go"),)))) as chunks:
            assert (await anext(chunks)) == TextChunk("one ")
        async with asyncio.timeout(30):
            await server.requests[0].closed.wait()
        assert server.requests[0].cancelled


async def test_one_connection_for_all_models() -> None:
    """Models share the loop's pool: request after request goes over one connection."""

    async def handler(connection: Connection) -> None:
        while True:
            await connection.request()
            body = b'{"choices":[{"message":{"content":"ok"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1}}'
            await connection.answer(body)

    async with RawServer(handler) as server:
        for i in range(5):
            model = OpenAIChatModel(f"m{i}", base_url=server.url, api_key="k")
            await ask(model, ModelRequest(messages=(Message.user("go"),), incremental=False))
        assert len(server.connections) == 1


# Keys and addresses.


async def test_a_missing_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """Said at the first use, with the variable and where to get one; making the model needs none."""
    model = OpenAIChatModel("gpt-5-mini")
    with pytest.raises(MissingKeyError, match=r"OPENAI_API_KEY.*https://platform\.openai\.com"):
        await ask(model, ModelRequest(messages=(Message.user("go"),)))
    monkeypatch.setenv("OPENAI_API_KEY", "  ")
    with pytest.raises(MissingKeyError):
        await ask(model, ModelRequest(messages=(Message.user("go"),)))


async def test_a_server_of_ones_own_needs_no_key() -> None:
    """Without a key, no `Authorization` is sent."""
    async with ChatServer([Reply("ok")]) as server:
        await ask(OpenAIChatModel("m", base_url=server.base_url), ModelRequest(messages=(Message.user("go"),)))
        assert "authorization" not in server.requests[0].headers


async def test_key_and_address_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The provider's variables are read at the first use."""
    model = OpenAIChatModel("deepseek-chat", provider="deepseek")
    async with ChatServer([Reply("ok")]) as server:
        monkeypatch.setenv("DEEPSEEK_API_KEY", "sk-env")
        monkeypatch.setenv("DEEPSEEK_BASE_URL", server.base_url)
        await ask(model, ModelRequest(messages=(Message.user("go"),)))
        assert server.requests[0].headers["authorization"] == "Bearer sk-env"
        assert model.endpoint == server.base_url


@pytest.mark.parametrize(
    ("base_url", "url"),
    [
        ("https://x.example/v1", "https://x.example/v1/chat/completions"),
        ("https://x.example/v1/", "https://x.example/v1/chat/completions"),
        ("https://x.example/v1/chat/completions", "https://x.example/v1/chat/completions"),
        ("https://x.example/d/gpt?api-version=2", "https://x.example/d/gpt/chat/completions?api-version=2"),
    ],
)
def test_where_completions_are_asked_for(base_url: str, url: str) -> None:
    """Under the base URL, whose query is kept; the address itself is understood too."""
    assert address(base_url) == url


async def test_a_key_in_a_header_of_ones_own() -> None:
    """No other key is looked for, and the error does not show it."""
    async with ChatServer([Reply("refused: abc-def-42-xyz", status=401)]) as server:
        headers = {"API-Key": "abc-def-42-xyz"}
        model = OpenAIChatModel("m", base_url=server.base_url + "?api-version=1", headers=headers)
        with pytest.raises(AuthenticationError, match=r"refused: \[hidden\]"):
            await ask(model, ModelRequest(messages=(Message.user("go"),)))
        assert server.requests[0].headers["api-key"] == "abc-def-42-xyz"
        assert "authorization" not in server.requests[0].headers


async def test_a_base_url_that_is_none() -> None:
    """Named, with what it lacks."""
    model = OpenAIChatModel("m", base_url="localhost:8000/v1", api_key="k")
    with pytest.raises(ConfigurationError, match=r"localhost:8000/v1.*http://"):
        await ask(model, ModelRequest(messages=(Message.user("go"),)))


# Having one.


def test_a_model_is_cheap_to_make() -> None:
    """Under 400 bytes each, with nothing looked up, read or opened."""
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    kept = [OpenAIChatModel("m", base_url="http://127.0.0.1/v1", api_key="k") for _ in range(1000)]
    after = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert (after - before) / len(kept) < 400
    assert all(m._wire is None for m in kept)


def test_it_is_a_model() -> None:
    """It has what the contract asks for, and says what it is without showing its key."""
    model = OpenAIChatModel("m", base_url="http://127.0.0.1/v1", api_key="my-own-key-42", price=(1, 2))
    assert isinstance(model, Model)
    assert (model.provider, model.name, model.endpoint, model.price) == ("openai", "m", "http://127.0.0.1/v1", (1, 2))
    assert "my-own-key-42" not in repr(model) and "127.0.0.1" in repr(model)
    assert isinstance(FallbackModel(model).models[0], OpenAIChatModel)
