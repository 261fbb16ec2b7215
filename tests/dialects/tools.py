"""The tools that the dialects' tests declare."""

from __future__ import annotations

from lumosai.dialects import DialectParser, ParsedText
from lumosai.records import ToolDefinition


def _tool(name: str, properties: dict, *required: str, **more) -> ToolDefinition:
    schema = {"type": "object", "properties": properties, "required": list(required), **more}
    return ToolDefinition(name, f"About {name}.", schema)


TEXT, WHOLE, NUMBER = {"type": "string"}, {"type": "integer"}, {"type": "number"}

TOOLS = [
    _tool("calculator", {"expression": TEXT, "precision": WHOLE}, "expression"),
    _tool("get_weather", {"city": TEXT, "unit": {"enum": ["c", "f"], "type": "string"}}, "city"),
    _tool(
        "search",
        {"query": TEXT, "limit": WHOLE, "filters": {"type": "object"}, "tags": {"type": "array", "items": TEXT}},
        "query",
    ),
    _tool("set-light", {"on": {"type": "boolean"}, "level": {"anyOf": [NUMBER, {"type": "null"}]}}, "on"),
    _tool("ping", {}, additionalProperties=False),
    _tool("echo", {"value": {}}, "value"),
    _tool("查询天气", {"城市": TEXT}, "城市"),
]


def in_pieces(text: str, cuts: list[int], tools=TOOLS, dialect: str = "auto") -> ParsedText:
    """The text read in pieces, cut at these places."""
    parser = DialectParser(tools=tools, dialect=dialect)
    items: list = []
    start = 0
    for cut in [*sorted(cuts), len(text)]:
        items += parser.feed(text[start:cut])
        start = cut
    items += parser.close()
    content = "".join(i for i in items if isinstance(i, str))
    return ParsedText(content, tuple(i for i in items if not isinstance(i, str)))


def by_character(text: str, tools=TOOLS) -> ParsedText:
    """The text read a character at a time."""
    return in_pieces(text, list(range(1, len(text))), tools)
