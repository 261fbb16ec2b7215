"""Lines of events put together, and taken apart again: what differs from one to the next, and what is the same once.

Deltas that follow one another are one block: their headers once, their text in one piece, and where it was cut and when as
numbers. So is what a context plan says of message after message. Numbers lie apart from text, in the order in which they
are needed, since they are packed better alone. A stored format: what is written here is read for ever.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

_FEWEST: Final = 2
"""Deltas that are put together, at the least."""
_BINARY: Final = 1 << 22
"""Parts of a second in which a clock's floats are whole numbers until 2038."""
_UNITS: Final = (10_000, 1_000_000)
"""Parts of a second in which times may have been taken: those of kept runs are, in the first."""
PLAN: Final = 4
"""Parts of a plan's block; one of deltas has more."""

_DELTA: Final = re.compile(
    rb'(\{"type":"[a-z_]+_delta","run_id":[^\n]*?"seq":)(\d+),"at":([0-9.]+)(,[^\n]*?"delta":")([^\n]*)"\}'
)
_IS_DELTA: Final = re.compile(rb'\{"type":"[a-z]+(?:_call)?_delta"').match
_TWO_DELTAS: Final = re.compile(rb'_delta","run_id":[^\n]*\n\{"type":"[a-z_]+_delta"').search
"""Whether a line of a delta follows another one."""
_IS_PLAN: Final = b'{"type":"memory_recalled"'
_TOLD: Final = (
    rb'\{"kind":"[a-z_]+","message_id":"[^"\\]*","tokens":(?:0|[1-9]\d{0,17}),"reason":"[^"\\\t\n]*","role":"[a-z]+"\}'
)
_ALL_TOLD: Final = re.compile(rb"%s(?:,%s)+" % (_TOLD, _TOLD))
_EACH_TOLD: Final = re.compile(
    rb'\{"kind":"([a-z_]+)","message_id":"([^"\\]*)","tokens":(\d+),"reason":"([^"\\\t\n]*)","role":"([a-z]+)"\}'
)


_Delta = tuple[bytes, int, int, bytes, bytes]
"""A delta's line: what stands before its number, the number, its time, what stands before its text, and that."""


def together(data: bytes) -> tuple[list[Any], list[list[Any]]]:
    """Lines as items, each some lines as bytes or a block as a list; and the blocks' numbers."""
    gathered = _Gathered()
    if not _TWO_DELTAS(data):
        gathered.take_all(data)
        return gathered.items, gathered.numbers
    for line in data.split(b"\n"):
        gathered.take(line)
    gathered.close()
    return gathered.items, gathered.numbers


class _Gathered:
    """Items and numbers of the lines so far."""

    __slots__ = ("_alike", "_plain", "_unit", "items", "numbers")

    def __init__(self) -> None:
        self.items: list[Any] = []
        self.numbers: list[list[Any]] = []
        self._plain: list[bytes] = []
        self._alike: list[_Delta] = []
        self._unit = 0

    def take_all(self, data: bytes) -> None:
        """Takes lines among which no deltas follow one another: plans are looked for, and nothing else looked at."""
        at = begun = 0
        while (at := data.find(_IS_PLAN, at)) >= 0:
            end = data.find(b"\n", at)
            end = len(data) if end < 0 else end
            block = self._plan(data[at:end]) if at == 0 or data.startswith(b"\n", at - 1) else None
            if block is not None:
                if begun < at:
                    self.items.append(data[begun : at - 1])
                self.items.append(block)
                begun = end + 1
            at = end
        if begun < len(data):
            self.items.append(data[begun:])

    def close(self) -> None:
        """There are no more."""
        self._close()
        self._close_plain()

    def take(self, line: bytes) -> None:
        """Takes the next line."""
        delta = self._next(line) if self._alike else None
        if delta is not None:
            self._alike.append(delta)
            return
        self._close()
        found = _DELTA.fullmatch(line) if _IS_DELTA(line) else None
        if found is None:
            block = self._plan(line) if line.startswith(_IS_PLAN) else None
            if block is None:
                self._plain.append(line)
            else:
                self._close_plain()
                self.items.append(block)
            return
        head, number, at, middle, text = found.groups()
        self._unit = next((u for u in _UNITS if _ticks(at, u) is not None), _BINARY)
        ticks = _ticks(at, self._unit)
        if ticks is None:
            self._plain.append(line)
        else:
            self._alike.append((head, int(number), ticks, middle, text))

    def _next(self, line: bytes) -> _Delta | None:
        """A line as the delta that follows the last one, None where it is none that is like it."""
        head, number, before, middle, _ = self._alike[-1]
        start = b'%s%d,"at":' % (head, number + 1)
        if not line.startswith(start) or not line.endswith(b'"}'):
            return None
        end = line.find(b",", len(start))
        if not line.startswith(middle, end) or end + len(middle) > len(line) - 2:
            return None
        ticks = _ticks(line[len(start) : end], self._unit)
        if ticks is None or ticks < before:
            return None
        return head, number + 1, ticks, middle, line[end + len(middle) : -2]

    def _close(self) -> None:
        """What was alike ends here."""
        alike, self._alike = self._alike, []
        if len(alike) < _FEWEST:
            self._plain.extend(_line(one, self._unit) for one in alike)
            return
        self._close_plain()
        head, seq, first, middle, _ = alike[0]
        times = [one[2] for one in alike]
        texts = [one[4] for one in alike]
        self.numbers += (_planes([b - a for a, b in pairwise(times)]), _planes([len(t) for t in texts]))
        self.items.append([head, middle, seq, first, self._unit, b"".join(texts)])

    def _close_plain(self) -> None:
        if self._plain:
            self.items.append(b"\n".join(self._plain))
            self._plain = []

    def _plan(self, line: bytes) -> list[Any] | None:
        """A plan's line as a block, None where it does not tell of message after message."""
        stretch = max(_ALL_TOLD.finditer(line), key=lambda m: m.end() - m.start(), default=None)
        if stretch is None:
            return None
        kinds: dict[bytes, int] = {}
        which, tokens, ids = [], [], []
        for kind, name, count, reason, role in _EACH_TOLD.findall(stretch[0]):
            which.append(kinds.setdefault(b"%s\t%s\t%s" % (kind, reason, role), len(kinds)))
            tokens.append(int(count))
            ids.append(name)
        self.numbers += (_planes(which), _planes(tokens))
        return [line[: stretch.start()], b"\n".join(kinds), b'","'.join(ids), line[stretch.end() :]]


