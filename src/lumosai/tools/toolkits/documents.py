"""`json`: questions to JSON files in JMESPath, a small query language with a specification and a well-kept library.

The library's interpreter is run under a watch: each step looks at the clock and each value that the expression builds is
weighed, since a short expression can build one of any size.
"""

from __future__ import annotations

import json
import re
import threading
import time
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from lumosai.errors import ConfigurationError, MissingExtraError, ToolError
from lumosai.tools.base import Tool, tool
from lumosai.tools.toolkits._text import cut, decode, did_you_mean

if TYPE_CHECKING:
    import os

MAX_BYTES = 20_000_000
MAX_EXPRESSION = 2_000
MAX_WEIGHT = 2_000_000
"""How many values an answer may hold, those that are held more than once counted as often."""
SHOWN_CHARS = 20_000
SUFFIXES = (".json", ".jsonl", ".ndjson")
_BUILDING = ("multi_select", "flatten", "function")
"""The kinds of node that make values larger than what they are given."""
_CHARS_A_VALUE = 100
_OUTLINE_DEPTH = 4
_OUTLINE_KEYS = 30
_DESCRIBED_CHARS = 300


def documents(path: str | os.PathLike[str], *, max_bytes: int = MAX_BYTES, timeout_s: float = 5.0) -> list[Tool]:
    """A tool for JMESPath over a JSON file, or the files of a folder: `query_json`.

    A file of JSON lines is a list. A changed file is read again.

    Args:
        path: a file of JSON or JSON lines, or a folder of them.
        max_bytes: the largest file.
        timeout_s: seconds a query may take.

    Raises:
        ConfigurationError: no such file, or none that can be read.
        MissingExtraError: the JMESPath library is not installed.
    """
    if find_spec("jmespath") is None:
        raise MissingExtraError("the json toolkit", extra="tools")
    data = _Documents(_files(Path(path).expanduser()), max_bytes, timeout_s)
    try:
        described = data.brief()
    except ToolError as error:
        raise ConfigurationError(f"json: {error}") from error
    return [_one(data, described) if len(data.files) == 1 else _several(data, described)]


def _one(data: _Documents, described: str) -> Tool:
    @tool(effect="pure", description=f"Query a JSON document by JMESPath. {described}")
    def query_json(expression: str = "") -> str:
        """Query a JSON document by JMESPath.

        Args:
            expression: such as "users[?age > `30`].name"; empty shows the structure.
        """
        return data.query(expression, next(iter(data.files)))

    return query_json


def _several(data: _Documents, described: str) -> Tool:
    @tool(effect="pure", description=f"Query JSON documents by JMESPath. {described}")
    def query_json(file: str, expression: str = "") -> str:
        """Query JSON documents by JMESPath.

        Args:
            file: its name.
            expression: such as "users[?age > `30`].name"; empty shows the structure.
        """
        return data.query(expression, file)

    return query_json


def _files(path: Path) -> dict[str, Path]:
    if path.is_file():
        return {path.name: path}
    if not path.is_dir():
        raise ConfigurationError(f"json: there is no file {str(path)!r}")
    found = {f.name: f for f in sorted(path.iterdir()) if f.suffix.lower() in SUFFIXES and f.is_file()}
    if not found:
        raise ConfigurationError(f"json: there is no {' or '.join(SUFFIXES)} file in {str(path)!r}")
    return found


class _Documents:
    """The files by name, each with the value it had when it was last read. Thread-safe."""

    def __init__(self, files: dict[str, Path], max_bytes: int, timeout_s: float) -> None:
        self.files = files
        self.max_bytes = max_bytes
        self.timeout_s = timeout_s
        self.lock = threading.Lock()
        self.read: dict[str, tuple[tuple[int, int], Any]] = {}

    def brief(self) -> str:
        """What there is to ask, in one line."""
        if len(self.files) > 1:
            return cut(f"Files: {', '.join(self.files)}.", _DESCRIBED_CHARS)
        shape = outline(self.value(next(iter(self.files))), depth=2)
        return f"It is {shape}." if len(shape) <= _DESCRIBED_CHARS else "An empty expression shows its structure."

    def query(self, expression: str, file: str) -> str:
        """What the expression finds, as JSON; the outline where it is empty.

        Raises:
            ToolError: no such file, no JMESPath, or an answer too large or too late.
        """
        value = self.value(file)
        if not expression.strip():
            return cut(outline(value), SHOWN_CHARS)
        found = search(expression, value, self.timeout_s)
        if found is None:
            return "null (nothing is found there; an empty expression shows the structure)"
        try:
            return cut(msgspec.json.encode(found).decode(), SHOWN_CHARS, "ask for less of it")
        except (TypeError, ValueError, RecursionError):
            # An expression of its own, such as `&a`; half a character; a value nested without end.
            raise ToolError("what the expression gives cannot be written as JSON") from None

    def value(self, file: str) -> Any:
        path = self.files.get(file)
        if path is None:
            there = did_you_mean(file, self.files) or f" There are: {', '.join(self.files)}"
            raise ToolError(cut(f"there is no file {file!r}.{there}", _DESCRIBED_CHARS))
        with self.lock:
            try:
                stamp = (path.stat().st_mtime_ns, path.stat().st_size)
                if file not in self.read or self.read[file][0] != stamp:
                    self.read[file] = stamp, _load(path, self.max_bytes)
            except OSError as error:
                raise ToolError(f"cannot read {file!r}: {error.strerror}") from None
            return self.read[file][1]


