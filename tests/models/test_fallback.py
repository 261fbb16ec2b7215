"""A chain of models: who is asked when, and what is said about it; against real servers."""

from __future__ import annotations

import pytest

from lumosai.errors import (
    AuthenticationError,
    ConfigurationError,
    MissingKeyError,
    ModelConnectionError,
    ServerError,
    UnknownModelError,
)
from lumosai.messages import Message
from lumosai.models import FallbackModel, ModelRequest, OpenAIChatModel, Profile, RetryModel
from lumosai.models.base import AttemptStarted, Chunk, Finished, Model, TextChunk
from tests.servers import ChatServer, Reply

ASK = ModelRequest(messages=(Message.user("go"),))


def at(server: ChatServer, name: str, **options: object) -> OpenAIChatModel:
    return OpenAIChatModel(name, base_url=server.base_url, api_key="k", **options)  # type: ignore[arg-type]


async def ask(model: Model, request: ModelRequest = ASK) -> list[Chunk]:
    return [c async for c in model.stream(request)]


def started(chunks: list[Chunk]) -> list[AttemptStarted]:
    return [c for c in chunks if isinstance(c, AttemptStarted)]


def text(chunks: list[Chunk]) -> str:
    return "".join(c.delta for c in chunks if isinstance(c, TextChunk))


async def test_the_first_that_answers() -> None:
    """Nobody behind it is asked, and nothing is announced."""
    async with ChatServer([Reply("one")]) as first, ChatServer([Reply("two")]) as second:
        chunks = await ask(FallbackModel(at(first, "a"), at(second, "b")))
        assert (text(chunks), started(chunks), second.requests) == ("one", [], [])


@pytest.mark.parametrize("status", [400, 401, 404, 429, 500])
async def test_a_model_that_fails(status: int) -> None:
    """Whatever its error, the next is asked, and it is said who, where and why."""
    async with ChatServer([Reply("no", status=status)]) as first, ChatServer([Reply("two")]) as second:
        chunks = await ask(FallbackModel([at(first, "a"), at(second, "b", profile=Profile(tool_mode="text"))]))
        (attempt,) = started(chunks)
        assert (attempt.model, attempt.endpoint) == ("b", second.base_url)
    assert (attempt.attempt, attempt.discard, attempt.tool_mode) == (2, False, "native")
    assert attempt.reason.startswith("fallback: openai:a: ") and "no" in attempt.reason
    assert text(chunks) == "two" and isinstance(chunks[-1], Finished)


async def test_each_has_its_own_tool_mode() -> None:
    """With "auto" the announced mode is what the next model's profile says."""
    async with ChatServer([Reply("no", status=500)]) as first, ChatServer([Reply("two")]) as second:
        chain = FallbackModel(at(first, "a"), at(second, "b", profile=Profile(tool_mode="text")))
        request = ModelRequest(messages=ASK.messages, tool_mode="auto")
        (attempt,) = started(await ask(chain, request))
        assert (attempt.tool_mode, chain.mode(request), chain.why(request)) == ("text", "native", "")


async def test_a_failure_in_mid_stream() -> None:
    """What the first had shown is void."""
    async with ChatServer([Reply("half an answer", cut_after=3)]) as first, ChatServer([Reply("whole")]) as second:
        chunks = await ask(FallbackModel(at(first, "a"), at(second, "b")))
    (attempt,) = started(chunks)
    assert attempt.discard
    assert text(chunks[chunks.index(attempt) :]) == "whole"


async def test_nothing_was_shown_by_the_last_but_one() -> None:
    """`discard` is about the attempt before, not about any earlier one."""
    async with (
        ChatServer([Reply("half an answer", cut_after=3)]) as first,
        ChatServer([Reply("no", status=500)]) as second,
        ChatServer([Reply("whole")]) as third,
    ):
        chunks = await ask(FallbackModel(at(first, "a"), at(second, "b"), at(third, "c")))
    assert [(a.model, a.attempt, a.discard) for a in started(chunks)] == [("b", 2, True), ("c", 3, False)]


