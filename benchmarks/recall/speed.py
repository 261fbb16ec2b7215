"""How long a search takes besides the question's own vector, what it needs, and what the index takes on the disk."""

from __future__ import annotations

import contextlib
import os
import random
import resource
import sqlite3
import tempfile
import time
from contextlib import closing
from pathlib import Path
from statistics import median

from benchmarks.keeping import postgres
from benchmarks.recall.material import HERE, blocks
from lumosai import Agent, Memory, Message, Scope, TextPart
from lumosai._terms import terms
from lumosai.memory._vectors import packed
from lumosai.memory.recall import SemanticRecall
from lumosai.models.base import Embeddings
from lumosai.storage import open_storage
from lumosai.storage.base import Within, searchable
from lumosai.testing import ScriptedModel

DIMENSIONS = 384
_IN = Within(thread_id="t")


class Random:
    """An embedding model that costs nothing: what is measured is all else."""

    name = "random"
    dimensions = DIMENSIONS

    def __init__(self) -> None:
        import numpy as np

        self._numbers = np.random.default_rng(1).standard_normal((997, DIMENSIONS)).tolist()

    async def embed(self, texts, kind="passage"):
        return Embeddings([self._numbers[hash(text) % 997] for text in texts])


def sentences() -> list[str]:
    """Everything that is said in the material."""
    files = sorted(HERE.glob("*.txt"))
    found = [line[2:].strip() for f in files for b in blocks(f.name) for line in b if not line.startswith("Q: ")]
    return [line.lstrip(": ") for line in found]


def texts(count: int, chance: random.Random, most: int = 6) -> list[str]:
    """Messages of one to so many sentences, each with a word of its own."""
    said = sentences()
    return [
        " ".join([*chance.choices(said, k=chance.randint(1, most)), f"note{chance.randrange(count)}"])
        for _ in range(count)
    ]


@contextlib.asynccontextmanager
async def database(kind: str):
    """The URL of an empty one: "SQLite", or "PostgreSQL"."""
    if kind == "PostgreSQL":
        async with postgres() as url:
            yield url
        return
    with tempfile.TemporaryDirectory() as folder:
        yield f"sqlite:///{folder}/bench.db"


async def searched(count: int, kind: str = "SQLite") -> dict[str, float]:
    """Over so many messages: milliseconds of a search, and megabytes that it adds to the process."""
    chance = random.Random(count)
    async with database(kind) as url:
        storage = open_storage(url)
        handle = storage.scope(Scope())
        await handle.create_thread("t")
        made = texts(count, chance)
        for start in range(0, count, 500):
            await handle.add_messages("t", [Message("user", (TextPart(x),)) for x in made[start : start + 500]])
        del made
        searcher = SemanticRecall(embedder=Random()).searcher(storage)
        space = await storage.scope(Scope()).vector_space(await _name(searcher))
        began = time.process_time()
        await _indexed(storage, space)
        indexed = time.process_time() - began
        if kind == "PostgreSQL":
            await _analysed(url)
        before = _rss()
        asked = [" ".join(chance.choice(sentences()).split()[:12]) for _ in range(21)]
        times, spent = [], []
        for question in asked:
            began, cpu = time.perf_counter(), time.process_time()
            ranking = await searcher.rank(handle, _IN, question)
            await handle.excerpts(_IN, [r.place for r in ranking.ranked[:4]], before=1, after=1)
            times.append((time.perf_counter() - began) * 1e3)
            spent.append((time.process_time() - cpu) * 1e3)
        after = _rss()
        await searcher.indexer.close()
        await storage.close()
    return {
        "first_ms": times[0],
        "p50_ms": median(times[1:]),
        "cpu_ms": median(spent[1:]),
        "rss_mb": after - before,
        "indexed_us": indexed / count * 1e6,
    }


async def _analysed(url: str) -> None:
    """What the server does by itself within a minute, where a table has grown: it looks at what is in it."""
    import asyncpg

    connection = await asyncpg.connect(url)
    await connection.execute("VACUUM ANALYZE")
    await connection.close()


async def _name(searcher) -> str:
    await searcher.indexer.model()
    return searcher.indexer._name


async def _indexed(storage, space: int) -> None:
    """Works off the whole list in large pieces, as nobody waits for anything else here."""
    model = Random()
    while claimed := await storage.index.claim(0, 500):
        await storage.index.put_texts([(c, set(terms(searchable(c.message)))) for c in claimed])
    while claimed := await storage.index.claim(space, 500):
        vectors = (await model.embed([searchable(c.message) for c in claimed])).vectors
        await storage.index.put_vectors(space, [(c, packed(v)) for c, v in zip(claimed, vectors, strict=True)])


def _size(folder: str) -> int:
    return os.path.getsize(f"{folder}/bench.db")


def _rss() -> float:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1e3
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


async def on_disk(count: int, most: int) -> dict[str, float]:
    """Messages of up to so many sentences, indexed as they come: bytes of the closed file for each byte of text.

    `whole` is all of the file, `grown` what it is beyond an empty one, `index` the full text's own part of that.
    """
    with tempfile.TemporaryDirectory() as folder:
        memory = Memory(f"sqlite:///{folder}/bench.db")
        await memory.storage.open()
        await memory.close()
        empty = _size(folder)
        memory = Memory(f"sqlite:///{folder}/bench.db")
        thread = await memory.create_thread("t")
        made = texts(count, random.Random(2), most=most)
        handle = memory.storage.scope(Scope())
        for start in range(0, count, 100):
            await handle.add_messages(thread.id, [Message("user", (TextPart(x),)) for x in made[start : start + 100]])
            await memory.settled()
        await memory.close()
        size = sum(len(x.encode()) for x in made)
        whole = _size(folder)
        with closing(sqlite3.connect(f"{folder}/bench.db")) as connection:
            (own,) = connection.execute("SELECT sum(length(block)) FROM fulltext_data").fetchone()
    return {
        "count": count,
        "mean": size / count,
        "whole": whole / size,
        "grown": (whole - empty) / size,
        "index": own / size,
        "empty": empty,
    }


async def runs_beside(count: int = 300, backlog: int = 20_000) -> dict[str, float]:
    """Milliseconds of a run where a long list waits to be indexed: while nobody works it off, and while that is done."""
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        memory = Memory(f"sqlite:///{folder}/bench.db", recall=SemanticRecall(embedder=None))
        indexer = memory._searcher.indexer
        await memory.create_thread("old")
        handle = memory.storage.scope(Scope())
        made = texts(backlog, random.Random(3))
        for start in range(0, backlog, 500):
            await handle.add_messages("old", [Message("user", (TextPart(x),)) for x in made[start : start + 500]])
        agent = Agent("a", model=ScriptedModel(["yes"] * (3 * count)), memory=memory)
        wake = indexer.wake
        for name in ("warm", "alone", "beside"):
            indexer.wake = wake if name == "beside" else lambda _count=0: None
            indexer.wake()
            times = []
            for _ in range(count):
                began = time.perf_counter()
                await agent.generate("hello there", thread_id=name, memory_options={"recall": False})
                times.append((time.perf_counter() - began) * 1e3)
            found[name] = median(times)
            found[f"{name}_p95"] = sorted(times)[int(len(times) * 0.95)]
        found["left"], _ = await memory.storage.index.waiting([0])
        await memory.close()
    return found
