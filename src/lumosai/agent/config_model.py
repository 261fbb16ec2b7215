"""The model that an agent's settings name: by text where that is enough, else as an object with what was asked of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from lumosai.agent.config_schema import MODEL
from lumosai.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from lumosai.models.base import Chunk, Model, ModelRequest
    from lumosai.models.profiles import Profile

LEGACY_DIALECT = "legacy-sentence"
"""How the Rust version's models call tools: a sentence with the arguments as JSON."""


def configured_model(model: Any, *, agent: str, legacy: bool, whole: bool) -> Any:
    """What to pass as an agent's `model`.

    Args:
        model: a name, a table of a name and options, or a model object.
        agent: the agent's name, for messages.
        legacy: tools are called by the legacy sentence.
        whole: each answer is fetched whole.

    Raises:
        ConfigurationError: the options do not fit; with options or a switch also what the registry raises for a name.
    """
    found = _with_options(agent, model) if isinstance(model, Mapping) else model
    if not legacy and not whole:
        return found
    if isinstance(found, str):
        from lumosai.models.registry import model as by_name

        found = by_name(found)
    return _adjusted(found, LEGACY_DIALECT if legacy else None, whole=whole)


def _with_options(agent: str, table: Mapping[str, Any]) -> Any:
    options = {k: v for k, v in table.items() if k != "name"}
    name = table.get("name")
    allowed = [k for k in MODEL if k != "name"]
    wrong = [k for k in options if k not in allowed]
    if not isinstance(name, str) or wrong:
        what = f"not {', '.join(map(repr, wrong))}" if wrong else "and the name must be there"
        raise ConfigurationError(f"agent {agent!r}: a model's table holds a name and {', '.join(allowed)}, {what}")
    from lumosai.models.registry import model as by_name

    try:
        return by_name(name, **options)
    except TypeError as error:
        raise ConfigurationError(f"agent {agent!r}: the model {name!r} takes no such option: {error}") from error


def _adjusted(model: Any, dialect: str | None, *, whole: bool) -> Any:
    """The model, changed; a chain of fallbacks has each of its models changed."""
    chain = getattr(model, "map", None)
    if chain is not None:
        return chain(lambda m: _adjusted(m, dialect, whole=whole))
    return AdjustedModel(model, dialect=dialect, whole=whole)


class AdjustedModel:
    """`inner` with another textual call format, or with answers that are fetched whole.

    Attributes:
        inner: the model that is asked.
        whole: whether each answer is fetched whole.
    """

    def __init__(self, inner: Model, *, dialect: str | None = None, whole: bool = False) -> None:
        self.inner = inner
        self.whole = whole
        self._dialect = dialect

    @property
    def provider(self) -> str:
        return self.inner.provider

    @property
    def name(self) -> str:
        return self.inner.name

    @property
    def profile(self) -> Profile:
        profile = self.inner.profile
        return msgspec.structs.replace(profile, dialect=self._dialect) if self._dialect else profile

    def stream(self, request: ModelRequest) -> AsyncIterator[Chunk]:
        """The inner model's chunks."""
        if self.whole:
            request = msgspec.structs.replace(request, incremental=False)
        return self.inner.stream(request)
