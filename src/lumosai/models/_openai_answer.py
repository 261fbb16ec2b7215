"""What servers of `/chat/completions` answer: the wire's types, tolerant of every dialect, and chunks made of them.

Types name only what is used; unknown fields are passed by, and anything may be null or missing. `Answer` is fed the
decoded events of one answer and keeps what spans several of them: which call a fragment belongs to, usage, the end.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import msgspec

from lumosai.models.base import Chunk, Finished, ReasoningChunk, TextChunk, ToolCallChunk, UsageChunk
from lumosai.records import Usage

if TYPE_CHECKING:
    from lumosai.models.base import ModelFinish

_FINISH: Final[dict[str, ModelFinish]] = {
    "stop": "stop",
    "eos": "stop",
    "eos_token": "stop",
    "end_turn": "stop",
    "stop_sequence": "stop",
    "complete": "stop",
    "length": "length",
    "max_tokens": "length",
    "model_length": "length",
    "max_output_tokens": "length",
    "tool_calls": "tool_calls",
    "tool_call": "tool_calls",
    "tool_use": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
    "sensitive": "content_filter",
    "safety": "content_filter",
    "refusal": "refusal",
}
"""What the field's servers call the end, in lower case."""

FAILED: Final = frozenset({"error", "network_error", "insufficient_system_resource", "abort", "aborted"})
"""Ends that are failures of the server."""


class _Function(msgspec.Struct):
    name: str | None = None
    arguments: str | dict[str, Any] | list[Any] | None = None


class _Call(msgspec.Struct):
    index: int | None = None
    id: str | int | None = None
    function: _Function | None = None
    extra_content: Any = None


class _Piece(msgspec.Struct):
    """A part of `content` where that is a list: text, or a thought that is itself a list of texts."""

    type: str | None = None
    text: str | None = None
    thinking: str | list[_Piece] | None = None


class _Detail(msgspec.Struct):
    """A piece of `reasoning_details`."""

    text: str | None = None
    summary: str | None = None


class Delta(msgspec.Struct):
    """What a choice adds; a whole message has the same fields."""

    content: str | list[_Piece] | None = None
    tool_calls: list[_Call] | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    reasoning_details: list[_Detail] | None = None
    refusal: str | None = None
    function_call: _Function | None = None


class _Tokens(msgspec.Struct):
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    reasoning_tokens: int | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    prompt_tokens_details: _Tokens | None = None
    completion_tokens_details: _Tokens | None = None
    prompt_cache_hit_tokens: int | None = None
    cached_tokens: int | None = None


class _Choice(msgspec.Struct):
    delta: Delta | None = None
    finish_reason: str | None = None
    index: int | None = None
    message: Delta | None = None
    usage: _Usage | None = None
    error: Any = None


class _Groq(msgspec.Struct):
    usage: _Usage | None = None
    error: Any = None


class Event(msgspec.Struct):
    """One event of a stream, or a whole answer."""

    choices: list[_Choice] | None = None
    usage: _Usage | None = None
    id: str | None = None
    model: str | None = None
    error: Any = None
    object: str | None = None
    message: Any = None
    detail: Any = None
    x_groq: _Groq | None = None

    @property
    def failed(self) -> bool:
        """Whether this is an error, in any of the shapes that servers give it."""
        if self.error or (self.x_groq is not None and self.x_groq.error):
            return True
        choices = self.choices
        if choices is None:
            return self.object == "error" or (self.usage is None and bool(self.message or self.detail))
        return bool(choices) and bool(choices[0].error)


text_of: Final = msgspec.json.Decoder(str).decode
decode: Final = msgspec.json.Decoder(Event).decode
decode_loosely: Final = msgspec.json.Decoder(Event, strict=False).decode
"""Takes numbers written as text, and the like."""


def whole(event: Event) -> list[Chunk] | None:
    """The chunks of a whole answer of the usual shape; None where it has another, which `Answer` reads.

    Both give the same. This one is straight on, because a short run is made of little else than two such answers.
    """
    choices = event.choices
    if not choices or event.error is not None or len(choices) > 1:
        return None
    choice = choices[0]
    message, reason = choice.message, choice.finish_reason
    if message is None or (reason != "stop" and reason != "tool_calls") or choice.delta is not None or choice.error:  # noqa: PLR1714  # cheaper than a set
        return None
    if message.reasoning_content or message.reasoning or message.reasoning_details or message.refusal:
        return None
    chunks: list[Chunk] = []
    content, calls = message.content, message.tool_calls
    if content:
        if type(content) is not str:
            return None
        chunks.append(TextChunk(content))
    if calls:
        if not _add_whole_calls(calls, chunks):
            return None
        reason = "tool_calls"
    elif message.function_call is not None:
        return None
    told = event.usage
    if told is None:
        return None
    chunks += (UsageChunk(_counted(told)), Finished(reason, event.id or None, event.model or None))  # type: ignore[arg-type]
    return chunks


