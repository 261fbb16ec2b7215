"""Cursors: places in a list, opaque to whoever holds them."""

from __future__ import annotations

import base64
import binascii
from typing import Any, Final

import msgspec

from lumosai.errors import InvalidInputError

_MOST: Final = 2**62
"""No number in a list is greater; a database would refuse one that does not fit."""


def write(*values: Any) -> str:
    """A cursor that holds these values."""
    return base64.urlsafe_b64encode(msgspec.json.encode(values)).decode().rstrip("=")


def read(cursor: str, *kinds: type) -> tuple[Any, ...]:
    """The values of a cursor, of these types.

    Raises:
        InvalidInputError: it is no cursor of such a list.
    """
    try:
        data = base64.b64decode(cursor.encode() + b"=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        values = msgspec.json.decode(data, type=tuple.__class_getitem__(kinds))
        whole = all(-_MOST <= v <= _MOST for v in values if isinstance(v, int | float))
    except (ValueError, binascii.Error, msgspec.DecodeError):
        whole = False
    if not whole:
        raise InvalidInputError(f"{cursor[:60]!r} is no cursor of this list: pass one that a page of it gave")
    return tuple(values)
