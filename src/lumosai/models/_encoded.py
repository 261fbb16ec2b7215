"""JSON bytes for requests: kept for as long as the object lives that they encode.

A long history is not encoded again at every step: a request's body is joined from what is there already.
"""

from __future__ import annotations

import base64
import weakref
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar, cast

import msgspec

from lumosai.models.base import Transcript

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

T = TypeVar("T")

_encode: Final = msgspec.json.Encoder().encode


class _Ref(weakref.ref[T]):
    __slots__ = ("key",)

    key: int


class Encoded(Generic[T]):
    """JSON bytes of objects, by identity, for as long as each object lives."""

    __slots__ = ("_bytes", "_encode", "_refs")

    def __init__(self, encode: Callable[[T], bytes]) -> None:
        self._encode = encode
        self._bytes: dict[int, bytes] = {}
        self._refs: dict[int, _Ref[T]] = {}

    def __len__(self) -> int:
        return len(self._bytes)

    def joined(self, values: Sequence[T]) -> bytes:
        """The bytes of all, joined by commas."""
        if type(values) is Transcript:
            return values.gathered(self, cast("Any", self._more), b"")
        known = self._bytes
        for value in reversed(values):  # what is new stands at the end of a history, mostly
            if id(value) in known:
                break
            self._add(value)
        try:
            return b",".join([known[id(v)] for v in values])
        except KeyError:
            return b",".join([known.get(id(v)) or self._add(v) for v in values])

    def _more(self, before: bytes, values: Sequence[T]) -> bytes:
        """Those bytes, and those of `values` behind them."""
        new = self.joined(values)
        return b",".join((before, new)) if before else new

    def each(self, values: Sequence[T]) -> list[bytes]:
        """The bytes of each."""
        known = self._bytes
        try:
            return [known[id(v)] for v in values]
        except KeyError:
            return [known[id(v)] if id(v) in known else self._add(v) for v in values]

    def _add(self, value: T) -> bytes:
        encoded = self._encode(value)
        ref = _Ref(value, self._drop)
        ref.key = id(value)
        self._refs[ref.key] = ref
        self._bytes[ref.key] = encoded
        return encoded

    def _drop(self, ref: weakref.ref[T]) -> None:
        key = ref.key  # type: ignore[attr-defined]  # every reference made here is a `_Ref`
        self._refs.pop(key, None)
        self._bytes.pop(key, None)


def encode(value: Any) -> bytes:
    """JSON bytes; half a surrogate pair, which UTF-8 cannot hold, becomes U+FFFD."""
    try:
        return _encode(value)
    except UnicodeEncodeError:
        return _encode(whole_characters(value))


def whole_characters(value: Any) -> Any:
    """JSON values with whole characters only: halves that come one after the other are joined, a lone one is U+FFFD."""
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, dict):
        return {whole_characters(k): whole_characters(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [whole_characters(v) for v in value]
    return value


def data_url(media_type: str, data: bytes) -> str:
    """The bytes as a `data:` URL (RFC 2397)."""
    return f"data:{media_type};base64,{base64.b64encode(data).decode()}"
