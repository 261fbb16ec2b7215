"""The files toolkit: what is below its folder, and nothing else on the machine."""

from __future__ import annotations

import os
import random
import socket
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lumosai.errors import ConfigurationError, ToolError
from lumosai.tools.toolkits import _rooted
from lumosai.tools.toolkits.files import files, glob
from tests.conftest import examples

SECRET = "the secret outside"


class Kit:
    """The tools by name, and the folder they are for."""

    def __init__(self, root: Path, **options: Any) -> None:
        self.root = root
        self.tools = {tool.name: tool for tool in files(root, write=True, **options)}

    def __getattr__(self, name: str) -> Callable[..., str]:
        return self.tools[name]


@pytest.fixture
def kit(tmp_path: Path) -> Kit:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.txt").write_text(SECRET)
    root = tmp_path / "root"
    (root / "docs").mkdir(parents=True)
    (root / "a.txt").write_text("one\ntwo\nthree\n")
    (root / "docs" / "b.md").write_text("# Title\nTwo words\n")
    return Kit(root)


def refused(call: Callable[..., str], *args: Any, **kwargs: Any) -> str:
    with pytest.raises(ToolError) as caught:
        call(*args, **kwargs)
    return str(caught.value)


def test_without_write_nothing_can_be_changed(tmp_path: Path) -> None:
    """The tools that change files are there only where they were asked for."""
    assert [t.name for t in files(tmp_path)] == ["list_files", "read_file", "search_files"]
    assert [t.name for t in files(tmp_path, write=True)][3:] == ["write_file", "edit_file"]


def test_changes_can_need_approval(tmp_path: Path) -> None:
    """`approval` is that of the tools that change files, not of those that read."""
    by_name = {t.name: t.approval for t in files(tmp_path, write=True, approval=True)}
    assert by_name == {
        "list_files": False,
        "read_file": False,
        "search_files": False,
        "write_file": True,
        "edit_file": True,
    }


@pytest.mark.parametrize("root", ["missing", "a.txt"])
def test_root_that_is_no_folder(kit: Kit, root: str) -> None:
    """A root that cannot be used is found when the tools are made."""
    with pytest.raises(ConfigurationError, match=root):
        files(kit.root / root)


def test_size_limit_of_nothing(kit: Kit) -> None:
    """A limit under which nothing could be read is a mistake."""
    with pytest.raises(ConfigurationError, match="max_bytes=0"):
        files(kit.root, max_bytes=0)


def test_listing(kit: Kit) -> None:
    """A folder's entries are given by name, with what they are."""
    os.symlink("a.txt", kit.root / "link")
    os.mkfifo(kit.root / "pipe")
    assert kit.list_files().splitlines() == [
        "a.txt (14 bytes)",
        "docs/",
        "link (link)",
        "pipe (not a regular file)",
    ]
    assert kit.list_files("docs") == "docs/b.md (18 bytes)"
    assert kit.list_files("/") == kit.list_files(".") == kit.list_files("")
    assert kit.list_files("a.txt") == "a.txt (14 bytes)"


def test_finding_by_name(kit: Kit) -> None:
    """A pattern finds names in a folder, and with `**` in all below it."""
    (kit.root / "docs" / "deep").mkdir()
    (kit.root / "docs" / "deep" / "c.md").write_text("c")
    (kit.root / ".git").mkdir()
    (kit.root / ".git" / "d.md").write_text("d")
    assert kit.list_files(pattern="**/*.md").splitlines() == ["docs/b.md (18 bytes)", "docs/deep/c.md (1 bytes)"]
    assert kit.list_files("docs", pattern="*.md") == "docs/b.md (18 bytes)"
    assert kit.list_files(pattern=".git/*") == ".git/d.md (1 bytes)"
    assert kit.list_files(pattern="*.py") == "nothing in '.' fits '*.py'"


def test_long_listing_is_cut_and_says_so(kit: Kit) -> None:
    """No listing floods the model's context."""
    for i in range(250):
        (kit.root / "docs" / f"{i:03}").touch()
    lines = kit.list_files("docs").splitlines()
    assert len(lines) == 201
    assert lines[-1] == "[51 more; give a narrower pattern or path]"


