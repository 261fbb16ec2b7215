"""Configuration files: finding one, reading it, and refusing what it may not say, with file, line and key.

A `Document` is the text's plain values, `${VAR}` still unresolved, plus where each stands. The top of a file holds the
defaults of all its agents; `[agents.NAME]` tables, or one `[agent]`, hold what differs. A file with neither describes
one agent by itself.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from lumosai.agent.config_lines import toml_lines
from lumosai.agent.config_schema import AGENT, LIMITS, MODEL, RECALL, RETENTION, SECRET, SETTINGS, Rule, convert, near
from lumosai.errors import ConfigurationError
from lumosai.records import Limits, ModelSettings, Recall

if TYPE_CHECKING:
    from lumosai.agent.config_lines import Path as Keys

NAMES = ("lumosai.toml", "lumosai.yaml", "lumosai.yml")
"""What a configuration file is called, in the order of preference."""
MOST_BYTES = 1_000_000
DEFAULT_NAME = "assistant"
"""The name of an agent that has none."""

REFERENCE = re.compile(r"\$\$\{|\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")
"""`${VAR}` or `${VAR:-default}`; `$${` stands for a plain `${`."""
_TABLES: dict[str, dict[str, Rule]] = {
    "settings": SETTINGS,
    "limits": LIMITS,
    "retention": RETENTION,
    "recall": RECALL,
    "model": MODEL,
}


class Document(NamedTuple):
    """A configuration as it is written.

    Attributes:
        data: its plain values, references unresolved.
        lines: the line of each key and item; empty where it was not a file.
        path: the file, None for a mapping.
    """

    data: dict[str, Any]
    lines: dict[Keys, int]
    path: Path | None

    def where(self, keys: Keys) -> str:
        """`lumosai.toml:12`, or "the mapping" where there is no file."""
        if self.path is None:
            return "the mapping"
        while keys and keys not in self.lines:
            keys = keys[:-1]
        line = self.lines.get(keys)
        return f"{shown_path(self.path)}:{line}" if line else shown_path(self.path)

    def names(self) -> tuple[str, ...]:
        """The agents it describes, in its order."""
        if "agents" in self.data:
            return tuple(self.data["agents"])
        table = self.data.get("agent", self.data)
        return (table.get("name", DEFAULT_NAME),)

    def tables(self, name: str) -> tuple[tuple[Keys, dict[str, Any]], ...]:
        """The tables that describe one agent, the strongest first: its own, then the defaults at the top."""
        top: dict[str, Any] = {k: v for k, v in self.data.items() if k not in ("agent", "agents")}
        if "agents" in self.data:
            return (("agents", name), self.data["agents"][name]), ((), top)
        if "agent" in self.data:
            return (("agent",), self.data["agent"]), ((), top)
        return (((), top),)

    def fail(self, keys: Keys, problem: str) -> NoReturn:
        """Raises the error that names file, line and key."""
        name = ".".join(str(k) for k in keys)
        raise ConfigurationError(f"{self.where(keys)}: {name}: {problem}" if name else f"{self.where(keys)}: {problem}")


def find(start: Path | None = None) -> tuple[Path | None, str]:
    """The configuration file nearest to `start` (the working directory), upward; and a warning, "" where there is none.

    A file above the working directory that belongs to another user is passed by, since it names code to import.

    Raises:
        ConfigurationError: two such files stand in one directory, or the working directory is no more.
    """
    here = (start or _working_directory()).absolute()
    for folder in (here, *here.parents):
        found = [folder / name for name in NAMES if (folder / name).is_file()]
        if len(found) > 1:
            both = " and ".join(f.name for f in found)
            raise ConfigurationError(f"{both} both stand in {folder}: name one by --config or LUMOSAI_CONFIG")
        if found and folder != here and not _ours(found[0]):
            way = f"--config {found[0]} uses it all the same"
            return None, f"{found[0]} belongs to another user and is passed by; {way}"
        if found:
            return found[0], ""
    return None, ""


def _working_directory() -> Path:
    try:
        return Path.cwd()
    except FileNotFoundError:
        raise ConfigurationError("the working directory was deleted: go to another one") from None


def read(source: str | os.PathLike[str]) -> Document:
    """A file's configuration, checked.

    Raises:
        ConfigurationError: it cannot be read, is not TOML or YAML, or says something it may not.
    """
    path = Path(source).expanduser()
    text = _text(path)
    document = _yaml(path, text) if path.suffix in (".yaml", ".yml") else _toml(path, text)
    check(document)
    return document


def from_mapping(data: Mapping[str, Any]) -> Document:
    """The same from plain values: an agent's keys, or a whole file's.

    Raises:
        ConfigurationError: it says something it may not.
    """
    document = Document(_plain(data), {}, None)
    check(document)
    return document


def _plain(value: Any) -> Any:
    """Mappings as dictionaries, and our own settings objects as the tables they stand for."""
    if isinstance(value, ModelSettings | Limits | Recall):
        unset = type(value)()
        return {k: v for k in value.__struct_fields__ if (v := getattr(value, k)) != getattr(unset, k)}
    if isinstance(value, Mapping):
        return {k: _plain(v) for k, v in value.items()}
    return value


def check(document: Document) -> None:
    """Refuses unknown keys, wrong types, and secrets that are written out. A short `recall` becomes its table."""
    data = document.data
    agents = data.get("agents")
    for table in (data, data.get("agent"), *(agents.values() if isinstance(agents, dict) else ())):
        if isinstance(table, dict) and isinstance(table.get("recall"), str):
            table["recall"] = {"over": table["recall"]}
    _secrets(document, (), data)
    if "agent" in data and "agents" in data:
        document.fail(("agent",), "a file has either one [agent] or [agents.NAME] tables, not both")
    alone = "agent" not in data and "agents" not in data
    top = [k for k in AGENT if k != "name" or alone]
    _table(document, (), {k: v for k, v in data.items() if k not in ("agent", "agents")}, [*top, "agent", "agents"])
    if "agent" in data:
        _table(document, ("agent",), data["agent"], [*AGENT])
    if "agents" in data:
        if not isinstance(data["agents"], dict) or not data["agents"]:
            document.fail(("agents",), "must hold at least one table, [agents.NAME]")
        for name, table in data["agents"].items():
            _table(document, ("agents", name), table, [k for k in AGENT if k != "name"])


def shown_path(path: Path) -> str:
    """The path as a person would name it from here."""
    try:
        return str(path.absolute().relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def _table(document: Document, keys: Keys, table: Any, allowed: list[str]) -> None:
    if not isinstance(table, dict):
        document.fail(keys, f"must be a table, not {table!r}; it may hold {', '.join(allowed)}")
    for key, value in table.items():
        at = (*keys, key)
        if key not in allowed:
            document.fail(at, f"there is no such key{near(str(key), allowed)}; allowed here: {', '.join(allowed)}")
        inner = _TABLES.get(key)
        if inner is not None and (isinstance(value, dict) or key != "model"):
            _inner(document, at, value, inner)
        else:
            check_value(document, at, AGENT[key], value)


def _inner(document: Document, keys: Keys, table: Any, rules: dict[str, Rule]) -> None:
    if not isinstance(table, dict):
        document.fail(keys, f"must be a table, not {table!r}; it may hold {', '.join(rules)}")
    for key, value in table.items():
        if key not in rules:
            document.fail(
                (*keys, key), f"there is no such key{near(str(key), rules)}; allowed here: {', '.join(rules)}"
            )
        check_value(document, (*keys, key), rules[key], value)
    if rules is MODEL and not table.get("name"):
        document.fail(keys, f"needs a name: {MODEL['name'].allowed}")


def check_value(document: Document, keys: Keys, rule: Rule, value: Any) -> None:
    """Refuses a value of the wrong type. One with a reference in it is checked when that is known."""
    if isinstance(value, str) and REFERENCE.search(value):
        return
    if document.path is None and keys[-1:] in (("tools",), ("processors",)):
        return  # in Python a tool, or a processor, may be the function itself
    if document.path is None and keys[-1:] == ("model",) and hasattr(value, "stream"):
        return  # in Python a model may be the object itself
    try:
        convert(rule, value)
    except ValueError as error:
        document.fail(keys, f"{error}; allowed: {rule.allowed}")


def _secrets(document: Document, keys: Keys, value: Any) -> None:
    if isinstance(value, dict):
        for key, inner in value.items():
            if SECRET.search(str(key)) and isinstance(inner, str):
                _secret(document, (*keys, key), inner)
            else:
                _secrets(document, (*keys, key), inner)
    elif isinstance(value, list | tuple):
        for index, inner in enumerate(value):
            _secrets(document, (*keys, index), inner)


def _secret(document: Document, keys: Keys, value: str) -> None:
    """A secret's text must be a reference without a default, but for a word before it such as "Bearer "."""
    if document.path is None:
        return  # in Python the value is already in memory, from wherever the program keeps it
    rest = REFERENCE.sub("", value).strip()
    references = [m for m in REFERENCE.finditer(value) if m[1]]
    if not references or any(m[2] for m in references) or rest.lower() not in ("", "bearer", "basic", "token"):
        name = re.sub(r"\W", "_", str(keys[-1])).upper()
        document.fail(
            keys, f"a secret may not stand in a file: put it into an environment variable and write ${{{name}}} here"
        )


