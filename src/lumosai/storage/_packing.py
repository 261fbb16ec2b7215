"""Events of a run that has ended, packed: most of their bytes are the same few headers, and text that lies elsewhere too.

Lines that are alike are put together (`_together`), and long lists of ids are put so that each id stands once (`_lists`).
What that leaves is compressed against a dictionary of what every run says, and of what its thread holds (`_known`); numbers
and ids, of which no dictionary knows, apart. Unpacked, each event is again the very line that was stored. This is a stored
format: what is written here is read for ever.
"""

from __future__ import annotations

import zlib
from typing import Any, Final, Literal, NamedTuple

import msgspec

from lumosai.errors import StorageBrokenError
from lumosai.storage import _together as lines
from lumosai.storage._lists import Names, may_have_lists

Form = Literal[2, 3, 4]
"""How data is packed: today as 3, or as 4 where it has long lists of ids. It begins with that byte, as JSON never does."""

_FIRST: Final = 2
_LISTS: Final = 4
_FORMS: Final[dict[bytes, Form]] = {b"\x02": 2, b"\x03": 3, b"\x04": 4}
_OLD: Final = b"\x01z"
"""What was packed without a dictionary begins so."""
_START: Final = 2
"""Where the place begins, behind its length."""
WINDOW: Final = 32_768 - 300
"""Bytes of a dictionary that count, at the most: its last ones."""
_LEVEL: Final = 6
_NUMBERS_LEVEL: Final = 1
_DAMAGED: Final = (
    msgspec.DecodeError,
    LookupError,
    TypeError,
    ValueError,
    AttributeError,
    OverflowError,
    StopIteration,
)
"""What reading ends in that goes through bytes which are not as they were written."""
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder().decode


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
        known: the dictionary: what the events say, too.
    """
    if not data.startswith(b"{"):
        return data
    items, numbers = lines.together(data)
    form, more = b"\x03", _encode(numbers)
    if may_have_lists(data):
        names = Names()
        shortened = [_shortened(item, names) for item in items]
        if names.each:
            form, items, more = b"\x04", shortened, _encode([numbers, *names.pack()])
    told = _deflated(more, zlib.compressobj(_NUMBERS_LEVEL, wbits=-zlib.MAX_WBITS, strategy=zlib.Z_RLE))
    text = _deflated(_encode(items), zlib.compressobj(_LEVEL, zdict=known))
    where = _encode((*(place or ()), len(told)))
    small = b"".join((form, len(where).to_bytes(1, "little"), where, told, text))
    return small if len(small) < len(data) else data


def form_of(data: bytes) -> Form | None:
    """How it was packed against anything; None where it was not."""
    return _FORMS.get(data[:1])


def place_of(data: bytes) -> Place | None:
    """Where what is needed to unpack it lies; None where nothing is.

    Raises:
        StorageBrokenError: it is damaged.
    """
    form = form_of(data)
    if form is None:
        return None
    try:
        found = _decode(data[_START : _START + data[_START - 1]])
        if form != _FIRST:
            found = found[:-1]
        return Place(*found) if found else None
    except _DAMAGED as error:
        raise _damaged(error) from error


def unpacked(data: bytes, known: bytes = b"") -> bytes:
    """The data as it was.

    Args:
        data: as it is stored.
        known: the dictionary of its form.

    Raises:
        StorageBrokenError: it is damaged, or what was `known` is not at hand any more.
    """
    form = form_of(data)
    try:
        if form is None:
            return zlib.decompress(data[len(_OLD) :]) if data.startswith(_OLD) else data
        return _unpacked(data, form, known)
    except zlib.error as error:
        raise StorageBrokenError(
            f"events cannot be unpacked, since what they say is not there any more: {error}"
        ) from error
    except _DAMAGED as error:
        raise _damaged(error) from error


def _unpacked(data: bytes, form: Form, known: bytes) -> bytes:
    start = _START + data[_START - 1]
    numbers: list[Any] = []
    names: Names | None = None
    inflate = zlib.decompressobj(zdict=known)
    if form != _FIRST:
        count = _decode(data[_START:start])[-1]
        numbers = _decode(zlib.decompress(data[start : start + count], -zlib.MAX_WBITS))
        start += count
    if form == _LISTS:
        numbers, *packed_names = numbers
        names = Names.unpack(packed_names)
    items = _decode(inflate.decompress(data[start:]) + inflate.flush())
    if names is not None:
        items = [_lengthened(item, names) for item in items]
    return lines.apart_first(items) if form == _FIRST else lines.apart(items, numbers)


def _damaged(error: Exception) -> StorageBrokenError:
    return StorageBrokenError(f"events cannot be unpacked, since they are damaged: {type(error).__name__}: {error}")


def _shortened(item: Any, names: Names) -> Any:
    """An item whose long lists are put as stretches of names: lines, or a plan's block, which holds the inside of one."""
    if type(item) is bytes:
        return names.shorten(item)
    if len(item) != lines.PLAN:
        return item
    before, kinds, ids, after = item
    return [names.shorten(before), kinds, names.shorten(b'"%s"' % ids), names.shorten(after)]


def _lengthened(item: Any, names: Names) -> Any:
    """The item again."""
    if type(item) is bytes:
        return names.lengthen(item)
    if len(item) != lines.PLAN:
        return item
    before, kinds, ids, after = item
    return [names.lengthen(before), kinds, names.lengthen(ids)[1:-1], names.lengthen(after)]


def _deflated(data: bytes, deflate: Any) -> bytes:
    return b"".join((deflate.compress(data), deflate.flush()))
