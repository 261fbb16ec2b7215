"""`ScriptedModel`: a model that answers by script, for tests of agents and tools without a provider.

    model = ScriptedModel([call("calculator", expression="2+2"), "The answer is 4"])
    agent = Agent("test", model=model, tools=[calculator])
    assert (await agent.generate("What is 2+2?")).text == "The answer is 4"
    assert model.requests[1].messages[-1].tool_results[0].text == "4"

It streams as a provider does, can wait where a test wants to look or cancel, and can fail at any place of an answer.
"""

from __future__ import annotations

import asyncio
import inspect
import itertools
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from lumosai.errors import ConfigurationError
from lumosai.messages import Message, ToolCallPart
from lumosai.models.base import Finished, TextChunk
from lumosai.models.profiles import Profile
from lumosai.testing.answers import Answer, AnswerLike, Call, play

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Iterator

    from lumosai.models.base import Chunk, ModelRequest

Script = Iterable[AnswerLike] | Callable[["ModelRequest"], "AnswerLike | Awaitable[AnswerLike]"] | AnswerLike
"""Answers in order, or a function from a request to its answer: sync, async, or an async generator of texts and chunks."""

_ONE = (str, Call, ToolCallPart, Answer, Message, BaseException)


class ScriptedModel:
    """A model that answers what `script` says.

    Args:
        script: answers in order; a function of the request; or one single answer. See `lumosai.testing.answers`.
        provider: the provider's name it goes by.
        name: the model's name it goes by.
        profile: what it claims to be able to do; by default native tools and `json_schema`.
        endpoint: the address it claims to be reached at.
        price: US dollars, as other models take it; None is unknown.

    Attributes:
        requests: every request it got, in order. Safe to read while it answers.
        closed: how many answers were closed or cancelled before their end.
    """

    def __init__(
        self,
        script: Script,
        *,
        provider: str = "scripted",
        name: str = "scripted",
        profile: Profile | None = None,
        endpoint: str = "",
        price: Any = None,
    ) -> None:
        self.provider = provider
        self.name = name
        self.profile = profile if profile is not None else Profile(json_schema=True)
        self.endpoint = endpoint
        self.price = price
        self.requests: list[ModelRequest] = []
        self.closed = 0
        self._ids = itertools.count(1)
        self._function = script if callable(script) else None
        self._answers: Iterator[Any] = iter(()) if callable(script) else iter(_answers(script))

    async def stream(self, request: ModelRequest) -> AsyncGenerator[Chunk, None]:
        """The next answer's chunks.

        Raises:
            ConfigurationError: the script has no answer left.
            InvalidInputError: what it says is no answer.
        """
        self.requests.append(request)
        answer = await self._next(request, len(self.requests))
        if hasattr(answer, "__aiter__"):
            async with aclosing(self._live(answer)) as chunks:
                async for chunk in chunks:
                    yield chunk
            return
        played = play(answer, request, self._next_id, self.name)
        how, length = played.how, len(played.content)
        try:
            for position, chunk in enumerate(played.content):
                if position == how.cut_at:
                    return
                await _before(how, position)
                yield chunk
            if how.cut_at is None:
                await _before(how, length, end=True)
                for chunk in played.tail:
                    yield chunk
        except (GeneratorExit, asyncio.CancelledError):
            self.closed += 1
            raise

    async def _live(self, items: AsyncIterator[str | Chunk]) -> AsyncGenerator[Chunk, None]:
        """An answer that is made while it is read: texts and chunks, as they come, and an end where it names none."""
        finished = False
        ended = False
        try:
            async for item in items:
                chunk = TextChunk(item) if isinstance(item, str) else item
                finished = finished or isinstance(chunk, Finished)
                yield chunk
            ended = True
            if not finished:
                yield Finished("stop", None, self.name)
        finally:
            self.closed += not ended
            if isinstance(items, AsyncGenerator):
                await items.aclose()

    def _next_id(self) -> str:
        return f"call_{next(self._ids)}"

    async def _next(self, request: ModelRequest, asked: int) -> Any:
        if self._function is not None:
            answer = self._function(request)
            return await answer if inspect.isawaitable(answer) else answer
        for answer in self._answers:
            return answer
        raise ConfigurationError(
            f"the script of {self!r} expected {asked - 1} request{'s' if asked != 2 else ''} and got number {asked}, "  # noqa: PLR2004
            f"which ends with {_last(request)}: add an answer to the script, or give a function of the request"
        )

    def __repr__(self) -> str:
        return f"ScriptedModel({self.provider}:{self.name})"


def _answers(script: Any) -> Iterable[Any]:
    return (script,) if isinstance(script, _ONE) else script


async def _before(how: Answer, position: int, *, end: bool = False) -> None:
    """What happens before the delta at `position`, or at the end of the content: a wait, or a failure."""
    if how.delay_s and not end:
        await asyncio.sleep(how.delay_s)
    if how.gate is not None and (position == how.gate_at or (end and position < how.gate_at)):
        await how.gate.wait()
    if how.error is not None and (position == how.error_at or (end and position < how.error_at)):
        raise how.error


def _last(request: ModelRequest) -> str:
    if not request.messages:
        return "no message"
    message = request.messages[-1]
    text = message.text or "".join(r.text for r in message.tool_results)
    return f"{message.role} {text[:60]!r}"
