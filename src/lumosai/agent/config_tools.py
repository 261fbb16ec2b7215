"""Tools by name: what the texts in a configuration's `tools` stand for.

A text is a built-in toolkit, `calculator` or `files:docs`, or else with a colon an import path, `package.module:name`.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lumosai.agent.config_schema import near
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
            if directory is not None and directory not in sys.path:
                sys.path.insert(0, directory)
            found.extend(_imported(name))
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


def _imported(path: str) -> Sequence[Any]:
    from lumosai.tools.toolkits import BUILTIN

    module_name, _, attributes = path.partition(":")
    if not module_name or not attributes:
        raise ConfigurationError(f"tool {path!r}: an import path has the form 'package.module:name'")
    try:
        found: Any = importlib.import_module(module_name)
    except Exception as error:  # the module is the user's: it may raise anything while it is imported
        hint = near(module_name, BUILTIN) if isinstance(error, ModuleNotFoundError) else ""
        raise ConfigurationError(f"tool {path!r}: {module_name} cannot be imported: {_reason(error)}{hint}") from error
    for attribute in attributes.split("."):
        try:
            found = getattr(found, attribute)
        except AttributeError:
            public = [n for n in vars(found) if not n.startswith("_")] if hasattr(found, "__dict__") else []
            hint = near(attribute, public)
            raise ConfigurationError(f"tool {path!r}: {module_name} has no {attribute!r}{hint}") from None
    for item in _several(found):
        if not callable(item) and not hasattr(item, "definition"):
            raise ConfigurationError(f"tool {path!r} is {item!r}: neither a tool nor a function")
    return _several(found)


def _several(found: Any) -> Sequence[Any]:
    return found if isinstance(found, list | tuple) else (found,)


def _reason(error: BaseException) -> str:
    if isinstance(error, ModuleNotFoundError):
        return f"there is no module {error.name!r}"
    return f"{type(error).__name__}: {error}"
