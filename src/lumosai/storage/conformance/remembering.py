"""Checks of what is remembered: facts, what is made from messages, and sessions."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from lumosai.errors import ConflictError, InvalidInputError, NotFoundError
from lumosai.messages import Message
from lumosai.records import Scope
from lumosai.storage.base import Facts, SessionFilter, SessionRecord, View
from lumosai.storage.conformance._expect import refused
from lumosai.storage.conformance.hostile import HOSTILE

if TYPE_CHECKING:
    from lumosai.storage.base import Storage
    from lumosai.storage.conformance._expect import Check


def _count(facts: Facts) -> Facts:
    return replace(facts, version=facts.version + 1, document={"n": facts.document.get("n", 0) + 1})


async def facts_are_changed_one_after_the_other(storage: Storage) -> None:
    """However many change them at once, each is given what the one before it made; a change that fails changes nothing."""
    mine, other = storage.scope(Scope()), storage.scope(Scope())
    await mine.create_thread("t")
    assert await mine.facts(thread_id="t") is None
    assert await mine.facts(resource_id="r") is None
    for of in ({"thread_id": "t"}, {"resource_id": "r"}):
        await asyncio.gather(*[h.change_facts(_count, **of) for h in (mine, other) for _ in range(10)])
        found = await mine.facts(**of)
        assert found is not None
        assert (found.version, found.document) == (20, {"n": 20})

        def fails(_: Facts) -> Facts:
            raise ConflictError("no")

        await refused(ConflictError, mine.change_facts(fails, **of))
        assert await mine.facts(**of) == found
        texts = {f"k{n} {text[:40]}": text for n, text in enumerate(HOSTILE)}
        await mine.change_facts(lambda f, t=texts: replace(f, document=t, changes=({"was": t},)), **of)  # type: ignore[misc]  # a default binds it
        kept = await mine.facts(**of)
        assert kept is not None
        assert (kept.document, kept.changes) == (texts, ({"was": texts},))
        assert await mine.forget_facts(**of) is True
        assert await mine.forget_facts(**of) is False
        assert await mine.facts(**of) is None
    await refused(NotFoundError, mine.change_facts(_count, thread_id="none"))
    await refused(InvalidInputError, mine.facts())
    await refused(InvalidInputError, mine.change_facts(_count, thread_id="t", resource_id="r"))


async def facts_go_with_their_thread_and_their_person(storage: Storage) -> None:
    """A thread's are deleted with it and are a fork's from its beginning on; a resource's go when it is erased."""
    mine = storage.scope(Scope())
    await mine.create_thread("t", resource_id="r")
    await mine.change_facts(_count, thread_id="t")
    await mine.change_facts(_count, resource_id="r")
    await mine.change_facts(_count, resource_id="other")
    await mine.fork_thread("t", new_id="f")
    await mine.change_facts(_count, thread_id="t")
    forked = await mine.facts(thread_id="f")
    assert forked is not None
    assert forked.document == {"n": 1}
    await mine.delete_thread("t")
    await mine.create_thread("t")
    assert await mine.facts(thread_id="t") is None
    assert await mine.facts(thread_id="f") is not None
    await mine.open_session(SessionRecord(id="s", resource_id="r", thread_id="f"), make_thread=False)
    await storage.system().erase("r")
    assert await mine.facts(thread_id="f") is None
    assert await mine.facts(resource_id="r") is None
    assert await mine.session("s") is None
    assert await mine.facts(resource_id="other") is not None


async def facts_are_their_owners(storage: Storage) -> None:
    """Two owners remember different things of one name; a handle without an owner must not guess."""
    ann, bob = storage.scope(Scope("one", "ann")), storage.scope(Scope("one", "bob"))
    whole = storage.scope(Scope("one"))
    await ann.change_facts(_count, resource_id="r")
    assert await bob.facts(resource_id="r") is None
    seen = await whole.facts(resource_id="r")
    assert seen is not None
    assert seen.owner == "ann"
    await bob.change_facts(_count, resource_id="r")
    await refused(ConflictError, whole.facts(resource_id="r"))


async def a_view_is_of_what_a_branch_shows(storage: Storage) -> None:
    """The newest that covers a part of the path is found, from a fork and another branch too, where they share that."""
    mine = storage.scope(Scope())
    await mine.create_thread("t")
    await mine.add_messages("t", [Message.user(str(n), id=f"m{n}") for n in range(1, 9)])
    assert await mine.view("t", "summary") is None
    first = await mine.keep_view("t", View(kind="summary", until=4, text="to four", made={"model": "x"}))
    assert first.version == 1
    second = await mine.keep_view("t", View(kind="summary", until=6, first=1, text="to six"))
    assert second.version == 2
    assert await mine.view("t", "summary") == second
    assert await mine.view("t", "other") is None
    early = await mine.add_branch("t", "m6", messages=[Message.user("x")])
    assert await mine.view("t", "summary", branch=early.number) == first
    await mine.fork_thread("t", new_id="f", after="m7")
    assert await mine.view("f", "summary") == second
    third = await mine.keep_view("f", View(kind="summary", until=7, text="of the fork"))
    assert (await mine.view("f", "summary"), await mine.view("t", "summary")) == (third, third)
    await refused(NotFoundError, mine.keep_view("t", View(kind="summary", until=99)))
    await refused(NotFoundError, mine.keep_view("none", View(kind="summary", until=1)))
    for n in range(8):
        await mine.keep_view("t", View(kind="summary", until=8, text=str(n)))
    last = await mine.view("t", "summary")
    assert last is not None
    assert (last.text, last.version) == ("7", 11)


