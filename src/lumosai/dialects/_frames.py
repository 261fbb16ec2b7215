"""Markup that a family writes around its answers, and that is no call: at the start of a line it is not shown.

Only where the family is named: elsewhere it looks like what anyone might write.
"""

from __future__ import annotations

import re

import msgspec

_NO_DIFFERENCE = re.compile(r"[\s._-]+")


class Frame(msgspec.Struct, frozen=True):
    """The markers of one family.

    Attributes:
        families: the folded names under which a dialect of the family is asked.
        markers: what is not shown.
        first: of these, what counts only where nothing but calls or a thought stands before.
    """

    families: frozenset[str]
    markers: tuple[str, ...]
    first: tuple[str, ...] = ()


_FRAMES = (
    Frame(
        frozenset({"ernie", "ernie45", "ernie45moe"}),
        ("<response>\n", "<response>", "</response>\n", "</response>"),
    ),
    Frame(
        frozenset({"functionary", "functionaryv3", "functionaryv32", "meetkaifunctionarymediumv32"}),
        ("all\n",),
        first=("all\n",),
    ),
)


def folded(name: str) -> str:
    """The name without what makes no difference."""
    return _NO_DIFFERENCE.sub("", name).casefold()


def frame_of(name: str) -> Frame:
    """The frame of the family with this name or alias; an empty one where it has none."""
    key = folded(name)
    return next((f for f in _FRAMES if key in f.families), _NONE)


_NONE = Frame(frozenset(), ())
