"""A trace whose spans come in pieces, late and in any order: its line stays right with each of them.

What a line says is folded from the spans that came, never from all that are stored, so that a piece costs what it holds.
The trace stands as its topmost spans do: those without a parent, else those whose parent is in another process, which may
never send it. While there are neither, the span around those that came has not ended: the trace goes on.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Final

import msgspec

from lumosai.records import Usage
from lumosai.rollups import Cell, Series
from lumosai.telemetry._foreign import price_of
from lumosai.telemetry._incoming import REMOTE
from lumosai.telemetry.measure import MEASURED, count, series_of, usage_of
from lumosai.traces import Counted, Numbered, Pieces, Recorded, TraceRecord

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lumosai.records import Scope
    from lumosai.traces import Arriving, TraceStatus, TraceStep

INSIDE, FROM_AFAR, FIRST = 0, 1, 2
GIVEN: Final = -1
_STATUSES: Final[dict[str, TraceStatus]] = {"paused": "paused", "running": "running"}


class State(msgspec.Struct, array_like=True):
    """What a line was made of; a stored format, so that fields are only ever added, at the end.

    Attributes:
        revision: how often it changed.
        rank: of the topmost spans so far.
        begins, ends: of all spans of that rank, microseconds; `ends` is -1 while one of them goes on.
        top: when the topmost span began that began first.
        agent: when the run began that gave the agent's name.
        model: when the model call ended that gave the model's name; -1 where the topmost span gave it.
        cost: of the model calls, US dollars; None once a price is not known.
    """

    revision: int = 0
    rank: int = -1
    begins: int = 0
    ends: int = 0
    top: int = 0
    agent: int = 0
    model: int = 0
    cost: str | None = ""


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(State).decode


class Piece:
    """Spans of one trace that came together.

    Args:
        scope: whose.
        run_id, trace_id: of the trace.
        source: the service that sent the first of them.

    Attributes:
        spans: with the rank of each, in the order in which they came.
    """

    __slots__ = ("run_id", "scope", "source", "spans", "trace_id")

    def __init__(self, scope: Scope, run_id: str, trace_id: str, source: str) -> None:
        self.scope = scope
        self.run_id = run_id
        self.trace_id = trace_id
        self.source = source
        self.spans: list[tuple[TraceStep, int]] = []

    def add(self, step: TraceStep, above: int) -> None:
        """Takes a span; `above` says where its parent is."""
        rank = FIRST if step.parent_span_id is None else FROM_AFAR if above == REMOTE else INSIDE
        self.spans.append((step, rank))

    def recorded(self, there: Arriving, names: Names) -> Recorded | None:
        """What is to be stored of it, beside what is; None where that is nothing."""
        if there.header is not None and there.pieces is None:
            return None  # a run that was recorded here, from its events: they say more
        known = dict(there.spans)
        new: list[tuple[Numbered, int, bool]] = []
        number = there.header.spans if there.header is not None else 0
        for step, rank in self.spans:
            if step.span_id in there.elsewhere:
                continue
            place = known.get(step.span_id)
            ended = step.duration_ms is not None
            if place is None:
                new.append((Numbered(number, -1, step), rank, True))
                known[step.span_id] = (number, ended)
                number += 1
            elif ended and not place[1]:
                new.append((Numbered(place[0], -1, step), rank, False))
                known[step.span_id] = (place[0], True)
        return self._made(there, new, names) if new else None

    def _made(self, there: Arriving, new: list[tuple[Numbered, int, bool]], names: Names) -> Recorded:
        base = there.pieces.base_us if there.pieces is not None else min(_us(n.step.start) for n, _, _ in new)
        state = _decode(there.pieces.state) if there.pieces is not None else State()
        header = there.header or TraceRecord(run_id=self.run_id, trace_id=self.trace_id, source=self.source)
        line = _Line(header, state)
        spans: list[Numbered] = []
        cells: dict[tuple[int, Series], Cell] = {}
        by_id = {n.step.span_id: n.step for n, _, _ in new}
        for numbered, rank, first in new:
            step = names.of(_whole(numbered.step, by_id))
            spans.append(numbered if step is numbered.step else Numbered(numbered.number, -1, step))
            line.add(step, rank, first=first)
            if step.duration_ms is not None and step.kind in MEASURED:
                _count(step, cells, names)
        state.revision += 1
        return Recorded(
            scope=self.scope,
            header=line.header(names),
            spans=tuple(spans),
            counted=tuple([Counted(at, series, cell) for (at, series), cell in cells.items()]),
            names=frozenset(
                [
                    n.step.name
                    for n in spans
                    if n.step.kind in ("model_call", "tool_call", "embedding") and n.step.name in names
                ]
            ),
            pieces=Pieces(
                base_us=base,
                state=_encode(state).decode(),
                before=there.pieces.state if there.pieces is not None else None,
            ),
            spelled=frozenset([n.step.name for n in spans if n.step.name not in names]),
        )


class Names:
    """Names that are few enough to be numbered and counted by; those that come when there are many already are not.

    Args:
        most: how many.
    """

    __slots__ = ("_known", "_most")

    def __init__(self, most: int) -> None:
        self._known: set[str] = set()
        self._most = most

    def __contains__(self, name: str) -> bool:
        if name in self._known:
            return True
        if len(self._known) >= self._most:
            return not name
        self._known.add(name)
        return True

    def few(self, name: str) -> str:
        """The name, or what stands for all those that are too many."""
        return name if name in self else OTHER

    def of(self, step: TraceStep) -> TraceStep:
        """The span, its agent and the type of its error among the few."""
        agent, error = step.agent, step.error_type
        few_agent, few_error = self.few(agent), self.few(error) if error is not None else None
        if few_agent == agent and few_error == error:
            return step
        return msgspec.structs.replace(step, agent=few_agent, error_type=few_error)


OTHER: Final = "_OTHER"
"""As in the conventions: a name that is one of too many."""


class _Line:
    """A trace's line while it takes in spans."""

    def __init__(self, header: TraceRecord, state: State) -> None:
        self._before = header
        self._state = state
        self._spans, self._calls, self._tools = header.spans, header.model_calls, header.tool_calls
        self._errors, self._usage = header.errors, header.usage
        self._agent, self._version, self._model = header.agent_id, header.agent_version, header.model
        self._thread, self._resource = header.thread_id, header.resource_id
        self._status, self._reason = header.status, header.finish_reason
        self._error, self._error_type, self._source = header.error, header.error_type, header.source

    def add(self, step: TraceStep, rank: int, *, first: bool) -> None:
        """Takes a span in; `first` says whether it was not there before, as one that goes on."""
        self._spans += first
        self._top(step, rank, first=first)
        known = step.attributes
        if step.kind == "run" and step.agent and (not self._agent or _us(step.start) < self._state.agent):
            self._agent, self._state.agent = step.agent, _us(step.start)
            self._version = _text(known.get("agent_version"))
        if not self._thread:
            self._thread = _text(known.get("thread_id"))
        if not self._resource:
            self._resource = _text(known.get("resource_id"))
        if step.duration_ms is None:
            return
        self._errors += step.error_type is not None
        self._tools += step.kind == "tool_call"
        if step.kind == "model_call":
            self._call(step)

    def _call(self, step: TraceStep) -> None:
        self._calls += 1
        usage = usage_of(step)
        self._usage += usage
        state = self._state
        price = price_of(step.attributes.get("cost_usd"))
        answered = usage != Usage() or "message_id" in step.attributes
        if price is None:
            state.cost = None if answered else state.cost
        elif state.cost is not None and (answered or price):
            state.cost = str(Decimal(state.cost or "0") + price)
        ended = _us(step.end or step.start)
        if state.model != GIVEN and (not self._model or ended >= state.model):
            self._model, state.model = _text(step.attributes.get("response_model")) or step.name, ended

    def _top(self, step: TraceStep, rank: int, *, first: bool) -> None:
        """Whether it is one of the topmost, and what that makes of the trace."""
        state = self._state
        begins = _us(step.start)
        ends = begins + round(step.duration_ms * 1e3) if step.duration_ms is not None else -1
        if rank < state.rank:
            return
        if rank > state.rank:
            state.rank, state.begins, state.ends = rank, begins, ends
            is_top = True
        else:
            is_top = begins < state.top or (begins == state.top and not first)
            state.begins = min(state.begins, begins)
            state.ends = -1 if ends < 0 or (state.ends < 0 and not is_top) else max(state.ends, ends)
        if not is_top:
            return
        state.top = begins
        known = step.attributes
        said = known.get("status") if step.kind == "run" else None
        if step.duration_ms is None or rank == INSIDE:
            self._status = _STATUSES.get(said, "running") if isinstance(said, str) else "running"
        else:
            self._status = "error" if step.error_type is not None else "cancelled" if "cancelled" in known else "ok"
        self._reason = _text(known.get("finish_reason")) if step.kind in ("run", "model_call") else ""
        self._error, self._error_type = step.error, step.error_type
        model = _text(known.get("response_model")) or _text(known.get("model"))
        if step.kind == "run" and model:
            self._model, state.model = model, GIVEN
        self._source = _text(known.get("service.name")) or self._source

    def header(self, names: Names) -> TraceRecord:
        """The line as it is now."""
        state = self._state
        ended = state.rank > INSIDE and state.ends >= 0
        return TraceRecord(
            run_id=self._before.run_id,
            trace_id=self._before.trace_id,
            agent_id=names.few(self._agent),
            status=self._status,
            started_at=state.begins / 10**6,
            duration_ms=(state.ends - state.begins) / 10**3 if ended else None,
            model=names.few(self._model),
            agent_version=names.few(self._version),
            thread_id=self._thread,
            resource_id=self._resource,
            finish_reason=self._reason,
            model_calls=self._calls,
            tool_calls=self._tools,
            errors=self._errors,
            spans=self._spans,
            usage=self._usage,
            cost_usd=Decimal(state.cost) if state.cost else None,
            error=self._error,
            error_type=names.few(self._error_type) if self._error_type is not None else None,
            source=names.few(self._source),
        )


