"""A trace as a tree with a time line: where the time went, and what the end waited for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from lumosai.cli.terminal import one_line
from lumosai.cli.times import clock, lasted
from lumosai.telemetry.critical import critical_path, own_times

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lumosai.cli.terminal import Style
    from lumosai.traces import ExecutionTrace, TraceStep

_BAR: Final = 24
_LABEL: Final = 44
_DEEPEST: Final = 40
_KINDS: Final = {
    "run": "run",
    "model_call": "model",
    "tool_call": "tool",
    "embedding": "embed",
    "memory": "memory",
    "guard": "guard",
}
_MOST_NOTES: Final = 3
_WORTH: Final = 0.005
"""A share of the whole that is worth a number."""


def lines_of(trace: ExecutionTrace, style: Style, *, now: float | None = None) -> Iterator[str]:
    """The lines of a tree; what lies on the critical path is marked with a dot and the share of it that is its own."""
    yield _heading(trace, style)
    pieces = critical_path(trace.steps, now=now)
    own = own_times(pieces)
    begins = trace.started_at
    ends = max((p.end for p in pieces), default=begins)
    length = max(ends - begins, 1e-9)
    known = {s.span_id for s in trace.steps}
    children: dict[str | None, list[TraceStep]] = {}
    for step in trace.steps:
        parent = step.parent_span_id if step.parent_span_id in known else None
        children.setdefault(parent, []).append(step)
    # Behind the roots come those that are in no root: spans of another program may be inside one another in a ring.
    stack = [(step, "", "") for step in reversed([*children.get(None, []), *trace.steps])]
    shown: set[str] = set()
    while stack:
        step, lead, below = stack.pop()
        if step.span_id in shown:
            continue
        shown.add(step.span_id)
        start = (step.start - begins) / length
        end = ((step.end if step.end is not None else ends) - begins) / length
        share = own.get(step.span_id, 0.0) / length / 1e3
        yield _line(step, lead, (start, end), share if step.span_id in own else None, style)
        inner = children.pop(step.span_id, [])
        for at, child in reversed([*enumerate(inner)]):
            last = at == len(inner) - 1
            deep = len(below) >= _DEEPEST * 3
            stack.append(
                (
                    child,
                    below if deep else below + ("└─ " if last else "├─ "),
                    below if deep else below + ("   " if last else "│  "),
                )
            )


def _heading(trace: ExecutionTrace, style: Style) -> str:
    known = trace.metadata
    parts = [
        style.bold(one_line(trace.agent_id or (trace.root.name if trace.root is not None else "?"), 60)),
        _status(trace.status, style),
        lasted(trace.total_duration_ms),
        _tokens(trace.usage.input_tokens, trace.usage.output_tokens),
        f"${trace.cost_usd:f}" if trace.cost_usd is not None else "",
        f"thread {one_line(str(known['thread_id']), 40)}" if known.get("thread_id") else "",
        f"because of {known['finish_reason']}" if known.get("finish_reason") not in (None, "stop") else "",
        clock(trace.started_at),
    ]
    return f"{'  '.join(p for p in parts if p)}\n{style.dim(f'run {trace.run_id}  trace {trace.trace_id}')}"


def _line(step: TraceStep, lead: str, place: tuple[float, float], share: float | None, style: Style) -> str:
    mark = "●" if share is not None else " "
    name = one_line(step.name, 60)
    label = f"{_KINDS.get(step.kind, step.kind)} {name}" if step.kind not in ("step", "span") else name
    room = max(_LABEL - len(lead) - 2, 8)
    label = label if len(label) <= room else f"{label[: room - 1]}…"
    plain = f"{label:<{room}}"
    shown = style.red(plain) if step.error_type else style.bold(plain) if share is not None else plain
    took = f"{lasted(step.duration_ms):>9}"
    own = f"{share:>4.0%}" if share is not None and share >= _WORTH else "    "
    return f"{style.dim(lead)}{style.cyan(mark)} {shown} {_bar(place, style, critical=share is not None)} {took} {own}  {_said(step, style)}".rstrip()


def _bar(place: tuple[float, float], style: Style, *, critical: bool) -> str:
    first = min(int(place[0] * _BAR), _BAR - 1)
    last = max(first + 1, min(round(place[1] * _BAR), _BAR))
    full = ("━" if critical else "─") * (last - first)
    return f"▕{' ' * first}{style.cyan(full) if critical else style.dim(full)}{' ' * (_BAR - last)}▏"


def _said(step: TraceStep, style: Style) -> str:
    known = step.attributes
    parts: list[str] = []
    if step.kind in ("model_call", "run", "embedding"):
        parts.append(_tokens(known.get("input_tokens", 0), known.get("output_tokens", 0)))
    if "time_to_first_chunk_ms" in known and step.kind == "model_call":
        parts.append(f"first {lasted(known['time_to_first_chunk_ms'])}")
    if known.get("attempt", 1) > 1:
        parts.append(f"attempt {known['attempt']}")
    if known.get("queued_ms", 0) >= 1:
        parts.append(f"waited {lasted(known['queued_ms'])}")
    if step.kind == "memory":
        parts.append(f"{known.get('count', 0)} messages")
    if step.kind == "approval":
        parts.append(str(known.get("decision", "open")))
    parts += [_note(n) for n in known.get("notes", [])[:_MOST_NOTES]]
    if step.error_type is not None:
        told = step.error or ""
        words = told if told.startswith(step.error_type) else f"{step.error_type}: {told}".rstrip(": ")
        parts.append(style.red(one_line(words, 120)))
    return "  ".join(p for p in parts if p)


def _note(note: dict[str, Any]) -> str:
    if note.get("name") == "retrying":
        return one_line(f"retried after {note.get('reason', 'a failure')}", 80)
    if note.get("name") == "model_changed":
        return one_line(f"went on with {note.get('to')} ({note.get('tool_mode')})", 80)
    return one_line(str(note.get("name", "")).replace("_", " "), 40)


def _tokens(read: int, written: int) -> str:
    return f"{read:,}→{written:,} tokens" if read or written else ""


def _status(status: str, style: Style) -> str:
    paint = {"ok": style.green, "error": style.red, "cancelled": style.yellow, "paused": style.yellow}.get(
        status, style.cyan
    )
    return paint(status)
