"""`ScriptedModel`: answers by script, as a provider would stream them, with faults where a test wants them."""

from __future__ import annotations

import asyncio
import itertools
from contextlib import aclosing

import pytest

from lumosai.errors import ConfigurationError, InvalidInputError, RateLimitError, StreamInterruptedError
from lumosai.messages import ImagePart, Message, ReasoningPart, TextPart, ToolCallPart
from lumosai.models.base import (
    Finished,
    Model,
    ModelRequest,
    PartChunk,
    ReasoningChunk,
    TextChunk,
    ToolCallChunk,
    UsageChunk,
)
from lumosai.models.profiles import Profile
from lumosai.records import Usage
from lumosai.testing import Answer, Call, ScriptedModel, call


def asked(text: str = "Hi there", **options) -> ModelRequest:
    return ModelRequest(messages=(Message.user(text),), **options)


async def answer(model: ScriptedModel, request: ModelRequest | None = None) -> list:
    return [chunk async for chunk in model.stream(request or asked())]


def text_of(chunks: list) -> str:
    return "".join(c.delta for c in chunks if isinstance(c, TextChunk))


def calls_of(chunks: list) -> list[tuple[str, str, str]]:
    out: dict[int, list[str]] = {}
    for chunk in chunks:
        if isinstance(chunk, ToolCallChunk):
            row = out.setdefault(chunk.index, [chunk.id, chunk.name, ""])
            row[2] += chunk.delta
    return [tuple(row) for row in out.values()]


def test_it_is_a_model() -> None:
    """The public contract is met, and every name it goes by is the user's to choose."""
    profile = Profile(native_tools=False)
    model = ScriptedModel([], provider="p", name="n", profile=profile, endpoint="http://x", price=(1, 2))
    assert isinstance(model, Model)
    assert (model.provider, model.name, model.profile, model.endpoint, model.price) == (
        "p", "n", profile, "http://x", (1, 2),
    )  # fmt: skip


async def test_text_streams_word_by_word_and_ends_with_finished() -> None:
    """A text is cut between words, nothing is lost, and one `Finished` ends it."""
    chunks = await answer(ScriptedModel(["  Hello,\nbig  world \n"]))
    assert text_of(chunks) == "  Hello,\nbig  world \n"
    assert sum(isinstance(c, TextChunk) for c in chunks) == 3
    assert chunks[-1] == Finished("stop", None, "scripted")
    assert [type(c) for c in chunks].count(Finished) == 1


@pytest.mark.parametrize("text", ["", " ", "\n\n", "我叫Alice", "a" * 1000, "🙂 👩‍👩‍👧"])
async def test_any_text_arrives_whole(text: str) -> None:
    """Blank, Chinese, long and composed texts are answered to the character."""
    assert text_of(await answer(ScriptedModel([text]))) == text


async def test_nobody_reads_deltas_gives_one_chunk() -> None:
    """A request that is not incremental is answered in one chunk a part."""
    script = [Answer(reasoning="let me see", deltas=["a", "b", "c"], calls=[call("t", argument="x" * 50)])]
    chunks = await answer(ScriptedModel(script), asked(incremental=False))
    assert [type(c) for c in chunks] == [ReasoningChunk, TextChunk, ToolCallChunk, UsageChunk, Finished]
    assert text_of(chunks) == "abc"


async def test_calls_have_ids_names_and_raw_arguments() -> None:
    """A call is streamed in pieces that join to its arguments; the ids are numbered, or the script's own."""
    script = [[call("add", a=1, b=2), Call("raw", '{"broken', id="mine"), Call("bare", {}, id="")]]
    chunks = await answer(ScriptedModel(script))
    assert calls_of(chunks) == [("call_1", "add", '{"a":1,"b":2}'), ("mine", "raw", '{"broken'), ("", "bare", "{}")]
    assert chunks[-1].reason == "tool_calls"


async def test_every_way_to_write_an_answer() -> None:
    """Texts, calls, parts, messages, lists of them and chunks all stand for the answer they plainly mean."""
    part = ToolCallPart("id1", "t", {"a": 1}, signature="s")
    image = ImagePart(url="http://x/y.png")
    message = Message.assistant(ReasoningPart("thought", signature="seal"), TextPart("text"), part)
    by_hand = [TextChunk("x"), Finished("length")]
    model = ScriptedModel([part, [image, "seen"], message, by_hand, Call("t", {"a": 1})])

    assert calls_of(await answer(model)) == [("id1", "t", '{"a":1}')]
    chunks = await answer(model)
    assert chunks[0] == PartChunk(image)
    assert text_of(chunks) == "seen"
    chunks = await answer(model)
    assert chunks[0] == ReasoningChunk("thought", "seal")
    assert text_of(chunks) == "text"
    assert next(c for c in chunks if isinstance(c, ToolCallChunk)).signature == "s"
    assert await answer(model) == by_hand
    assert calls_of(await answer(model)) == [("call_1", "t", '{"a":1}')]


@pytest.mark.parametrize("wrong", [42, None, ["text", 42], object()])
async def test_what_is_no_answer_is_refused(wrong: object) -> None:
    """A script that says something else is told what it may say."""
    with pytest.raises(InvalidInputError, match="script"):
        await answer(ScriptedModel([wrong]))


async def test_a_single_answer_is_a_script_of_one() -> None:
    """`ScriptedModel("Hello")` answers "Hello" once, not letter by letter."""
    model = ScriptedModel("Hello")
    assert text_of(await answer(model)) == "Hello"
    with pytest.raises(ConfigurationError):
        await answer(model)


async def test_an_exhausted_script_says_how_many_requests_it_expected() -> None:
    """One request too many names the number expected, the number that came, and what it asked."""
    model = ScriptedModel(["one", "two"])
    await answer(model)
    await answer(model)
    with pytest.raises(ConfigurationError, match=r"expected 2 requests and got number 3.*user 'and now\?'"):
        await answer(model, asked("and now?"))