def _add_whole_calls(calls: list[_Call], chunks: list[Chunk]) -> bool:
    for call in calls:
        function, id_ = call.function, call.id
        if function is None or type(id_) is not str or call.extra_content or not function.name:
            return False
        if type(function.arguments) is not str:
            return False
        chunks.append(ToolCallChunk(calls.index(call), id_, function.name, function.arguments))
    return True


class Repeat:
    """What the events of a flood have in common: all but the text in one place.

    A provider's deltas differ in nothing but their text, so once one was decoded, the next ones need only be compared
    with it at both ends and have the text between decoded. That this is sound is proved for each pattern by decoding
    the event with another text in that place: it has to come out as the same event with that text.

    Attributes:
        head, tail: what an event of the pattern begins and ends with; the text's quotes belong to both.
        start, stop: where the quoted text stands in it.
        chunk: what it becomes.
        tries: patterns that may still be looked for in this stream.
    """

    __slots__ = ("chunk", "head", "start", "stop", "tail", "tries")

    def __init__(self) -> None:
        self.head = self.tail = b"\n"  # which no payload begins with
        self.start = self.stop = 0
        self.chunk: type[TextChunk | ReasoningChunk] = TextChunk
        self.tries = 8

    def learn(self, payload: bytes, event: Event, chunk: Chunk) -> bool:
        """Takes `payload`, which gave `event` and nothing but `chunk`, as the pattern, where it has one."""
        self.tries -= 1
        if type(chunk) is TextChunk:
            field, kind = "content", TextChunk
        elif type(chunk) is ReasoningChunk:
            field, kind = "reasoning_content" if b'"reasoning_content"' in payload else "reasoning", ReasoningChunk
        else:
            return False
        found = re.search(rb'"%b"\s*:\s*("(?:[^"\\]|\\.)*")' % field.encode(), payload)
        if found is None:
            return False
        start, end = found.span(1)
        probe = decode(payload[: start + 1] + _PROBE + payload[end - 1 :])
        delta = probe.choices[0].delta if probe.choices else None
        if delta is None or getattr(delta, field) != _PROBE.decode():
            return False
        setattr(delta, field, chunk.delta)
        if probe != event:
            return False
        self.head, self.tail, self.chunk = payload[: start + 1], payload[end - 1 :], kind
        self.start, self.stop = start, len(payload) - end
        return True


_PROBE: Final = b"another text"


class _Open:
    """A call whose fragments are still coming."""

    __slots__ = ("arguments", "id", "key", "name", "shown")

    def __init__(self, key: int | None, id_: str) -> None:
        self.key = key
        self.id = id_
        self.name = ""
        self.arguments = ""
        self.shown = False


