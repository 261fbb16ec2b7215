"""The same bytes read by us and by the `openai` client, through the same server: text, calls, end and usage.

Streams that follow the protocol must read alike, and so must the same answers in one piece. Those in `DIFFERS` do not:
each says what the client makes of it.
"""

from __future__ import annotations

import json

import openai
import pytest
from openai.types.responses import Response, ResponseCustomToolCall

from lumosai.messages import Message
from lumosai.models import ModelRequest, OpenAIResponsesModel
from lumosai.models.base import Chunk
from tests.models.responses_server import ResponsesServer
from tests.models.responses_streams import STREAMS, raw
from tests.models.test_responses_streams import RECORDED, serve
from tests.models.test_streams import cut, folded, recorded
from tests.servers import Reply

pytestmark = pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")

Read = tuple[str, list[tuple[str, str, str]], str, tuple[int, int, int, int, int] | None]

DIFFERS: dict[str, str] = {
    "openai-responses-parallel.chunks.txt": "fails: two events lack their last brace",
    "a_lost_delta": "has the lost piece from the response's end, but showed the call without it",
    "a_lost_text_delta": "has the lost piece from the response's end, but showed the text without it",
    "an_end_without_the_blanks_around": "has the text without the blanks that it showed",
    "another_answers_delta": "has the answer, but showed a piece of another",
    "another_answers_item": "has the answer, but showed pieces of another",
    "arguments_object": "has no output: the response's end tells none",
    "cancelled": "passes the end by: it knows no such event",
    "content_that_is_text": "fails: content that is no list",
    "end_without_a_response": "fails: an end without a response",
    "nothing_at_the_responses_end": "has no output: the response's end tells none",
    "spliced_at_its_beginning": "has the second answer, but showed both",
    "spliced_at_its_end": "has the second answer, but showed the first",
    "spliced_calls": "has the second answer, but showed both",
    "spliced_in_mid_stream": "has the second answer, but showed both",
    "surrogate_halves": "has no output: the response's end tells none",
    "told_again_unnumbered": "has the answer, but showed its beginning twice",
}


def bytes_of(name: str) -> bytes:
    return raw(STREAMS[name][0]) if name in STREAMS else recorded(name)


async def by_client(reply: Reply, *, stream: bool = True) -> Response | None:
    """What the client makes of an answer; None where it fails, or has no end."""
    async with ResponsesServer([reply]) as server:
        async with openai.AsyncOpenAI(base_url=server.base_url, api_key="k", max_retries=0) as client:
            if not stream:
                return await client.responses.create(model="m", input="go")
            try:
                async for event in await client.responses.create(model="m", input="go", stream=True):
                    if event.type in ("response.completed", "response.incomplete", "response.failed"):
                        _ = event.response.output_text  # where it fails of what it holds, it fails here
                        return event.response
            except Exception:  # whatever it chokes on
                return None
    return None


def as_read(answer: Response) -> Read:
    """The client's answer in our terms."""
    calls = [(c.call_id, c.name, c.arguments) for c in answer.output if c.type == "function_call"]
    calls += [(c.call_id, c.name, _input(c)) for c in answer.output if c.type == "custom_tool_call"]
    refusals = [p.refusal for m in answer.output if m.type == "message" for p in m.content if p.type == "refusal"]
    why = answer.incomplete_details.reason if answer.incomplete_details is not None else None
    if answer.status == "incomplete":
        end = "content_filter" if why == "content_filter" else "length"
    else:
        end = str(answer.status) if answer.status != "completed" else "tool_calls" if calls else ""
        end = end or ("refusal" if refusals else "stop")
    used = answer.usage
    usage = (
        (
            used.input_tokens,
            used.output_tokens,
            used.output_tokens_details.reasoning_tokens,
            used.input_tokens_details.cached_tokens,
            used.total_tokens,
        )
        if used is not None
        else None
    )
    return answer.output_text + "".join(refusals), calls, end, usage


def _input(call: ResponseCustomToolCall) -> str:
    """A custom tool's input as the one argument that it is here; one that was cut stays open."""
    whole = json.dumps({"input": call.input})
    return whole.removesuffix('"}').replace('": "', '":"') if call.to_dict().get("status") == "incomplete" else whole


def as_ours(chunks: list[Chunk]) -> Read:
    text, _, calls, finish, usage = folded(chunks)
    calls = [(i, n, json.dumps(json.loads(a)) if n == "run" and a.endswith("}") else a) for i, n, a in calls]
    return text, calls, finish or "", usage


@pytest.mark.parametrize("how", ["whole", "7"])
@pytest.mark.parametrize("name", sorted([*STREAMS, *RECORDED]))
async def test_a_stream_reads_alike(name: str, how: str) -> None:
    """Text, calls, usage and end; where the two part, it is written down how."""
    pieces = cut(bytes_of(name), how)
    theirs = await by_client(Reply(body=pieces, content_type="text/event-stream"))
    chunks, error = await serve(pieces)
    if name in DIFFERS:
        assert error is not None or theirs is None or as_read(theirs) != as_ours(chunks)
    elif name in STREAMS and STREAMS[name][1].error is not None:
        assert error is not None
        assert theirs is None or theirs.status == "failed"
    else:
        assert error is None and theirs is not None
        assert as_ours(chunks) == as_read(theirs)


WHOLE = sorted(n for n in [*STREAMS, *RECORDED] if n not in DIFFERS and (n in RECORDED or not STREAMS[n][1].error))


@pytest.mark.parametrize("name", WHOLE)
async def test_an_answer_in_one_piece_reads_alike(name: str) -> None:
    """The response at each stream's end, as one JSON document, read by both, and as the stream was."""
    data = bytes_of(name)
    end = json.loads(next(line for line in data.split(b"\n") if b'"response.completed"' in line or b'"response.incomplete"' in line)[6:])  # fmt: skip
    reply = Reply(body=json.dumps(end["response"]).encode())
    theirs = await by_client(reply, stream=False)
    assert theirs is not None
    async with ResponsesServer([reply]) as server:
        model = OpenAIResponsesModel("m", base_url=server.base_url, api_key="k")
        request = ModelRequest(messages=(Message.user("go"),), incremental=False)
        chunks = [c async for c in model.stream(request)]
    assert as_ours(chunks) == as_read(theirs)
    streamed, _ = await serve([data])
    assert folded(chunks) == folded(streamed)
