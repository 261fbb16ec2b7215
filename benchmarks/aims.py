"""The aims, and the table that says which are met.

A figure is compared in one of three ways: `times` with raw's of the same pair, `over` raw's (the difference), or `alone`.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import Literal

Repetitions = dict[str, dict[str, list[dict[str, float]]]]
"""measure → contender → the figures of each repetition, raw's and ours in pairs."""


@dataclass(frozen=True)
class Aim:
    """One line of the table.

    Attributes:
        title: what is measured.
        measure, figure: where it is found.
        unit: of the figure.
        how: what of it is held against the limit.
        limit: the greatest value that meets the aim, the least where `least` says so; None where there is no aim.
        least: whether more is better.
    """

    title: str
    measure: str
    figure: str
    unit: str
    how: Literal["times", "over", "alone"] = "alone"
    limit: float | None = None
    least: bool = False


AIMS = (
    Aim("calc, 1,000 in sequence: CPU a run", "calc", "cpu_ms", "ms", "times", 1.5),
    Aim("calc, 1,000 in sequence: all of it", "calc", "total_s", "s", "alone", 5.0),
    Aim("calc, 100 at once: CPU a run", "calc_at_once", "cpu_ms", "ms", "times", 1.5),
    Aim("stream of 20,000 deltas: CPU a delta", "stream", "cpu_us", "µs", "times", 1.3),
    Aim("a delta alone: latency, p50", "latency", "p50_us", "µs", "over", 50.0),
    Aim("1 tool turn: CPU a model call", "turns", "cpu_ms_1", "ms"),
    Aim("5 tool turns: CPU a model call", "turns", "cpu_ms_5", "ms"),
    Aim("20 tool turns: CPU a model call", "turns", "cpu_ms_20", "ms"),
    Aim("60 tool turns: CPU a model call", "turns", "cpu_ms_60", "ms"),
    Aim("60 tool turns against 1, a model call", "turns", "flatness", "×", "alone", 1.2),
    Aim("calc with 1,000 earlier messages: CPU a run", "earlier", "cpu_ms", "ms", "times", 1.5),
    Aim("building an agent with one tool: CPU", "build", "cpu_us", "µs", "alone", 20.0),
    Aim("building an agent with one tool: memory", "build", "kb", "KB", "alone", 2.0),
    Aim("import lumosai", "import", "facade_ms", "ms"),
    Aim("import lumosai: modules", "import", "facade_modules", ""),
    Aim("import lumosai: heavy modules", "import", "heavy_modules", "", "alone", 0.0),
    Aim("from lumosai import Agent", "import", "agent_ms", "ms"),
    Aim("import and first run: resident memory", "first", "rss_mb", "MB", "alone", 55.0),
    Aim("import and first run: CPU", "first", "cpu_ms", "ms"),
    Aim("the same, the price list loaded: resident memory", "priced", "rss_mb", "MB"),
    Aim("the same, the price list loaded: CPU", "priced", "cpu_ms", "ms"),
    Aim("function calls a calc run", "calls", "per_run", "", "alone", 2500.0),
    Aim("function calls a delta", "calls", "per_delta", ""),
    Aim("looking for calls in plain text: CPU a delta", "reading", "delta_us", "µs", "alone", 2.0),
    Aim("the same in whole texts", "reading", "whole_mb_s", "MB/s", "alone", 20.0, least=True),
    Aim("framing server-sent events", "reading", "sse_mb_s", "MB/s", "alone", 60.0, least=True),
    Aim("calc kept on a fresh thread: CPU a run more", "kept", "calc_ms", "ms", "alone", 0.8),
    Aim("the same against bare sqlite3", "kept", "calc_times", "×", "alone", 3.0),
    Aim("one answer kept on a fresh thread: CPU a run more", "kept", "plain_ms", "ms", "alone", 0.8),
    Aim("the same against bare sqlite3", "kept", "plain_times", "×", "alone", 3.0),
    Aim("calc kept, against bare sqlite3 in a thread", "kept", "calc_thread_times", "×"),
    Aim("calc with memory, no journal: CPU a run more", "kept", "calc_off_ms", "ms"),
    Aim("calc kept in PostgreSQL: CPU a run more", "kept_postgres", "calc_ms", "ms"),
    Aim("the same against bare asyncpg", "kept_postgres", "calc_times", "×", "alone", 3.0),
    Aim("one answer kept in PostgreSQL: CPU a run more", "kept_postgres", "plain_ms", "ms"),
    Aim("the same against bare asyncpg", "kept_postgres", "plain_times", "×", "alone", 3.0),
    Aim("a delta of a flood, kept: CPU more", "kept_delta", "flood_us", "µs", "alone", 15.0),
    Aim("a lone delta, kept: latency more, p50", "kept_delta", "lone_us", "µs", "alone", 1000.0),
    *[
        Aim(
            f"{what}, {journal}: bytes a message beyond {share} a byte{also}",
            "disk",
            f"{name}_{key}_{figure}",
            "B",
            "alone",
            most,
        )
        for name, what in (("english", "English"), ("chinese", "Chinese"), ("short", "short messages"))
        for key, journal, share, limit in (("off", "no journal", 1.1, 250.0), ("on", "journal", 1.5, 600.0))
        for figure, also, most in (("beyond_but_index", "", limit), ("beyond", ", the search index too", None))
    ],
    Aim("context plan over 1,000 candidate messages: CPU", "plan", "plan_ms", "ms", "alone", 2.0),
    Aim("a session looked up among 1,000", "sessions", "session_ms", "ms", "alone", 1.0),
    Aim("telemetry stored in SQLite: CPU a span more", "observed", "span_us", "µs", "alone", 20.0),
    Aim("the same as a share of the calc run", "observed", "share", "", "alone", 0.1),
    Aim("the same rows by hand in bare sqlite3: CPU a span", "observed", "bare_us", "µs"),
    Aim("the same as a share of the calc run", "observed", "bare_share", ""),
    Aim("a delta later beside 200 recorded runs a second: p99", "delays", "later_p99_ms", "ms", "alone", 5.0),
    Aim("memory of a process that records more", "delays", "more_rss_mb", "MB", "alone", 30.0),
    Aim("spans recorded and stored a second of CPU", "spans", "spans_per_cpu_s", "", "alone", 50_000.0, least=True),
    Aim("the same against bare sqlite3", "spans", "times", "×"),
    Aim(
        "spans through OTLP over HTTP into SQLite a second of CPU",
        "received",
        "spans_per_cpu_s",
        "",
        "alone",
        20_000.0,
        least=True,
    ),
    Aim("1,000,000 spans: p95 of an agent over 7 days", "questions", "p95_of_one_ms", "ms", "alone", 30.0),
    Aim("the same of 20 agents", "questions", "p95_of_20_ms", "ms", "alone", 200.0),
    Aim("1,000,000 spans: list of 50 traces", "questions", "list_ms", "ms", "alone", 50.0),
    Aim("1,000,000 spans: a trace of 10", "questions", "trace_ms", "ms", "alone", 5.0),
    Aim("1,000,000 spans: a trace of 10,000", "questions", "long_trace_ms", "ms", "alone", 1000.0),
    Aim("a stream in the text mode against a native one", "text_mode", "ratio", "×", "alone", 1.5),
    *(
        aim
        for kind, name in (("sqlite", "SQLite"), ("postgresql", "PostgreSQL"))
        for aim in (
            Aim(f"{name}: page of 50 of 1,000,000 messages, p50", f"pages_{kind}", "worst_ms", "ms", "alone", 5.0),
            Aim(f"{name}: one of them by its id, p50", f"pages_{kind}", "by_id_ms", "ms", "alone", 5.0),
            Aim(f"{name}: page of them by a filter, p50", f"filters_{kind}", "worst_ms", "ms"),
            Aim(f"{name}: page that finds nothing", f"filters_{kind}", "nothing_page_ms", "ms"),
            Aim(f"{name}: list of 50 of 100,000 threads, p50", f"lists_{kind}", "worst_ms", "ms", "alone", 5.0),
            Aim(f"{name}: page of a text in all of them, p50", f"lists_{kind}", "search_ms", "ms"),
            Aim(f"{name}: kept run after 1,000,000 messages", f"length_{kind}", "times", "×", "alone", 1.2),
            Aim(f"{name}: kept run beside 100,000 threads", f"crowd_{kind}", "times", "×", "alone", 1.2),
            Aim(f"{name}: 100 streams at once, p99 of a delta", f"streams_{kind}", "one_p99_ms", "ms", "alone", 50.0),
            Aim(f"{name}: the same in two processes", f"streams_{kind}", "two_p99_ms", "ms", "alone", 50.0),
            Aim(f"{name}: the same without a storage", f"streams_{kind}", "without_p99_ms", "ms"),
            Aim(f"{name}: `threads show` of 1,000,000, CPU more", f"command_{kind}", "show_more_ms", "ms"),
        )
    ),
)


