"""A cursor over marked-up text that may still be growing, and what the dialects of tags share."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from lumosai.dialects._json import space
from lumosai.dialects.base import NO, Found, More, No, Verdict
from lumosai.records import ToolDefinition

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lumosai.messages import ToolCallPart

_NAME_CHARS = 256
_UNKNOWN = "\ufffd"
_ATTRIBUTE = re.compile(r"""\s*([\w:-]+)\s*=\s*(?:"([^"<>]*)"|'([^'<>]*)')""")
_BARE = re.compile(r"[\w.:/-]+")
_ENTITY = re.compile(r"&(lt|gt|amp|quot|apos|#\d{1,7}|#x[0-9a-fA-F]{1,6});")


class CutError(Exception):
    """The text ends before what was begun does.

    Args:
        until: characters of which one must come before more can be told.
    """

    def __init__(self, until: str = "") -> None:
        super().__init__(until)
        self.until = until


class BrokenError(Exception):
    """What stands here is no call, though it began as one."""


class OtherError(Exception):
    """What stands here is something else than this format."""


class Cursor:
    """A place in a text, and the steps to go on from it. Each raises `CutError` where the text ends too soon to tell."""

    __slots__ = ("at", "final", "text")

    def __init__(self, text: str, *, final: bool) -> None:
        self.text = text
        self.final = final
        self.at = 0

    @property
    def ended(self) -> bool:
        """Whether no text is left."""
        return self.at >= len(self.text)

    def blank(self) -> None:
        """Passes by blank space."""
        self.at = space(self.text, self.at)

    def sees(self, marker: str) -> bool:
        """Whether the marker stands here."""
        return self.sees_at(marker, self.at)

    def sees_at(self, marker: str, at: int) -> bool:
        """Whether the marker stands there."""
        if self.text.startswith(marker, at):
            return True
        if len(self.text) - at < len(marker) and marker.startswith(self.text[at:]):
            raise CutError
        return False

    def take(self, marker: str) -> bool:
        """Passes by the marker, if it stands here."""
        found = self.sees(marker)
        if found:
            self.at += len(marker)
        return found

    def need(self, marker: str) -> None:
        """Passes by the marker, which must stand here."""
        if not self.take(marker):
            raise BrokenError

    def up_to(self, *markers: str) -> str:
        """The short text on this line before the first of these markers."""
        ends = [self.text.find(m, self.at, self.at + _NAME_CHARS) for m in markers]
        end = min((e for e in ends if e >= 0), default=-1)
        text = self.text[self.at : end if end >= 0 else self.at + _NAME_CHARS]
        if "\n" in text.strip() or (end < 0 and len(text) == _NAME_CHARS):
            raise BrokenError
        if end < 0:
            raise CutError(">")
        self.at = end
        return text.strip()

    def tag(self, opening: str) -> str:
        """What the start tag that begins with `opening` names: `<f=NAME>`, or by attribute `<f name="NAME">`."""
        self.at += len(opening)
        named = self.up_to(">")
        self.at += 1
        if opening[-1] == "=" and "name" not in opening:
            name = named.strip("\"'").strip()
        else:
            bare = opening.endswith("name=") and _BARE.fullmatch(named)
            name = bare[0] if bare else _name_of(f"{'name=' if opening.endswith('name=') else ''}{named}")
        if not name or "<" in name:
            raise BrokenError
        return name


def _name_of(text: str) -> str:
    return attributes(text).get("name", "").strip()


def attributes(text: str) -> dict[str, str]:
    """The attributes of a start tag; none where they are not well written."""
    found: dict[str, str] = {}
    at = 0
    while match := _ATTRIBUTE.match(text, at):
        found[match[1]] = match[2] if match[2] is not None else match[3]
        at = match.end()
    return found if not text[at:].strip(" \t/") else {}


def unescaped(text: str) -> str:
    """The text with XML's entities resolved, if all that look so are some; else as it is."""
    if "&" not in text or len(_ENTITY.findall(text)) != text.count("&"):
        return text
    return _ENTITY.sub(lambda m: _character(m[1]), text)


def _character(entity: str) -> str:
    named = {"lt": "<", "gt": ">", "amp": "&", "quot": '"', "apos": "'"}.get(entity)
    if named:
        return named
    try:
        char = chr(int(f"0{entity[1:]}", 0) if entity[1] == "x" else int(entity[1:]))
    except ValueError:  # beyond the last character
        return _UNKNOWN
    return _UNKNOWN if char == "\0" or "\ud800" <= char <= "\udfff" else char


def settle(read: Callable[[Cursor], Found], text: str, failed: No, *, final: bool) -> Verdict:
    """What `read` finds at the start of the text, as a verdict; `failed` where it went wrong."""
    try:
        return read(Cursor(text, final=final))
    except CutError as cut:
        return failed if final else More(cut.until)
    except BrokenError:
        return failed
    except OtherError:
        return NO


def sure(
    text: str, call: ToolCallPart, dialect: str, read: Callable[[str, Mapping[str, ToolDefinition]], Verdict]
) -> str:
    """A call's text, if it is read back as that call where the tool's parameters have their types declared.

    Raises:
        ValueError: it would be read as something else, as the format has no way to write such arguments.
    """
    found = read(text, {call.name: _declared(call)})
    if isinstance(found, Found) and found.end == len(text) and found.calls == (call,):
        return text
    raise ValueError(
        f"the call of {call.name!r} cannot be written in the dialect {dialect!r}: its name, a parameter's name or a value "
        "holds the format's own markup, for which it has no escape; take a dialect that writes JSON, such as 'hermes'"
    )


def _declared(call: ToolCallPart) -> ToolDefinition:
    properties = {key: {"type": _type(value)} for key, value in (call.arguments or {}).items()}
    return ToolDefinition(call.name, "", {"type": "object", "properties": properties})


def _type(value: Any) -> str:
    if isinstance(value, str):
        return "string"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "integer" if isinstance(value, int) else "number"
    return "null" if value is None else "array" if isinstance(value, list) else "object"
