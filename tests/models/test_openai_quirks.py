"""Servers that are strict, each in its own way: what we send is taken, and a history that they refuse is told otherwise.

The servers in `strict_servers` refuse on loopback what the real ones refuse. A provider's entry in the table must do
without any refusal; a server that the table does not know is learned from its refusals.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lumosai.errors import BadRequestError, ServerError
from lumosai.messages import ImagePart, Message, Part, ReasoningPart, TextPart, ToolCallPart, ToolResultPart
from lumosai.models import ModelRequest, OpenAIChatModel, Profile
from lumosai.models._openai_order import RULES, ordered
from lumosai.models._openai_refusals import without_refused
from lumosai.models._openai_request import Encoder
from lumosai.models.base import AttemptStarted, Chunk, Finished, ReasoningChunk, TextChunk, ToolCallChunk
from lumosai.models.providers import PROVIDERS, profile_of
from lumosai.records import ModelSettings, ToolChoice, ToolDefinition
from tests.conftest import examples
from tests.models import strict_servers
from tests.models.strict_servers import Check, strict
from tests.servers import ChatServer, Reply

ADD = ToolDefinition("add", "Adds.", {"type": "object", "properties": {"x": {"type": "integer"}}, "required": ["x"]})
NOW = ToolDefinition("now", "The time.", {"type": "object", "properties": {}})
ASKED = Message.user("What is 1 + 1?")


def called(provider: str | None, thought: str = "Let me add.", text: str = "") -> Message:
    parts: list[Part] = [ReasoningPart(thought, provider=provider)] if thought else []
    parts += [TextPart(text)] if text else []
    return Message("assistant", (*parts, ToolCallPart("call_0001", "add", {"x": 1})))


RESULT = Message.tool(ToolResultPart("call_0001", "add", "2"))


def table(provider: str, name: str) -> Profile:
    return profile_of(provider, name, PROVIDERS[provider].base_url)


async def exchange(
    check: Check, provider: str, name: str, request: ModelRequest, *replies: Reply, profile: Profile | None = None
) -> tuple[list[Chunk], list[dict[str, Any]], list[str], OpenAIChatModel]:
    """The chunks, the requests' bodies and paths, and the model."""
    async with ChatServer(strict(check, *replies)) as server:
        base = server.base_url
        model = OpenAIChatModel(
            name, provider=provider, base_url=base, api_key="k", profile=profile or table(provider, name)
        )
        chunks = [chunk async for chunk in model.stream(request)]
        return chunks, [r.json or {} for r in server.requests], [r.path for r in server.requests], model


async def taken(check: Check, written: str, request: ModelRequest, *replies: Reply) -> dict[str, Any]:
    """The one request that a strict server took at once."""
    provider, _, name = written.partition(":")
    chunks, bodies, _, _ = await exchange(check, provider, name, request, *replies)
    assert not [c for c in chunks if isinstance(c, AttemptStarted)], bodies
    assert len(bodies) == 1
    return bodies[0]


LONG = (Message.system("Be brief."), ASKED, called(None), RESULT, Message.assistant("2"), Message.user("And 2 + 2?"))
STRICT: list[tuple[Check, str]] = [
    (strict_servers.mistral, "mistral:mistral-large-latest"),
    (strict_servers.mistral, "mistral:mistral-small-latest"),
    (strict_servers.mistral, "mistral:magistral-medium-latest"),
    (strict_servers.deepseek, "deepseek:deepseek-chat"),
    (strict_servers.deepseek, "deepseek:deepseek-reasoner"),
    (strict_servers.deepseek, "deepseek:deepseek-v4-pro"),
    (strict_servers.deepseek_r1, "deepseek:deepseek-r1"),
    (strict_servers.deepseek_r1, "deepseek:deepseek-v3.1"),
    (strict_servers.zhipu, "zhipu:glm-4.7"),
    (strict_servers.zhipu, "zhipu:glm-4-plus"),
    (strict_servers.qwen, "qwen:qwen-plus"),
    (strict_servers.qwen, "qwen:qwen3-32b"),
    (strict_servers.qwen, "qwen:qwq-plus"),
    (strict_servers.qwen, "qwen:qwen3-235b-a22b-thinking-2507"),
    (strict_servers.moonshot, "moonshot:kimi-k2.5"),
    (strict_servers.moonshot, "moonshot:kimi-k2-thinking"),
    (strict_servers.moonshot, "moonshot:kimi-k3"),
    (strict_servers.moonshot, "moonshot:moonshot-v1-8k"),
    (strict_servers.groq, "groq:openai/gpt-oss-120b"),
    (strict_servers.groq, "groq:qwen/qwen3-32b"),
    (strict_servers.groq, "groq:llama-3.3-70b-versatile"),
    (strict_servers.cohere, "cohere:command-a-03-2025"),
    (strict_servers.cohere, "cohere:command-a-reasoning-08-2025"),
    (strict_servers.xai, "xai:grok-4"),
    (strict_servers.xai, "xai:grok-4.3"),
    (strict_servers.snowflake, "snowflake:claude-sonnet-4-5"),
    (strict_servers.snowflake, "snowflake:openai-gpt-5"),
]
SETTINGS = [
    ModelSettings(),
    ModelSettings(temperature=0.3, top_p=0.9, seed=1, max_output_tokens=50, parallel_tool_calls=False),
    ModelSettings(reasoning=True),
    ModelSettings(reasoning=False),
    ModelSettings(reasoning="low"),
    ModelSettings(reasoning="medium", temperature=0.3),
]
CHOICES: list[ToolChoice | None] = [None, "auto", "none", "required", {"tool": "add"}]


