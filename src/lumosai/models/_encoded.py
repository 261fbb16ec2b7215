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
    __slots__ = ("encoded", "key")

    encoded: bytes
    key: int


class Encoded(Generic[T]):
    """JSON bytes of objects, by identity, for as long as each object lives."""

    __slots__ = ("_drop", "_encode", "_kept")

    def __init__(self, encode: Callable[[T], bytes]) -> None:
        self._encode = encode
        self._kept: dict[int, _Ref[T]] = {}
        self._drop = _dropping(self._kept)

    def __len__(self) -> int:
        return len(self._kept)

    def joined(self, values: Sequence[T]) -> bytes:
        """The bytes of all, joined by commas."""
        if type(values) is Transcript:
            return values.gathered(self, cast("Any", self._more), b"")
        return b",".join(self.each(values))

    def each(self, values: Sequence[T]) -> list[bytes]:
        """The bytes of each."""
        kept = [*map(self._kept.get, map(id, values))]
        return [self._add(v) if ref is None else ref.encoded for ref, v in zip(kept, values, strict=True)]

    def _more(self, before: bytes, values: Sequence[T]) -> bytes:
        """Those bytes, and those of `values` behind them."""
        new = self.joined(values)
        return b",".join((before, new)) if before else new

    def _add(self, value: T) -> bytes:
        ref = _Ref(value, self._drop)
        ref.key = id(value)
        ref.encoded = self._encode(value)
        self._kept[ref.key] = ref
        return ref.encoded


def _dropping(kept: dict[int, Any]) -> Callable[[Any], None]:
    """Drops what is kept of an object that is no more."""

    def drop(ref: _Ref[Any]) -> None:
        kept.pop(ref.key, None)

    return drop


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
