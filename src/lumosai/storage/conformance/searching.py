"""Checks of the search index: what waits for it, what is found, and what is found no more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from lumosai._terms import terms, wanted
from lumosai.errors import NotFoundError
from lumosai.messages import Message, ToolCallPart, ToolResultPart
from lumosai.records import Scope
from lumosai.storage.base import MessageFilter, VectorsKnown, Within
from lumosai.storage.conformance._expect import refused
from lumosai.storage.conformance.hostile import HOSTILE

if TYPE_CHECKING:
    from lumosai.storage.base import Claimed, Handle, Storage
    from lumosai.storage.conformance._expect import Check

_T: Final = Within(thread_id="t")
_SEQ: Final = (1 << 32) - 1


async def what_is_indexed_is_found_best_first(storage: Storage) -> None:
    """A message is found by any form of its words, in any script, once it is indexed, and none before."""
    mine = storage.scope(Scope())
    await mine.create_thread("t")
    said = [
        "The cat sat on the mat.",
        "我的姐姐住在成都，她喜欢吃火锅。",
        "We went hiking in the mountains near Chengdu.",
        "Hiking, hiking and again hiking!",
        "Le café de l'École, ＷＩＤＥ letters",
        "",
    ]
    await mine.add_messages("t", [Message.user(text, id=f"m{n}") for n, text in enumerate(said)])
    await mine.add_messages("t", [Message("tool", (ToolResultPart("c", "look", "zebra crossing"),), "tool")])
    assert await found(mine, _T, "cats") == []
    assert await indexed(storage) == len(said) + 1
    assert await storage.index.waiting([0]) == (0, None)
    assert await found(mine, _T, "cats") == ["m0"]
    assert await found(mine, _T, "who hikes?") == ["m3", "m2"]
    assert await found(mine, _T, "姐姐") == ["m1"]
    assert await found(mine, _T, "锅") == ["m1"]
    assert await found(mine, _T, "火") == ["m1"]
    assert await found(mine, _T, "wide ecole cafe") == ["m4"]
    assert await found(mine, _T, "zebras") == ["tool"]
    assert await found(mine, _T, "!?") == await found(mine, _T, "dog") == []
    assert (await mine.full_text(_T, wanted("cat"))).total == len(said) + 1
    only = Within(thread_id="t", filter=MessageFilter(roles=("tool",)))
    assert await found(mine, only, "zebra cat") == ["tool"]
    assert await found(mine, Within(thread_id="t", filter=MessageFilter(metadata={"k": 1})), "cat") == []


async def a_search_walks_the_branch(storage: Storage) -> None:
    """What another branch says is not found, what it shares is; neighbours are the branch's, across its segments."""
    mine = storage.scope(Scope())
    await mine.create_thread("t", resource_id="r")
    await mine.create_thread("u", resource_id="r")
    await mine.add_messages("t", [Message.user(f"apple {n}", id=f"m{n}") for n in range(4)])
    made = await mine.add_branch("t", "m2", messages=[Message.user("apple pear", id="new")])
    await mine.add_messages("u", [Message.user("apple plum", id="other")])
    await indexed(storage)
    assert set(await found(mine, _T, "apples")) == {"m0", "m1", "m2", "m3"}
    branch = Within(thread_id="t", branch=made.number)
    assert set(await found(mine, branch, "apples")) == {"m0", "m1", "new"}
    assert set(await found(mine, Within(resource_id="r"), "apples")) == {"m0", "m1", "m2", "m3", "other"}
    await mine.select_branch("t", made.number)
    assert set(await found(mine, Within(resource_id="r"), "apples")) == {"m0", "m1", "new", "other"}
    assert set(await found(mine, Within(), "apples")) == {"m0", "m1", "m2", "m3", "new", "other"}
    (hit,) = (await mine.full_text(branch, wanted("pear"))).matches
    for within in (branch, Within(resource_id="r"), Within()):
        (excerpt,) = await mine.excerpts(within, [hit.place], before=2, after=1)
        assert (excerpt.thread.id, excerpt.seq) == ("t", 3)
        assert [m.message.id for m in excerpt.messages] == ["m0", "m1", "new"]
    assert await mine.excerpts(Within(thread_id="t", branch=0), [hit.place]) == ()
    assert await mine.excerpts(Within(thread_id="u"), [hit.place]) == ()
    assert await mine.fitting(Within(thread_id="u"), [hit.place]) == {}
    assert set(await mine.fitting(branch, [hit.place])) == {hit.place}


