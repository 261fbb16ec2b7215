"""Ids of messages, and of the runs that made them, as rows hold them: a UUID takes 16 bytes in place of 36 characters.

Any other text, as users and other programs name things, stands behind a byte with which no such UUID begins. This is a
stored format.
"""

from __future__ import annotations

import re
from typing import Final

_is_uuid: Final = re.compile(r"(?!ff)[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.ASCII).fullmatch
_OTHER: Final = b"\xff"


def packed(text: str) -> bytes:
    """An id as a row holds it; none where there is none."""
    if _is_uuid(text):
        return bytes.fromhex(text.replace("-", ""))
    return _OTHER + text.encode() if text else b""


def text(data: bytes) -> str:
    """The id again."""
    if data.startswith(_OTHER):
        return data[1:].decode()
    if not data:
        return ""
    digits = data.hex()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


PACKED_IN_POSTGRES: Final = """CASE WHEN {0} = '' THEN ''::bytea
    WHEN {0} ~ '^(?!ff)[0-9a-f]{{8}}-[0-9a-f]{{4}}-[0-9a-f]{{4}}-[0-9a-f]{{4}}-[0-9a-f]{{12}}$'
    THEN decode(replace({0}, '-', ''), 'hex') ELSE '\\xff'::bytea || convert_to({0}, 'UTF8') END"""
"""`packed` of a column, for the step of the schema that changed it."""
