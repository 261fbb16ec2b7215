"""Tools: described, typed, callable effects.

`base` says what a tool is and how one is made; `execute` is the one place where a model's call of one is checked and run;
`toolkits` holds the tools that come with Lumosai. Names here are resolved on first use, so that importing one part does not
load the others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lumosai.errors import ToolError
    from lumosai.tools.base import Tool, ToolContext, as_tool, check_names, tool

__all__ = ["Tool", "ToolContext", "ToolError", "as_tool", "check_names", "tool"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        from lumosai import errors
        from lumosai.tools import base

        return getattr(errors if name == "ToolError" else base, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
