"""Cursors: places in a list, opaque to whoever holds them. Each names its list, so that no other takes it."""

from __future__ import annotations

import base64
import binascii
from typing import Any, Final

import msgspec

from lumosai.errors import InvalidInputError

_MOST: Final = 2**62
"""No number in a list is greater; a database would refuse one that does not fit."""


def write(name: str, *values: Any) -> str:
    """A cursor of the list of that name that holds these values."""
    return base64.urlsafe_b64encode(msgspec.json.encode((name, *values))).decode().rstrip("=")


def read(cursor: str, name: str, *kinds: type) -> tuple[Any, ...]:
    """The values of a cursor of the list of that name, of these types.

    Raises:
        InvalidInputError: it is no cursor of such a list.
    """
    try:
        data = base64.b64decode(cursor.encode() + b"=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        values = msgspec.json.decode(data, type=tuple.__class_getitem__((str, *kinds)))
        whole = values[0] == name and all(-_MOST <= v <= _MOST for v in values if isinstance(v, int | float))
    except (AttributeError, ValueError, binascii.Error, msgspec.DecodeError):  # the first: of what is no text
        whole = False
    if not whole:
        raise foreign(cursor)
    return tuple(values[1:])


def foreign(cursor: str) -> InvalidInputError:
    """What is said of one that no page of this list gave."""
    return InvalidInputError(f"{str(cursor)[:60]!r} is no cursor of this list: pass one that a page of it gave")
