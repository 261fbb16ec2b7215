"""Settings of a request under the names and in the words that a server of `/chat/completions` takes.

Sources: https://platform.openai.com/docs/api-reference/chat/create, https://help.aliyun.com/en/model-studio/deep-thinking
(`enable_thinking`, `thinking_budget`), https://api-docs.deepseek.com/guides/thinking_mode and
https://docs.z.ai/guides/capabilities/thinking-mode (`thinking`), https://openrouter.ai/docs/use-cases/reasoning-tokens
(`reasoning`), https://docs.mistral.ai/api (`random_seed`), and the providers' own pages named in `providers`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from lumosai.models.profiles import Profile
    from lumosai.records import ModelSettings, ToolChoice

_SCALE: Final = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
BUDGETS: Final = {"minimal": 512, "low": 2048, "medium": 8192}
"""Tokens of thought that an effort is where a server counts them; more than these is the server's own maximum."""


def add_settings(fields: dict[str, Any], settings: ModelSettings, profile: Profile) -> None:
    """Adds what is set, under the names this server gives it."""
    if profile.sampling:
        if settings.temperature is not None:
            fields["temperature"] = settings.temperature
        if settings.top_p is not None:
            fields["top_p"] = settings.top_p
    if settings.max_output_tokens is not None:
        fields[profile.max_tokens_field] = settings.max_output_tokens
    if settings.stop:
        fields["stop"] = settings.stop
    if settings.seed is not None:
        fields[profile.seed_field] = settings.seed
    if settings.reasoning is not None:
        _add_reasoning(fields, settings.reasoning, profile)
    if profile.thinking_temperature is not None and profile.thinks_in(settings):
        fields["temperature"] = profile.thinking_temperature


def _add_reasoning(fields: dict[str, Any], reasoning: str | bool, profile: Profile) -> None:  # noqa: FBT001  # a setting
    """Adds how much the model is to think, in the server's own way; nothing where it has none."""
    on = reasoning not in (False, "none")
    effort = _effort(reasoning, profile)
    match profile.thinking:
        case "thinking":
            fields["thinking"] = {"type": "enabled" if on else "disabled"}
            if on and effort is not None:
                fields["reasoning_effort"] = effort
        case "enable_thinking":
            fields["enable_thinking"] = on
            if reasoning in BUDGETS:
                fields["thinking_budget"] = BUDGETS[str(reasoning)]
        case "template":
            fields["chat_template_kwargs"] = {"enable_thinking": on}
        case "openrouter":
            fields["reasoning"] = {"effort": reasoning} if isinstance(reasoning, str) and on else {"enabled": on}
        case "enabled":
            fields["reasoning"] = {"enabled": on}
        case _ if effort is not None:
            fields["reasoning_effort"] = effort


def _effort(reasoning: str | bool, profile: Profile) -> str | None:  # noqa: FBT001  # a setting
    """The server's word for an effort, the nearest of those it takes; None where nothing is to be said."""
    if not profile.reasoning_effort:
        return None
    words = profile.efforts
    if reasoning in (False, "none"):
        return "none" if not words or "none" in words else words[0]
    strengths = [w for w in words if w != "none"]
    if reasoning is True:  # where it can be off it may be off, where it cannot it is on
        return strengths[0] if "none" in words else None
    word = str(reasoning)
    if not words or word in words:
        return word
    known = [w for w in strengths if w in _SCALE]
    if word not in _SCALE or not known:
        return strengths[-1] if strengths else word
    at = _SCALE.index(word)
    return min(known, key=lambda w: (abs(_SCALE.index(w) - at), -_SCALE.index(w)))


def tool_choice(choice: ToolChoice, profile: Profile) -> Any:
    """The wire's form of a tool choice."""
    if choice == "required" and profile.tool_choices == "any":
        return "any"
    if isinstance(choice, str):
        return choice
    return {"type": "function", "function": {"name": choice["tool"]}}


def is_only_told(choice: ToolChoice | None, settings: ModelSettings, profile: Profile) -> bool:
    """Whether the server takes no such choice, so that it is made by what is sent and said: see `told`."""
    if choice in (None, "auto"):
        return False
    if profile.tool_choices == "auto":
        return True
    return profile.tool_choices == "auto_thinking" and choice != "none" and profile.thinks_in(settings)


def told(choice: ToolChoice) -> str:
    """A choice that cannot be demanded, in words; "" for none, which is made by sending no tools."""
    if choice == "required":
        return "Answer with a tool call now, not with text."
    if isinstance(choice, dict):
        return f"Answer with a call of the tool {choice['tool']!r} now, not with text."
    return ""
