"""`OpenAIResponsesModel` over real sockets: what it sends, what it carries from step to step, what it is refused."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from lumosai.errors import (
    AuthenticationError,
    BadRequestError,
    InvalidInputError,
    MalformedAnswerError,
    ModelError,
    ModelNotFoundError,
    QuotaExceededError,
    RateLimitError,
    SchemaUnsupportedError,
    ServerError,
    StreamInterruptedError,
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
from lumosai.models import ModelRequest, OpenAIChatModel, OpenAIResponsesModel, Profile, model
from lumosai.models._responses_seals import home, opened, seal
from lumosai.models.base import AttemptStarted, Chunk, Finished, PartChunk, ReasoningChunk, ToolCallChunk
from lumosai.records import ModelSettings, ToolDefinition
from tests.models.responses_server import (
    ResponsesServer,
    Told,
    call,
    custom,
    events_of,
    message,
    response_of,
    sse,
    thought,
)
from tests.models.test_streams import folded
from tests.raw_server import Connection, RawServer
from tests.servers import ChatServer, Reply

OWN = "openai-responses"
ADD = ToolDefinition("add", "Adds.", {"type": "object", "properties": {"x": {"type": "integer"}}})
HELLO = Told([message("Hello.")])
PNG = b"\x89PNG"


async def ask(
    server: ResponsesServer,
    *messages: Message,
    name: str = "gpt-5-mini",
    options: dict[str, Any] | None = None,
    **request: Any,
) -> list[Chunk]:
    made = OpenAIResponsesModel(name, base_url=server.base_url, api_key="sk-test", **(options or {}))
    asked = ModelRequest(messages=messages or (Message.user("go"),), **request)
    return [c async for c in made.stream(asked)]


async def sent(
    *messages: Message, name: str = "gpt-5-mini", options: dict[str, Any] | None = None, **request: Any
) -> Any:
    """The JSON of one request."""
    async with ResponsesServer([HELLO]) as server:
        await ask(server, *messages, name=name, options=options, **request)
        return server.requests[0].json


@pytest.mark.parametrize("incremental", [True, False])
async def test_a_request_and_its_answer(incremental: bool) -> None:
    """The path, the key, and a body that stores nothing; text, usage and the end come back."""
    async with ResponsesServer([HELLO]) as server:
        chunks = await ask(server, Message.system("Be brief."), Message.user("Hi"), incremental=incremental)
        request = server.requests[0]
    assert request.path == "/v1/responses"
    assert request.headers["authorization"] == "Bearer sk-test"
    stream = {"stream": True} if incremental else {}
    assert request.json == {
        "model": "gpt-5-mini",
        "store": False,
        "include": ["reasoning.encrypted_content"],
        "instructions": "Be brief.",
        "input": [{"role": "user", "content": "Hi"}],
        **stream,
    }
    assert folded(chunks) == ("Hello.", "", [], "stop", (20, 10, 4, 8, 30))
    assert chunks[-1] == Finished("stop", "resp_1", "gpt-5-mini-2026-01-01")


async def test_both_ways_give_the_same() -> None:
    """An answer in one piece folds to what its stream folds to, opaque parts and seals included."""
    told = Told(
        [
            thought("A.", "B."),
            {
                "type": "web_search_call",
                "id": "ws_1",
                "status": "completed",
                "action": {"type": "search", "query": "q"},
            },
            message("Hi 你好", phase="commentary", annotations=[{"type": "url_citation", "url": "https://x"}]),
            call("add", '{"x":1}', namespace="n"),
        ]
    )
    made = []
    for incremental in (True, False):
        async with ResponsesServer([told]) as server:
            chunks = await ask(server, incremental=incremental)
        parts = [c.part for c in chunks if isinstance(c, PartChunk)]
        seals = "".join(c.signature for c in chunks if isinstance(c, ReasoningChunk | ToolCallChunk) and c.signature)
        made.append((folded(chunks), parts, seals))
    assert made[0] == made[1]


@pytest.mark.parametrize(
    ("base_url", "path"),
    [("/v1", "/v1/responses"), ("/v1/", "/v1/responses"), ("/v1/responses", "/v1/responses"), ("", "/responses")],
)
async def test_where_it_asks(base_url: str, path: str) -> None:
    """The path is added to any base URL, unless it is there."""
    async with ResponsesServer([HELLO]) as server:
        made = OpenAIResponsesModel("m", base_url=server.base_url.removesuffix("/v1") + base_url + "?v=1")
        assert [c async for c in made.stream(ModelRequest(messages=(Message.user("go"),)))]
        assert server.requests[0].path == path


def test_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenAI's key and address are read from OpenAI's variables."""
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    made = model("openai-responses:gpt-5", tools=[{"type": "web_search"}])
    assert isinstance(made, OpenAIResponsesModel)
    assert (made.provider, made.name, made.endpoint) == (OWN, "gpt-5", "http://127.0.0.1:9/v1")
    assert made.profile.reasoning_effort


