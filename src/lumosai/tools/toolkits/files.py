"""`files`: look at, search and, where allowed, change the text files below one folder and nowhere else."""

from __future__ import annotations

import fnmatch
import re
from typing import TYPE_CHECKING, Any

from lumosai.errors import ConfigurationError, ToolError
from lumosai.tools.base import Tool, tool
from lumosai.tools.toolkits._rooted import Entry, Root
from lumosai.tools.toolkits._text import decode

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Iterator

    from lumosai.tools.base import Approve

MAX_BYTES = 5_000_000
MAX_ENTRIES = 20_000
"""How many entries a listing or search looks at."""
SHOWN_ENTRIES = 200
MAX_SEARCHED = 100_000_000
"""How many bytes one search reads."""
SHOWN_MATCHES = 50
SHOWN_MATCH = 200
SHOWN_CHARS = 20_000
"""How much text one reading gives."""
SHOWN_LINE = 1_000
"""How much of one line is shown."""


def files(
    root: str | os.PathLike[str],
    *,
    write: bool = False,
    approval: Approve = False,
    max_bytes: int = MAX_BYTES,
) -> list[Tool]:
    """Tools for the text files below a folder: `list_files`, `read_file`, `search_files`.

    Symbolic links and `..` may be used inside the folder and lead nowhere outside it, whatever changes while a call runs;
    pipes and devices are never opened.

    Args:
        root: the folder. It must exist.
        write: add `write_file` and `edit_file`. A file is replaced at once or not at all.
        approval: whether a person must agree before a file is changed; as in `Tool`.
        max_bytes: the largest file that is read or written.

    Raises:
        ConfigurationError: no such folder, or a system without `openat`.
    """
    if max_bytes < 1:
        raise ConfigurationError(f"files(max_bytes={max_bytes}): at least 1 byte must be allowed")
    folder = Root(root)
    reading = [_list_files(folder), _read_file(folder, max_bytes), _search_files(folder, max_bytes)]
    if not write:
        return reading
    return [
        *reading,
        *(made.replace(approval=approval) for made in (_write_file(folder, max_bytes), _edit_file(folder, max_bytes))),
    ]


def _list_files(root: Root) -> Tool:
    @tool(effect="pure")
    def list_files(path: str = ".", pattern: str = "") -> str:
        """List a folder, or find files by name.

        Args:
            path: the folder.
            pattern: such as "*.md" (here) or "**/*.py" (in all folders below).
        """
        entries = _matching(root, path, pattern) if pattern else iter(root.entries(path))
        return _listing(entries, f"nothing in {path!r}" + (f" fits {pattern!r}" if pattern else ""))

    return list_files


def _read_file(root: Root, max_bytes: int) -> Tool:
    @tool(effect="pure")
    def read_file(path: str, start: int = 1, lines: int = 200) -> str:
        """Read a text file.

        Args:
            path: the file.
            start: the first line wanted; negative counts from the end.
            lines: how many lines.
        """
        text, encoding = _text(root, path, max_bytes)
        return _excerpt(text, start, lines, "" if encoding.startswith("utf-8") else f"encoding {encoding}")

    return read_file


def _search_files(root: Root, max_bytes: int) -> Tool:
    @tool(effect="pure")
    def search_files(text: str, path: str = ".", pattern: str = "**") -> str:
        """Find the lines that contain a text, in any case.

        Args:
            text: what to look for.
            path: the folder or file to look in.
            pattern: which files, such as "**/*.py".
        """
        if not text.strip():
            raise ToolError("the text to look for is empty")
        return _found(_search(root, text.casefold(), path, pattern, max_bytes), text)

    return search_files


def _write_file(root: Root, max_bytes: int) -> Tool:
    @tool(effect="idempotent")
    def write_file(path: str, content: str) -> str:
        """Write a text file, replacing what it held.

        Args:
            path: the file; missing folders are made.
            content: the whole new text.
        """
        data = _encoded(content, path, max_bytes)
        return f"{'made' if root.write(path, data) else 'replaced'} {path!r}: {len(data)} bytes"

    return write_file


def _edit_file(root: Root, max_bytes: int) -> Tool:
    @tool(effect="once")
    def edit_file(path: str, old: str, new: str) -> str:
        """Replace one passage of a text file.

        Args:
            path: the file.
            old: the passage, exactly as in the file; it must occur once.
            new: what to put there.
        """
        text, encoding = _text(root, path, max_bytes)
        if "\r\n" in text and "\r\n" not in old:
            # read_file shows lines without their ends, so that is how a passage comes back.
            old, new = old.replace("\n", "\r\n"), new.replace("\n", "\r\n")
        times = text.count(old) if old else 0
        if times == 0:
            raise ToolError(f"{path!r} does not hold that passage: copy it from read_file, spaces included")
        if times > 1:
            raise ToolError(f"{path!r} holds that passage {times} times: take more of the lines around it")
        changed = text.replace(old, new)
        try:
            data = changed.encode(encoding)
        except UnicodeEncodeError:
            raise ToolError(f"{path!r} is in {encoding}, which cannot hold the new text") from None
        _check_size(len(data), path, max_bytes)
        root.write(path, data)
        return f"changed {path!r} at line {text.count(chr(10), 0, text.index(old)) + 1}"

    return edit_file


def _text(root: Root, path: str, max_bytes: int) -> tuple[str, str]:
    data = root.read(path, max_bytes)
    found = decode(data)
    if found is None:
        raise ToolError(f"{path!r} is not text but {len(data)} bytes of binary data")
    return found


def _encoded(content: str, path: str, max_bytes: int) -> bytes:
    try:
        data = content.encode()
    except UnicodeEncodeError:
        raise ToolError("the content holds half of a character (a lone surrogate) and cannot be written") from None
    _check_size(len(data), path, max_bytes)
    return data


