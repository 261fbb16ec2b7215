"""What servers of `/chat/completions` refuse of that which nobody asked for, by the words of their refusals.

Each entry is a change of the profile that a refusal calls for. With it the request is sent once more, and the profile
remembers. What a user asked for is not given up here: where a server refuses that, the user is told.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable

    from lumosai.models.profiles import Profile

    Change = Callable[[Profile], dict[str, Any]]


def without_refused(profile: Profile, words: str) -> Profile | None:
    """The profile without what a server refuses, of that which nobody asked for; None where it refuses something else.

    Args:
        profile: what was thought of the model.
        words: the server's refusal.
    """
    for field in profile.fields:
        if field in words:
            return msgspec.structs.replace(profile, fields={k: v for k, v in profile.fields.items() if k != field})
    for pattern, change in _TABLE:
        if pattern.search(words):
            changed = msgspec.structs.replace(profile, **change(profile))
            if changed != profile:
                return changed
    return None


def _other_maximum(profile: Profile) -> dict[str, Any]:
    other = "max_tokens" if profile.max_tokens_field == "max_completion_tokens" else "max_completion_tokens"
    return {"max_tokens_field": other}


def _role(profile: Profile) -> dict[str, Any]:
    return {"system_role": "system" if profile.system_role == "developer" else "user"}


def _rules(*names: str) -> Change:
    return lambda profile: {"order": tuple(dict.fromkeys([*profile.order, *names]))}


def _set(**changes: Any) -> Change:
    return lambda _profile: changes


_NOT: Final = (
    r"(?:not|n't|un)[ -]?(?:be )?(?:support|permit|allow|recogni|expect|avail)|unknown|extra[_ ](?:forbidden|input)"
)

_TABLE: Final[tuple[tuple[re.Pattern[str], Change], ...]] = tuple(
    (re.compile(words, re.IGNORECASE | re.DOTALL), change)
    for words, change in (
        # Mistral answers 422 to it; older vLLM, TGI and Azure refuse it too.
        (r"stream_options", _set(stream_usage=False)),
        # OpenAI, of models that think: 'max_tokens' is not supported, use 'max_completion_tokens' instead.
        (r"max_tokens.*max_completion_tokens|max_completion_tokens.*max_tokens", _other_maximum),
        (r"max_completion_tokens", _set(max_tokens_field="max_tokens")),
        # vLLM's templates: "Unexpected message role: developer"; Gemma's: "System role not supported".
        (r"developer", lambda p: _role(p) if p.system_role == "developer" else {}),
        (r"'?system'? role (?:is )?not supported|does not support 'system' with this model", _role),
        # Cohere, Bedrock's gateway, older TGI.
        (r"parallel_tool_calls", _set(parallel_tools=False)),
        (rf"\bstrict\b.*(?:{_NOT})|(?:{_NOT}).*\bstrict\b", _set(strict_tools=False)),
        # Zhipu: "Tool choice must be auto"; DeepSeek: "Thinking mode does not support this tool_choice"; Qwen: "The
        # tool_choice parameter does not support being set to required or object in thinking mode"; Moonshot:
        # "tool_choice 'required' is incompatible with thinking enabled".
        (r"(?:tool_choice|tool choice).*'any'", _set(tool_choices="any")),
        (r"tool_choice.*thinking|thinking.*tool_choice|does not support this tool_choice", _set(tool_choices="auto")),
        (r"tool[_ ]choice must be auto|tool_choice.*(?:only|must be).*auto", _set(tool_choices="auto")),
        # DeepSeek: "The reasoning_content in the thinking mode must be passed back to the API."; Moonshot: "thinking is
        # enabled but reasoning_content is missing in assistant tool call message at index 2".
        (
            r"missing[^.]*reasoning_content|reasoning_content[^.]*(?:missing|must be passed)",
            _set(send_reasoning=True, reasoning_required=True, reasoning_in="all"),
        ),
        # Groq: "property 'reasoning_content' is unsupported"; DeepSeek's R1 refused it in its input.
        (
            rf"\b(?:reasoning_content|reasoning|thinking)\b\W{{0,3}}(?:is |are )?(?:{_NOT})|remove the reasoning_content",
            _set(send_reasoning=False, reasoning_required=False),
        ),
        # Qwen: "parameter.enable_thinking must be set to false for non-streaming calls", "This model only support stream
        # mode, please enable the stream parameter to access the model."
        (
            r"only supports? stream|false for non-streaming|必须设置为false才能进行非流式|stream=False`?|stream must be (?:set to )?true",
            _set(stream_only=True),
        ),
        (r"tool_stream", _set(tool_stream=False)),
        (r"tool call id.*length of 9", _set(call_ids="mistral")),
        # Servers whose schema has no null there: "content: none is not an allowed value", "null is not of type 'string'".
        (
            r"content\W[^.]{0,60}\b(?:null|none|nil)\b|content\W[^.]{0,20}(?:field|is) required",
            _set(null_content=False),
        ),
        (r"roles must alternate", _rules("system", "tool_user", "alternate")),
        (r"system message must be (?:at the beginning|first)|unexpected role 'system'", _rules("system")),
        (r"unexpected role 'user' after role 'tool'", _rules("tool_user")),
        (r"expected last role|assistant message prefill|more assistant messages at the end", _rules("last")),
        (r"must end with a user message|last message.*(?:must|should).*\buser\b", _rules("last")),
        (r"must not be empty|must have either content or tool_calls", _rules("empty")),
        (r"messages 参数非法", _rules("empty", "system", "user")),
        (r"no user (?:query|message)|at least one user message", _rules("user")),
    )
)
"""Patterns of refusals, and what of the profile changes; the first that changes something counts."""