def _ours(path: Path) -> bool:
    """Whether the file is this user's or the system's. True where files have no owner."""
    getuid = getattr(os, "getuid", None)
    return getuid is None or path.stat().st_uid in (0, getuid())


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise ConfigurationError(f"{shown_path(path)} cannot be read: {error.strerror or error}") from error
    if len(data) > MOST_BYTES:
        raise ConfigurationError(f"{shown_path(path)} is larger than {MOST_BYTES} bytes: not a configuration file")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigurationError(f"{shown_path(path)}:{line}: not UTF-8: save the file as UTF-8") from error


def _toml(path: Path, text: str) -> Document:
    try:
        data = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        match = re.search(r" \(at line (\d+), column (\d+)\)", str(error))
        line = match[1] if match else text.count("\n") + 1
        problem = str(error).replace(match[0], "") if match else str(error).removesuffix(" (at end of document)")
        raise ConfigurationError(f"{shown_path(path)}:{line}: not valid TOML: {problem}") from error
    return Document(data, toml_lines(text), path)


def _yaml(path: Path, text: str) -> Document:
    from lumosai.agent.config_yaml import YamlError, read_yaml

    try:
        data, lines = read_yaml(text)
    except (YamlError, RecursionError) as error:
        line = getattr(error, "line", 1)
        raise ConfigurationError(f"{shown_path(path)}:{line}: not valid YAML: {error}") from error
    if data is None:
        data = {}
    if not isinstance(data, dict):
        raise ConfigurationError(f"{shown_path(path)}:1: must hold keys and values, not {type(data).__name__}")
    return Document(data, lines, path)
