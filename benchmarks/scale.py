"""Storage at scale: what a page, a list, a run and many streams cost where there is a million messages.

    python -m benchmarks.scale MEASURE BASE_URL DATABASES       one repetition, in this process; DATABASES as JSON

The databases are filled once for all repetitions (`filling`), by the runner.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, Final, Literal

from benchmarks import filling
from benchmarks.contenders.base import PROMPT
from benchmarks.contenders.ours import Ours
from benchmarks.measuring import Figures, cpu_s
from lumosai import Memory
from lumosai.events import TextDelta
from lumosai.messages import Message
from lumosai.records import Scope
from lumosai.storage import MessageFilter, Storage, ThreadFilter, open_storage
from lumosai.storage import _cursor as cursors
from lumosai.storage._messages import cursor_at

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

KINDS: Final = ("sqlite", "postgresql")
STREAMS: Final = 100
DELTAS: Final = 150
"""Of one stream, 20 ms apart."""
_BEGUN_S: Final = 2.0
"""Over so long the streams are begun, as users come; what a hundred beginnings at once cost is another question."""
_ROUNDS: Final = 30
_BLOCKS: Final = 6


async def pages(url: str, _: str) -> Figures:
    """Milliseconds of a page of 50, p50: of the long thread, of a fork through many branches, of one message by its id."""
    async with _open(url) as storage:
        mine = storage.scope(Scope())
        thread = await mine.thread(filling.LONG)
        assert thread is not None
        end = thread.message_count

        def at(thread_id: str, number: int, step: Literal[1, -1]) -> str:
            return cursor_at(thread_id, 0, number, step)

        forked = await mine.thread(filling.FORKED)
        assert forked is not None
        jobs: dict[str, Callable[[], Awaitable[Any]]] = {
            "first": lambda: mine.messages(filling.LONG),
            "middle": lambda: mine.messages(filling.LONG, cursor=at(filling.LONG, end // 2, 1)),
            "back": lambda: mine.messages(filling.LONG, cursor=at(filling.LONG, end // 2, -1)),
            "last": lambda: mine.messages(filling.LONG, newest=True),
            "forked_first": lambda: mine.messages(filling.FORKED),
            "forked_middle": lambda: mine.messages(
                filling.FORKED, cursor=at(filling.FORKED, forked.message_count // 2, -1)
            ),
            "forked_last": lambda: mine.messages(filling.FORKED, newest=True),
        }
        figures = await _p50s(jobs)
        one = await _p50s({"by_id": lambda: mine.message(filling.LONG, filling.id_of(end // 3))})
        return figures | one | {"worst_ms": max(figures.values())}


async def filters(url: str, _: str) -> Figures:
    """Milliseconds of a page of 50 of the long thread by a filter, p50; how many pages a needle takes, and their time."""
    async with _open(url) as storage:
        mine = storage.scope(Scope())
        wanted = {
            "half": MessageFilter(roles=("user",)),
            "one_in_thousand": MessageFilter(roles=("system",)),
            "text": MessageFilter(text=filling.NEEDLE),
            "text_of_all": MessageFilter(text="harbour"),
            "metadata": MessageFilter(metadata={"topic": "t7"}),
            "dates": MessageFilter(since=filling.BEGAN + 1_000, until=filling.BEGAN + 2_000),
            "run": MessageFilter(run_id=filling.id_of(500)),
        }
        jobs = {
            name: (lambda filter_=filter_: mine.messages(filling.LONG, filter=filter_))
            for name, filter_ in wanted.items()
        }
        figures = await _p50s(jobs)
        figures["worst_ms"] = max(figures.values())
        began, count, cursor = time.perf_counter(), 0, None
        while count == 0 or cursor is not None:
            page = await mine.messages(filling.LONG, filter=MessageFilter(text="nowhere"), cursor=cursor)
            count, cursor = count + 1, page.next_cursor
        took = (time.perf_counter() - began) * 1e3
        return figures | {"nothing_pages": count, "nothing_ms": took, "nothing_page_ms": took / count}


async def lists(url: str, _: str) -> Figures:
    """Milliseconds of a list of 50 threads, p50: by each index, from the midst, by metadata; of a search through all."""
    async with _open(url) as storage:
        mine, owners = storage.scope(Scope()), storage.scope(Scope(owner="user7"))
        newest = (await owners.list_threads(limit=1)).items[0].updated_at
        midst = cursors.write("threads", (filling.BEGAN + newest) / 2, 0)
        jobs = {
            "by_time": mine.list_threads,
            "midst": lambda: mine.list_threads(cursor=midst),
            "by_owner": owners.list_threads,
            "by_resource": lambda: mine.list_threads(filter=ThreadFilter(resource_id="r77")),
            "by_agent": lambda: mine.list_threads(filter=ThreadFilter(agent_id="agent7")),
            "by_owner_and_agent": lambda: owners.list_threads(filter=ThreadFilter(agent_id="agent7")),
            "by_metadata": lambda: mine.list_threads(filter=ThreadFilter(metadata={"topic": "t77"})),
            "by_title": lambda: mine.list_threads(filter=ThreadFilter(text="77")),
        }
        figures = await _p50s(jobs)
        searches = await _p50s(
            {
                "search": lambda: mine.search("harbour"),
                "search_owner": lambda: owners.search("harbour"),
                "search_needle": lambda: mine.search(filling.NEEDLE),
            }
        )
        return figures | searches | {"worst_ms": max(figures.values())}


async def length(url: str, base_url: str) -> Figures:
    """Milliseconds of CPU of a kept run on a thread of ten messages and on the long one: how many times the first."""
    memory = Memory(url)
    handle = memory.storage.scope(Scope())
    name = f"short-{time.time_ns()}"
    await handle.create_thread(name)
    await handle.add_messages(name, [Message.user(f"message number {i}") for i in range(10)])
    agent = Ours(base_url).agent("calc", memory=memory)

    async def run(thread: str) -> None:
        await agent.generate(PROMPT, thread_id=thread)

    took = await _in_turn([lambda: run(name), lambda: run(filling.LONG)], await _server(url))
    await memory.close()
    return {"short_ms": took[0], "long_ms": took[1], "times": took[1] / took[0]}


async def crowd(url: str, base_url: str) -> Figures:
    """The same of runs on fresh threads, in an empty database and beside all the threads that there are."""
    jobs: list[Callable[[], Awaitable[None]]] = []
    async with filling.filled(url.partition(":")[0], None) as empty:
        memories = [Memory(empty), Memory(url)]

        def fresh(memory: Memory) -> Callable[[], Awaitable[None]]:
            agent = Ours(base_url).agent("calc", memory=memory)

            async def run() -> None:
                await agent.generate(PROMPT, thread_id=f"fresh-{time.time_ns()}")

            return run

        jobs = [fresh(memory) for memory in memories]
        took = await _in_turn(jobs, tuple({*await _server(empty), *await _server(url)}))
        for memory in memories:
            await memory.close()
    return {"few_ms": took[0], "many_ms": took[1], "times": took[1] / took[0]}


async def streams(url: str, base_url: str) -> Figures:
    """Milliseconds from the server's write of a delta to the caller's hands: 100 streams at once, each on its own thread.

    From one process, from two, and without a storage; that nothing failed is part of it.
    """
    kind = url.partition(":")[0]
    figures: Figures = {}
    for name, processes, kept in (("without", 1, False), ("one", 1, True), ("two", 2, True)):
        async with filling.filled(kind, None) as empty:
            taken = await _streamed(base_url, empty if kept else "", processes, await _server(empty))
        figures |= {f"{name}_{what}_ms": value for what, value in taken.items()}
    return figures | {
        "one_added_ms": figures["one_p99_ms"] - figures["without_p99_ms"],
        "two_added_ms": figures["two_p99_ms"] - figures["without_p99_ms"],
    }


async def _streamed(base_url: str, url: str, processes: int, server: tuple[int, ...]) -> Figures:
    """The times of all deltas, the streams divided among processes, and the CPU of all that divided among the deltas."""
    before = _children_s() + _cpu_of(server)
    command = [sys.executable, "-m", "benchmarks.scale", "drip", base_url, json.dumps([url, STREAMS // processes])]
    running = [
        await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE, stdin=subprocess.PIPE)
        for _ in range(processes)
    ]
    for process in running:
        assert process.stdout is not None
        await process.stdout.readline()  # it is ready
    for process in running:
        assert process.stdin is not None
        process.stdin.write(b"\n")
    outputs = [await process.communicate() for process in running]
    if any(process.returncode for process in running):
        raise RuntimeError("a stream failed: its process says above why")
    taken = sorted(ms for out, _ in outputs for ms in json.loads(out))
    assert len(taken) == STREAMS * DELTAS
    cpu = _children_s() + _cpu_of(server) - before
    return {
        "p50": taken[len(taken) // 2],
        "p99": taken[len(taken) * 99 // 100],
        "max": taken[-1],
        "cpu": cpu * 1e3 / len(taken),
    }


async def _drip(base_url: str, url: str, count: int) -> list[float]:
    """The times of the deltas of some streams of this process."""
    memory = Memory(url) if url else None
    agent = Ours(base_url).agent(f"drip-{DELTAS}", memory=memory)
    taken: list[float] = []

    async def stream(number: int) -> None:
        await asyncio.sleep(_BEGUN_S * number / count)
        thread = {"thread_id": f"t{os.getpid()}-{number}"} if url else {}
        async with agent.stream("go", **thread) as run:
            async for event in run:
                if isinstance(event, TextDelta):
                    now = time.monotonic_ns()
                    taken.extend((now - int(stamp)) / 1e6 for stamp in event.delta.split())
            await run.result()

    if memory is not None:
        await memory.storage.open()
    print("ready", flush=True)
    sys.stdin.readline()
    await asyncio.gather(*(stream(number) for number in range(count)))
    if memory is not None:
        await memory.close()
    return taken


async def command(url: str, _: str) -> Figures:
    """Milliseconds of CPU of the command line: `threads list` and `show`, beside `list` with nothing kept."""
    figures: Figures = {}
    with tempfile.TemporaryDirectory(prefix="lumosai-bench-") as folder:
        empty = f"sqlite:///{folder}/empty.db"
        async with _open(empty):
            pass
        for name, where, arguments in (
            ("nothing", empty, ["list"]),
            ("list", url, ["list"]),
            ("show", url, ["show", filling.LONG]),
        ):
            taken = [_commanded([*arguments, "--memory", where]) for _ in range(3)]
            figures[f"{name}_ms"] = median(taken)
    return figures | {"show_more_ms": figures["show_ms"] - figures["nothing_ms"]}


def _commanded(arguments: list[str]) -> float:
    before = _children_s()
    subprocess.run([sys.executable, "-m", "lumosai", "threads", *arguments], check=True, stdout=subprocess.DEVNULL)
    return (_children_s() - before) * 1e3


def _children_s() -> float:
    """Seconds of CPU of the processes that this one started and that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


