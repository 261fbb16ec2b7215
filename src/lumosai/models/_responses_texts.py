"""The texts in an item of `/responses`, and when two tellings of one are the same."""

from __future__ import annotations

import json
from typing import Any

import msgspec

Key = tuple[str, int]
"""Which text of an item: what kind it is, and its number."""


def refused(item: dict[str, Any]) -> bool:
    """Whether a message is a refusal."""
    return any(p.get("type") == "refusal" for p in pieces(item, "content"))


def texts(item: dict[str, Any]) -> list[tuple[Key, str]]:
    """The texts of a whole message or thought, in order."""
    found: list[tuple[Key, str]] = []
    for field, kind in (("summary", "summary"), ("content", "text")):
        for number, piece in enumerate(pieces(item, field)):
            text = piece.get("refusal") if piece.get("type") == "refusal" else piece.get("text")
            if isinstance(text, str):
                found.append(((kind, number), text))
    return found


def pieces(item: dict[str, Any], field: str) -> list[dict[str, Any]]:
    """The parts of an item's content; text where a list should be is one part of it."""
    given = item.get(field)
    if isinstance(given, str):
        return [{"type": "output_text", "text": given}]
    return [dict(p) for p in given if isinstance(p, dict)] if isinstance(given, list) else []


def word(value: Any) -> str:
    return "" if value is None else str(value)


def argument_text(value: Any) -> str:
    """Arguments as text; a server that sends them as an object means its JSON."""
    if value is None or isinstance(value, str):
        return value or ""
    return msgspec.json.encode(value).decode()


def compact(text: str) -> str:
    """JSON as it is written here; what is none, as it is."""
    try:
        return msgspec.json.encode(msgspec.json.decode(text)).decode()
    except (msgspec.DecodeError, RecursionError):
        return text


def same_text(one: str, other: str) -> bool:
    return one == other or "".join(one.split()) == "".join(other.split())


def same_json(one: str, other: str) -> bool:
    try:
        return bool(msgspec.json.decode(one) == msgspec.json.decode(other))
    except msgspec.DecodeError:
        return False


def escaped(text: str) -> str:
    """Text as it stands inside of a JSON string."""
    return json.dumps(text)[1:-1]
