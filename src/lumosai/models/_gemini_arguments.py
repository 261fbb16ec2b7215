"""A call's arguments where they are streamed: pieces of values, each with the JSON Path (RFC 9535) of its place."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import msgspec

from lumosai.models._encoded import encode

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lumosai.models._gemini_wire import PartialArg

Step = str | int

_STEP: Final = re.compile(
    r"\.([^.\[\]*]+)"
    r"|\[\s*(\d+)\s*\]"
    r"""|\[\s*("(?:[^"\\]|\\.)*")\s*\]"""
    r"""|\[\s*'((?:[^'\\]|\\.)*)'\s*\]"""
)
_MOST: Final = 10_000
"""The highest index that is believed: a list is filled up to it."""


class Arguments:
    """The arguments of one call, so far.

    Attributes:
        open: the place of a string that more is to come for, None where the last value was whole.
    """

    __slots__ = ("_value", "open")

    def __init__(self, begun: dict[str, Any] | None) -> None:
        self._value: dict[str, Any] = dict(begun or {})
        self.open: tuple[Step, ...] | None = None

    def add(self, pieces: Sequence[PartialArg]) -> None:
        """Puts each piece in its place.

        Raises:
            ValueError: a path that names no place in the arguments.
        """
        for piece in pieces:
            path = steps(piece.json_path)
            value = _value(piece)
            container = self._container(path)
            before = _at(container, path[-1]) if self.open == path else None
            if isinstance(before, str) and (value is None or isinstance(value, str)):
                value = before + (value or "")
            _put(container, path[-1], value)
            self.open = path if piece.will_continue else None

    def whole(self) -> str:
        """The arguments as JSON."""
        return encode(self._value).decode()

    def cut(self) -> str:
        """The arguments as JSON that is cut off inside a value: no reader takes them for whole, no repair can end them."""
        return self.whole()[:-1] + (',"…":"' if self._value else '"…":"')

    def _container(self, path: tuple[Step, ...]) -> Any:
        """The object or list that holds the last step's value, made where it is missing."""
        here: Any = self._value
        for step, following in pairwise(path):
            there = _at(here, step)
            if not isinstance(there, list if isinstance(following, int) else dict):
                there = [] if isinstance(following, int) else {}
                _put(here, step, there)
            here = there
        return here


def steps(path: str) -> tuple[Step, ...]:
    """The names and indices of a singular JSON Path such as `$.a['b c'][0]`.

    Raises:
        ValueError: it is no such path.
    """
    found: list[Step] = []
    at = len("$")
    while at < len(path) and (match := _STEP.match(path, at)):
        name, index, double, single = match.groups()
        if index is not None:
            found.append(int(index))
        elif double is not None:
            found.append(_text(double))
        elif single is not None:
            found.append(_text('"' + single.replace("\\'", "'").replace('"', '\\"') + '"'))
        else:
            found.append(name)
        at = match.end()
    if not path.startswith("$") or at != len(path) or not found or isinstance(found[0], int):
        msg = f"the JSON Path {path!r} names no place in a call's arguments"
        raise ValueError(msg)
    return tuple(found)


def _text(quoted: str) -> str:
    try:
        return msgspec.json.decode(quoted, type=str)
    except msgspec.DecodeError:
        return quoted[1:-1]


def _value(piece: PartialArg) -> Any:
    for value in (piece.string_value, piece.bool_value, piece.number_value):
        if value is not None:
            whole = isinstance(value, float) and value.is_integer() and abs(value) < 2**53
            return int(value) if whole else value
    return "" if piece.will_continue else None


def _at(container: Any, step: Step) -> Any:
    if isinstance(container, dict):
        return container.get(step)
    return container[step] if isinstance(step, int) and step < len(container) else None


def _put(container: Any, step: Step, value: Any) -> None:
    if isinstance(container, dict):
        container[str(step)] = value
        return
    if not isinstance(step, int) or step > _MOST:
        msg = f"the step {step!r} names no place in a list"
        raise ValueError(msg)
    container.extend([None] * (step + 1 - len(container)))
    container[step] = value
