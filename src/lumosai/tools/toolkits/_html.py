"""The text of an HTML page, as a reader sees it: no scripts, no styles, one line a block."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_HIDDEN = frozenset({"script", "style", "template", "svg", "noscript", "iframe", "object", "canvas", "head"})
_BLOCKS = frozenset(
    {
        *("address", "article", "aside", "blockquote", "br", "button", "dd", "details", "div", "dl", "dt", "fieldset"),
        *(
            "figcaption",
            "figure",
            "footer",
            "form",
            "h1",
            "h2",
            "h3",
            "h4",
            "h5",
            "h6",
            "header",
            "hr",
            "li",
            "main",
            "nav",
        ),
        *("ol", "option", "p", "pre", "section", "summary", "table", "tbody", "tfoot", "thead", "title", "tr", "ul"),
    }
)
_CELLS = frozenset({"td", "th"})
_KEPT = "\x00"
_SPACE = re.compile(r"[ \t\r\f\v\u00a0]+")


def text_of(html: str) -> str:
    """The visible text of a page: its title, headings marked with `#`, list items with `-`, cells parted by `|`."""
    reader = _Reader()
    reader.feed(html)
    reader.close()
    return reader.text()


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self.hidden: list[str] = []  # the hidden elements that are open
        self.pre = 0

    def handle_starttag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        if tag == "title":
            self.parts.append("\n# ")
        elif tag == "body":
            # A head that was never closed ends here.
            self.hidden.clear()
        elif tag in _HIDDEN:
            self.hidden.append(tag)
        elif self.hidden:
            return
        elif tag in _BLOCKS:
            self.parts.append("\n" + _mark(tag))
            self.pre += tag == "pre"
        elif tag in _CELLS:
            self.parts.append(" | ")
        elif tag == "img":
            self.parts.append(f" {dict(attrs).get('alt') or ''} ")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in _HIDDEN:
            self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        if tag in self.hidden:
            while self.hidden.pop() != tag:
                pass
        elif tag in _BLOCKS:
            self.parts.append("\n")
            self.pre -= tag == "pre" and self.pre > 0

    def handle_data(self, data: str) -> None:
        if self.lasttag == "title" or not self.hidden:
            # In `pre` spaces count: kept as a sign of ours until the others are folded.
            self.parts.append(
                data.replace(" ", _KEPT).replace("\t", _KEPT * 4) if self.pre else data.replace("\n", " ")
            )

    def text(self) -> str:
        lines = (_SPACE.sub(" ", line).strip(" |") for line in "".join(self.parts).split("\n"))
        return "\n".join(line.replace(_KEPT, " ").rstrip() for line in lines if line.strip("#- " + _KEPT))


def _mark(tag: str) -> str:
    if tag == "li":
        return "- "
    return "#" * int(tag[1]) + " " if tag[0] == "h" and tag[1:].isdigit() else ""
