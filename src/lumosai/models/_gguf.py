"""Enough of the GGUF format to refuse a file that is cut, broken or none, before the runtime sees it.

The format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md. A header names the counts of tensors and of
metadata, then come the metadata, then where each tensor lies in the data behind it. From that the smallest size that
the file can have follows. Nothing is loaded; the file is mapped.
"""

from __future__ import annotations

import mmap
import re
import struct
from typing import TYPE_CHECKING, Any, Final

import msgspec

from lumosai.errors import WeightsError

if TYPE_CHECKING:
    from pathlib import Path

_MAGIC: Final = b"GGUF"
_VERSIONS: Final = (2, 3)
_SCALARS: Final = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING: Final = 8
_ARRAY: Final = 9
_ALIGNMENT: Final = 32
_MOST_DIMENSIONS: Final = 8
_DEEPEST: Final = 4
_SHARD: Final = re.compile(r"-(\d{5})-of-(\d{5})\.gguf$")

# Elements and bytes of a block, by ggml's number of the type. A type that is not here is newer than this table: then
# only where its tensor begins is checked.
# fmt: off
_BLOCKS: Final[dict[int, tuple[int, int]]] = {
    0: (1, 4), 1: (1, 2), 2: (32, 18), 3: (32, 20), 6: (32, 22), 7: (32, 24), 8: (32, 34), 9: (32, 36),
    10: (256, 84), 11: (256, 110), 12: (256, 144), 13: (256, 176), 14: (256, 210), 15: (256, 292),
    16: (256, 66), 17: (256, 74), 18: (256, 98), 19: (256, 50), 20: (32, 18), 21: (256, 110), 22: (256, 82),
    23: (256, 136), 24: (1, 1), 25: (1, 2), 26: (1, 4), 27: (1, 8), 28: (1, 8), 29: (256, 56), 30: (1, 2),
    34: (256, 54), 35: (256, 66), 39: (32, 17),
}
# fmt: on


class Header(msgspec.Struct, frozen=True):
    """What a GGUF file says of itself.

    Attributes:
        version: of the format.
        metadata: strings and numbers by key; arrays are left out.
        tensors: how many there are.
        size: bytes that the file must have at least.
    """

    version: int
    metadata: dict[str, Any]
    tensors: int
    size: int

    @property
    def architecture(self) -> str:
        """The model's architecture, such as "llama"."""
        return str(self.metadata.get("general.architecture", ""))


def check(path: Path) -> Header:
    """The file's header, after seeing that the file can be whole; its other shards are looked for too.

    Raises:
        WeightsError: it is missing, not a GGUF file, of a version that is not known, or truncated.
    """
    header = read(path)
    size = path.stat().st_size
    if size < header.size:
        raise WeightsError(
            f"the weights {str(path)!r} are truncated: {size:,} bytes of at least {header.size:,} are there; "
            "fetch the file again"
        )
    if not header.tensors and "split.count" not in header.metadata:
        raise WeightsError(f"the weights {str(path)!r} hold no tensor: this is a GGUF file without a model")
    _check_shards(path)
    return header