async def neighbours_are_those_that_are_there(storage: Storage) -> None:
    """Of several places at once, near each other, at both ends, and where messages between them were deleted."""
    mine = storage.scope(Scope())
    await mine.create_thread("t")
    await mine.add_messages(
        "t", [Message.user(f"apple {'pear ' * (n in (0, 3, 4, 9))}{n}", id=f"m{n}") for n in range(10)]
    )
    made = await mine.add_branch("t", "m8", messages=[Message.user("apple", id="m8b"), Message.user("pear", id="m9b")])
    await mine.delete_messages("t", ["m2", "m5"])
    await indexed(storage)
    told = {
        0: {"m0": "m0 m1", "m3": "m0 m1 m3 m4", "m4": "m1 m3 m4 m6", "m9": "m7 m8 m9"},
        made.number: {"m0": "m0 m1", "m3": "m0 m1 m3 m4", "m4": "m1 m3 m4 m6", "m9b": "m7 m8b m9b"},
    }
    for number, expected in told.items():
        within = Within(thread_id="t", branch=number)
        places = [m.place for m in (await mine.full_text(within, wanted("pear"))).matches]
        shown = [
            [str(m.message.id) for m in e.messages] for e in await mine.excerpts(within, places, before=2, after=1)
        ]
        assert sorted(" ".join(ids) for ids in shown) == sorted(expected.values())


async def nothing_is_found_outside_a_scope(storage: Storage) -> None:
    """Neither a search nor a place that was guessed reaches another owner's or tenant's messages; a tenant sees its own."""
    mine = storage.scope(Scope("one", "ann"))
    await mine.create_thread("t", resource_id="r")
    await mine.add_messages("t", [Message.user("secret", id="s")])
    await mine.vector_space("e")
    await indexed(storage)
    await embedded(storage, "e")
    (hit,) = (await mine.full_text(_T, wanted("secret"))).matches
    assert await found(storage.scope(Scope("one")), Within(), "secret") == ["s"]
    for scope in (Scope("one", "bob"), Scope("two"), Scope("two", "ann")):
        other = storage.scope(scope)
        await refused(NotFoundError, other.full_text(_T, wanted("secret")))
        await refused(NotFoundError, other.vectors(_T, "e", {}))
        for within in (Within(), Within(resource_id="r")):
            assert await found(other, within, "secret") == []
            assert (await other.vectors(within, "e", {})).blocks == ()
            assert await other.excerpts(within, [hit.place], before=1) == ()
            assert await other.fitting(within, [hit.place]) == {}


async def what_is_deleted_leaves_the_index(storage: Storage) -> None:
    """Deleted messages and threads are found no more, whether they were indexed, waited or were being indexed."""
    mine = storage.scope(Scope())
    await mine.create_thread("t")
    await mine.vector_space("e")
    await mine.add_messages("t", [Message.user(f"word{n} shared", id=f"m{n}") for n in range(4)])
    await indexed(storage)
    await embedded(storage, "e")
    await mine.add_messages("t", [Message.user("shared late", id="late"), Message.user("shared last", id="last")])
    claimed = await storage.index.claim(0, 1)
    assert [c.message.id for c in claimed] == ["late"]
    assert await mine.delete_messages("t", ["m1", "late", "last"]) == 3
    assert await storage.index.put_texts([(c, terms(c.message.text)) for c in claimed]) == 0
    await indexed(storage)
    await storage.index.purge()
    assert set(await found(mine, _T, "shared")) == {"m0", "m2", "m3"}
    assert await found(mine, _T, "word1 late last") == []
    assert await _vectors(mine, _T, "e") == [1, 4]  # of m2 the deleted one may have given the vector something
    await embedded(storage, "e")
    assert await _vectors(mine, _T, "e") == [1, 3, 4]
    await mine.fork_thread("t", new_id="f", after="m2")
    assert await mine.delete_thread("t") is True
    assert await found(mine, Within(), "shared") == []
    assert (await mine.vectors(Within(), "e", {})).blocks == ()
    await indexed(storage)
    await embedded(storage, "e")
    assert set(await found(mine, Within(), "shared")) == {"m0", "m2"}
    assert await _vectors(mine, Within(thread_id="f"), "e") == [1, 3]
    await mine.create_thread("calls")
    await mine.add_messages("calls", [Message("assistant", (ToolCallPart(f"c{n}", "look", {}),)) for n in range(9)])
    await indexed(storage)
    assert await mine.delete_thread("calls") is True  # nothing of which is in the index
    await mine.delete_thread("f")
    assert await found(mine, Within(), "shared") == []


async def what_waits_is_claimed_once(storage: Storage) -> None:
    """Two that claim get different messages; what is given back waits again; new messages go before old ones."""
    mine = storage.scope(Scope())
    await mine.create_thread("t")
    await mine.add_messages("t", [Message.user(f"n{n}", id=f"m{n}") for n in range(5)])
    one, two = await storage.index.claim(0, 2), await storage.index.claim(0, 9)
    assert [c.seq for c in (*one, *two)] == [1, 2, 3, 4, 5]
    assert await storage.index.claim(0, 9) == ()
    assert await storage.index.reclaim(0) == 0
    await storage.index.postpone(0, one[:1], 0.0)
    await storage.index.postpone(0, one[1:], 1_000.0)
    (again,) = await storage.index.claim(0, 9)
    assert (again.seq, again.tries) == (1, 2)
    await storage.index.drop(0, [again])
    assert await storage.index.put_texts([(c, terms(c.message.text)) for c in two]) == 3
    assert await storage.index.put_texts([(c, terms(c.message.text)) for c in two]) == 0
    count, due = await storage.index.waiting([0])
    assert count == 1
    assert due is not None
    assert due > 900.0
    assert set(await found(mine, _T, "n0 n1 n2 n3 n4")) == {"m2", "m3", "m4"}