def parts_of(role: str, draw: st.DrawFn, number: int) -> tuple[Part, ...]:
    text = draw(st.sampled_from(["", "Hello.", "Well — 好"]))
    if role == "assistant":
        thought = draw(st.sampled_from([None, "mine", "theirs"]))
        thoughts = [ReasoningPart("Hmm", provider="other" if thought == "theirs" else None)] if thought else []
        calls = [ToolCallPart(f"id-{number}-{i}", "add", {"x": i}) for i in range(draw(st.integers(0, 2)))]
        return (*thoughts, *([TextPart(text)] if text else []), *calls)
    return (TextPart(text or "Go."),)


@st.composite
def histories(draw: st.DrawFn) -> tuple[Message, ...]:
    """Any order of speakers, every call with its result behind it; it ends with a user's message or a result."""
    told: list[Message] = []
    for number in range(draw(st.integers(1, 7))):
        role = draw(st.sampled_from(["system", "user", "assistant"]))
        message = Message(role, parts_of(role, draw, number))
        told.append(message)
        if message.tool_calls:
            told.append(Message.tool(*(ToolResultPart(c.id, c.name, "1") for c in message.tool_calls)))
    if told[-1].role in ("system", "assistant"):
        told.append(Message.user("Go on."))
    return tuple(told)


@pytest.mark.parametrize(("check", "written"), STRICT, ids=lambda v: v if isinstance(v, str) else "")
@settings(max_examples=examples(60), deadline=None)
@given(
    history=histories(), settings_=st.sampled_from(SETTINGS), choice=st.sampled_from(CHOICES), incremental=st.booleans()
)
def test_whatever_we_send_is_taken(
    check: Check,
    written: str,
    history: tuple[Message, ...],
    settings_: ModelSettings,
    choice: ToolChoice | None,
    incremental: bool,
) -> None:
    """Of every provider: any history, any settings, any choice of tools, streamed or not."""
    provider, _, name = written.partition(":")
    profile = table(provider, name)
    request = ModelRequest(
        messages=history, tools=(ADD, NOW), settings=settings_, tool_choice=choice, incremental=incremental
    )
    stream = incremental or profile.stream_only or (profile.stream_thinking and profile.thinks_in(settings_))
    body = json.loads(Encoder(provider, profile).body(name, request, stream=stream))
    assert check(body, "/v1/chat/completions") is None


@pytest.mark.parametrize(("check", "written"), STRICT, ids=lambda v: v if isinstance(v, str) else "")
async def test_a_conversation_over_a_socket(check: Check, written: str) -> None:
    """A turn with calls, and one behind it, through a real server that is as strict."""
    body = await taken(check, written, ModelRequest(messages=LONG, tools=(ADD,), incremental=False))
    assert body["tools"][0]["function"]["name"] == "add"


# What makes them take it.


@pytest.mark.parametrize("name", ["deepseek-reasoner", "deepseek-v4-pro"])
async def test_deepseeks_thoughts_go_back(name: str) -> None:
    """With the calls they led to and the answer behind; the thoughts of another's model do not, but a blank does."""
    history = (ASKED, called("deepseek"), RESULT, Message("assistant", (ReasoningPart("Two."), TextPart("2"))), ASKED)
    body = await taken(strict_servers.deepseek, f"deepseek:{name}", ModelRequest(messages=history))
    assert [m.get("reasoning_content") for m in body["messages"]] == [None, "Let me add.", None, "Two.", None]
    theirs = (ASKED, called("anthropic"), RESULT)
    body = await taken(strict_servers.deepseek, f"deepseek:{name}", ModelRequest(messages=theirs))
    assert body["messages"][1]["reasoning_content"] == " "


