"""What a tool returned, as a model can read it: text, or parts for media; never silently something else."""

from __future__ import annotations

import dataclasses
import json
from collections import deque
from collections.abc import Callable, Iterator, Mapping, ValuesView
from collections.abc import Set as AbstractSet
from datetime import date, time, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import PurePath
from typing import Any
from uuid import UUID

import msgspec

from lumosai.messages import AudioPart, FilePart, ImagePart, TextPart

Content = str | tuple[TextPart | ImagePart | AudioPart | FilePart, ...]

_MEDIA = (TextPart, ImagePart, AudioPart, FilePart)
_AS_TEXT = (Decimal, UUID, date, time, PurePath)
_BYTES = (bytes, bytearray, memoryview)


class UnreadableResultError(TypeError):
    """A tool returned what cannot be shown to a model; the text says what to return instead."""


def content_of(value: Any) -> Content:
    """A tool's return value as the content of its result.

    Text stays as it is; None is "". Numbers, lists, dicts, dataclasses, pydantic models and the like become JSON text. A
    part of a message, or a list or tuple with some, becomes parts.

    Raises:
        UnreadableResultError: bytes, or an object that is no JSON.
    """
    if isinstance(value, str):
        return clean(str(value))
    if value is None:
        return ""
    if isinstance(value, _MEDIA):
        return _parts((value,))
    if isinstance(value, list | tuple) and any(isinstance(each, _MEDIA) for each in value):
        return _parts(value)
    return clean(_text(value))


def clean(text: str) -> str:
    """Text that every database and provider takes: lone surrogates and NUL become U+FFFD."""
    text = whole(text)
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}") if "\0" in text else text


def whole(text: str) -> str:
    """Text without lone surrogates, which become U+FFFD; pairs of them are joined."""
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def clamped(content: Content, most: int | None) -> Content:
    """Content whose text is at most `most` characters, cut in the middle, with a note of how much is missing."""
    if most is None:
        return content
    if isinstance(content, str):
        return _clamped(content, most)
    made: list[Any] = []
    for part in content:
        if isinstance(part, TextPart):
            text = _clamped(part.text, most)
            most = max(most - len(text), 0)
            part = part if text is part.text else TextPart(text)  # noqa: PLW2901
        made.append(part)
    return tuple(made)


def _clamped(text: str, most: int) -> str:
    if len(text) <= most:
        return text
    note = f"\n[… {len(text) - most} of {len(text)} characters cut …]\n"
    room = most - len(note)
    if room <= 0:
        return text[:most]
    cut = len(text) - room
    note = f"\n[… {cut} of {len(text)} characters cut …]\n"
    room = most - len(note)
    head = room - room // 2
    return text[:head] + note + text[len(text) - (room - head) :]


def _parts(values: Any) -> Content:
    made: list[TextPart | ImagePart | AudioPart | FilePart] = []
    for each in values:
        if isinstance(each, TextPart):
            made.append(TextPart(clean(each.text)))
        elif isinstance(each, _MEDIA):
            made.append(each)
        else:
            made.append(TextPart(clean(each if isinstance(each, str) else _text(each))))
    return tuple(made)


def _text(value: Any) -> str:
    if isinstance(value, _AS_TEXT):
        return value.isoformat() if isinstance(value, date | time) else str(value)
    if isinstance(value, Enum):
        return str(content_of(value.value))
    try:
        return json.dumps(value, ensure_ascii=False, default=_plain)
    except UnreadableResultError:
        raise
    except (
        TypeError,
        ValueError,
        RecursionError,
    ) as error:  # a key that is no text, a circle, a number too long to write
        raise UnreadableResultError(
            f"the tool returned {_named(value)} that is no JSON ({error}); return text or JSON values"
        ) from error


def _plain(value: Any) -> Any:
    """One step from an object towards JSON."""
    if isinstance(value, _BYTES):
        raise UnreadableResultError(
            f"the tool returned {_named(value)}, which a model cannot read; return text, or for media ImagePart(data=…, "
            "media_type=…), AudioPart or FilePart"
        )
    for fits, step in _STEPS:
        if fits(value):
            return step(value)
    raise UnreadableResultError(
        f"the tool returned {_named(value)}, which is no JSON; return text, JSON values, a dataclass or a pydantic model"
    )


def _is(*types: type) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, types)


_STEPS: tuple[tuple[Callable[[Any], bool], Callable[[Any], Any]], ...] = (
    (_is(date, time), lambda v: v.isoformat()),
    (_is(Decimal, UUID, PurePath), str),
    (_is(timedelta), timedelta.total_seconds),
    (_is(Enum), lambda v: v.value),
    (lambda v: hasattr(v, "__pydantic_serializer__") and hasattr(v, "model_dump"), lambda v: v.model_dump(mode="json")),
    (
        lambda v: dataclasses.is_dataclass(v) and not isinstance(v, type),
        lambda v: {f.name: getattr(v, f.name) for f in dataclasses.fields(v)},
    ),
    (
        _is(msgspec.Struct),
        lambda v: msgspec.to_builtins(v, builtin_types=(*_BYTES, Decimal, UUID), enc_hook=lambda each: each),
    ),
    (_is(Mapping), dict),
    (_is(AbstractSet), lambda v: sorted(v, key=repr)),
    (_is(Iterator, range, deque, ValuesView), list),
    (lambda v: callable(getattr(v, "tolist", None)), lambda v: v.tolist()),  # arrays and scalars of numpy and its kin
    (lambda v: hasattr(type(v), "__attrs_attrs__"), lambda v: {a.name: getattr(v, a.name) for a in v.__attrs_attrs__}),
)


def _named(value: object) -> str:
    kind = type(value)
    if isinstance(value, _BYTES):
        return f"{len(value)} bytes" if not isinstance(value, memoryview) else f"{value.nbytes} bytes"
    module = "" if kind.__module__ in ("builtins", "__main__") else f"{kind.__module__}."
    return f"an object of type {module}{kind.__qualname__}"
