"""The items of an answer of `/responses` as they grow: messages, thoughts, calls, and all that only its server knows.

An item may be told in deltas, at its end, in the response's end, or in several of these. Whatever came first is shown at
once; a later telling adds what is missing, and shows where two answers were mixed up.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import Any, Final

from lumosai.messages import ImagePart, ProviderPart
from lumosai.models._responses_seals import OWNER, seal
from lumosai.models._responses_texts import (
    Key,
    argument_text,
    compact,
    escaped,
    pieces,
    same_json,
    same_text,
    texts,
    word,
)
from lumosai.models.base import Chunk, PartChunk, ReasoningChunk, TextChunk, ToolCallChunk

CALLS: Final = {"function_call": "arguments", "custom_tool_call": "input"}
"""Kinds of items that are calls of the caller's own tools, and the field with what they are called with."""

_HALF: Final = re.compile("[\ud800-\udfff]")
_OF_THE_CALL: Final = ("type", "call_id", "name", "arguments", "input")
_SVG: Final = "svg"


class Torn(Exception):  # noqa: N818  # it says what the answer is
    """What came does not belong together: two answers were mixed up, or a piece was lost."""


class Item:
    """One item so far.

    Attributes:
        kind: its type.
        id: its server's name of it, None where it has none.
        closed: whether it came whole.
        call: which call of the answer it is, from 0; -1 where it is none.
        call_id, name: of a call.
        texts: what was shown of each of its texts, in pieces.
        annotations: those that came on their own, by the number of their text.
    """

    __slots__ = (
        "_begun",
        "_held",
        "_sealed",
        "_started",
        "_thought",
        "annotations",
        "call",
        "call_id",
        "closed",
        "id",
        "kind",
        "name",
        "texts",
    )

    def __init__(self, kind: str, id_: str | None) -> None:
        self.kind = kind
        self.id = id_
        self.closed = False
        self.call = -1
        self.call_id = ""
        self.name = ""
        self.texts: dict[Key, list[str]] = {}
        self.annotations: dict[int, list[Any]] = {}
        self._begun = False  # whether a call's first chunk was given
        self._started = ""  # arguments that a call began with, held until it is known whether deltas repeat them
        self._sealed: str | None = None
        self._thought: Key | None = None
        self._held = ""

    @property
    def empty(self) -> bool:
        """Whether nothing of it was shown."""
        return not self.texts

    @property
    def says(self) -> bool:
        """Whether it is part of what the answer says or calls."""
        return self.call >= 0 or (self.kind == "message" and bool(self.texts))

    def text(self, key: Key) -> str:
        """What was shown of a text."""
        return "".join(self.texts.get(key, ()))

    def begin(self, at: str, item: dict[str, Any]) -> list[Chunk]:
        """It begins. A call is announced, if it has a name yet."""
        if self.kind not in CALLS:
            return []
        self.call_id = self.call_id or word(item.get("call_id")) or word(item.get("id"))
        self.name = self.name or word(item.get("name"))
        self._started = argument_text(item.get(CALLS[self.kind]))
        if not self.name or self._started:
            return []
        return [self._announce("", seal(at, _rest(item)))]

    def add(self, key: Key, delta: str) -> list[Chunk]:
        """More of one of its texts."""
        if self._held or not delta.isascii():
            delta = self._characters(delta)
        if not delta:
            return []
        pieces = self.texts.get(key)
        if pieces is None:
            pieces = self.texts[key] = []
        pieces.append(delta)
        if self.kind == "message":
            return [TextChunk(delta)]
        if self.kind in CALLS:
            return self._add_to_call(delta)
        before, self._thought = self._thought, key
        return [ReasoningChunk(delta if before is None or before == key else "\n\n" + delta)]

    def fill(self, key: Key, whole: str, *, exact: bool) -> list[Chunk]:
        """What is missing of a text that is told whole.

        Args:
            key: which.
            whole: the text.
            exact: whether it must begin with what was shown, but for blanks; else another text is passed over.

        Raises:
            Torn: it is another text, and that matters.
        """
        shown = self.text(key)
        if whole.startswith(shown):
            self._held = ""
            return self.add(key, whole[len(shown) :])
        if not whole or (key[0] == "arguments" and same_json(shown, whole)):
            return []
        begun, told = shown.strip(), whole.strip()
        if told.startswith(begun):
            return self.add(key, told[len(begun) :])
        if exact and not same_text(told, begun):
            msg = f"what came of {self.kind} {self.id or ''} is not what its end says"
            raise Torn(msg)
        return []

    def close(self, at: str, item: dict[str, Any]) -> list[Chunk]:
        """It is whole: what was not shown of it yet, and what is to be sent back.

        Args:
            at: who gives seals.
            item: the item as its server tells it.

        Raises:
            Torn: it is another item than the one whose deltas came.
        """
        self.closed = True
        if self.kind in CALLS:
            return self._close_call(at, item)
        if self.kind == "message":
            return self._close_message(at, item)
        if self.kind == "reasoning":
            return self._close_thought(at, item)
        return _opaque(item)

    def end(self, *, cut: bool) -> list[Chunk]:
        """The response ended, and this was never told whole.

        Args:
            cut: whether it may be incomplete.
        """
        if self.closed:
            return []
        if self.kind in CALLS:
            text = self.text((CALLS[self.kind], 0))
            if not self._begun:
                return [self._announce(self._arguments(text or self._started, cut=cut))]
            if self.kind == "custom_tool_call" and not cut:
                return [ToolCallChunk(self.call, "", "", '"}' if text else '{"input":""}')]
        return self._flush()

    def _flush(self) -> list[Chunk]:
        """Half a character whose other half never came."""
        held, self._held = self._held, ""
        return [TextChunk("\ufffd")] if held and self.kind == "message" else []

    def is_told_by(self, item: dict[str, Any]) -> bool:
        """Whether what was shown is what a whole item tells, but for blanks; one that tells nothing is believed."""
        if self.kind in CALLS:
            field = CALLS[self.kind]
            shown, whole = self.text((field, 0)) or "{}", argument_text(item.get(field)) or "{}"
            return self.name == item.get("name") and (shown == whole or same_json(shown, whole))
        told = dict(texts(item))
        return not any(told.values()) or all(same_text(self.text(k), told.get(k, "")) for k in self.texts)

    def _arguments(self, text: str, *, cut: bool) -> str:
        """A call's text as JSON: that of a custom tool is no JSON, and becomes the argument `input`."""
        if self.kind == "function_call":
            return text
        return '{"input":"' + escaped(text) + ("" if cut else '"}')

    def _announce(self, delta: str, signature: str | None = None) -> ToolCallChunk:
        self._begun = True
        self._sealed = signature
        return ToolCallChunk(self.call, self.call_id, self.name, delta, signature)

    def _add_to_call(self, delta: str) -> list[Chunk]:
        if not self._begun or self._started:
            return []
        if self.kind == "custom_tool_call":
            first = len(self.texts["input", 0]) == 1
            delta = ('{"input":"' if first else "") + escaped(delta)
        return [ToolCallChunk(self.call, "", "", delta)]

    def _close_call(self, at: str, item: dict[str, Any]) -> list[Chunk]:
        field = CALLS[self.kind]
        whole = argument_text(item.get(field)) or self.text((field, 0)) or self._started
        self.call_id = self.call_id or word(item.get("call_id")) or word(item.get("id"))
        self.name = self.name or word(item.get("name"))
        if word(item.get("name")) not in ("", self.name):
            msg = f"the call of {self.name!r} ended as one of {item['name']!r}"
            raise Torn(msg)
        cut = item.get("status") == "incomplete"
        signature = seal(at, _rest(item))
        if not self._begun or self._started:
            self._started = ""
            self.texts[field, 0] = [whole]
            return [self._announce(self._arguments(whole, cut=cut), signature)]
        known = cut and self.text((field, 0)).startswith(whole)
        chunks = [] if known else self.fill((field, 0), whole, exact=True)
        if self.kind == "custom_tool_call" and not cut:
            end = '"}' if self.texts else '{"input":""}'
            chunks.append(ToolCallChunk(self.call, "", "", end, signature))
        elif signature != self._sealed:
            chunks.append(ToolCallChunk(self.call, "", "", "", signature))
        return chunks

    def _close_message(self, at: str, item: dict[str, Any]) -> list[Chunk]:
        chunks: list[Chunk] = []
        for key, text in texts(item):
            chunks += self.fill(key, text, exact=True)
        chunks += self._flush()
        if part := self._message_part(at, item):
            chunks.append(PartChunk(part))
        return chunks

    def _message_part(self, at: str, item: dict[str, Any]) -> ProviderPart | None:
        """What a message has besides its text: its phase, annotations. A single text stands in the part before.

        `at` says who gave it, for its id means nothing elsewhere.
        """
        content = pieces(item, "content")
        for number, piece in enumerate(content):
            if not piece.get("annotations") and self.annotations.get(number):
                piece["annotations"] = self.annotations[number]
        if not item.get("phase") and not any(p.get("annotations") or p.get("logprobs") for p in content):
            return None
        if len(content) == 1:
            for field in ("text", "refusal"):
                content[0].pop(field, None)
        return ProviderPart(OWNER, "message", {**item, "content": content, "at": at})

    def _close_thought(self, at: str, item: dict[str, Any]) -> list[Chunk]:
        chunks: list[Chunk] = []
        for key, text in texts(item):
            if not self.texts or key in self.texts:
                chunks += self.fill(key, text, exact=False)
            elif any(k[0] == key[0] for k in self.texts):
                chunks += self.add(key, text)
        return [*chunks, ReasoningChunk("", seal(at, item))]

    def _characters(self, text: str) -> str:
        """`text` with whole characters: halves that come one after the other are joined, a lone one is U+FFFD."""
        text, self._held = self._held + text, ""
        if not _HALF.search(text):
            return text
        if "\ud800" <= text[-1] <= "\udbff":
            text, self._held = text[:-1], text[-1]
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _opaque(item: dict[str, Any]) -> list[Chunk]:
    """An item that only its server knows, and the picture in it; that stands in a part of its own before it."""
    kind = item.get("type")
    if kind == "image_generation_call" and isinstance(item.get("result"), str) and item["result"]:
        try:
            data = base64.b64decode(item["result"], validate=True)
        except binascii.Error:
            return [PartChunk(ProviderPart(OWNER, kind, item))]
        form = item.get("output_format") or "png"
        image = ImagePart(data, media_type=f"image/{'svg+xml' if form == _SVG else form}")
        return [PartChunk(image), PartChunk(ProviderPart(OWNER, kind, {**item, "result": None}))]
    return [PartChunk(ProviderPart(OWNER, str(kind), item))]


def _rest(item: dict[str, Any]) -> dict[str, Any]:
    """What a call's part does not hold of its item: its type where that is not the usual one, arguments as written.

    A call that begins is taken for one that will be whole, for most are.
    """
    rest = {k: v for k, v in item.items() if k not in _OF_THE_CALL and v is not None}
    if item.get("type") != "function_call":
        rest.pop("status", None)
        return {"type": item.get("type"), **rest}
    if rest.get("status") == "in_progress":
        rest["status"] = "completed"
    written = argument_text(item.get("arguments"))
    return rest if written == compact(written) else {**rest, "arguments": written}