async def test_an_endless_script_never_runs_out() -> None:
    """Any iterable is a script, read only as far as it is asked."""
    model = ScriptedModel(itertools.repeat("again"))
    assert [text_of(await answer(model)) for _ in range(5)] == ["again"] * 5


@pytest.mark.parametrize("coroutine", [False, True])
async def test_a_function_of_the_request(coroutine: bool) -> None:
    """A sync or async function sees the request and gives the answer."""

    def sync(request: ModelRequest) -> str:
        return request.messages[-1].text.upper()

    async def asynchronous(request: ModelRequest) -> str:
        await asyncio.sleep(0)
        return sync(request)

    model = ScriptedModel(asynchronous if coroutine else sync)
    assert text_of(await answer(model, asked("hello"))) == "HELLO"
    assert text_of(await answer(model, asked("again"))) == "AGAIN"


async def test_requests_are_kept() -> None:
    """Every request is recorded as it came, in order."""
    model = ScriptedModel(["a", "b"])
    first, second = asked("1"), asked("2")
    await answer(model, first)
    await answer(model, second)
    assert model.requests[0] is first
    assert model.requests[1] is second


async def test_usage_by_default_and_by_script() -> None:
    """Usage is never 0 by default, the script's own where it gives one, and comes before the end."""
    model = ScriptedModel(["three words here", Answer(text="x", usage=Usage(7, 3, total_tokens=10), finish="length")])
    assert (await answer(model))[-2].usage == Usage(2, 3, total_tokens=5)
    *_, usage, finished = await answer(model)
    assert usage.usage == Usage(7, 3, total_tokens=10)
    assert finished.reason == "length"


@pytest.mark.parametrize(("at", "before"), [(0, ""), (1, "a"), (3, "abc"), (99, "abc")])
async def test_a_fault_at_any_place(at: int, before: str) -> None:
    """An error is raised before the delta that `error_at` names, past the end instead of `Finished`."""
    model = ScriptedModel([Answer(deltas=["a", "b", "c"], error=StreamInterruptedError("cut"), error_at=at)])
    got = []
    with pytest.raises(StreamInterruptedError):
        async for chunk in model.stream(asked()):
            got.append(chunk)
    assert text_of(got) == before
    assert not any(isinstance(c, Finished) for c in got)


async def test_an_exception_in_the_script_is_the_request_failing() -> None:
    """An error that stands for an answer is raised before anything, and the next answer is the next request's."""
    model = ScriptedModel([RateLimitError("slow down", retry_after_s=0), "fine"])
    with pytest.raises(RateLimitError):
        await answer(model)
    assert text_of(await answer(model)) == "fine"


@pytest.mark.parametrize(("at", "said"), [(0, ""), (2, "ab"), (9, "abc")])
async def test_a_stream_that_just_ends(at: int, said: str) -> None:
    """`cut_at` ends the stream without `Finished`, as no well-behaved model does."""
    chunks = await answer(ScriptedModel([Answer(deltas=["a", "b", "c"], cut_at=at)]))
    assert text_of(chunks) == said
    assert not any(isinstance(c, Finished | UsageChunk) for c in chunks)


async def test_a_gate_holds_the_answer_until_the_test_opens_it() -> None:
    """Deltas before the gate come at once, those behind it only when it opens."""
    gate = asyncio.Event()
    model = ScriptedModel([Answer(deltas=["a", "b", "c"], gate=gate, gate_at=2)])
    async with aclosing(model.stream(asked())) as stream:
        assert (await anext(stream)).delta == "a"
        assert (await anext(stream)).delta == "b"
        waiting = asyncio.ensure_future(anext(stream))
        await asyncio.sleep(0)
        assert not waiting.done()
        gate.set()
        assert (await waiting).delta == "c"


async def test_closing_early_is_counted() -> None:
    """A reader that leaves, or is cancelled while it waits, is seen in `closed`; one that reads to the end is not."""
    model = ScriptedModel(["one two three", Answer(text="x", gate=asyncio.Event()), "whole"])
    async with aclosing(model.stream(asked())) as stream:
        await anext(stream)
    assert model.closed == 1
    task = asyncio.ensure_future(answer(model))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert model.closed == 2
    await answer(model)
    assert model.closed == 2


async def test_a_delay_is_waited_before_each_delta() -> None:
    """`delay_s` makes other tasks run between two deltas."""
    model = ScriptedModel([Answer(deltas=["a", "b"], delay_s=0.001)])
    order: list[str] = []

    async def reads() -> None:
        async for chunk in model.stream(asked()):
            if isinstance(chunk, TextChunk):
                order.append(chunk.delta)

    task = asyncio.ensure_future(reads())
    await asyncio.sleep(0)
    order.append("other")
    await task
    assert order == ["other", "a", "b"]


async def test_an_answer_made_while_it_is_read() -> None:
    """An async generator gives texts and chunks without end, and is closed with its reader."""
    closed = []

    async def endless(request: ModelRequest):
        try:
            yield ReasoningChunk("hm")
            while True:
                yield "again "
        finally:
            closed.append(request)

    model = ScriptedModel(endless)
    got = []
    async with aclosing(model.stream(asked())) as stream:
        async for chunk in stream:
            got.append(chunk)
            if len(got) == 4:
                break
    assert got == [ReasoningChunk("hm"), *[TextChunk("again ")] * 3]
    assert len(closed) == 1
    assert model.closed == 1

    async def short(_request: ModelRequest):
        yield "ok"

    assert await answer(ScriptedModel(short)) == [TextChunk("ok"), Finished("stop", None, "scripted")]
