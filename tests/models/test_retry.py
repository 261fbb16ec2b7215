"""Asking again: when, after which wait, and what is said about it; against real servers, with no time passing."""

from __future__ import annotations

import random

import pytest

from lumosai.errors import (
    AuthenticationError,
    BadRequestError,
    ConfigurationError,
    ModelConnectionError,
    ModelError,
    QuotaExceededError,
    RateLimitError,
    ServerError,
    StreamInterruptedError,
)
from lumosai.messages import Message
from lumosai.models import ModelRequest, OpenAIChatModel, Profile, RetryModel
from lumosai.models.base import AttemptStarted, Chunk, Finished, Model, TextChunk
from lumosai.models.retry import BASE_S, LONGEST_ASKED_S, LONGEST_S
from tests.servers import ChatServer, Reply

ASK = ModelRequest(messages=(Message.user("go"),))


class Waits:
    """A sleep that only notes how long it was to be."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)


async def ask(server: ChatServer, waits: Waits, attempts: int = 3, request: ModelRequest = ASK) -> list[Chunk]:
    inner = OpenAIChatModel("m", base_url=server.base_url, api_key="k")
    return [c async for c in RetryModel(inner, attempts=attempts, sleep=waits).stream(request)]


def started(chunks: list[Chunk]) -> list[AttemptStarted]:
    return [c for c in chunks if isinstance(c, AttemptStarted)]


@pytest.mark.parametrize("incremental", [True, False])
async def test_a_failure_that_passes(incremental: bool) -> None:
    """Asked again, announced before the wait; the answer is the second's."""
    waits = Waits()
    async with ChatServer([Reply("boom", status=503), Reply("fine")]) as server:
        request = ModelRequest(messages=ASK.messages, incremental=incremental)
        chunks = await ask(server, waits, request=request)
        assert len(server.requests) == 2
        (attempt,) = started(chunks)
        assert chunks[0] is attempt
        assert (attempt.provider, attempt.model, attempt.endpoint) == ("openai", "m", server.base_url)
    assert (attempt.attempt, attempt.discard, attempt.tool_mode) == (2, False, "native")
    assert attempt.reason.startswith("ServerError: ") and "boom" in attempt.reason
    assert waits.seconds == [attempt.delay_s]
    assert isinstance(chunks[-1], Finished)


async def test_the_wait_the_server_asks_for() -> None:
    """`Retry-After` is kept to the letter."""
    waits = Waits()
    replies = [Reply("slow down", status=429, headers={"Retry-After": "7"}), Reply("fine")]
    async with ChatServer(replies) as server:
        (attempt,) = started(await ask(server, waits))
    assert waits.seconds == [7.0] and attempt.delay_s == 7.0


async def test_a_wait_that_is_too_long() -> None:
    """A server that asks for more than a minute gets its error passed on at once, its wait on it."""
    waits = Waits()
    replies = [Reply("come back", status=429, headers={"Retry-After": str(LONGEST_ASKED_S + 1)})]
    async with ChatServer(replies) as server:
        with pytest.raises(RateLimitError) as caught:
            await ask(server, waits)
        assert len(server.requests) == 1
    assert caught.value.retry_after_s == LONGEST_ASKED_S + 1 and waits.seconds == []


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (Reply("no", status=400), BadRequestError),
        (Reply("no", status=401), AuthenticationError),
        (Reply("You exceeded your current quota", status=429), QuotaExceededError),
        (Reply("no", status=501), ServerError),
    ],
)
async def test_a_failure_that_does_not_pass(reply: Reply, kind: type[ModelError]) -> None:
    """Never asked again."""
    waits = Waits()
    async with ChatServer([reply]) as server:
        with pytest.raises(kind):
            await ask(server, waits)
        assert len(server.requests) == 1
    assert waits.seconds == []


async def test_attempts_are_bounded() -> None:
    """After the last the error comes out; each wait is below its doubling bound."""
    waits = Waits()
    async with ChatServer([Reply("boom", status=500)]) as server:
        with pytest.raises(ServerError):
            await ask(server, waits, attempts=6)
        assert len(server.requests) == 6
    bounds = [min(LONGEST_S, BASE_S * 2**i) for i in range(5)]
    assert all(0 <= w <= bound for w, bound in zip(waits.seconds, bounds, strict=True))


