"""An agent that could answer at once: its model found, its key there. And the model's name in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from lumosai.cli.options import make_agent
from lumosai.cli.terminal import one_line

if TYPE_CHECKING:
    from lumosai.agent.agent import Agent
    from lumosai.agent.config import AgentConfig


def ready_agent(config: AgentConfig) -> Agent[Any]:
    """The agent, its model found: what is missing shows before the first question is typed.

    Raises:
        LumosaiError: the agent cannot be made, there is no such model, or its key is missing.
    """
    agent = make_agent(config)
    model = agent.known.model
    own_key = isinstance(config.model, Mapping) and ("api_key" in config.model or "headers" in config.model)
    if not own_key:
        _need_key(model.provider, model.endpoint)
    return agent


def _need_key(provider: str, endpoint: str) -> None:
    from lumosai.models.providers import PROVIDERS, key_of

    if provider in PROVIDERS:
        key_of(provider, endpoint)


def model_text(agent: Agent[Any]) -> str:
    """The agent's model as a person would name it, and why "auto" took it."""
    model = agent.known.model
    name = one_line(f"{model.provider}:{model.name}", 100)
    wrapped: Any = model
    while wrapped is not None:
        reason = getattr(wrapped, "reason", None)
        if isinstance(reason, str) and reason:
            return f"{name} (auto: {one_line(reason, 300)})"
        wrapped = getattr(wrapped, "inner", None)
    return name
