"""The tool by which a model reads what was cut of a tool's result to save room."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, Final

from msgspec.structs import replace

from lumosai.errors import ToolError
from lumosai.memory.base import READ_TOOL
from lumosai.messages import Message
from lumosai.tools.base import Tool

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from lumosai.messages import ToolResultPart
    from lumosai.models.tokens import Counter

_CHARS_A_TOKEN: Final = 3
_LEAST: Final = 200
"""Characters that are shown at the least."""
_SHARE: Final = 0.8
"""Of what a message may take: the words around it take some, too."""
_PARAMETERS: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {
        "call_id": {"type": "string", "description": "The id of the call, as the shortened result gives it."},
        "start": {"type": "integer", "minimum": 0, "description": "The first character to show; 0 is the beginning."},
    },
    "required": ["call_id"],
}
_ABOUT: Final = (
    "Shows an earlier tool result that was shortened to save room, a page at a time. Use it only where a shortened result "
    "names it and what was left out is needed."
)


def reader(
    find: Callable[[str], Awaitable[ToolResultPart | None]],
    size_of: Callable[[Message], int],
    most: Callable[[], float],
) -> Tool:
    """That tool.

    Args:
        find: the result of a call, whole.
        size_of: how much a message takes.
        most: how much the answer may.
    """

    async def read(call_id: str, start: int = 0) -> str:
        found = await find(call_id)
        if found is None:
            raise ToolError(f"there is no result of a call {call_id!r} in this conversation")
        text = found.text
        if start >= len(text) > 0:
            raise ToolError(f"the result has {len(text):,} characters: start must be less")
        page = _page(found, start, size_of, most() * _SHARE)
        end = start + len(page)
        more = f"; start={end} shows what follows" if end < len(text) else ""
        return f"[characters {start:,} to {end:,} of {len(text):,}{more}]\n{page}"

    made: Tool = _described().bound(read)
    return made


@cache
def _described() -> Tool:
    """What the model is told of it: made once, so that it is encoded once."""

    async def read(call_id: str, start: int = 0) -> str:
        raise NotImplementedError((call_id, start))

    return Tool(READ_TOOL, _ABOUT, _PARAMETERS, read, effect="pure")


def size_in(counter: Counter) -> int:
    """How much it takes of a prompt."""
    return counter.tools_size((_described().definition(),))


def _page(found: ToolResultPart, start: int, size_of: Callable[[Message], int], most: float) -> str:
    chars = max(int(most * _CHARS_A_TOKEN), _LEAST)
    while True:
        page = found.text[start : start + chars]
        if chars <= _LEAST or size_of(Message("tool", (replace(found, content=page),))) <= most:
            return page
        chars = max(chars * 3 // 4, _LEAST)
