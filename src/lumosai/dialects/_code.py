"""Calls written as Python writes them, `name(k=v)`, one or a list of them; nothing is ever evaluated.

What stands between markers may be slightly broken, and its end is known: then a call that cannot be read is passed by and
the others count, and a string with unescaped quotes of its own in it is read where only one reading makes sense.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from lumosai.dialects._calls import call as new_call
from lumosai.dialects._fit import plausible
from lumosai.dialects._json import arguments_text, write
from lumosai.dialects._literal import Arguments, CutLiteralError, Literals, NoLiteralError, unescaped

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lumosai.messages import ToolCallPart
    from lumosai.records import ToolDefinition

NAME = re.compile(r"[^\W\d][\w-]*(?:\.[\w-]+)*")
"""What a tool is called in code: dots may stand in it."""

_CUT_NAME = re.compile(r"[^\W\d][\w.-]*")
_MAX_NAME = 128
_PREFIXES = ("default_api.", "functions.", "tools.")
_SEPARATORS = re.compile(r"[ \t\r]*(?:[,;\n][\s,;]*|\Z)")
_STRINGS = re.compile(r"""\"(?:\\.|[^\"\\])*+\"|'(?:\\.|[^'\\])*+'|[()\"']""", re.DOTALL)
_FOLLOWERS = re.compile(r"\s*(?:[,)\]}:]|\Z)")
_KEY = re.compile(r"[^\W\d][\w-]*")
_MENDABLE = 32_768
_READINGS = 256
_CLOSES = 64


def read_call(literals: Literals, at: int, tools: Mapping[str, ToolDefinition]) -> tuple[ToolCallPart, int]:
    """The call at `at` and where it ends.

    Raises:
        CutLiteralError: the text ends before it can be told.
        NoLiteralError: no call stands there, or one with arguments that are no literals or have no certain place.
    """
    text = literals.text
    found = NAME.match(text, at)
    end = found.end() if found else at
    if end - at > _MAX_NAME:
        raise NoLiteralError
    if end == len(text) or (found and _CUT_NAME.fullmatch(text, at)):
        raise CutLiteralError
    if found is None or text[end] != "(":
        raise NoLiteralError
    name = declared_name(found[0], tools)
    arguments = literals.arguments(end + 1)
    return new_call(name, _by_name(arguments, tools.get(name))), arguments.end


def read_list(literals: Literals, at: int, tools: Mapping[str, ToolDefinition]) -> tuple[list[ToolCallPart], int]:
    """The calls of the list that begins at `at`, and where it ends.

    Raises:
        CutLiteralError: the text ends before it can be told.
        NoLiteralError: no list of whole calls stands there.
    """
    calls: list[ToolCallPart] = []
    if literals.char(at) != "[":
        raise NoLiteralError
    at = literals.space(at + 1)
    while literals.char(at) != "]":
        call, at = read_call(literals, at, tools)
        calls.append(call)
        at = literals.space(at)
        if literals.char(at) == ",":
            at = literals.space(at + 1)
        elif literals.char(at) != "]":
            raise NoLiteralError
    return calls, at + 1


def read_broken(body: str, tools: Mapping[str, ToolDefinition]) -> list[ToolCallPart]:
    """The whole calls in `body`, a list or a sequence that is no more than that; those that are broken are left out."""
    body = body.strip()
    if body.startswith("["):
        body = body[1:].removesuffix("]")
    literals = Literals(body, code=True, lines=True)
    mender = _Mender(body, tools)
    calls: list[ToolCallPart] = []
    at = literals.space(0)
    while at < len(body):
        try:
            call, at = _separate_call(literals, at, tools)
        except (CutLiteralError, NoLiteralError):
            rest = mender.calls(at)
            if rest is not None:
                return [*calls, *rest]
            at = _behind_broken(body, at)
        else:
            calls.append(call)
    return calls


def _separate_call(literals: Literals, at: int, tools: Mapping[str, ToolDefinition]) -> tuple[ToolCallPart, int]:
    """Likewise, if a separator or the end of the text follows, behind which it stops."""
    call, end = read_call(literals, at, tools)
    after = behind_separators(literals.text, end)
    if after == end < len(literals.text):
        raise NoLiteralError
    return call, after


def behind_separators(text: str, at: int) -> int:
    """Where what follows at `at` begins, behind commas, semicolons and line breaks; `at` where none stands there."""
    found = _SEPARATORS.match(text, at)
    return found.end() if found else at


def declared_name(name: str, tools: Mapping[str, ToolDefinition]) -> str:
    """The name without what models put before it as if it were a module's, where only so it is a declared tool's."""
    for prefix in _PREFIXES:
        if name not in tools and name.removeprefix(prefix) in tools:
            return name.removeprefix(prefix)
    return name


