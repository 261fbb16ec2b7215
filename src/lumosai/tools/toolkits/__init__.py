"""Tools that come with Lumosai, each a real one.

| name | tools | for |
|---|---|---|
| `calculator` | `calculator` | exact arithmetic |
| `clock` | `clock` | the current date and time in any zone |
| `dates` | `add_to_date`, `days_between` | sums with dates |
| `files:PATH` | `list_files`, `read_file`, `search_files` | the text files below a folder |
| `files-write:PATH` | those, `write_file`, `edit_file` | changing them too |
| `http:HOSTS` | `fetch` | pages and APIs of the hosts that are named, by commas |
| `http-private:HOSTS` | `fetch` | the same, inner networks included |
| `csv:PATH` | `query_table` | SQL over a CSV file or a folder of them |
| `json:PATH` | `query_json` | JMESPath over a JSON file or a folder of them |

`from_name("files:docs")` gives the tools of such a name, as configuration files and `--tools` do. In Python call `files`, `http`,
`tables` and `documents`, which take more settings, or use `calculator`, `clock`, `add_to_date` and `days_between` as they are.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from lumosai.errors import ConfigurationError
from lumosai.tools.toolkits._text import did_you_mean
from lumosai.tools.toolkits.calculator import calculator
from lumosai.tools.toolkits.clock import add_to_date, clock, days_between
from lumosai.tools.toolkits.documents import documents
from lumosai.tools.toolkits.files import files
from lumosai.tools.toolkits.http import http
from lumosai.tools.toolkits.tables import tables

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lumosai.tools.base import Tool

__all__ = [
    "BUILTIN",
    "add_to_date",
    "calculator",
    "clock",
    "days_between",
    "documents",
    "files",
    "from_name",
    "http",
    "tables",
]


def _hosts(text: str) -> list[str]:
    return [host.strip() for host in text.split(",") if host.strip()]


_PLAIN: dict[str, list[Tool]] = {
    "calculator": [calculator],
    "clock": [clock],
    "dates": [add_to_date, days_between],
}
_OF: dict[str, tuple[str, Callable[[str], list[Tool]]]] = {
    "files": ("PATH", files),
    "files-write": ("PATH", lambda path: files(path, write=True)),
    "http": ("HOST", lambda hosts: http(_hosts(hosts))),
    "http-private": ("HOST", lambda hosts: http(_hosts(hosts), allow_private=True)),
    "csv": ("PATH", tables),
    "json": ("PATH", documents),
}


def _factory(name: str) -> Callable[[str], list[Tool]]:
    def make(argument: str = "") -> list[Tool]:
        plain = _PLAIN.get(name)
        if plain is not None:
            if argument:
                raise ConfigurationError(f"the toolkit {name!r} takes nothing after it: write {name!r}")
            return [*plain]
        what, build = _OF[name]
        if not argument.strip():
            raise ConfigurationError(f"the toolkit {name!r} needs a {what.lower()}: write '{name}:{what}'")
        return build(argument)

    return make


BUILTIN: Mapping[str, Callable[[str], list[Tool]]] = MappingProxyType(
    {name: _factory(name) for name in [*_PLAIN, *_OF]}
)
"""Each toolkit by its name: a function of what stands behind the colon, or of an empty text, that gives its tools."""


def from_name(spec: str) -> list[Tool]:
    """The tools of a built-in toolkit: `calculator`, `clock`, `files:PATH`, `http:HOST,HOST`, `csv:PATH`, `json:PATH` and so on.

    Raises:
        ConfigurationError: no such toolkit (with names that look like it), or one that cannot be made of what follows it.
        MissingExtraError: a library that it needs is not installed.
    """
    name, _, argument = spec.strip().partition(":")
    make = BUILTIN.get(name.strip().lower())
    if make is None:
        shown = ", ".join([*_PLAIN, *(f"{n}:{what}" for n, (what, _) in _OF.items())])
        raise ConfigurationError(f"there is no toolkit {name!r}; there are {shown}.{did_you_mean(name, BUILTIN)}")
    return make(argument)
