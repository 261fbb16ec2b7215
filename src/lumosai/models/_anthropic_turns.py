"""Messages put together to the API's turns: neighbours of one role are one, results first, and the first is the user's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from lumosai.models._anthropic_cache import Section
from lumosai.models._encoded import encode

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lumosai.models._anthropic_history import Turn

_BEGIN: Final = encode({"type": "text", "text": "(The conversation begins with your message.)"})
_HEADS: Final = {"user": b'{"role":"user","content":[', "assistant": b'{"role":"assistant","content":['}


def in_turns(messages: Sequence[Turn]) -> list[Section]:
    """The turns of a conversation, in order; messages that say nothing, and system messages, are none of it."""
    sections: list[Section] = []
    turn: list[Turn] = []
    role = ""
    for message in messages:
        said: Turn | None = message
        while said is not None:
            if said and said.role != "system":
                if said.role == role:
                    turn.append(said)
                    if said.results:
                        turn.sort(key=_order)
                    marks = sections[-1].marks + said.marks
                    sections[-1] = Section(b",".join(turn), role, turn[-1].is_open, marks)
                else:
                    turn, role = [said], said.role
                    sections.append(Section(said, role, said.is_open, said.marks))
            said = said.behind
    if sections and sections[0].kind == "assistant":
        sections.insert(0, Section(_BEGIN, "user", is_open=False))
    return sections


def _order(said: Turn) -> bool:
    return not said.results


def joined(turns: Sequence[Section]) -> Iterator[bytes]:
    """The turns as JSON objects, with commas between them, in pieces."""
    between = b""
    for turn in turns:
        yield between + _HEADS[turn.kind]
        yield turn.blocks
        yield b"]}"
        between = b","
