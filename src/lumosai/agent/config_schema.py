"""What a configuration may say: every key, its type, what is allowed in words, and the variable that sets it.

This is the one list: files, `LUMOSAI_*` variables, `lumosai config show` and the reference page are all made from it.
"""

from __future__ import annotations

import difflib
import re
from typing import Any, Literal, NamedTuple

import msgspec

from lumosai.records import Remembered, Titles, ToolCalling, ToolChoice

SECRET = re.compile(r"(^|[_-])(api[_-]?key|token|secret|password|passwd|authorization|credentials?)$", re.IGNORECASE)
"""Keys whose value may stand in a file only by reference, and is never shown."""

_TRUE = {"true", "yes", "on", "1"}
_FALSE = {"false", "no", "off", "0"}


class Rule(NamedTuple):
    """What one key may hold.

    Attributes:
        type: the Python type of its value.
        allowed: the same in words, for messages and the reference.
        variable: the environment variable that sets it, "" where none does.
        least: the smallest number allowed, None where any is.
        most: the largest number allowed, None where any is.
        names: whether a list written as one text holds names of tools.
    """

    type: Any
    allowed: str
    variable: str = ""
    least: float | None = None
    most: float | None = None
    names: bool = False


def _count(variable: str = "", least: int = 0, *, none: bool = True) -> Rule:
    words = f"a whole number from {least} up" + (', or "none" for no limit' if none else "")
    return Rule(int | None if none else int, words, variable, least)


def _amount(words: str, variable: str) -> Rule:
    return Rule(float | None, f'{words}, more than 0, or "none" for no limit', variable, 0)


SETTINGS: dict[str, Rule] = {
    "temperature": Rule(float, "a number from 0 to 2", "LUMOSAI_TEMPERATURE", 0, 2),
    "top_p": Rule(float, "a number from 0 to 1", "LUMOSAI_TOP_P", 0, 1),
    "max_output_tokens": _count("LUMOSAI_MAX_OUTPUT_TOKENS", 1, none=False),
    "stop": Rule(tuple[str, ...], "a list of texts", "LUMOSAI_STOP"),
    "seed": Rule(int, "a whole number", "LUMOSAI_SEED"),
    "reasoning": Rule(
        bool | str, 'true, false, or an effort such as "none", "low", "medium" or "high"', "LUMOSAI_REASONING"
    ),
    "tool_choice": Rule(ToolChoice, '"auto", "none", "required" or { tool = "name" }', "LUMOSAI_TOOL_CHOICE"),
    "parallel_tool_calls": Rule(bool, "true or false", "LUMOSAI_PARALLEL_TOOL_CALLS"),
    "extra": Rule(dict[str, Any], "a table, sent as it is with each request"),
}
"""`ModelSettings`, key by key."""

LIMITS: dict[str, Rule] = {
    "max_tool_calls": _count("LUMOSAI_MAX_TOOL_CALLS"),
    "max_input_tokens": _count("LUMOSAI_MAX_INPUT_TOKENS", 1),
    "max_output_tokens": _count("LUMOSAI_LIMITS_MAX_OUTPUT_TOKENS", 1),
    "max_total_tokens": _count("LUMOSAI_MAX_TOTAL_TOKENS", 1),
    "max_cost_usd": _amount("US dollars", "LUMOSAI_MAX_COST_USD"),
    "deadline_s": _amount("seconds", "LUMOSAI_DEADLINE_S"),
    "max_steps": _count("LUMOSAI_MAX_STEPS", 1),
    "tool_timeout_s": _amount("seconds", "LUMOSAI_TOOL_TIMEOUT_S"),
    "tool_concurrency": _count("LUMOSAI_TOOL_CONCURRENCY", 1, none=False),
    "max_tool_result_chars": _count("LUMOSAI_MAX_TOOL_RESULT_CHARS", 1),
    "max_output_retries": _count("LUMOSAI_MAX_OUTPUT_RETRIES", none=False),
    "max_identical_failures": _count("LUMOSAI_MAX_IDENTICAL_FAILURES", 1, none=False),
    "approval_wait_s": _amount("seconds", "LUMOSAI_APPROVAL_WAIT_S"),
}
"""`Limits`, key by key."""

RETENTION: dict[str, Rule] = {
    "journal_days": _amount("days", "LUMOSAI_RETENTION_JOURNAL_DAYS"),
    "threads_days": _amount("days", "LUMOSAI_RETENTION_THREADS_DAYS"),
    "telemetry_days": _amount("days", "LUMOSAI_RETENTION_TELEMETRY_DAYS"),
    "max_mib": _amount("MiB", "LUMOSAI_RETENTION_MAX_MIB"),
}
"""`Retention`, key by key."""

