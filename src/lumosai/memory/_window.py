"""The last messages of a thread, as a model can be sent them: no result without its call, no call without its result."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from lumosai.messages import Message, ToolCallPart, ToolResultPart

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lumosai.messages import Part

_LOST: Final = "The result of this call was not kept."


def sendable(messages: Sequence[Message]) -> list[Message]:
    """The messages, cut and mended so that any provider takes them.

    A window that begins in the middle of a turn begins at its next user message, where there is one. A result whose call
    is not there is left out; a call whose result is not there is answered by one that says so.
    """
    first = next((i for i, m in enumerate(messages) if m.role == "user"), 0)
    found: list[Message] = []
    waiting: dict[str, ToolCallPart] = {}
    for message in messages[first:]:
        if message.role == "tool":
            parts = [
                p for p in message.parts if type(p) is not ToolResultPart or waiting.pop(p.call_id, None) is not None
            ]
            if not parts and not waiting:
                continue
            whole = (*parts, *_answers(waiting))
            found.append(message if len(whole) == len(message.parts) else replace(message, parts=whole))
            waiting = {}
            continue
        if waiting:
            found.append(Message("tool", _answers(waiting)))
        waiting = {c.id: c for c in message.tool_calls}
        found.append(message)
    if waiting:
        found.append(Message("tool", _answers(waiting)))
    return found


def _answers(waiting: dict[str, ToolCallPart]) -> tuple[Part, ...]:
    return tuple([ToolResultPart(c.id, c.name, _LOST, True) for c in waiting.values()])
