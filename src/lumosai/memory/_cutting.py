"""Texts that are too long for a prompt, cut in the middle: what stands in the gap says how to read the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
from msgspec.structs import replace

from lumosai.memory.base import READ_TOOL
from lumosai.messages import TextPart, ToolResultPart

if TYPE_CHECKING:
    from lumosai.messages import Message, Part

_SHORT: Final = 40
"""Characters that are left of any text."""
_GAP: Final = 60
_GAP_READ: Final = 130
"""Characters that the words in the gap take."""
_SURE: Final = 0.98
"""Of a message's share: what is not text in it cannot be cut."""


def shortened(message: Message, share: float, *, reads: bool = False) -> Message:
    """A message with its texts cut to a share of their length; the very message where none is.

    Args:
        message: it.
        share: of each text's characters, up to 1.
        reads: whether the model has the tool that reads the results of tools on.
    """
    parts = tuple([_part(p, share * _SURE, reads=reads) for p in message.parts])
    return message if parts == message.parts else replace(message, parts=parts)


def cut_result(part: ToolResultPart, share: float, *, reads: bool) -> ToolResultPart:
    """A result with its texts cut to a share of their length."""
    if isinstance(part.content, str):
        return replace(part, content=cut(part.content, share, call_id=part.call_id if reads else None))
    return replace(part, content=tuple([_part(p, share, reads=False) for p in part.content]))


def _part(part: Part, share: float, *, reads: bool) -> Part:
    if type(part) is TextPart:
        return TextPart(cut(part.text, share))
    return cut_result(part, share, reads=reads) if type(part) is ToolResultPart else part


def cut(text: str, share: float, *, call_id: str | None = None) -> str:
    """A text without its middle, with a share of its characters; `call_id`: by which the rest can be read."""
    keep = int(len(text) * share) - (_GAP if call_id is None else _GAP_READ)
    if keep < _SHORT:
        keep = min(_SHORT, len(text))
    if keep >= len(text):
        return text
    tail = keep // 3
    start, end = keep - tail, len(text) - tail
    more = f": {reading(call_id, start)} shows them" if call_id is not None else ""
    return f"{text[:start]}\n[… {end - start:,} characters left out{more} …]\n{text[end:]}"


def reading(call_id: str, start: int = 0) -> str:
    """The call that shows a result from a character on, as a model is told of it."""
    told = f"call_id={msgspec.json.encode(call_id).decode()}"
    return f"{READ_TOOL}({told}, start={start})" if start else f"{READ_TOOL}({told})"
