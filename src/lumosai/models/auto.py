"""The model "auto": whatever can be had (see `probe`), found at the first use and said in the log."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from lumosai._loggers import logger_of
from lumosai.models._batches import batches_of
from lumosai.models.probe import resolve

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from lumosai.models._batches import Batches
    from lumosai.models.base import Chunk, Model, ModelRequest
    from lumosai.models.profiles import Profile

_log: Final = logger_of("lumosai.models")


class AutoModel:
    """The model that "auto" stands for, looked for at the first use.

    Args:
        options: handed to whatever model is found.

    Attributes:
        inner: that model.
        reason: why it was taken.
    """

    __slots__ = ("__weakref__", "_found", "_options", "_reason")

    def __init__(self, **options: Any) -> None:
        self._options = options
        self._found: Model | None = None
        self._reason = ""

    def __repr__(self) -> str:
        return f"AutoModel({'not looked for yet' if self._found is None else self._found!r})"

    @property
    def inner(self) -> Model:
        """The model that was found."""
        if self._found is None:
            from lumosai.models.registry import model

            name, self._reason = resolve()
            _log.info("model auto is %s: %s", name, self._reason)
            self._found = model(name, **self._options)
        return self._found

    @property
    def reason(self) -> str:
        """Why it was taken."""
        _ = self.inner
        return self._reason

    @property
    def provider(self) -> str:
        """Whose model was found."""
        return self.inner.provider

    @property
    def name(self) -> str:
        """Its name there."""
        return self.inner.name

    @property
    def profile(self) -> Profile:
        """What it can do."""
        return self.inner.profile

    @property
    def endpoint(self) -> str:
        """Where it is."""
        return getattr(self.inner, "endpoint", "")

    @property
    def price(self) -> Any:
        """What it costs, where the options say so."""
        return getattr(self.inner, "price", None)

    def stream(self, request: ModelRequest) -> AsyncGenerator[Chunk, None]:
        """The chunks of the model that was found."""
        return self.inner.stream(request)  # type: ignore[return-value]  # every model's stream is a generator

    def batches(self, request: ModelRequest) -> Batches:
        """As `stream`, in that model's lists."""
        return batches_of(self.inner, request)
