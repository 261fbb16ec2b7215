"""Images, audio and files for a message, from a path, from bytes or by URL.

    message = Message.user("What is in it?", await attach("cat.png"))

A file is read at once and its bytes go into the part; a URL is never fetched here: it is given to the provider, which
fetches it if it can. Whether a model takes a part is looked at when it is asked, see `errors.MediaUnsupportedError`.
"""

from __future__ import annotations

import base64
import binascii
import os
import re
import stat
from typing import TYPE_CHECKING, Any, Final, Literal
from urllib.parse import unquote, unquote_to_bytes, urlsplit

from lumosai._media_types import by_name, media_type_of
from lumosai.errors import InvalidInputError
from lumosai.messages import AudioPart, FilePart, ImagePart

if TYPE_CHECKING:
    from collections.abc import Mapping

Kind = Literal["auto", "image", "audio", "file"]
Source = str | os.PathLike[str] | bytes | bytearray | memoryview
Attached = ImagePart | AudioPart | FilePart

MAX_BYTES: Final = 20 * 1024 * 1024
"""The largest file that is read where nothing else is said: more, most providers refuse in one request."""

_URL: Final = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*://|data:", re.ASCII)
_KINDS: Final[Mapping[str, type[Attached]]] = {"image": ImagePart, "audio": AudioPart, "file": FilePart}


async def attach(
    source: Source,
    *,
    kind: Kind = "auto",
    media_type: str | None = None,
    name: str | None = None,
    detail: str | None = None,
    max_bytes: int = MAX_BYTES,
) -> Attached:
    """A part of a message from a file's path, from bytes or by URL. A file is read in a thread.

    Args:
        source: a path, what a file holds, or a URL (anything with `scheme://`, or `data:`).
        kind: "image", "audio" or "file"; "auto" tells it by the media type: what is neither an image nor audio is a file.
        media_type: such as "image/png"; else told by the bytes, else by the name's ending, else text where it is UTF-8.
        name: a file's name, as the model is told it; else the path's or the URL's last part.
        detail: the resolution hint of an image ("low", "high", "auto").
        max_bytes: a larger file is refused, unread.

    Raises:
        InvalidInputError: it cannot be read, is empty, too large, of another kind than `kind`, or a URL that tells no kind.
    """
    options: dict[str, Any] = {
        "kind": kind,
        "media_type": media_type,
        "name": name,
        "detail": detail,
        "max_bytes": max_bytes,
    }
    if isinstance(source, bytes | bytearray | memoryview) or (isinstance(source, str) and _URL.match(source)):
        return attach_sync(source, **options)
    import asyncio

    return await asyncio.to_thread(attach_sync, source, **options)


def attach_sync(
    source: Source,
    *,
    kind: Kind = "auto",
    media_type: str | None = None,
    name: str | None = None,
    detail: str | None = None,
    max_bytes: int = MAX_BYTES,
) -> Attached:
    """The same in this thread, for synchronous code.

    Raises:
        InvalidInputError: as `attach`.
    """
    if kind != "auto" and kind not in _KINDS:
        msg = f"kind={kind!r}: it is 'image', 'audio', 'file' or 'auto'"
        raise InvalidInputError(msg)
    if isinstance(source, bytes | bytearray | memoryview):
        data, shown = bytes(source), f"{len(source)} bytes"
    elif isinstance(source, str) and source.startswith("data:"):
        data, told = _decoded(source)
        media_type, shown = media_type or told, "the data: URL"
    elif isinstance(source, str) and _URL.match(source):
        return _by_url(source, kind, media_type, name, detail)
    else:
        path = os.fspath(source)
        data, shown = _read(path, max_bytes), repr(path)
        name = name or os.path.basename(path)  # noqa: PTH119  # the path may be text
    if not data:
        msg = f"{shown} cannot be attached: it is empty"
        raise InvalidInputError(msg)
    if len(data) > max_bytes:
        raise _too_large(shown, len(data), max_bytes)
    found = media_type or media_type_of(data, name or "")
    return _part(shown, kind, found, {"data": data}, name=name, detail=detail)


def _by_url(url: str, kind: Kind, media_type: str | None, name: str | None, detail: str | None) -> Attached:
    last = unquote(urlsplit(url).path.rpartition("/")[2])
    found = media_type or by_name(last)
    if not found and kind == "auto":
        msg = f"the URL {url!r} does not tell what it leads to: pass kind='image', 'audio' or 'file', or its media_type"
        raise InvalidInputError(msg)
    return _part(repr(url), kind, found, {"url": url}, name=name or last or None, detail=detail)


def _part(
    shown: str, kind: Kind, media_type: str, content: dict[str, Any], *, name: str | None, detail: str | None
) -> Attached:
    head = media_type.partition("/")[0]
    told = head if head in ("image", "audio") else "file"
    if kind not in ("auto", "file", told) and media_type:
        msg = f"{shown} is of type {media_type!r}, which is no {kind}: leave out kind, or pass its media_type"
        raise InvalidInputError(msg)
    made = _KINDS[told if kind == "auto" else kind]
    if media_type:
        content["media_type"] = media_type
    if made is FilePart:
        content["name"] = name
    if detail is not None:
        if made is not ImagePart:
            msg = f"detail={detail!r} is for images, and {shown} is {media_type or 'none'}"
            raise InvalidInputError(msg)
        content["detail"] = detail
    return made(**content)


def _read(path: str, max_bytes: int) -> bytes:
    """What a file holds.

    Raises:
        InvalidInputError: it cannot be read, is no file, or is too large.
    """
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):  # noqa: PTH116  # opening a pipe would wait for its other end
            msg = f"{path!r} cannot be attached: it is no file"
            raise InvalidInputError(msg)
        with open(path, "rb") as file:  # noqa: PTH123  # the path may be text
            size = os.fstat(file.fileno()).st_size
            if size > max_bytes:
                raise _too_large(repr(path), size, max_bytes)
            return file.read(max_bytes + 1)
    except (OSError, ValueError) as error:
        if isinstance(error, InvalidInputError):
            raise
        why = error.strerror if isinstance(error, OSError) else str(error)
        msg = f"{path!r} cannot be attached: {why}"
        raise InvalidInputError(msg) from error


def _decoded(url: str) -> tuple[bytes, str | None]:
    """What a `data:` URL holds (RFC 2397), and its media type."""
    head, comma, body = url[len("data:") :].partition(",")
    media_type, _, parameters = head.partition(";")
    try:
        if not comma:
            msg = "it has no comma"
            raise ValueError(msg)  # noqa: TRY301  # told with the others
        data = unquote_to_bytes(body)
        if parameters.split(";")[-1].strip().lower() == "base64":
            data = base64.b64decode(data, validate=True)
    except (ValueError, binascii.Error) as error:
        msg = f"the data: URL {url[:40]!r}… cannot be attached: {error}"
        raise InvalidInputError(msg) from error
    return data, media_type.strip().lower() or None


def _too_large(shown: str, size: int, max_bytes: int) -> InvalidInputError:
    return InvalidInputError(
        f"{shown} cannot be attached: {size:,} bytes are more than the {max_bytes:,} that are read; pass max_bytes=… for more, "
        "or a URL or file id that the provider takes"
    )