async def test_attempts_within_are_numbered_on() -> None:
    """Retries of the first model and the change to the second are one count."""

    async def no_wait(_: float) -> None: ...

    async with ChatServer([Reply("no", status=500)]) as first, ChatServer([Reply("two")]) as second:
        chunks = await ask(FallbackModel(RetryModel(at(first, "a"), sleep=no_wait), at(second, "b")))
    assert [(a.model, a.attempt) for a in started(chunks)] == [("a", 2), ("a", 3), ("b", 4)]


async def test_all_fail() -> None:
    """The last error comes out, with a note of each earlier one."""
    async with ChatServer() as server:
        gone = server.base_url
    async with ChatServer([Reply("bad key", status=401)]) as first, ChatServer([Reply("boom", status=500)]) as last:
        chain = FallbackModel(at(first, "a"), OpenAIChatModel("b", base_url=gone, api_key="k"), at(last, "c"))
        with pytest.raises(ServerError, match="boom") as caught:
            await ask(chain)
    notes = caught.value.__notes__
    assert len(notes) == 2
    assert AuthenticationError.__name__ in notes[0] and "openai:a" in notes[0]
    assert ModelConnectionError.__name__ in notes[1] and "openai:b" in notes[1]


async def test_a_key_that_is_missing() -> None:
    """A provider that is not set up is passed over; alone, it is the error."""
    async with ChatServer([Reply("two")]) as second:
        assert text(await ask(FallbackModel("openai:gpt-5-mini", at(second, "b")))) == "two"
    with pytest.raises(MissingKeyError):
        await ask(FallbackModel("deepseek:deepseek-chat"))


async def test_the_first_is_asked_first_again() -> None:
    """A provider that has recovered is used again in the next request."""
    async with ChatServer([Reply("no", status=500), Reply("back")]) as first, ChatServer([Reply("two")]) as second:
        chain = FallbackModel(at(first, "a"), at(second, "b"))
        assert text(await ask(chain)) == "two"
        assert text(await ask(chain)) == "back"


async def test_closing_closes_the_one_that_answers() -> None:
    """`aclose` reaches the connection through the chain."""
    import asyncio

    hold = asyncio.Event()
    replies = [Reply("one two three", hold=hold, hold_at=3)]
    async with ChatServer([Reply("no", status=500)]) as first, ChatServer(replies) as second:
        chunks = FallbackModel(at(first, "a"), at(second, "b")).stream(ASK)
        assert isinstance(await anext(chunks), AttemptStarted)
        assert await anext(chunks) == TextChunk("one ")
        await chunks.aclose()
        async with asyncio.timeout(30):
            await second.requests[0].closed.wait()
        assert second.requests[0].cancelled


def test_what_a_chain_is_made_of() -> None:
    """Models and names, one by one or as a list; none is an error, as is a name nobody knows."""
    one = OpenAIChatModel("a", base_url="http://127.0.0.1/v1", price=(1, 2))
    chain = FallbackModel(one, ["deepseek:deepseek-chat", "qwen-plus"])
    assert [(m.provider, m.name) for m in chain.models] == [
        ("openai", "a"),
        ("deepseek", "deepseek-chat"),
        ("qwen", "qwen-plus"),
    ]
    assert isinstance(chain, Model)
    assert (chain.provider, chain.name, chain.endpoint) == ("openai", "a", "http://127.0.0.1/v1")
    assert chain.price == {("openai", "a"): (1, 2)} and FallbackModel("qwen-plus").price is None
    assert [type(m) for m in chain.map(RetryModel).models] == [RetryModel] * 3
    with pytest.raises(ConfigurationError, match="at least one model"):
        FallbackModel()
    with pytest.raises(UnknownModelError):
        FallbackModel("opnai:gpt-5")