@dataclass(frozen=True)
class Verdict:
    """An aim with what was measured. `held` is what the limit is held against; `met` is None without a limit."""

    aim: Aim
    raw: float | None
    ours: float
    held: float
    met: bool | None


def verdicts(measured: Repetitions) -> list[Verdict]:
    """The aims of the measures that were taken, in the table's order."""
    return [_verdict(aim, measured[aim.measure]) for aim in AIMS if aim.measure in measured]


def _verdict(aim: Aim, repetitions: dict[str, list[dict[str, float]]]) -> Verdict:
    ours = [r[aim.figure] for r in repetitions["ours"]]
    raw = [r[aim.figure] for r in repetitions.get("raw", ()) if aim.figure in r]
    if aim.how == "times":
        held = median(o / r for r, o in zip(raw, ours, strict=True))
    elif aim.how == "over":
        held = median(o - r for r, o in zip(raw, ours, strict=True))
    else:
        held = median(ours)
    met = None if aim.limit is None else held >= aim.limit if aim.least else held <= aim.limit
    return Verdict(aim, median(raw) if raw else None, median(ours), held, met)


def table(rows: list[Verdict]) -> str:
    """The verdicts as a table in Markdown."""
    lines = ["| measure | raw | ours | result | aim | met |", "|---|---|---|---|---|---|"]
    for row in rows:
        unit = row.aim.unit
        raw = "" if row.raw is None else f"{_number(row.raw)} {unit}"
        result = {"times": f"{row.held:.2f}×", "over": f"{row.held:+.0f} {unit}", "alone": ""}[row.aim.how]
        limit = (
            ""
            if row.aim.limit is None
            else f"{'≥' if row.aim.least else '≤'} {row.aim.limit:g}{'×' if row.aim.how == 'times' else ' ' + unit}"
        )
        met = {None: "", True: "yes", False: "**no**"}[row.met]
        cells = (row.aim.title, raw, f"{_number(row.ours)} {unit}", result, limit, met)
        lines.append("| " + " | ".join(c.strip() for c in cells) + " |")
    return "\n".join(lines)


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"
