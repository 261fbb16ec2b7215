"""The texts of a call of `embed`, checked, and cut into requests."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from lumosai.errors import InvalidInputError
from lumosai.messages import scrub

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


def checked(texts: Sequence[str], prefix: str = "") -> list[str]:
    """The texts as they are sent, `prefix` before each; no lone surrogates, and no NUL, which some engines stop at.

    Raises:
        InvalidInputError: one is blank or no text, or a single text was given where several are meant.
    """
    if isinstance(texts, str):
        msg = "embed takes a sequence of texts, not one text: write embed([text])"
        raise InvalidInputError(msg)
    found = []
    for index, text in enumerate(texts):
        if not isinstance(cast("object", text), str):
            msg = f"texts[{index}] is of type {type(text).__name__!r}: only text can be embedded"
            raise InvalidInputError(msg)
        if not text.strip("\0 \t\r\n\f\v\u3000\u200b\ufeff"):
            msg = f"texts[{index}] is blank ({text[:20]!r}): a vector of nothing means nothing, so leave it out"
            raise InvalidInputError(msg)
        found.append(prefix + scrub(text).replace("\0", " "))
    return found


def batches(texts: Sequence[str], *, most: int, most_bytes: int) -> Iterator[tuple[int, list[str]]]:
    """The texts in groups, each with the index of its first.

    Args:
        texts: what is sent.
        most: texts in a group, at most.
        most_bytes: bytes of UTF-8 in a group, at most; a text that has more stands alone.
    """
    start, size = 0, 0
    group: list[str] = []
    for index, text in enumerate(texts):
        length = len(text) if text.isascii() else len(text.encode())
        if group and (len(group) == most or size + length > most_bytes):
            yield start, group
            start, size, group = index, 0, []
        group.append(text)
        size += length
    if group:
        yield start, group
