"""One repetition of one measure in this process; prints its figures as one line of JSON.

python -m benchmarks.worker CONTENDER MEASURE BASE_URL [HOW_MUCH]
"""

from __future__ import annotations

import asyncio
import json
import sys

from benchmarks.contenders import open_contender
from benchmarks.measures import MEASURES
from benchmarks.measuring import Figures


async def repetition(contender_name: str, measure: str, base_url: str, amount: int | None = None) -> Figures:
    """The figures of one repetition of `measure`."""
    function, usual = MEASURES[measure]
    contender = open_contender(contender_name, base_url)
    try:
        return await function(contender, amount or usual)
    finally:
        await contender.close()


if __name__ == "__main__":
    name, wanted, url, *rest = sys.argv[1:]
    print(json.dumps(asyncio.run(repetition(name, wanted, url, int(rest[0]) if rest else None))))
