"""The fourth form of the Rust Lumosai: 思考, 工具, 参数 and 结果, one a line."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lumosai.dialects._alone import line_ends, waiting
from lumosai.dialects._calls import call as new_call
from lumosai.dialects._describe import signatures
from lumosai.dialects._json import arguments_text
from lumosai.dialects._lenient import read_block
from lumosai.dialects.base import MORE, NO, Found, More, No

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from lumosai.dialects.base import Verdict
    from lumosai.messages import ToolCallPart, ToolResultPart
    from lumosai.records import ToolDefinition

_QUOTES = "'\"`‘’“”「」 \t\r"
_THOUGHT = re.compile(r"思考[ \t]*[:：]([^\n]*)\n\s*")
_CUT_THOUGHT = re.compile(r"思(?:考[ \t]*(?:[:：][^\n]*)?)?")
_TOOL = re.compile(r"工具[ \t]*[:：]([^\n]*)\n\s*")
_CUT_TOOL = re.compile(r"工(?:具[ \t]*(?:[:：]([^\n]*))?)?")
_ARGUMENTS = re.compile(r"参数[ \t]*[:：]\s*(?=\S)")
_CUT_ARGUMENTS = re.compile(r"(?:参(?:数[ \t]*(?:[:：]\s*)?)?)?")
_RESULT = re.compile(r"\s*结果[ \t]*[:：][^\n]*")
_CUT_RESULT = re.compile(r"\s*(?:结(?:果[ \t]*(?:[:：][^\n]*)?)?)?")


class LegacyChinese:
    """思考 (may be left out), 工具, 参数, each with a colon of either width; a 结果 that the model made up is dropped with them."""

    name = "legacy-chinese"
    marked = False
    control = False
    aliases: tuple[str, ...] = ()

    def openers(self, tools: Mapping[str, ToolDefinition]) -> tuple[str, ...]:
        """The first word of the first line."""
        return ("思考", "工具") if tools else ()

    def describe(self, tools: Sequence[ToolDefinition]) -> str:
        """The tools and the form, in Chinese."""
        return (
            f"可用工具：\n{signatures(tools)}\n\n"
            "要使用工具时，只回答以下三行（参数为 JSON）：\n"
            '思考: 为什么需要工具\n工具: 工具名\n参数: {"参数名": 值}'
        )

    def encode(self, call: ToolCallPart) -> str:
        """The two lines that make the call."""
        return f"工具: {call.name}\n参数: {arguments_text(call)}"

    def show(self, result: ToolResultPart) -> str:
        """The fourth line."""
        return f"结果: {'错误: ' if result.is_error else ''}{result.text}"

    def recognise(self, text: str, tools: Mapping[str, ToolDefinition], *, final: bool) -> Verdict:
        """The call of the lines that begin here."""
        head = _head(text, tools)
        if isinstance(head, More | No):
            return head
        name, at = head
        value = waiting(read_block(text, at)) if text[at] == "{" else NO
        if isinstance(value, More | No):
            return value
        arguments, end = value
        ends = line_ends(text, end, final=final)
        if isinstance(ends, More) or not ends:
            return ends or NO
        result = _RESULT.match(text, end)
        if not final and _CUT_RESULT.fullmatch(text, end):
            return MORE
        return Found(result.end() if result else end, (new_call(name, arguments),))


def _head(text: str, names: Iterable[str]) -> tuple[str, int] | More | No:
    """The name and where the arguments begin."""
    at = 0
    if text.startswith("思"):
        thought = _THOUGHT.match(text)
        if thought is None:
            return MORE if _CUT_THOUGHT.fullmatch(text) else NO
        at = thought.end()
        if at == len(text):
            return MORE
    tool = _TOOL.match(text, at)
    if tool is None:
        cut = _CUT_TOOL.fullmatch(text, at)
        begun = (cut[1] or "").strip(_QUOTES) if cut else ""
        return MORE if cut and any(n.startswith(begun) for n in names) else NO
    name = tool[1].strip(_QUOTES)
    arguments = _ARGUMENTS.match(text, tool.end())
    if name not in names or not (arguments or _CUT_ARGUMENTS.fullmatch(text, tool.end())):
        return NO
    return (name, arguments.end()) if arguments else MORE
