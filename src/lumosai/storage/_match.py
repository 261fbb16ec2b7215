"""What a filter means, in Python, and a condition in SQL that holds wherever it does.

The databases differ in letters, collations and JSON, so the condition only narrows down; what counts is decided here, the
same for all. What users search for never becomes SQL: it is a parameter, its wildcards escaped.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from lumosai.messages import TextPart, scrub

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lumosai.messages import Message

_LOWER: Final = {c: c + 32 for c in range(ord("A"), ord("Z") + 1)}
_WILD: Final = str.maketrans({"\\": "\\\\", "%": "\\%", "_": "\\_"})

_LONGEST: Final = 1_000
"""Characters of a pattern; SQLite takes no long ones, and a longer one narrows down no further."""


def lowered(text: str) -> str:
    """`text` with A to Z in lower case, as `LIKE` and `lower` compare in both databases."""
    return text.translate(_LOWER) if text.isascii() is False else text.lower()


def holds_text(message: Message, text: str) -> bool:
    """Whether a text part of the message holds `text`."""
    wanted = lowered(scrub(text))
    return any(type(p) is TextPart and wanted in lowered(p.text) for p in message.parts)


def has(metadata: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Whether the metadata have all these keys with these values; 1, 1.0 and True are three values."""
    return all(k in metadata and msgspec.json.encode(metadata[k]) == msgspec.json.encode(v) for k, v in wanted.items())


def like_text(column: str, text: str) -> tuple[str, tuple[str, ...]]:
    """Holds where JSON in `column` may hold a string that holds `text`."""
    return _like(column, _json(text)[1:-1])


def like_plain(column: str, text: str) -> tuple[str, tuple[str, ...]]:
    """Holds where the plain text in `column` may hold `text`."""
    return _like(column, scrub(text).replace("\0", ""))


def like_keys(column: str, wanted: Mapping[str, Any]) -> tuple[str, tuple[str, ...]]:
    """Holds where JSON in `column` may hold an object with all these keys."""
    conditions: list[str] = []
    parameters: list[str] = []
    for key, value in wanted.items():
        plain = value is None or isinstance(value, str | int | float)  # which JSON spells in one way
        condition, values = _like(column, f"{_json(key)}:{_json(value) if plain else ''}")
        conditions.append(condition)
        parameters += values
    return " AND ".join(conditions), tuple(parameters)


def _like(column: str, text: str) -> tuple[str, tuple[str, ...]]:
    text = text[:_LONGEST]
    return f"{{lower}}({column}{{bytewise}}) LIKE ? ESCAPE '\\'", (f"%{lowered(text).translate(_WILD)}%",)


def _json(value: str | float | None) -> str:
    return msgspec.json.encode(scrub(value) if isinstance(value, str) else value).decode()
