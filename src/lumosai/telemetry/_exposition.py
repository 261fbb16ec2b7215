"""Metrics as text for Prometheus: the old text format (0.0.4) and OpenMetrics (1.0.0)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from lumosai.sketch import Sketch

TEXT: Final = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS: Final = "application/openmetrics-text; version=1.0.0; charset=utf-8"

Labels = tuple[tuple[str, str], ...]
_MOST_LABEL: Final = 200


class Histogram(NamedTuple):
    """Counts by bound.

    Attributes:
        bounds: upper bounds, rising, without the infinite one.
        counts: how many were at or under each; behind them how many there were.
        total: their sum.
    """

    bounds: Sequence[float]
    counts: Sequence[int]
    total: float


class Family(NamedTuple):
    """A metric.

    Attributes:
        name: without the ending that its type asks for; with its unit.
        kind: its type.
        text: what it is.
        samples: by labels.
        unit: "" where it has none.
    """

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    text: str
    samples: Mapping[Labels, float | Histogram]
    unit: str = ""


def histogram(sketch: Sketch, bounds: Sequence[float], *, scale: float = 1.0) -> Histogram:
    """The sketch by bounds; `scale` is how many of its units make one of theirs."""
    counts = [sketch.at_most(bound * scale) for bound in bounds]
    return Histogram(bounds, [*counts, sketch.count], sketch.total / scale)


def wants_openmetrics(accept: str) -> bool:
    """Whether a request would rather have OpenMetrics."""
    best: dict[str, float] = {}
    for part in accept.split(","):
        kind, *parameters = [p.strip().lower() for p in part.split(";")]
        quality = next((p[2:] for p in parameters if p.startswith("q=")), "1")
        try:
            best[kind] = max(best.get(kind, 0.0), float(quality))
        except ValueError:
            continue
    asked = best.get("application/openmetrics-text", 0.0)
    return asked > 0 and asked >= best.get("text/plain", 0.0)


def written(families: Iterable[Family], *, openmetrics: bool, created: float) -> str:
    """The metrics as text.

    Args:
        families: those that have samples are told.
        openmetrics: in the newer format.
        created: since when counters and histograms count, unix seconds.
    """
    lines: list[str] = []
    for family in families:
        if not family.samples:
            continue
        total = "_total" if family.kind == "counter" else ""
        name = family.name if openmetrics else family.name + total
        lines += [f"# HELP {name} {_escaped(family.text, quotes=openmetrics)}", f"# TYPE {name} {family.kind}"]
        if openmetrics and family.unit:
            lines.append(f"# UNIT {name} {family.unit}")
        for labels, value in family.samples.items():
            if isinstance(value, Histogram):
                lines += _histogram(family.name, labels, value)
            else:
                lines.append(f"{family.name}{total}{_labels(labels)} {_number(value)}")
            if openmetrics and family.kind != "gauge":
                lines.append(f"{family.name}_created{_labels(labels)} {_number(created)}")
    if openmetrics:
        lines.append("# EOF")
    return "\n".join([*lines, ""])


def _histogram(name: str, labels: Labels, value: Histogram) -> list[str]:
    lines = [
        f"{name}_bucket{_labels((*labels, ('le', _number(bound))))} {count}"
        for bound, count in zip([*value.bounds, math.inf], value.counts, strict=True)
    ]
    return [
        *lines,
        f"{name}_count{_labels(labels)} {value.counts[-1]}",
        f"{name}_sum{_labels(labels)} {_number(value.total)}",
    ]


def _labels(labels: Labels) -> str:
    if not labels:
        return ""
    return "{" + ",".join([f'{name}="{_escaped(value[:_MOST_LABEL])}"' for name, value in labels]) + "}"


def _escaped(text: str, *, quotes: bool = True) -> str:
    text = text.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", " ").replace("\0", "")
    return text.replace('"', '\\"') if quotes else text


def _number(value: float) -> str:
    return "+Inf" if value == math.inf else repr(float(value))