def apart(items: list[Any], numbers: list[list[Any]]) -> bytes:
    """The lines again."""
    left = iter(numbers)
    return b"\n".join([item if type(item) is bytes else _lines(item, left) for item in items])


def _lines(block: list[Any], left: Iterator[list[Any]]) -> bytes:
    first, second = _numbers(next(left)), _numbers(next(left))
    return _told(block, first, second) if len(block) == PLAN else _deltas(block, first, second)


def apart_first(items: list[Any]) -> bytes:
    """As `apart`, of the form before this one, where a block's numbers lie in it, before its text."""
    return b"\n".join(
        [
            item if type(item) is bytes else _deltas([*item[:5], item[7]], _numbers(item[5]), _numbers(item[6]))
            for item in items
        ]
    )


def _deltas(block: list[Any], gaps: list[int], lengths: list[int]) -> bytes:
    head, middle, seq, at, unit, text = block
    lines, start = [], 0
    for number, (gap, length) in enumerate(zip([0, *gaps], lengths, strict=True)):
        at += gap
        lines.append(_line((head, seq + number, at, middle, text[start : start + length]), unit))
        start += length
    return b"\n".join(lines)


def _told(block: list[Any], which: list[int], tokens: list[int]) -> bytes:
    before, kinds, ids, after = block
    frames = [
        b'{"kind":"%s","message_id":"%%s","tokens":%%d,"reason":"%s","role":"%s"}'
        % (kind, reason.replace(b"%", b"%%"), role)
        for kind, reason, role in (line.split(b"\t") for line in kinds.split(b"\n"))
    ]
    names = ids.split(b'","')
    told = [frames[kind] % (name, count) for kind, name, count in zip(which, names, tokens, strict=True)]
    return bytes(before + b",".join(told) + after)


def _ticks(at: bytes, unit: int) -> int | None:
    """A time as a whole number of parts of a second, where it is one, and is written as that one would be."""
    try:
        ticks = round(float(at) * unit)
    except (ValueError, OverflowError):
        return None
    return ticks if _written(ticks, unit) == at else None


def _written(ticks: int, unit: int) -> bytes:
    return repr(ticks / unit).encode()


def _line(one: _Delta, unit: int) -> bytes:
    head, seq, ticks, middle, text = one
    return b'%s%d,"at":%s%s%s"}' % (head, seq, _written(ticks, unit), middle, text)


def _planes(numbers: list[int]) -> list[Any]:
    """How many, then their lowest bytes, their next, and so on: what is alike lies together. A byte all share stands once."""
    if not numbers or max(numbers) < 1 << 8:
        planes = [bytes(numbers)] if any(numbers) else []
    else:
        raw = b"".join([n.to_bytes(8, "little") for n in numbers])
        planes = [raw[i::8] for i in range(8)]
        while not any(planes[-1]):
            planes.pop()
    return [len(numbers), *[p[0] if p.count(p[:1]) == len(p) else p for p in planes]]


def _numbers(planes: list[Any]) -> list[int]:
    count = planes[0] if type(planes[0]) is int else int.from_bytes(planes[0], "little")
    numbers = [0] * count
    for shift, plane in enumerate(planes[1:]):
        each = plane if type(plane) is bytes else [plane] * count
        numbers = [n | b << 8 * shift for n, b in zip(numbers, each, strict=True)] if shift else [*each]
    return numbers