async def test_settings() -> None:
    """Each under this protocol's name; what the model does not take is left out."""
    set_ = ModelSettings(
        temperature=0.5,
        top_p=0.9,
        max_output_tokens=50,
        reasoning="low",
        seed=7,
        stop=("x",),
        parallel_tool_calls=False,
    )
    body = await sent(settings=set_, tools=(ADD,), tool_choice="required")
    assert body["max_output_tokens"] == 50
    assert body["reasoning"] == {"effort": "low"}
    assert body["parallel_tool_calls"] is False
    assert body["tool_choice"] == "required"
    assert not {"temperature", "top_p", "seed", "stop"} & set(body)
    body = await sent(settings=set_, name="gpt-4o")
    assert (body["temperature"], body["top_p"]) == (0.5, 0.9)
    assert not {"reasoning", "include", "tool_choice", "parallel_tool_calls"} & set(body)


async def test_summaries_of_thoughts() -> None:
    """Asked for where the model thinks."""
    body = await sent(options={"summary": "auto"}, settings=ModelSettings(reasoning="high"))
    assert body["reasoning"] == {"effort": "high", "summary": "auto"}
    assert "reasoning" not in await sent(options={"summary": "auto"}, name="gpt-4o")


async def test_functions() -> None:
    """Strictness is said either way: its absence would be taken for a yes."""
    strict = ToolDefinition("mul", "Multiplies.", {"type": "object", "properties": {}}, strict=True)
    body = await sent(tools=(ADD, strict), tool_choice={"tool": "mul"})
    assert body["tools"] == [
        {"type": "function", "name": "add", "description": "Adds.", "parameters": ADD.parameters, "strict": False},
        {
            "type": "function",
            "name": "mul",
            "description": "Multiplies.",
            "parameters": strict.parameters,
            "strict": True,
        },
    ]
    assert body["tool_choice"] == {"type": "function", "name": "mul"}
    assert "tools" not in await sent(tools=(ADD,), tool_mode="text")


async def test_an_answer_under_a_schema() -> None:
    """The schema stands in `text.format`, strict where it keeps to the strict rules."""
    schema = {
        "type": "object",
        "properties": {"n": {"type": "integer"}},
        "required": ["n"],
        "additionalProperties": False,
    }
    body = await sent(output_schema=schema, output_name="Out put")
    assert body["text"] == {"format": {"type": "json_schema", "name": "Out_put", "schema": schema, "strict": True}}
    merged = await sent(output_schema=schema, settings=ModelSettings(extra={"text": {"verbosity": "low"}}))
    assert set(merged["text"]) == {"format", "verbosity"}


async def test_system_messages() -> None:
    """Those at the beginning are the instructions, later ones stand where they were."""
    said = (Message.system("A"), Message.system("B"), Message.user("Hi"), Message.system("C"), Message.user("Ho"))
    body = await sent(*said)
    assert body["instructions"] == "A\n\nB"
    assert [i["role"] for i in body["input"]] == ["user", "developer", "user"]
    alone = await sent(Message.system("A"))
    assert "instructions" not in alone and alone["input"] == [{"role": "developer", "content": "A"}]


