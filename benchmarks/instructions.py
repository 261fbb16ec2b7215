"""User instructions a run, as Valgrind's cachegrind counts them: ratios that neither load nor the clock of a machine moves.

    python -m benchmarks.instructions [calc] [calc_at_once] [stream] [earlier]

The kernel's share, waits and cold caches are not in them, so they stand beside CPU time, not in its place. Each figure is
what a long repetition takes more than a short one, so that start and warm-up do not count. Needs `valgrind`.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys

from benchmarks.run import PROXIES
from benchmarks.server import running

AMOUNTS = {"calc": (50, 250), "calc_at_once": (100, 500), "stream": (1000, 4000), "earlier": (20, 60)}
"""How much a short and a long repetition of a measure is."""
_COUNTED = re.compile(r"I +refs: +([\d,]+)")


def instructions(contender: str, measure: str, base_url: str, amount: int) -> int:
    """What a repetition of that much takes, its process's start included.

    Raises:
        RuntimeError: it failed; the message holds what it said.
    """
    environment = {k: v for k, v in os.environ.items() if k.lower() not in PROXIES} | {"PYTHONHASHSEED": "0"}
    worker = [sys.executable, "-m", "benchmarks.worker", contender, measure, base_url, str(amount)]
    command = ["valgrind", "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null", *worker]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    found = _COUNTED.search(done.stderr)
    if done.returncode != 0 or found is None:
        msg = f"{' '.join(worker)} failed with status {done.returncode}:\n{done.stderr[-2000:]}"
        raise RuntimeError(msg)
    return int(found[1].replace(",", ""))


def main(measures: list[str]) -> int:
    """The command line."""
    if shutil.which("valgrind") is None:
        print("valgrind is not installed: it counts the instructions", file=sys.stderr)
        return 2
    if unknown := sorted({*measures} - AMOUNTS.keys()):
        print(f"no such measure: {', '.join(unknown)}; there are {', '.join(AMOUNTS)}", file=sys.stderr)
        return 2
    print("| measure | raw | ours | ratio |\n|---|---|---|---|")
    with running() as base_url:
        for measure in measures or AMOUNTS:
            short, long = AMOUNTS[measure]
            each = [
                (instructions(who, measure, base_url, long) - instructions(who, measure, base_url, short))
                / (long - short)
                for who in ("raw", "ours")
            ]
            raw, ours = each
            print(f"| {measure} | {raw / 1e3:,.1f} k | {ours / 1e3:,.1f} k | {ours / raw:.2f} |", flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