async def test_deepseek_goes_on_from_a_text() -> None:
    """A last message of the assistant is marked as the beginning of the answer, and asked for where that is known."""
    request = ModelRequest(messages=(ASKED, Message.assistant("The answer is")))
    _, bodies, paths, _ = await exchange(strict_servers.deepseek, "deepseek", "deepseek-chat", request)
    assert paths == ["/beta/chat/completions"]
    assert bodies[0]["messages"][-1] == {"role": "assistant", "content": "The answer is", "prefix": True}


@pytest.mark.parametrize(
    ("check", "written", "mark"),
    [
        (strict_servers.mistral, "mistral:mistral-large-latest", "prefix"),
        (strict_servers.moonshot, "moonshot:kimi-k2.5", "partial"),
        (strict_servers.qwen, "qwen:qwen-plus", "partial"),
        (strict_servers.qwen, "qwen:qwen3-32b", "partial"),
    ],
)
async def test_others_go_on_from_a_text(check: Check, written: str, mark: str) -> None:
    """Each by its own mark, on the last message alone; Qwen only where it does not think."""
    history = (ASKED, Message.assistant("Two."), ASKED, Message.assistant("The answer is"))
    body = await taken(check, written, ModelRequest(messages=history))
    assert [m.get(mark) for m in body["messages"]] == [None, None, None, True]
    assert body.get("enable_thinking") is (False if written == "qwen:qwen3-32b" or "qwen-plus" in written else None)