async def test_media() -> None:
    """Images, files and sound by bytes, by URL and by id."""
    said = Message.user(
        "Look",
        ImagePart(PNG),
        ImagePart(url="https://x.example/a.png", detail="low"),
        FilePart(b"%PDF", media_type="application/pdf", name="a.pdf"),
        FilePart(url="https://x.example/a.pdf"),
        FilePart(file_id="file-1"),
        AudioPart(b"RIFF"),
    )
    body = await sent(said, options={"profile": Profile()})
    assert body["input"][0]["content"] == [
        {"type": "input_text", "text": "Look"},
        {"type": "input_image", "image_url": "data:image/png;base64,iVBORw==", "detail": "auto"},
        {"type": "input_image", "image_url": "https://x.example/a.png", "detail": "low"},
        {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERg=="},
        {"type": "input_file", "file_url": "https://x.example/a.pdf"},
        {"type": "input_file", "file_id": "file-1"},
        {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}},
    ]
    with pytest.raises(InvalidInputError, match="give its bytes"):
        await sent(Message.user(AudioPart(url="https://x.example/a.wav")), options={"profile": Profile()})


def asked(*calls: ToolCallPart) -> tuple[Message, Message]:
    return Message.user("go"), Message.assistant(*calls)


async def test_results() -> None:
    """Text stays text; images and files stand in the result, sound behind all results."""
    said = asked(ToolCallPart("a", "add", {"x": 1}), ToolCallPart("b", "see", {}), ToolCallPart("c", "hear", {}))
    results = Message.tool(
        ToolResultPart("a", "add", "2"),
        ToolResultPart("b", "see", (TextPart("A cat:"), ImagePart(PNG))),
        ToolResultPart("c", "hear", (AudioPart(b"RIFF"),)),
    )
    body = await sent(*said, results, options={"profile": Profile()})
    outputs = body["input"][4:]
    assert [i["type"] for i in outputs[:3]] == ["function_call_output"] * 3
    assert outputs[0] == {"type": "function_call_output", "call_id": "a", "output": "2"}
    assert [p["type"] for p in outputs[1]["output"]] == ["input_text", "input_image"]
    assert outputs[2]["output"] == "The content follows in the next message."
    assert [p["type"] for p in outputs[3]["content"]] == ["input_text", "input_audio"]
    with pytest.raises(InvalidInputError, match="ToolResultPart"):
        await sent(*said, Message("tool", ()))


@pytest.mark.parametrize(("now", "sent_as"), [({"x": 1}, '{ "x": 1 }'), ({"x": 2}, '{"x":2}')])
async def test_arguments_as_they_were_written(now: dict[str, Any], sent_as: str) -> None:
    """A call goes back to the letter, so that the server's cache knows it; one that was changed goes back as it is."""
    signature = seal(LOCAL, {"id": "fc_1", "status": "completed", "arguments": '{ "x": 1 }'})
    said = asked(ToolCallPart("a", "add", now, None, signature))
    body = await sent(*said, Message.tool(ToolResultPart("a", "add", "2")))
    assert body["input"][1] == {
        "type": "function_call",
        "id": "fc_1",
        "status": "completed",
        "call_id": "a",
        "name": "add",
        "arguments": sent_as,
    }


async def test_arguments_that_did_not_parse() -> None:
    """The model sees what it wrote."""
    said = asked(ToolCallPart("a", "add", None, '{"x": '))
    body = await sent(*said, Message.tool(ToolResultPart("a", "add", "That is no JSON.", True)))
    assert json.loads(body["input"][1]["arguments"]) == {"invalid_json": '{"x": '}
    assert body["input"][2]["output"] == "That is no JSON."


def answered(at: str, *items: dict[str, Any]) -> list[ReasoningPart]:
    return [ReasoningPart("", seal(at, i), OWN) for i in items]


LOCAL = f"{OWN}@127.0.0.1"


async def test_thoughts_go_back_as_they_came() -> None:
    """Every item of an answer is sent again, unchanged and in its order, with the calls that the thoughts led to."""
    from lumosai.agent.answer import Answer

    output = [
        thought("I look.", "Then I add."),
        thought(id="rs_2", sealed="second=="),
        call("add", '{"x":1}', namespace="maths"),
        thought("More.", id="rs_3", sealed="third=="),
        call("add", '{"x":2}', id="fc_2", call_id="call_2"),
    ]
    async with ResponsesServer([Told(output), HELLO]) as server:
        chunks = await ask(server, tools=(ADD,))
        answer = Answer({})
        for chunk in chunks:
            if isinstance(chunk, ReasoningChunk):
                answer.reasoning(chunk)
            elif isinstance(chunk, ToolCallChunk):
                answer.call(chunk)
        said = answer.message(OWN)
        results = Message.tool(*(ToolResultPart(c.id, c.name, "2") for c in said.tool_calls))
        await ask(server, Message.user("go"), said, results, tools=(ADD,))
        body = server.requests[1].json
    assert body is not None
    assert body["input"][1:6] == output
    assert [i["call_id"] for i in body["input"][6:]] == ["call_1", "call_2"]
    assert said.reasoning == "I look.\n\nThen I add.More."


