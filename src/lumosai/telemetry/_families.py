"""The metrics that measurements make, under the names and with the buckets of OpenTelemetry's conventions."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Final, NamedTuple

from lumosai.rollups import Cell, Series
from lumosai.sketch import Sketch
from lumosai.telemetry import semconv
from lumosai.telemetry._exposition import Family, Histogram, histogram
from lumosai.telemetry.measure import ASKED

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from lumosai.rollups import SeriesKind
    from lumosai.telemetry._exposition import Labels
    from lumosai.telemetry.semconv import Profile

SHORT: Final = semconv.CLIENT_SECONDS
LONG: Final = semconv.AGENT_SECONDS
"""Buckets of a call, and of an agent's run."""
OTHER: Final = "_OTHER"


class Measured(NamedTuple):
    """What one series adds up to.

    Attributes:
        cell: how often, how long, how many tokens in all.
        read, written: tokens of each call; None where only their sums are known.
    """

    cell: Cell
    read: Sketch | None = None
    written: Sketch | None = None


class Asked:
    """What runs of one agent asked for.

    Attributes:
        inferences, tool_calls: how many runs made so many.
    """

    __slots__ = ("inferences", "tool_calls")

    def __init__(self) -> None:
        self.inferences: Counter[int] = Counter()
        self.tool_calls: Counter[int] = Counter()

    def add(self, inferences: int, tool_calls: int) -> None:
        """A run has ended."""
        self.inferences[min(inferences, _MOST)] += 1
        self.tool_calls[min(tool_calls, _MOST)] += 1


_MOST: Final = 1_000
"""Beyond it one counts as so many."""


def other(series: Series) -> Series:
    """The series of all those of its kind that are too many."""
    return Series(series.kind, OTHER, f"{OTHER}:{OTHER}" if series.kind in ASKED else OTHER)


def families_of(
    sums: Mapping[Series, Measured], profile: Profile, asked: Mapping[str, Asked] | None = None
) -> list[Family]:
    """The metrics that sums make, and what runs asked for, by agent, under the names of a profile."""
    by_kind: dict[str, list[tuple[Series, Measured]]] = defaultdict(list)
    for series, measured in sorted(_as_named(sums).items()):
        by_kind[series.kind].append((series, measured))
    return [*_calls(by_kind, profile), *_agents_and_tools(by_kind), *_of_runs(asked or {}), *_counters(by_kind)]


def _as_named(sums: Mapping[Series, Measured]) -> dict[Series, Measured]:
    """The sums by the names that are shown; ours of memory operations and the conventions' may be one."""
    named: dict[Series, Measured] = {}
    for series, measured in sums.items():
        place = (
            series._replace(name=semconv.MEMORY_OPERATIONS.get(series.name, series.name))
            if series.kind == "memory"
            else series
        )
        there = named.get(place)
        if there is None:
            named[place] = measured
        else:
            both = Cell()
            both.merge(there.cell)
            both.merge(measured.cell)
            named[place] = Measured(both)
    return named


def _calls(by_kind: Mapping[str, list[tuple[Series, Measured]]], profile: Profile) -> Iterable[Family]:
    answers = by_kind.get("model_call", [])
    others = [*by_kind.get("embedding", ()), *by_kind.get("memory", ())]
    if profile.inference_duration == semconv.OPERATION_DURATION:
        answers, others = [*answers, *others], []
    for name, text, members in (
        (profile.inference_duration, "Duration of model calls, and of what else asks a model or a memory.", answers),
        (semconv.OPERATION_DURATION, "Duration of embeddings and memory operations.", others),
    ):
        if members or name == profile.inference_duration:
            yield Family(_named(name, "seconds"), "histogram", text, _durations(members, SHORT), "seconds")
    yield Family(
        _named(profile.first_chunk, "seconds"),
        "histogram",
        "Time from a streamed model call's request to its first chunk.",
        {_labels(s): histogram(m.cell.first, SHORT, scale=1e3) for s, m in answers if m.cell.first},
        "seconds",
    )
    yield from _tokens([*answers, *others, *by_kind.get("run", ())], profile)


def _tokens(members: list[tuple[Series, Measured]], profile: Profile) -> Iterable[Family]:
    """Of each call; as far as they are known."""
    usage: dict[str, dict[Labels, float | Histogram]] = {"input": {}, "output": {}}
    for series, measured in members:
        for kind, sketch in (("input", measured.read), ("output", measured.written)):
            if sketch:
                more = () if profile.token_counters else (("gen_ai_token_type", kind),)
                usage[kind][(*_labels(series), *more)] = histogram(sketch, semconv.TOKENS)
    if not profile.token_counters:
        told = {**usage["input"], **usage["output"]}
        yield Family(_named(semconv.TOKEN_USAGE), "histogram", "Tokens of each model call.", told)
        return
    for kind, told in usage.items():
        name = _named(semconv.usage_histogram(f"{kind}_tokens"))
        yield Family(name, "histogram", f"Tokens of each model call: {kind}.", told)


