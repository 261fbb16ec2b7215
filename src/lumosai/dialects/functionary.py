"""Functionary: three ways to write a call, one a generation.

    <|from|>assistant                     v2: each message has a sender and a recipient, "all" being the user
    <|recipient|>NAME
    <|content|>{…}

    >>>NAME                               v3, v3.2: the recipient on a line of its own; the first `>>>` is the prompt's
    {…}

    <function=NAME>{…}</function>         v3.1, and Llama 3.1 for the tools of a user

The forms are those of the prompts that the project tests its models with (MeetKai/functionary).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from lumosai.dialects._alone import line_ends, waiting
from lumosai.dialects._calls import call as new_call
from lumosai.dialects._describe import signatures
from lumosai.dialects._json import arguments_text, space
from lumosai.dialects._lenient import read_block
from lumosai.dialects._scan import NotOneError, Scanner, judged
from lumosai.dialects.base import MORE, NO, Found, More, No

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lumosai.dialects.base import Verdict
    from lumosai.messages import ToolCallPart, ToolResultPart
    from lumosai.records import ToolDefinition

_ALL = "all"
_FROM, _TO, _CONTENT, _STOP = "<|from|>", "<|recipient|>", "<|content|>", "<|stop|>"
_NEXT = ">>>"
_PYTHON = "python"
_FUNCTION, _CLOSE = "<function=", "</function>"
_ENDS = ("<|eom_id|>", "<|eot_id|>")
_NAME_CHARS = 256
_FORBIDDEN = re.compile(r"[\s<>{}]")
_RECIPIENT = re.compile(r"(>>>)?([^\s<>{}]{1,256})[ \t\r]*\n")


class FunctionaryV2:
    """Messages with their recipient."""

    name = "functionary-v2"
    marked = True
    control = True
    aliases = ("functionary", "functionary_v2", "functionary-small-v2", "functionary-medium-v2")

    def openers(self, tools: Mapping[str, ToolDefinition]) -> tuple[str, ...]:
        """The tokens of a message, and what is left of it where the prompt began it."""
        return (_FROM, _TO, _STOP, *(f"{name}\n{_CONTENT}" for name in (_ALL, *tools)))

    def describe(self, tools: Sequence[ToolDefinition]) -> str:
        """The tools and the form."""
        form = _message("TOOL", '{"PARAMETER": VALUE}')
        return f"Tools:\n{signatures(tools)}\n\nTo call a tool, answer with:\n{form}"

    def encode(self, call: ToolCallPart) -> str:
        """The call in a message of its own.

        Raises:
            ValueError: the tool's name cannot be written: it holds a blank or a bracket.
        """
        return _message(_written(call.name), arguments_text(call))

    def show(self, result: ToolResultPart) -> str:
        """The result as its tool's message, which its text cannot end."""
        text = result.text.replace("<|", "< |")
        return f"{_FROM}{result.name}\n{_TO}{_ALL}\n{_CONTENT}{'Error: ' if result.is_error else ''}{text}"

    def recognise(self, text: str, tools: Mapping[str, ToolDefinition], *, final: bool) -> Verdict:  # noqa: ARG002
        """The call of the message that begins here; of one to the user, its header or its end."""
        return judged(_read_message, text, final=final)


class FunctionaryV3:
    """The recipient on a line, its arguments below."""

    name = "functionary-v3.2"
    marked = False
    control = True
    aliases = (
        *("functionary", "functionary_v3", "functionary_v3_2", "meetkai-functionary-medium-v3.2"),
        *("functionary-small-v3.2", "chatglm", "glm4_9b", "glm-4-9b-chat"),
    )

    def openers(self, tools: Mapping[str, ToolDefinition]) -> tuple[str, ...]:
        """The arrows, and each tool's name alone on its line; none where there is no tool that could be meant."""
        return (_NEXT, *(f"{name}\n" for name in tools)) if tools else ()

    def describe(self, tools: Sequence[ToolDefinition]) -> str:
        """The tools and the form."""
        form = f'{_NEXT}TOOL\n{{"PARAMETER": VALUE}}'
        return f"Tools:\n{signatures(tools)}\n\nTo call a tool, answer only with these two lines:\n{form}"

    def encode(self, call: ToolCallPart) -> str:
        """The two lines.

        Raises:
            ValueError: the tool's name cannot be written: it holds a blank or a bracket.
        """
        return f"{_NEXT}{_written(call.name)}\n{arguments_text(call)}"

    def show(self, result: ToolResultPart) -> str:
        """The result below its tool's name."""
        return f"{result.name}\n{'Error: ' if result.is_error else ''}{result.text}"

    def recognise(self, text: str, tools: Mapping[str, ToolDefinition], *, final: bool) -> Verdict:
        """The call of the lines that begin here. Without the arrows it counts only if nothing but calls follows."""
        head = _RECIPIENT.match(text)
        if head is None:
            return MORE if "\n" not in text and len(text) <= _NAME_CHARS else NO
        if head[1] and head[2] == _ALL:
            return Found(head.end(), ())
        if head[2] not in tools:
            return NO
        start = space(text, head.end())
        if start < len(text) and text[start] != "{":
            return _code(head[2], text[head.end() :], head.end(), final=final)
        found = _arguments(text, start, final=final)
        if isinstance(found, More | No):
            return found
        arguments, end = found
        return Found(end, (new_call(head[2], arguments),), last=not head[1])


