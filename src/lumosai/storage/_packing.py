"""Events of a run that has ended, packed: most of their bytes are the same few headers again and again."""

from __future__ import annotations

import zlib
from typing import Final

_MARK: Final = b"\x01z"
"""What packed data begins with; JSON never does."""
_LEVEL: Final = 1


def packed(data: bytes) -> bytes:
    """The data, packed where that saves anything."""
    small = _MARK + zlib.compress(data, _LEVEL)
    return small if len(small) < len(data) else data


def unpacked(data: bytes) -> bytes:
    """The data as it was."""
    return zlib.decompress(data[len(_MARK) :]) if data.startswith(_MARK) else data
