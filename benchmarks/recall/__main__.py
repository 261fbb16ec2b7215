"""`python -m benchmarks.recall [quality] [speed] [disk]`: the tables, as Markdown."""

from __future__ import annotations

import asyncio
import sys

from benchmarks.recall import quality, speed


async def _quality() -> None:
    for part in quality.PARTS:
        async for line in quality.table(part):
            print(line, flush=True)


async def _speed() -> None:
    print(
        "| messages searched | first search, ms | p50, ms | of it CPU | memory it adds, MB | indexed without the model, CPU µs each |"
    )
    print("|---|---|---|---|---|---|")
    for kind in ("SQLite", "PostgreSQL"):
        for count in (5_000, 100_000):
            f = await speed.searched(count, kind)
            row = f"{f['first_ms']:.0f} | {f['p50_ms']:.1f} | {f['cpu_ms']:.1f} | {f['rss_mb']:.0f} | {f['indexed_us']:.0f}"
            print(f"| {kind}, {count:,} | {row} |", flush=True)
    await _disk()
    beside = await speed.runs_beside()
    print(
        f"\nA run on a thread, ms: {beside['alone']:.2f} alone (p95 {beside['alone_p95']:.2f}), {beside['beside']:.2f} while"
    )
    print(f"20,000 messages are indexed (p95 {beside['beside_p95']:.2f}).")


async def _disk() -> None:
    print(
        "\n| on the disk: messages | bytes each | bytes a byte of text | beyond an empty file | of it the full text |"
    )
    print("|---|---|---|---|---|")
    for count, most in ((5_000, 6), (20_000, 3), (20_000, 6), (20_000, 20)):
        f = await speed.on_disk(count, most)
        row = f"{f['mean']:.0f} | {f['whole']:.2f} | {f['grown']:.2f} | {f['index']:.2f}"
        print(f"| {count:,} | {row} |", flush=True)


async def _main() -> None:
    wanted = sys.argv[1:] or ["quality", "speed"]
    if unknown := set(wanted) - {"quality", "speed", "disk"}:
        raise SystemExit(f"no such part: {', '.join(sorted(unknown))}; there are quality, speed and disk")
    if "quality" in wanted:
        await _quality()
    if "speed" in wanted:
        await _speed()
    elif "disk" in wanted:
        await _disk()


asyncio.run(_main())
