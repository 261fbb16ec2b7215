"""The last messages of a thread, as a model can be sent them: no result without its call, no call without its result."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from lumosai.messages import Message, ReasoningPart, ToolCallPart, ToolResultPart

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from lumosai.memory.plan import Item

_LOST: Final = "The result of this call was not kept."
_BEFORE: Final = "before the first question that is shown"
_ALONE: Final = "its call, or its result, is not shown"


def answered(messages: Iterable[Message]) -> frozenset[str]:
    """The ids of the calls that have a result."""
    return frozenset([p.call_id for m in messages if m.role == "tool" for p in m.parts if type(p) is ToolResultPart])


def sendable(items: Sequence[Item], had_results: frozenset[str]) -> list[Message]:
    """The messages of what is in, cut and mended so that any provider takes them.

    What comes before the first user message is left out, where there is one. A result whose call is not shown is left
    out, and so is a call whose result was there and is not shown; one whose result was never kept is answered by one
    that says so.
    """
    shown = [i for i in items if i.included]
    first = next((n for n, i in enumerate(shown) if i.message.role == "user"), 0)
    for item in shown[:first]:
        item.leave_out(_BEFORE)
    there = answered([i.message for i in shown[first:]])
    found: list[Message] = []
    waiting: dict[str, ToolCallPart] = {}
    for item in shown[first:]:
        message = item.message
        if message.role == "tool":
            message = _results(message, waiting)
        else:
            _answer(found, waiting)
            if message.tool_calls:
                message = _calls(message, there, had_results)
                waiting = {c.id: c for c in message.tool_calls}
        if message is not item.message:
            if not message.parts:
                item.leave_out(_ALONE)
                continue
            item.show_as(message, item.reason)
        found.append(message)
    _answer(found, waiting)
    return found


def _calls(message: Message, there: frozenset[str], had: frozenset[str]) -> Message:
    """Without the calls whose results were left out."""
    kept = tuple([p for p in message.parts if type(p) is not ToolCallPart or p.id in there or p.id not in had])
    if len(kept) == len(message.parts):
        return message
    if all(type(p) is ReasoningPart for p in kept):  # thoughts about calls that are not made any more
        kept = ()
    return replace(message, parts=kept)


def _results(message: Message, waiting: dict[str, ToolCallPart]) -> Message:
    """Without results of no call that waits; those that are there wait no more."""
    parts = [p for p in message.parts if type(p) is not ToolResultPart or waiting.pop(p.call_id, None) is not None]
    return message if len(parts) == len(message.parts) else replace(message, parts=tuple(parts))


def _answer(found: list[Message], waiting: dict[str, ToolCallPart]) -> None:
    """Answers the calls that have no result, beside the results of the others where there are such."""
    if not waiting:
        return
    answers = tuple([ToolResultPart(c.id, c.name, _LOST, True) for c in waiting.values()])
    waiting.clear()
    if found[-1].role == "tool":
        found[-1] = replace(found[-1], parts=(*found[-1].parts, *answers))
    else:
        found.append(Message("tool", answers))
