"""What is wrong with arguments or an answer, as data and as a short text that a model can act on."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from lumosai.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Iterable

MISSING = object()
"""In `Problem.got`: nothing was given."""

_SHOWN = 80
_MOST = 8


class Problem(NamedTuple):
    """One thing that is wrong.

    Attributes:
        path: where, such as "items[2].name"; "" is the whole.
        expected: what should stand there, in words.
        got: the offending value, `MISSING` where there is none.
        kind: "wrong", "missing", "unknown", or "rule" where `expected` is a sentence of its own.
    """

    path: str
    expected: str
    got: Any = MISSING
    kind: str = "wrong"

    def __str__(self) -> str:
        if self.kind == "missing":
            return f"{self.path}: required but missing; expected {self.expected}"
        if self.kind == "unknown":
            return f"{self.path}: no such argument; {self.expected}"
        where = f"{self.path}: " if self.path else ""
        if self.kind == "rule":
            return f"{where}{self.expected}; got {shown(self.got)}"
        return f"{where}expected {self.expected}, got {shown(self.got)}"


class Unsupported(Exception):  # noqa: N818  # a signal to the callers, who know which tool and parameter it is
    """A type that has no JSON Schema; `str()` is the reason."""


class Misfit(Exception):  # noqa: N818  # likewise
    """A value that does not fit; `problems` tell why."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__()


class InvalidArguments(InvalidInputError):  # noqa: N818  # the contract's name; it is caught by name, never shown as a type
    """A call's arguments do not fit the tool's parameters. `str()` is for the model.

    Attributes:
        problems: everything that is wrong, in the order of the parameters.
    """

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__(_listed(self.problems))


class InvalidOutput(InvalidInputError):  # noqa: N818  # likewise
    """An answer does not fit the output type. `str()` is for the model.

    Attributes:
        problems: everything that is wrong.
    """

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__(_listed(self.problems))


def _listed(problems: tuple[Problem, ...]) -> str:
    lines = [str(p) for p in problems[:_MOST]]
    if len(problems) > _MOST:
        lines.append(f"and {len(problems) - _MOST} more")
    return "; ".join(lines) if len(lines) == 1 else "\n".join(f"- {line}" for line in lines)


def shown(value: object) -> str:
    """A value as short JSON text."""
    try:
        text = json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError):
        text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 20]}… ({len(text)} characters)"


def joined(path: Iterable[str | int]) -> str:
    """A path as it is written: `items[2].name`."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        else:
            text += f".{step}" if text else step
    return text
