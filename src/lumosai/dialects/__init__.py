"""Tool calls that a model writes as text: one dialect a file, and the parser that finds them in a stream.

    parsed = parse(answer, tools=[...])            # a whole text
    parser = DialectParser(tools=[...])            # a stream: feed(chunk), then close()

`DIALECTS` holds all, in the order in which they are asked; `base` says what one is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lumosai.dialects.base import Dialect, ParsedText
from lumosai.dialects.catalogue import DIALECTS, get
from lumosai.dialects.parser import DialectParser

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lumosai.records import HasDefinition, ToolDefinition

__all__ = ["DIALECTS", "Dialect", "DialectParser", "ParsedText", "get", "parse"]


def parse(text: str, *, tools: Sequence[ToolDefinition | HasDefinition], dialect: str = "auto") -> ParsedText:
    """A whole text taken apart: what is left for the user, and the calls.

    Args:
        text: a model's answer.
        tools: what may be called.
        dialect: the name of the one in which calls are written; "auto" recognises all.

    Raises:
        ConfigurationError: no dialect has that name.
    """
    parser = DialectParser(tools=tools, dialect=dialect)
    items = [*parser.feed(text), *parser.close()]
    calls = tuple(item for item in items if not isinstance(item, str))
    return ParsedText("".join(item for item in items if isinstance(item, str)), calls)
