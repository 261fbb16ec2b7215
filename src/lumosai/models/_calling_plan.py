"""What is sent for a request in each tool mode, and how the answer is to be read: a pure function of both."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from lumosai.errors import InvalidInputError
from lumosai.models import _constrained, _small_text, _text_calling
from lumosai.models._constrained_reader import ConstrainedReader
from lumosai.models._plain_history import has_calls, plain_history, with_opening, with_system
from lumosai.models._readers import PlainReader, Reader, TextReader
from lumosai.models.base import ModelRequest

if TYPE_CHECKING:
    from lumosai.dialects.base import Dialect
    from lumosai.messages import Message
    from lumosai.records import ToolChoice, ToolDefinition, ToolMode

_replace = msgspec.structs.replace


class Plan(msgspec.Struct, frozen=True, gc=False):
    """One way to ask.

    Attributes:
        request: what is handed to the inner model.
        reader: makes the reader of one answer.
        calls_by_schema: whether the request's schema is what makes the model call tools, or keeps it from it.
    """

    request: ModelRequest
    reader: Callable[[], Reader]
    calls_by_schema: bool = False


def plan(
    request: ModelRequest,
    mode: ToolMode,
    *,
    schemas: bool,
    native_history: bool,
    answers_after_tools: bool,
    dialect: Callable[[], Dialect],
) -> Plan:
    """How to ask in `mode`.

    Args:
        request: what is wanted.
        mode: the tool mode.
        schemas: whether the model can be held to a JSON Schema.
        native_history: whether the server takes tool calls and results as messages.
        answers_after_tools: whether tools are left out once there is a result to answer with.
        dialect: gives how calls are written as text, where they are.

    Raises:
        InvalidInputError: the tool choice names a tool that is not among the request's.
    """
    choice = request.tool_choice if request.tool_choice is not None else request.settings.tool_choice
    _check(request, choice)
    offered = request.tools
    if mode == "off" or choice == "none" or (answers_after_tools and _answerable(request.messages, choice)):
        offered = ()
    if mode == "native":
        return _native(request, offered, schemas=schemas)
    settings = request.settings
    if settings.tool_choice is not None or settings.parallel_tool_calls is not None:
        settings = _replace(settings, tool_choice=None, parallel_tool_calls=None)
    bare = _replace(request, tools=(), tool_choice=None, settings=settings, tool_mode=mode)
    if mode == "constrained":
        return _constrained_plan(bare, request.tools, offered, choice, schemas=schemas)
    if mode == "text" and answers_after_tools and (offered or has_calls(bare.messages)):
        return _small_text_plan(bare, request.tools, offered, choice, schemas=schemas)
    if mode == "text":
        return _text_plan(bare, offered, choice, dialect(), schemas=schemas)
    seen = has_calls(bare.messages)
    if not native_history:
        bare = _replace(bare, messages=_told(bare.messages, dialect()))
    return _without_tools(bare, schemas=schemas, seen=seen)


def _native(request: ModelRequest, offered: tuple[ToolDefinition, ...], *, schemas: bool) -> Plan:
    tools, choice = request.tools, request.tool_choice
    if not offered and choice != "none":
        tools, choice = (), None
    sent = _replace(request, tools=tools, tool_choice=choice, tool_mode="native")
    if not offered:
        return _without_tools(sent, schemas=schemas, seen=has_calls(sent.messages))
    return Plan(_with_output(sent, schemas=schemas), partial(TextReader, offered))


def _constrained_plan(
    bare: ModelRequest,
    tools: tuple[ToolDefinition, ...],
    offered: tuple[ToolDefinition, ...],
    choice: ToolChoice | None,
    *,
    schemas: bool,
) -> Plan:
    """Asks for one object, and tells the history in the same form.

    An answer that may call nothing after calls were made is asked for in that form too: as plain text small models would
    write another call. And where the tools stay told, the prompt begins as before, so that a prefix cache holds.
    """
    seen = has_calls(bare.messages)
    if not offered and not (seen and schemas):
        if seen:
            plain = plain_history(bare.messages, _constrained.call_text, _constrained.result_text)
            bare = _replace(bare, messages=plain)
        return _without_tools(bare, schemas=schemas, seen=seen)
    none = _constrained.none_of(tools)
    messages = plain_history(
        bare.messages,
        _constrained.call_text,
        _constrained.result_text,
        lambda text: _constrained.reply_text(text, none),
        asked=_constrained.asked_text,
    )
    if offered or (tools and choice != "none"):
        messages = with_opening(messages, _constrained.describe(tools, choice), _constrained.examples(tools))
    else:
        messages = with_system(messages, _constrained.describe_reply(none))
    reply = bare.output_schema
    schema = _constrained.schema(offered, choice, reply) if offered else _constrained.reply_schema(none, reply)
    sent = _replace(bare, messages=messages, output_schema=schema, output_name="answer")
    keep = bool(offered)
    return Plan(
        sent,
        lambda: ConstrainedReader(TextReader(tools, keep=keep), none=none, reply_json=reply is not None, keep=keep),
        calls_by_schema=True,
    )


def _text_plan(
    bare: ModelRequest,
    offered: tuple[ToolDefinition, ...],
    choice: ToolChoice | None,
    dialect: Dialect,
    *,
    schemas: bool,
) -> Plan:
    messages = _told(bare.messages, dialect)
    if not offered:
        plain = _replace(bare, messages=messages)
        return _without_tools(plain, schemas=schemas, seen=has_calls(bare.messages), dialect=dialect.name)
    messages = with_system(messages, _text_calling.describe(dialect, offered, choice))
    # Held to a schema, the model could not write a call: the schema is told in words.
    sent = _with_output(_replace(bare, messages=messages), schemas=False)
    return Plan(sent, lambda: TextReader(offered, dialect=dialect.name))


def _small_text_plan(
    bare: ModelRequest,
    tools: tuple[ToolDefinition, ...],
    offered: tuple[ToolDefinition, ...],
    choice: ToolChoice | None,
    *,
    schemas: bool,
) -> Plan:
    """The text mode of a small model; a call that it writes where it was to answer is dropped."""
    if not offered:
        sent = _with_output(_replace(bare, messages=_small_text.answered(bare.messages)), schemas=schemas)
        return Plan(sent, lambda: TextReader(tools, keep=False))
    sent = _with_output(_replace(bare, messages=_small_text.asked(bare.messages, offered, choice)), schemas=False)
    return Plan(sent, lambda: TextReader(offered))


def _without_tools(sent: ModelRequest, *, schemas: bool, seen: bool, dialect: str = "auto") -> Plan:
    """An answer that may call nothing. A model that has `seen` calls may write one all the same: it is dropped."""
    declared = sent.tools
    if sent.output_schema is not None or not (declared or seen):
        return Plan(_with_output(sent, schemas=schemas), PlainReader)
    if sent.tool_mode == "constrained":
        return Plan(sent, lambda: ConstrainedReader(TextReader(declared, keep=False), keep=False))
    return Plan(sent, lambda: TextReader(declared, keep=False, dialect=dialect))


def _with_output(sent: ModelRequest, *, schemas: bool) -> ModelRequest:
    """The schema of the output, told in words to a model that cannot be held to it."""
    if schemas or sent.output_schema is None:
        return sent
    told = with_system(sent.messages, _text_calling.describe_output(sent.output_schema))
    return _replace(sent, messages=told, output_schema=None)


def _told(messages: tuple[Message, ...], dialect: Dialect) -> tuple[Message, ...]:
    if not has_calls(messages):
        return messages
    return plain_history(messages, _text_calling.say_call(dialect), dialect.show)


def _answerable(messages: tuple[Message, ...], choice: ToolChoice | None) -> bool:
    """Whether the last thing said is a tool's result that an answer can be made from.

    After a failed call the model may try once more; a call that is demanded is asked for in any case.
    """
    if choice not in (None, "auto") or not messages or messages[-1].role != "tool":
        return False
    rounds = 0
    for message in reversed(messages):
        if message.role == "user":
            break
        if message.role == "tool":
            rounds += 1
            if not all(r.is_error for r in message.tool_results):
                return True
    return rounds >= _constrained.ROUNDS_AFTER_FAILURE


def _check(request: ModelRequest, choice: ToolChoice | None) -> None:
    if isinstance(choice, dict) and all(t.name != choice["tool"] for t in request.tools):
        names = ", ".join(repr(t.name) for t in request.tools) or "none"
        raise InvalidInputError(
            f"tool_choice asks for {choice['tool']!r}, but the request declares {names}: name one of its tools"
        )
