"""Long lists of ids in lines of events, put so that each id stands once: a plan and each request name the same messages.

A list becomes the stretches of all ids that it is made of, the ids themselves sixteen bytes each. A part of a stored
format, see `_packing`: what is written here is read for ever.
"""

from __future__ import annotations

import re
from typing import Any, Final

MARK: Final = b"\xff"
"""What stands around a list's stretches, as no text in UTF-8 has it."""
_FEWEST: Final = 64
"""Ids of a list that is put so, at the least: of fewer, the thread that it is packed against knows the most."""
_ID: Final = rb"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}(?:\.r)?"
_LIST: Final = re.compile(rb'"(#?)%s"(?:,"\1%s"){%d,}' % (_ID, _ID, _FEWEST - 1))
_STRETCHES: Final = re.compile(rb"\xff(#?)([0-9+,]+)\xff")
_BYTES: Final = 16
_RESULTS: Final = b".r"
"""What the id of a message of results ends with, behind that of the answer that called."""
_ALONE: Final = 0
"""An id by itself."""
_BEHIND: Final = 1
"""That of the results of the one before it."""
_APART: Final = 2
"""That of results whose answer is not before it."""


def may_have_lists(data: bytes) -> bool:
    """Whether a request in these lines may name enough messages that they are looked at more closely."""
    return data.count(b'","#') >= _FEWEST - 1 and MARK not in data


class Names:
    """Ids in the order in which they were met first."""

    __slots__ = ("_places", "each")

    def __init__(self, each: list[bytes] | None = None) -> None:
        self.each = each or []
        self._places: dict[bytes, int] = {}

    def shorten(self, text: bytes) -> bytes:
        """The text with its long lists as stretches."""
        return _LIST.sub(self._stretches, text)

    def lengthen(self, text: bytes) -> bytes:
        """The text again."""
        return _STRETCHES.sub(self._list, text) if MARK in text else text

    def _stretches(self, found: re.Match[bytes]) -> bytes:
        prefix = found[1]
        start = len(prefix) + 1
        places, each = self._places, self.each
        told: list[bytes] = []
        first = last = -1
        for name in found[0][start:-1].split(b'","' + prefix):
            place = places.get(name)
            if place is None:
                place = places[name] = len(each)
                each.append(name)
            if place != last + 1 or first < 0:
                if first >= 0:
                    told.append(b"%d+%d" % (first, last - first + 1))
                first = place
            last = place
        told.append(b"%d+%d" % (first, last - first + 1))
        return MARK + prefix + b",".join(told) + MARK

    def _list(self, found: re.Match[bytes]) -> bytes:
        prefix = found[1]
        named: list[bytes] = []
        for stretch in found[2].split(b","):
            first, _, count = stretch.partition(b"+")
            named += self.each[int(first) : int(first) + int(count)]
        return b'"' + prefix + (b'","' + prefix).join(named) + b'"'

    def pack(self) -> list[bytes]:
        """What each is, and the bytes of those that stand by themselves: all first ones, all second ones, and so on."""
        kinds, whole, before = bytearray(), [], b""
        for name in self.each:
            bare = name.removesuffix(_RESULTS)
            kind = _ALONE if bare == name else _BEHIND if bare == before else _APART
            kinds.append(kind)
            if kind != _BEHIND:
                whole.append(bare)
            before = name
        data = bytes.fromhex(b"".join(whole).replace(b"-", b"").decode())
        return [bytes(kinds), b"".join([data[i::_BYTES] for i in range(_BYTES)])]

    @classmethod
    def unpack(cls, packed: list[Any]) -> Names:
        """The very ids that `pack` was given."""
        kinds, planes = packed
        count = len(planes) // _BYTES
        each: list[bytes] = []
        at, before = 0, b""
        for kind in kinds:
            if kind == _BEHIND:
                name = before + _RESULTS
            else:
                digits = planes[at::count].hex()
                name = f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}".encode()
                at += 1
                if kind == _APART:
                    name += _RESULTS
            each.append(name)
            before = name
        return cls(each)
