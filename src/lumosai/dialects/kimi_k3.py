"""Kimi K3: elements between tokens, `<|open|>NAME ATTRIBUTES<|sep|>…<|close|>NAME<|sep|>`.

    <|open|>think<|sep|>THOUGHT<|close|>think<|sep|><|open|>response<|sep|>ANSWER<|close|>response<|sep|>
    <|open|>tools<|sep|><|open|>call tool="NAME" index="1"<|sep|>
    <|open|>argument key="KEY" type="string"<|sep|>VALUE<|close|>argument<|sep|><|close|>call<|sep|><|close|>tools<|sep|>

A thought is not shown. The form is that of the model's own encoder (moonshotai/Kimi-K3, encoding_k3.py).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from lumosai.dialects._calls import call as new_call
from lumosai.dialects._describe import signatures
from lumosai.dialects._json import write
from lumosai.dialects._scan import CutError, NotOneError, Scanner, judged
from lumosai.dialects._sections import HEADER
from lumosai.dialects._tags import sure
from lumosai.dialects._typed import tagged
from lumosai.dialects.base import Found

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lumosai.dialects.base import Verdict
    from lumosai.messages import ToolCallPart, ToolResultPart
    from lumosai.records import ToolDefinition

_OPEN, _CLOSE, _SEP = "<|open|>", "<|close|>", "<|sep|>"
_TOOLS_END = f"{_CLOSE}tools{_SEP}"
_MESSAGE_END = "<|end_of_msg|>"
_SHOWN = ("response", "message")
_PARTS = (*_SHOWN, "think", "tools")
_ATTRIBUTE = re.compile(r'\s*([\w-]+)\s*=\s*"([^"]*)"')
_TYPES = {str: "string", bool: "boolean", int: "number", float: "number", list: "array", dict: "object"}


class KimiK3:
    """Calls in an element of tools; the marks of the other elements are not shown."""

    name = "kimi-k3"
    marked = True
    control = True
    aliases = ("kimi", "kimi <|tool_calls_section_begin|>")

    def openers(self, tools: Mapping[str, ToolDefinition]) -> tuple[str, ...]:  # noqa: ARG002 - has its own markers
        """What begins an element and what ends one."""
        return (_OPEN, _CLOSE, _MESSAGE_END)

    def describe(self, tools: Sequence[ToolDefinition]) -> str:
        """The tools and the form."""
        form = _written("TOOL", _argument("PARAMETER", "VALUE"))
        return (
            f"Tools:\n{signatures(tools)}\n\n"
            f"To call a tool, answer with:\n{form}\n"
            'Text as it is, with type="string"; all else as JSON, with its own type.'
        )

    def encode(self, call: ToolCallPart) -> str:
        """The call in an element of its own; arguments that were no JSON in their own words.

        Raises:
            ValueError: a name or value holds the format's own marks, which it cannot escape.
        """
        if call.arguments is None:
            return _written(call.name, call.raw or "")
        text = _written(call.name, "".join(_argument(k, v) for k, v in call.arguments.items()))
        return sure(text, call, self.name, lambda text, tools: self.recognise(text, tools, final=True))

    def show(self, result: ToolResultPart) -> str:
        """The result as a message of the tool's, which its text cannot end."""
        text = result.text.replace("<|", "< |")
        said = f"{'Error: ' if result.is_error else ''}{text}"
        return f'{_OPEN}message role="tool" tool="{_escaped(result.name)}" index="1"{_SEP}{said}{_CLOSE}message{_SEP}'

    def recognise(self, text: str, tools: Mapping[str, ToolDefinition], *, final: bool) -> Verdict:
        """The calls or the thought that begin here, or the mark of another element."""
        return judged(lambda s: _read(s, tools), text, final=final)


def _written(name: str, inner: str) -> str:
    call = f'{_OPEN}call tool="{_escaped(name)}" index="1"{_SEP}{inner}{_CLOSE}call{_SEP}'
    return f"{_OPEN}tools{_SEP}{call}{_TOOLS_END}"


def _argument(key: str, value: Any) -> str:
    text = value if isinstance(value, str) else write(value)
    kind = _TYPES.get(type(value), "null")
    return f'{_OPEN}argument key="{_escaped(key)}" type="{kind}"{_SEP}{text}{_CLOSE}argument{_SEP}'


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace('"', "&quot;")


def _unescaped(text: str) -> str:
    return text.replace("&quot;", '"').replace("&amp;", "&")


