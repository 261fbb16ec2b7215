"""What a run may be started with, and the errors for what it may not.

A prompt is only sent if a provider can take it: it says something, and no tool call in it is left without its result.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeGuard

from lumosai.errors import InvalidInputError
from lumosai.messages import Message, TextPart, scrub

Input = str | Message | Sequence[Message] | None
"""None is for a run on a thread: it answers what the thread ends with."""


def messages_of(given: Input) -> tuple[Message, ...]:
    """The input as messages.

    Raises:
        InvalidInputError: it is empty, of another type, or has a tool call without its result.
    """
    if isinstance(given, str):
        if not given.strip():
            msg = "the input is empty: pass a question, a Message or a list of messages"
            raise InvalidInputError(msg)
        return (Message("user", (TextPart(scrub(given)),)),)
    if isinstance(given, Message):
        messages: tuple[Message, ...] = (given,)
    elif _is_conversation(given):
        messages = tuple(given)
    else:
        msg = (
            f"the input is {type(given).__name__}, not str, Message or a list of Message: "
            "make one with Message.user('…')"
        )
        raise InvalidInputError(msg)
    _check(messages)
    return messages


def joined(text: str) -> tuple[str, str]:
    """`text` without lone surrogates, and a first half at its end, which waits for the other in the next delta."""
    held = text[-1] if "\ud800" <= text[-1:] <= "\udbff" else ""
    return scrub(text[:-1] if held else text), held


def _is_conversation(given: object) -> TypeGuard[Sequence[Message]]:
    # A message has no subclasses, nearly always, and so one look at each type is enough.
    return isinstance(given, Sequence) and (
        set(map(type, given)) == {Message} or all(isinstance(m, Message) for m in given)
    )


def _check(messages: tuple[Message, ...]) -> None:
    if not messages:
        msg = "the list of messages is empty: a run needs at least one to answer"
        raise InvalidInputError(msg)
    if all(m.role == "system" for m in messages):
        msg = "there are only system messages: add a user's message to answer, or put these into `instructions`"
        raise InvalidInputError(msg)
    last = messages[-1]
    if last.role == "user" and not last.parts:
        msg = "the last message is empty: give it a text or a part"
        raise InvalidInputError(msg)
    _check_calls(messages)


def _check_calls(messages: tuple[Message, ...]) -> None:
    """Raises where a call has no result, or a result no call."""
    waiting: dict[str, str] = {}
    after = 0  # the number of the message behind the last that was looked at
    for number, message in _unusual(messages):
        if waiting and (message.role != "tool" or number != after):
            _unanswered(waiting, after)
        after = number + 1
        if message.role == "tool":
            for result in message.tool_results:
                if waiting.pop(result.call_id, None) is None:
                    msg = f"message {number} holds a result for the call {result.call_id!r}, which no message before it made"
                    raise InvalidInputError(msg)
        elif message.role == "assistant":
            waiting = {c.id: c.name for c in message.tool_calls}
    if waiting:
        _unanswered(waiting, after)


def _unusual(messages: tuple[Message, ...]) -> list[tuple[int, Message]]:
    """The messages that are not one text, with their numbers: few of a long history."""
    return [(n, m) for n, m in enumerate(messages) if len(m.parts) != 1 or type(m.parts[0]) is not TextPart]


def _unanswered(waiting: dict[str, str], number: int) -> None:
    calls = ", ".join(f"{name} ({call_id!r})" for call_id, name in waiting.items())
    msg = (
        f"tool call without a result before message {number}: {calls}. "
        "Add Message.tool(ToolResultPart(call_id, name, content)) after the message that calls"
    )
    raise InvalidInputError(msg)