def _of_runs(asked: Mapping[str, Asked]) -> Iterable[Family]:
    """What runs asked for, where each was seen."""
    for name, text, field in (
        (semconv.AGENT_INFERENCES, "Model calls of a run.", "inferences"),
        (semconv.AGENT_TOOL_CALLS, "Tool calls of a run.", "tool_calls"),
    ):
        samples: dict[Labels, float | Histogram] = {
            (("gen_ai_agent_name", agent),): _counted(getattr(each, field)) for agent, each in asked.items()
        }
        yield Family(_named(name), "histogram", text, samples)


def _counted(seen: Counter[int]) -> Histogram:
    counts = [sum([n for value, n in seen.items() if value <= bound]) for bound in semconv.COUNTS]
    return Histogram(semconv.COUNTS, [*counts, seen.total()], float(sum([v * n for v, n in seen.items()])))


def _named(name: str, unit: str = "") -> str:
    """A name of the conventions as Prometheus has it."""
    return "_".join([name.replace(".", "_"), unit]).rstrip("_")


def _agents_and_tools(by_kind: Mapping[str, list[tuple[Series, Measured]]]) -> Iterable[Family]:
    agents: dict[Labels, Sketch] = {}
    for series, measured in by_kind.get("run", ()):  # a run's model is no label of it: its calls have theirs
        agents.setdefault((("gen_ai_agent_name", series.agent),), Sketch()).merge(measured.cell.duration)
    yield Family(
        "gen_ai_invoke_agent_duration_seconds",
        "histogram",
        "Duration of runs of agents.",
        {labels: histogram(sketch, LONG, scale=1e3) for labels, sketch in agents.items()},
        "seconds",
    )
    yield Family(
        "gen_ai_execute_tool_duration_seconds",
        "histogram",
        "Duration of tool calls.",
        _durations(by_kind.get("tool_call", ()), SHORT),
        "seconds",
    )
    waited: dict[Labels, Sketch] = {}
    for members in by_kind.values():
        for series, measured in members:
            if measured.cell.queued:
                labels = (("gen_ai_operation_name", _operation(series)), ("gen_ai_agent_name", series.agent))
                waited.setdefault(labels, Sketch()).merge(measured.cell.queued)
    yield Family(
        "lumosai_queued_seconds",
        "histogram",
        "Time that runs and calls waited before they began, of those that waited.",
        {labels: histogram(sketch, SHORT, scale=1e3) for labels, sketch in waited.items()},
        "seconds",
    )


_TOKEN_COUNTERS: Final = (
    ("input_tokens", "input_tokens"),
    ("output_tokens", "output_tokens"),
    ("cache_read_input_tokens", "cache_read_tokens"),
    ("cache_write_input_tokens", "cache_write_tokens"),
    ("reasoning_output_tokens", "reasoning_tokens"),
)


def _counters(by_kind: Mapping[str, list[tuple[Series, Measured]]]) -> Iterable[Family]:
    calls = [*(by_kind.get("model_call") or by_kind.get("run", [])), *by_kind.get("embedding", [])]
    for name, field in _TOKEN_COUNTERS:
        spent = {_labels(s): float(getattr(m.cell.usage, field)) for s, m in calls}
        yield Family(
            f"gen_ai_client_inference_usage_{name}",
            "counter",
            f"Tokens of model calls: {name.replace('_', ' ')}.",
            {labels: value for labels, value in spent.items() if value},
        )
    yield Family(
        "lumosai_cost_usd",
        "counter",
        "What model calls cost, in US dollars, of those whose price is known.",
        {_labels(s): m.cell.cost_nano / 1e9 for s, m in calls if m.cell.count > m.cell.unpriced},
    )
    yield Family(
        "lumosai_unpriced",
        "counter",
        "Model calls whose price is not known.",
        {_labels(s): float(m.cell.unpriced) for s, m in calls if m.cell.unpriced},
    )
    everything = [item for members in by_kind.values() for item in members]
    for name, text in (("errors", "Runs and calls that failed."), ("stopped", "Runs and calls that were stopped.")):
        counted: dict[Labels, float | Histogram] = {}
        for series, measured in everything:
            counted[_labels(series)] = float(getattr(measured.cell, name))
        yield Family(f"lumosai_{name}", "counter", text, counted)


def _durations(
    members: Iterable[tuple[Series, Measured]], bounds: tuple[float, ...]
) -> dict[Labels, float | Histogram]:
    return {_labels(series): histogram(m.cell.duration, bounds, scale=1e3) for series, m in members}


def _operation(series: Series) -> str:
    if series.kind == "memory":
        return series.name
    return _OPERATIONS[series.kind]


_OPERATIONS: Final[Mapping[SeriesKind, str]] = {
    "run": semconv.INVOKE_AGENT,
    "model_call": semconv.CHAT,
    "embedding": semconv.EMBEDDINGS,
    "tool_call": semconv.EXECUTE_TOOL,
}


def _labels(series: Series) -> Labels:
    labels = [("gen_ai_operation_name", _operation(series))]
    if series.kind in ASKED:
        provider, _, model = series.name.partition(":")
        labels += [("gen_ai_provider_name", semconv.PROVIDERS.get(provider, provider)), ("gen_ai_request_model", model)]
    elif series.kind == "run":
        labels.append(("gen_ai_request_model", series.name))
    elif series.kind == "tool_call":
        labels.append(("gen_ai_tool_name", series.name))
    return (*labels, ("gen_ai_agent_name", series.agent))
