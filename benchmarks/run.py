"""The runner: raw and ours in turn, a process a repetition, medians, one file of results and a table.

    python -m benchmarks [--only calc,stream] [--repetitions 5] [--quick] [--scale 1.0] [--out FILE]

A shared machine drifts, so each repetition of ours stands beside one of raw taken just before it, and a ratio is the
median of the pairs' ratios. The result file holds every repetition, the date, the load, and what it ran on.
"""

from __future__ import annotations

import argparse
import asyncio
import datetime
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks import aims, scale
from benchmarks.measures import MEASURES
from benchmarks.server import running

RESULTS = Path(__file__).parent / "results"
FOOTPRINTS = ("import", "first", "priced")
ALONE = (
    "build",
    "reading",
    "text_mode",
    "kept",
    "kept_postgres",
    "kept_delta",
    "disk",
    "plan",
    "sessions",
    "observed",
    "delays",
    "spans",
    "received",
    "questions",
)
"""Measures that raw has no share in."""
LIBRARIES = ("lumosai", "aiohttp", "msgspec", "orjson", "pydantic", "uvloop")
ONCE = ("disk", "questions")
"""Measures that give the same figures each time."""
PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


def main(argv: list[str] | None = None) -> int:
    """The command line: 0 where every aim is met, else 1."""
    options = _options(argv)
    every = [*MEASURES, *FOOTPRINTS, *scale.NAMES]
    wanted = options.only.split(",") if options.only else every
    if unknown := sorted({*wanted} - {*every}):
        print(f"no such measure: {', '.join(unknown)}; there are {', '.join(every)}", file=sys.stderr)
        return 2
    before = os.getloadavg()
    measured: aims.Repetitions = {}
    with running() as base_url:
        for measure in wanted:
            if measure in scale.NAMES:
                continue
            print(f"{measure} …", file=sys.stderr, flush=True)
            measured[measure] = _repetitions(measure, base_url, options)
        measured |= asyncio.run(_at_scale([m for m in wanted if m in scale.NAMES], base_url, options))
    rows = aims.verdicts(measured)
    print(aims.table(rows))
    _write(options.out, _document(measured, rows, before))
    return 0 if all(row.met is not False for row in rows) else 1


def _options(argv: list[str] | None) -> argparse.Namespace:
    today = datetime.datetime.now(tz=datetime.UTC).date().isoformat()
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="measures, separated by commas")
    parser.add_argument(
        "--repetitions", type=int, default=5, help="of each measure and contender; 5 or more for figures to keep"
    )
    parser.add_argument("--quick", action="store_true", help="a tenth of the work: to see that it runs, not to keep")
    parser.add_argument(
        "--scale", type=float, default=1.0, help="of the databases of a million messages: 0.1 fills a tenth"
    )
    parser.add_argument("--out", type=Path, default=RESULTS / f"{today}.json", help="where the result file goes")
    return parser.parse_args(argv)


async def _at_scale(wanted: list[str], base_url: str, options: argparse.Namespace) -> aims.Repetitions:
    """The measures of storage at scale, on databases that are filled once; fewer repetitions, for each is long."""
    measured: aims.Repetitions = {}
    async with scale.databases(wanted, options.scale / 10 if options.quick else options.scale) as urls:
        for measure in wanted:
            print(f"{measure} …", file=sys.stderr, flush=True)
            command = ["benchmarks.scale", measure, base_url, json.dumps(dict(urls))]
            taken = [await asyncio.to_thread(_process, command) for _ in range(min(options.repetitions, 3))]
            measured[measure] = {"ours": taken}
    return measured


def _repetitions(measure: str, base_url: str, options: argparse.Namespace) -> dict[str, list[dict[str, float]]]:
    """Every repetition's figures by contender; raw goes first in each pair."""
    contenders = ("ours",) if measure in (*FOOTPRINTS, *ALONE) else ("raw", "ours")
    taken: dict[str, list[dict[str, float]]] = {name: [] for name in contenders}
    for _ in range(1 if measure in ONCE else options.repetitions):
        for name in contenders:
            if measure in FOOTPRINTS:
                command = ["benchmarks.footprint", measure, base_url]
            else:
                amount = [str(max(100, MEASURES[measure][1] // 10))] if options.quick and measure != "calls" else []
                command = ["benchmarks.worker", name, measure, base_url, *amount]
            taken[name].append(_process(command))
    return taken


def _process(command: list[str]) -> dict[str, float]:
    """Runs a module in a process of its own and reads the figures it prints.

    Raises:
        RuntimeError: it failed; the message holds what it said.
    """
    # The server is on loopback: no proxy may stand between.
    environment = {k: v for k, v in os.environ.items() if k.lower() not in PROXIES}
    done = subprocess.run(
        [sys.executable, "-m", *command], capture_output=True, text=True, env=environment, check=False
    )
    if done.returncode != 0:
        msg = f"{' '.join(command)} failed with status {done.returncode}:\n{done.stderr}"
        raise RuntimeError(msg)
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


def _document(measured: aims.Repetitions, rows: list[aims.Verdict], before: tuple[float, ...]) -> dict[str, Any]:
    return {
        "date": datetime.datetime.now(tz=datetime.UTC).isoformat(timespec="seconds"),
        "load_before": [round(x, 2) for x in before],
        "load_after": [round(x, 2) for x in os.getloadavg()],
        "python": platform.python_version(),
        "system": platform.platform(),
        "cpu": _cpu(),
        "cpus": os.cpu_count(),
        "libraries": {name: _version(name) for name in LIBRARIES},
        "table": [
            {"title": r.aim.title, "raw": r.raw, "ours": r.ours, "held": r.held, "limit": r.aim.limit, "met": r.met}
            for r in rows
        ],
        "repetitions": measured,
    }


def _cpu() -> str:
    """The processor's name, as Linux gives it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def _version(library: str) -> str | None:
    try:
        return importlib.metadata.version(library)
    except importlib.metadata.PackageNotFoundError:
        return None


def _write(path: Path, document: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"\nwritten to {path}", file=sys.stderr)