@pytest.mark.parametrize(
    "part",
    [
        ReasoningPart("Hm."),
        ReasoningPart("Hm.", "EqQBCgIYAhIM", "anthropic"),
        ReasoningPart("Hm.", seal(LOCAL, thought("Hm.")), "openai"),
        ReasoningPart("Hm.", seal(f"{OWN}@api.deepseek.com", thought("Hm.")), OWN),
        ReasoningPart("Hm.", seal(LOCAL, thought("Hm.", sealed=None)), OWN),
        ReasoningPart("Hm.", seal(LOCAL, thought("Hm."))[:-9], OWN),
    ],
    ids=["unsealed", "anthropic", "another_provider", "another_host", "stored_elsewhere", "broken"],
)
async def test_thoughts_of_others(part: ReasoningPart) -> None:
    """They are not sent, and the ids of what they led to neither: their server would miss the thought."""
    said = Message.assistant(part, TextPart("Hi"), ToolCallPart("a", "add", {}, None, seal(LOCAL, {"id": "fc_1"})))
    body = await sent(Message.user("go"), said, Message.tool(ToolResultPart("a", "add", "2")))
    assert body["input"][1:3] == [
        {"role": "assistant", "content": "Hi"},
        {"type": "function_call", "call_id": "a", "name": "add", "arguments": "{}"},
    ]


async def test_thoughts_in_plain_text() -> None:
    """Servers that do not seal them get their text back, whoever else would not."""
    item = thought(content=["Hm."], sealed=None)
    said = Message.assistant(*answered(LOCAL, item), TextPart("Hi"))
    assert (await sent(Message.user("go"), said))["input"][1] == item


@pytest.mark.parametrize(
    "signature", [None, "CiQBEgQ=", '{"google": {"thought_signature": "x"}}', seal(f"{OWN}@elsewhere", {"id": "fc_9"})]
)
async def test_a_history_of_another_provider(signature: str | None) -> None:
    """Calls keep their ids, shortened where they are too long; signatures and opaque parts of others are left out."""
    long = "toolu_" + "x" * 80
    said = Message.assistant(
        "Hi",
        ProviderPart("openrouter", "reasoning_details", [{}]),
        ToolCallPart("toolu_1", "add", {"x": 1}, None, signature),
        ToolCallPart(long, "add", {"x": 2}, None, signature),
    )
    results = Message.tool(ToolResultPart("toolu_1", "add", "2"), ToolResultPart(long, "add", "3"))
    items = (await sent(Message.user("go"), said, results))["input"]
    first = {"type": "function_call", "call_id": "toolu_1", "name": "add", "arguments": '{"x":1}'}
    assert items[1:3] == [{"role": "assistant", "content": "Hi"}, first]
    assert items[3]["call_id"] == items[5]["call_id"] != long and len(items[3]["call_id"]) <= 64
    assert items[4]["call_id"] == "toolu_1"


def test_seals() -> None:
    """They join, say whose they are, and are nobody else's."""
    at = home(OWN, "https://api.openai.com:443/v1?x=1")
    assert at == f"{OWN}@api.openai.com"
    one, two = thought("a\nb\u2028c"), thought(id="rs_2")
    assert opened(seal(at, one) + seal(at, two), at) == [one, two]
    assert opened(seal(at, one) + seal("x@y", two), at) == []
    assert opened(None, at) == opened("", at) == opened("{}", at) == opened(seal(at, one), f"{OWN}@y") == []
    with pytest.raises(ValueError, match="Expecting value"):
        json.loads(seal(at, one))


