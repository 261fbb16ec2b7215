"""A history as the Messages API has it: messages as content blocks.

Each message is encoded on its own and kept, see `_encoded`; the API's turns are put together from them, since results
and the user's words are one turn of the user's, and neighbours of one role are one turn.
"""

from __future__ import annotations

import hashlib
import re
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
from lumosai.models._anthropic_media import document, image
from lumosai.models._encoded import encode
from lumosai.models._media import made_media

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lumosai.messages import Part

    Blocks = list[dict[str, Any]]

_BAD: Final = re.compile(r"[^a-zA-Z0-9_-]")
_THOUGHTS: Final = ("thinking", "redacted_thinking")
_NOT_SENT: Final = ("container", "stop_details")
"""Opaque parts that tell of an answer and are no blocks of it."""

MARK: Final = "cache_control"


class Turn(bytes):
    """The blocks of one message as JSON, joined by commas; empty where it says nothing.

    Attributes:
        role: whose turn of the API's it belongs to, or "system".
        results: whether it holds results, which go before all else in their turn.
        is_open: whether its last block may be marked for the cache.
        marks: the user's marks in it: for each, whether it is to last an hour.
        names: the tools it calls.
        files: whether it names a file by its id.
        behind: a turn of the user's that follows it: images that the model made, which its own turn has no place for.
    """

    role: str
    results: bool
    is_open: bool
    marks: tuple[bool, ...]
    names: tuple[str, ...]
    files: bool
    behind: Turn | None


def turn(message: Message, provider: str, *, sees: bool = True) -> Turn:
    """A message's blocks.

    Args:
        message: what is told.
        provider: who is sent back its own opaque parts.
        sees: whether the model takes images.

    Raises:
        InvalidInputError: a part that the API does not take, or a message for results that holds none.
    """
    shown: tuple[Part, ...] = ()
    match message.role:
        case "assistant":
            message, shown = made_media(message, sees=sees)
            blocks = _assistant(message.parts, provider)
        case "tool":
            if not message.tool_results:
                msg = "a message of role 'tool' holds no ToolResultPart: put the results of the calls before it into it"
                raise InvalidInputError(msg)
            blocks = _user(message.parts, provider)
        case "system":
            blocks = [b for b in _user(message.parts, provider) if b.get("type") == "text"]
        case _:
            blocks = _user(message.parts, provider)
    made = Turn(b",".join(map(encode, blocks)))
    made.role = message.role if message.role in ("system", "assistant") else "user"
    made.results = message.role == "tool"
    made.is_open = bool(blocks) and MARK not in blocks[-1] and blocks[-1].get("type") not in _THOUGHTS
    made.marks = tuple([b[MARK].get("ttl") == "1h" for b in blocks if isinstance(b.get(MARK), dict)])
    made.names = tuple([str(b.get("name")) for b in blocks if b.get("type") == "tool_use"])
    made.files = any(type(p) is FilePart and p.file_id is not None for p in message.parts)
    made.behind = turn(Message("user", shown), provider) if shown else None
    return made


def trimmed(messages: tuple[Message, ...]) -> tuple[Message, ...]:
    """The messages, without the blanks at the end of an answer that is to be gone on with: the API refuses them."""
    last = messages[-1] if messages else None
    if last is None or last.role != "assistant" or not last.parts:
        return messages
    end = last.parts[-1]
    if not isinstance(end, TextPart) or end.text == end.text.rstrip():
        return messages
    parts = (*last.parts[:-1], TextPart(end.text.rstrip()))
    return (*messages[:-1], msgspec.structs.replace(last, parts=parts))


def begins_with_thought(messages: Sequence[Message], provider: str) -> bool:
    """Whether the turn that is going on began with a thought, or none is: else thinking cannot be on in it."""
    first: Message | None = None
    for message in reversed(messages):
        if message.role == "user":
            break
        if message.role == "assistant":
            first = message
    if first is None:
        return True
    blocks = _assistant(first.parts, provider)
    return not blocks or blocks[0].get("type") in _THOUGHTS


