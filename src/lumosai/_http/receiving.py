"""A connection of the client's that reads into a buffer which is there already.

For each read of a usual connection asyncio makes room for 256 KiB, which the C library asks the system for and gives back
at once: with the pages that are touched for the first time that is several times what the read itself costs, and more
where other threads run. A buffered protocol is asked where to put what comes. There is one such place a thread: what was
read is copied out of it before anything else is read.
"""

from __future__ import annotations

import asyncio
import threading
from typing import Final

from aiohttp.client_proto import ResponseHandler

_ROOM: Final = 256 * 1024
"""Bytes that are read at once, as many as of a usual connection: what came together is handed on together."""


class _Here(threading.local):
    """This thread's place."""

    def __init__(self) -> None:
        self.room = memoryview(bytearray(_ROOM))


_here: Final = _Here()


class Receiver(ResponseHandler, asyncio.BufferedProtocol):
    """The client's end of a connection."""

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002  # the contract's
        """Where the next read goes."""
        return _here.room

    def buffer_updated(self, nbytes: int) -> None:
        """So much was read."""
        self.data_received(bytes(_here.room[:nbytes]))