def test_reading(kit: Kit) -> None:
    """Lines are given from where and as many as asked, with where they are."""
    assert kit.read_file("a.txt") == "one\ntwo\nthree"
    assert kit.read_file("./docs/../a.txt") == "one\ntwo\nthree"
    assert kit.read_file(str(kit.root / "a.txt")) == "one\ntwo\nthree"
    assert kit.read_file("a.txt", start=2, lines=1) == "two\n[lines 2-2 of 3; go on with start=3]"
    assert kit.read_file("a.txt", start=-1) == "three\n[lines 3-3 of 3]"
    assert "there is no line 9" in refused(kit.read_file, "a.txt", start=9)
    assert "lines must be 1 or more" in refused(kit.read_file, "a.txt", lines=0)
    (kit.root / "empty").touch()
    assert kit.read_file("empty") == "[the file is empty]"


def test_long_text_is_cut_and_says_so(kit: Kit) -> None:
    """Neither a long file nor a long line floods the model's context; each says how to go on."""
    (kit.root / "long").write_text("x" * 5000 + "\n" + ("y" * 99 + "\n") * 1000)
    text = kit.read_file("long", lines=9999)
    assert len(text) < 21_500
    assert "[4000 more characters in this line]" in text
    last = int(text.rsplit("start=", 1)[1].rstrip("]"))
    assert kit.read_file("long", start=last, lines=1).startswith("yyy")


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ("汉字 text\n".encode(), "汉字 text"),
        (b"\xef\xbb\xbfmarked\n", "marked"),
        ("汉字，文件\n".encode("gb18030"), "汉字，文件\n[encoding gb18030]"),
        ("汉字\n".encode("utf-16"), "汉字\n[encoding utf-16]"),
        ("naïve café\n".encode("latin-1"), "naïve café\n[encoding latin-1]"),
        (b"windows\r\nlines\r\n", "windows\nlines"),
    ],
)
def test_encodings(kit: Kit, data: bytes, text: str) -> None:
    """Text is read in whichever usual encoding it is in."""
    (kit.root / "t").write_bytes(data)
    assert kit.read_file("t") == text


@pytest.mark.parametrize("data", [b"\x89PNG\r\n\x1a\n\x00\x00", b"\x00" * 9, os.urandom(4096), b"MZ\x01\x02"])
def test_binary_file(kit: Kit, data: bytes) -> None:
    """What is no text is named and not shown."""
    (kit.root / "b").write_bytes(data)
    assert f"'b' is not text but {len(data)} bytes" in refused(kit.read_file, "b")


def test_searching(kit: Kit) -> None:
    """A search gives file, line number and line, in any case of letters; binary files are passed by."""
    (kit.root / "bin").write_bytes(b"\x00two")
    assert kit.search_files("TWO").splitlines() == ["a.txt:2: two", "docs/b.md:2: Two words"]
    assert kit.search_files("two", pattern="*.md") == "docs/b.md:2: Two words"
    assert kit.search_files("two", path="docs/b.md", pattern="*.md") == "docs/b.md:2: Two words"
    assert kit.search_files("four") == "no line contains 'four'"
    assert "empty" in refused(kit.search_files, " ")
    (kit.root / "many").write_text("hit\n" * 80)
    assert kit.search_files("hit").splitlines()[-1].startswith("[the first 50 matches")