class Answer:
    """One answer as it comes.

    Attributes:
        usage: tokens as last told.
        finish: the server's word for the end, None while it has not come.
        begun: whether any choice came.
        id, model: as the server names them.
    """

    __slots__ = ("_calls", "_refused", "begun", "finish", "id", "model", "usage")

    def __init__(self) -> None:
        self.usage: Usage | None = None
        self.finish: str | None = None
        self.begun = False
        self.id: str | None = None
        self.model: str | None = None
        self._calls: list[_Open] = []
        self._refused = False

    def feed(self, event: Event) -> list[Chunk]:
        """The chunks in an event."""
        self.id = event.id or self.id
        self.model = event.model or self.model
        told = event.usage or (event.x_groq.usage if event.x_groq is not None else None)
        chunks: list[Chunk] = []
        for choice in event.choices or ():
            if choice.index:
                continue
            self.begun = True
            told = told or choice.usage
            if choice.message is not None and choice.delta is None:
                self._add(choice.message, chunks, whole=True)
            elif choice.delta is not None:
                self._add(choice.delta, chunks, whole=False)
            if choice.finish_reason:
                self.finish = choice.finish_reason
        if told is not None:
            self.usage = _counted(told)
        return chunks

    def end(self) -> list[Chunk]:
        """The last chunks of an answer that is whole: calls held back, usage, and `Finished`."""
        chunks: list[Chunk] = []
        for index, call in enumerate(self._calls):
            if not call.shown:
                chunks.append(ToolCallChunk(index, call.id, call.name, call.arguments))
        if self.usage is not None:
            chunks.append(UsageChunk(self.usage))
        chunks.append(Finished(self._reason(), self.id or None, self.model or None))
        return chunks

    def _reason(self) -> ModelFinish:
        reason = _FINISH.get((self.finish or "stop").lower(), "stop")
        if reason == "stop" and self._calls:
            return "tool_calls"
        if reason == "stop" and self._refused:
            return "refusal"
        return reason

    def _add(self, delta: Delta, chunks: list[Chunk], *, whole: bool) -> None:
        thought = delta.reasoning_content or delta.reasoning or _details(delta.reasoning_details)
        if thought:
            chunks.append(ReasoningChunk(thought))
        content = delta.content
        if content:
            if type(content) is str:
                chunks.append(TextChunk(content))
            else:
                _add_pieces(content, chunks)
        if delta.refusal:
            self._refused = True
            chunks.append(TextChunk(delta.refusal))
        if delta.tool_calls:
            for call in delta.tool_calls:
                self._add_call(call, chunks, whole=whole)
        elif delta.function_call is not None:
            self._add_call(_Call(0, None, delta.function_call), chunks, whole=whole)

    def _add_call(self, call: _Call, chunks: list[Chunk], *, whole: bool) -> None:
        function = call.function or _Function()
        name = function.name or ""
        arguments = function.arguments
        text = arguments if isinstance(arguments, str) else _json(arguments) if arguments is not None else ""
        id_ = "" if call.id is None else str(call.id)
        at = None if whole else self._place(call.index, id_, name)
        if at is None:
            at = len(self._calls)
            self._calls.append(_Open(call.index, id_))
        target = self._calls[at]
        target.id = target.id or id_
        signature = _json(call.extra_content) if call.extra_content else None
        if target.shown:
            target.arguments += text
            if text or signature:
                chunks.append(ToolCallChunk(at, "", "", text, signature))
            return
        target.name = target.name or name
        target.arguments += text
        if target.name:
            target.shown = True
            chunks.append(ToolCallChunk(at, target.id, target.name, target.arguments, signature))

    def _place(self, index: int | None, id_: str, name: str) -> int | None:
        """The call that a fragment belongs to, None where it begins a new one.

        Servers tell calls apart by index, by id, by both or by neither; some use index 0 for every call, some a new id
        for every fragment. A fragment with an id of its own *and* a name begins a call; so does a name without an id
        once the arguments before it are whole.
        """
        calls = self._calls
        if not calls:
            return None
        if id_:
            for at, call in enumerate(calls):
                if call.id == id_:
                    return at
        at = len(calls) - 1
        if index is not None:
            at = next((i for i in range(at, -1, -1) if calls[i].key == index), -1)
            if at < 0:
                return None
        call = calls[at]
        if id_ and call.id:
            return at if not name and index is not None else None
        if name and call.name and (name != call.name or _is_object(call.arguments)):
            return None
        return at


def _add_pieces(pieces: list[_Piece], chunks: list[Chunk]) -> None:
    for piece in pieces:
        if piece.thinking:
            thought = piece.thinking
            text = thought if isinstance(thought, str) else "".join(p.text or "" for p in thought)
            if text:
                chunks.append(ReasoningChunk(text))
        elif piece.text:
            chunks.append(TextChunk(piece.text))


def _details(details: list[_Detail] | None) -> str:
    return "".join(d.text or d.summary or "" for d in details) if details else ""


def _counted(told: _Usage) -> Usage:
    """Tokens in the house's terms."""
    given = told.prompt_tokens if told.prompt_tokens is not None else told.input_tokens or 0
    made = told.completion_tokens if told.completion_tokens is not None else told.output_tokens or 0
    prompt, completion = told.prompt_tokens_details, told.completion_tokens_details
    cached = (
        (prompt.cached_tokens if prompt is not None else None) or told.prompt_cache_hit_tokens or told.cached_tokens
    )
    return Usage(
        given,
        made,
        (completion.reasoning_tokens if completion is not None else None) or 0,
        cached or 0,
        (prompt.cache_write_tokens if prompt is not None else None) or 0,
        told.total_tokens if told.total_tokens is not None else given + made,
    )


def _is_object(text: str) -> bool:
    try:
        return isinstance(msgspec.json.decode(text), dict)
    except msgspec.DecodeError:
        return False


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