MEASURES: Final[dict[str, Callable[[str, str], Awaitable[Figures]]]] = {
    "pages": pages,
    "filters": filters,
    "lists": lists,
    "length": length,
    "crowd": crowd,
    "streams": streams,
    "command": command,
}
"""Of both databases, each as NAME_KIND."""

NAMES: Final = tuple(f"{name}_{kind}" for name in MEASURES for kind in KINDS)


@contextlib.asynccontextmanager
async def databases(wanted: list[str], scale: float) -> AsyncIterator[Mapping[str, str]]:
    """The URLs of what the wanted measures need, filled, by kind."""
    async with contextlib.AsyncExitStack() as stack:
        found: dict[str, str] = {}
        for kind in KINDS:
            if any(name.endswith(f"_{kind}") and not name.startswith("streams") for name in wanted):
                print(f"filling {kind} …", file=sys.stderr, flush=True)
                found[kind] = await stack.enter_async_context(filling.filled(kind, filling.Size().times(scale)))
        yield found


async def repetition(name: str, base_url: str, urls: Mapping[str, str]) -> Figures:
    """The figures of one repetition of a measure."""
    measure, _, kind = name.rpartition("_")
    return await MEASURES[measure](urls.get(kind, f"{kind}:"), base_url)


@contextlib.asynccontextmanager
async def _open(url: str) -> AsyncIterator[Storage]:
    storage = open_storage(url)
    await storage.open()
    yield storage
    await storage.close()


