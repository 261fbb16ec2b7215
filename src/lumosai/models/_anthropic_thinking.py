"""How a Claude model is told to think: its generations differ in what they take."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from lumosai.models.profiles import Profile
    from lumosai.records import ModelSettings

LEAST_BUDGET: Final = 1024
"""Tokens: the API takes no smaller budget."""

STALE: Final = "thinking in another conversation"
"""What newer models refuse, of `Profile.refuses`: thoughts of a history before which something was changed since."""

DISPLAY: Final = "thinking.display"
"""What older servers refuse, of `Profile.refuses`."""

_BUDGETS: Final = {"minimal": 1024, "low": 4096, "medium": 10_000, "high": 20_000, "xhigh": 32_000, "max": 32_000}
_OFF: Final = (False, "none")
_ORDER: Final = ("minimal", "low", "medium", "high", "xhigh", "max")
DEFAULT_TOKENS: Final = 8192
"""The longest answer that is asked for where neither the user nor the profile says: the API insists on one."""


def longest(settings: ModelSettings, profile: Profile) -> int:
    """The longest answer that is asked for, in tokens, thinking included."""
    extra = settings.extra or {}
    given = extra.get("max_tokens", settings.max_output_tokens)
    if isinstance(given, int):
        return given
    default = profile.output_tokens or DEFAULT_TOKENS
    thinking = extra.get("thinking")
    budget = thinking.get("budget_tokens") if isinstance(thinking, dict) else None
    return max(default, budget + DEFAULT_TOKENS) if isinstance(budget, int) else default


def thinking(
    settings: ModelSettings, profile: Profile, *, free: bool, begun: bool
) -> tuple[dict[str, Any] | None, str | None]:
    """The request's `thinking` and `output_config.effort`; None for what is not to be sent.

    Args:
        settings: what the user wants.
        profile: what the model takes.
        free: whether the model may choose not to call a tool: where it must call one, it cannot be told to think.
        begun: whether the turn that is going on began with a thought: where it did not, no budget can be given in it.
    """
    wish = settings.reasoning
    if wish is None:
        return None, None
    effort = _effort(wish, profile.efforts)
    if wish in _OFF:
        return _off(profile)
    if profile.thinking == "budget":
        budget = _budget(wish, longest(settings, profile)) if free and begun else 0
        return ({"type": "enabled", "budget_tokens": budget} if budget else None), None
    if profile.thinking.startswith("adaptive"):
        return ({"type": "adaptive", "display": "summarized"} if free else None), effort
    return None, effort


def _off(profile: Profile) -> tuple[dict[str, Any] | None, str | None]:
    match profile.thinking:
        case "adaptive":
            return {"type": "disabled"}, None
        case "adaptive-between":
            return {"type": "between_tools"}, None
        case "adaptive-always":
            return None, _effort("minimal", profile.efforts)
        case _:
            return None, None


def _budget(wish: str | bool, most: int) -> int:  # noqa: FBT001  # a setting
    """Tokens to think with: fewer than the longest answer; 0 where that leaves too few."""
    budget = _BUDGETS.get(wish, _BUDGETS["medium"]) if isinstance(wish, str) else _BUDGETS["medium"]
    if budget < most:
        return budget
    return max(LEAST_BUDGET, most // 2) if most > LEAST_BUDGET else 0


def _effort(wish: str | bool, known: tuple[str, ...]) -> str | None:  # noqa: FBT001  # a setting
    """The model's own level that comes nearest: the highest that is not above the wish."""
    if not known or not isinstance(wish, str):
        return None
    if wish in known or wish not in _ORDER:
        return wish
    below = [k for k in known if k in _ORDER and _ORDER.index(k) <= _ORDER.index(wish)]
    return max(below, key=_ORDER.index) if below else known[0]


def told_apart(config: dict[str, Any] | None, profile: Profile) -> dict[str, Any] | None:
    """A request's `thinking`, as a server takes it that has refused some of it before."""
    if config is not None and DISPLAY in profile.refuses:
        config = {k: v for k, v in config.items() if k != "display"}
    if STALE in profile.refuses and (config is None or is_thinking(config)):
        config = {**(config or {"type": "adaptive"}), "block_binding": {"prefix_mismatch_behavior": "drop_block"}}
    return config


def has_budget(config: Any) -> bool:
    """Whether a request's `thinking` gives a budget, which goes with no demand for a call, nor into a turn without."""
    return isinstance(config, dict) and config.get("type") == "enabled"


def is_thinking(config: Any) -> bool:
    """Whether a request's `thinking` switches it on."""
    return isinstance(config, dict) and config.get("type") in ("enabled", "adaptive")
