"""An export read line by line: whether it is one, of a version that is known, and whole."""

from __future__ import annotations

import msgspec

from lumosai.errors import InvalidInputError
from lumosai.storage import _lines as lines


class Reader:
    """Reads an export line by line.

    Attributes:
        unknown: lines of kinds that this program does not know, by kind.
        ended: whether the last line was there.
    """

    def __init__(self) -> None:
        self.unknown: dict[str, int] = {}
        self.ended = False
        self._count = 0

    def read(self, data: bytes) -> lines.Line | None:
        """A line, None where there is nothing to take in.

        Raises:
            InvalidInputError: this is no export, one of a later version, or damaged.
        """
        if not data.strip():
            return None
        try:
            kind = _kind(data).kind
            if self._count == 0 and kind != "lumosai":
                raise InvalidInputError("this is no export of Lumosai's: its first line must be of the kind 'lumosai'")
            self._count += 1
            if kind not in lines.KINDS:
                self.unknown[kind] = self.unknown.get(kind, 0) + 1
                return None
            if kind == "lumosai":
                self._check(msgspec.json.decode(data, type=_Version).version)
            line: lines.Line = _line(data)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise InvalidInputError(f"line {self._count + 1} of the export is damaged: {error}") from error
        self.ended = self.ended or type(line) is lines.End
        return line

    def finish(self) -> None:
        """There are no more lines.

        Raises:
            InvalidInputError: there should be.
        """
        if not self.ended:
            raise InvalidInputError(
                f"the export ends behind line {self._count}, before its last one: it was cut short. What came was taken in; "
                "import the whole one to go on"
            )

    @staticmethod
    def _check(version: int) -> None:
        if version > lines.VERSION:
            raise InvalidInputError(
                f"the export has version {version} and this program reads up to {lines.VERSION}: upgrade it"
            )


class _Kind(msgspec.Struct):
    kind: str


class _Version(msgspec.Struct):
    version: int


_kind = msgspec.json.Decoder(_Kind).decode
_line = msgspec.json.Decoder(lines.Line).decode
