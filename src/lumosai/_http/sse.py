r"""Server-sent events: bytes in, `data` payloads out (WHATWG HTML, section 9.2).

The decoder takes any cut of the bytes, LF, CRLF and CR, comments, a byte-order mark and multi-line data. A network read
that holds nothing but whole `data: …\n\n` events, which is how nearly every provider writes, is split at C speed; all
else goes line by line. Nothing is decoded to text, so a character that was cut in two needs no care.
"""

from __future__ import annotations

import re
from typing import Final

_BOM: Final = b"\xef\xbb\xbf"
_HEAD: Final = b"data: "
_GAP: Final = b"\n\ndata: "
_FIELD: Final = re.compile(rb"(?:\xef\xbb\xbf)?\s*(?::|(?:data|event|id|retry|error)\s*(?::|$))")


def is_events(start: bytes) -> bool:
    """Whether bytes begin as a stream of events does: with a comment or with a field's name."""
    return _FIELD.match(start) is not None


class Decoder:
    """One stream's decoder.

    Attributes:
        error: the data of an `event: error`, None while none came. Later events are not looked at.
    """

    __slots__ = ("_after_cr", "_begun", "_data", "_event", "_parts", "error")

    def __init__(self) -> None:
        self.error: bytes | None = None
        self._parts: list[bytes] = []
        self._data: list[bytes] = []
        self._event = b""
        self._begun = False
        self._after_cr = False

    def feed(self, block: bytes) -> list[bytes]:
        """The payloads of the events that `block` completes, in order."""
        if self.error is not None:
            return []
        parts = self._parts
        if parts:
            parts.append(block)
            if b"\n" not in block and b"\r" not in block:
                return []
            block = b"".join(parts)
            parts.clear()
        if not self._data and not self._event and block[:6] == _HEAD:
            end = block.rfind(b"\n\n")
            if end > 0 and b"\r" not in block:
                head = block[6:end]
                payloads = head.split(_GAP)
                if head.count(b"\n") == 2 * len(payloads) - 2:
                    self._begun = True
                    self._after_cr = False
                    if end + 2 < len(block):
                        payloads += self._lines(block[end + 2 :])
                    return payloads
        return self._lines(block)

    def close(self) -> bytes | None:
        """The payload of a last event that no blank line ended, None where there is none."""
        if self._parts:
            last = b"".join(self._parts)
            self._parts.clear()
            self._line(last)
        return self._dispatch()

    def _lines(self, block: bytes) -> list[bytes]:
        if not self._begun:
            block = self._without_bom(block)
        if self._after_cr and block:
            self._after_cr = False
            if block[:1] == b"\n":
                block = block[1:]
        if b"\r" in block:
            self._after_cr = block[-1:] == b"\r"
            block = block.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        lines = block.split(b"\n")
        rest = lines.pop()
        if rest:
            self._parts.append(rest)
        payloads: list[bytes] = []
        for line in lines:
            if line:
                self._line(line)
            elif (payload := self._dispatch()) is not None:
                payloads.append(payload)
        return payloads

    def _without_bom(self, block: bytes) -> bytes:
        if len(block) < len(_BOM) and _BOM.startswith(block):
            self._parts.append(block)
            return b""
        self._begun = True
        return block.removeprefix(_BOM)

    def _line(self, line: bytes) -> None:
        name, _, value = line.partition(b":")
        if value[:1] == b" ":
            value = value[1:]
        if name == b"data":
            self._data.append(value)
        elif name == b"event":
            self._event = value
        elif name == b"error":  # no field of the specification's, but llama.cpp's server has sent its errors so
            self._event = b"error"
            self._data.append(value)

    def _dispatch(self) -> bytes | None:
        event, data = self._event, self._data
        self._event = b""
        if not data:
            return None
        payload = data[0] if len(data) == 1 else b"\n".join(data)
        self._data = []
        if event == b"error":
            if self.error is None:
                self.error = payload
            return None
        return None if self.error is not None else payload


def payloads_of(data: bytes) -> list[bytes]:
    """The payloads of an answer that came whole as events; an error event's, and that of a last one without an end, too."""
    decoder = Decoder()
    payloads = decoder.feed(data)
    last = decoder.close()
    if decoder.error is not None:
        payloads.append(decoder.error)
    return payloads if last is None else [*payloads, last]
