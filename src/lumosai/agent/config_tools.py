"""Tools by name: what the texts in a configuration's `tools` stand for.

A text is a built-in toolkit, `calculator` or `files:docs`, or else with a colon an import path, `package.module:name`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from lumosai.agent.config_import import imported
from lumosai.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Sequence

_WITH_PATH = ("files", "files-write", "csv", "json")
"""Toolkits whose name is followed by a path."""


def import_tools(names: Sequence[Any], directory: str | None = None) -> tuple[Any, ...]:
    """The tools that the names stand for, in order. What is not a text is passed on as it is.

    Args:
        names: built-in toolkits, import paths, or tools themselves. An import path may name one tool or a list.
        directory: put in front of `sys.path`, as Python does for a script, so that a project's own modules are found.

    Raises:
        ConfigurationError: a name cannot be found, or what it names is no tool.
    """
    if not any(isinstance(name, str) for name in names):
        return tuple(names)
    from lumosai.tools.toolkits import BUILTIN, from_name

    found: list[Any] = []
    for name in names:
        if not isinstance(name, str):
            found.append(name)
        elif ":" in name and name.partition(":")[0].strip().lower() not in BUILTIN:
            found.extend(_imported(name, directory))
        else:
            found.extend(from_name(name))
    return tuple(found)


def placed(names: Sequence[Any], directory: Path) -> tuple[Any, ...]:
    """The names of a file that stands in `directory`: the relative paths of toolkits begin there."""
    return tuple(_placed(name, directory) if isinstance(name, str) else name for name in names)


def _placed(name: str, directory: Path) -> str:
    kind, colon, path = name.partition(":")
    if not colon or not path.strip() or kind.strip().lower() not in _WITH_PATH:
        return name
    return f"{kind}:{directory / Path(path.strip()).expanduser()}"


def _imported(path: str, directory: str | None) -> Sequence[Any]:
    from lumosai.tools.toolkits import BUILTIN

    found = _several(imported(path, "tool", directory, BUILTIN))
    for item in found:
        if not callable(item) and not hasattr(item, "definition"):
            raise ConfigurationError(f"tool {path!r} is {item!r}: neither a tool nor a function")
    return found


def _several(found: Any) -> Sequence[Any]:
    return found if isinstance(found, list | tuple) else (found,)
