"""What a run may be started with, and the errors for what it may not.

A prompt is only sent if a provider can take it: it says something, and no tool call in it is left without its result.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

from lumosai.agent.earlier import LONG, Given
from lumosai.errors import InvalidInputError
from lumosai.messages import Message, Part, TextPart, flaw, scrub, whole

if TYPE_CHECKING:
    from lumosai.agent.earlier import Earlier

Input = str | Message | Sequence[Message] | None
"""None is for a run on a thread: it answers what the thread ends with."""
_ROLES = frozenset({"system", "user", "assistant", "tool"})


def messages_of(given: Input, earlier: Earlier | None = None) -> tuple[Message, ...]:
    """The input as messages: a `Given` where `earlier` knows how it begins.

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
    elif isinstance(given, Sequence):
        messages = tuple(cast("Sequence[Message]", given))
        if earlier is not None and len(messages) >= LONG:
            return _gone_on(messages, earlier)
    else:
        raise _not_messages(given)
    _check(messages, given)
    return _whole(messages)


def _gone_on(messages: tuple[Message, ...], earlier: Earlier) -> tuple[Message, ...]:
    """A long conversation, of which only what is new is looked at."""
    trunk = earlier.trunk(messages)
    start = trunk.checked if trunk is not None else 0
    _check(messages, messages, start)
    sound = _whole(messages, start)
    if trunk is None or sound is not messages:
        return sound
    if messages[-1].role == "user":  # else a call before it may still wait for its result
        trunk.checked = len(messages) - 1
    return Given(messages, trunk)


def _whole(messages: tuple[Message, ...], start: int = 0) -> tuple[Message, ...]:
    """The messages without lone surrogates; those before `start` are known to have none.

    Raises:
        InvalidInputError: where a text should stand is something else.
    """
    try:
        made = [whole(m) for m in messages[start:]]
    except (AttributeError, TypeError) as error:
        msg = f"a message's id, texts and the keys of its metadata are texts, and one of them is not: {error}"
        raise InvalidInputError(msg) from error
    if all(new is old for new, old in zip(made, messages[start:], strict=True)):
        return messages
    return (*messages[:start], *made)


def joined(text: str) -> tuple[str, str]:
    """`text` without lone surrogates, and a first half at its end, which waits for the other in the next delta."""
    held = text[-1] if "\ud800" <= text[-1:] <= "\udbff" else ""
    return scrub(text[:-1] if held else text), held


def _not_messages(given: object) -> InvalidInputError:
    return InvalidInputError(
        f"the input is {type(given).__name__}, not str, Message or a list of Message: make one with Message.user('…')"
    )


def _check(messages: tuple[Message, ...], given: object, start: int = 0) -> None:
    """Raises where these cannot be sent; those before `start` are known to be in order."""
    # A message has no subclasses, nearly always, and so one look at each type is enough.
    new = messages[start:]
    if not set(map(type, new)) <= {Message} and not all(isinstance(m, Message) for m in new):
        raise _not_messages(given)
    if not messages:
        msg = "the list of messages is empty: a run needs at least one to answer"
        raise InvalidInputError(msg)
    if not {m.role for m in new} <= _ROLES:
        role = next(m.role for m in new if m.role not in _ROLES)
        msg = f"a message has the role {role!r}: it must be one of {', '.join(sorted(_ROLES))}"
        raise InvalidInputError(msg)
    if all(m.role == "system" for m in messages):
        msg = "there are only system messages: add a user's message to answer, or put these into `instructions`"
        raise InvalidInputError(msg)
    last = messages[-1]
    if last.role == "user" and all(type(p) is TextPart and not str(p.text).strip() for p in last.parts):
        msg = "the last message is empty: give it a text or a part"
        raise InvalidInputError(msg)
    _check_calls(new, start)


def _check_calls(messages: tuple[Message, ...], first: int) -> None:
    """Raises where a call has no result, or a result no call. The first message has the number `first`."""
    waiting: dict[str, str] = {}
    after = first  # the number of the message behind the last that was looked at
    for number, message in _unusual(messages, first):
        _check_parts(message, number)
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


def _check_parts(message: Message, number: int) -> None:
    parts: object = message.parts
    wrong = parts if not isinstance(parts, tuple | list) else next((p for p in parts if not isinstance(p, Part)), None)
    if wrong is not None:
        msg = (
            f"message {number} holds {wrong!r:.80}, which is no part: write Message.{message.role}('…'), or give it parts "
            "such as TextPart('…') and ImagePart(…)"
        )
        raise InvalidInputError(msg)
    told = flaw(message)
    if told:
        msg = f"message {number}: {told}"
        raise InvalidInputError(msg)


def _unusual(messages: tuple[Message, ...], first: int) -> list[tuple[int, Message]]:
    """The messages that are not one text, with their numbers: few of a long history."""
    return [(n, m) for n, m in enumerate(messages, first) if len(m.parts) != 1 or type(m.parts[0]) is not TextPart]


def _unanswered(waiting: dict[str, str], number: int) -> None:
    calls = ", ".join(f"{name} ({call_id!r})" for call_id, name in waiting.items())
    msg = (
        f"tool call without a result before message {number}: {calls}. "
        "Add Message.tool(ToolResultPart(call_id, name, content)) after the message that calls"
    )
    raise InvalidInputError(msg)
