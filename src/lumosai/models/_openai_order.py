"""The order of messages, for servers that refuse one that others take.

Some servers, and the chat templates of many open models, are strict about who speaks after whom. Their rules are named
in `Profile.order`; a history that breaks one is told another way. Messages that break none stay the very same objects.

* "empty": an assistant's message without text and calls is refused. Moonshot: "the message at position 2 with role
  'assistant' must not be empty"; Mistral: "Assistant message must have either content or tool_calls" (mistral-common,
  `protocol/instruct/validator.py`).
* "system": a system message counts only at the beginning, and only one. Templates of Gemma, Llama 2, Qwen 3.5, MiniMax:
  "System message must be at the beginning."; Mistral: "Unexpected role 'system' after role 'assistant'".
* "user": a prompt needs a user's message. Zhipu: code 1214, "messages 参数非法" for a lone system message
  (https://docs.bigmodel.cn/cn/api/api-code).
* "tool_user": a user's message may not follow a tool's. Mistral: "Unexpected role 'user' after role 'tool'".
* "alternate": users' and assistants' messages take turns, calls and results aside, the user first. Templates of Gemma and
  Mistral: "conversation roles must alternate user/assistant/user/assistant/…"
* "last": an assistant's message may not be the last. Mistral: "Expected last role User or Tool (or Assistant with prefix
  True) for serving but got assistant"; llama.cpp: "Cannot have 2 or more assistant messages at the end of the list";
  Claude behind OpenAI-compatible gateways: "This model does not support assistant message prefill."
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Final

import msgspec

from lumosai.messages import Message, ProviderPart, ReasoningPart, TextPart, ToolCallPart

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    Messages = Sequence[Message]

ACKNOWLEDGED: Final = Message.assistant("OK.")
"""What an assistant is made to say where it has to say something."""
BEGIN: Final = Message.user("Please begin.")
GO_ON: Final = Message.user("Please go on.")


def ordered(messages: Messages, rules: Collection[str]) -> Messages:
    """`messages` as a server takes them that has these rules; the same object where none is broken."""
    for name, keep in _RULES.items():
        if name in rules:
            messages = keep(messages)
    return messages


def together(messages: Messages) -> Messages:
    """The results of one turn in one message, so that what shows their media stands behind them all."""
    told: list[Message] = []
    for message in messages:
        if told and told[-1].role == message.role == "tool":
            told[-1] = Message("tool", (*told[-1].parts, *message.parts))
        else:
            told.append(message)
    return told


def _without_empty(messages: Messages) -> Messages:
    kept = [m for m in messages if m.role != "assistant" or _says_something(m)]
    return messages if len(kept) == len(messages) else kept


def _system_first(messages: Messages) -> Messages:
    """One system message, at the beginning; what a later one says is told by the user."""
    begin = next((i for i, m in enumerate(messages) if m.role != "system"), len(messages))
    if begin <= 1 and all(m.role != "system" for m in messages[begin:]):
        return messages
    first = [_joined(messages[:begin])] if begin else []
    rest = (msgspec.structs.replace(m, role="user") if m.role == "system" else m for m in messages[begin:])
    return [*first, *rest]


def _with_user(messages: Messages) -> Messages:
    return messages if any(m.role == "user" for m in messages) else [*_after_system(messages, BEGIN)]


def _tool_then_assistant(messages: Messages) -> Messages:
    if not any(b.role == "user" and a.role == "tool" for a, b in pairwise(messages)):
        return messages
    told: list[Message] = []
    for message in messages:
        if message.role == "user" and told and told[-1].role == "tool":
            told.append(ACKNOWLEDGED)
        told.append(message)
    return told


def _in_turns(messages: Messages) -> Messages:
    """Messages of one speaker in a row become one, and a user's stands before the first assistant's."""
    spoken = [m for m in messages if m.role != "system"]
    begins_well = not spoken or spoken[0].role == "user"
    if begins_well and all(not _same_speaker(a, b) for a, b in pairwise(messages)):
        return messages
    told: list[Message] = []
    for message in messages if begins_well else _after_system(messages, BEGIN):
        if told and _same_speaker(told[-1], message):
            told[-1] = _joined([told[-1], message])
        else:
            told.append(message)
    return told


def _user_last(messages: Messages) -> Messages:
    return [*messages, GO_ON] if messages and messages[-1].role == "assistant" else messages


_RULES: Final[dict[str, Callable[[Messages], Messages]]] = {
    "empty": _without_empty,
    "system": _system_first,
    "user": _with_user,
    "tool_user": _tool_then_assistant,
    "alternate": _in_turns,
    "last": _user_last,
}
"""In the order in which they are kept, for one may break another that comes after it."""
RULES: Final = tuple(_RULES)


def _after_system(messages: Messages, new: Message) -> Messages:
    begin = next((i for i, m in enumerate(messages) if m.role != "system"), len(messages))
    return [*messages[:begin], new, *messages[begin:]]


def _same_speaker(one: Message, other: Message) -> bool:
    """Whether two neighbours must be one; an assistant's calls are followed by their results."""
    if one.role != other.role:
        return False
    return one.role == "user" or (one.role == "assistant" and not one.tool_calls)


def _joined(messages: Messages) -> Message:
    """Messages of one role as one; their texts as paragraphs."""
    parts: list[TextPart | object] = []
    for message in messages:
        for number, part in enumerate(message.parts):
            before = parts[-1] if parts else None
            if type(part) is TextPart and type(before) is TextPart:
                parts[-1] = TextPart(before.text + ("" if number else "\n\n") + part.text)
            else:
                parts.append(part)
    return Message(messages[0].role, tuple(parts))  # type: ignore[arg-type]  # parts of the messages


def _says_something(message: Message) -> bool:
    return any(_holds(part) for part in message.parts)


def _holds(part: object) -> bool:
    if isinstance(part, TextPart):
        return bool(part.text)
    return isinstance(part, ToolCallPart | ProviderPart) or not isinstance(part, ReasoningPart)
