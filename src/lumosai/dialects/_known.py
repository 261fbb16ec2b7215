"""What is known before an answer comes: the table for a parser's arguments, and whole answers in which no call stands."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lumosai.dialects._frames import frame_of
from lumosai.dialects._table import table
from lumosai.dialects.catalogue import DIALECTS, named

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lumosai.dialects._table import Table
    from lumosai.dialects.base import Dialect
    from lumosai.records import HasDefinition, ToolDefinition


def is_prose(text: str, tools: Sequence[ToolDefinition | HasDefinition], dialect: str = "auto") -> bool:
    """Whether a whole answer is nothing but lines in which no call can begin: a parser would give it back as it is.

    Quick, and never wrong in its yes; a no may be one only because of what looks like something special.
    """
    if "<" in text:  # which may begin a token that ends the turn, and is not shown
        return False
    known, _ = known_for(tools, dialect, alone=False)
    found = known.bulk.match(text if text[-1:] == "\n" else text + "\n")
    return found is not None and found.end() >= len(text)


_KEPT = 32
_knowns: dict[tuple[int, str, bool], tuple[object, tuple[Table, frozenset[str]]]] = {}


def known_for(
    tools: Sequence[ToolDefinition | HasDefinition], dialect: str, *, alone: bool
) -> tuple[Table, frozenset[str]]:
    """The table for these arguments of a parser's, and the names of the dialects that `dialect` means."""
    key = (id(tools), dialect, alone)
    kept = _knowns.get(key)
    if kept is not None:
        return kept[1]
    chosen = () if dialect == "auto" else named(dialect)
    found = (
        table(tools, chosen if chosen and alone else _all_after(chosen), frame_of(dialect)),
        frozenset([d.name for d in chosen]),
    )
    if type(tools) is tuple:  # a list may be another one the next time
        if len(_knowns) >= _KEPT:
            _knowns.clear()
        _knowns[key] = (tools, found)  # the tools are kept, so that no others can come to have their id
    return found


def _all_after(first: tuple[Dialect, ...]) -> tuple[Dialect, ...]:
    """Every dialect, those first."""
    every = tuple(DIALECTS.values())
    return (*first, *[d for d in every if all(d is not f for f in first)]) if first else every
