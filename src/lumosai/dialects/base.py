"""The contract of a dialect: one textual way of writing a tool call.

A dialect is a small object in a file of its own that knows four things: how tools are described in a prompt, how a call
is written (for prompts and tests), how a result is shown, and how a call is recognised at one place in a text. It holds
no state; `DialectParser` owns the stream, the position rules and the fences, and asks every dialect at each place where
a call may stand.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol

import msgspec

from lumosai.messages import ToolCallPart

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lumosai.messages import ToolResultPart
    from lumosai.records import ToolDefinition


class ParsedText(msgspec.Struct, frozen=True):
    """A text taken apart.

    Attributes:
        content: what is left for the user, without any call's markup.
        calls: the calls, in order.
    """

    content: str
    calls: tuple[ToolCallPart, ...]


class Found(msgspec.Struct, frozen=True):
    """A call, or several, recognised at one place.

    Attributes:
        end: how many characters they take, from that place.
        calls: name and arguments; `id` is "" and is given by the parser.
    """

    end: int
    calls: tuple[ToolCallPart, ...]


Verdict = Found | Literal["no", "more"]
"""What a dialect says of a place: these calls stand here; none does; or more text is needed to tell."""


class Dialect(Protocol):
    """One textual way of writing a tool call.

    Attributes:
        name: such as "hermes".
        marked: whether it has markers of its own. One without counts only where name and arguments fit a declared tool.
    """

    name: str
    marked: bool

    def describe(self, tools: Sequence[ToolDefinition]) -> str:
        """What the system prompt says so that a model writes calls this way."""
        ...

    def encode(self, call: ToolCallPart) -> str:
        """The call as a model would write it."""
        ...

    def show(self, result: ToolResultPart) -> str:
        """A result as the model is to read it."""
        ...

    def recognise(self, text: str, tools: Mapping[str, ToolDefinition], *, final: bool) -> Verdict:
        """What stands at the start of `text`, which is a call position. `final`: no more text comes."""
        ...
