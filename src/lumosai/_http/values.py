"""What a request is told and what it gives, as plain values."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

MAX_BYTES = 32 * 1024 * 1024
"""The largest answer that is read unless a caller says otherwise, in bytes after decompression."""


class Timeouts(msgspec.Struct, frozen=True):
    """How long to wait, in seconds. None waits for ever.

    Attributes:
        connect_s: for a connection, name resolution and TLS included.
        read_s: without a single byte: for the answer to begin, and between two pieces of it.
        total_s: for the whole exchange, whatever moves meanwhile.
    """

    connect_s: float | None = 10.0
    read_s: float | None = 120.0
    total_s: float | None = None


class Peer(msgspec.Struct, frozen=True):
    """Whom a request is for, so that an error names it.

    Attributes:
        provider: such as "openai".
        model: the model's name.
        secrets: texts that no message may show, such as the key that is sent.
    """

    provider: str = ""
    model: str = ""
    secrets: tuple[str, ...] = ()


class Response(msgspec.Struct, frozen=True):
    """A whole answer, of any status.

    Attributes:
        status: the HTTP status.
        headers: by lower-case name; repeated ones are joined by ", ".
        body: decompressed.
        url: where it came from in the end, redirects followed.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    url: str
