"""Tools by name: what the texts in a configuration's `tools` stand for.

A text with a colon is an import path, `package.module:name`; any other is a built-in toolkit.
"""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any

from lumosai.agent.config_schema import near
from lumosai.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Sequence


def import_tools(names: Sequence[Any], directory: str | None = None) -> tuple[Any, ...]:
    """The tools that the names stand for, in order. What is not a text is passed on as it is.

    Args:
        names: built-in toolkits, import paths, or tools themselves. An import path may name one tool or a list.
        directory: put in front of `sys.path`, as Python does for a script, so that a project's own modules are found.

    Raises:
        ConfigurationError: a name cannot be found, or what it names is no tool.
    """
    if directory is not None and any(isinstance(n, str) and ":" in n for n in names) and directory not in sys.path:
        sys.path.insert(0, directory)
    found: list[Any] = []
    for name in names:
        if not isinstance(name, str):
            found.append(name)
        elif ":" in name:
            found.extend(_imported(name))
        else:
            found.extend(_built_in(name))
    return tuple(found)


def _built_in(name: str) -> Sequence[Any]:
    from lumosai.tools.toolkits import from_name

    return _several(from_name(name))


def _imported(path: str) -> Sequence[Any]:
    module_name, _, attributes = path.partition(":")
    if not module_name or not attributes:
        raise ConfigurationError(f"tool {path!r}: an import path has the form 'package.module:name'")
    try:
        found: Any = importlib.import_module(module_name)
    except Exception as error:  # the module is the user's: it may raise anything while it is imported
        raise ConfigurationError(f"tool {path!r}: {module_name} cannot be imported: {_reason(error)}") from error
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