async def test_a_messages_phase_and_citations() -> None:
    """What a message has besides its text is a part behind it, and goes back with the text as it then is."""
    cited = {"type": "url_citation", "start_index": 0, "end_index": 2, "url": "https://x.example", "title": "X"}
    item = message("Let me see.", phase="commentary", annotations=[cited])
    async with ResponsesServer([Told([item, call("add", "{}")]), HELLO]) as server:
        chunks = await ask(server, tools=(ADD,))
        part = next(c.part for c in chunks if isinstance(c, PartChunk))
        assert isinstance(part, ProviderPart)
        assert (part.provider, part.kind, part.data["content"][0]["annotations"]) == (OWN, "message", [cited])
        for text in ("Let me see.", "Let me look."):
            await ask(server, Message.user("go"), Message.assistant(text, part), Message.user("and"))
        first, second = (r.json for r in server.requests[1:])
    assert first is not None and second is not None
    assert first["input"][1] == item
    assert second["input"][1]["content"][0]["text"] == "Let me look."


async def test_a_message_of_another_host() -> None:
    """Its phase is kept, its id and citations mean nothing here."""
    item = message("Hi", phase="commentary")
    part = ProviderPart(OWN, "message", {**item, "content": [{"type": "output_text"}], "at": f"{OWN}@elsewhere"})
    body = await sent(Message.user("go"), Message.assistant("Hi", part), Message.user("and"))
    assert body["input"][1] == {"role": "assistant", "content": "Hi", "phase": "commentary"}


async def test_another_protocol_of_the_same_provider() -> None:
    """What is of this protocol's own is not sent by another that the same provider speaks."""
    item = message("Hi", phase="commentary")
    async with ResponsesServer([Told([item])]) as server:
        chunks = await ask(server, options={"provider": "openai"})
        parts = [c.part for c in chunks if isinstance(c, PartChunk)]
    async with ChatServer([Reply("Ho")]) as chat:
        made = OpenAIChatModel("gpt-5-mini", base_url=chat.base_url, api_key="k")
        said = (Message.user("go"), Message.assistant("Hi", *parts), Message.user("and"))
        assert [c async for c in made.stream(ModelRequest(messages=said))]
        assert chat.requests[0].messages[1] == {"role": "assistant", "content": "Hi"}


async def test_a_message_without_anything_besides() -> None:
    """A plain answer is its text alone."""
    async with ResponsesServer([HELLO]) as server:
        assert not [c for c in await ask(server) if isinstance(c, PartChunk)]


BUILT_IN = [{"type": "web_search"}, {"type": "mcp", "server_label": "s", "server_url": "https://x.example/mcp"}]


async def test_the_servers_own_tools() -> None:
    """They are declared by the model's options or by a request's `extra`, and what they did comes and goes unchanged."""
    search = {
        "type": "web_search_call",
        "id": "ws_1",
        "status": "completed",
        "action": {"type": "search", "query": "q", "sources": [{"type": "url", "url": "https://x.example"}]},
    }
    listed = {"type": "mcp_list_tools", "id": "ml_1", "server_label": "s", "tools": [{"name": "f", "input_schema": {}}]}
    new = {"type": "something_new_call", "id": "sn_1", "whatever": [1, None, {"a": 1.5}]}
    output = [listed, search, message("Found."), new]
    extra = {"tools": [{"type": "code_interpreter", "container": "c"}], "include": ["web_search_call.action.sources"]}
    async with ResponsesServer([Told(output), HELLO]) as server:
        chunks = await ask(server, options={"tools": BUILT_IN}, tools=(ADD,), settings=ModelSettings(extra=extra))
        parts = [c.part for c in chunks if isinstance(c, PartChunk)]
        said = Message("assistant", (parts[0], parts[1], TextPart("Found."), parts[2]))
        await ask(server, Message.user("go"), said, Message.user("and"))
        first, second = (r.json for r in server.requests)
    assert first is not None and second is not None
    assert [t["type"] for t in first["tools"]] == ["web_search", "mcp", "code_interpreter", "function"]
    assert first["include"] == ["reasoning.encrypted_content", "web_search_call.action.sources"]
    assert parts == [ProviderPart(OWN, i["type"], i) for i in (listed, search, new)]
    assert second["input"][1:5] == [listed, search, {"role": "assistant", "content": "Found."}, new]