def _count(step: TraceStep, cells: dict[tuple[int, Series], Cell], names: Names) -> None:
    series = series_of(step, _text(step.attributes.get("agent_version")))
    few = Series(series.kind, names.few(series.agent), names.few(series.name), names.few(series.version))
    place = (int((step.end or step.start) // 60 * 60), few)
    cell = cells.get(place)
    if cell is None:
        cell = cells[place] = Cell()
    count(cell, step)


def _whole(step: TraceStep, by_id: dict[str, TraceStep]) -> TraceStep:
    """The span with the agent that it is of, where that stands in a span around it that came with it."""
    if step.agent or step.kind not in ("model_call", "tool_call", "embedding", "memory"):
        return step
    above = step.parent_span_id
    for _ in range(_STEPS_UP):
        around = by_id.get(above) if above is not None else None
        if around is None:
            return step
        if around.agent:
            version = around.attributes.get("agent_version") if around.kind == "run" else None
            known = step.attributes if not version else {"agent_version": version, **step.attributes}
            return msgspec.structs.replace(step, agent=around.agent, attributes=known)
        above = around.parent_span_id
    return step


_STEPS_UP: Final = 32


def _us(at: float) -> int:
    return round(at * 1e6)


def _text(value: object) -> str:
    return value[:_SHORT] if isinstance(value, str) else ""


_SHORT: Final = 200


def pieces_of(spans: Sequence[Piece]) -> dict[str, tuple[str, list[str]]]:
    """What to ask storage for before they are stored."""
    return {p.run_id: (p.trace_id, [s.span_id for s, _ in p.spans]) for p in spans}
