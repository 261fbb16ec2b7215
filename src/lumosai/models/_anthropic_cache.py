"""Where the server is to keep a prompt: behind its tools, its system prompt and the last turns of the user's.

A request is a prefix of the next one, so that what ends at the same place is read from the cache there. Four marks at
most may stand in a request; the user's own go before these.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Sequence

MOST: Final = 4
_MARK: Final = b',"cache_control":{"type":"ephemeral"}}'


class Section(msgspec.Struct):
    """A part of the prompt, in the order tools, system, turns.

    Attributes:
        blocks: JSON objects, joined by commas.
        kind: "tools", "system" or the turn's role.
        is_open: whether the last one may be marked.
        marks: the user's marks in it: for each, whether it is to last an hour.
    """

    blocks: bytes
    kind: str
    is_open: bool = True
    marks: tuple[bool, ...] = ()


def mark(sections: Sequence[Section], *, taken: int = 0) -> None:
    """Marks the ends of the sections where a cache is worth most.

    Nothing is marked before a mark that is to last an hour: the API wants those first, and what they end is kept anyway.

    Args:
        sections: the prompt; changed in place.
        taken: marks that the user sets elsewhere.
    """
    left, begin = MOST - taken, 0
    for at, section in enumerate(sections):
        if section.marks:
            left -= len(section.marks)
            begin = at if True in section.marks else begin
    users = islice((i for i in range(len(sections) - 1, -1, -1) if sections[i].kind == "user"), 2)
    first, second = next(users, None), next(users, None)
    known = {s.kind: i for i, s in enumerate(sections[:2]) if s.kind in ("tools", "system")}
    for place in (first, known.get("system"), known.get("tools"), second):
        if left <= 0:
            break
        if place is None or place < begin:
            continue
        section = sections[place]
        if section.is_open and section.blocks:
            section.blocks = section.blocks[:-1] + _MARK
            left -= 1