def _by_name(arguments: Arguments, tool: ToolDefinition | None) -> dict[str, Any]:
    """The arguments by name. Those without one stand for the first parameters, if all of these are required."""
    if not arguments.placed:
        return arguments.named
    schema = tool.parameters if tool else {}
    properties = schema.get("properties") or {}
    keys = list(properties)[: len(arguments.placed)]
    required = schema.get("required") or ()
    certain = len(keys) == len(arguments.placed) and (len(properties) == 1 or all(k in required for k in keys))
    if not certain or not all(plausible(v, properties[k], schema) for k, v in zip(keys, arguments.placed, strict=True)):
        raise NoLiteralError
    if set(keys) & set(arguments.named):
        raise NoLiteralError
    return {**dict(zip(keys, arguments.placed, strict=True)), **arguments.named}


def _behind_broken(body: str, at: int) -> int:
    """Behind the call at `at`, which cannot be read, and its separator.

    The end where its brackets tell nothing: a quote may stand in a string, and what follows be in that string, too.
    """
    depth = 0
    for token in _STRINGS.finditer(body, at):
        if token[0][0] in "\"'" and (len(token[0]) == 1 or not _FOLLOWERS.match(body, token.end())):
            break
        if token[0] == "(":
            depth += 1
        elif token[0] == ")":
            depth -= 1
            if depth <= 0:
                after = behind_separators(body, token.end())
                return after if after > token.end() else len(body)
    return len(body)


# Strings with unescaped quotes of their own.


class _BrokenStringError(Exception):
    """The first quote that could end the string at `at` cannot."""

    def __init__(self, at: int) -> None:
        super().__init__(at)
        self.at = at


class _Requoted(Literals):
    """Reads strings to the end that was chosen for them; one whose first quote cannot end it has none yet."""

    __slots__ = ("_ends",)

    def __init__(self, text: str, ends: dict[int, int]) -> None:
        super().__init__(text, code=True, lines=True)
        self._ends = ends

    def string(self, at: int) -> tuple[str, int]:
        end = self._ends.get(at)
        if end is not None:
            return unescaped(self.text[at + 1 : end]), end + 1
        value, end = super().string(at)
        if _FOLLOWERS.match(self.text, end) is None:
            raise _BrokenStringError(at)
        return value, end


class _Mender:
    """Reads calls whose strings hold unescaped quotes of their own, with so many attempts for a text."""

    __slots__ = ("_body", "_left", "_tools")

    def __init__(self, body: str, tools: Mapping[str, ToolDefinition]) -> None:
        self._body = body
        self._tools = tools
        self._left = _READINGS if len(body) <= _MENDABLE else 0

    def calls(self, at: int) -> list[ToolCallPart] | None:
        """The calls from `at` to the end, where exactly one choice of the broken strings' ends makes them whole."""
        found: list[list[ToolCallPart]] = []
        open_choices: list[dict[int, int]] = [{}]
        while open_choices and len(found) < 2:  # noqa: PLR2004  # two are too many
            if not self._left:
                return None
            self._left -= 1
            ends = open_choices.pop()
            try:
                found.append(_all_calls(_Requoted(self._body, ends), at, self._tools))
            except _BrokenStringError as broken:
                closes = _closes(self._body, broken.at)
                if len(closes) > _CLOSES:
                    return None
                open_choices += [{**ends, broken.at: end} for end in closes]
            except (CutLiteralError, NoLiteralError):
                continue
        return found[0] if len(found) == 1 else None


def _all_calls(literals: Literals, at: int, tools: Mapping[str, ToolDefinition]) -> list[ToolCallPart]:
    calls: list[ToolCallPart] = []
    while at < len(literals.text):
        call, at = _separate_call(literals, at, tools)
        calls.append(call)
    return calls


def _closes(body: str, at: int) -> list[int]:
    """The quotes that could end the string at `at`, but the first."""
    quote = body[at]
    each = [m.start() for m in re.finditer(rf"(?<!\\){quote}", body[at + 1 :])]
    return [at + 1 + i for i in each[1:] if _FOLLOWERS.match(body, at + 2 + i)]


# Writing.


def written(call: ToolCallPart) -> str:
    """The call as code.

    Raises:
        ValueError: its name, or one of a parameter, cannot be written as code.
    """
    if NAME.fullmatch(call.name) is None:
        raise ValueError(
            f"{call.name!r} cannot be written as code: a name is made of letters, digits, `_`, `-` and `.`"
        )
    if call.arguments is None:
        return f"{call.name}({arguments_text(call)})"
    for key in call.arguments:
        if _KEY.fullmatch(key) is None:
            raise ValueError(
                f"{key!r} cannot be written as code: a parameter's name is made of letters, digits, `_` and `-`"
            )
    return f"{call.name}({', '.join(f'{k}={literal(v)}' for k, v in call.arguments.items())})"


def literal(value: Any) -> str:
    """The value as Python writes it."""
    if value is None or isinstance(value, bool):
        return str(value)
    if isinstance(value, list):
        return f"[{', '.join(map(literal, value))}]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{write(k)}: {literal(v)}" for k, v in value.items()) + "}"
    return write(value)
