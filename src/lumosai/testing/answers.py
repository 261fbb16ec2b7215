"""What a scripted model answers: an `Answer`, or anything that plainly means one, turned into chunks.

An answer may be written as a text, a call, a list of texts, calls and parts, an assistant `Message`, an error to raise,
or an `Answer`, which says everything: where the text is cut, when the next piece may come, and where the stream breaks.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from lumosai.errors import InvalidInputError
from lumosai.messages import Message, Part, ReasoningPart, TextPart, ToolCallPart
from lumosai.models.base import (
    Chunk,
    Finished,
    ModelFinish,
    PartChunk,
    ReasoningChunk,
    TextChunk,
    ToolCallChunk,
    UsageChunk,
)
from lumosai.records import Usage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lumosai.models.base import ModelRequest

_WORDS = re.compile(r"\s*\S+\s*")
CALL_DELTA = 8
"""Characters of a call's arguments in one delta."""


class Call(msgspec.Struct, frozen=True):
    """A tool call to answer with.

    Attributes:
        name: the tool's name.
        arguments: the arguments; a text is sent as it is, whether or not it is JSON.
        id: the call's id; None lets the model number it, "" sends none.
    """

    name: str
    arguments: Mapping[str, Any] | str = {}
    id: str | None = None


def call(name: str, /, **arguments: Any) -> Call:
    """A call of the tool `name` with these arguments: `call("calculator", expression="2+2")`."""
    return Call(name, arguments)


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """One answer in full. Positions count content deltas (reasoning, text, calls' arguments) from 0.

    Attributes:
        text: the answer's text.
        calls: tool calls, after the text.
        reasoning: thought, before the text.
        deltas: the text, cut where the deltas are to be cut; by default word by word. Stands in for `text`.
        usage: tokens; by default the words of the prompt and of the answer.
        finish: the reason in `Finished`; by default "tool_calls" where there are calls, else "stop".
        delay_s: seconds to wait before each delta.
        gate: waited for before the delta number `gate_at`, so that a test decides when the answer goes on.
        gate_at: see `gate`.
        error: raised before the delta number `error_at`. With 0 the request itself fails.
        error_at: see `error`; a number past the end fails after all content, instead of `Finished`.
        cut_at: the stream just ends before this delta, without `Finished`: what no well-behaved model does.
        model: the model's name in `Finished`, None for the scripted model's own.
    """

    text: str = ""
    calls: Sequence[Call | ToolCallPart] = ()
    reasoning: str = ""
    deltas: Sequence[str] | None = None
    usage: Usage | None = None
    finish: ModelFinish | None = None
    delay_s: float = 0.0
    gate: asyncio.Event | None = None
    gate_at: int = 0
    error: BaseException | None = None
    error_at: int = 0
    cut_at: int | None = None
    model: str | None = None


Piece = str | Call | Part | Chunk
AnswerLike = str | Call | ToolCallPart | Answer | Message | BaseException | Sequence[Piece]
"""What may stand for an answer in a script."""


class Played(msgspec.Struct, frozen=True):
    """An answer ready to be sent.

    Attributes:
        how: what it was made from, which says when and how far.
        content: its deltas.
        tail: usage and `Finished`; empty where the content brings its own.
    """

    how: Answer
    content: list[Chunk]
    tail: list[Chunk]


def play(answer: Any, request: ModelRequest, number: Callable[[], str], name: str) -> Played:
    """The chunks of `answer`. `number` gives the next call's id, `name` is the model's.

    Raises:
        InvalidInputError: it is nothing that an answer can be made from.
    """
    whole = not request.incremental
    how, items = _read(answer, whole=whole)
    content: list[Chunk] = []
    calls = 0
    for item in items:
        if isinstance(item, Call | ToolCallPart):
            content.extend(_call_chunks(item, calls, number, whole=whole))
            calls += 1
        else:
            content.extend(_chunks(item, answer, whole=whole))
    if any(type(c) is Finished for c in content):
        return Played(how, content, [])
    usage = how.usage if how.usage is not None else _words(request, content)
    finish = how.finish or ("tool_calls" if calls else "stop")
    return Played(how, content, [UsageChunk(usage), Finished(finish, None, how.model or name)])


def _read(answer: Any, *, whole: bool) -> tuple[Answer, Sequence[Any]]:
    """The answer in full, and what it is to say in order."""
    if isinstance(answer, Answer):
        thought = [ReasoningPart(answer.reasoning)] if answer.reasoning else []
        pieces = answer.deltas
        text = [answer.text] if pieces is None else ["".join(pieces)] if whole else [TextChunk(p) for p in pieces]
        return answer, [*thought, *text, *answer.calls]
    if isinstance(answer, BaseException):
        return Answer(error=answer), ()
    if isinstance(answer, Message):
        return Answer(), answer.parts
    if isinstance(answer, Sequence) and not isinstance(answer, str):
        return Answer(), answer
    if isinstance(answer, str | Call | ToolCallPart | Chunk):
        return Answer(), (answer,)
    raise InvalidInputError(
        f"a script cannot answer with {answer!r}: use a text, call(name, …), a list of those, a Message, "
        "an exception to raise, or Answer(…)"
    )


def _chunks(item: Any, answer: object, *, whole: bool) -> Iterator[Chunk]:
    if isinstance(item, Chunk):
        yield item
    elif isinstance(item, str | TextPart):
        text = item if isinstance(item, str) else item.text
        yield from map(TextChunk, _cut(text, whole=whole))
    elif isinstance(item, ReasoningPart):
        pieces = _cut(item.text, whole=whole)
        yield from map(ReasoningChunk, pieces[:-1])
        yield ReasoningChunk(pieces[-1] if pieces else "", item.signature)
    elif isinstance(item, msgspec.Struct):
        yield PartChunk(item)  # type: ignore[arg-type]
    else:
        raise InvalidInputError(
            f"the scripted answer {answer!r} holds {item!r}: only texts, calls, message parts and chunks may stand there"
        )


def _call_chunks(item: Call | ToolCallPart, index: int, number: Callable[[], str], *, whole: bool) -> Iterator[Chunk]:
    raw = item.raw if isinstance(item, ToolCallPart) and item.raw is not None else item.arguments
    text = raw if isinstance(raw, str) else msgspec.json.encode(raw or {}).decode()
    ident = item.id if item.id is not None else number()
    size = max(1, len(text)) if whole else CALL_DELTA
    signature = item.signature if isinstance(item, ToolCallPart) else None
    yield ToolCallChunk(index, ident, item.name, text[:size], signature)
    for at in range(size, len(text), size):
        yield ToolCallChunk(index, "", "", text[at : at + size])


def _cut(text: str, *, whole: bool) -> list[str]:
    if not text:
        return []
    return [text] if whole else _WORDS.findall(text) or [text]


def _words(request: ModelRequest, chunks: Sequence[Chunk]) -> Usage:
    """Tokens as words: not what any tokenizer would say, but never 0 and always the same."""
    asked = sum(len(m.text.split()) for m in request.messages)
    said = len("".join(c.delta for c in chunks if isinstance(c, TextChunk | ReasoningChunk | ToolCallChunk)).split())
    return Usage(input_tokens=asked, output_tokens=said, total_tokens=asked + said)