def _assistant(parts: Sequence[Part], provider: str) -> Blocks:
    """An answer's blocks. Thoughts that are not this provider's, or not sealed by it, are not sent."""
    blocks: Blocks = []
    for part in parts:
        match part:
            case TextPart():
                _add_text(blocks, part.text)
            case ReasoningPart(signature=str(), provider=own) if own == provider:
                blocks.append({"type": "thinking", "thinking": part.text, "signature": part.signature})
            case ToolCallPart():
                blocks.append(_call(part))
            case ProviderPart() if part.provider == provider:
                _add_own(blocks, part)
            case _:
                pass
    return blocks


def _user(parts: Sequence[Part], provider: str) -> Blocks:
    """What a user says; results first."""
    results: Blocks = []
    blocks: Blocks = []
    for part in parts:
        match part:
            case ToolResultPart():
                results.append(_result(part))
            case ProviderPart() if part.provider == provider:
                _add_own(blocks or results, part)
            case TextPart() | ImagePart() | FilePart() | AudioPart():
                _add(blocks, part)
            case _:
                pass
    return results + blocks


def _add(blocks: Blocks, part: TextPart | ImagePart | FilePart | AudioPart) -> None:
    match part:
        case TextPart():
            _add_text(blocks, part.text)
        case ImagePart():
            blocks.append(image(part))
        case FilePart():
            blocks.append(document(part))
        case AudioPart():
            msg = "an AudioPart cannot be sent to this API: it takes text, images, PDFs and text files"
            raise InvalidInputError(msg)


def _add_text(blocks: Blocks, text: str) -> None:
    """Blank text is left out: the API refuses it."""
    if text and not text.isspace():
        blocks.append({"type": "text", "text": text})


def _add_own(blocks: Blocks, part: ProviderPart) -> None:
    """An opaque part: a block as it came, or what belongs to the block before it."""
    data = part.data
    if part.kind == MARK:
        if blocks and blocks[-1].get("type") not in _THOUGHTS:
            blocks[-1] = {**blocks[-1], MARK: data or {"type": "ephemeral"}}
    elif part.kind == "citations":
        _cite(blocks, data)
    elif part.kind not in _NOT_SENT and isinstance(data, dict):
        blocks.append(data)


def _cite(blocks: Blocks, data: Any) -> None:
    """Gives the end of the text before it its sources back; what stands before that end has none of them."""
    last = blocks[-1] if blocks else {}
    if last.get("type") != "text" or "citations" in last or not isinstance(data, dict):
        return
    text, said = last["text"], data.get("text") or ""
    if not said or not text.endswith(said) or not data.get("citations"):
        return
    blocks.pop()
    _add_text(blocks, text[: len(text) - len(said)])
    blocks.append({"type": "text", "text": said, "citations": data["citations"]})


def _call(part: ToolCallPart) -> dict[str, Any]:
    """A call of the history. Arguments that did not parse are shown to the model as the text they were."""
    arguments = part.arguments if part.arguments is not None else {"invalid_json": part.raw or ""}
    block: dict[str, Any] = {
        "type": "tool_use",
        "id": safe_id(part.id),
        "name": _BAD.sub("_", part.name)[:128] or "unnamed",
        "input": arguments,
    }
    if part.signature is not None and (caller := _caller(part.signature)) is not None:
        block["caller"] = caller
    return block


def _caller(signature: str) -> dict[str, Any] | None:
    """Who made a call, as its seal says; None where that is the seal of another protocol."""
    try:
        sealed = msgspec.json.decode(signature)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return None
    caller = sealed.get("caller") if isinstance(sealed, dict) else None
    return caller if isinstance(caller, dict) else None


def _result(part: ToolResultPart) -> dict[str, Any]:
    block: dict[str, Any] = {"type": "tool_result", "tool_use_id": safe_id(part.call_id)}
    if isinstance(part.content, str):
        content: Any = part.content
    else:
        content = []
        for piece in part.content:
            _add(content, piece)
    if part.is_error:
        block["is_error"] = True
        content = content or "The tool failed and did not say why."
    if content:
        block["content"] = content
    return block


def safe_id(id_: str) -> str:
    """A call's id as the API takes it: letters, digits, `_` and `-`. Others' ids stay apart and stay the same."""
    if id_ and not _BAD.search(id_):
        return id_
    return f"{_BAD.sub('_', id_)[:40]}_{hashlib.sha256(id_.encode(errors='replace')).hexdigest()[:12]}"