def test_search_is_bounded(kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    """A search reads only so many bytes, and says when it stopped."""
    monkeypatch.setattr(import_module("lumosai.tools.toolkits.files"), "MAX_SEARCHED", 10)
    assert "no more" in kit.search_files("two")


def test_writing(kit: Kit) -> None:
    """A file is made with its folders, or replaced whole, keeping its mode; nothing else is left behind."""
    assert kit.write_file("new/deep/c.txt", "汉") == "made 'new/deep/c.txt': 3 bytes"
    assert (kit.root / "new/deep/c.txt").read_text() == "汉"
    (kit.root / "a.txt").chmod(0o640)
    assert kit.write_file("a.txt", "x") == "replaced 'a.txt': 1 bytes"
    assert (kit.root / "a.txt").stat().st_mode & 0o777 == 0o640
    assert os.listdir(kit.root / "new" / "deep") == ["c.txt"]


def test_failed_write_leaves_the_old_file(kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that fills up in the middle costs neither the old content nor a stray file."""

    def full(fd: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(_rooted.os, "fsync", full)
    assert "No space left" in refused(kit.write_file, "a.txt", "x" * 100)
    assert (kit.root / "a.txt").read_text() == "one\ntwo\nthree\n"
    assert sorted(os.listdir(kit.root)) == ["a.txt", "docs"]


def test_editing(kit: Kit) -> None:
    """A passage that occurs once is replaced; one that does not is refused."""
    assert kit.edit_file("a.txt", "two", "2") == "changed 'a.txt' at line 2"
    assert (kit.root / "a.txt").read_text() == "one\n2\nthree\n"
    assert "does not hold" in refused(kit.edit_file, "a.txt", "two", "2")
    assert "does not hold" in refused(kit.edit_file, "a.txt", "", "2")
    (kit.root / "d").write_text("a a")
    assert "2 times" in refused(kit.edit_file, "d", "a", "b")


def test_editing_keeps_encoding_and_line_ends(kit: Kit) -> None:
    """A file stays in the encoding and with the line ends it had."""
    (kit.root / "w").write_bytes("汉字\r\n第二\r\n第三\r\n".encode("gb18030"))
    kit.edit_file("w", "字\n第二", "文\n二")
    assert (kit.root / "w").read_bytes() == "汉文\r\n二\r\n第三\r\n".encode("gb18030")
    (kit.root / "l").write_bytes("café".encode("latin-1"))
    assert "latin-1" in refused(kit.edit_file, "l", "café", "汉")


def test_sizes_are_bounded(tmp_path: Path) -> None:
    """A file above the limit is neither read nor written, whatever size it claims to have."""
    kit = Kit(tmp_path, max_bytes=100)
    (tmp_path / "big").write_bytes(b"x" * 101)
    assert "101 bytes: at most 100" in refused(kit.read_file, "big")
    assert "at most 100 are written" in refused(kit.write_file, "w", "x" * 101)
    assert "at most 100 are written" in refused(kit.write_file, "w", "汉" * 34)
    assert kit.search_files("x") == "no line contains 'x'"


@pytest.mark.parametrize(
    "path",
    [
        "../outside/secret.txt",
        "docs/../../outside/secret.txt",
        "..",
        "/etc/passwd",
        "/../etc/passwd",
        "link/secret.txt",
        "absolute/secret.txt",
        "chain/secret.txt",
        "file",
        "up/outside/secret.txt",
        "docs/in/../../outside/secret.txt",
        "{root}/../outside/secret.txt",
    ],
)
def test_nothing_outside_is_reached(kit: Kit, path: str) -> None:
    """No path and no link leads out, to read, list, search, write or edit; and no error tells what is there."""
    outside = kit.root.parent / "outside"
    os.symlink("../outside", kit.root / "link")
    os.symlink(outside, kit.root / "absolute")
    os.symlink("link", kit.root / "chain")
    os.symlink("../outside/secret.txt", kit.root / "file")
    os.symlink("docs/../..", kit.root / "up")
    os.symlink("..", kit.root / "docs" / "in")
    path = path.format(root=kit.root)
    for call, args in [
        (kit.read_file, (path,)),
        (kit.list_files, (path,)),
        (kit.search_files, ("secret", path)),
        (kit.write_file, (path, "owned")),
        (kit.edit_file, (path, "secret", "owned")),
    ]:
        message = refused(call, *args)
        assert SECRET not in message
        assert str(kit.root.parent / "outside") not in message.replace(path, "")
    assert (outside / "secret.txt").read_text() == SECRET
    assert os.listdir(outside) == ["secret.txt"]
    assert SECRET not in kit.search_files("secret")


def test_links_that_stay_inside_work(kit: Kit) -> None:
    """A link is followed where its target is below the folder, and a file is written through it."""
    os.symlink("../a.txt", kit.root / "docs" / "up.txt")
    os.symlink(kit.root / "docs", kit.root / "abs")
    os.symlink("missing.txt", kit.root / "dangling")
    assert kit.read_file("docs/up.txt") == "one\ntwo\nthree"
    assert kit.read_file("abs/b.md").startswith("# Title")
    assert kit.list_files("abs") == kit.list_files("docs")
    kit.write_file("docs/up.txt", "new")
    assert (kit.root / "a.txt").read_text() == "new"
    assert (kit.root / "docs" / "up.txt").is_symlink()
    kit.write_file("dangling", "made")
    assert (kit.root / "missing.txt").read_text() == "made"


def test_links_in_a_circle(kit: Kit) -> None:
    """A circle of links ends."""
    os.symlink("b", kit.root / "a")
    os.symlink("a", kit.root / "b")
    os.symlink(".", kit.root / "self")
    assert "more than 40 symbolic links" in refused(kit.read_file, "a")
    assert kit.read_file("self/self/self/a.txt") == "one\ntwo\nthree"
    assert kit.list_files(pattern="**/a.txt") == "a.txt (14 bytes)"


def test_special_files_are_not_opened(kit: Kit) -> None:
    """A pipe nobody writes to does not hang the call, and a socket or device is refused."""
    os.mkfifo(kit.root / "pipe")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(kit.root / "sock"))
        for name in ("pipe", "sock"):
            for call, args in [
                (kit.read_file, (name,)),
                (kit.write_file, (name, "x")),
                (kit.edit_file, (name, "a", "b")),
            ]:
                assert "not a regular file" in refused(call, *args)
    assert kit.search_files("x") == "no line contains 'x'"


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("missing.txt", "there is no 'missing.txt'"),
        ("missing/x", "there is no"),
        ("a.txt/x", "Not a directory"),
        ("docs", "is a folder"),
        (".", "is a folder"),
        ("x\0y", "no file name has"),
        ("\ud800", "no file name has"),
        ("n" * 300, "File name too long"),
    ],
)
def test_paths_that_cannot_be_read(kit: Kit, path: str, message: str) -> None:
    """The error names the path as it was given and what is wrong with it."""
    assert message in refused(kit.read_file, path)


def test_name_that_is_no_text(kit: Kit) -> None:
    """A name of bytes that are no UTF-8 can be listed and sent."""
    with open(os.fsencode(kit.root / "docs") + b"/\xff.txt", "w"):
        pass
    listing = kit.list_files("docs")
    assert "\\udcff.txt" in listing
    listing.encode()


class Adversary:
    """Exchanges a name for something else at the worst moment: right after it was looked at (the `look`-th time)."""

    def __init__(
        self, name: str, exchange: Callable[[], None], monkeypatch: pytest.MonkeyPatch, *, look: int = 1
    ) -> None:
        self.done = 0
        looks = iter(range(1, 99))

        def looked(path: Any, **options: Any) -> os.stat_result:
            found = real(path, **options)
            if path == name and next(looks) == look:
                self.done += 1
                exchange()
            return found

        real = os.stat
        monkeypatch.setattr(_rooted.os, "stat", looked)


@pytest.mark.parametrize("target", ["../outside", "{outside}"])
@pytest.mark.parametrize("act", ["read", "write", "list"])
def test_folder_becomes_a_link_between_look_and_use(
    kit: Kit, monkeypatch: pytest.MonkeyPatch, act: str, target: str
) -> None:
    """What was a folder when it was looked at is not followed as the link it is when it is opened."""
    outside = kit.root.parent / "outside"

    def exchange() -> None:
        os.rename(kit.root / "docs", kit.root / "away")
        os.symlink(target.format(outside=outside), kit.root / "docs")

    adversary = Adversary("docs", exchange, monkeypatch)
    message = {
        "read": lambda: refused(kit.read_file, "docs/secret.txt"),
        "write": lambda: refused(kit.write_file, "docs/secret.txt", "owned"),
        "list": lambda: refused(kit.list_files, "docs"),
    }[act]()
    assert adversary.done
    assert SECRET not in message
    assert (outside / "secret.txt").read_text() == SECRET


@pytest.mark.parametrize("look", [1, 2])
@pytest.mark.parametrize("act", ["read", "write"])
def test_file_becomes_a_link_between_look_and_use(
    kit: Kit, monkeypatch: pytest.MonkeyPatch, act: str, look: int
) -> None:
    """Nor is a file: reading is refused, and writing replaces the link and not what it points to."""
    outside = kit.root.parent / "outside"

    def exchange() -> None:
        os.unlink(kit.root / "a.txt")
        os.symlink("../outside/secret.txt", kit.root / "a.txt")

    adversary = Adversary("a.txt", exchange, monkeypatch, look=look)
    if act == "read":
        assert SECRET not in refused(kit.read_file, "a.txt")
    else:
        with suppress(ToolError):
            kit.write_file("a.txt", "new")
    assert adversary.done
    assert (outside / "secret.txt").read_text() == SECRET


@pytest.mark.parametrize("look", [1, 2])
def test_file_becomes_a_pipe_between_look_and_use(kit: Kit, monkeypatch: pytest.MonkeyPatch, look: int) -> None:
    """Nor does the call hang on a pipe that takes the file's place."""

    def exchange() -> None:
        os.unlink(kit.root / "a.txt")
        os.mkfifo(kit.root / "a.txt")

    Adversary("a.txt", exchange, monkeypatch, look=look)
    assert "not a regular file" in refused(kit.read_file, "a.txt")


def test_folder_moved_away_while_it_is_walked(kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    """`..` goes back to where the walk came from, not to wherever the folder was moved meanwhile."""
    (kit.root / "docs" / "deep").mkdir()
    moved = kit.root.parent / "outside" / "deep"
    real = os.open

    def opened(path: Any, flags: int, *args: Any, **options: Any) -> int:
        fd = real(path, flags, *args, **options)
        if path == "deep":
            os.rename(kit.root / "docs" / "deep", moved)
        return fd

    monkeypatch.setattr(_rooted.os, "open", opened)
    message = refused(kit.read_file, "docs/deep/../secret.txt")
    assert message == "there is no 'docs/deep/../secret.txt': look at what is there with list_files"


def test_no_descriptor_is_left_open(kit: Kit) -> None:
    """Every descriptor is closed, after an error too."""
    for _ in range(50):
        kit.read_file("docs/b.md")
        kit.list_files(pattern="**")
        refused(kit.read_file, "docs/missing")
        refused(kit.read_file, "docs/../../x")
    assert open_below(kit.root) == []


def open_below(root: Path) -> list[str]:
    """The paths at or below a folder of which this process holds a descriptor (Linux; elsewhere none are known)."""
    found = []
    for name in os.listdir("/proc/self/fd") if os.path.isdir("/proc/self/fd") else []:
        with suppress(OSError):  # closed meanwhile: the listing's own, or another thread's
            path = os.readlink(f"/proc/self/fd/{name}")
            if Path(path).is_relative_to(root):
                found.append(path)
    return found


names = st.sampled_from(["a", "b", "..", ".", "", "up", "abs", "out", "self", "d"])


@settings(max_examples=examples(150), deadline=None)
@given(st.lists(names, min_size=1, max_size=8), st.booleans())
def test_any_path_stays_inside(tmp_path_factory: pytest.TempPathFactory, parts: list[str], leading: bool) -> None:
    """Whatever the path, a read gives what the kernel's own resolution gives inside the root, else it is refused."""
    base = tmp_path_factory.mktemp("any")
    root = base / "root"
    (root / "d" / "a").mkdir(parents=True)
    (base / "b").write_text(SECRET)
    (root / "b").write_text("inside")
    (root / "d" / "b").write_text("inside")
    os.symlink("..", root / "d" / "up")
    os.symlink("../..", root / "d" / "out")
    os.symlink("..", root / "up")
    os.symlink(root / "d", root / "abs")
    os.symlink(".", root / "self")
    path = "/" * leading + "/".join(parts)
    try:
        text = Kit(root).read_file(path)
    except ToolError as error:
        assert SECRET not in str(error)
    else:
        assert text == "inside"
        assert (root / path.lstrip("/")).resolve().is_relative_to(root.resolve())


@pytest.mark.parametrize(
    ("pattern", "path", "fits"),
    [
        ("*.py", "a.py", True),
        ("*.py", "src/a.py", False),
        ("**/*.py", "a.py", True),
        ("**/*.py", "src/x/a.py", True),
        ("src/**", "src/x/a.py", True),
        ("src/**", "other/a.py", False),
        ("src/**/test_*.py", "src/test_a.py", True),
        ("./a?.[tm]*", "ab.md", True),
        ("**", "a/b", True),
        ("a/**/b/**/c", "a/x/b/y/z/c", True),
        ("*", ".hidden", True),
    ],
)
def test_patterns(pattern: str, path: str, fits: bool) -> None:
    """A star stays within a name; two stars take any number of folders."""
    assert glob(pattern)(path) is fits


def test_hostile_pattern_ends_soon() -> None:
    """A pattern of many stars takes no exponential time."""
    fits = glob("/".join(["**", "*a*a*a*a*a*a*a*a*b"] * 20))
    rng = random.Random(1)
    assert not fits("/".join("".join(rng.choice("a") for _ in range(200)) for _ in range(50)))
