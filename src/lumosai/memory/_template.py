"""Markdown templates of working memory: which facts they ask for, and how they look when some are known."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_HEADING: Final = re.compile(r"\s{0,3}#{1,6}\s+(.+?)\s*#*\s*$")
_FIELD: Final = re.compile(
    r"(\s*(?:[-*+]\s+)?)(\*\*|__)?([^:：*_\n][^:：\n]*?)\s*(\*\*|__)?\s*[:：]\s*(\*\*|__)?\s*(.*)$"
)


class Template:
    """A Markdown text with fields, such as `- **Name**:`; what stands behind the colon says what is wanted.

    A heading without fields below it is one itself, for text. Where two fields have one name, the second is called by
    its heading and name.

    Attributes:
        text: the template.
        names: the fields, in order.
    """

    __slots__ = ("_lines", "names", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self._lines = tuple(_read(text))
        self.names = tuple([name for _, name, _ in self._lines if name])

    def filled(self, facts: Mapping[str, Any]) -> str:
        """The template with what is known; facts that it does not ask for stand below it."""
        lines: list[str] = []
        for line, name, heading in self._lines:
            value = facts.get(name) if name else None
            if value is None:
                lines.append(line)
            elif heading:
                lines += [line, _plain(value)]
            else:
                lines.append(f"{line.rstrip()} {_in_line(value)}")
        more = {k: v for k, v in facts.items() if k not in self.names}
        if more:
            lines += ["", *[f"- {_in_line(k)}: {_in_line(v)}" for k, v in more.items()]]
        return "\n".join(lines).strip()


def _read(text: str) -> Iterator[tuple[str, str, bool]]:
    """Each line without what is wanted, the field in it or "", and whether it is a heading."""
    lines = text.strip("\n").split("\n")
    taken: set[str] = set()
    section = ""
    for number, line in enumerate(lines):
        heading, field = _HEADING.match(line), _FIELD.match(line)
        if heading is not None:
            section = heading[1].strip("*_ ")
            alone = not any(_FIELD.match(below) for below in _below(lines[number + 1 :]))
            name = _free(section, "", taken) if alone and not _has_sections(lines[number + 1 :], line) else ""
            yield line, name, True
        elif field is not None:
            name = _free(field[3].strip("*_ "), section, taken)
            yield line[: len(line) - len(field[6])] if field[6] else line, name, False
        else:
            yield line, "", False


def _below(lines: list[str]) -> Iterator[str]:
    """The lines up to the next heading."""
    for line in lines:
        if _HEADING.match(line):
            return
        yield line


def _has_sections(lines: list[str], heading: str) -> bool:
    """Whether a deeper heading comes first: then this one only groups."""
    following = next((line for line in lines if _HEADING.match(line)), "")
    return following.lstrip().count("#", 0, 6) > heading.lstrip().count("#", 0, 6)


def _free(name: str, section: str, taken: set[str]) -> str:
    name = name.replace(".", "")
    if name in taken and section:
        name = f"{section} {name}".replace(".", "")
    if name in taken:
        return ""
    taken.add(name)
    return name


def _in_line(value: Any) -> str:
    """A value on the line of its field, which it cannot leave."""
    text = _plain(value)
    return text if text.splitlines() in ([], [text]) else msgspec.json.encode(text).decode()


def _plain(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list) and all(isinstance(v, str) for v in value):
        return "; ".join(value)
    return msgspec.json.encode(value).decode()