def _read(s: Scanner, tools: Mapping[str, ToolDefinition]) -> Found:
    if s.take(_MESSAGE_END):
        return Found(s.at, (), opens=True)
    if s.see(_CLOSE):
        if not _closes(s, *_PARTS):
            raise NotOneError
        return Found(s.at, (), opens=True)
    name = _start(s)[0]
    if name in _SHOWN:
        return Found(s.at, (), opens=True)
    if name == "think":
        return _thought(s)
    if name != "tools":
        raise NotOneError
    return _calls(s, tools)


def _start(s: Scanner) -> tuple[str, dict[str, str]]:
    """The name and the attributes of the element whose mark stands here, which is passed."""
    s.need(_OPEN)
    written = s.before(_SEP, _OPEN, _CLOSE, most=HEADER)
    s.need(_SEP)
    name, _, rest = written.strip().partition(" ")
    attributes: dict[str, str] = {}
    at = 0
    while found := _ATTRIBUTE.match(rest, at):
        attributes[found[1]] = _unescaped(found[2])
        at = found.end()
    if rest[at:].strip():
        raise NotOneError
    return name, attributes


def _closes(s: Scanner, *names: str) -> str:
    """Which of these elements ends here; "" where none does."""
    start = s.at
    if not s.take(_CLOSE):
        return ""
    s.blank()
    name = s.take(*names)
    s.blank()
    if name and s.take(_SEP):
        return name
    s.at = start
    return ""


def _thought(s: Scanner) -> Found:
    """A thought, which another element or the end of the answer ends as well."""
    while True:
        try:
            mark = s.find(_CLOSE, _OPEN)
        except CutError:
            if not s.final:
                raise
            return Found(len(s.text), (), opens=True)
        if _closes(s, "think") or _begins(s):
            return Found(s.at, (), opens=True)
        s.at += len(mark)


def _begins(s: Scanner) -> bool:
    """Whether another part of the message begins here, which is left."""
    start = s.at
    begins = bool(s.take(_OPEN))
    if begins:
        s.blank()
        begins = bool(s.take("response", "tools"))
        s.blank()
        begins = begins and bool(s.take(_SEP))
    s.at = start
    return begins


def _calls(s: Scanner, tools: Mapping[str, ToolDefinition]) -> Found:
    """The calls up to the end of their element; one that is broken does not count, and the others do."""
    calls: list[ToolCallPart] = []
    while True:
        s.blank()
        if s.ended(_TOOLS_END) or _closes(s, "tools"):
            break
        if not s.see(_OPEN):
            raise NotOneError(_TOOLS_END)
        start = s.at
        try:
            calls.append(_call(s, tools))
        except NotOneError:
            s.at = start
            if not _pass_call(s):
                break
        except CutError:
            if not s.final:
                raise
            s.at = len(s.text)
            break
    if not calls:
        raise NotOneError(_TOOLS_END)
    return Found(s.at, tuple(calls), opens=True)


def _pass_call(s: Scanner) -> bool:
    """Passes what is left of a broken call. Whether the text goes on behind it."""
    while True:
        try:
            s.find(_CLOSE)
        except CutError:
            if not s.final:
                raise
            s.at = len(s.text)
            return False
        if _closes(s, "call"):
            return True
        start = s.at
        if _closes(s, "tools"):
            s.at = start
            return True
        s.at += len(_CLOSE)


def _call(s: Scanner, tools: Mapping[str, ToolDefinition]) -> ToolCallPart:
    kind, about = _start(s)
    name = about.get("tool", "").strip()
    if kind != "call" or not name:
        raise NotOneError
    tool = tools.get(name)
    arguments: dict[str, Any] = {}
    s.blank()
    while not _closes(s, "call"):
        kind, about = _start(s)
        key = about.get("key", "")
        if kind != "argument" or not key:
            raise NotOneError
        value = tagged(_text(s), tool, key, is_text=about.get("type", "string") == "string")
        if arguments.setdefault(key, value) != value:
            raise NotOneError
        s.blank()
    return new_call(name, arguments)


def _text(s: Scanner) -> str:
    """The text up to an end that the format goes on behind, which is passed."""
    start = s.at
    while True:
        s.find(_CLOSE)
        end = s.at
        if _closes(s, "argument"):
            behind = s.at
            s.blank()
            if s.at == len(s.text) and not s.final:
                raise CutError
            if s.see(_OPEN, _CLOSE):
                s.at = behind
                return s.text[start:end]
        s.at = max(s.at, end + len(_CLOSE))
