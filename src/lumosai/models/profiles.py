"""Profiles: what a model can do, as its provider says and as experience shows.

A `Profile` is a static table entry. `Learned` is what was found out at run time for one provider, endpoint and model:
a server that rejects `tools`, a model that writes its calls as text. It lives on the model object, or in a store that is
handed in with each request as `services["profiles"]`, and is forgotten after seven days.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Protocol

import msgspec

from lumosai.records import ToolMode

if TYPE_CHECKING:
    from collections.abc import Callable

LEARNED_FOR_S = 7 * 24 * 3600.0
PROOFS_NEEDED = 2


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """What a model can do.

    Attributes:
        native_tools: takes `tools` and answers with calls.
        json_schema: takes `response_format: json_schema` and keeps to it.
        strict_tools: takes `strict: true` on a tool.
        parallel_tools: may answer with several calls; takes `parallel_tool_calls`.
        tool_mode: how tools are called where the user says "auto".
        dialect: the textual call format it was trained on, "auto" where unknown.
        answers_after_tools: small models repeat a call instead of answering: ask without tools after a result.
        stream_usage: takes `stream_options.include_usage`.
        max_tokens_field: the request's name for the longest answer.
        system_role: "system", or "developer".
        images: takes image parts; None where nobody knows, which are sent for the server to judge.
        audio: takes audio parts, likewise.
        files: takes file parts, likewise.
        media_types: the media types of images, of audio or of files that it takes; any of a kind that none is named of.
        urls: which of "image", "audio" and "file" it takes by URL, to be fetched by the provider; others by their bytes.
        send_reasoning: wants its own `reasoning_content` back with a tool call's history.
        reasoning_effort: takes `reasoning_effort`.
        thinking: how thinking is switched on and off, where not by `reasoning_effort`: "thinking", "enable_thinking",
            "template" (the chat template's own switch), "openrouter"; "" where it cannot be.
        stream_only: its server gives no whole answers, only streams.
        call_ids: "mistral" where ids of calls must be nine letters and digits.
        sampling: takes temperature and top_p.
        local: runs on this machine and costs nothing.
        context_tokens: the window, None where unknown.
    """

    native_tools: bool = True
    json_schema: bool = False
    strict_tools: bool = False
    parallel_tools: bool = True
    tool_mode: ToolMode = "native"
    dialect: str = "auto"
    answers_after_tools: bool = False
    stream_usage: bool = True
    max_tokens_field: str = "max_tokens"
    system_role: str = "system"
    images: bool | None = None
    audio: bool | None = None
    files: bool | None = None
    media_types: tuple[str, ...] = ()
    urls: tuple[str, ...] = ("image", "audio", "file")
    send_reasoning: bool = False
    reasoning_effort: bool = False
    thinking: str = ""
    stream_only: bool = False
    call_ids: str = ""
    sampling: bool = True
    local: bool = False
    context_tokens: int | None = None


class Learned(msgspec.Struct, frozen=True, omit_defaults=True):
    """What was found out about one model at one endpoint.

    Attributes:
        tool_mode: the mode to use instead of the profile's, None while that is not decided.
        proofs: answers that held a declared tool's call as text although it was asked for natively.
        reason: why the mode was changed.
        at: when it was last confirmed, unix seconds.
        dialect: the format those calls were written in.
        rejected: request features this server rejects ("tools", "json_schema", "stream_options", …).
    """

    tool_mode: ToolMode | None = None
    proofs: int = 0
    reason: str = ""
    at: float = 0.0
    dialect: str = ""
    rejected: tuple[str, ...] = ()


class ProfileStore(Protocol):
    """Where experience is kept. Keys are "provider endpoint model"."""

    def get(self, key: str) -> Learned | None: ...

    def put(self, key: str, learned: Learned) -> None: ...


class MemoryProfiles:
    """Experience kept in this object, forgotten after seven days. Not shared between processes."""

    def __init__(self, *, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._rows: dict[str, Learned] = {}

    def get(self, key: str) -> Learned | None:
        """What is known, or None where nothing is or it is too old."""
        row = self._rows.get(key)
        if row is not None and self._now() - row.at > LEARNED_FOR_S:
            del self._rows[key]
            return None
        return row

    def put(self, key: str, learned: Learned) -> None:
        """Remembers, dated now."""
        self._rows[key] = msgspec.structs.replace(learned, at=self._now())


def profile_key(provider: str, endpoint: str, model: str) -> str:
    """The key under which experience is kept."""
    return f"{provider} {endpoint} {model}"
