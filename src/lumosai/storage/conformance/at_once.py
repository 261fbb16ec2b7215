"""Several that read, write and delete at the same time."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from lumosai.errors import ConflictError, LeaseLostError
from lumosai.messages import ImagePart, Message
from lumosai.records import Scope
from lumosai.storage.base import Batch, RunRecord
from lumosai.storage.conformance._expect import all_of, texts

if TYPE_CHECKING:
    from lumosai.storage.base import Lease, Storage
    from lumosai.storage.conformance._expect import Check


async def writers_at_once_lose_nothing(storage: Storage) -> None:
    """Many tasks writing to few threads: every message is there once, numbered without a gap, in each task's order."""
    mine = storage.scope(Scope())
    for t in range(3):
        await mine.create_thread(str(t))

    async def write(task: int) -> None:
        for i in range(10):
            await mine.add_messages(str(task % 3), [Message.user(f"{task}:{i}"), Message.assistant(f"{task}:{i}!")])

    await asyncio.gather(*[write(task) for task in range(12)])
    for t in range(3):
        stored = (await mine.messages(str(t), limit=1000)).items
        assert [s.seq for s in stored] == list(range(1, 81))
        for task in range(t, 12, 3):
            own = [s.message.text for s in stored if s.message.text.startswith(f"{task}:")]
            assert own == [f"{task}:{i}{mark}" for i in range(10) for mark in ("", "!")]
        assert all(a.message.text + "!" == b.message.text for a, b in zip(stored[::2], stored[1::2], strict=True))


async def readers_and_writers_do_not_hinder_each_other(storage: Storage) -> None:
    """Reading and writing at the same time neither fails nor shows half of what belongs together."""
    mine = storage.scope(Scope())
    await mine.create_thread("t")

    async def write(name: str) -> None:
        for number in range(30):
            await mine.add_messages("t", [Message.user(f"{name}{number} {half}") for half in ("a", "b")])

    async def read() -> None:
        for _ in range(30):
            shown = (await mine.messages("t", limit=1000)).items
            assert len(shown) % 2 == 0
            assert [m.seq for m in shown] == [*range(1, len(shown) + 1)]

    await asyncio.gather(write("x"), read(), write("y"), read(), read())
    assert len(await texts(mine, "t")) == 120


async def what_is_shared_outlives_a_deletion_beside_it(storage: Storage) -> None:
    """Content and messages that one thread takes over while the other that has them is deleted stay whole."""
    mine = storage.scope(Scope())
    shared = b"shared " * 200
    for number in range(12):
        old, new, fork, again = f"old{number}", f"new{number}", f"fork{number}", f"again{number}"
        await mine.create_thread(old)
        await mine.create_thread(new)
        await mine.add_messages(old, [Message("user", (ImagePart(data=shared),), "m")])
        await asyncio.gather(
            mine.delete_thread(old), mine.add_messages(new, [Message("user", (ImagePart(data=shared),), "m")])
        )
        assert [m.parts for m in await all_of(mine, new)] == [(ImagePart(data=shared),)]
        await mine.fork_thread(new, new_id=fork)
        forked = await asyncio.gather(
            mine.delete_thread(new), mine.fork_thread(fork, new_id=again), return_exceptions=True
        )
        assert not isinstance(forked[1], BaseException)
        for kept in (fork, again):
            assert [m.parts for m in await all_of(mine, kept)] == [(ImagePart(data=shared),)]
        await asyncio.gather(mine.delete_thread(fork), mine.delete_thread(again))


async def deltas_of_many_runs_go_in_together(storage: Storage) -> None:
    """Events that nobody waits for, of many runs at once: all are there, in order, and what fails fails alone."""
    ann, bob = storage.scope(Scope("one", "ann")), storage.scope(Scope("one", "bob"))
    leases = [await ann.open_run(RunRecord(id=f"r{n}"), Batch(first=1, last=1, data=b"1")) for n in range(20)]
    await ann.append_events(leases[0], Batch(first=2, last=2, data=b"paused", status="paused"))
    _, taken = await ann.take_run("r0")
    assert taken is not None

    async def write(lease: Lease) -> None:
        for seq in range(2, 12):
            await ann.append_events(lease, Batch(first=seq, last=seq, data=str(seq).encode()))

    failed = await asyncio.gather(
        *[write(lease) for lease in leases[1:]],
        ann.append_events(leases[0], Batch(first=3, last=3, data=b"zombie")),
        bob.append_events(leases[1], Batch(first=2, last=2, data=b"another owner's")),
        storage.scope(Scope("two", "ann")).append_events(leases[2], Batch(first=2, last=2, data=b"another tenant's")),
        ann.append_events(leases[3], Batch(first=90, last=91, data=b"not the next ones")),
        return_exceptions=True,
    )
    assert failed[:19] == [None] * 19, failed
    assert [type(error) for error in failed[19:]] == [LeaseLostError, LeaseLostError, LeaseLostError, ConflictError]
    for n in range(1, 20):
        assert await ann.events(f"r{n}") == tuple([str(seq).encode() for seq in range(1, 12)])
    assert await ann.events("r0") == (b"1", b"paused")
    again = Batch(first=11, last=11, data=b"11")
    await asyncio.gather(*[ann.append_events(lease, again) for lease in leases[1:]])  # as where an answer was lost
    assert len(await ann.events("r7")) == 11


CHECKS: Final[tuple[Check, ...]] = (
    writers_at_once_lose_nothing,
    readers_and_writers_do_not_hinder_each_other,
    what_is_shared_outlives_a_deletion_beside_it,
    deltas_of_many_runs_go_in_together,
)
