"""The contract of a dialect: one textual way of writing a tool call.

A dialect is a small object in a file of its own that knows four things: how tools are described in a prompt, how a call
is written (for prompts and tests), how a result is shown, and how a call is recognised at one place in a text. It holds
no state; `DialectParser` owns the stream, the position rules and the fences, and asks a dialect only where a call may
stand and one of its openers does.

To add one: write the file, put it into `DIALECTS`. What a dialect must keep to is one law: **what it says of a text it
says of every longer one** (only `More` may change its mind). From it follows that a stream gives what the whole text
gives. Cost is the parser's care: a dialect may read its text from the start each time it is asked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

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
        calls: the calls, in order; their `id` is "", whoever runs them gives one.
    """

    content: str
    calls: tuple[ToolCallPart, ...]


class Found(msgspec.Struct, frozen=True):
    """What was recognised at one place: a call, several, or markup that is none and is not shown either.

    Attributes:
        end: how many characters it takes, from that place.
        calls: name and arguments; `id` is "".
        last: whether it counts only if nothing but calls or blank follows to the end of the answer.
        text: what is shown in its place, before the calls.
        named: whether it is markup within a line, and only where its dialect was asked by name or has opened the text.
        opens: whether it opens the answer's text, so that the dialect's control tokens may stand anywhere from here on.
        ends: whether the answer ends with it: what follows was made up, and is neither shown nor called.
    """

    end: int
    calls: tuple[ToolCallPart, ...]
    last: bool = False
    text: str = ""
    named: bool = False
    opens: bool = False
    ends: bool = False


class More(msgspec.Struct, frozen=True):
    """More text is needed to tell.

    Attributes:
        until: characters of which one must come before it is worth asking again; "" where any will do.
    """

    until: str = ""


class No(msgspec.Struct, frozen=True):
    """No call stands here.

    Attributes:
        until: a marker up to which nothing counts, where this was an attempt that went wrong; "" where it was none.
    """

    until: str = ""


Verdict = Found | More | No
"""What a dialect says of a place: these calls stand here; more text is needed to tell; none does."""

MORE = More()
NO = No()


class Dialect(Protocol):
    """One textual way of writing a tool call.

    Attributes:
        name: such as "hermes".
        marked: whether it has markers of its own. One without counts only where name and arguments fit a declared tool,
            which the parser checks.
        control: whether its openers are control tokens of a model's vocabulary (`<|…|>`, `[TOOL_CALLS]`), which may
            stand behind prose on its line, too.
        aliases: what else it is called: by serving engines, by model families. Case, spaces, `-`, `_` and `.` make no
            difference. Dialects that share an alias are asked together where it is given.
    """

    @property
    def name(self) -> str: ...

    @property
    def marked(self) -> bool: ...

    @property
    def control(self) -> bool: ...

    @property
    def aliases(self) -> tuple[str, ...]: ...

    def openers(self, tools: Mapping[str, ToolDefinition]) -> tuple[str, ...]:
        """The literal texts with which a call may begin. Text that begins with none is never held back."""
        ...

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
        """What stands at the start of `text`, which is a call position and begins with one of the openers.

        `final`: no more text comes. `More` then counts as `No`.
        """
        ...
