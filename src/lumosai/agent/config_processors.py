"""Processors of the context plan by name: what the entries of a configuration's `processors` stand for.

An entry is a text, or a table of a `name` and options. The name is one of `lumosai.memory`'s own ("tool-call-filter"), or
else with a colon an import path ("package.module:name"): of a function over the plan, or of what makes one, where there
are options or it is a class.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from lumosai.agent.config_import import imported
from lumosai.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Sequence


def processors_of(entries: Sequence[Any], directory: str | None = None) -> tuple[Any, ...]:
    """For `open_memory`: a processor of one's own as it is, one of the memory's as its name and options.

    Args:
        entries: what stands in the configuration; in Python a processor may be the function itself.
        directory: where import paths begin, besides the usual places.

    Raises:
        ConfigurationError: an entry is neither, or what it names cannot be imported or made.
    """
    return tuple([_one(entry, directory) for entry in entries])


def _one(entry: Any, directory: str | None) -> Any:
    if callable(entry):
        return entry
    name, options = entry, dict[str, Any]()
    if isinstance(entry, Mapping):
        options = dict(entry)
        name = options.pop("name", None)
    if not isinstance(name, str) or not name.strip():
        raise ConfigurationError(
            f"processor {entry!r}: it is a name, such as 'deduplicate' or 'package.module:name', or a table with a `name`"
        )
    if ":" not in name:
        return name.strip(), options
    found = imported(name.strip(), "processor", directory)
    if options or isinstance(found, type):
        try:
            found = found(**options)
        except Exception as error:  # the user's own: it may raise anything
            msg = f"processor {name!r} cannot be made with {options}: {type(error).__name__}: {error}"
            raise ConfigurationError(msg) from error
    if not callable(found):
        raise ConfigurationError(f"processor {name!r} is {found!r}, which cannot be called with a plan")
    return found
