"""Opening and closing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from lumosai.records import Scope

if TYPE_CHECKING:
    from lumosai.storage.base import Storage
    from lumosai.storage.conformance._expect import Check


async def a_closed_storage_opens_again(storage: Storage) -> None:
    """After `close` what was acknowledged is there, at the next use; closing twice is no error."""
    mine = storage.scope(Scope())
    await mine.create_thread("t")
    if not storage.url.endswith("sqlite://"):
        await storage.close()
        await storage.close()
        assert await mine.thread("t") is not None
    await storage.open()


CHECKS: Final[tuple[Check, ...]] = (a_closed_storage_opens_again,)