async def test_the_thoughts_of_mistral_are_parts() -> None:
    """In as a list, out as a list: what came back is what was sent."""
    parts = [
        {"type": "thinking", "thinking": [{"type": "text", "text": "Let me add."}]},
        {"type": "text", "text": "So:"},
    ]
    message = {"role": "assistant", "content": parts}
    whole = json.dumps({"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}).encode()
    request = ModelRequest(messages=(ASKED,), incremental=False)
    chunks, _, _, _ = await exchange(
        strict_servers.mistral, "mistral", "magistral-medium-latest", request, Reply(body=whole)
    )
    thought = "".join(c.delta for c in chunks if isinstance(c, ReasoningChunk))
    text = "".join(c.delta for c in chunks if isinstance(c, TextChunk))
    said = Message("assistant", (ReasoningPart(thought, provider="mistral"), TextPart(text)))
    body = await taken(
        strict_servers.mistral, "mistral:magistral-medium-latest", ModelRequest(messages=(ASKED, said, ASKED))
    )
    assert body["messages"][1]["content"] == parts


async def test_choices_that_cannot_be_demanded_are_told() -> None:
    """The tool that was chosen is the only one sent, and words say the rest; where none is wanted none is sent."""
    for choice, names in (({"tool": "now"}, ["now"]), ("required", ["add", "now"])):
        request = ModelRequest(messages=(ASKED,), tools=(ADD, NOW), tool_choice=choice)  # type: ignore[arg-type]
        body = await taken(strict_servers.zhipu, "zhipu:glm-4.7", request)
        assert [t["function"]["name"] for t in body["tools"]] == names
        assert "tool_choice" not in body and "tool" in body["messages"][0]["content"]
    body = await taken(
        strict_servers.zhipu, "zhipu:glm-4.7", ModelRequest(messages=(ASKED,), tools=(ADD,), tool_choice="none")
    )
    assert "tools" not in body and body["messages"] == [{"role": "user", "content": ASKED.text}]


async def test_a_choice_is_demanded_where_it_can_be() -> None:
    """Of Kimi with its thoughts switched off, say; and Mistral's word for any tool is "any"."""
    demanding = ModelRequest(
        messages=(ASKED,), tools=(ADD,), tool_choice="required", settings=ModelSettings(reasoning=False)
    )
    body = await taken(strict_servers.moonshot, "moonshot:kimi-k2.5", demanding)
    assert body["tool_choice"] == "required" and body["thinking"] == {"type": "disabled"}
    body = await taken(strict_servers.mistral, "mistral:mistral-large-latest", demanding)
    assert body["tool_choice"] == "any"


@pytest.mark.parametrize(
    ("written", "reasoning", "wanted"),
    [
        ("qwen:qwen-plus", "low", {"enable_thinking": True, "thinking_budget": 2048}),
        ("qwen:qwen-plus", "high", {"enable_thinking": True}),
        ("qwen:qwen-plus", "none", {"enable_thinking": False}),
        ("deepseek:deepseek-v4-pro", "medium", {"thinking": {"type": "enabled"}, "reasoning_effort": "high"}),
        ("deepseek:deepseek-v4-pro", False, {"thinking": {"type": "disabled"}}),
        ("zhipu:glm-4.7", True, {"thinking": {"type": "enabled"}}),
        ("moonshot:kimi-k2.5", "high", {"thinking": {"type": "enabled"}}),
        ("moonshot:kimi-k3", "medium", {"reasoning_effort": "high"}),
        ("mistral:mistral-small-latest", True, {"reasoning_effort": "high"}),
        ("mistral:mistral-small-latest", "low", {"reasoning_effort": "high"}),
        ("mistral:mistral-small-latest", False, {"reasoning_effort": "none"}),
        ("mistral:mistral-large-latest", True, {}),
        ("groq:openai/gpt-oss-120b", "minimal", {"reasoning_effort": "low"}),
        ("groq:openai/gpt-oss-120b", True, {}),
        ("groq:qwen/qwen3-32b", "high", {"reasoning_effort": "default", "reasoning_format": "parsed"}),
        ("groq:qwen/qwen3-32b", False, {"reasoning_effort": "none", "reasoning_format": "parsed"}),
        ("xai:grok-4", "high", {}),
        ("xai:grok-4.3", "minimal", {"reasoning_effort": "low"}),
        ("xai:grok-3-mini", "medium", {"reasoning_effort": "high"}),
        ("cohere:command-a-reasoning-08-2025", "low", {"reasoning_effort": "high"}),
        ("together:zai-org/GLM-4.6", "high", {"reasoning": {"enabled": True}}),
        ("openrouter:x/y", "high", {"reasoning": {"effort": "high"}}),
        ("snowflake:claude-sonnet-4-5", "high", {"reasoning": {"effort": "high"}, "temperature": 1.0}),
        ("llamacpp:any", False, {"chat_template_kwargs": {"enable_thinking": False}}),
    ],
)
def test_how_much_a_model_is_to_think(written: str, reasoning: str | bool, wanted: dict[str, Any]) -> None:
    """In the words of each server, the nearest of those it knows."""
    provider, _, name = written.partition(":")
    request = ModelRequest(messages=(ASKED,), settings=ModelSettings(reasoning=reasoning))
    body = json.loads(Encoder(provider, table(provider, name)).body(name, request, stream=False))
    assert {k: v for k, v in body.items() if k not in ("model", "messages")} == wanted


def test_streams_of_calls_are_asked_for() -> None:
    """GLM streams a call's arguments only where it is told to; without tools or a stream nothing is said."""
    for tools, stream in (((ADD,), True), ((), True), ((ADD,), False)):
        request = ModelRequest(messages=(ASKED,), tools=tools)
        body = json.loads(Encoder("zhipu", table("zhipu", "glm-4.7")).body("glm-4.7", request, stream=stream))
        assert body.get("tool_stream") is (True if tools and stream else None)


def test_groqs_gpt_oss_gets_its_thoughts_back() -> None:
    """Under its own name for them, with calls only."""
    history = (ASKED, called("groq"), RESULT, Message("assistant", (ReasoningPart("Two."), TextPart("2"))), ASKED)
    profile = table("groq", "openai/gpt-oss-120b")
    body = json.loads(Encoder("groq", profile).body("m", ModelRequest(messages=history), stream=False))
    assert [m.get("reasoning") for m in body["messages"]] == [None, "Let me add.", None, None, None]


# The order of messages.


@settings(deadline=None)
@given(history=histories(), rules=st.sets(st.sampled_from(RULES)))
def test_rules_of_order_are_kept(history: tuple[Message, ...], rules: set[str]) -> None:
    """Whatever is told, no text, call or result is lost; a second time nothing changes; without a rule it is the same."""
    told = ordered(history, rules)
    if not rules:
        assert told is history
    assert list(ordered(told, rules)) == list(told)
    calls = [c for m in history for c in m.tool_calls]
    assert [c for m in told for c in m.tool_calls] == calls
    assert [r for m in told for r in m.tool_results] == [r for m in history for r in m.tool_results]
    everything = "\n".join(m.text for m in told)
    assert all(m.text in everything for m in history)


@settings(max_examples=examples(60), deadline=None)
@given(history=histories())
def test_a_template_that_insists_on_turns(history: tuple[Message, ...]) -> None:
    """Takes what the rules learned from its refusals make of a history."""
    profile = Profile()
    for _ in range(6):
        body = json.loads(Encoder("openai", profile).body("m", ModelRequest(messages=history), stream=False))
        refusal = strict_servers.template(body, "")
        if refusal is None:
            return
        learned = without_refused(profile, refusal[1]["error"]["message"])
        assert learned is not None
        profile = learned
    raise AssertionError(body)


def test_media_of_a_result_on_a_strict_server() -> None:
    """They follow in a user's message, before which the assistant speaks where it has to."""
    image = ToolResultPart("call_0001", "add", (TextPart("see"), ImagePart(data=b"x")))
    history = (ASKED, called(None, ""), Message.tool(image))
    body = json.loads(
        Encoder("mistral", table("mistral", "mistral-large-latest")).body(
            "m", ModelRequest(messages=history), stream=False
        )
    )
    assert strict_servers.mistral({**body, "model": "m"}, "") is None
    assert [m["role"] for m in body["messages"]] == ["user", "assistant", "tool", "assistant", "user"]


# What is learned from refusals.

UNKNOWN: list[tuple[Check, dict[str, Any]]] = [
    (strict_servers.mistral, {"stream_usage": False, "call_ids": "mistral", "order": ("tool_user",)}),
    (strict_servers.deepseek, {"send_reasoning": True, "reasoning_required": True}),
    (strict_servers.moonshot, {"send_reasoning": True}),
    (strict_servers.template, {"order": ("system", "tool_user", "alternate")}),
    (strict_servers.no_prefill, {"order": ("last",)}),
    (strict_servers.cohere, {"parallel_tools": False}),
]
BROKEN = {
    "mistral": (ASKED, called("x"), RESULT, Message.user("Thanks. And now?")),
    "deepseek": LONG,
    "moonshot": LONG,
    "template": (Message.system("A"), ASKED, Message.user("Now."), Message.system("B"), Message.user("C")),
    "no_prefill": (ASKED, Message.assistant("The")),
    "cohere": (ASKED,),
}


@pytest.mark.parametrize(("check", "learned"), UNKNOWN, ids=lambda v: getattr(v, "__name__", ""))
@pytest.mark.parametrize("incremental", [True, False])
async def test_a_server_that_the_table_does_not_know(check: Check, learned: dict[str, Any], incremental: bool) -> None:
    """Each refusal teaches one thing, the request is sent again, and the next request is right at once."""
    request = ModelRequest(
        messages=BROKEN[check.__name__],
        tools=(ADD,),
        settings=ModelSettings(parallel_tool_calls=False) if check is strict_servers.cohere else ModelSettings(),
        incremental=incremental,
    )
    name = "kimi-k2-thinking" if check is strict_servers.moonshot else "m"
    async with ChatServer(strict(check)) as server:
        model = OpenAIChatModel(name, provider="openai", base_url=server.base_url, api_key="k", profile=Profile())
        first = [c async for c in model.stream(request)]
        refused = [c for c in first if isinstance(c, AttemptStarted)]
        assert refused and all(c.reason.startswith("rejected: ") and not c.discard for c in refused)
        assert isinstance(first[-1], Finished)
        found = {k: v for k, v in learned.items() if incremental or k != "stream_usage"}
        assert {k: getattr(model.profile, k) for k in found} == found
        before = len(server.requests)
        assert not [c async for c in model.stream(request) if isinstance(c, AttemptStarted)]
        assert len(server.requests) == before + 1


async def test_a_server_that_only_streams_is_learned() -> None:
    """An answer that nobody reads in deltas is then streamed all the same, in both of a model's ways."""
    async with ChatServer(strict(strict_servers.qwen, Reply("Two."))) as server:
        model = OpenAIChatModel("qwq-plus", base_url=server.base_url, api_key="k", profile=Profile())
        request = ModelRequest(messages=(ASKED,), incremental=False)
        told: list[AttemptStarted] = []
        chunks = await model.answer(request, told.append)
        assert len(told) == 1 and "".join(c.delta for c in chunks if isinstance(c, TextChunk)) == "Two."
        chunks = await model.answer(request, told.append)
        assert len(told) == 1 and isinstance(chunks[-1], Finished)
        assert not model.in_one_piece
        assert [bool((r.json or {}).get("stream")) for r in server.requests] == [False, True, True]


@pytest.mark.parametrize("incremental", [True, False])
async def test_a_model_that_thinks_only_in_streams(incremental: bool) -> None:
    """Qwen's thoughts are asked for in a stream, its answers without thoughts in either way."""
    for reasoning in (True, False):
        request = ModelRequest(messages=(ASKED,), incremental=incremental, settings=ModelSettings(reasoning=reasoning))
        body = await taken(strict_servers.qwen, "qwen:qwen-plus", request)
        assert bool(body.get("stream")) is (incremental or reasoning)


async def test_refusals_end() -> None:
    """A server that refuses everything is not asked for ever, and its last words are raised."""
    words = ["stream_options", "developer", "parallel_tool_calls", "roles must alternate", "must not be empty"]
    asked = 0

    def refuse(_body: dict[str, Any], _path: str) -> strict_servers.Refusal:
        nonlocal asked
        asked += 1
        return 400, {"error": {"message": f"no: max_tokens, max_completion_tokens, {words[asked % len(words)]}"}}

    with pytest.raises(BadRequestError, match="max_tokens"):
        await exchange(refuse, "openai", "m", ModelRequest(messages=(ASKED,)), profile=Profile())
    assert asked <= 8


async def test_other_failures_teach_nothing() -> None:
    """An internal error that is no template's is raised at once, whatever the model was asked."""
    refusal = (500, {"error": {"message": "CUDA out of memory"}})
    with pytest.raises(ServerError, match="CUDA"):
        await exchange(lambda _b, _p: refusal, "openai", "m", ModelRequest(messages=(ASKED,)), profile=Profile())


# A call that Groq itself could not read.

FAILED = [
    ('{"name": "add", "arguments": {"x": "one"}}', [("add", {"x": "one"})]),
    ('{"name": "ad", "parameters": {"x": 1}}', [("ad", {"x": 1})]),
    ('[{"name": "add", "arguments": {"x": 1}}, {"name": "now", "arguments": {}}]', [("add", {"x": 1}), ("now", {})]),
    ('<tool_call>\n{"name": "add", "arguments": {"x": 1}}\n</tool_call>', [("add", {"x": 1})]),
]


@pytest.mark.parametrize(("text", "calls"), FAILED)
@pytest.mark.parametrize("incremental", [True, False])
@pytest.mark.parametrize("status", [200, 400])
async def test_a_call_that_the_server_could_not_read(
    text: str, calls: list[tuple[str, dict[str, Any]]], incremental: bool, status: int
) -> None:
    """It is given as a call, so that the model is told what is wrong with it: in mid-stream and as an answer."""
    error = {"message": "Failed to call a function.", "type": "invalid_request_error", "code": "tool_use_failed"}
    payload = json.dumps({"error": {**error, "failed_generation": text, "status_code": 400}}).encode()
    if status == 200:
        thought = b'data: {"id":"1","choices":[{"index":0,"delta":{"reasoning":"Hm."}}]}\n\n'
        reply = Reply(body=thought + b"event: error\ndata: " + payload + b"\n\n", content_type="text/event-stream")
    else:
        reply = Reply(status=400, body=payload)
    request = ModelRequest(messages=(ASKED,), tools=(ADD, NOW), incremental=incremental)
    if status == 200 and not incremental:
        return  # an answer in one piece comes with its status
    chunks, bodies, _, _ = await exchange(lambda _b, _p: None, "groq", "openai/gpt-oss-120b", request, reply)
    found = [(c.name, json.loads(c.delta)) for c in chunks if isinstance(c, ToolCallChunk)]
    assert found == calls and len(bodies) == 1
    assert isinstance(chunks[-1], Finished) and chunks[-1].reason == "tool_calls"


@pytest.mark.parametrize("text", ["", "I would rather not.", '{"name": 3}', "[]", '{"name": "add", "arguments": "{"}'])
async def test_text_that_is_no_call_is_the_error(text: str) -> None:
    """No call is invented, and the text is not shown as an answer."""
    error = {"message": "Tool choice is required, but model did not call a tool", "code": "tool_use_failed"}
    reply = Reply(status=400, body=json.dumps({"error": {**error, "failed_generation": text}}).encode())
    request = ModelRequest(messages=(ASKED,), tools=(ADD,))
    with pytest.raises(BadRequestError, match="did not call a tool") as caught:
        await exchange(lambda _b, _p: None, "groq", "openai/gpt-oss-120b", request, reply)
    assert caught.value.wrote == text
