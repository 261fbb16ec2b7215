"""Markup that a family writes around its answers, and that is no call: at the start of a line it is not shown.

Only where the family is named: elsewhere it looks like what anyone might write.
"""

from __future__ import annotations

import re

import msgspec

_NO_DIFFERENCE = re.compile(r"[\s._-]+")
_BETWEEN_WORDS = re.compile(r"[^\w.]+|_")
_SHORTEST = 4


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


def keys(name: str) -> list[str]:
    """The folded names that a name may mean: itself, then those that stand in it as whole words, the longest first."""
    words = [folded(word) for word in _BETWEEN_WORDS.split(name)]
    runs = {"".join(words[start:end]) for start in range(len(words)) for end in range(start + 1, len(words) + 1)}
    return [folded(name), *sorted((run for run in runs if len(run) >= _SHORTEST), key=lambda run: (-len(run), run))]


def frame_of(name: str) -> Frame:
    """The frame of the family with this name or alias, or of the model with this name; an empty one where it has none."""
    return next((frame for key in keys(name) for frame in _FRAMES if key in frame.families), _NONE)


_NONE = Frame(frozenset(), ())