RECALL: dict[str, Rule] = {
    "over": Rule(Remembered, '"off", "thread" or "resource"', "LUMOSAI_RECALL"),
    "top_k": _count("LUMOSAI_RECALL_TOP_K", 1, none=False),
    "before": _count("LUMOSAI_RECALL_BEFORE", none=False),
    "after": _count("LUMOSAI_RECALL_AFTER", none=False),
    "threshold": Rule(float | None, 'a number from 0 to 1, or "none" for no limit', "LUMOSAI_RECALL_THRESHOLD", 0, 1),
    "embedder": Rule(
        str | None,
        'an embedding model\'s name, such as "openai:text-embedding-3-small", "auto", or "none" for words alone',
        "LUMOSAI_RECALL_EMBEDDER",
    ),
    "time_budget_s": _amount("seconds", "LUMOSAI_RECALL_TIME_BUDGET_S"),
    "half_life_s": _amount("seconds", "LUMOSAI_RECALL_HALF_LIFE_S"),
}
"""`Recall`, key by key."""

MODEL: dict[str, Rule] = {
    "name": Rule(str, 'a model\'s name, such as "openai:gpt-5-mini", "auto" or "local"'),
    "base_url": Rule(str, 'an address, such as "http://127.0.0.1:8000/v1"'),
    "api_key": Rule(str, 'a reference to a variable, such as "${HOUSE_API_KEY}"'),
    "headers": Rule(dict[str, str], "a table of texts"),
    "timeout_s": _amount("seconds", ""),
    "threads": _count(least=1, none=False),
    "context_tokens": _count(least=1, none=False),
    "parallel": _count(least=1, none=False),
    "gpu_layers": _count(none=False),
    "chat_template": Rule(str, "a Jinja template"),
}
"""What the table form of `model` may hold: `name` must be there, the rest are options of that model."""

AGENT: dict[str, Rule] = {
    "name": Rule(str, "a text"),
    "instructions": Rule(str, "a text", "LUMOSAI_INSTRUCTIONS"),
    "model": Rule(str, f"{MODEL['name'].allowed}, or a table with a name and options", "LUMOSAI_MODEL"),
    "tools": Rule(
        tuple[str, ...],
        'a list of built-in toolkits ("calculator", "files:docs", …) and import paths ("package.module:name")',
        "LUMOSAI_TOOLS",
        names=True,
    ),
    "settings": Rule(dict[str, Any], f"a table of {', '.join(SETTINGS)}"),
    "limits": Rule(dict[str, Any], f"a table of {', '.join(LIMITS)}"),
    "retention": Rule(dict[str, Any], f"a table of {', '.join(RETENTION)}"),
    "memory": Rule(str, 'where threads are kept, such as "sqlite:///lumosai.db"; "" for nowhere', "LUMOSAI_MEMORY"),
    "titles": Rule(Titles, '"words" or "model"', "LUMOSAI_TITLES"),
    "last_messages": _count("LUMOSAI_LAST_MESSAGES", none=False),
    "token_budget": _count("LUMOSAI_TOKEN_BUDGET", 1),
    "processors": Rule(
        tuple[str | dict[str, Any], ...],
        'a list of processors ("deduplicate", "package.module:name"), or tables of a name and its options',
    ),
    "working_memory": Rule(Remembered, '"off", "thread" or "resource"', "LUMOSAI_WORKING_MEMORY"),
    "recall": Rule(dict[str, Any], f"a table of {', '.join(RECALL)}, or what is its `over`"),
    "telemetry": Rule(
        str, 'where traces are kept, such as "sqlite:///traces.db"; "" for where the memory is', "LUMOSAI_TELEMETRY"
    ),
    "log_level": Rule(
        str,
        'debug, info, warning, error or off, and levels of parts, such as "info,lumosai.storage=debug"',
        "LUMOSAI_LOG_LEVEL",
    ),
    "log_format": Rule(Literal["", "text", "json"], '"text" or "json"', "LUMOSAI_LOG_FORMAT"),
    "tool_calling": Rule(ToolCalling, '"auto", "native", "constrained", "text" or "off"', "LUMOSAI_TOOL_CALLING"),
    "enable_function_calling": Rule(bool, "true or false", "LUMOSAI_ENABLE_FUNCTION_CALLING"),
    "enable_streaming": Rule(bool, "true or false", "LUMOSAI_ENABLE_STREAMING"),
    "enable_memory_threads": Rule(bool, "true or false", "LUMOSAI_ENABLE_MEMORY_THREADS"),
    "enable_telemetry": Rule(bool, "true or false", "LUMOSAI_ENABLE_TELEMETRY"),
    "version": Rule(str, "a text"),
}
"""What one agent may say. At the top of a file the same keys are the defaults of all its agents."""

