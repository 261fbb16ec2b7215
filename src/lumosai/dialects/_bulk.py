"""Whole lines in which nothing can begin, passed by in one search: most of what models write.

A line is one if it begins with no opener and no structure that matters, and all that is opened in it (inline code, a
quotation, a bracket) is closed in it again. What `DialectParser` makes of such lines one by one is what it makes of them
together; `_inline` says what opens and closes.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lumosai.dialects._inline import NO_QUOTE

if TYPE_CHECKING:
    from collections.abc import Iterable

_CALM = r'[^\n`"“「『{}\[\]\\<>]'
_ARROW = ">(?!>>)"
_STRUCTURE = r"[ \t\r\f\v`~>|*+:0-9\-]"
_RULE = r"[-:| \t\r]*\n"
_MARK = r"(?:[-*+]|\d{1,9}[.)])[ \t]++(?![`~|:\-\r\n])"
_NOTHING = r"(?!)"


PROSE, LIST = 1, 2
"""The group that matched last says what the last line is."""


def bulk(openers: Iterable[str]) -> re.Pattern[str]:
    """The search where these openers may stand, and the ends of thoughts; with each line go the blank ones behind it."""
    heads = {opener.partition("\n")[0] for opener in openers}
    item = _item(heads)
    begins = f"(?!{_any(heads)})(?!{_STRUCTURE})"
    row = rf"(?=\|)(?!{_RULE})"
    if any(head[:1] == "|" for head in heads):
        row = _NOTHING
    mark = _NOTHING if any(re.match(r"[-*+](?:[ \t]|\Z)|[0-9]", head) for head in heads) else _MARK
    return re.compile(rf"(?:(?:{begins}|{row}){item}\n++()|{mark}{item}\n++())++")


def _item(heads: Iterable[str]) -> str:
    """What a line is made of."""
    tag = rf"<(?!{_any((h[1:] for h in heads if h[:1] == '<'), 3)})"
    inner = rf"(?:{_CALM}|{tag}|{_ARROW})*+"
    quote = rf"\"(?:(?=[{re.escape(''.join(sorted(NO_QUOTE)))}])|[^\"\n\\]*+\")"
    pieces = (
        f"{_CALM}++",
        r"(?<!`)`[^`\n]++`(?!`)",
        quote,
        r"“[^”\n\\]*+”",
        r"「[^」\n\\]*+」",
        r"『[^』\n\\]*+』",
        rf"\{{{inner}\}}",
        rf"\[(?!{_any(h[1:] for h in heads if h[:1] == '[' and len(h) > 1)}){inner}\](?!<)",
        r"\}",
        r"\](?!<)",
        tag,
        _ARROW,
    )
    return f"(?:{'|'.join(pieces)})++"


def _any(words: Iterable[str], most: int = 6) -> str:
    """The beginning of one of the words, as a short search: what only begins like one is read on its own as well."""
    begun = sorted({word[:most] for word in words})
    least = [word for place, word in enumerate(begun) if not place or not word.startswith(begun[place - 1])]
    return "|".join(map(re.escape, least)) or _NOTHING
