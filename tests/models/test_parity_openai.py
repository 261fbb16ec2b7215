"""The same bytes read by us and by the `openai` client, through the same server: text, thoughts, calls, end and usage.

Streams that follow the format must read alike. Those in `DIFFERS` do not: servers that most users meet send them, and the
client of the one server that never does so drops, joins or chokes on what is in them. Each says what it makes of it.
"""

from __future__ import annotations

import json
from typing import Any

import openai
import pytest
from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.types.chat import ChatCompletion

from lumosai.messages import Message
from lumosai.models import ModelRequest, OpenAIChatModel
from lumosai.models.base import Chunk
from tests.models.test_streams import GOLDEN, GROQ_ERROR, RECORDED, STREAMS, cut, folded, recorded, serve
from tests.servers import ChatServer, Reply

pytestmark = pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")

Read = tuple[str, list[tuple[str, str, str]], str | None, tuple[int, int, int] | None]

DIFFERS: dict[str, str] = {
    "arguments_object": "fails: arguments are an object, not text",
    "azure_filters": "fails: the usage is null",
    "bom": "drops the first event, which a byte order mark stands before",
    "calls_object": "fails: `tool_calls` is no list",
    "comments": "fails: an event without data",
    "document": "finds no answer: it came whole though a stream was asked for",
    "document_pretty": "finds no answer: it came whole though a stream was asked for",
    "done_only": "finds no answer and does not say why",
    "empty": "finds no answer and does not say why",
    "error_as_finish": "takes the server's failure for an end",
    "error_event": "fails without the server's words",
    "error_in_choice": "takes the upstream's failure for an end",
    "error_vllm": "fails without the server's words",
    "function_call": "leaves the call where the old API had it",
    "html": "finds no answer and does not say why",
    "index_reused_new_ids": "joins three calls to one, as they have one index",
    "index_reused_no_ids": "joins two calls to one, as they have one index",
    "invalid_utf8": "fails: a byte that is no UTF-8",
    "missing_ids_and_index": "fails: a call without an index",
    "missing_index": "fails: a call without an index",
    "model_length": "passes Mistral's word for the end on",
    "new_id_each_fragment": "joins the ids of fragments",
    "no_last_blank_line": "drops the last event, behind which no blank line stands",
    "not_json": "fails: a payload that is no JSON",
    "nulls": "fails: choices whose fields are null",
    "numbers_as_text": "fails: an index that is text",
    "other_protocol": "fails: events of another protocol",
    "reasoning_pieces": "fails: thoughts that are a list",
    "refusal": "passes the refusal by and calls the end a stop",
    "repeated_name": "joins the names of fragments",
    "said_again": "fails: the usage is null",
    "stop_with_calls": "calls the end of an answer with calls a stop",
    "surrogate_halves": "fails: half a character",
    "thinking_counted_beside": "leaves xAI's thoughts out of the output's tokens",
    "thinking_parts": "fails: content that is a list",
    "usage_in_choice": "passes Moonshot's usage by",
    "pai-myorg-myaccount-snowflakecomputing-com-test_snowflake_thinking_streaming-0.sse": "has no end: none is named",
}
FAILS_ALIKE = (
    "cut_in_call",
    "cut_in_event",
    "cut_in_text",
    "error_field",
    "error_object",
    "error_rate_limited",
    GROQ_ERROR,
)
"""Streams that end in an error here; the client raises one too, or takes what it has for the whole answer."""


def stream_of(name: str) -> bytes:
    return (STREAMS / f"{name}.sse").read_bytes() if name in GOLDEN else recorded(name)


async def by_client(reply: Reply, *, stream: bool = True) -> ChatCompletion | None:
    """What the client makes of an answer, its own way of joining deltas included; None where it fails."""
    async with ChatServer([reply]) as server:
        async with openai.AsyncOpenAI(base_url=server.base_url, api_key="k", max_retries=0) as client:
            asked = client.chat.completions.create
            if not stream:
                return await asked(model="m", messages=[{"role": "user", "content": "go"}])
            state = ChatCompletionStreamState()
            try:
                async for chunk in await asked(model="m", messages=[{"role": "user", "content": "go"}], stream=True):
                    state.handle_chunk(chunk)
                return state.current_completion_snapshot
            except Exception:  # whatever it chokes on
                return None


def as_read(answer: ChatCompletion) -> Read:
    choice, used = answer.choices[0], answer.usage
    calls = [(c.id or "", c.function.name, c.function.arguments or "") for c in choice.message.tool_calls or ()]  # type: ignore[union-attr]
    usage = (used.prompt_tokens, used.completion_tokens, used.total_tokens) if used is not None else None
    return choice.message.content or "", calls, choice.finish_reason, usage


def as_ours(chunks: list[Chunk]) -> Read:
    text, _, calls, finish, usage = folded(chunks)
    return text, calls, finish, (usage[0], usage[1], usage[4]) if usage is not None else None


def thoughts(answer: ChatCompletion) -> str | None:
    """The fields of thoughts that the client passes on unread, where they are text."""
    extra: dict[str, Any] = answer.choices[0].message.model_extra or {}
    found = extra.get("reasoning_content") or extra.get("reasoning")
    return found if isinstance(found, str) else None


@pytest.mark.parametrize("how", ["whole", "7"])
@pytest.mark.parametrize("name", sorted([*GOLDEN, *RECORDED, GROQ_ERROR]))
async def test_a_stream_reads_alike(name: str, how: str) -> None:
    """Text, calls, usage and end; where the two part, it is written down how."""
    pieces = cut(stream_of(name), how)
    theirs = await by_client(Reply(body=pieces, content_type="text/event-stream"))
    chunks, error = await serve(pieces)
    if name in FAILS_ALIKE:
        assert error is not None and (theirs is None or as_read(theirs)[2] is None)
    elif name in DIFFERS:
        assert error is not None or theirs is None or as_read(theirs) != as_ours(chunks)
    else:
        assert error is None and theirs is not None
        assert as_ours(chunks) == as_read(theirs)
        told = thoughts(theirs)
        assert told is None or told == folded(chunks)[1] or name == "reasoning_twice"


@pytest.mark.parametrize("name", sorted(n for n in [*GOLDEN, *RECORDED] if n not in DIFFERS and n not in FAILS_ALIKE))
async def test_an_answer_in_one_piece_reads_alike(name: str) -> None:
    """The client's own whole answer of each stream, as one JSON document, read by both."""
    whole = await by_client(Reply(body=stream_of(name), content_type="text/event-stream"))
    assert whole is not None
    body = whole.to_dict()
    body["object"] = "chat.completion"
    reply = Reply(body=json.dumps(body).encode())
    theirs = await by_client(reply, stream=False)
    assert theirs is not None
    async with ChatServer([reply]) as server:
        model = OpenAIChatModel("m", base_url=server.base_url, api_key="k")
        request = ModelRequest(messages=(Message.user("go"),), incremental=False)
        assert as_ours([c async for c in model.stream(request)]) == as_read(theirs)
