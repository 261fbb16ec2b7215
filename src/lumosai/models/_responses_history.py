"""A conversation as items of `/responses`.

What the same server gave goes back as it came, in its order: thoughts by their seals, calls with their ids, items that
only the server knows. What others gave is told by its text, its calls and their results alone.
"""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING, Any, Final

import msgspec

from lumosai.errors import InvalidInputError
from lumosai.messages import (
    AudioPart,
    FilePart,
    ImagePart,
    Message,
    ProviderPart,
    ReasoningPart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
)
from lumosai.models._encoded import data_url, encode
from lumosai.models._responses_seals import OWNER, opened

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lumosai.messages import Part
    from lumosai.models.profiles import Profile

_LONGEST_ID: Final = 64
_AUDIO: Final = {"mpeg": "mp3", "x-wav": "wav", "wave": "wav", "vnd.wave": "wav"}
_MADE: Final = "Made by the assistant in its last answer:"
_CALLS: Final = ("function_call", "custom_tool_call")
_OWN_KINDS: Final = ("message", "response")


class History:
    """Writes messages for one server.

    Attributes:
        provider: whose thoughts are sent back.
        at: who gives seals.
        asked: the messages of the request that is written, in which a result finds its call.
    """

    __slots__ = ("_profile", "_stored", "asked", "at", "provider")

    def __init__(self, provider: str, at: str, profile: Profile, *, stored: bool) -> None:
        self.provider = provider
        self.at = at
        self.asked: Sequence[Message] = ()
        self._profile = profile
        self._stored = stored

    def items(self, message: Message) -> bytes:
        """The items of a message, joined by commas; at least one."""
        match message.role:
            case "assistant":
                items = _Said(self, message).items
            case "tool":
                items = self._results(message)
            case "system":
                items = [{"role": self._profile.system_role, "content": message.text}]
            case _:
                items = self._asked(message)
        return b",".join([encode(i) for i in items])

    def id_of(self, id_: str) -> str:
        """A call's id as servers of this protocol take it: not longer than theirs."""
        if len(id_) <= _LONGEST_ID:
            return id_
        return "call_" + hashlib.sha256(id_.encode()).hexdigest()[:32]

    def thoughts(self, part: ReasoningPart) -> list[dict[str, Any]] | None:
        """The items that a thought stands for; None where they cannot be sent back."""
        items = opened(part.signature, self.at) if part.provider in (None, self.provider) else []
        if "include" in self._profile.refuses:
            items = [{k: v for k, v in i.items() if k != "encrypted_content"} for i in items]
        usable = [i for i in items if self._stored or i.get("encrypted_content") or i.get("content")]
        return usable if items and len(usable) == len(items) else None

    def _asked(self, message: Message) -> list[dict[str, Any]]:
        """A user's message, and before it such items in it as only the server knows."""
        items: list[dict[str, Any]] = []
        parts: list[Part] = []
        for part in message.parts:
            if type(part) is ProviderPart:
                if part.provider == OWNER:
                    items.append(part.data)
            elif type(part) is not ReasoningPart:
                parts.append(part)
        if parts or not items:
            items.append({"role": "user", "content": content(parts)})
        return items

    def _results(self, message: Message) -> list[dict[str, Any]]:
        """One item a result; sound, which a result may not hold, in a user's message behind them all."""
        if not message.parts:
            msg = "a message of role 'tool' holds no ToolResultPart: put the results of the calls before it into it"
            raise InvalidInputError(msg)
        custom = {c.id for m in self.asked if m.role == "assistant" for c in m.tool_calls if self.is_custom(c)}
        items: list[dict[str, Any]] = []
        sounds: list[dict[str, Any]] = []
        for part in message.parts:
            if type(part) is ProviderPart and part.provider == OWNER:
                items.append(part.data)
            if type(part) is not ToolResultPart:
                continue
            kind = "custom_tool_call_output" if part.call_id in custom else "function_call_output"
            output, heard = _output(part)
            items.append({"type": kind, "call_id": self.id_of(part.call_id), "output": output})
            if heard:
                sounds.append({"type": "input_text", "text": f"Content of the result of {part.name} ({part.call_id}):"})
                sounds += heard
        if sounds:
            items.append({"role": "user", "content": sounds})
        return items

    def is_custom(self, call: ToolCallPart) -> bool:
        """Whether a call is one of a custom tool."""
        sealed = opened(call.signature, self.at)
        return bool(sealed) and sealed[0].get("type") == "custom_tool_call"


