"""Branches and forks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from lumosai.errors import ConflictError, NotFoundError
from lumosai.messages import ImagePart, Message
from lumosai.records import Scope
from lumosai.storage.conformance._expect import all_of, refused, texts

if TYPE_CHECKING:
    from lumosai.storage.base import Storage
    from lumosai.storage.conformance._expect import Check


async def branches_share_what_comes_before(storage: Storage) -> None:
    """A branch shows what it shares and then its own; the others go on as they were; branches of branches too."""
    mine = storage.scope(Scope())
    await mine.create_thread("t")
    await mine.add_messages("t", [Message.user(n, id=n) for n in "abcd"])
    branch = await mine.add_branch("t", "c")
    assert (branch.number, branch.start, branch.last) == (1, 2, 2)
    await mine.add_messages("t", [Message.user("C", id="C"), Message.user("D", id="D")], branch=1)
    await mine.add_messages("t", [Message.user("e", id="e")])
    assert await texts(mine, "t") == list("abcde")
    assert await texts(mine, "t", branch=1) == list("abCD")
    third = await mine.add_branch("t", "D", branch=1)
    await mine.add_messages("t", [Message.user("x", id="x")], branch=third.number)
    assert await texts(mine, "t", branch=2) == list("abCx")
    assert [b.number for b in await mine.branches("t")] == [0, 1, 2]
    first = await mine.add_branch("t", "a", branch=2)
    assert await texts(mine, "t", branch=first.number) == []
    await mine.add_messages("t", [Message.user("z", id="z")], branch=first.number)
    assert await texts(mine, "t", branch=first.number) == ["z"]
    selected = await mine.select_branch("t", 2)
    assert selected.branch == 2
    assert await texts(mine, "t") == list("abCx")
    await refused(NotFoundError, mine.add_branch("t", "e", branch=2))
    assert await mine.message("t", "e") is None
    assert (await mine.messages("t", limit=2)).items == (await mine.messages("t", limit=2, branch=0)).items
    page = await mine.messages("t", limit=3, newest=True)
    assert [i.message.text for i in page.items] == ["b", "C", "x"]
    thread = await mine.thread("t")
    assert thread is not None
    assert thread.message_count == 9


async def forks_outlive_their_original(storage: Storage) -> None:
    """A fork shows what it began with, copies nothing, and keeps all when the original is deleted, media included."""
    mine = storage.scope(Scope())
    await mine.create_thread("t", title="T", agent_id="a", resource_id="r")
    picture = Message.user("c", ImagePart(data=b"picture"), id="c")
    await mine.add_messages("t", [Message.user("a", id="a"), Message.user("b", id="b"), picture])
    fork = await mine.fork_thread("t", new_id="f")
    assert (fork.title, fork.agent_id, fork.resource_id, fork.message_count) == ("T", "a", "r", 0)
    early = await mine.fork_thread("t", new_id="g", after="b", title="G")
    assert early.title == "G"
    await mine.add_messages("f", [Message.user("d", id="d")])
    await mine.add_messages("t", [Message.user("later", id="later")])
    second = await mine.fork_thread("f", new_id="h")
    await mine.add_messages("h", [Message.user("e", id="e")])
    before = {name: await all_of(mine, name) for name in ("f", "g", "h")}
    assert [m.text for m in before["h"]] == ["a", "b", "c", "d", "e"]
    assert await mine.delete_thread("t") is True
    assert await mine.thread("t") is None
    assert {name: await all_of(mine, name) for name in ("f", "g", "h")} == before
    assert await mine.delete_thread("f") is True
    assert await all_of(mine, "h") == before["h"]
    assert await all_of(mine, "g") == before["g"]
    assert second.id == "h"
    await refused(ConflictError, mine.fork_thread("h", new_id="g"))
    await mine.create_thread("empty")
    await mine.fork_thread("empty", new_id="empty fork")
    assert await texts(mine, "empty fork") == []


CHECKS: Final[tuple[Check, ...]] = (
    branches_share_what_comes_before,
    forks_outlive_their_original,
)