CONFIG_VARIABLE = "LUMOSAI_CONFIG"
"""Names the configuration file; empty means: none."""
AGENT_VARIABLE = "LUMOSAI_AGENT"
"""Names the agent of that file which the command line uses."""

Flat = tuple[str, ...]
"""A key from an agent's own table down, such as ("model",) or ("limits", "max_steps")."""


def leaves() -> dict[Flat, Rule]:
    """Every key of an agent that has a value of its own, tables taken apart."""
    found: dict[Flat, Rule] = {}
    for key, rule in AGENT.items():
        inner = {"settings": SETTINGS, "limits": LIMITS, "retention": RETENTION, "recall": RECALL}.get(key)
        if inner is None:
            found[key,] = rule
        else:
            found.update({(key, k): r for k, r in inner.items()})
    return found


def variables() -> dict[str, Flat]:
    """The environment variables that set a key, and which."""
    return {rule.variable: path for path, rule in leaves().items() if rule.variable}


def near(name: str, names: Any) -> str:
    """` (did you mean …?)` where one of the names looks like it, else ""."""
    found = difflib.get_close_matches(name, list(names), n=1, cutoff=0.6)
    return f" (did you mean {found[0]!r}?)" if found else ""


def convert(rule: Rule, value: Any, *, text: bool = False) -> Any:
    """The value as the rule's type. With `text` it was written as text, and is read as what the text means.

    Raises:
        ValueError: it cannot be; the message says what is wrong with it.
    """
    found = _read(rule, value) if text and isinstance(value, str) else _exact(rule, value)
    if isinstance(found, int | float) and not isinstance(found, bool):
        _in_range(rule, found)
    return found


def _exact(rule: Rule, value: Any) -> Any:
    if isinstance(value, str) and value.lower() == "none" and _optional(rule):
        return None
    try:
        return msgspec.convert(value, rule.type)
    except msgspec.ValidationError:
        raise ValueError(f"{_shown(value)} is {_kind(value)}") from None


def _read(rule: Rule, text: str) -> Any:
    """A value out of an environment variable or a `${…}` reference."""
    if rule.type in (bool, bool | str) and text.lower() in _TRUE | _FALSE:
        return text.lower() in _TRUE
    if rule.type == tuple[str, ...]:
        parts = [part.strip() for part in text.split(",") if part.strip()]
        return tuple(_hosts_rejoined(parts) if rule.names else parts)
    if _optional(rule) and text.lower() in ("none", "null"):
        return None
    try:
        if rule.type is ToolChoice and text.startswith("{"):
            return msgspec.json.decode(text, type=rule.type)
        return msgspec.convert(text.strip() if rule.type is not str else text, rule.type, strict=False)
    except (msgspec.ValidationError, msgspec.DecodeError):
        raise ValueError(f"{_shown(text)} does not fit") from None


def _hosts_rejoined(parts: list[str]) -> list[str]:
    """The commas of `http:a.com,b.com` do not part tools: what has a dot and no colon names neither toolkit nor path."""
    found: list[str] = []
    for part in parts:
        if found and "." in part and ":" not in part:
            found[-1] += f",{part}"
        else:
            found.append(part)
    return found


def _optional(rule: Rule) -> bool:
    return type(None) in getattr(rule.type, "__args__", ())


def _in_range(rule: Rule, value: float) -> None:
    if value != value or value in (float("inf"), float("-inf")):  # noqa: PLR0124  # NaN is the one that is not itself
        raise ValueError(f"{value} is not a number that can be used")
    if rule.least is not None and (value < rule.least or ("more than" in rule.allowed and value == rule.least)):
        raise ValueError(f"{value} is too small")
    if rule.most is not None and value > rule.most:
        raise ValueError(f"{value} is too large")


def _shown(value: Any) -> str:
    written = repr(value)
    return written if len(written) <= 60 else f"{written[:57]}…"  # noqa: PLR2004  # a line of a terminal


def _kind(value: Any) -> str:
    kinds = ((bool, "true or false"), (str, "a text"), (int, "a whole number"), (float, "a number"))
    for kind, words in (*kinds, (list | tuple, "a list"), (dict, "a table"), (type(None), "nothing")):
        if isinstance(value, kind):
            return words
    return f"a {type(value).__name__}"