@pytest.mark.parametrize("incremental", [True, False])
async def test_a_call_that_the_server_answered_itself(incremental: bool) -> None:
    """xAI tells of its searches as of calls of custom tools: one that the user did not declare is none of the user's."""
    served = {**custom("x_keyword_search", '{"query":"q"}', call_id="xs_call_1"), "id": "ctc_9"}
    output = [served, custom("run", "1+1"), message("Found.")]
    declared = [{"type": "x_search"}, {"type": "custom", "name": "run"}]
    async with ResponsesServer([Told(output), HELLO]) as server:
        chunks = await ask(server, options={"tools": declared}, incremental=incremental)
        assert folded(chunks)[:4] == ("Found.", "", [("call_1", "run", '{"input":"1+1"}')], "tool_calls")
        parts = [c.part for c in chunks if isinstance(c, PartChunk)]
        assert parts == [ProviderPart(OWN, "custom_tool_call", served)]
        await ask(server, Message.user("go"), Message.assistant(*parts, "Found."), Message.user("and"))
        assert (server.requests[1].json or {})["input"][1] == served


async def test_a_picture_that_the_server_made() -> None:
    """It is an image of the answer, and goes back in its item."""
    made = base64.b64encode(b"RIFFwebp").decode()
    item = {
        "type": "image_generation_call",
        "id": "ig_1",
        "status": "completed",
        "result": made,
        "output_format": "webp",
    }
    async with ResponsesServer([Told([item]), HELLO]) as server:
        parts = [c.part for c in await ask(server) if isinstance(c, PartChunk)]
        assert parts[0] == ImagePart(b"RIFFwebp", media_type="image/webp")
        await ask(server, Message.user("go"), Message("assistant", tuple(parts)), Message.user("Bluer."))
        await ask(server, Message.user("go"), Message.assistant("Here:", parts[0]), Message.user("Bluer."))
        first, second = (r.json for r in server.requests[1:])
    assert first is not None and second is not None
    assert first["input"][1:] == [item, {"role": "user", "content": "Bluer."}]
    assert [p["type"] for p in second["input"][2]["content"]] == ["input_text", "input_image"]


async def test_an_item_of_the_users_own() -> None:
    """What only the server knows may stand in a user's message: the picture of a screen, a yes to an MCP call."""
    yes = {"type": "mcp_approval_response", "approval_request_id": "ma_1", "approve": True}
    body = await sent(Message.user(ProviderPart(OWN, "mcp_approval_response", yes)))
    assert body["input"] == [yes]
    body = await sent(
        Message.user("Go on.", ProviderPart(OWN, "mcp_approval_response", yes), ProviderPart("x", "y", 1))
    )
    assert body["input"] == [yes, {"role": "user", "content": "Go on."}]


async def test_stored_answers() -> None:
    """Only if the user wants it: answers stay at the server, and only what is new is sent."""
    options = {"stored": True}
    async with ResponsesServer([Told([thought("Hm.", sealed=None), message("Hi.")], id="resp_7"), HELLO]) as server:
        chunks = await ask(server, options=options)
        parts = [c.part for c in chunks if isinstance(c, PartChunk)]
        assert parts == [ProviderPart(OWN, "response", {"id": "resp_7", "at": LOCAL})]
        said = (Message.system("Be brief."), Message.user("go"), Message.assistant("Hi.", *parts), Message.user("and"))
        await ask(server, *said, options=options)
        await ask(server, *said)
        first, second, third = (r.json for r in server.requests)
    assert first is not None and second is not None and third is not None
    assert first["store"] is True and "previous_response_id" not in first
    assert second["previous_response_id"] == "resp_7"
    assert second["instructions"] == "Be brief."
    assert second["input"] == [{"role": "user", "content": "and"}]
    assert third["store"] is False and "previous_response_id" not in third and len(third["input"]) == 3


def refusal(words: str, status: int = 400) -> Reply:
    return Reply(status=status, text=words)


