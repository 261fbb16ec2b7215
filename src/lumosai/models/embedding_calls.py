"""Calls of an embedding model that say what they are: in the trace they belong to, and to whoever watches them.

An observer that has a method `around_embedding` wraps each call of a run's, and of none, as `around` wraps a model call.
One that has a method `embedded` is told of each call of no run, such as those that index messages in the background; those
of a run are told in its `memory_recalled` event.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from contextvars import ContextVar
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Protocol
from weakref import WeakSet

from msgspec.structs import replace

from lumosai._loggers import logger_of
from lumosai.events import EmbeddingCall
from lumosai.ids import new_span_id, new_trace_id
from lumosai.messages import scrub
from lumosai.models.prices import cost, prepare
from lumosai.propagation import SpanIds, checked
from lumosai.records import Scope

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from contextlib import AbstractContextManager
    from decimal import Decimal

    from lumosai.models.base import EmbeddingKind, EmbeddingModel, Embeddings
    from lumosai.records import Usage

logger = logger_of("lumosai.models")

OUTGOING: ContextVar[SpanIds | None] = ContextVar("lumosai_embedding", default=None)
"""The span that a request for vectors belongs to; its headers are those of that span."""
_EVERYBODY: Final = Scope()


class Embeds(Protocol):
    """Asks an embedding model; as its `embed`, with the model given."""

    async def __call__(self, model: EmbeddingModel, texts: Sequence[str], kind: EmbeddingKind, /) -> Embeddings: ...


class Asked:
    """A call that goes on.

    Args:
        span_id: its span, unless an observer gives another one.
        model: who is asked.
        texts: how many texts it is given.
        kind: what they are for.
        known: of the run that asks: `run_id`, `root_id`, `agent`, `thread_id`; nothing where there is none.
    """

    __slots__ = ("_began", "_known", "_told")

    def __init__(self, span_id: str, model: EmbeddingModel, texts: int, kind: str, known: Mapping[str, Any]) -> None:
        self._known = known
        self._began = time.perf_counter()
        self._told = EmbeddingCall(
            span_id,
            provider=_text(getattr(model, "provider", "")),
            model=_text(model.name),
            endpoint=_text(getattr(model, "endpoint", "")),
            at=round(time.time(), 6),
            kind=kind,
            texts=texts,
            dimensions=model.dimensions,
            error_type="cancelled",
        )

    @property
    def known(self) -> Mapping[str, Any]:
        """As given."""
        return self._known

    @property
    def told(self) -> EmbeddingCall:
        """What is known of it by now; of one that goes on, that it was not waited for."""
        told = self._told
        return told if told.duration_ms or told.error_type is None else replace(told, duration_ms=self._lasted())

    def begun(self, span_id: str) -> None:
        """It has that span."""
        self._told = replace(self._told, span_id=span_id)

    def gave(self, found: Embeddings, priced: tuple[Decimal | None, str | None]) -> None:
        """It gave vectors, for so much, by that price list."""
        told, usage = self._told, found.usage
        price, version = priced
        self._told = replace(
            told,
            duration_ms=self._lasted(),
            dimensions=len(found.vectors[0]) if found.vectors else told.dimensions,
            tokens=usage.input_tokens or usage.total_tokens,
            cost_usd=price,
            price_version=version,
            error_type=None,
        )

    def failed(self, error: BaseException) -> None:
        """It gave none."""
        cancelled = isinstance(error, asyncio.CancelledError)
        self._told = replace(
            self._told,
            duration_ms=self._lasted(),
            error=None if cancelled else _said(error),
            error_type="cancelled" if cancelled else type(error).__name__,
        )

    def _lasted(self) -> float:
        return max(0.001, round((time.perf_counter() - self._began) * 1e3, 3))


class EmbeddingCalls:
    """Asks embedding models, and says so.

    Args:
        trace: gives the ids of a span of the trace that the calls belong to.
        observers: those that wrap the calls; one that raises is dropped.
        known: of the run that asks, see `Asked`.
        ended: is told of each call that has ended.
    """

    __slots__ = ("_asked", "_ended", "_known", "_observers", "_trace")

    def __init__(
        self,
        trace: Callable[[str], SpanIds],
        observers: Iterable[Any] = (),
        known: Mapping[str, Any] | None = None,
        ended: Callable[[EmbeddingCall, str], None] | None = None,
    ) -> None:
        self._trace = trace
        self._observers = [o for o in observers if callable(getattr(o, "around_embedding", None))]
        self._known = known or {}
        self._ended = ended
        self._asked: list[Asked] = []

    @property
    def told(self) -> tuple[EmbeddingCall, ...]:
        """All calls so far."""
        return tuple([a.told for a in self._asked])

    async def __call__(self, model: EmbeddingModel, texts: Sequence[str], kind: EmbeddingKind, /) -> Embeddings:
        """As `model.embed(texts, kind)`."""
        ids = self._trace(new_span_id())
        asked = Asked(ids.span_id, model, len(texts), kind, self._known)
        self._asked.append(asked)
        prepare(asked.told.provider, asked.told.model)
        opened: list[AbstractContextManager[Any]] = []
        ids = self._open(asked, ids, opened)
        asked.begun(ids.span_id)
        token = OUTGOING.set(ids)
        try:
            found = await model.embed(texts, kind)
            asked.gave(found, await _priced(asked.told, model, found.usage))
        except BaseException as error:
            asked.failed(error)
            raise
        else:
            return found
        finally:
            with contextlib.suppress(ValueError):  # where the event loop is gone, it ends in another context
                OUTGOING.reset(token)
            _leave(opened)
            if self._ended is not None:
                self._ended(asked.told, ids.trace_id)

    def _open(self, asked: Asked, ids: SpanIds, opened: list[AbstractContextManager[Any]]) -> SpanIds:
        """Enters what wraps it; the ids of its span, by the first that gives any."""
        given: SpanIds | None = None
        for observer in [*self._observers]:
            try:
                manager: AbstractContextManager[SpanIds | None] = observer.around_embedding(asked)
                found = manager.__enter__()
                opened.append(manager)
                given = given or (checked(found) if found is not None else None)
            except Exception:
                logger.exception("observer %r raised in `around_embedding`, which is not called any more", observer)
                self._observers.remove(observer)
        return given or ids


class Watchers:
    """Those that are told of calls of no run, as long as anybody else holds them."""

    def __init__(self) -> None:
        self._observers: WeakSet[Any] = WeakSet()
        self._lock = threading.Lock()  # runs of several event loops may use one memory

    def add(self, observers: Iterable[Any]) -> None:
        """These as well; one that has no use for it is left out."""
        for observer in observers:
            if hasattr(observer, "around_embedding") or hasattr(observer, "embedded"):
                with (
                    contextlib.suppress(TypeError),
                    self._lock,
                ):  # one that cannot be referred to weakly, or has no hash
                    self._observers.add(observer)

    def calls(self, scope: Scope | None = None) -> EmbeddingCalls:
        """Asks models for whom that scope is of, in a trace of each call's own."""
        return EmbeddingCalls(
            lambda span: SpanIds(new_trace_id(), span),
            self._all(),
            ended=lambda call, trace_id: self._tell(call, trace_id, scope or _EVERYBODY),
        )

    def _all(self) -> list[Any]:
        with self._lock:
            return [*self._observers]

    def _tell(self, call: EmbeddingCall, trace_id: str, scope: Scope) -> None:
        for observer in self._all():
            embedded = getattr(observer, "embedded", None)
            if embedded is None:
                continue
            try:
                embedded(call, trace_id, scope)
            except Exception:
                logger.exception("observer %r raised in `embedded`, which is not called any more", observer)
                with self._lock:
                    self._observers.discard(observer)


def _leave(opened: list[AbstractContextManager[Any]]) -> None:
    while opened:
        try:
            opened.pop().__exit__(None, None, None)
        except Exception as raised:  # whatever an observer does, the vectors are there
            logger.warning("an observer raised where its `around_embedding` was left", exc_info=raised)


async def _priced(call: EmbeddingCall, model: EmbeddingModel, usage: Usage) -> tuple[Decimal | None, str | None]:
    """What it cost; the first time that a price is looked up it may take half a second, which no event loop waits for."""
    key = (call.provider, call.model)
    asked = partial(cost, *key, usage, local=call.provider == "local", price=getattr(model, "price", None))
    try:
        found = asked() if key in _looked_up or call.provider == "local" else await asyncio.to_thread(asked)
    except Exception:  # noqa: BLE001  # a price of the user's own; the vectors are there
        return None, None
    if len(_looked_up) < _MODELS:
        _looked_up.add(key)
    return found


_looked_up: set[tuple[str, str]] = set()
_MODELS: Final = 1_000


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _said(error: BaseException) -> str:
    try:
        return scrub(str(error))
    except Exception:  # noqa: BLE001  # an exception of the user's that cannot even be shown
        return ""
