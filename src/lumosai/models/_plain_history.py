"""A conversation with tool calls, re-told for a model that is not sent any: as plain messages.

Calls become the text that the model would have written, results become a user's message. Messages without either stay
the very same objects.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from lumosai.messages import Message, TextPart, ToolCallPart, ToolResultPart
from lumosai.models.base import Transcript

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lumosai.messages import Part

    SayCall = Callable[[ToolCallPart], str]
    SayResult = Callable[[ToolResultPart], str]


def has_calls(messages: Sequence[Message]) -> bool:
    """Whether any message holds a call or a result."""
    if type(messages) is Transcript:
        return messages.gathered(has_calls, _calls_or, False)
    return _calls_or(False, messages)


def _calls_or(found: bool, messages: Sequence[Message]) -> bool:  # noqa: FBT001  # the first is what was found before
    return found or any(m.role == "tool" or (m.role == "assistant" and _calls(m)) for m in messages)


def plain_history(
    messages: Sequence[Message],
    call: SayCall,
    result: SayResult,
    reply: Callable[[str], str] | None = None,
    *,
    asked: Callable[[str], str] | None = None,
) -> tuple[Message, ...]:
    """`messages` without tool parts. Results are joined with a user's message behind them, so that roles alternate.

    Args:
        messages: the conversation.
        call: how a call is told.
        result: how a result is told.
        reply: how an assistant's text without a call is told; as it is when None.
        asked: what is said, before results, of the user's message that they serve; nothing when None.
    """
    told: list[Message] = []
    results, heard = False, ""
    for message in messages:
        if message.role == "tool":
            parts = _results(message.parts, result)
            if asked is not None and not results and (before := asked(heard)):
                parts.insert(0, TextPart(before))
            if results:
                told[-1] = Message("user", _joined([*told[-1].parts, *parts], "\n"))
            else:
                told.append(Message("user", _joined(parts, "\n")))
            results = True
            continue
        if message.role == "user":
            heard = message.text
        if results and message.role == "user":
            told[-1] = Message("user", _joined([*told[-1].parts, *message.parts], "\n\n"))
        else:
            told.append(_said(message, call, reply) if message.role == "assistant" else message)
            results = False
    return tuple(told)


def with_system(messages: Sequence[Message], text: str) -> tuple[Message, ...]:
    """`messages` with `text` at the end of the first system message, or as one of its own where there is none."""
    if messages and messages[0].role == "system":
        first = messages[0]
        return (Message("system", _joined([*first.parts, TextPart(text)], "\n\n")), *messages[1:])
    return (Message.system(text), *messages)


def with_opening(messages: Sequence[Message], text: str, shown: Sequence[Message]) -> tuple[Message, ...]:
    """`with_system`, and `shown` between the system messages at the beginning and the conversation."""
    told = with_system(messages, text)
    begin = next((i for i, m in enumerate(told) if m.role != "system"), len(told))
    return (*told[:begin], *shown, *told[begin:])


def _calls(message: Message) -> bool:
    return any(type(p) is ToolCallPart for p in message.parts)


def _said(message: Message, call: SayCall, reply: Callable[[str], str] | None) -> Message:
    if _calls(message):
        parts = [TextPart(call(p)) if isinstance(p, ToolCallPart) else p for p in message.parts]
        return msgspec.structs.replace(message, parts=_joined(parts, "\n"))
    if reply is not None and message.text:
        others = [p for p in message.parts if not isinstance(p, TextPart)]
        return msgspec.structs.replace(message, parts=(*others, TextPart(reply(message.text))))
    return message


def _results(parts: Sequence[Part], say: SayResult) -> list[Part]:
    """Each result's text, and after it the media in it."""
    told: list[Part] = []
    for part in parts:
        if isinstance(part, ToolResultPart):
            told.append(TextPart(say(part)))
            if not isinstance(part.content, str):
                told.extend(p for p in part.content if not isinstance(p, TextPart))
        else:
            told.append(part)
    return told


def _joined(parts: Sequence[Part], between: str) -> tuple[Part, ...]:
    """Neighbouring texts as one, since some servers take no more than one."""
    out: list[Part] = []
    for part in parts:
        before = out[-1] if out else None
        if isinstance(part, TextPart) and isinstance(before, TextPart):
            if part.text:
                out[-1] = TextPart(before.text + between + part.text if before.text else part.text)
        else:
            out.append(part)
    return tuple(out)