def _load(path: Path, max_bytes: int) -> Any:
    with path.open("rb") as file:
        data = file.read(max_bytes + 1)
    if len(data) > max_bytes:
        raise ToolError(f"{path.name!r} has more than {max_bytes} bytes, the largest that is read")
    text = decode(data)
    if text is None:
        raise ToolError(f"{path.name!r} is not JSON but binary data")
    try:
        if path.suffix.lower() in (".jsonl", ".ndjson"):
            return [_parsed(line) for line in text[0].split("\n") if line.strip()]
        return _parsed(text[0])
    except (ValueError, RecursionError) as error:
        raise ToolError(f"{path.name!r} is not JSON that can be read: {error}") from None


def _parsed(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        # Python's own reader takes the NaN that pandas writes and the half characters that JavaScript does.
        return json.loads(text, parse_constant=lambda _: None)


def search(expression: str, value: Any, timeout_s: float) -> Any:
    """What a JMESPath expression finds in a value.

    Raises:
        ToolError: no JMESPath, a function on a wrong type, or an answer too large or too late.
    """
    if len(expression) > MAX_EXPRESSION:
        raise ToolError(f"the expression has {len(expression)} characters: at most {MAX_EXPRESSION} are read")
    library: Any = import_module("jmespath")
    # `$.users` is of JSONPath, and means the same.
    plain = re.sub(r"^\s*\$\.?", "", expression) or "@"
    try:
        return _watched(timeout_s).visit(library.compile(plain).parsed, value)
    except RecursionError:
        raise ToolError("the expression is nested too deeply") from None
    except (ArithmeticError, ValueError, TypeError, AttributeError, LookupError, Warning) as error:
        # The library's own errors are ValueErrors; besides, it lets those of Python through, and warns of old syntax.
        hint = " In a filter, numbers stand in backticks, `30`, and texts in quotes, 'x'." if "[?" in plain else ""
        raise ToolError(f"not a JMESPath expression that works here: {cut(str(error).strip(), 500)}.{hint}") from None


def _watched(timeout_s: float) -> Any:
    """The library's interpreter, with an eye on time and size."""
    interpreter: Any = import_module("jmespath.visitor").TreeInterpreter()
    deadline = time.monotonic() + timeout_s
    unwatched = interpreter.visit

    def visit(node: Any, *args: Any, **kwargs: Any) -> Any:
        if time.monotonic() > deadline:
            raise ToolError(f"the query took more than {timeout_s:g} s: ask for less")
        found = unwatched(node, *args, **kwargs)
        if node["type"].startswith(_BUILDING) and weight(found, MAX_WEIGHT) > MAX_WEIGHT:
            raise ToolError(f"the query builds more than {MAX_WEIGHT} values: ask for less")
        return found

    interpreter.visit = visit  # each node visits its children through the object
    return interpreter


def weight(value: Any, limit: int) -> int:
    """How many values there are in a value, itself counted; not looked at further beyond `limit`."""
    total, waiting = 0, [value]
    while waiting and total <= limit:
        each = waiting.pop()
        total += 1
        if isinstance(each, dict):
            waiting.extend(each.values())
        elif isinstance(each, list):
            waiting.extend(each)
        elif isinstance(each, str):
            total += len(each) // _CHARS_A_VALUE
    return total


def outline(value: Any, depth: int = _OUTLINE_DEPTH) -> str:
    """The shape of a value: `{users: list of 2 {name: string, age: number}}`."""
    if isinstance(value, dict):
        if depth == 0:
            return f"object of {len(value)}"
        keys = [f"{key}: {outline(each, depth - 1)}" for key, each in list(value.items())[:_OUTLINE_KEYS]]
        more = [f"… {len(value) - _OUTLINE_KEYS} more"] if len(value) > _OUTLINE_KEYS else []
        return "{" + ", ".join([*keys, *more]) + "}"
    if isinstance(value, list):
        return f"list of {len(value)}" + (f" {outline(value[0], max(depth - 1, 0))}" if value else "")
    return {bool: "boolean", int: "number", float: "number", str: "string", type(None): "null"}.get(
        type(value), "value"
    )
