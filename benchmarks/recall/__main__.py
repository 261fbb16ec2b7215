"""`python -m benchmarks.recall [quality] [speed]`: the tables, as Markdown."""

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
    for count in (5_000, 100_000):
        f = await speed.searched(count)
        row = f"{f['first_ms']:.0f} | {f['p50_ms']:.1f} | {f['cpu_ms']:.1f} | {f['rss_mb']:.0f} | {f['indexed_us']:.0f}"
        print(f"| {count:,} | {row} |", flush=True)
    disk = await speed.on_disk()
    print(
        f"\nOn the disk, bytes a byte of text ({disk['mean']:.0f} bytes a message): {disk['bare']:.2f} without the full text,"
    )
    print(f"{disk['whole']:.2f} with it.")
    beside = await speed.runs_beside()
    print(
        f"\nA run on a thread, ms: {beside['alone']:.2f} alone (p95 {beside['alone_p95']:.2f}), {beside['beside']:.2f} while"
    )
    print(f"20,000 messages are indexed (p95 {beside['beside_p95']:.2f}).")


async def _main() -> None:
    wanted = sys.argv[1:] or ["quality", "speed"]
    if unknown := set(wanted) - {"quality", "speed"}:
        raise SystemExit(f"no such part: {', '.join(sorted(unknown))}; there are quality and speed")
    if "quality" in wanted:
        await _quality()
    if "speed" in wanted:
        await _speed()


asyncio.run(_main())
