"""A model that asks again after a passing failure.

Only errors that are `retryable` are tried again, with full jitter (Brooker, "Exponential Backoff And Jitter", 2015) or
the wait that the server names. A failure in mid-answer is tried again too: the next `AttemptStarted` says `discard`.
"""

from __future__ import annotations

import asyncio
import random
from contextlib import aclosing
from typing import TYPE_CHECKING

from lumosai.errors import ModelError
from lumosai.models.base import AttemptStarted, Chunk, UsageChunk

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable

    from lumosai.models.base import Model, ModelRequest
    from lumosai.models.profiles import Profile

BASE_S = 0.5
LONGEST_S = 8.0
LONGEST_ASKED_S = 60.0


class RetryModel:
    """`inner`, asked up to `attempts` times.

    Attributes:
        inner: the model that is asked.
        attempts: requests at most, the first included.
    """

    def __init__(
        self,
        inner: Model,
        *,
        attempts: int = 3,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self.inner = inner
        self.attempts = attempts
        self._sleep = sleep

    @property
    def provider(self) -> str:
        return self.inner.provider

    @property
    def name(self) -> str:
        return self.inner.name

    @property
    def profile(self) -> Profile:
        return self.inner.profile

    async def stream(self, request: ModelRequest) -> AsyncGenerator[Chunk, None]:
        """The inner model's chunks; before each further request an `AttemptStarted`, then the wait.

        Raises:
            ModelError: the last attempt's error.
        """
        attempt = 1
        while True:
            shown = False
            try:
                async with aclosing(self.inner.stream(request)) as chunks:  # type: ignore[type-var]
                    async for chunk in chunks:
                        shown = shown or type(chunk) is not UsageChunk
                        yield chunk
                    return
            except ModelError as error:
                if not error.retryable or attempt >= self.attempts:
                    raise
                delay = _delay(error, attempt)
                if delay is None:
                    raise
                failed = error
            attempt += 1
            yield AttemptStarted(
                self.provider,
                self.name,
                getattr(self.inner, "endpoint", ""),
                attempt,
                request.tool_mode,
                shown,
                f"{type(failed).__name__}: {failed}",
                delay,
            )
            await self._sleep(delay)


def _delay(error: ModelError, attempt: int) -> float | None:
    """Seconds to wait before the attempt after `attempt`; None where the server asks for longer than makes sense."""
    if error.retry_after_s is not None:
        return error.retry_after_s if error.retry_after_s <= LONGEST_ASKED_S else None
    return random.uniform(0, min(LONGEST_S, BASE_S * 2 ** (attempt - 1)))  # noqa: S311  # jitter needs no secrecy
