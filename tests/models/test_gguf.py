"""The header of a GGUF file, and what is refused before the runtime sees it."""

import mmap
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lumosai.errors import WeightsError
from lumosai.models import _gguf
from tests.models.tiny_gguf import gguf, string, tiny_model, value

ONE = [("w", (3,), [1.0, 2.0, 3.0])]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return tiny_model(tmp_path_factory.mktemp("gguf") / "tiny.gguf")


def write(tmp_path, data):
    path = tmp_path / "some.gguf"
    path.write_bytes(data)
    return path


def test_a_whole_file(model):
    """Tells its version, its architecture and exactly how long it must be."""
    header = _gguf.check(model)
    assert (header.version, header.architecture, header.tensors) == (3, "llama", 12)
    assert header.size == model.stat().st_size


def test_metadata_of_every_kind(tmp_path):
    """Strings and numbers are read, arrays of anything are passed over."""
    metadata = {"a": "text", "b": 7, "c": 1.5, "d": True, "e": ["x", "yy"], "f": [1, 2, 3], "g": [[1, 2], [3]]}
    header = _gguf.check(write(tmp_path, gguf(metadata, ONE)))
    assert header.metadata == {"a": "text", "b": 7, "c": 1.5, "d": True}


def test_another_alignment(tmp_path):
    """The data begin where the file's own alignment puts them."""
    header = _gguf.check(write(tmp_path, gguf({"general.alignment": 8}, ONE)))
    assert header.size % 8 == 12 % 8


def test_a_file_cut_in_its_data(model, tmp_path):
    """One byte less is told, with both sizes."""
    whole = model.read_bytes()
    with pytest.raises(WeightsError, match=f"truncated: {len(whole) - 1:,} bytes of at least {len(whole):,}"):
        _gguf.check(write(tmp_path, whole[:-1]))


@given(share=st.floats(0, 0.999))
def test_a_file_cut_anywhere(model, tmp_path_factory, share):
    """Every cut is an error of ours."""
    whole = model.read_bytes()
    path = write(tmp_path_factory.getbasetemp(), whole[: int(len(whole) * share)])
    with pytest.raises(WeightsError, match=r"some\.gguf"):
        _gguf.check(path)


@given(at=st.integers(0, 2000), byte=st.integers(0, 255))
def test_a_file_with_a_wrong_byte(model, tmp_path_factory, at, byte):
    """A broken header is an error of ours or still a header; it never hangs, nor takes memory."""
    data = bytearray(model.read_bytes())
    data[at] = byte
    path = write(tmp_path_factory.getbasetemp(), bytes(data))
    try:
        assert _gguf.check(path).tensors <= 12
    except WeightsError as error:
        assert "some.gguf" in str(error)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "not a GGUF file"),
        (b"<html><body>Sign in</body></html>", "begins with b'<html><b'"),
        (gguf({}, ONE, magic=b"GGML"), "not a GGUF file"),
        (gguf({}, ONE, version=1), "version 1; versions 2 and 3"),
        (gguf({}, ONE, version=3 << 24), "big-endian"),
        (gguf({"a": "b"}, []), "no tensor"),
        (gguf({"general.alignment": 0}, ONE), "alignment is 0"),
        (gguf({"a": 1}, ONE).replace(value(1), b"\x63\0\0\0" + value(1)[4:]), "type 99"),
        (gguf({}, ONE).replace(string("w") + b"\1\0\0\0", string("w") + b"\x63\0\0\0"), "99 dimensions"),
        (b"GGUF\3\0\0\0" + b"\xff" * 16, "truncated within their header"),
    ],
)
def test_what_is_no_model(tmp_path, data, said):
    """The message names the file and what is wrong with it."""
    with pytest.raises(WeightsError, match=said) as raised:
        _gguf.check(write(tmp_path, data))
    assert "some.gguf" in str(raised.value)


def test_a_file_that_is_not_there(tmp_path):
    """The message names it."""
    with pytest.raises(WeightsError, match=r"no weights file .*missing\.gguf"):
        _gguf.check(tmp_path / "missing.gguf")


def test_a_directory(tmp_path):
    """It cannot be read, and that is told."""
    with pytest.raises(WeightsError, match="cannot be read"):
        _gguf.check(tmp_path)


def test_a_type_that_is_not_known(tmp_path):
    """A tensor of a newer type is not held against the file: its size is unknown, its place is not."""
    data = gguf({}, ONE)
    of_floats = struct.pack("<QIQ", 3, 0, 0)
    data = data.replace(of_floats, struct.pack("<QIQ", 3, 999, 0))
    assert _gguf.check(write(tmp_path, data)).tensors == 1


def test_a_missing_shard(tmp_path, model):
    """Of a model in several files each must be there."""
    first = tmp_path / "big-00001-of-00002.gguf"
    first.write_bytes(model.read_bytes())
    with pytest.raises(WeightsError, match=r"'big-00002-of-00002\.gguf' is not there"):
        _gguf.check(first)
    (tmp_path / "big-00002-of-00002.gguf").write_bytes(model.read_bytes())
    assert _gguf.check(first).tensors == 12


def test_reading_maps_the_file(model, monkeypatch):
    """A file of many gigabytes is not read into memory."""
    maps = []
    real = mmap.mmap
    monkeypatch.setattr(_gguf.mmap, "mmap", lambda *args, **kw: maps.append(args) or real(*args, **kw))
    _gguf.read(model)
    assert len(maps) == 1
