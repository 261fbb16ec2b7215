"""A model made of several: where one fails, the next is asked.

Each keeps its own profile, tool mode and retries. The first is asked first in every step, so a provider that has
recovered is used again.
"""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING

import msgspec

from lumosai.errors import ConfigurationError, MissingKeyError, ModelError
from lumosai.models.base import AttemptStarted, Chunk, UsageChunk

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterable

    from lumosai.models.base import Model, ModelRequest
    from lumosai.models.profiles import Profile
    from lumosai.records import ToolMode


class FallbackModel:
    """The first of `models` that answers. Any `ModelError` or missing key moves on to the next.

    Attributes:
        models: in the order in which they are asked.

    Raises:
        ConfigurationError: no models.
    """

    def __init__(self, *models: Model | str | Iterable[Model | str]) -> None:
        flat: list[Model | str] = []
        for m in models:
            if isinstance(m, str) or hasattr(m, "stream"):
                flat.append(m)  # type: ignore[arg-type]
            else:
                flat.extend(m)  # type: ignore[arg-type]
        if not flat:
            msg = "FallbackModel needs at least one model: FallbackModel('openai:gpt-5-mini', 'local')"
            raise ConfigurationError(msg)
        self.models: tuple[Model, ...] = tuple(_resolved(m) for m in flat)

    @property
    def provider(self) -> str:
        return self.models[0].provider

    @property
    def name(self) -> str:
        return self.models[0].name

    @property
    def profile(self) -> Profile:
        return self.models[0].profile

    @property
    def endpoint(self) -> str:
        return getattr(self.models[0], "endpoint", "")

    def mode(self, request: ModelRequest) -> ToolMode:
        """How the first model will call tools."""
        mode = getattr(self.models[0], "mode", None)
        return mode(request) if mode else "native" if request.tool_mode == "auto" else request.tool_mode

    def why(self, request: ModelRequest) -> str:
        """Why the first model's mode is not its profile's; "" where it is."""
        why = getattr(self.models[0], "why", None)
        return why(request) if why else ""

    def map(self, change: Callable[[Model], Model]) -> FallbackModel:
        """The same chain with each model changed."""
        return FallbackModel(*(change(m) for m in self.models))

    async def stream(self, request: ModelRequest) -> AsyncGenerator[Chunk, None]:
        """The chunks of the first model that answers; an `AttemptStarted` before each further request.

        Raises:
            ModelError: the last model's error, with a note of each earlier one.
        """
        attempt = 1
        failures: list[str] = []
        for i, model in enumerate(self.models):
            shown = False
            if i:
                attempt += 1
                mode = getattr(model, "mode", None)
                yield AttemptStarted(
                    model.provider,
                    model.name,
                    getattr(model, "endpoint", ""),
                    attempt,
                    mode(request) if mode else request.tool_mode,
                    shown_before,
                    f"fallback: {failures[-1]}",
                )
            try:
                async with aclosing(model.stream(request)) as chunks:  # type: ignore[type-var]
                    async for chunk in chunks:
                        if type(chunk) is AttemptStarted:
                            attempt += 1
                            yield msgspec.structs.replace(chunk, attempt=attempt)
                            shown = False
                            continue
                        shown = shown or type(chunk) is not UsageChunk
                        yield chunk
                    return
            except (ModelError, MissingKeyError) as error:
                failures.append(f"{model.provider}:{model.name}: {type(error).__name__}: {error}")
                if i == len(self.models) - 1:
                    for failure in failures[:-1]:
                        error.add_note(f"before it, {failure}")
                    raise
                shown_before = shown


def _resolved(model: Model | str) -> Model:
    if isinstance(model, str):
        from lumosai.models.registry import model as by_name

        return by_name(model)
    return model