async def test_waits_are_spread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Full jitter: clients that failed together do not come back together."""
    random.seed(1)
    waits = Waits()
    async with ChatServer([Reply("boom", status=500)]) as server:
        for _ in range(20):
            with pytest.raises(ServerError):
                await ask(server, waits, attempts=2)
    assert len({round(w, 4) for w in waits.seconds}) == 20
    assert min(waits.seconds) < 0.15 < 0.35 < max(waits.seconds)


async def test_a_failure_in_mid_stream() -> None:
    """What was shown is declared void by `discard`, and the whole answer follows."""
    waits = Waits()
    async with ChatServer([Reply("half an answer", cut_after=3), Reply("the whole answer")]) as server:
        chunks = await ask(server, waits)
    at = next(i for i, c in enumerate(chunks) if isinstance(c, AttemptStarted))
    attempt = chunks[at]
    assert isinstance(attempt, AttemptStarted) and attempt.discard
    assert "StreamInterruptedError" in attempt.reason
    assert "".join(c.delta for c in chunks[:at] if isinstance(c, TextChunk)) == "half an "
    assert "".join(c.delta for c in chunks[at:] if isinstance(c, TextChunk)) == "the whole answer"


async def test_a_stream_cut_before_anything_was_shown() -> None:
    """There is nothing to discard."""
    waits = Waits()
    async with ChatServer([Reply("x", cut_after=1), Reply("fine")]) as server:
        (attempt,) = started(await ask(server, waits))
    assert not attempt.discard


async def test_a_stream_that_is_always_cut() -> None:
    """The last cut is the error; no half answer is passed off as whole."""
    waits = Waits()
    seen: list[Chunk] = []
    async with ChatServer([Reply("half an answer", cut_after=3)]) as server:
        inner = OpenAIChatModel("m", base_url=server.base_url, api_key="k")
        with pytest.raises(StreamInterruptedError):
            async for chunk in RetryModel(inner, sleep=waits).stream(ASK):
                seen.append(chunk)
    assert [a.attempt for a in started(seen)] == [2, 3]
    assert not any(isinstance(c, Finished) for c in seen)


async def test_a_server_that_is_not_there() -> None:
    """Unreachable is worth another try; then the error comes out."""
    waits = Waits()
    async with ChatServer() as server:
        gone = server.base_url
    model = RetryModel(OpenAIChatModel("m", base_url=gone, api_key="k"), sleep=waits)
    with pytest.raises(ModelConnectionError):
        async for _ in model.stream(ASK):
            pass
    assert len(waits.seconds) == 2


async def test_requests_the_inner_model_adds() -> None:
    """Its announcements are passed on, numbered on, and do not use up attempts."""
    waits = Waits()

    def script(request: object) -> Reply:
        body = request.json  # type: ignore[attr-defined]
        if "stream_options" in body:
            return Reply("unknown field stream_options", status=400)
        return next(replies)

    replies = iter([Reply("boom", status=500), Reply("boom", status=500), Reply("fine")])
    async with ChatServer(script) as server:
        chunks = await ask(server, waits)
    assert [a.attempt for a in started(chunks)] == [2, 3, 4]
    assert len(waits.seconds) == 2 and isinstance(chunks[-1], Finished)


async def test_closing_while_an_attempt_is_announced() -> None:
    """`aclose` between two attempts ends it: no further request is sent."""
    async with ChatServer([Reply("boom", status=500)]) as server:
        chunks = RetryModel(OpenAIChatModel("m", base_url=server.base_url, api_key="k"), sleep=Waits()).stream(ASK)
        assert isinstance(await anext(chunks), AttemptStarted)
        await chunks.aclose()
        assert len(server.requests) == 1


def test_it_is_the_model_it_wraps() -> None:
    """Name, provider, profile, endpoint and price are the inner model's."""
    inner = OpenAIChatModel("m", base_url="http://127.0.0.1/v1", profile=Profile(images=True), price=(1, 2))
    model = RetryModel(inner)
    assert isinstance(model, Model)
    assert (model.name, model.provider, model.endpoint, model.price) == ("m", "openai", "http://127.0.0.1/v1", (1, 2))
    assert model.profile.images and "RetryModel" in repr(model)
    with pytest.raises(ConfigurationError, match="attempts=0"):
        RetryModel(inner, attempts=0)
