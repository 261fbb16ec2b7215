"""Observers that wrap what they observe: a run, a model call, a tool call, each entered inside the task that does it.

An observer that has a method `around` besides being called with events gives a context manager, entered before the first
event of the span is made. What it puts into the task's context is there for whatever the model's client or the tool calls,
and the ids it gives, if any, are those of the events and of the headers that go out. Like any observer it never changes
the outcome: one that raises is dropped with one log line.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Literal, Protocol

from lumosai._loggers import logger_of
from lumosai.propagation import checked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from contextlib import AbstractContextManager

    from lumosai.propagation import SpanIds

logger = logger_of("lumosai.agent")

SpanKind = Literal["run", "model_call", "tool_call"]


class Wraps(Protocol):
    """What an observer has to have to wrap."""

    def around(
        self, kind: SpanKind, name: str, attributes: Mapping[str, Any], parent: SpanIds | None
    ) -> AbstractContextManager[SpanIds | None]:
        """What is entered before something begins and left when it has ended.

        Args:
            kind: what it is.
            name: the agent's, the model's or the tool's.
            attributes: what is known of it before; `span_id` is the one that its events have unless ids are given. They
                are as they are where `fixed` is among them, since another observer gave them, or `resumed`, since it began
                in another process.
            parent: the span around it, of a root run the caller's in another process, if any.
        """
        ...


class Around:
    """The observers of a run that wrap.

    Args:
        observers: the run's own.
        above: those of the run that asked it.

    Attributes:
        observers: all of them.
    """

    __slots__ = ("observers",)

    def __init__(self, observers: Iterable[Any], above: Around | None = None) -> None:
        found: list[Any] = [*above.observers] if above is not None else []
        for observer in observers:
            if callable(getattr(observer, "around", None)) and observer not in found:
                found.append(observer)
        self.observers: list[Any] = found

    def __bool__(self) -> bool:
        return bool(self.observers)

    def open(self, kind: SpanKind, name: str, attributes: Mapping[str, Any], parent: SpanIds | None) -> Opened:
        """Enters all of them; `close` of what is given leaves them."""
        opened, resumed = Opened(), attributes.get("resumed", False)
        for observer in [*self.observers]:
            try:
                manager = observer.around(kind, name, attributes, parent)
                given = manager.__enter__()
                opened.managers.append(manager)
                ids = checked(given) if given is not None else None
            except Exception:
                logger.exception("observer %r raised in `around`, which is not called any more", observer)
                self.observers.remove(observer)
                continue
            if ids is not None and opened.ids is None:
                opened.ids = ids
                attributes = {**attributes, "span_id": attributes["span_id"] if resumed else ids.span_id, "fixed": True}
        return opened


class Opened:
    """What was entered.

    Attributes:
        ids: those that an observer gave, None where none did.
        managers: to be left.
    """

    __slots__ = ("_handled", "ids", "managers")

    def __init__(self) -> None:
        self._handled = sys.exception()  # a run may be begun where an exception is handled, which is none of its own
        self.ids: SpanIds | None = None
        self.managers: list[AbstractContextManager[SpanIds | None]] = []

    def close(self) -> None:
        """Leaves them, the last one first; they look at the exception that is on its way. Doing it again does nothing."""
        error = sys.exception()
        if error is self._handled:
            error = None
        self._handled = None
        while self.managers:
            leave: Callable[..., Any] = self.managers.pop().__exit__
            try:
                leave(type(error) if error is not None else None, error, error.__traceback__ if error else None)
            except BaseException as raised:
                if raised is error:  # it is raised again by what contextlib makes, which is no failure
                    continue
                if not isinstance(raised, Exception):
                    raise
                logger.warning("an observer raised where its `around` was left", exc_info=raised)


def around_of(observers: Iterable[Any], above: Around | None) -> Around | None:
    """Those of a run's observers that wrap, and of the run's that asked it; None where there are none, which is free."""
    if above is None and not observers:
        return None
    found = Around(observers, above)
    return found or None
