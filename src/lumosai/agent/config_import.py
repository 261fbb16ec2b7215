"""What import paths of a configuration name: `package.module:name`. Nothing is imported before an agent is built."""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any

from lumosai.agent.config_schema import near
from lumosai.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable


def imported(path: str, what: str, directory: str | None = None, known: Iterable[str] = ()) -> Any:
    """What an import path names.

    Args:
        path: it.
        what: the word for it in errors, such as "tool".
        directory: put in front of `sys.path`, as Python does for a script, so that a project's own modules are found.
        known: words that could have been meant in its place.

    Raises:
        ConfigurationError: it cannot be imported, or is not there.
    """
    module_name, _, attributes = path.partition(":")
    if not module_name or not attributes:
        raise ConfigurationError(f"{what} {path!r}: an import path has the form 'package.module:name'")
    if directory is not None and directory not in sys.path:
        sys.path.insert(0, directory)
    try:
        found: Any = importlib.import_module(module_name)
    except Exception as error:  # the module is the user's: it may raise anything while it is imported
        hint = near(module_name, known) if isinstance(error, ModuleNotFoundError) else ""
        msg = f"{what} {path!r}: {module_name} cannot be imported: {_reason(error)}{hint}"
        raise ConfigurationError(msg) from error
    for attribute in attributes.split("."):
        try:
            found = getattr(found, attribute)
        except AttributeError:
            public = [n for n in vars(found) if not n.startswith("_")] if hasattr(found, "__dict__") else []
            hint = near(attribute, public)
            raise ConfigurationError(f"{what} {path!r}: {module_name} has no {attribute!r}{hint}") from None
    return found


def _reason(error: BaseException) -> str:
    if isinstance(error, ModuleNotFoundError):
        return f"there is no module {error.name!r}"
    return f"{type(error).__name__}: {error}"
