"""Chunks that came together are handed on together: what is read of them is what would be, one by one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lumosai import Message
from lumosai.errors import ServerError, ToolsUnsupportedError
from lumosai.models import FallbackModel, ModelRequest, OpenAIChatModel, Profile
from lumosai.models._batches import batches_of, one_by_one
from lumosai.models.base import AttemptStarted, Chunk, Finished, TextChunk, ToolCallChunk, UsageChunk
from lumosai.models.calling import prepare
from lumosai.records import ToolDefinition, Usage
from tests.conftest import examples

ADD = ToolDefinition("add", "Adds.", {"type": "object"})
ASK = ModelRequest(messages=(Message.user("go"),), tools=(ADD,), tool_mode="auto")
CALL = '{"name": "add", "arguments": {"a": 1}}'
PIECES = st.sampled_from(
    [
        *("Well. ", "It is 3", "\n", "\n\n", "<tool", "_call>", CALL, "</tool_call>", "```", "json"),
        *("工具: ", "<think>", "</think>", "“", "`", "<|im_end|>", ""),
    ]
)


class Grouped:
    """A model that says what it is told to, in lists of the sizes it is told."""

    provider = "house"
    name = "m"
    profile = Profile(native_tools=True)

    def __init__(self, chunks: Sequence[Chunk], sizes: Sequence[int] = ()) -> None:
        self.chunks = chunks
        self.sizes = sizes

    def stream(self, request: ModelRequest) -> AsyncIterator[Chunk]:
        return one_by_one(self.batches(request))

    async def batches(self, request: ModelRequest) -> AsyncIterator[Sequence[Chunk]]:
        left, sizes = [*self.chunks], [*self.sizes]
        while left:
            size = sizes.pop() if sizes else 1
            yield left[:size]
            del left[:size]


async def read(model) -> tuple[str, list[Chunk]]:
    """The text, and every other chunk."""
    chunks = [c async for c in prepare(model).stream(ASK)]
    return "".join(c.delta for c in chunks if type(c) is TextChunk), [c for c in chunks if type(c) is not TextChunk]


@settings(max_examples=examples(150))
@given(st.lists(PIECES, max_size=12), st.lists(st.integers(1, 6), max_size=8), st.booleans())
async def test_any_grouping_reads_the_same(texts: list[str], sizes: list[int], native: bool) -> None:
    """Text with and without calls, thoughts and ends of turns in it, and a native call before it."""
    chunks: list[Chunk] = [TextChunk(t) for t in texts]
    if native:
        chunks.insert(0, ToolCallChunk(0, "c", "add", '{"a": 1}'))
    chunks += [UsageChunk(Usage(1, 1, total_tokens=2)), Finished("stop")]
    assert await read(Grouped(chunks, sizes)) == await read(Grouped(chunks))


class Failing(Grouped):
    """One whose answer breaks off."""

    def __init__(self, error: Exception, chunks: Sequence[Chunk]) -> None:
        super().__init__(chunks, [len(chunks)])
        self.error = error
        self.asked = 0

    async def batches(self, request: ModelRequest) -> AsyncIterator[Sequence[Chunk]]:
        self.asked += 1
        async for chunks in super().batches(request):
            yield chunks
        if self.asked == 1:
            raise self.error
        yield [Finished("stop")]


@pytest.mark.parametrize(
    ("error", "chunks", "discard"),
    [
        (ServerError("cut"), [TextChunk("Hel"), TextChunk("lo")], True),
        (ServerError("cut"), [UsageChunk(Usage(1))], False),
        (ServerError("cut"), [], False),
        (ToolsUnsupportedError("no tools"), [TextChunk("Hel"), TextChunk("lo")], True),
        (ToolsUnsupportedError("no tools"), [], False),
    ],
)
async def test_what_broke_off_is_void_if_anything_was_shown(
    error: Exception, chunks: list[Chunk], discard: bool
) -> None:
    """Of a list as of each of its chunks, through every wrapper."""
    model = Failing(error, chunks)
    told = [c async for c in prepare(FallbackModel(model)).stream(ASK) if type(c) is AttemptStarted]
    assert [(t.attempt, t.discard) for t in told] == [(2, discard)]


async def test_a_subclass_with_a_stream_of_its_own() -> None:
    """It is that stream which is read."""

    class Own(OpenAIChatModel):
        async def stream(self, request: ModelRequest) -> AsyncIterator[Chunk]:  # type: ignore[override]
            yield TextChunk("mine")
            yield Finished("stop")

    own = Own("m", base_url="http://localhost:1", api_key="k")
    assert [chunks async for chunks in batches_of(own, ASK)] == [(TextChunk("mine"),), (Finished("stop"),)]
    assert (await read(own))[0] == "mine"
