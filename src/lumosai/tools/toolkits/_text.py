"""Text for a model: bytes read in whichever encoding they have, near matches of a name, and cuts that say they are cuts."""

from __future__ import annotations

import codecs
from typing import TYPE_CHECKING

from lumosai.tools.base import near

if TYPE_CHECKING:
    from collections.abc import Iterable

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_CONTROLS = frozenset(range(32)) - {7, 8, 9, 10, 11, 12, 13, 27}


def decode(data: bytes) -> tuple[str, str] | None:
    """The text of `data` and the name of its encoding; None where it is not text.

    UTF-8 and text with a byte order mark are certain. Of what else has no control characters, GB 18030 is taken where its
    bytes come in pairs as Chinese does, else Latin-1.
    """
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return _strict(data, encoding)
    if any(byte in _CONTROLS for byte in data[:8192]) or 0 in data:
        return None
    return _strict(data, "utf-8") or _chinese(data) or (data.decode("latin-1"), "latin-1")


def _strict(data: bytes, encoding: str) -> tuple[str, str] | None:
    try:
        return data.decode(encoding), encoding
    except UnicodeDecodeError:
        return None


def _chinese(data: bytes) -> tuple[str, str] | None:
    found = _strict(data, "gb18030")
    if found is None:
        return None
    wide = sum(not char.isascii() for char in found[0])
    high = sum(byte > 0x7F for byte in data)  # noqa: PLR2004  # the last ASCII code
    # A Western letter stands alone among ASCII; a Chinese one is two high bytes.
    return found if high >= 1.8 * wide else None


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """` Did you mean 'x' or 'y'?` for the known names that look like `name`, else an empty text."""
    found = near(name, known)
    return f" Did you mean {' or '.join(map(repr, found))}?" if found else ""


def cut(text: str, limit: int, hint: str = "") -> str:
    """`text`, at most `limit` characters of it and then how much is missing and, in `hint`, how to see it."""
    if len(text) <= limit:
        return text
    return f"{text[:limit]}\n[cut: {len(text) - limit} more characters{'; ' + hint if hint else ''}]"
