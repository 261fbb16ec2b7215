"""The processors that come along, by the names that a configuration has for them."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any, Final

from lumosai.errors import ConfigurationError
from lumosai.memory.processors import Clamp, Deduplicate, MessageLimit, RoleFilter, TokenBudget, ToolCallFilter
from lumosai.memory.summary import Summary

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

PROCESSORS: Final[dict[str, tuple[Callable[..., Any], str]]] = {
    "clamp": (Clamp, ""),
    "deduplicate": (Deduplicate, ""),
    "message-limit": (MessageLimit, ""),
    "role-filter": (RoleFilter, "roles"),
    "summary": (Summary, ""),
    "token-budget": (TokenBudget, ""),
    "tool-call-filter": (ToolCallFilter, "names"),
}
"""By name: what makes it, and the option that is a list of what it takes by position."""


def named(name: str, options: Mapping[str, Any]) -> Any:
    """A processor by its name, in whatever case and with `-`, `_` or nothing between its words.

    Raises:
        ConfigurationError: there is none of that name, or it does not take these options.
    """
    plain = {key.replace("-", ""): key for key in PROCESSORS}
    key = plain.get(name.lower().replace("-", "").replace("_", ""))
    if key is None:
        near = difflib.get_close_matches(name, PROCESSORS, n=1, cutoff=0.6)
        hint = f" (did you mean {near[0]!r}?)" if near else ""
        raise ConfigurationError(
            f"there is no processor {name!r}{hint}; there is {', '.join(PROCESSORS)}, and one of your own by its import "
            "path, 'package.module:name'"
        )
    make, several = PROCESSORS[key]
    rest = dict(options)
    listed = rest.pop(several, ()) if several else ()
    if isinstance(listed, str):
        listed = (listed,)
    try:
        return make(*listed, **rest)
    except TypeError as error:
        raise ConfigurationError(f"processor {name!r} cannot be made with {dict(options)}: {error}") from None