def _check_size(size: int, path: str, max_bytes: int) -> None:
    if size > max_bytes:
        raise ToolError(f"{path!r} would have {size} bytes: at most {max_bytes} are written")


def _matching(root: Root, path: str, pattern: str) -> Iterator[Entry]:
    fits = glob(pattern)
    base = _prefix(root, path)
    hidden = any(part.startswith(".") for part in pattern.split("/"))
    return (entry for entry in root.walk(path, MAX_ENTRIES, hidden=hidden) if fits(entry.path.removeprefix(base)))


def _prefix(root: Root, path: str) -> str:
    """What the paths of the entries that `path` gives begin with, before the names a pattern is about."""
    with root.parent(path) as (_, name, real):
        # Of a file, all but its name.
        return real.removesuffix(name) if name != "." else "" if real == "." else real + "/"


def glob(pattern: str) -> Callable[[str], bool]:
    """Whether a path fits a pattern: `*`, `?` and `[…]` within a name, `**` for any number of folders."""
    parts = [p for p in pattern.removeprefix("/").split("/") if p not in ("", ".")]
    tests = [None if p == "**" else re.compile(fnmatch.translate(p)) for p in parts]
    if tests and tests[-1] is None:
        tests.append(re.compile(""))  # `src/**` means what is in there

    def fits(path: str) -> bool:
        names = path.split("/")
        # `reached[i]`: the first i tests can take exactly the names so far.
        reached = _skip([True] + [False] * len(tests), tests)
        for name in names:
            step = [False] * (len(tests) + 1)
            for i, test in enumerate(tests):
                if reached[i] and test is None:
                    step[i] = True
                elif reached[i] and test is not None and test.match(name):
                    step[i + 1] = True
            reached = _skip(step, tests)
        return reached[-1]

    return fits


def _skip(reached: list[bool], tests: list[re.Pattern[str] | None]) -> list[bool]:
    """`**` may take no name at all."""
    for i, test in enumerate(tests):
        if reached[i] and test is None:
            reached[i + 1] = True
    return reached


def _search(root: Root, wanted: str, path: str, pattern: str, max_bytes: int) -> Iterator[str]:
    left = MAX_SEARCHED
    for entry in _matching(root, path, pattern if "/" in pattern else f"**/{pattern}"):
        if entry.kind != "file" or entry.size > max_bytes:
            continue
        left -= entry.size
        if left < 0:
            yield f"[{MAX_SEARCHED} bytes were searched and no more: look in fewer files]"
            return
        try:
            text, _ = _text(root, entry.path, max_bytes)
        except ToolError:  # binary, or gone meanwhile
            continue
        if wanted in text.casefold():
            yield from _lines_with(wanted, text, _shown(entry.path))


def _lines_with(wanted: str, text: str, path: str) -> Iterator[str]:
    for number, line in enumerate(text.split("\n"), 1):
        if wanted in line.casefold():
            yield f"{path}:{number}: {line.strip()[:SHOWN_MATCH]}"


def _found(matches: Iterable[str], text: str) -> str:
    lines: list[str] = []
    for match in matches:
        if len(lines) == SHOWN_MATCHES:
            lines.append(f"[the first {SHOWN_MATCHES} matches; look in fewer files or for a longer text to see others]")
            break
        lines.append(match)
    return "\n".join(lines) or f"no line contains {text!r}"


def _listing(entries: Iterator[Entry], nothing: str) -> str:
    lines: list[str] = []
    more = 0
    for entry in entries:
        if len(lines) < SHOWN_ENTRIES:
            lines.append(_line(entry))
        else:
            more += 1
    if more:
        lines.append(f"[{more} more; give a narrower pattern or path]")
    return "\n".join(lines) or nothing


def _line(entry: Entry) -> str:
    path = _shown(entry.path)
    return {"file": f"{path} ({entry.size} bytes)", "folder": f"{path}/", "link": f"{path} (link)"}.get(
        entry.kind, f"{path} (not a regular file)"
    )


def _shown(path: str) -> str:
    """The path as text that can be sent: a byte of a name that is no UTF-8 is written out."""
    return path.encode("utf-8", "backslashreplace").decode()


def _excerpt(text: str, start: int, lines: int, note: str) -> str:
    """Some lines, and in a last one which they are where they are not all."""
    if lines < 1:
        raise ToolError(f"lines must be 1 or more, not {lines}")
    every = text.split("\n")
    if every[-1] == "":
        every.pop()
    if not every:
        return "[the file is empty]"
    first = max(len(every) + start, 0) if start < 0 else max(start - 1, 0)
    if first >= len(every):
        raise ToolError(f"the file has {len(every)} lines: there is no line {start}")
    taken: list[str] = []
    chars = 0
    for line in every[first : first + lines]:
        short = _short(line.rstrip("\r"))
        chars += len(short) + 1
        if taken and chars > SHOWN_CHARS:
            break
        taken.append(short)
    return "\n".join([*taken, *_notes(first, len(taken), len(every), note)])


def _short(line: str) -> str:
    return (
        line
        if len(line) <= SHOWN_LINE
        else f"{line[:SHOWN_LINE]}… [{len(line) - SHOWN_LINE} more characters in this line]"
    )


def _notes(first: int, taken: int, total: int, note: str) -> Iterator[str]:
    last = first + taken
    parts: list[Any] = [note] if note else []
    if first or last < total:
        parts.insert(
            0, f"lines {first + 1}-{last} of {total}" + (f"; go on with start={last + 1}" if last < total else "")
        )
    if parts:
        yield f"[{'; '.join(parts)}]"