async def vectors_are_read_as_they_come(storage: Storage) -> None:
    """A new space lists old messages; a reader gets what is new, and all anew where vectors went; spaces do not mix."""
    mine = storage.scope(Scope())
    await mine.create_thread("t")
    await mine.add_messages("t", [Message.user(f"n{n}", id=f"m{n}") for n in range(3)])
    await indexed(storage)
    space = await mine.vector_space("e")
    assert await mine.vector_space("e") == space
    assert await mine.vector_space("f") != space
    assert await storage.index.spaces("e") == (space,)
    assert await embedded(storage, "e") == 3
    read = await mine.vectors(_T, "e", {})
    (block,) = read.blocks
    assert (block.space, block.anew, block.seqs, block.data) == (space, True, (1, 2, 3), (b"\x01\x02\x03",))
    assert (read.total, [(a & _SEQ, b & _SEQ) for a, b in read.ranges]) == (3, [(1, 3)])
    known = {block.branch: VectorsKnown(space, block.version, 3, 3)}
    (same,) = (await mine.vectors(_T, "e", known)).blocks
    assert (same.anew, same.seqs) == (False, ())
    await mine.add_messages("t", [Message.user("n3")])
    await indexed(storage)
    await embedded(storage, "e")
    (more,) = (await mine.vectors(_T, "e", known)).blocks
    assert (more.anew, more.seqs, more.data) == (False, (4,), (b"\x04",))
    await mine.delete_messages("t", ["m1"])
    (anew,) = (await mine.vectors(_T, "e", known)).blocks
    assert (anew.anew, anew.seqs) == (True, (1, 4))
    assert anew.version != block.version
    assert (await mine.vectors(_T, "f", {})).blocks == ()
    assert (await mine.vectors(_T, "none", {})).blocks == ()


async def a_vector_holds_nothing_of_what_is_deleted(storage: Storage) -> None:
    """A vector is made with what was said before: where that is deleted meanwhile, it is not written, but made anew."""
    mine = storage.scope(Scope())
    await mine.create_thread("t")
    space = await mine.vector_space("e")
    await mine.add_messages("t", [Message.user(text, id=text) for text in ("one", "two", "three")])
    await indexed(storage)
    claimed = await storage.index.claim(space, 9)
    assert [c.before.text if c.before else None for c in claimed] == [None, "one", "two"]
    await mine.delete_messages("t", ["one"])
    assert await storage.index.put_vectors(space, [(c, b"x") for c in claimed]) == 1
    (again,) = await storage.index.claim(space, 9)
    assert (again.message.id, again.before) == ("two", None)
    await storage.index.put_vectors(space, [(again, b"y")])
    assert [block.data for block in (await mine.vectors(_T, "e", {})).blocks] == [(b"yx",)]


async def hostile_texts_are_only_words(storage: Storage) -> None:
    """What looks like the search's own language is neither an error nor an order to it."""
    mine = storage.scope(Scope())
    await mine.create_thread("t")
    await mine.add_messages("t", [Message.user(text, id=f"m{n}") for n, text in enumerate(HOSTILE)])
    await indexed(storage)
    for n, text in enumerate(HOSTILE):
        if wanted(text[:1000]):
            assert f"m{n}" in await found(mine, _T, text), text[:100]


CHECKS: Final[tuple[Check, ...]] = (
    what_is_indexed_is_found_best_first,
    a_search_walks_the_branch,
    neighbours_are_those_that_are_there,
    nothing_is_found_outside_a_scope,
    what_is_deleted_leaves_the_index,
    what_waits_is_claimed_once,
    vectors_are_read_as_they_come,
    a_vector_holds_nothing_of_what_is_deleted,
    hostile_texts_are_only_words,
)


async def indexed(storage: Storage) -> int:
    """Works off what waits for the full text; how many."""
    done = 0
    while claimed := await storage.index.claim(0, 100):
        done += await storage.index.put_texts([(c, terms(_text(c))) for c in claimed])
    return done


async def embedded(storage: Storage, name: str) -> int:
    """Works off what waits for vectors of a name, each a single byte, the message's number; how many."""
    done = 0
    for space in await storage.index.spaces(name):
        while await storage.index.backfill(space):
            pass
        while claimed := await storage.index.claim(space, 100):
            done += await storage.index.put_vectors(space, [(c, bytes([c.seq])) for c in claimed])
    return done


async def found(handle: Handle, within: Within, text: str) -> list[str]:
    """The ids of the messages that a text finds, the best first."""
    matches = (await handle.full_text(within, wanted(text))).matches
    excerpts = await handle.excerpts(within, [m.place for m in matches])
    return [str(e.messages[0].message.id) for e in excerpts]


def _text(claimed: Claimed) -> str:
    return "\n".join(p.text for p in claimed.message.parts if hasattr(p, "text"))


async def _vectors(handle: Handle, within: Within, name: str) -> list[int]:
    return [seq for block in (await handle.vectors(within, name, {})).blocks for seq in block.seqs]
