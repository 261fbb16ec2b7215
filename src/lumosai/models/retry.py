"""A model that asks again after a passing failure.

Only errors that are `retryable` are tried again, with full jitter (Brooker, "Exponential Backoff And Jitter", 2015) or
the wait that the server names. A failure in mid-answer is tried again too: the next `AttemptStarted` says `discard`.
"""

from __future__ import annotations

import asyncio
import random
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Final

import msgspec

from lumosai.errors import ConfigurationError, ModelError
from lumosai.models._attempts import Attempts, announce
from lumosai.models._batches import batches_of, one_by_one
from lumosai.models.base import AttemptStarted, UsageChunk

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence

    from lumosai.models._batches import Batches
    from lumosai.models.base import Chunk, Model, ModelRequest, Tell, WholeModel
    from lumosai.models.profiles import Profile

BASE_S: Final = 0.5
"""Seconds that the wait after the first failure is below; it doubles with each."""

LONGEST_S: Final = 8.0
"""Seconds that no wait of our own choosing exceeds."""

LONGEST_ASKED_S: Final = 60.0
"""Seconds that are waited at most because a server asks for it; if it asks for more, the error is passed on at once."""


class RetryModel:
    """`inner`, asked up to `attempts` times.

    Args:
        inner: the model that is asked.
        attempts: requests at most, the first included.
        sleep: how to wait, given seconds.

    Attributes:
        inner, attempts: as given.

    Raises:
        ConfigurationError: fewer attempts than one.
    """

    __slots__ = ("__weakref__", "_sleep", "attempts", "inner")

    def __init__(
        self, inner: Model, *, attempts: int = 3, sleep: Callable[[float], Awaitable[object]] = asyncio.sleep
    ) -> None:
        if attempts < 1:
            msg = f"attempts={attempts!r}: the first request counts, so it must be 1 or more"
            raise ConfigurationError(msg)
        self.inner = inner
        self.attempts = attempts
        self._sleep = sleep

    def __repr__(self) -> str:
        return f"RetryModel({self.inner!r}, attempts={self.attempts})"

    @property
    def provider(self) -> str:
        """The inner model's."""
        return self.inner.provider

    @property
    def name(self) -> str:
        """The inner model's."""
        return self.inner.name

    @property
    def profile(self) -> Profile:
        """The inner model's."""
        return self.inner.profile

    @property
    def endpoint(self) -> str:
        """The inner model's, "" where it has none."""
        return getattr(self.inner, "endpoint", "")

    @property
    def price(self) -> Any:
        """The inner model's, None where it has none."""
        return getattr(self.inner, "price", None)

    def stream(self, request: ModelRequest) -> AsyncGenerator[Chunk, None]:
        """The inner model's chunks; before each further request an `AttemptStarted`, then the wait.

        Raises:
            ModelError: the last attempt's error.
        """
        return one_by_one(self.batches(request))

    async def batches(self, request: ModelRequest) -> Batches:
        """As `stream`, in the inner model's lists."""
        attempt, failures = 1, 0
        while True:
            shown = False
            try:
                async with aclosing(batches_of(self.inner, request)) as batches:
                    async for chunks in batches:
                        first = chunks[0]
                        if type(first) is AttemptStarted:
                            attempt, shown = attempt + 1, False
                            yield (msgspec.structs.replace(first, attempt=attempt),)
                            continue
                        shown = shown or any(type(c) is not UsageChunk for c in chunks)
                        yield chunks
            except ModelError as error:
                failures += 1
                delay_s = self._delay_s(error, failures)
                reason = f"{type(error).__name__}: {error}"
            else:
                return
            attempt += 1
            yield (announce(self.inner, request, attempt, reason, discard=shown, delay_s=delay_s),)
            await self._sleep(delay_s)

    @property
    def in_one_piece(self) -> bool:
        """Whether `answer` may be asked: the inner model's."""
        return getattr(self.inner, "in_one_piece", False)

    async def answer(self, request: ModelRequest, tell: Tell) -> Sequence[Chunk]:
        """The inner model's answer in one piece; else as `stream`.

        Raises:
            ModelError: the last attempt's error.
        """
        inner: WholeModel = self.inner  # type: ignore[assignment]  # as `in_one_piece` said
        attempts, failures = Attempts.of(tell), 0
        while True:
            try:
                return await inner.answer(request, attempts)
            except ModelError as error:
                failures += 1
                delay_s = self._delay_s(error, failures)
                reason = f"{type(error).__name__}: {error}"
            attempts(announce(inner, request, attempts.made + 1, reason, discard=False, delay_s=delay_s))
            await self._sleep(delay_s)

    def _delay_s(self, error: ModelError, failures: int) -> float:
        """Seconds to wait before the next request; raises `error` where there is none."""
        delay_s = wait_s(error, failures) if failures < self.attempts else None
        if delay_s is None:
            raise error
        return delay_s


def wait_s(error: ModelError, failures: int) -> float | None:
    """Seconds to wait after this many failures; None where a further request makes no sense."""
    if not error.retryable:
        return None
    asked = error.retry_after_s
    if asked is not None:
        return asked if asked <= LONGEST_ASKED_S else None
    return random.uniform(0, min(LONGEST_S, BASE_S * 2.0 ** (failures - 1)))  # noqa: S311  # jitter is no secret