async def a_view_goes_with_what_it_was_made_from(storage: Storage) -> None:
    """Where a message is deleted, or a whole thread, nothing that was made from it is shown any more."""
    mine = storage.scope(Scope())
    await mine.create_thread("t")
    await mine.add_messages("t", [Message.user(str(n), id=f"m{n}") for n in range(1, 9)])
    kept = await mine.keep_view("t", View(kind="summary", until=3, text="to three"))
    await mine.keep_view("t", View(kind="summary", until=6, text="to six"))
    await mine.fork_thread("t", new_id="f")
    await mine.delete_messages("t", ["m8"])
    await mine.delete_messages("t", ["m5"])
    assert await mine.view("t", "summary") == kept
    await mine.delete_messages("t", ["m3"])
    assert await mine.view("t", "summary") is None
    await mine.keep_view("f", View(kind="summary", until=6, text="again"))
    await mine.delete_thread("t")
    assert await mine.view("f", "summary") is None


async def concurrent_opens_give_one_session(storage: Storage) -> None:
    """All who ask for a person's session with an agent are given the same one, with one thread; another agent's is another."""
    handles = [storage.scope(Scope()) for _ in range(8)]

    async def opened(n: int) -> tuple[SessionRecord, bool]:
        new = SessionRecord(id=f"s{n}", resource_id="r", agent_id="a", thread_id=f"t{n}")
        return await handles[n].open_session(new)

    made = await asyncio.gather(*[opened(n) for n in range(8)])
    assert len({s.id for s, _ in made}) == 1
    assert [new for _, new in made].count(True) == 1
    assert len((await handles[0].list_threads()).items) == 1
    assert await handles[0].thread(made[0][0].thread_id) is not None
    other, new = await handles[0].open_session(SessionRecord(id="b", resource_id="r", agent_id="b", thread_id="x"))
    assert (other.id, new) == ("b", True)
    assert await handles[1].current_session("r", "b") == other


async def sessions_are_changed_listed_and_deleted(storage: Storage) -> None:
    """A change has a version; an ended one is opened again only where no other is open; lists go by page."""
    mine = storage.scope(Scope())
    for n in range(5):
        await mine.open_session(
            SessionRecord(id=f"s{n}", resource_id="r", agent_id="a", thread_id="t"), make_thread=False
        )
        if n < 4:
            await mine.change_session(f"s{n}", lambda s: replace(s, state="completed", summary="done"))
    ended = await mine.session("s3")
    assert ended is not None
    assert (ended.state, ended.version, ended.summary) == ("completed", 2, "done")
    assert ended.ended_at is not None
    await refused(ConflictError, mine.change_session("s3", lambda s: replace(s, state="active")))
    await refused(ConflictError, mine.change_session("s4", lambda s: replace(s, variables={"a": 1}), version=7))
    changed = await mine.change_session("s4", lambda s: replace(s, variables={"a": [1, None]}), version=1)
    assert await mine.session("s4") == changed
    await refused(NotFoundError, mine.change_session("none", lambda s: s))
    seen = []
    cursor = None
    while True:
        page = await mine.list_sessions(limit=2, cursor=cursor)
        seen += [s.id for s in page.items]
        cursor = page.next_cursor
        if cursor is None:
            break
    assert seen == ["s4", "s3", "s2", "s1", "s0"]
    only = await mine.list_sessions(filter=SessionFilter(states=("active",), agent_id="a", resource_id="r"))
    assert [s.id for s in only.items] == ["s4"]
    assert (await mine.list_sessions(filter=SessionFilter(thread_id="none"))).items == ()
    assert await mine.delete_sessions(["s0", "s1", "none"]) == 2
    assert await mine.session("s0") is None


async def sessions_expire(storage: Storage) -> None:
    """One whose time is up is expired when it is asked for, and by the clean-up; a paused one is not idle."""
    mine = storage.scope(Scope())
    gone = SessionRecord(id="idle", resource_id="r", thread_id="t", idle_timeout_s=0.0)
    await mine.open_session(gone, make_thread=False)
    new, made = await mine.open_session(replace(gone, id="next"), make_thread=False)
    assert (new.id, made) == ("next", True)
    was = await mine.session("idle")
    assert was is not None
    assert (was.state, was.reason) == ("expired", "nothing came for 0 s")
    await mine.open_session(
        SessionRecord(id="paused", resource_id="p", thread_id="t", idle_timeout_s=0.0), make_thread=False
    )
    await mine.change_session("paused", lambda s: replace(s, state="paused"))
    kept, made = await mine.open_session(replace(gone, id="no", idle_timeout_s=60.0, max_age_s=60.0), make_thread=False)
    assert (kept.id, made, kept.max_age_s) == ("next", False, 60.0)
    await mine.open_session(SessionRecord(id="old", resource_id="o", thread_id="t", max_age_s=0.0), make_thread=False)
    assert await mine.expire_sessions() == 1
    states = {s.id: s.state for s in (await mine.list_sessions()).items}
    assert states == {"idle": "expired", "next": "active", "paused": "paused", "old": "expired"}


CHECKS: Final[tuple[Check, ...]] = (
    facts_are_changed_one_after_the_other,
    facts_go_with_their_thread_and_their_person,
    facts_are_their_owners,
    a_view_is_of_what_a_branch_shows,
    a_view_goes_with_what_it_was_made_from,
    concurrent_opens_give_one_session,
    sessions_are_changed_listed_and_deleted,
    sessions_expire,
)
