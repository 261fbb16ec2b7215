"""Parts of a message from paths, bytes and URLs: what they are, and what cannot be one."""

from __future__ import annotations

import asyncio
import base64
import os
import threading
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lumosai import AudioPart, FilePart, ImagePart, attach, attach_sync, media
from lumosai._media_types import by_name, media_type_of
from lumosai.errors import InvalidInputError


def chunk(kind: bytes, data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")


PNG = (
    b"\x89PNG\r\n\x1a\n"
    + chunk(b"IHDR", (1).to_bytes(4, "big") * 2 + b"\x08\x02\0\0\0")
    + chunk(b"IDAT", zlib.compress(b"\0\xff\0\0"))
    + chunk(b"IEND", b"")
)
WAV = b"RIFF" + (36).to_bytes(4, "little") + b"WAVEfmt " + b"\x10\0\0\0\x01\0\x01\0" + b"\0" * 12 + b"data\0\0\0\0"
BEGINNINGS = {
    "image/png": PNG,
    "image/jpeg": b"\xff\xd8\xff\xe0\0\x10JFIF",
    "image/gif": b"GIF89a\1\0\1\0",
    "image/webp": b"RIFF\x24\0\0\0WEBPVP8 ",
    "image/bmp": b"BM\x46\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0" + b"\0" * 20,
    "image/tiff": b"II*\0\x08\0\0\0",
    "image/avif": b"\0\0\0\x1cftypavif\0\0\0\0",
    "image/heic": b"\0\0\0\x18ftypheic\0\0\0\0",
    "audio/wav": WAV,
    "audio/mpeg": b"ID3\x04\0\0\0\0",
    "audio/flac": b"fLaC\0\0\0\x22",
    "audio/ogg": b"OggS\0\x02" + b"\0" * 20 + b"OpusHead",
    "audio/mp4": b"\0\0\0\x20ftypM4A \0\0\0\0",
    "audio/aiff": b"FORM\0\0\0\x20AIFFCOMM",
    "audio/aac": b"\xff\xf1\x50\x80",
    "video/mp4": b"\0\0\0\x20ftypisom\0\0\0\0",
    "video/webm": b"\x1aE\xdf\xa3\x01\0\0\0\0\0\0\x1fB\x86\x81\x01B\x82\x84webm",
    "application/pdf": b"%PDF-1.7\n",
    "application/zip": b"PK\x03\x04\x14\0",
    "text/plain": "Grüße, 世界".encode(),
    "application/octet-stream": b"\0\1\2\3\xff",
}


@pytest.mark.parametrize(("media_type", "data"), BEGINNINGS.items(), ids=BEGINNINGS)
def test_bytes_tell_what_they_are(media_type, data):
    """The part is of the kind of their media type, with the bytes as they are."""
    part = attach_sync(data)
    kinds = {"image": ImagePart, "audio": AudioPart}
    assert type(part) is kinds.get(media_type.partition("/")[0], FilePart)
    assert (part.media_type, part.data, part.url) == (media_type, data, None)


@pytest.mark.parametrize(
    ("name", "data", "media_type"),
    [
        ("cat.png", BEGINNINGS["image/jpeg"], "image/jpeg"),  # what it holds comes before what it is called
        ("notes.md", b"# Notes", "text/markdown"),
        ("table.CSV", b"a,b\n1,2", "text/csv"),
        (
            "letter.docx",
            BEGINNINGS["application/zip"],
            "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        ),
        ("archive", BEGINNINGS["application/zip"], "application/zip"),
        ("Makefile", b"all:\n", "text/plain"),
        ("data.bin", b"\0\xff", "application/octet-stream"),
        ("picture.heif", b"\0\xff", "image/heif"),
        (".png", b"text", "image/png"),
        ("png", b"text", "text/plain"),
    ],
)
async def test_a_path_is_read_and_its_bytes_come_before_its_name(tmp_path, name, data, media_type):
    """In a thread; the name stays with a file."""
    path = tmp_path / name
    path.write_bytes(data)
    part = await attach(path)
    assert (part.media_type, part.data) == (media_type, data)
    assert part == attach_sync(str(path)) == await attach(os.fspath(path))
    if isinstance(part, FilePart):
        assert part.name == name


async def test_reading_does_not_stop_the_event_loop(tmp_path, monkeypatch):
    """A file on a slow disk is waited for in a thread; bytes and URLs need none."""
    threads = []
    real = media.attach_sync

    def noted(source, **options):
        threads.append(threading.current_thread() is threading.main_thread())
        return real(source, **options)

    monkeypatch.setattr(media, "attach_sync", noted)
    path = tmp_path / "a.png"
    path.write_bytes(PNG)
    await attach(path)
    await attach(PNG)
    await attach("https://example.org/a.png")
    assert threads == [False, True, True]


@pytest.mark.parametrize(
    ("url", "part"),
    [
        ("https://example.org/a/cat.png?size=1#x", ImagePart(url="https://example.org/a/cat.png?size=1#x")),
        ("HTTP://example.org/a.jpeg", ImagePart(url="HTTP://example.org/a.jpeg", media_type="image/jpeg")),
        ("https://example.org/a.mp3", AudioPart(url="https://example.org/a.mp3", media_type="audio/mpeg")),
        ("gs://bucket/a.wav", AudioPart(url="gs://bucket/a.wav")),
        (
            "https://example.org/%E6%8A%A5%E5%91%8A.pdf",
            FilePart(url="https://example.org/%E6%8A%A5%E5%91%8A.pdf", media_type="application/pdf", name="报告.pdf"),
        ),
    ],
)
async def test_a_url_is_given_on_and_never_fetched(url, part):
    """Its path tells what it leads to."""
    assert await attach(url) == part


async def test_a_url_that_tells_nothing_needs_a_word():
    """Which kind, or which media type."""
    url = "https://example.org/show?id=1"
    with pytest.raises(InvalidInputError, match="kind='image'"):
        await attach(url)
    assert await attach(url, kind="image") == ImagePart(url=url)
    assert await attach(url, media_type="audio/wav") == AudioPart(url=url)
    assert await attach(url, kind="file", name="a.pdf") == FilePart(url=url, name="a.pdf")


@pytest.mark.parametrize("data", [PNG, b"text", bytes(range(256))])
async def test_a_data_url_is_its_bytes(data):
    """Base64 or percent-encoded; its own media type counts."""
    url = f"data:image/png;charset=x;base64,{base64.b64encode(data).decode()}"
    assert await attach(url) == ImagePart(data)
    assert (await attach("data:text/plain,a%20b")).data == b"a b"
    assert (await attach("data:,a")).media_type == "text/plain"


@pytest.mark.parametrize(
    "url", ["data:image/png;base64", "data:image/png;base64,%%%", "data:image/png;base64,A", "data:,"]
)
async def test_a_broken_data_url_is_told(url):
    """As input that cannot be used."""
    with pytest.raises(InvalidInputError, match="cannot be attached"):
        await attach(url)


async def test_what_cannot_be_read_is_told_by_its_name(tmp_path):
    """Missing, a folder, a pipe (which nobody waits for), empty, too large."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "large.png").write_bytes(PNG + b"\0" * 5000)
    cases = {
        "gone.png": "No such file",
        ".": "it is no file",
        "pipe": "it is no file",
        "empty.png": "it is empty",
        "large.png": "more than the 1,000",
        "a\0b": "null",
    }
    for name, why in cases.items():
        with pytest.raises(InvalidInputError, match=why) as caught:
            await attach(f"{tmp_path}/{name}", max_bytes=1000)
        assert type(caught.value) is InvalidInputError
    with pytest.raises(InvalidInputError, match="5 bytes"):
        attach_sync(b"12345", max_bytes=4)
    with pytest.raises(InvalidInputError, match="it is empty"):
        attach_sync(b"")


async def test_the_kind_can_be_said():
    """An image as a file; not a PDF as an image, unless its type is said too."""
    assert await attach(PNG, kind="file", name="a.png") == FilePart(PNG, media_type="image/png", name="a.png")
    with pytest.raises(InvalidInputError, match="which is no image"):
        await attach(b"%PDF-1.7", kind="image")
    assert (await attach(b"\0\1", kind="image", media_type="image/x-odd")).media_type == "image/x-odd"
    with pytest.raises(InvalidInputError, match="kind='picture'"):
        await attach(PNG, kind="picture")


async def test_detail_is_for_images():
    """And is kept there."""
    assert (await attach(PNG, detail="low")).detail == "low"
    with pytest.raises(InvalidInputError, match="detail='low' is for images"):
        await attach(WAV, detail="low")


@given(st.binary(max_size=64), st.text(max_size=12))
def test_every_file_has_a_media_type(data, name):
    """Whatever it holds and is called."""
    assert "/" in media_type_of(data, name)
    assert by_name(name) == "" or "/" in by_name(name)


async def test_many_at_once(tmp_path):
    """Side by side, each its own."""
    for i in range(20):
        (tmp_path / f"{i}.txt").write_text(str(i))
    parts = await asyncio.gather(*(attach(Path(tmp_path, f"{i}.txt")) for i in range(20)))
    assert [p.data for p in parts] == [str(i).encode() for i in range(20)]
