"""What a parser looks for at the start of a line: the openers of dialects, and of blocks in which nothing counts.

Made once for a set of tools and kept, since a parser is made for every answer of a model.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

import msgspec

from lumosai.dialects._bulk import bulk
from lumosai.dialects._frames import Frame
from lumosai.dialects._lines import STRUCTURE
from lumosai.dialects.base import Dialect
from lumosai.records import HasDefinition, ToolDefinition

if TYPE_CHECKING:
    from collections.abc import Sequence

THOUGHTS = {
    "<think>": "</think>",
    "<thinking>": "</thinking>",
    "<thought>": "</thought>",
    "<reasoning>": "</reasoning>",
    "<reflection>": "</reflection>",
    "<mm:think>": "</mm:think>",
    "<seed:think>": "</seed:think>",
    "<longcat_think>": "</longcat_think>",
    "[THINK]": "[/THINK]",
}
"""Behind these the answer begins anew."""

_QUOTING = (
    *("pre", "code", "blockquote", "q", "xmp", "samp", "kbd", "textarea", "script", "style", "template"),
    *("example", "examples", "quote", "document", "documents", "user", "system"),
    *("tools", "available_tools", "tool_response", "tool_result", "tool_results", "tool_output"),
    *("function_response", "function_result", "function_results", "output"),
)
BLOCKS = {
    **{f"<{tag}{end}": f"</{tag}>" for tag in _QUOTING for end in "> \n"},
    "<!--": "-->",
    **THOUGHTS,
}
"""Text between these is quoted, shown to the model, or thought: nothing in it is a call."""

TOKENS_OF_THOUGHT = ("<|END_THINKING|>", "<|close|>think<|sep|>", "<|inner_suffix|>")
"""Ends of thoughts that are control tokens: they are not shown."""

THOUGHT_ENDS = (
    *("</think>", "</thinking>", "</mm:think>", "</seed:think>", "</longcat_think>", "[/THINK]"),
    *TOKENS_OF_THOUGHT,
)
"""Some prompts open a thought themselves, so that an answer may show no more than its end."""

_KEPT = 32


class Table(msgspec.Struct, frozen=True):
    """What may begin at the start of a line.

    Attributes:
        tools: the declared tools by name.
        openers: every opener, as one pattern for each first character.
        blocks: the closing marker of an opener that begins a block.
        tags: that of a start tag which ends a line of prose; a dialect's own tag among them.
        dialects: those that an opener may belong to, in the order of asking.
        starts: the first characters of openers and of all structure that matters.
        longest: the length of the longest opener or end of a thought.
        literals: the openers by their first character.
        control: the openers that may stand behind prose, as one pattern; None where there are none.
        tokens: whose those are.
        frame: the markers around answers that are not shown.
        bulk: the search for lines in which nothing can stand.
    """

    tools: Mapping[str, ToolDefinition]
    openers: Mapping[str, re.Pattern[str]]
    blocks: Mapping[str, str]
    tags: Mapping[str, str]
    dialects: Mapping[str, tuple[Dialect, ...]]
    starts: frozenset[str]
    longest: int
    literals: Mapping[str, tuple[str, ...]]
    control: re.Pattern[str] | None
    tokens: Mapping[str, tuple[Dialect, ...]]
    frame: Frame
    bulk: re.Pattern[str]

    def opener(self, text: str, at: int) -> re.Match[str] | None:
        """The longest opener that stands at `at`."""
        pattern = self.openers.get(text[at])
        return pattern.match(text, at) if pattern else None

    def cut_opener(self, text: str, at: int) -> bool:
        """Whether the text from `at` to its end is the beginning of an opener, and not the whole of it."""
        if len(text) - at >= self.longest:
            return False
        rest = text[at:]
        return any(o.startswith(rest) and o != rest for o in self.literals.get(rest[0], ()))

    def cut_token(self, text: str, at: int) -> bool:
        """The same of the openers that may stand behind prose, and of the ends of thoughts."""
        if len(text) - at >= self.longest:
            return False
        rest = text[at:]
        return any(o.startswith(rest) and o != rest for o in (*self.tokens, *THOUGHT_ENDS))


_tables: dict[tuple[int, ...], tuple[tuple[object, ...], Table]] = {}


def table(tools: Sequence[ToolDefinition | HasDefinition], dialects: tuple[Dialect, ...], frame: Frame) -> Table:
    """The table for these tools and dialects; the same one for the same objects."""
    kept = (*tools, *dialects, frame)
    key = tuple(map(id, kept))
    found = _tables.get(key)
    if found is None:
        if len(_tables) >= _KEPT:
            _tables.clear()
        # The objects are kept with their table, so that no other can come to have their ids.
        found = _tables[key] = (kept, _build({t.name: t for t in map(_definition, tools)}, dialects, frame))
    return found[1]


def _definition(tool: ToolDefinition | HasDefinition) -> ToolDefinition:
    return tool if isinstance(tool, ToolDefinition) else tool.definition()


def _build(tools: Mapping[str, ToolDefinition], dialects: tuple[Dialect, ...], frame: Frame) -> Table:
    owners: dict[str, tuple[Dialect, ...]] = {}
    for dialect in dialects:
        for opener in dialect.openers(tools):
            owners[opener] = (*owners.get(opener, ()), dialect)
    # An opener that begins with a shorter one belongs to the dialects of both.
    order = {id(dialect): place for place, dialect in enumerate(dialects)}
    owners = {o: _of_prefixes(o, owners, order) for o in owners}
    openers = sorted({*owners, *BLOCKS, *frame.markers}, key=len, reverse=True)
    literals: dict[str, tuple[str, ...]] = {}
    for opener in openers:
        literals[opener[0]] = (*literals.get(opener[0], ()), opener)
    tokens = {o: tuple(d for d in owners[o] if d.control) for o in openers if o in owners and o[0] in "<[]>"}
    tokens = {o: dialects for o, dialects in tokens.items() if dialects}
    return Table(
        tools,
        {char: _any_of(each) for char, each in literals.items()},
        BLOCKS,
        {o: f"</{o[1:]}" for o in openers if o[0] == "<" and o[-1] == ">" and (o not in tokens or o[1].isalpha())},
        owners,
        STRUCTURE | {o[0] for o in openers},
        max(map(len, (*openers, *THOUGHT_ENDS))),
        literals,
        _any_of(list(tokens)) if tokens else None,
        tokens,
        frame,
        bulk((*openers, *THOUGHT_ENDS)),
    )


def _of_prefixes(
    opener: str, owners: Mapping[str, tuple[Dialect, ...]], order: Mapping[int, int]
) -> tuple[Dialect, ...]:
    """Whose the opener and all that it begins with are, in the order of asking."""
    each = {id(d): d for end in range(1, len(opener) + 1) for d in owners.get(opener[:end], ())}
    return tuple(sorted(each.values(), key=lambda dialect: order[id(dialect)]))


def _any_of(markers: Sequence[str]) -> re.Pattern[str]:
    return re.compile("|".join(map(re.escape, markers)))
