"""Where each key of a TOML document stands: its path and its line.

The standard library's parser gives values without positions. This scan runs *after* that parser accepted the text, so
it only has to find its way through a valid document: it knows strings, comments, brackets and keys, and leaves numbers,
dates and escapes to the parser.
"""

from __future__ import annotations

import re
import tomllib
from bisect import bisect_left

Path = tuple[str | int, ...]
"""Keys and list positions from the document's root, such as ("agents", "a", "tools", 0)."""

_BLANK = re.compile(r"(?:[ \t\n]|#[^\n]*)*")
_SPACE = re.compile(r"[ \t]*")
_STRING = re.compile(
    r'"""(?:[^"\\]++|\\.|"{1,2}(?!"))*"{3,5}'
    r"|'''(?:[^']++|'{1,2}(?!'))*'{3,5}"
    r'|"(?:[^"\\\n]++|\\.)*"'
    r"|'[^'\n]*'",
    re.DOTALL,
)
_BARE_KEY = re.compile(r"[^\s.=\]\"'#]+")
_BARE_VALUE = re.compile(r"[^,\]}\n#]+")


def toml_lines(text: str) -> dict[Path, int]:
    """The line, from 1, at which each key and list item of a valid TOML document is written.

    A table's line is that of its first header, or of the first key that implies it.
    """
    return _Scan(text.replace("\r\n", "\n")).run()


class _Scan:
    """One pass over a document."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.breaks = [m.start() for m in re.finditer("\n", text)]
        self.lines: dict[Path, int] = {}
        self.counts: dict[Path, int] = {}
        """How many tables each array of tables has so far."""

    def run(self) -> dict[Path, int]:
        base: Path = ()
        while self._skip(_BLANK):
            if self.text[self.at] == "[":
                base = self._header()
            else:
                self._pair(base)
        return self.lines

    def _skip(self, pattern: re.Pattern[str]) -> bool:
        """Moves past what the pattern matches; whether there is more text."""
        match = pattern.match(self.text, self.at)
        if match is not None:
            self.at = match.end()
        return self.at < len(self.text)

    def _note(self, path: Path, offset: int) -> None:
        self.lines.setdefault(path, bisect_left(self.breaks, offset) + 1)

    def _header(self) -> Path:
        """`[a.b]` or `[[a.b]]`: the path that the keys after it begin with."""
        array = self.text.startswith("[[", self.at)
        start = self.at
        self.at += 2 if array else 1
        names = self._key()
        self.at += 2 if array else 1
        path: Path = ()
        for i, name in enumerate(names):
            path = (*path, name)
            last = i == len(names) - 1
            self._note(path, start)
            if array and last:
                self.counts[path] = self.counts.get(path, 0) + 1
            if path in self.counts:
                path = (*path, self.counts[path] - 1)
                self._note(path, start)
        return path

    def _pair(self, base: Path) -> None:
        """`key = value`, the key perhaps dotted."""
        start = self.at
        path = base
        for name in self._key():
            path = (*path, name)
            self._note(path, start)
        self.at += 1  # the equals sign
        self._value(path)

    def _key(self) -> list[str]:
        """The parts of a dotted key; stands at the `=` or `]` behind it afterwards."""
        names: list[str] = []
        while True:
            self._skip(_SPACE)
            match = _STRING.match(self.text, self.at)
            if match is not None:
                names.append(tomllib.loads(f"k = {match[0]}")["k"])
            else:
                match = _BARE_KEY.match(self.text, self.at)
                assert match is not None, "the parser accepted this key"  # noqa: S101  # the caller parsed it first
                names.append(match[0])
            self.at = match.end()
            self._skip(_SPACE)
            if self.text[self.at] != ".":
                return names
            self.at += 1

    def _value(self, path: Path) -> None:
        self._skip(_SPACE)
        opening = self.text[self.at]
        if opening == "[":
            self._array(path)
        elif opening == "{":
            self._inline_table(path)
        elif opening in "\"'":
            self._skip(_STRING)
        else:
            self._skip(_BARE_VALUE)

    def _array(self, path: Path) -> None:
        self.at += 1
        index = 0
        while self._skip(_BLANK) and self.text[self.at] != "]":
            self._note((*path, index), self.at)
            self._value((*path, index))
            index += 1
            self._comma()
        self.at += 1

    def _inline_table(self, path: Path) -> None:
        self.at += 1
        while self._skip(_BLANK) and self.text[self.at] != "}":
            self._pair(path)
            self._comma()
        self.at += 1

    def _comma(self) -> None:
        self._skip(_BLANK)
        if self.text[self.at] == ",":
            self.at += 1
