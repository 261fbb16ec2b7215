"""A model made of several: where one fails, the next is asked.

Each keeps its own profile, tool mode and retries. The first is asked first in every step, so a provider that has
recovered is used again.
"""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING, Any, cast

import msgspec

from lumosai.errors import ConfigurationError, MissingExtraError, MissingKeyError, ModelError, WeightsError
from lumosai.models._attempts import announce, mode_of
from lumosai.models._batches import batches_of, one_by_one
from lumosai.models.base import AttemptStarted, UsageChunk

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterable, Iterator

    from lumosai.models._batches import Batches
    from lumosai.models.base import Chunk, Model, ModelRequest
    from lumosai.models.profiles import Profile
    from lumosai.records import ToolMode

PASSED_ON = (ModelError, MissingKeyError, MissingExtraError, WeightsError)
"""Errors after which the next model is asked: a provider's, or that this one is not set up here."""


class FallbackModel:
    """The first of `models` that answers.

    Args:
        models: `Model`s or names, one by one or as a list, in the order in which they are asked.

    Attributes:
        models: the models.

    Raises:
        ConfigurationError: no models.
        UnknownModelError: a name that nobody knows.
    """

    __slots__ = ("__weakref__", "models")

    def __init__(self, *models: Model | str | Iterable[Model | str]) -> None:
        self.models: tuple[Model, ...] = tuple(_resolved(m) for m in _flat(models))
        if not self.models:
            msg = "FallbackModel needs at least one model: FallbackModel('openai:gpt-5-mini', 'local')"
            raise ConfigurationError(msg)

    def __repr__(self) -> str:
        return f"FallbackModel({', '.join(map(repr, self.models))})"

    @property
    def provider(self) -> str:
        """The first model's."""
        return self.models[0].provider

    @property
    def name(self) -> str:
        """The first model's."""
        return self.models[0].name

    @property
    def profile(self) -> Profile:
        """The first model's."""
        return self.models[0].profile

    @property
    def endpoint(self) -> str:
        """The first model's, "" where it has none."""
        return getattr(self.models[0], "endpoint", "")

    @property
    def price(self) -> Any:
        """Each model's own price, by provider and name, where any has one; see `models.prices`."""
        own = {(m.provider, m.name): p for m in self.models if (p := getattr(m, "price", None)) is not None}
        return own or None

    def mode(self, request: ModelRequest) -> ToolMode:
        """How the first model will call tools."""
        return mode_of(self.models[0], request)

    def why(self, request: ModelRequest) -> str:
        """Why that is not what its profile says; "" where it is."""
        told: Callable[[ModelRequest], str] | None = getattr(self.models[0], "why", None)
        return told(request) if told is not None else ""

    def map(self, change: Callable[[Model], Model]) -> FallbackModel:
        """The same chain with each model changed."""
        return FallbackModel([change(m) for m in self.models])

    def stream(self, request: ModelRequest) -> AsyncGenerator[Chunk, None]:
        """The chunks of the first model that answers; an `AttemptStarted` before each further request.

        Raises:
            ModelError: the last model's error, with a note of each earlier one.
        """
        return one_by_one(self.batches(request))

    async def batches(self, request: ModelRequest) -> Batches:
        """As `stream`, in the models' lists."""
        attempt, shown = 1, False
        failures: list[str] = []
        for model in self.models:
            if failures:
                attempt += 1
                yield (announce(model, request, attempt, f"fallback: {failures[-1]}", discard=shown),)
                shown = False
            try:
                async with aclosing(batches_of(model, request)) as batches:
                    async for chunks in batches:
                        first = chunks[0]
                        if type(first) is AttemptStarted:
                            attempt, shown = attempt + 1, False
                            yield (msgspec.structs.replace(first, attempt=attempt),)
                            continue
                        shown = shown or any(type(c) is not UsageChunk for c in chunks)
                        yield chunks
            except PASSED_ON as error:
                if len(failures) == len(self.models) - 1:
                    for failure in failures:
                        error.add_note(f"before it, {failure}")
                    raise
                failures.append(f"{model.provider}:{model.name}: {type(error).__name__}: {error}")
            else:
                return


def _flat(models: Iterable[Model | str | Iterable[Model | str]]) -> Iterator[Model | str]:
    for entry in models:
        if isinstance(entry, str) or hasattr(entry, "stream"):
            yield cast("Model | str", entry)
        else:
            yield from entry


def _resolved(model: Model | str) -> Model:
    if isinstance(model, str):
        from lumosai.models.registry import model as by_name

        return by_name(model)
    return model
