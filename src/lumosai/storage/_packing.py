"""Events of a run that has ended, packed: most of their bytes are the same few headers, and text that lies elsewhere too.

Deltas that follow one another are put together: their headers once, their text in one piece, and where it was cut and
when. What that leaves is compressed against a dictionary of what every run says, and of what its thread holds. Unpacked,
each event is again the very line that was stored. This is a stored format: what is written here is read for ever.
"""

from __future__ import annotations

import re
import zlib
from itertools import pairwise
from typing import Any, Final, NamedTuple

import msgspec

from lumosai.errors import StorageBrokenError
from lumosai.storage._skeleton import SKELETON

_OLD: Final = b"\x01z"
"""What was packed without a dictionary begins so; JSON never does."""
_MARK: Final = b"\x02"
_START: Final = 2
"""Where the place begins, behind its length."""
_WINDOW: Final = 32_768 - 300
"""Bytes of a dictionary that count, at the most."""
_LEVEL: Final = 6
_FEWEST: Final = 2
"""Deltas that are put together, at the least."""
_BINARY: Final = 1 << 22
"""Parts of a second in which a clock's floats are whole numbers until 2038."""
_UNITS: Final = (10_000, 1_000_000)
"""Parts of a second in which times may have been taken: those of kept runs are, in the first."""

_DELTA: Final = re.compile(
    rb'(\{"type":"[a-z_]+_delta","run_id":[^\n]*?"seq":)(\d+),"at":([0-9.]+)(,[^\n]*?"delta":")([^\n]*)"\}'
)
_IS_DELTA: Final = re.compile(rb'\{"type":"[a-z]+(?:_call)?_delta"').match
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder().decode


_Delta = tuple[bytes, int, int, bytes, bytes]
"""A delta's line: what stands before its number, the number, its time, what stands before its text, and that."""


class Place(NamedTuple):
    """Messages of a thread that a run's events speak of: those of one branch, from a number to another."""

    branch: int
    first: int
    last: int


def packed(data: bytes, place: Place | None = None, known: bytes = b"") -> bytes:
    """The data, packed where that saves anything.

    Args:
        data: lines of JSON.
        place: where whoever unpacks it finds what is `known`.
        known: what the events say, too.
    """
    if not data.startswith(b"{"):
        return data
    deflate = zlib.compressobj(
        _LEVEL, zlib.DEFLATED, zlib.MAX_WBITS, zlib.DEF_MEM_LEVEL, zlib.Z_DEFAULT_STRATEGY, _dictionary(known)
    )
    where = _encode(place or ())
    small = b"".join(
        (_MARK, len(where).to_bytes(1, "little"), where, deflate.compress(_encode(_together(data))), deflate.flush())
    )
    return small if len(small) < len(data) else data


def needs(data: bytes) -> bool:
    """Whether it was packed against anything."""
    return data.startswith(_MARK)


def place_of(data: bytes) -> Place | None:
    """Where what is needed to unpack it lies; None where nothing is."""
    if not data.startswith(_MARK):
        return None
    found = _decode(data[_START : _START + data[_START - 1]])
    return Place(*found) if found else None


def unpacked(data: bytes, known: bytes = b"") -> bytes:
    """The data as it was.

    Raises:
        StorageBrokenError: what was `known` is not at hand any more.
    """
    if data.startswith(_OLD):
        return zlib.decompress(data[len(_OLD) :])
    if not data.startswith(_MARK):
        return data
    inflate = zlib.decompressobj(zlib.MAX_WBITS, zdict=_dictionary(known))
    try:
        items = _decode(inflate.decompress(data[_START + data[_START - 1] :]) + inflate.flush())
    except zlib.error as error:
        raise StorageBrokenError(
            f"events cannot be unpacked, since what they say is not there any more: {error}"
        ) from error
    return b"\n".join([item if type(item) is bytes else _apart(item) for item in items])


def _dictionary(known: bytes) -> bytes:
    room = _WINDOW - len(SKELETON)
    return known[-room:] + SKELETON if known else SKELETON


def _together(data: bytes) -> list[Any]:
    """Lines, those of deltas that follow one another as one item."""
    items: list[Any] = []
    plain: list[bytes] = []
    alike: list[_Delta] = []
    unit = 0

    def close() -> None:
        nonlocal alike
        if len(alike) >= _FEWEST:
            if plain:
                items.append(b"\n".join(plain))
                plain.clear()
            items.append(_block(alike, unit))
        else:
            plain.extend(_line(one, unit) for one in alike)
        alike = []

    for line in data.split(b"\n"):
        found = _DELTA.fullmatch(line) if _IS_DELTA(line) else None
        if found is None:
            close()
            plain.append(line)
            continue
        head, number, at, middle, text = found.groups()
        seq = int(number)
        if alike and (alike[-1][0], alike[-1][1] + 1, alike[-1][3]) != (head, seq, middle):
            close()
        ticks = _ticks(at, unit) if alike else None
        if ticks is None or (alike and ticks < alike[-1][2]):
            close()
            unit = next((u for u in _UNITS if _ticks(at, u) is not None), _BINARY)
            ticks = _ticks(at, unit)
        if ticks is None:
            plain.append(line)
        else:
            alike.append((head, seq, ticks, middle, text))
    close()
    if plain:
        items.append(b"\n".join(plain))
    return items


def _ticks(at: bytes, unit: int) -> int | None:
    """A time as a whole number of parts of a second, where it is one, and is written as that one would be."""
    ticks = round(float(at) * unit)
    return ticks if _written(ticks, unit) == at else None


def _written(ticks: int, unit: int) -> bytes:
    return repr(ticks / unit).encode()


def _line(one: _Delta, unit: int) -> bytes:
    head, seq, ticks, middle, text = one
    return b'%s%d,"at":%s%s%s"}' % (head, seq, _written(ticks, unit), middle, text)


def _block(alike: list[_Delta], unit: int) -> list[Any]:
    head, seq, first, middle, _ = alike[0]
    times = [one[2] for one in alike]
    gaps = [b - a for a, b in pairwise(times)]
    texts = [one[4] for one in alike]
    return [head, middle, seq, first, unit, _planes(gaps), _planes([len(t) for t in texts]), b"".join(texts)]


def _apart(block: list[Any]) -> bytes:
    head, middle, seq, at, unit, gaps, lengths, text = block
    lines, start = [], 0
    for number, (gap, length) in enumerate(zip([0, *_numbers(gaps)], _numbers(lengths), strict=True)):
        at += gap
        lines.append(_line((head, seq + number, at, middle, text[start : start + length]), unit))
        start += length
    return b"\n".join(lines)


def _planes(numbers: list[int]) -> list[bytes]:
    """Numbers as strings of their lowest bytes, their next, and so on: what is alike lies together."""
    raw = b"".join([n.to_bytes(8, "little") for n in numbers])
    planes = [raw[i::8] for i in range(8)]
    while planes and not any(planes[-1]):
        planes.pop()
    return [len(numbers).to_bytes(4, "little"), *planes]


def _numbers(planes: list[bytes]) -> list[int]:
    count = int.from_bytes(planes[0], "little")
    numbers = [0] * count
    for shift, plane in enumerate(planes[1:]):
        numbers = [n | b << 8 * shift for n, b in zip(numbers, plane, strict=True)] if shift else [*plane]
    return numbers
