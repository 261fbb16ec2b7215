"""A span of OpenTelemetry's while it is open: what its events said, and when it may end.

It has ended once its task has left it and the event that completes it was seen, whichever comes first: what is kept is
seen only when it is stored, which may be after the task has gone on.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lumosai.events import Event, ModelCallStarted, RunStarted
    from lumosai.messages import Message


class OpenSpan:
    """One that is open.

    Args:
        kind: "run", "model_call" or "tool_call".
        key: the id of the span in our events.
        attributes: what it began with; added to as it goes.

    Attributes:
        kind, key, attributes: as given.
        span, context: OpenTelemetry's, and the context inside it.
        start_ns: when it began, unix nanoseconds.
        duration_ns: how long it took, once its task has left it.
        raised: the name of the exception that left it, if any.
        begun: the event that began it, of a model call the last attempt's.
        done: the event that completed it, of a model call the last attempt's so far.
        settled: whether `done` is the last word.
        keys: the ids that further attempts had in our events.
        run: its run; of a run itself.
        content: what it is to say of what was said, by attribute, in the conventions' form.
    """

    __slots__ = (
        "_began",
        "attributes",
        "begun",
        "content",
        "context",
        "done",
        "duration_ns",
        "key",
        "keys",
        "kind",
        "last_chunk",
        "raised",
        "run",
        "settled",
        "span",
        "start_ns",
    )

    def __init__(self, kind: str, key: str, attributes: dict[str, Any], run: OpenRun) -> None:
        self.kind = kind
        self.key = key
        self.attributes = attributes
        self.run = run
        self.span: Any = None
        self.context: Any = None
        self.start_ns = time.time_ns()
        self._began = time.perf_counter_ns()
        self.duration_ns: int | None = None
        self.raised: str | None = None
        self.begun: ModelCallStarted | RunStarted | None = None
        self.done: Any = None
        self.settled = False
        self.keys: list[str] = []
        self.content: dict[str, Any] = {}
        self.last_chunk = 0.0

    def left(self, error: BaseException | None) -> None:
        """Its task has left it."""
        self.duration_ns = time.perf_counter_ns() - self._began
        self.raised = type(error).__name__ if error is not None else None

    @property
    def ripe(self) -> bool:
        """Whether it may end."""
        return self.settled and self.duration_ns is not None

    def is_done(self, event: Event) -> None:
        """That event completes it."""
        self.done, self.settled = event, True


class OpenRun:
    """A run that goes on, as OpenTelemetry sees it.

    Args:
        run_id: which.
        above: the run that asked it, as far as it is observed too.

    Attributes:
        top: the run whose end ends all that is left in it, sub-runs included.
        ids: of a top, the ids of the runs in it, its own among them.
        open: of a top, the spans that are open in it, by their ids in our events.
        span: its own.
        chat: its model call that was told of last, while it is open.
        inferences, tool_calls: how many it made.
        answer: the last message that a model gave it, with the reason of its end.
    """

    __slots__ = ("_top", "answer", "chat", "ids", "inferences", "open", "span", "tool_calls")

    def __init__(self, run_id: str, above: OpenRun | None) -> None:
        self._top = above.top if above is not None else None
        self.ids: list[str] = []
        self.top.ids.append(run_id)
        self.open: dict[str, OpenSpan] = {}
        self.span: OpenSpan | None = None
        self.chat: OpenSpan | None = None
        self.inferences = self.tool_calls = 0
        self.answer: tuple[Message, str] | None = None

    @property
    def top(self) -> OpenRun:
        """See above."""
        return self._top if self._top is not None else self
