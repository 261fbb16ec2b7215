"""What the Messages API said goes back to it as it came: any blocks, streamed or whole, through a message."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from lumosai import _http
from lumosai.agent.answer import Answer as Folding
from lumosai.messages import Message
from lumosai.models import ModelRequest, Profile
from lumosai.models._anthropic_answer import Answer
from lumosai.models._anthropic_request import Encoder
from lumosai.models._anthropic_stream import Reader
from lumosai.models.base import Chunk, PartChunk, ReasoningChunk, TextChunk, ToolCallChunk
from tests.messages_server import Said, sse
from tests.models.test_streams import cut

TEXT = st.text(alphabet=st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=8)
SEAL = st.text("abcdef+/=", min_size=1, max_size=6)
CITATION = {
    "type": "char_location",
    "cited_text": "a",
    "document_index": 0,
    "document_title": None,
    "start_char_index": 0,
    "end_char_index": 1,
}
JSON = st.dictionaries(TEXT, st.one_of(st.none(), st.integers(-9, 9), TEXT, st.lists(TEXT, max_size=2)), max_size=3)
BLOCK = st.one_of(
    st.builds(lambda t: {"type": "text", "text": t}, TEXT),
    st.builds(lambda t, n: {"type": "text", "text": t + "x", "citations": [CITATION] * n}, TEXT, st.integers(1, 2)),
    st.builds(lambda t, s: {"type": "thinking", "thinking": t, "signature": s}, TEXT, SEAL),
    st.builds(lambda d: {"type": "redacted_thinking", "data": d}, SEAL),
    st.builds(lambda i: {"type": "tool_use", "id": "", "name": "add", "input": i}, JSON),
    st.builds(
        lambda i, t: {
            "type": "tool_use",
            "id": "",
            "name": "add",
            "input": i,
            "caller": {"type": "code_execution_20260120", "tool_id": t},
        },
        JSON,
        SEAL,
    ),
    st.builds(lambda i: {"type": "server_tool_use", "id": "srvtoolu_a", "name": "web_search", "input": i}, JSON),
    st.builds(lambda d: {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_a", "content": [d]}, JSON),
    st.builds(lambda d: {"type": "something_new", "data": d}, JSON),
)


def numbered(blocks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each call with an id of its own."""
    return [{**b, "id": f"toolu_{i}"} if b["type"] == "tool_use" else b for i, b in enumerate(blocks)]


def plain(blocks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The blocks with neighbouring texts as one, where none has sources, and without blank ones."""
    joined: list[dict[str, Any]] = []
    for block in blocks:
        last = joined[-1] if joined else {}
        if block["type"] == last.get("type") == "text" and not {"citations"} & {*block, *last}:
            joined[-1] = {"type": "text", "text": last["text"] + block["text"]}
        else:
            joined.append(block)
    return [b for b in joined if b["type"] != "text" or b["text"].strip()]


def message_of(chunks: list[Chunk]) -> Message:
    """The message that a run makes of an answer's chunks."""
    folding = Folding({})
    for chunk in chunks:
        match chunk:
            case TextChunk():
                folding.open_text().add(chunk.delta)
            case ReasoningChunk():
                folding.reasoning(chunk)
            case ToolCallChunk():
                folding.call(chunk)
            case PartChunk():
                folding.whole(chunk.part)
    return folding.message("anthropic")


def sent_back(message: Message) -> list[dict[str, Any]]:
    request = ModelRequest(messages=(Message.user("go"), message, Message.user("well?")))
    body = json.loads(Encoder("anthropic", Profile()).body("m", request, stream=True))
    turns = [m["content"] for m in body["messages"] if m["role"] == "assistant"]
    return turns[0] if turns else []


def read(data: bytes, how: str) -> list[Chunk]:
    decoder, reader = _http.Decoder(), Reader(Answer("anthropic"))
    chunks = [c for piece in cut(data, how) for c in reader.feed(decoder.feed(piece))]
    assert reader.done
    return chunks + reader.answer.end()


@settings(deadline=None)
@given(blocks=st.lists(BLOCK, max_size=6), seed=st.integers(0, 99))
def test_what_came_goes_back(blocks: list[dict[str, Any]], seed: int) -> None:
    """Streamed at any cut or whole, every block is sent back as it came, in order."""
    blocks = numbered(blocks)
    said = Said(*blocks)
    streamed = read(sse(said.events()), f"random-{seed}")
    whole = Reader(Answer("anthropic"))
    chunks = whole.feed([json.dumps(said.message).encode()]) + whole.answer.end()
    assert sent_back(message_of(streamed)) == sent_back(message_of(chunks)) == plain(blocks)


@settings(deadline=None)
@given(blocks=st.lists(BLOCK, max_size=6))
def test_a_paused_turn_is_kept_as_it_came(blocks: list[dict[str, Any]]) -> None:
    """What a paused answer is gone on with are the very blocks."""
    blocks = numbered(blocks)
    reader = Reader(Answer("anthropic"))
    reader.feed(_http.Decoder().feed(sse(Said(*blocks, stop="pause_turn").events())))
    reader.answer.close()
    assert reader.answer.turn == blocks
