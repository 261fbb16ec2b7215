"""What an agent's runs learn of its models, kept in the storage beside the runs: read before the first, written as it comes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from lumosai._loggers import logger_of
from lumosai.errors import StorageError
from lumosai.models.profiles import Learned, MemoryProfiles
from lumosai.models.tokens import RATES, MemoryRates, Rate

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from lumosai.models.profiles import ProfileStore
    from lumosai.storage.base import Handle, Write

logger = logger_of("lumosai.agent")

_decode = msgspec.json.Decoder(Learned).decode
_decode_rate = msgspec.json.Decoder(Rate).decode
_MOVED = 0.02
_encode = msgspec.json.Encoder().encode


class Experience:
    """A `ProfileStore` and a `RateStore` for an agent's runs, backed by a storage.

    Args:
        below: what is asked where this knows nothing.
    """

    def __init__(self, below: ProfileStore | None = None) -> None:
        self._rows = MemoryProfiles()
        self._rates = MemoryRates()
        self._written: dict[str, float] = {}
        self._below = below
        self._loaded = False
        self._new: dict[str, bytes] = {}

    def get(self, key: str) -> Learned | None:
        """What is known, or None where nothing is or it is too old."""
        found = self._rows.get(key)
        return self._below.get(key) if found is None and self._below is not None else found

    def put(self, key: str, learned: Learned) -> None:
        """Remembers, dated now; it is written when the run ends."""
        self._rows.put(key, learned)
        kept = self._rows.get(key)
        if kept is not None:
            self._new[key] = _encode(kept)

    def rate(self, key: str) -> Rate | None:
        """What is known of how a model's tokens are counted, or None where nothing is."""
        return self._rates.rate(key)

    def put_rate(self, key: str, rate: Rate) -> None:
        """Remembers; it is written when the run ends, where it has changed by as much as matters."""
        self._rates.put_rate(key, rate)
        written = self._written.get(key)
        if written is None or abs(rate.ratio / written - 1.0) > _MOVED:
            self._written[key] = rate.ratio
            self._new[key] = _encode(rate)

    def waits(self, *, save: bool) -> bool:
        """Whether there is anything to read, or to write."""
        return bool(self._new) if save else not self._loaded

    async def load(self, handle: Handle) -> None:
        """Reads what other processes learned, once. A storage that cannot be read leaves it at what is known here."""
        if self._loaded:
            return
        self._loaded = True
        try:
            rows = await handle.experience()
        except StorageError as error:
            logger.warning("what was learned of models cannot be read: %s", error)
            return
        for key, data in rows.items():
            try:
                if key.startswith(RATES):
                    rate = _decode_rate(data)
                    self._rates.put_rate(key, rate)
                    self._written[key] = rate.ratio
                else:
                    self._rows.take(key, _decode(data))
            except msgspec.MsgspecError:  # written by another version
                continue

    def saving(self, handle: Handle) -> tuple[Write[None], Callable[[asyncio.Future[None]], None]]:
        """What writes what is new, and what is to be told what came of it: where it failed, the next run's end tries again."""
        new, self._new = self._new, {}

        def told(done: asyncio.Future[None]) -> None:
            if done.cancelled() or done.exception() is not None:
                self._new = new | self._new

        return handle.prepare_experience(new), told

    async def save(self, handle: Handle) -> None:
        """Writes what is new. What cannot be written is tried again at the next run's end."""
        if not self._new:
            return
        new, self._new = self._new, {}
        try:
            await handle.keep_experience(new)
        except StorageError as error:
            self._new = new | self._new
            logger.warning("what was learned of models cannot be kept: %s", error)