def _arguments(text: str, at: int, *, final: bool) -> tuple[dict[str, Any], int] | More | No:
    """The arguments at `at`, and where their message ends."""
    value = waiting(read_block(text, at)) if at < len(text) else MORE
    if isinstance(value, More | No):
        return value
    end = _message_end(text, value[1], final=final)
    return end if isinstance(end, More | No) else (value[0], end)


def _code(name: str, code: str, at: int, *, final: bool) -> Verdict:
    """Code for a tool that runs some: the rest of the answer, and only where the family is named."""
    if name != _PYTHON:
        return NO
    return Found(at + len(code), (new_call(name, {"code": code}),), named=True) if final else More("\0")


class FunctionaryV31:
    """JSON in an element that is named by its tool."""

    name = "functionary-v3.1"
    marked = True
    control = True
    aliases = (
        *("functionary", "functionary_v3_1", "meetkai-functionary-medium-v3.1", "functionary-small-v3.1"),
        *("llama3", "llama3_json", 'llama3 json {"name","parameters"} / <|python_tag|>'),
    )

    def openers(self, tools: Mapping[str, ToolDefinition]) -> tuple[str, ...]:  # noqa: ARG002 - has its own marker
        """The start tag."""
        return (_FUNCTION,)

    def describe(self, tools: Sequence[ToolDefinition]) -> str:
        """The tools and the form."""
        form = f'{_FUNCTION}TOOL>{{"PARAMETER": VALUE}}{_CLOSE}'
        return f"Tools:\n{signatures(tools)}\n\nTo call a tool, answer with:\n{form}"

    def encode(self, call: ToolCallPart) -> str:
        """The call between its tags.

        Raises:
            ValueError: the tool's name cannot be written: it holds a blank or a bracket.
        """
        return f"{_FUNCTION}{_written(call.name)}>{arguments_text(call)}{_CLOSE}"

    def show(self, result: ToolResultPart) -> str:
        """The result as text."""
        return f"{'Error: ' if result.is_error else ''}{result.text}"

    def recognise(self, text: str, tools: Mapping[str, ToolDefinition], *, final: bool) -> Verdict:  # noqa: ARG002
        """The call of the element that begins here."""
        return judged(_read_element, text, final=final)


def _written(name: str) -> str:
    if _FORBIDDEN.search(name) or not name:
        raise ValueError(f"{name!r} cannot be written in this dialect: a name holds no blank and no bracket")
    return name


def _message(name: str, arguments: str) -> str:
    return f"{_FROM}assistant\n{_TO}{name}\n{_CONTENT}{arguments}{_STOP}"


def _read_message(s: Scanner) -> Found:
    if s.take(_STOP):
        return Found(s.at, ())
    if s.take(_FROM):
        if s.before("\n", most=_NAME_CHARS).strip() != "assistant":
            raise NotOneError(_STOP)  # a result that the model made up
        s.need("\n")
        s.need(_TO)
    else:
        s.take(_TO)
    name = s.before("\n", most=_NAME_CHARS).strip()
    s.need("\n")
    s.need(_CONTENT)
    if name == _ALL:
        return Found(s.at, ())
    if not name or _FORBIDDEN.search(name):
        raise NotOneError
    s.blank()
    if s.at < len(s.text) and s.text[s.at] != "{":
        raise NotOneError
    arguments = s.object_before(_STOP, _FROM)
    if not s.ended(_STOP):
        s.take(_STOP)
    return Found(s.at, (new_call(name, arguments),))


def _read_element(s: Scanner) -> Found:
    s.need(_FUNCTION)
    name = s.before(">", most=_NAME_CHARS).strip()
    s.need(">")
    s.blank()
    if not name or _FORBIDDEN.search(name) or (s.at < len(s.text) and s.text[s.at] != "{"):
        raise NotOneError
    arguments = s.value_before(_CLOSE, until=_CLOSE)
    if not isinstance(arguments, dict):
        raise NotOneError(_CLOSE)
    if not s.ended(_CLOSE):
        s.need(_CLOSE)
    return Found(s.at, (new_call(name, arguments),))


def _message_end(text: str, at: int, *, final: bool) -> int | More | No:
    """Where the message ends whose arguments end at `at`: with its line, before another recipient, behind the turn's end."""
    after = space(text, at)
    for marker in _ENDS:
        if text.startswith(marker, after):
            return after + len(marker)
    ends = line_ends(text, at, final=final)
    if isinstance(ends, More) or ends:
        return at if ends is True else MORE
    if text.startswith(_NEXT, after):
        return at
    return MORE if not final and any(m.startswith(text[after:]) for m in (_NEXT, *_ENDS)) else NO
