"""Images and documents as blocks of the Messages API."""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote_to_bytes

from lumosai.errors import InvalidInputError

if TYPE_CHECKING:
    from lumosai.messages import FilePart, ImagePart

_IMAGES: Final = ("image/jpeg", "image/png", "image/gif", "image/webp")
_PDF: Final = "application/pdf"
_UNKNOWN: Final = "application/octet-stream"
_TEXTS: Final = ("application/json", "application/xml", "application/yaml", "application/x-yaml", "application/toml")
"""Types that are text though they are not called so."""

_DATA_URL: Final = re.compile(r"data:([^;,]*)((?:;[^;,]*)*?)(;base64)?,(.*)", re.DOTALL)


def image(part: ImagePart) -> dict[str, Any]:
    """An image's block.

    Raises:
        InvalidInputError: neither bytes nor a URL, or a format that the API does not take.
    """
    if part.data is None and part.url is None:
        msg = "an ImagePart has neither data nor url"
        raise InvalidInputError(msg)
    kind, data = _bytes(part.media_type, part.data, part.url)
    if data is None:
        return {"type": "image", "source": {"type": "url", "url": part.url}}
    return {"type": "image", "source": _base64(_image_type(kind), data)}


def document(part: FilePart) -> dict[str, Any]:
    """A document's block, or an image's where the file is one.

    Raises:
        InvalidInputError: none of bytes, a URL and an id, or a format that the API does not take.
    """
    kind, data = _bytes(part.media_type, part.data, part.url)
    is_image = kind.startswith("image/")
    source: dict[str, Any]
    if part.file_id is not None:
        source = {"type": "file", "file_id": part.file_id}
    elif is_image and data is not None:
        source = _base64(_image_type(kind), data)
    elif data is None and part.url is not None:
        if not is_image and kind not in (_PDF, _UNKNOWN):
            msg = (
                f"a FilePart of type {part.media_type!r} cannot be sent to this API by URL, as PDFs can: pass its bytes"
            )
            raise InvalidInputError(msg)
        source = {"type": "url", "url": part.url}
    elif data is None:
        msg = "a FilePart has none of data, url and file_id"
        raise InvalidInputError(msg)
    elif kind == _PDF or data.startswith(b"%PDF-"):
        source = _base64(_PDF, data)
    elif kind.startswith("text/") or kind in _TEXTS or kind.endswith(("+json", "+xml")):
        source = {"type": "text", "media_type": "text/plain", "data": data.decode("utf-8-sig", "replace")}
    else:
        msg = f"a FilePart of type {part.media_type!r} cannot be sent to this API: it takes PDFs, text and images"
        raise InvalidInputError(msg)
    if is_image:
        return {"type": "image", "source": source}
    return {"type": "document", "source": source, **({"title": part.name} if part.name else {})}


def _bytes(media_type: str, data: bytes | None, url: str | None) -> tuple[str, bytes | None]:
    """The type and the bytes, those in a `data:` URL included; None where the server is to fetch them."""
    found = _DATA_URL.match(url) if data is None and url is not None else None
    if found is not None:
        media_type = found[1] or media_type
        try:
            data = base64.b64decode(found[4]) if found[3] else unquote_to_bytes(found[4])
        except ValueError as error:
            msg = f"the data: URL of a part is no base64: {error}"
            raise InvalidInputError(msg) from error
    return media_type.partition(";")[0].strip().lower(), data


def _image_type(kind: str) -> str:
    kind = "image/jpeg" if kind in ("image/jpg", "image/pjpeg") else kind
    if kind not in _IMAGES:
        msg = f"an image of type {kind!r} cannot be sent to this API: it takes {', '.join(_IMAGES)}"
        raise InvalidInputError(msg)
    return kind


def _base64(kind: str, data: bytes) -> dict[str, Any]:
    return {"type": "base64", "media_type": kind, "data": base64.b64encode(data).decode()}
