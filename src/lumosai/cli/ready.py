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
    _remember(model)
    return agent


def _remember(model: Any) -> None:
    """Has what is learned of the model kept where `lumosai models probe` put it, if it ever did."""
    from lumosai.models._profile_file import FileProfiles, default_path
    from lumosai.models.calling import remember_in

    if default_path().is_file():
        remember_in(model, FileProfiles())


def fetch_weights(agent: Agent[Any]) -> None:
    """Fetches the weights of a local model that are not here yet, and shows how far it is.

    Raises:
        MissingExtraError: the runtime that would use them is not installed.
        WeightsError: no source has them.
    """
    from importlib.util import find_spec

    from lumosai.errors import MissingExtraError
    from lumosai.models.calling import innermost

    model = innermost(agent.known.model)
    if model.provider != "local" or model.path.exists():
        return
    from lumosai.cli.models import fetch
    from lumosai.models import weights

    if find_spec("xllamacpp") is None:
        raise MissingExtraError("a model on this machine", extra="local")
    found = next((w for w in weights.CATALOGUE if w.path == model.path), None)
    if found is not None:
        fetch(found.name)


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
            return f"{name} (auto: {one_line(reason, 90)})"
        wrapped = getattr(wrapped, "inner", None)
    return name