def read(path: Path) -> Header:
    """The file's header.

    Raises:
        WeightsError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            if file.read(4) != _MAGIC:
                file.seek(0)
                raise WeightsError(
                    f"{str(path)!r} is not a GGUF file: it begins with {file.read(8)!r} instead of {_MAGIC!r}"
                )
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                return _header(data, path)
    except FileNotFoundError as error:
        raise WeightsError(f"there is no weights file {str(path)!r}: give the path of a GGUF file") from error
    except OSError as error:
        raise WeightsError(f"the weights {str(path)!r} cannot be read: {error.strerror or error}") from error
    except (struct.error, IndexError, OverflowError) as error:
        raise WeightsError(
            f"the weights {str(path)!r} are truncated within their header ({path.stat().st_size:,} bytes are there); "
            "fetch the file again"
        ) from error


def _header(data: mmap.mmap, path: Path) -> Header:
    (version,) = struct.unpack_from("<I", data, 4)
    if version not in _VERSIONS:
        known = " and ".join(map(str, _VERSIONS))
        other = " (big-endian?)" if version > 0xFFFF else ""  # noqa: PLR2004  # a small number, byte-swapped
        raise WeightsError(f"{str(path)!r} is of GGUF version {version}{other}; versions {known} can be loaded")
    tensors, pairs = struct.unpack_from("<QQ", data, 8)
    cursor = _Cursor(data, 24, path)
    metadata = dict(cursor.pair() for _ in range(cursor.count(pairs)))
    metadata = {k: v for k, v in metadata.items() if v is not None}
    end = max((cursor.tensor() for _ in range(cursor.count(tensors))), default=0)
    alignment = metadata.get("general.alignment", _ALIGNMENT)
    if not isinstance(alignment, int) or alignment <= 0:
        raise WeightsError(f"the weights {str(path)!r} are broken: their alignment is {alignment!r}")
    begin = -(-cursor.at // alignment) * alignment
    return Header(version, metadata, tensors, begin + end if end else cursor.at)


class _Cursor:
    """Reads one value after the other."""

    def __init__(self, data: mmap.mmap, at: int, path: Path) -> None:
        self.data = data
        self.at = at
        self.path = path

    def number(self, form: str) -> Any:
        (value,) = struct.unpack_from("<" + form, self.data, self.at)
        self.at += struct.calcsize("<" + form)
        return value

    def count(self, number: int) -> int:
        """A count, which cannot be larger than the bytes that are left."""
        if number > len(self.data) - self.at:
            raise IndexError
        return number

    def skip(self, size: int) -> int:
        """Goes on by `size`; where that began."""
        begin, self.at = self.at, self.at + self.count(size)
        return begin

    def string(self) -> str:
        size = self.number("Q")
        begin = self.skip(size)
        return self.data[begin : begin + size].decode("utf-8", "replace")

    def pair(self) -> tuple[str, Any]:
        return self.string(), self.value(self.number("I"))

    def value(self, kind: int, depth: int = 0) -> Any:
        """A value; None for an array, which is passed over."""
        if kind == _STRING:
            return self.string()
        if kind in _SCALARS:
            return self.number(_SCALARS[kind])
        if kind != _ARRAY or depth > _DEEPEST:
            raise WeightsError(f"the weights {str(self.path)!r} are broken: no metadata is of type {kind}")
        inner = self.number("I")
        size = self.count(self.number("Q"))
        if inner in _SCALARS:
            self.skip(size * struct.calcsize("<" + _SCALARS[inner]))
        elif inner == _STRING:
            self.pass_strings(size)
        else:
            for _ in range(size):
                self.value(inner, depth + 1)
        return None

    def pass_strings(self, count: int) -> None:
        """Passes over strings: a vocabulary has hundreds of thousands."""
        data, at, unpack = self.data, self.at, struct.Struct("<Q").unpack_from
        for _ in range(count):
            at += 8 + unpack(data, at)[0]
        self.at = at
        self.count(0)

    def tensor(self) -> int:
        """Where a tensor ends, from the data's begin."""
        self.string()
        dimensions = self.number("I")
        if dimensions > _MOST_DIMENSIONS:
            raise WeightsError(f"the weights {str(self.path)!r} are broken: a tensor has {dimensions} dimensions")
        elements = 1
        for _ in range(dimensions):
            elements *= self.number("Q")
        kind = self.number("I")
        offset: int = self.number("Q")
        block, size = _BLOCKS.get(kind, (1, 0))
        return offset + -(-elements // block) * size


def _check_shards(path: Path) -> None:
    found = _SHARD.search(path.name)
    if found is None:
        return
    missing = [
        name
        for n in range(1, int(found[2]) + 1)
        if not path.with_name(name := f"{path.name[: found.start()]}-{n:05}-of-{found[2]}.gguf").exists()
    ]
    if missing:
        raise WeightsError(
            f"the weights {str(path)!r} are one of {int(found[2])} files, and {missing[0]!r} is not there"
        )
