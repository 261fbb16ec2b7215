"""Tool calling in every mode: a model around a model, which makes all of them look native."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import msgspec

from lumosai.models.fallback import FallbackModel
from lumosai.models.profiles import MemoryProfiles, profile_key
from lumosai.models.retry import RetryModel

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from lumosai.models.base import Chunk, Model, ModelRequest
    from lumosai.models.profiles import Learned, Profile, ProfileStore
    from lumosai.records import ToolMode


class CallingModel:
    """`inner`, asked in the tool mode that suits it."""

    def __init__(self, inner: Model) -> None:
        self.inner = inner
        self._own = MemoryProfiles()

    @property
    def provider(self) -> str:
        return self.inner.provider

    @property
    def name(self) -> str:
        return self.inner.name

    @property
    def profile(self) -> Profile:
        return self.inner.profile

    @property
    def endpoint(self) -> str:
        return getattr(innermost(self.inner), "endpoint", "")

    def mode(self, request: ModelRequest) -> ToolMode:
        """The mode this request will be sent in."""
        asked = request.tool_mode
        if asked != "auto":
            return asked
        learned = self._learned(request)
        if learned is not None and learned.tool_mode is not None:
            return learned.tool_mode
        return self.profile.tool_mode

    def why(self, request: ModelRequest) -> str:
        """Why the mode is not the profile's; "" where it is."""
        learned = self._learned(request)
        return learned.reason if learned is not None else ""

    async def stream(self, request: ModelRequest) -> AsyncGenerator[Chunk, None]:
        """The inner model's chunks."""
        inner = msgspec.structs.replace(request, tool_mode=self.mode(request))
        async with aclosing(self.inner.stream(inner)) as chunks:  # type: ignore[type-var]
            async for chunk in chunks:
                yield chunk

    def _learned(self, request: ModelRequest) -> Learned | None:
        store: ProfileStore = request.services.get("profiles") or self._own
        return store.get(profile_key(self.provider, self.endpoint, self.name))


def prepare(model: Model) -> Model:
    """`model` with retries and tool calling around it; a chain of fallbacks has them around each of its models."""
    if isinstance(model, FallbackModel):
        return model.map(prepare)
    return CallingModel(RetryModel(model))


def innermost(model: Any) -> Any:
    """The model at the heart of wrappers."""
    while (inner := getattr(model, "inner", None)) is not None:
        model = inner
    return model