@pytest.mark.parametrize(
    ("words", "gone"),
    [
        ("Encrypted content is not supported with this model.", "include"),
        ("Unknown parameter: 'include'.", "include"),
        ("body.include: Extra inputs are not permitted", "include"),
        ("Unsupported value: 'include[0]'", "include"),
        ("Unrecognized request argument supplied: store", "store"),
        ("Unknown parameter: 'store'.", "store"),
        ("store: extra fields not permitted", "store"),
    ],
)
@pytest.mark.parametrize("incremental", [True, False])
async def test_what_nobody_asked_for_is_left_out_where_it_is_refused(words: str, gone: str, incremental: bool) -> None:
    """The request is sent once more without it, and the next ones leave it out."""
    async with ResponsesServer([refusal(words), HELLO, HELLO]) as server:
        made = OpenAIResponsesModel("m", base_url=server.base_url)
        request = ModelRequest(messages=(Message.user("go"),), incremental=incremental)
        chunks = [c async for c in made.stream(request)]
        _ = [c async for c in made.stream(request)]
        bodies = [r.json or {} for r in server.requests]
    assert isinstance(chunks[0], AttemptStarted) and not chunks[0].discard
    assert isinstance(chunks[-1], Finished)
    assert [gone in b for b in bodies] == [True, False, False]


async def test_strictness_that_is_refused() -> None:
    """A server that does not know the word is not told it."""
    async with ResponsesServer([refusal("tools.0.strict: Extra inputs are not permitted"), HELLO]) as server:
        await ask(server, tools=(ADD,))
        assert ["strict" in (r.json or {})["tools"][0] for r in server.requests] == [True, False]


async def test_instructions_that_are_refused() -> None:
    """System messages stand in the conversation instead."""
    async with ResponsesServer([refusal("Argument not supported: instructions"), HELLO]) as server:
        await ask(server, Message.system("Be brief."), Message.user("Hi"), options={"profile": Profile()})
        first, second = (r.json or {} for r in server.requests)
    assert first["instructions"] == "Be brief." and "instructions" not in second
    assert second["input"] == [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]


async def test_thoughts_that_cannot_be_unsealed() -> None:
    """Those of another account are left out, and the conversation goes on."""
    said = Message.assistant(*answered(LOCAL, thought("Hm.")), TextPart("Hi"))
    words = "The encrypted content gAAA could not be verified. Reason: Encrypted content could not be decrypted."
    async with ResponsesServer([refusal(words), HELLO]) as server:
        await ask(server, Message.user("go"), said, Message.user("and"))
        assert [len((r.json or {})["input"]) for r in server.requests] == [4, 3]


async def test_a_stored_answer_that_is_gone() -> None:
    """The whole conversation is sent instead."""
    thoughts = answered(LOCAL, thought("Hm.", sealed=None))
    said = Message.assistant(*thoughts, "Hi.", ProviderPart(OWN, "response", {"id": "resp_7", "at": LOCAL}))
    words = "Previous response with id 'resp_7' not found."
    async with ResponsesServer([refusal(words), HELLO]) as server:
        await ask(server, Message.user("go"), said, Message.user("and"), options={"stored": True})
        first, second = (r.json or {} for r in server.requests)
    assert first["previous_response_id"] == "resp_7" and "previous_response_id" not in second
    assert second["input"][1] == {"role": "assistant", "content": "Hi."}


async def test_an_answer_that_another_server_stores() -> None:
    """It is not asked for by its name here."""
    said = Message.assistant("Hi.", ProviderPart(OWN, "response", {"id": "resp_7", "at": f"{OWN}@api.openai.com"}))
    body = await sent(Message.user("go"), said, Message.user("and"), options={"stored": True})
    assert "previous_response_id" not in body and len(body["input"]) == 3


