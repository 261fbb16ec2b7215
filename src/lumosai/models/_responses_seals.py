"""Seals: an item of `/responses`, kept in the signature of the part that stands for it, to be sent back as it came.

A seal is a line of text that names who gave it, so that no other provider, nor the same protocol at another address, is
sent it: ids and encrypted thoughts mean something only where they were made. It is no JSON on purpose: protocols whose
signatures are JSON must not take it for theirs.
"""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from lumosai.models._encoded import encode

OWNER: Final = "openai-responses"
"""Whose the opaque parts of an answer are: the protocol's, whatever the provider's name, which may speak others too."""

_MARK: Final = "responses"
_decode: Final = msgspec.json.Decoder(dict[str, Any]).decode


def home(provider: str, base_url: str) -> str:
    """Who gives seals: a provider at a host."""
    return f"{provider}@{urlsplit(base_url).hostname or ''}"


def seal(at: str, item: dict[str, Any]) -> str:
    """The seal of an item, as given by `at`. Seals may be joined."""
    return f"{_MARK} {at} {encode(item).decode()}\n"


def opened(signature: str | None, at: str) -> list[dict[str, Any]]:
    """The items that a signature seals; none where `at` did not give it."""
    if not signature or not signature.startswith(begin := f"{_MARK} {at} "):
        return []
    lines = [line for line in signature.split("\n") if line]
    if not all(line.startswith(begin) for line in lines):
        return []
    try:
        return [_decode(line[len(begin) :]) for line in lines]
    except (msgspec.DecodeError, RecursionError):
        return []
