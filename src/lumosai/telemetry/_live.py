"""A run that goes on in this process, as telemetry sees it: its trace so far, and what of it is stored."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from lumosai._secrets import redact
from lumosai.events import RunResumed, RunStarted
from lumosai.records import Scope
from lumosai.telemetry.measure import MEASURED
from lumosai.telemetry.trace import TraceFold
from lumosai.traces import Recorded, TraceRecord

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterable, Sequence
    from typing import Any

    from lumosai.events import Event
    from lumosai.telemetry._adding import Sums
    from lumosai.telemetry._span import Content, GrowingSpan
    from lumosai.traces import SpanRow

_EVERYBODY: Final = Scope()
_CALLS: Final = frozenset({"model_call", "tool_call", "embedding"})
_NONE: Final = (0, 0, 0, 0)


class LiveRun:
    """A run that goes on here.

    Events are taken in where they happen and folded later, by whoever stores or reads: each is appended to `coming`, and
    `fold_all` takes from its beginning. So one thread may add while another one folds; two may not fold at once.

    Attributes:
        run_id: the root's; of an agent that is watched while its caller is not, its own.
        first: the number of the first event that was seen here.
        epoch: how often the run was taken up, as far as was seen here.
        fold: its trace so far.
        coming: events that are not folded yet.
        whole: whether this process has all of its events; else the older ones, which another one had, are folded first.
        queued: whether it waits to be stored.
        loop: where it goes on, None where that is not known.
        dropped: spans that did not fit the queue.
        unsure: whether some of its spans may be stored already.
        told: whether it was said that it has no trace.
    """

    __slots__ = (
        "_counts",
        "_new",
        "coming",
        "dropped",
        "epoch",
        "first",
        "fold",
        "loop",
        "queued",
        "run_id",
        "told",
        "unsure",
        "whole",
    )

    def __init__(self, event: Event, content: Content) -> None:
        self.whole = type(event) is RunStarted
        self.run_id = event.run_id if self.whole else event.root_id
        self.first = event.seq
        self.epoch = event.epoch if type(event) is RunResumed else 1
        self.fold = TraceFold(content)
        self.coming: list[Event] = []
        self.queued = False
        self.loop: asyncio.AbstractEventLoop | None = None
        self.dropped = 0
        self.unsure = False
        self.told = False
        self._counts = self._new = _NONE

    def fold_all(self) -> None:
        """Folds what came."""
        events = self.coming[:]
        del self.coming[: len(events)]  # what comes meanwhile stands behind these
        add = self.fold.add
        for event in events:
            add(event)

    @property
    def begun(self) -> bool:
        """Whether it is known how it began, so that it can be stored."""
        return self.fold.started is not None

    @property
    def scope(self) -> Scope:
        """Whose it is."""
        started = self.fold.started
        return (started.scope if started is not None else None) or _EVERYBODY

    def recorded(self, spans: Sequence[GrowingSpan], sums: Sums, *, known: Sequence[GrowingSpan] = ()) -> Recorded:
        """What is stored of it now; its spans are counted to `sums`. Once it is, `stored` is to be called.

        Args:
            spans: those that are stored now.
            sums: what they are counted to.
            known: those that are stored already, and were not known to be.
        """
        before = _more(self._counts, known) if known else self._counts
        run_id = version = ""
        tenant = self.scope.tenant
        names: set[str] = set()
        rows: list[SpanRow] = []
        for span in spans:
            kind = span.kind
            if kind in MEASURED:
                if span.began.run_id != run_id:
                    run_id = span.began.run_id
                    version = self.fold.version_of(run_id)
                sums.add(tenant, span, version)
                if kind in _CALLS:
                    names.add(span.name)
            rows.append(span.row())
        self._new = _more(before, spans)
        return Recorded(
            scope=self.scope,
            header=self._header(),
            rows=tuple(rows),
            before=before[0],
            names=frozenset(names),
        )

    def _header(self) -> TraceRecord:
        """The line of a list for its trace."""
        fold = self.fold
        root, started = fold.root, fold.started
        if root is None or started is None:
            raise ValueError(f"run {self.run_id} has no trace: nobody saw it begin")
        spans, model_calls, tool_calls, errors = self._new
        ended: Any = root.ended
        totals = ended.result if ended is not None else None
        scope = started.scope
        return TraceRecord(
            run_id=started.run_id,
            trace_id=started.trace_id,
            agent_id=started.agent,
            status=fold.status,
            started_at=started.at,
            duration_ms=root.duration_ms,
            model=(totals.model if totals is not None else "") or started.model,
            agent_version=started.agent_version,
            thread_id=started.thread_id or "",
            resource_id=started.resource_id or "",
            finish_reason=totals.finish_reason if totals is not None else "",
            model_calls=model_calls,
            tool_calls=tool_calls,
            errors=errors,
            spans=spans,
            dropped=self.dropped,
            usage=fold.usage,
            cost_usd=fold.cost_usd,
            error=redact(root.error) if root.error is not None else None,
            error_type=root.error_type,
            owner=scope.owner if scope is not None else None,
        )

    def stored(self) -> None:
        """What was recorded last is stored."""
        self._counts = self._new
        self.unsure = False


def _more(counts: tuple[int, int, int, int], spans: Iterable[GrowingSpan]) -> tuple[int, int, int, int]:
    """So many spans, model calls, tool calls and errors, with these as well."""
    total, calls, tools, errors = counts
    for span in spans:
        total += 1
        kind = span.kind
        if kind == "model_call":
            calls += 1
        elif kind == "tool_call":
            tools += 1
        if span.error_type is not None:
            errors += 1
    return total, calls, tools, errors
