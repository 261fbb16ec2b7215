"""A folder that cannot be left: every path is walked one name at a time from a descriptor of its root.

Each name is opened relative to the folder before it (`openat`) and never followed by the kernel (`O_NOFOLLOW`). Symbolic
links are read here and walked under the same rule, so one that stays inside works and one that points outside is refused.
`..` goes back to a descriptor that is held already. So it does not matter what another process renames or replaces meanwhile:
there is no moment between a check and a use. Pipes, sockets and devices are refused before they are opened.
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections import deque
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, NoReturn

from lumosai.errors import ConfigurationError, ToolError

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_LINKS = 40
# Not every system has every flag; one that lacks a needed one lacks `openat` too and is refused.
_SAFE = getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0)
_FOLDER = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | _SAFE
_FILE = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | _SAFE
_SUPPORTED = {os.open, os.stat, os.mkdir, os.unlink, os.rename, os.readlink} <= os.supports_dir_fd


class Entry(NamedTuple):
    """What a folder holds under one name.

    Attributes:
        path: from the root, with `/`.
        kind: "file", "folder", "link" or "special".
        size: of a file, in bytes.
    """

    path: str
    kind: str
    size: int


class Root:
    """The only way to the files below one folder. Holds no descriptor between calls; thread-safe.

    Args:
        folder: must exist. It is named by its real path from now on.

    Raises:
        ConfigurationError: no such folder, or a system whose files cannot be opened relative to a folder.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        if not _SUPPORTED:
            raise ConfigurationError(
                "the files toolkit needs a system that opens files relative to a folder, such as Linux or macOS"
            )
        try:
            self.folder = Path(folder).expanduser().resolve(strict=True)
            os.close(os.open(self.folder, _FOLDER))
        except OSError as error:
            raise ConfigurationError(
                f"the files toolkit cannot use {os.fspath(folder)!r}: {error.strerror}; give a folder that exists"
            ) from error

    @contextmanager
    def parent(self, path: str, *, make: bool = False) -> Iterator[tuple[int, str, str]]:
        """A descriptor of the folder that holds `path`, the name in it, and the path with its links resolved.

        The name is not a link (at the time of looking) and may not exist; it is `"."` for the root itself.

        Args:
            path: as the model gives it.
            make: make the folders on the way that are missing.

        Raises:
            ToolError: the path leaves the root or passes through what is no folder.
        """
        with ExitStack() as stack:
            yield _Walk(self.folder, path, stack, make=make).run()

    def read(self, path: str, max_bytes: int) -> bytes:
        """The whole content of a regular file.

        Raises:
            ToolError: outside, missing, not a regular file, or of more than `max_bytes`.
        """
        with self.parent(path) as (folder, name, _), _reported(path):
            _check_kind(os.stat(name, dir_fd=folder, follow_symlinks=False), path)
            with os.fdopen(os.open(name, _FILE, dir_fd=folder), "rb") as file:
                found = os.fstat(file.fileno())
                _check_kind(found, path)
                # The size may change, and is 0 for what the kernel makes up: only what was read counts.
                data = file.read(max_bytes + 1) if found.st_size <= max_bytes else b""
                if len(data) > max_bytes or found.st_size > max_bytes:
                    raise ToolError(f"{path!r} has {max(found.st_size, len(data))} bytes: at most {max_bytes} are read")
                return data

    def write(self, path: str, data: bytes) -> bool:
        """Writes a whole file, at once or not at all; True where it is a new one.

        Raises:
            ToolError: outside, or there is something else than a regular file under that name.
        """
        with self.parent(path, make=True) as (folder, name, _), _reported(path):
            mode = None
            with suppress(FileNotFoundError):
                there = os.stat(name, dir_fd=folder, follow_symlinks=False)
                _check_kind(there, path)
                mode = stat.S_IMODE(there.st_mode)
            temporary = f".{secrets.token_hex(8)}.tmp"
            try:
                _write_new(folder, temporary, data, mode)
                os.replace(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
            except BaseException:
                with suppress(OSError):
                    os.unlink(temporary, dir_fd=folder)
                raise
            return mode is None

    def entries(self, path: str) -> list[Entry]:
        """What the folder holds, by name; of a file, the file.

        Raises:
            ToolError: outside or missing.
        """
        with self.parent(path) as (folder, name, real), _reported(path):
            found = os.stat(name, dir_fd=folder, follow_symlinks=False)
            if not stat.S_ISDIR(found.st_mode):
                return [_entry(real, found)]
            inside = os.open(name, _FOLDER, dir_fd=folder)
            try:
                return _list(inside, "" if real == "." else real + "/")
            finally:
                os.close(inside)

    def walk(self, path: str, max_entries: int, *, hidden: bool = False) -> Iterator[Entry]:
        """Every entry below `path`, folder by folder in order; links are named and not followed.

        Folders whose name begins with a dot are named, and entered where `hidden` is true.

        Raises:
            ToolError: outside or missing.
        """
        found, waiting, seen = self.entries(path), deque[str](), 0
        while True:
            below: list[str] = []
            for entry in found:
                seen += 1
                if seen > max_entries:
                    return
                yield entry
                if entry.kind == "folder" and (hidden or not entry.path.rpartition("/")[2].startswith(".")):
                    below.append(entry.path)
            waiting.extendleft(reversed(below))
            if not waiting:
                return
            try:
                found = self.entries(waiting.popleft())
            except ToolError:  # deleted meanwhile, or not ours to read
                found = []


class _Walk:
    """One walk from the root to the folder of a path. `held` are the folders from the root to where it stands."""

    def __init__(self, root: Path, path: str, stack: ExitStack, *, make: bool) -> None:
        self.root = root
        self.path = path
        self.stack = stack
        self.make = make
        self.links = 0
        self.held: list[tuple[int, str]] = []
        self.todo: deque[str] = deque()

    def run(self) -> tuple[int, str, str]:
        if "\0" in self.path or any("\ud800" <= c < "\udc80" or "\udcff" < c <= "\udfff" for c in self.path):
            raise ToolError(f"{self.path!r} is not a path: it holds a character that no file name has")
        with _reported(self.path):
            self.enter(os.open(self.root, _FOLDER), "")
            self.todo.extend(self.relative(self.path))
            name = "."
            while self.todo:
                name = self.step(self.todo.popleft())
        real = "/".join([*(n for _, n in self.held[1:]), *([name] if name != "." else [])])
        return self.held[-1][0], name, real or "."

    def relative(self, path: str) -> list[str]:
        if path.startswith("/") and path.strip("/"):
            if not Path(path).is_relative_to(self.root):
                self.outside()
            path = str(Path(path).relative_to(self.root))
        return [part for part in path.split("/") if part not in ("", ".")]

    def step(self, name: str) -> str:
        """Takes one name of the path; gives what the last folder's child is called, `"."` where it is the folder."""
        folder = self.held[-1][0]
        if name == "..":
            self.leave()
            return "."
        try:
            found = os.stat(name, dir_fd=folder, follow_symlinks=False)
        except FileNotFoundError:
            if not self.todo:
                return name
            if not self.make:
                raise
            with suppress(FileExistsError):  # made by another call meanwhile
                os.mkdir(name, dir_fd=folder)
            found = os.stat(name, dir_fd=folder, follow_symlinks=False)
        if stat.S_ISLNK(found.st_mode):
            self.follow(os.readlink(name, dir_fd=folder))
            return "."
        if not self.todo and not stat.S_ISDIR(found.st_mode):
            return name
        self.enter(os.open(name, _FOLDER, dir_fd=folder), name)
        return "."

    def enter(self, folder: int, name: str) -> None:
        self.stack.callback(os.close, folder)
        self.held.append((folder, name))

    def leave(self) -> None:
        if len(self.held) == 1:
            self.outside()
        self.held.pop()

    def follow(self, target: str) -> None:
        self.links += 1
        if self.links > MAX_LINKS:
            raise ToolError(f"{self.path!r} has more than {MAX_LINKS} symbolic links on its way")
        if target.startswith("/"):
            if not Path(target).is_relative_to(self.root):
                self.outside()
            del self.held[1:]
        self.todo.extendleft(reversed(self.relative(target)))

    def outside(self) -> NoReturn:
        raise ToolError(
            f"{self.path!r} is outside the folder of these tools: give a path below it, such as 'notes/a.txt'"
        )


def _write_new(folder: int, name: str, data: bytes, mode: int | None) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _SAFE
    with os.fdopen(os.open(name, flags, 0o666, dir_fd=folder), "wb") as file:
        if mode is not None:
            os.fchmod(file.fileno(), mode)
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _check_kind(found: os.stat_result, path: str) -> None:
    if stat.S_ISDIR(found.st_mode):
        raise ToolError(f"{path!r} is a folder, not a file")
    if not stat.S_ISREG(found.st_mode):
        raise ToolError(f"{path!r} is not a regular file but a pipe, socket, device or link: it is not opened")


def _list(folder: int, prefix: str) -> list[Entry]:
    entries = []
    with os.scandir(folder) as found:
        for each in found:
            with suppress(FileNotFoundError):  # deleted while we look
                entries.append(_entry(prefix + each.name, each.stat(follow_symlinks=False)))
    return sorted(entries)


def _entry(path: str, found: os.stat_result) -> Entry:
    kinds = {stat.S_IFREG: "file", stat.S_IFDIR: "folder", stat.S_IFLNK: "link"}
    return Entry(path, kinds.get(stat.S_IFMT(found.st_mode), "special"), found.st_size)


@contextmanager
def _reported(path: str) -> Iterator[None]:
    """The system's errors as ours, naming the path as the model gave it and no other."""
    try:
        yield
    except FileNotFoundError:
        raise ToolError(f"there is no {path!r}: look at what is there with list_files") from None
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise ToolError(f"{path!r} changed into a symbolic link while it was opened") from None
        raise ToolError(f"cannot use {path!r}: {error.strerror}") from None
