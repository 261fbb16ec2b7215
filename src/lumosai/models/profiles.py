"""Profiles: what a model can do, as its provider says and as experience shows.

A `Profile` is a static table entry. `Learned` is what was found out at run time for one provider, endpoint and model: what
was tried, what worked, when. It lives on the model object, or in a store that is handed in with each request as
`services["profiles"]`, and is forgotten after seven days.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from lumosai.models._learned import (
    FEATURES,
    LEARNED_FOR_S,
    NOTHING,
    PROOFS_NEEDED,
    Change,
    Learned,
    MemoryProfiles,
    ProfileStore,
    Tried,
    dated,
    fresh,
    keep_in,
    own_store,
    profile_key,
)
from lumosai.records import ToolMode

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lumosai.records import ModelSettings

__all__ = [
    "FEATURES",
    "LEARNED_FOR_S",
    "NOTHING",
    "PROOFS_NEEDED",
    "Change",
    "Learned",
    "MemoryProfiles",
    "Profile",
    "ProfileStore",
    "Tried",
    "applied",
    "changes",
    "dated",
    "fresh",
    "keep_in",
    "own_store",
    "profile_key",
]


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
            `text/*` is every text.
        urls: which of "image", "audio" and "file" it takes by URL, to be fetched by the provider; others by their bytes.
        media_form: whose forms of parts it takes in `/chat/completions`, where not OpenAI's: "qwen", "mistral", "vllm".
        send_reasoning: wants its own thoughts back, with a tool call's history at least.
        reasoning_field: where in an assistant's message: a field of that name, or "content" where they are parts of it.
        reasoning_in: "calls" where only messages with calls take them, or "all".
        reasoning_required: refuses a message without, so that a blank is sent with those of others.
        reasoning_effort: takes `reasoning_effort`.
        efforts: the words that takes, weakest first; empty where it takes any. In the Messages API: none.
        thinking: how thinking is switched on and off, where not by `reasoning_effort`: "thinking", "enable_thinking",
            "template" (the chat template's own switch), "openrouter", "enabled"; for Gemini "budget",
            "budget_always" (where it cannot be off) or "level"; for Claude "budget" or "adaptive", with "adaptive-between"
            where only thinking before the answer can be off and "adaptive-always" where it cannot be; "" where it cannot.
        thinks: thinks where nothing else is said.
        stream_only: its server gives no whole answers, only streams.
        stream_thinking: its server gives no whole answers with thoughts.
        thinking_temperature: what it insists on while it thinks, where it does.
        tool_choices: "all"; "any" where a call of any tool is demanded by that word; "auto" where none can be demanded,
            "auto_thinking" where none can while it thinks. What cannot be demanded is told in words.
        tool_stream: streams a call's arguments only where `tool_stream` asks for it.
        call_ids: "mistral" where ids of calls must be nine letters and digits, "none" where none is sent.
        prefix: the mark of a last assistant message that the answer is to go on from, "" where there is none.
        prefix_path: the path that takes it, where that is not the usual one.
        order: what its server refuses in the order of messages, see `_openai_order`.
        null_content: takes `content: null` beside calls.
        seed_field: the request's name for the seed.
        fields: sent with every request, so that its server behaves as others do.
        sampling: takes temperature and top_p.
        refuses: what may be left out of a request and its server refuses, by the wire's names: "include", "store", ….
        prompt_cache: takes marks of what of a prompt is to be cached.
        output_tokens: the longest answer to ask for where the user does not say and the protocol insists on one, in
            tokens; None where unknown.
        local: runs on this machine and costs nothing.
        context_tokens: the window, None where unknown.
        schema_with_tools: can be held to a JSON Schema in an answer that may call tools.
        schema_form: "json", or "openapi" where schemas are taken in that older form only.
        call_signatures: refuses a call of the history that has no signature.
        result_media: takes media in a tool's result.
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
    media_form: str = ""
    send_reasoning: bool = False
    reasoning_field: str = "reasoning_content"
    reasoning_in: str = "calls"
    reasoning_required: bool = False
    reasoning_effort: bool = False
    efforts: tuple[str, ...] = ()
    thinking: str = ""
    thinks: bool = False
    stream_only: bool = False
    stream_thinking: bool = False
    thinking_temperature: float | None = None
    tool_choices: str = "all"
    tool_stream: bool = False
    call_ids: str = ""
    prefix: str = ""
    prefix_path: str = ""
    order: tuple[str, ...] = ()
    null_content: bool = True
    seed_field: str = "seed"
    fields: dict[str, Any] = {}
    sampling: bool = True
    refuses: tuple[str, ...] = ()
    prompt_cache: bool = False
    output_tokens: int | None = None
    local: bool = False
    context_tokens: int | None = None
    schema_with_tools: bool = True
    schema_form: str = "json"
    call_signatures: bool = False
    result_media: bool = False

    def thinks_in(self, settings: ModelSettings) -> bool:
        """Whether it thinks in a request with these settings, as far as they can change that."""
        if settings.reasoning is None:
            return self.thinks
        efforts = self.reasoning_effort and (not self.efforts or "none" in self.efforts)
        if settings.reasoning in (False, "none"):
            return self.thinks and not (self.thinking or efforts)
        return self.thinks or bool(self.thinking) or self.reasoning_effort


def applied(profile: Profile, changed: Sequence[Change]) -> Profile:
    """The profile as it turned out; a change that a newer or older version wrote may fit no more, and is passed by."""
    for change in changed:
        try:
            profile = msgspec.convert({**msgspec.to_builtins(profile), **change.changes}, Profile)
        except msgspec.ValidationError:
            continue
    return profile


def changes(before: Profile, after: Profile) -> dict[str, Any]:
    """The fields in which two profiles differ, as they are in the latter."""
    one, other = msgspec.to_builtins(before), msgspec.to_builtins(after)
    return {name: value for name, value in other.items() if value != one[name]}
