"""Scopes: what a handle reaches, and what it does not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from lumosai.errors import ConfigurationError, ConflictError, NotFoundError
from lumosai.messages import ImagePart, Message
from lumosai.records import Scope
from lumosai.storage.base import ThreadFilter
from lumosai.storage.conformance._expect import refused, texts

if TYPE_CHECKING:
    from lumosai.storage.base import Handle, Storage
    from lumosai.storage.conformance._expect import Check


async def nothing_is_seen_outside_a_scope(storage: Storage) -> None:
    """Every method, called with what another owner or tenant has, finds nothing and changes nothing."""
    theirs = storage.scope(Scope("one", "alice"))
    await theirs.create_thread("t", title="secret", resource_id="r", metadata={"k": 1})
    await theirs.add_messages("t", [Message.user("secret words", ImagePart(data=b"secret"), id="m")])
    await theirs.add_branch("t", "m")
    before = await _everything(theirs, "t")
    for scope in (Scope("one", "bob"), Scope("two", "alice"), Scope("two"), Scope()):
        other = storage.scope(scope)
        assert await other.thread("t") is None
        assert (await other.list_threads()).items == ()
        assert (await other.list_threads(filter=ThreadFilter(resource_id="r", metadata={"k": 1}))).items == ()
        assert (await other.search("secret")).items == ()
        assert await other.delete_thread("t") is False
        for call in (
            other.update_thread("t", title="mine"),
            other.add_messages("t", [Message.user("x")]),
            other.messages("t"),
            other.message("t", "m"),
            other.branches("t"),
            other.select_branch("t", 1),
            other.add_branch("t", "m"),
            other.fork_thread("t"),
            other.delete_messages("t", ["m"]),
        ):
            await refused(NotFoundError, call)
        await other.create_thread("t", title="own")  # the name is free here
        await other.add_messages("t", [Message.user("own", id="m")])
        assert await texts(other, "t") == ["own"]
        assert await other.delete_messages("t", ["m"]) == 1
        assert await other.delete_thread("t") is True
    assert await _everything(theirs, "t") == before


async def a_tenant_sees_all_its_owners(storage: Storage) -> None:
    """A handle without an owner sees every owner's threads; what it makes no owner sees; two of one name it refuses."""
    tenant, alice, bob = (storage.scope(Scope("one", owner)) for owner in (None, "alice", "bob"))
    await alice.create_thread("a")
    await bob.create_thread("b")
    await tenant.create_thread("c")
    assert {(t.id, t.owner) for t in (await tenant.list_threads()).items} == {("a", "alice"), ("b", "bob"), ("c", None)}
    assert [t.id for t in (await alice.list_threads()).items] == ["a"]
    assert await alice.thread("c") is None
    await tenant.add_messages("a", [Message.user("x")])
    assert await texts(alice, "a") == ["x"]
    await bob.create_thread("a")
    await refused(ConflictError, tenant.thread("a"))
    await tenant.create_thread("a", title="unowned")
    found = await tenant.thread("a")
    assert found is not None
    assert found.title == "unowned"
    for scope in (Scope(""), Scope("one", "")):
        try:
            storage.scope(scope)
        except ConfigurationError:
            continue
        raise AssertionError(f"{scope} was let in")


async def what_was_learned_is_a_tenants(storage: Storage) -> None:
    """What runs learned of models is there for the whole tenant, and for no other; the newest counts."""
    mine = storage.scope(Scope("one", "alice"))
    assert await mine.experience() == {}
    await mine.keep_experience({"a": b"1", "b": b"2"})
    await mine.keep_experience({"b": b"3"})
    assert await storage.scope(Scope("one", "bob")).experience() == {"a": b"1", "b": b"3"}
    assert await storage.scope(Scope("two")).experience() == {}


async def _everything(handle: Handle, thread_id: str) -> tuple[object, ...]:
    return (
        await handle.thread(thread_id),
        await handle.list_threads(),
        await handle.branches(thread_id),
        await handle.messages(thread_id),
        await handle.messages(thread_id, branch=1),
    )


CHECKS: Final[tuple[Check, ...]] = (
    nothing_is_seen_outside_a_scope,
    a_tenant_sees_all_its_owners,
    what_was_learned_is_a_tenants,
)
