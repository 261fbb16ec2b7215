"""What a request says besides its messages and tools: how to answer, how much to think, which tool to call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from lumosai.models._gemini_schema import json_schema, openapi_schema

if TYPE_CHECKING:
    from lumosai.models.profiles import Profile
    from lumosai.records import ModelSettings, ToolChoice

_BUDGETS: Final = {"minimal": 512, "low": 1024, "medium": 8192, "high": 24576}
"""Tokens of thought by effort, for models that take a budget."""

_LEAST_BUDGET: Final = 128
"""The smallest budget of a model that cannot leave off thinking."""

_BY_ITSELF: Final = -1
"""The budget that the model sets itself."""

_EFFORTS: Final = ("minimal", "low", "medium", "high")
_MODES: Final = {"auto": "AUTO", "none": "NONE", "required": "ANY"}


def generation_config(settings: ModelSettings, schema: dict[str, Any] | None, profile: Profile) -> dict[str, Any]:
    """How to answer: only what is set."""
    config: dict[str, Any] = {}
    if profile.sampling:
        config |= {"temperature": settings.temperature, "topP": settings.top_p}
    config["maxOutputTokens"] = settings.max_output_tokens
    config["stopSequences"] = list(settings.stop) if settings.stop else None
    config["seed"] = settings.seed
    if schema is not None:
        config["responseMimeType"] = "application/json"
        config |= schema_field("response", schema, profile)
    if settings.reasoning is not None:
        config["thinkingConfig"] = _thinking(settings.reasoning, profile)
    return {k: v for k, v in config.items() if v is not None}


def schema_field(what: str, schema: dict[str, Any], profile: Profile) -> dict[str, Any]:
    """A schema under the name of the form that the server takes: `responseJsonSchema`, or `responseSchema`.

    Args:
        what: "response" or "parameters".
        schema: a JSON Schema.
        profile: says which form.
    """
    if profile.schema_form == "openapi":
        return {"parameters" if what == "parameters" else "responseSchema": openapi_schema(schema)}
    return {f"{what}JsonSchema": json_schema(schema)}


def tool_config(choice: ToolChoice) -> dict[str, Any]:
    """Whether a tool is to be called, and which."""
    if isinstance(choice, str):
        return {"functionCallingConfig": {"mode": _MODES[choice]}}
    return {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": [choice["tool"]]}}


def merged(fields: dict[str, Any], extra: dict[str, Any]) -> dict[str, Any]:
    """`fields` with what only this provider has: objects are joined field by field, all else is as `extra` has it."""
    out = dict(fields)
    for key, value in extra.items():
        before = out.get(key)
        out[key] = merged(before, value) if isinstance(before, dict) and isinstance(value, dict) else value
    return out


def without_refused(profile: Profile, words: str) -> Profile | None:
    """The profile without what a server refuses, of that which nobody asked for; None where it refuses something else.

    Args:
        profile: what was thought of the model.
        words: the server's refusal.
    """
    if profile.schema_form != "openapi" and ("JsonSchema" in words or "json_schema" in words):
        return msgspec.structs.replace(profile, schema_form="openapi")
    if profile.call_ids != "none" and 'Unknown name "id"' in words:
        return msgspec.structs.replace(profile, call_ids="none")
    if profile.system_role == "system" and "eveloper instruction is not enabled" in words:
        return msgspec.structs.replace(profile, system_role="user")
    return None


def _thinking(reasoning: str | bool, profile: Profile) -> dict[str, Any] | None:  # noqa: FBT001  # a setting
    """How much to think, in the model's own way; None where it has none. Thoughts that are asked for are shown."""
    on = reasoning not in (False, "none")
    match profile.thinking:
        case "budget":
            return _budget(reasoning, least=0, on=on)
        case "budget_always":
            return _budget(reasoning, least=_LEAST_BUDGET, on=on)
        case "level":
            shown: dict[str, Any] = {"includeThoughts": True} if on else {}
            return shown if reasoning is True else {"thinkingLevel": _level(reasoning, profile.efforts), **shown}
        case _:
            return None


def _budget(reasoning: str | bool, *, least: int, on: bool) -> dict[str, Any]:  # noqa: FBT001  # a setting
    if not on:
        return {"thinkingBudget": least}
    tokens = _BUDGETS.get(reasoning, _BY_ITSELF) if isinstance(reasoning, str) else _BY_ITSELF
    return {"thinkingBudget": tokens, "includeThoughts": True}


def _level(reasoning: str | bool, levels: tuple[str, ...]) -> str:  # noqa: FBT001  # a setting
    """The level of that effort that the model has, else the next one above; the lowest, where none is wanted."""
    levels = levels or _EFFORTS
    if reasoning in (False, "none"):
        return levels[0]
    if reasoning not in _EFFORTS:
        return str(reasoning)
    above = _EFFORTS[_EFFORTS.index(str(reasoning)) :]
    return next((level for level in above if level in levels), levels[-1])
