"""What a docstring says: of the whole, and of each parameter. Google, NumPy and Sphinx styles; the only user of its parser."""

from __future__ import annotations

import inspect
import re
from typing import Any, NamedTuple

_SECTIONS = re.compile(
    r"^\s*(?:(?:Args|Arguments|Params|Parameters|Attributes|Keyword Args|Keyword Arguments|Other Parameters|Returns?|Yields?"
    r"|Raises|Examples?|Notes?|See Also|References|Warnings?|Warns)\s*:?\s*$|[:@](?:param|parameter|arg|argument|key|keyword|"
    r"type|returns?|rtype|raises?|var|ivar|cvar|attribute)\b)",
    re.MULTILINE,
)


class Docs(NamedTuple):
    """A docstring taken apart.

    Attributes:
        description: what it says before its sections.
        parameters: what it says of each parameter or attribute.
    """

    description: str
    parameters: dict[str, str]


def docs_of(obj: Any) -> Docs:
    """The docstring of a function or class, taken apart. A plain text is all description.

    A partial has its function's, an object that can be called its own, else that of its `__call__`.
    """
    while hasattr(obj, "func") and hasattr(obj, "keywords"):  # functools.partial
        obj = obj.func
    text = obj.__doc__
    if not text and not inspect.isroutine(obj) and not isinstance(obj, type):
        text = type(obj).__call__.__doc__
    return parsed(inspect.cleandoc(text) if isinstance(text, str) else "")


def parsed(text: str) -> Docs:
    """A cleaned docstring, taken apart."""
    if not _SECTIONS.search(text):  # most tools have one line, which needs no parser
        return Docs(text.strip(), {})
    from docstring_parser import ParseError, parse

    try:
        doc = parse(text)
    except ParseError:
        return Docs(text.strip(), {})
    parts = (doc.short_description, doc.long_description)
    description = "\n\n".join(part.strip() for part in parts if part)
    parameters = {p.arg_name: " ".join((p.description or "").split()) for p in doc.params if p.description}
    return Docs(description, parameters)
