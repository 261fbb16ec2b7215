"""A content block as it comes, and as it is sent back."""

from __future__ import annotations

from typing import Any

import msgspec


class Block:
    """One content block.

    Attributes:
        data: as the server began it.
        kind: its type.
        call: which call of the answer it is, -1 where it is none.
        pieces: what was added to its text, thought or input.
        citations: where its text is from.
        signature: a thought's seal.
        half: the first half of a character outside the basic plane, whose second half has not come; "" mostly.
        ended: whether its end came.
    """

    __slots__ = ("call", "citations", "data", "ended", "half", "kind", "pieces", "signature")

    def __init__(self, data: dict[str, Any]) -> None:
        self.data = data
        self.kind = str(data.get("type") or "")
        self.call = -1
        self.pieces: list[str] = []
        citations, signature = data.get("citations"), data.get("signature")
        self.citations: list[Any] = [*citations] if isinstance(citations, list) else []
        self.signature: str | None = signature if isinstance(signature, str) else None
        self.half = ""
        self.ended = False

    @property
    def whole(self) -> dict[str, Any]:
        """The block as it is to be sent back."""
        text = "".join(self.pieces)
        match self.kind:
            case "text":
                return {**self.data, "text": text, **({"citations": self.citations} if self.citations else {})}
            case "thinking":
                return {**self.data, "thinking": text, "signature": self.signature or ""}
            case _ if text and "input" in self.data:
                return {**self.data, "input": _object(text)}
            case _:
                return self.data


def _object(text: str) -> Any:
    """Input as the object that it is to be sent back as."""
    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return {"invalid_json": text}
