"""The test server itself: a helper that lies would make every test that leans on it worthless."""

from __future__ import annotations

import asyncio
import json

import aiohttp
import jsonschema
import pytest

from tests.servers import Call, ChatServer, Reply, sample, serve_in_thread

TOOL = {
    "type": "function",
    "function": {
        "name": "add",
        "parameters": {"type": "object", "properties": {"expression": {"type": "string"}}, "required": ["expression"]},
    },
}


async def post(server: ChatServer, **body: object) -> tuple[int, str]:
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{server.base_url}/chat/completions", json={"model": "m", **body}) as answer,
    ):
        return answer.status, await answer.text()


def streamed(text: str) -> list[dict]:
    assert text.endswith("data: [DONE]\n\n")
    return [json.loads(line[6:]) for line in text.split("\n\n") if line.startswith("data: {")]


async def test_a_question_without_tools_is_echoed(chat_server: ChatServer) -> None:
    """The improvised answer holds the question, whole and streamed alike."""
    question = [{"role": "user", "content": "two  words"}]
    status, whole = await post(chat_server, messages=question)
    assert status == 200
    assert json.loads(whole)["choices"][0]["message"]["content"] == "You said: two  words"
    _, text = await post(chat_server, messages=question, stream=True, stream_options={"include_usage": True})
    chunks = streamed(text)
    pieces = [c["choices"][0]["delta"].get("content", "") for c in chunks if c["choices"]]
    assert "".join(pieces) == "You said: two  words"
    assert len(pieces) > 2
    assert chunks[-1]["usage"]["total_tokens"] == 15


async def test_a_question_with_tools_is_a_call_and_its_result_an_answer(chat_server: ChatServer) -> None:
    """The server calls the tool with the arithmetic it heard, then says the result."""
    messages = [{"role": "user", "content": "What is 17 * 23?"}]
    message = json.loads((await post(chat_server, messages=messages, tools=[TOOL]))[1])["choices"][0]["message"]
    assert json.loads(message["tool_calls"][0]["function"]["arguments"]) == {"expression": "17 * 23"}
    messages += [message, {"role": "tool", "tool_call_id": "call_0", "content": "391"}]
    answer = json.loads((await post(chat_server, messages=messages, tools=[TOOL]))[1])["choices"][0]
    assert answer["message"]["content"] == "The answer is 391."


async def test_streamed_arguments_join_to_the_whole(chat_server: ChatServer) -> None:
    """A streamed call's pieces are the call."""
    async with ChatServer([Reply(calls=[Call("a", {"x": "ä" * 20}), Call("b", "{broken")])]) as server:
        _, text = await post(server, messages=[], stream=True)
    raw = {0: "", 1: ""}
    for chunk in streamed(text):
        for call in chunk["choices"][0]["delta"].get("tool_calls", ()):
            raw[call["index"]] += call["function"].get("arguments", "")
    assert json.loads(raw[0]) == {"x": "ä" * 20}
    assert raw[1] == "{broken"


async def test_a_script_is_followed_in_order_and_its_last_reply_repeated() -> None:
    """Replies come in order; errors have the status that was asked for."""
    async with ChatServer([Reply(status=429, headers={"retry-after": "1"}), Reply("ok")]) as server:
        statuses = [(await post(server, messages=[]))[0] for _ in range(3)]
        assert statuses == [429, 200, 200]
        assert [r.headers["content-type"] for r in server.requests] == ["application/json"] * 3


async def test_a_cut_answer_reaches_the_client_as_a_broken_connection() -> None:
    """`cut_after` really closes the connection in the middle."""
    async with ChatServer([Reply("a b c d", cut_after=2)]) as server:
        with pytest.raises(aiohttp.ClientError):
            await post(server, messages=[], stream=True)


async def test_a_client_that_leaves_is_noticed() -> None:
    """`cancelled` is set once the client closed its connection."""
    hold = asyncio.Event()
    async with ChatServer([Reply("a b c", hold=hold, hold_at=1)]) as server:
        async with aiohttp.ClientSession() as session:
            answer = await session.post(f"{server.base_url}/chat/completions", json={"messages": [], "stream": True})
            await answer.content.readuntil(b"\n\n")
            answer.close()
        async with asyncio.timeout(30):
            await server.requests[0].closed.wait()
        assert server.requests[0].cancelled


def test_the_threaded_server_answers_from_outside_its_loop() -> None:
    """Synchronous code can use the same server."""
    with serve_in_thread(models=["one"]) as server:

        async def models() -> dict:
            async with aiohttp.ClientSession() as session, session.get(f"{server.base_url}/models") as answer:
                return await answer.json()

        assert [m["id"] for m in asyncio.run(models())["data"]] == ["one"]


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "properties": {"a": {"type": "integer", "minimum": 3}}, "required": ["a"]},
        {"$defs": {"n": {"enum": ["x", "y"]}}, "type": "array", "items": {"$ref": "#/$defs/n"}, "minItems": 2},
        {"anyOf": [{"type": "null"}, {"type": "string"}]},
        {"type": ["boolean", "null"]},
        {"properties": {"b": {"const": 4}}, "required": ["b"]},
    ],
)
def test_a_sampled_value_fits_its_schema(schema: dict) -> None:
    """What the server makes up for a schema is valid against it."""
    jsonschema.validate(sample(schema, "seven 7"), schema)
