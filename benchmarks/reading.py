"""What reading costs by itself: calls looked for in text, events framed, a stream in the text mode beside a native one.

Texts are made here and hold no markup, which is the usual case: prose in two languages, Markdown, code.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from benchmarks.measuring import Figures, cpu_s, read

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.contenders.base import Contender

PROSE = (
    "The quick brown fox jumps over the lazy dog, and it does so twice a day. Prices rose by 3.5 % (see table 2).\n"
    "敏捷的棕色狐狸跳过了懒狗，每天两次；价格上涨了百分之三点五。\n"
    "\n"
    "## What follows\n"
    "1. Open the `config.toml` file.\n"
    "2. Set *timeout* to [thirty seconds](https://example.org/docs).\n"
    '- It\'s "done" once x < y and f(x) = {x: 1}.\n'
    "\n"
    "```python\n"
    "def area(width: float, height: float) -> float:\n"
    "    return width * height\n"
    "```\n"
    "\n"
)
DELTA = 5
"""Characters of a delta: about a token."""
ROUNDS = 5


async def reading(_contender: Contender, deltas: int) -> Figures:
    """The dialects' parser over deltas and over a whole text, and the framing of server-sent events."""
    from benchmarks.contenders.ours import calculator
    from lumosai import tool
    from lumosai._http import Decoder
    from lumosai.dialects import DialectParser

    tools = [tool(calculator)]
    text = PROSE * (deltas * DELTA // len(PROSE) + 1)
    pieces = [text[i : i + DELTA] for i in range(0, deltas * DELTA, DELTA)]
    mb = len(text.encode()) / 1e6

    def by_delta() -> None:
        parser = DialectParser(tools=tools)
        got = "".join("".join(parser.feed(p)) for p in pieces) + "".join(parser.close())  # type: ignore[arg-type]
        _expect_same(got, "".join(pieces))

    def whole() -> None:
        parser = DialectParser(tools=tools)
        _expect_same("".join([*parser.feed(text), *parser.close()]), text)  # type: ignore[list-item]

    event = b'data: {"id":"x","choices":[{"index":0,"delta":{"content":" the quick brown fox"}}]}\n\n'
    wire = event * 20_000
    reads = [wire[i : i + 16_384] for i in range(0, len(wire), 16_384)]

    def framed() -> None:
        decoder = Decoder()
        count = sum(len(decoder.feed(r)) for r in reads)
        if count != 20_000:
            msg = f"{count} events framed, expected 20000"
            raise AssertionError(msg)

    return {
        "delta_us": _least(by_delta) * 1e6 / len(pieces),
        "whole_mb_s": mb / _least(whole),
        "sse_mb_s": len(wire) / 1e6 / _least(framed),
    }


async def text_mode(contender: Contender, deltas: int) -> Figures:
    """A flood read in the text mode and natively, in turn: CPU a delta of both, and their ratio."""
    agents: dict[str, Any] = {m: contender.agent(f"flood-{deltas}", tool_calling=m) for m in ("native", "text")}
    taken: dict[str, list[float]] = {"native": [], "text": []}
    for _ in range(ROUNDS):
        for mode, agent in agents.items():
            cpu = cpu_s()
            await read(contender, agent)
            taken[mode].append((cpu_s() - cpu) * 1e6 / deltas)
    least = {mode: min(times) for mode, times in taken.items()}
    return {"text_us": least["text"], "native_us": least["native"], "ratio": least["text"] / least["native"]}


def _least(job: Callable[[], None]) -> float:
    """Seconds of CPU of the quickest of a few rounds."""
    times = []
    for _ in range(ROUNDS):
        began = time.process_time()
        job()
        times.append(time.process_time() - began)
    return min(times)


def _expect_same(got: str, wanted: str) -> None:
    if got != wanted:
        msg = "the text that came out is not the text that went in"
        raise AssertionError(msg)