class _Said:
    """An assistant's message as items.

    A text is written once it is known whether the part behind it says more of it, as `_responses_items` keeps it.
    """

    __slots__ = ("_history", "_ids", "_media", "_text", "items")

    def __init__(self, history: History, message: Message) -> None:
        self._history = history
        self._text = ""
        self._media: list[dict[str, Any]] = []
        self.items: list[dict[str, Any]] = []
        thoughts = [p for p in message.parts if type(p) is ReasoningPart]
        # An id names what its server knows with the thought before it: without the thought it is refused.
        self._ids = all(history.thoughts(p) is not None for p in thoughts)
        for part in message.parts:
            self._add(part)
        self._flush()
        if self._media:
            calls = (n for n, i in enumerate(self.items) if i.get("type") in _CALLS)
            shown = {"role": "user", "content": [{"type": "input_text", "text": _MADE}, *self._media]}
            self.items.insert(next(calls, len(self.items)), shown)  # behind a call stands its result
        if not self.items:
            self.items.append({"role": "assistant", "content": ""})

    def _add(self, part: Part) -> None:
        match part:
            case TextPart(text=words) | AudioPart(transcript=str(words)):  # what was said aloud is told in words
                self._text += words
            case ReasoningPart():
                if thoughts := self._history.thoughts(part):
                    self._flush()
                    self.items += thoughts
            case ToolCallPart():
                self._flush()
                self.items.append(self._call(part))
            case ProviderPart(kind="message"):
                if part.provider == OWNER:
                    self._flush(part.data)
            case ProviderPart():
                if part.provider == OWNER and part.kind not in _OWN_KINDS:
                    self._flush()
                    self.items.append(self._opaque(part))
            case ImagePart() | FilePart():
                self._media.append(part_of(part))
            case _:
                pass

    def _flush(self, told: dict[str, Any] | None = None) -> None:
        """Writes the text so far: as the message it came in, where that is known."""
        text, self._text = self._text, ""
        if told is None:
            if text:
                self.items.append({"role": "assistant", "content": text})
            return
        pieces = [dict(p) for p in told.get("content", ())]
        if len(pieces) == 1:
            pieces[0]["refusal" if pieces[0].get("type") == "refusal" else "text"] = text
        if self._ids and told.get("id") and told.get("at") == self._history.at:
            self.items.append({k: v for k, v in told.items() if k != "at"} | {"content": pieces})
        elif text:
            phase = {"phase": told["phase"]} if told.get("phase") else {}
            self.items.append({"role": "assistant", "content": text, **phase})

    def _call(self, part: ToolCallPart) -> dict[str, Any]:
        """A call. Arguments that did not parse are shown to the model as the text they were."""
        kept = (opened(part.signature, self._history.at) or [{}])[0]
        written = kept.pop("arguments", None)
        if not self._ids:
            kept.pop("id", None)
        call = {"type": "function_call", **kept, "call_id": self._history.id_of(part.id), "name": part.name}
        if call["type"] == "custom_tool_call":
            given = (part.arguments or {}).get("input")
            return {**call, "input": given if isinstance(given, str) else _json(part)}
        return {**call, "arguments": written if _means(written, part.arguments) else _json(part)}

    def _opaque(self, part: ProviderPart) -> dict[str, Any]:
        """An item as it came; the picture in it stands before it."""
        item: dict[str, Any] = part.data
        if part.kind == "image_generation_call" and self._media and not item.get("result"):
            url: str = self._media.pop().get("image_url", "")
            return {**item, "result": url.partition(",")[2]}
        return item


def _means(written: Any, arguments: dict[str, Any] | None) -> bool:
    """Whether arguments are as they were written: nobody has changed them since."""
    try:
        return isinstance(written, str) and bool(msgspec.json.decode(written) == arguments)
    except msgspec.DecodeError:
        return False


def _json(call: ToolCallPart) -> str:
    arguments = call.arguments if call.arguments is not None else {"invalid_json": call.raw or ""}
    return encode(arguments).decode()


def content(parts: Sequence[Part]) -> str | list[dict[str, Any]]:
    """Parts as the wire's content: plain text where they are nothing else."""
    if all(type(p) is TextPart for p in parts):
        return "".join(p.text for p in parts if type(p) is TextPart)
    return [part_of(p) for p in parts]


def part_of(part: Part) -> dict[str, Any]:
    """One part of a user's message.

    Raises:
        InvalidInputError: it cannot stand there.
    """
    match part:
        case TextPart():
            return {"type": "input_text", "text": part.text}
        case ImagePart():
            url = part.url if part.data is None else data_url(part.media_type, part.data)
            return {"type": "input_image", "image_url": url, "detail": part.detail or "auto"}
        case AudioPart():
            return {"type": "input_audio", "input_audio": _sound(part)}
        case FilePart():
            return {"type": "input_file", **_file(part)}
        case _:
            msg = f"a part of type {type(part).__name__!r} cannot stand in a user's message: text, image, audio or file can"
            raise InvalidInputError(msg)


def _sound(part: AudioPart) -> dict[str, Any]:
    kind = part.media_type.partition("/")[2].partition(";")[0]
    if part.data is not None:
        data = base64.b64encode(part.data).decode()
    elif part.url is not None and part.url.startswith("data:"):
        data = part.url.partition(",")[2]
    else:
        msg = f"sound by URL ({part.url!r}) cannot be sent to a server of /responses: give its bytes"
        raise InvalidInputError(msg)
    return {"data": data, "format": _AUDIO.get(kind, kind)}


def _file(part: FilePart) -> dict[str, Any]:
    if part.file_id is not None:
        return {"file_id": part.file_id}
    if part.data is None and part.url is not None and not part.url.startswith("data:"):
        return {"file_url": part.url}
    data = part.url if part.data is None else data_url(part.media_type, part.data)
    return {"filename": part.name or "file", "file_data": data}


def _output(result: ToolResultPart) -> tuple[str | list[dict[str, Any]], list[dict[str, Any]]]:
    """A result's content, and what of it cannot stand there."""
    if isinstance(result.content, str):
        return result.content, []
    sounds = [part_of(p) for p in result.content if type(p) is AudioPart]
    parts = [p for p in result.content if type(p) is not AudioPart]
    if sounds and not parts:
        return "The content follows in the next message.", sounds
    return content(parts), sounds