async def _p50s(jobs: Mapping[str, Callable[[], Awaitable[Any]]]) -> Figures:
    """Milliseconds that each takes, in turn, so that a busy moment is everybody's."""
    taken: dict[str, list[float]] = {name: [] for name in jobs}
    for round_ in range(_ROUNDS + 1):
        for name, job in jobs.items():
            began = time.perf_counter()
            await job()
            if round_:  # the first warms up
                taken[name].append((time.perf_counter() - began) * 1e3)
    return {f"{name}_ms": median(values) for name, values in taken.items()}


async def _in_turn(jobs: list[Callable[[], Awaitable[None]]], server: tuple[int, ...]) -> list[float]:
    """Milliseconds of CPU that one of each job takes, the server's included: the least of blocks done in turn."""
    took: list[list[float]] = [[] for _ in jobs]
    for round_ in range(_BLOCKS + 1):
        for job, times in zip(jobs, took, strict=True):
            cpu = cpu_s() + _cpu_of(server)
            for _ in range(20):
                await job()
            if round_:
                times.append((cpu_s() + _cpu_of(server) - cpu) * 1e3 / 20)
    return [min(times) for times in took]


async def _server(url: str) -> tuple[int, ...]:
    """The process of a database server on this machine, and those that it started; none where there is none."""
    if not url.startswith("postgres") or os.environ.get("LUMOSAI_TEST_POSTGRES_URL"):
        return ()
    import asyncpg

    connection = await asyncpg.connect(url)
    mine = await connection.fetchval("SELECT pg_backend_pid()")
    await connection.close()
    return _parent_of(mine)


def _parent_of(process: int) -> tuple[int, ...]:
    with contextlib.suppress(OSError):
        return (int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1]),)
    return ()


def _cpu_of(server: tuple[int, ...]) -> float:
    """Seconds of CPU that a server and its children have used, those that have ended included."""
    if not server:
        return 0.0
    ticks, total = os.sysconf("SC_CLK_TCK"), 0
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                if int(entry.name) in server:
                    total += sum(map(int, fields[11:15]))
                elif int(fields[1]) in server:
                    total += sum(map(int, fields[11:13]))
    return total / ticks


if __name__ == "__main__":
    wanted, base, given = sys.argv[1:]
    if wanted == "drip":
        where, streams_here = json.loads(given)
        print(json.dumps(asyncio.run(_drip(base, where, streams_here))))
    else:
        print(json.dumps(asyncio.run(repetition(wanted, base, json.loads(given)))))