@pytest.mark.parametrize(
    ("status", "words", "kind"),
    [
        (400, "Invalid value: 'input[0].role'.", BadRequestError),
        (400, "This item does not include an id.", BadRequestError),
        (400, "Unsupported parameter: 'tools' is not supported with this model.", ToolsUnsupportedError),
        (400, "Invalid schema for response_format 'output'.", SchemaUnsupportedError),
        (400, "Unsupported parameter: 'text.format' is not supported with this model.", SchemaUnsupportedError),
        (401, "Incorrect API key provided.", AuthenticationError),
        (404, "The model 'm' does not exist.", ModelNotFoundError),
        (429, "Rate limit reached.", RateLimitError),
        (429, "You exceeded your current quota.", QuotaExceededError),
        (500, "The server had an error.", ServerError),
    ],
)
async def test_errors_over_http(status: int, words: str, kind: type[ModelError]) -> None:
    """Each is the most specific one, with the server's words, and is not asked again here."""
    async with ResponsesServer([refusal(words, status)]) as server:
        with pytest.raises(ModelError) as caught:
            await ask(server, tools=(ADD,))
        assert len(server.requests) == 1
    assert type(caught.value) is kind
    assert words in str(caught.value) and caught.value.status == status


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b'{"error": {"message": "Slow down.", "code": "rate_limit_exceeded"}}', RateLimitError),
        (
            b'{"object": "response", "id": "r", "status": "failed", "output": [], "error": {"code": "server_error", "message": "Slow down."}}',
            ServerError,
        ),
        (b'{"id": "r", "status": "in_progress", "output": []}', StreamInterruptedError),
        (b'{"id": "r", "status": "queued", "output": []}', StreamInterruptedError),
        (b'{"object": "chat.completion", "choices": []}', MalformedAnswerError),
        (b"<html><title>Welcome</title>", MalformedAnswerError),
        (b"[1, 2]", MalformedAnswerError),
        (b"null", MalformedAnswerError),
        (b'"text"', MalformedAnswerError),
        (b'{"output": 7}', MalformedAnswerError),
        (b'{"output": [', MalformedAnswerError),
        (b"", MalformedAnswerError),
    ],
)
@pytest.mark.parametrize("incremental", [True, False])
async def test_what_is_no_answer(body: bytes, kind: type[ModelError], incremental: bool) -> None:
    """Each is an error by its name, streamed or not."""
    async with ResponsesServer([Reply(body=body)]) as server:
        with pytest.raises(ModelError) as caught:
            await ask(server, incremental=incremental)
    assert type(caught.value) is kind


async def test_a_whole_answer_where_a_stream_was_asked_for() -> None:
    """A server that does not stream is understood."""
    async with ResponsesServer([Reply(body=json.dumps(response_of(HELLO)).encode())]) as server:
        assert folded(await ask(server))[0] == "Hello."


async def test_a_connection_serves_the_next_request() -> None:
    """A stream is read to its end, although no event says that it is over."""

    async def handle(connection: Connection) -> None:
        while True:
            await connection.request()
            await connection.begin()
            for piece in sse(events_of(HELLO)):
                await connection.chunk(piece)
            await connection.chunk(b"")

    async with RawServer(handle) as server:
        made = OpenAIResponsesModel("m", base_url=server.url)
        for _ in range(3):
            assert [c async for c in made.stream(ModelRequest(messages=(Message.user("go"),)))]
        assert len(server.connections) == 1


async def test_a_stream_that_stays_open() -> None:
    """The answer is given all the same, and the connection let go."""

    async def handle(connection: Connection) -> None:
        await connection.request()
        await connection.begin()
        for piece in sse(events_of(HELLO)):
            await connection.chunk(piece)
        await connection.until_gone()

    async with RawServer(handle) as server:
        made = OpenAIResponsesModel("m", base_url=server.url)
        chunks = [c async for c in made.stream(ModelRequest(messages=(Message.user("go"),)))]
        assert isinstance(chunks[-1], Finished)
        await server.connections[0].gone.wait()


async def test_a_connection_that_breaks_after_the_end() -> None:
    """That is too late to matter; before the end it is an error that may be tried again."""

    async def handle(connection: Connection) -> None:
        await connection.request()
        await connection.begin()
        events = sse(events_of(HELLO))
        for piece in events if connection.number == 1 else events[:-1]:
            await connection.chunk(piece)
        connection.reset()

    async with RawServer(handle) as server:
        made = OpenAIResponsesModel("m", base_url=server.url)
        request = ModelRequest(messages=(Message.user("go"),))
        assert isinstance([c async for c in made.stream(request)][-1], Finished)
        with pytest.raises(StreamInterruptedError) as caught:
            _ = [c async for c in made.stream(request)]
    assert caught.value.retryable


async def test_a_stream_that_is_closed_early() -> None:
    """The connection goes with it, so that the server stops."""

    async def handle(connection: Connection) -> None:
        await connection.request()
        await connection.begin()
        for piece in sse(events_of(HELLO))[:5]:
            await connection.chunk(piece)
        await connection.until_gone()

    async with RawServer(handle) as server:
        made = OpenAIResponsesModel("m", base_url=server.url)
        stream = made.stream(ModelRequest(messages=(Message.user("go"),)))
        async for chunk in stream:
            assert not isinstance(chunk, Finished)
            break
        await stream.aclose()
        await server.connections[0].gone.wait()
