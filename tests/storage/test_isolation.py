"""No method of a handle reaches outside its scope, and no text given to one is more than a text."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from lumosai import Message, Scope
from lumosai._terms import Wanted
from lumosai.errors import LumosaiError
from lumosai.messages import ImagePart
from lumosai.records import Retention
from lumosai.storage import MessageFilter, Storage, ThreadFilter, base
from lumosai.storage import _tables as tables
from lumosai.storage._op import Query
from lumosai.storage.base import (
    Batch,
    InboxItem,
    Lease,
    RunRecord,
    SessionFilter,
    SessionRecord,
    ThreadRecord,
    VectorsKnown,
    View,
    Within,
)
from tests.conftest import THOROUGH

SECRET = "secret"
PLACE = (1 << 32) | 1


class Names(msgspec.Struct):
    """What a method may be asked for."""

    thread: str
    message: str
    run: str
    child: str
    hash: str
    text: str
    item: str
    cursor: str
    lease: Lease
    session: str


Call = Callable[[Any, Names], Awaitable[object]]


def user(n: Names) -> Message:
    return Message.user(n.text, id=n.message, metadata={n.text: {n.text: [n.text]}})


def thread(n: Names) -> ThreadRecord:
    return ThreadRecord(
        id=n.thread,
        title=n.text,
        agent_id=n.thread,
        resource_id=n.thread,
        metadata={n.text: 1},
        created_at=0,
        updated_at=0,
    )


def within(n: Names) -> list[Within]:
    wanted = MessageFilter(text=n.text, metadata={n.text: n.text}, run_id=n.run)
    return [Within(thread_id=n.thread), Within(resource_id=n.thread), Within(filter=wanted), Within()]


def batch(n: Names, first: int = 1) -> Batch:
    return Batch(
        first=first,
        last=first,
        data=n.text.encode("utf-8", "replace"),
        contents={n.hash: b"x"},
        children=(n.child,),
        taken=(n.item,),
        reason=n.text,
    )


CALLS: dict[str, list[Call]] = {
    "create_thread": [lambda h, n: h.create_thread(n.thread, title=n.text, agent_id=n.thread, resource_id=n.thread, metadata={n.text: n.text})],
    "ensure_thread": [lambda h, n: h.ensure_thread(n.thread, title=n.text, agent_id=n.thread, resource_id=n.thread)],
    "thread": [lambda h, n: h.thread(n.thread)],
    "list_threads": [
        lambda h, n: h.list_threads(filter=ThreadFilter(text=n.text)),
        lambda h, n: h.list_threads(filter=ThreadFilter(agent_id=n.thread, resource_id=n.thread)),
        lambda h, n: h.list_threads(filter=ThreadFilter(metadata={n.text: n.text})),
        lambda h, n: h.list_threads(cursor=n.cursor),
    ],
    "update_thread": [lambda h, n: h.update_thread(n.thread, title=n.text, metadata={n.text: n.text}, resource_id=n.thread)],
    "delete_thread": [lambda h, n: h.delete_thread(n.thread)],
    "fork_thread": [
        lambda h, n: h.fork_thread(n.thread, title=n.text),
        lambda h, n: h.fork_thread(n.thread, after=n.message),
        lambda h, n: h.fork_thread(n.thread, new_id=n.thread),
    ],
    "branches": [lambda h, n: h.branches(n.thread)],
    "add_branch": [lambda h, n: h.add_branch(n.thread, n.message, messages=[user(n)])],
    "select_branch": [lambda h, n: h.select_branch(n.thread, 1)],
    "add_messages": [
        lambda h, n: h.add_messages(n.thread, [user(n)], run_id=n.run),
        lambda h, n: h.add_messages(n.thread, [user(n)], lease=n.lease),
    ],
    "begin_turn": [lambda h, n: h.begin_turn(thread(n), [user(n)], run_id=n.run)],
    "prepare_messages": [lambda h, n: h.prepare_messages(n.thread, [user(n)], run_id=n.run).under(n.lease)],
    "prepare_turn": [lambda h, n: h.prepare_turn(thread(n), [user(n)], run_id=n.run)],
    "foresee_turn": [lambda h, n: h.foresee_turn(n.thread)],
    "look_at_turn": [lambda h, n: h.look_at_turn(n.thread)],
    "take_turn": [lambda h, n: h.take_turn(n.thread, n.run)],
    "leave_turn": [lambda h, n: h.leave_turn(1)],
    "prepare_title": [lambda h, n: h.prepare_title(n.thread, n.text[1:], instead_of=n.text)],
    "messages": [
        lambda h, n: h.messages(n.thread),
        lambda h, n: h.messages(n.thread, newest=True),
        lambda h, n: h.messages(n.thread, filter=MessageFilter(text=n.text)),
        lambda h, n: h.messages(n.thread, filter=MessageFilter(metadata={n.text: n.text}, run_id=n.run)),
        lambda h, n: h.messages(n.thread, cursor=n.cursor),
    ],
    "messages_and_left": [
        lambda h, n: h.messages_and_left(n.thread, newest=True),
        lambda h, n: h.messages_and_left(n.thread, cursor=n.cursor),
    ],
    "message": [lambda h, n: h.message(n.thread, n.message)],
    "delete_messages": [lambda h, n: h.delete_messages(n.thread, [n.message])],
    "open_run": [
        lambda h, n: h.open_run(RunRecord(id=n.run, agent=n.text, definition_hash=n.text, thread_id=n.thread, resource_id=n.thread), batch(n)),
    ],
    "append_events": [lambda h, n: h.append_events(n.lease, batch(n, 3))],
    "post": [
        lambda h, n: h.post(n.run, InboxItem(n.item, "send", n.text.encode("utf-8", "replace"))),
        lambda h, n: h.post(n.child, InboxItem(n.item, "cancel")),
    ],
    "stretch": [lambda h, n: h.stretch(n.run), lambda h, n: h.stretch(n.child, limit=0)],
    "compact_run": [lambda h, n: h.compact_run(n.run)],
    "take_run": [lambda h, n: h.take_run(n.run), lambda h, n: h.take_run(n.child)],
    "let_go": [lambda h, n: h.let_go(n.lease)],
    "renew": [lambda h, n: h.renew(n.lease)],
    "run": [lambda h, n: h.run(n.run), lambda h, n: h.run(n.child)],
    "list_runs": [
        lambda h, n: h.list_runs(),
        lambda h, n: h.list_runs(agent=n.text, status=n.text),
        lambda h, n: h.list_runs(cursor=n.cursor),
    ],
    "events": [lambda h, n: h.events(n.run), lambda h, n: h.events(n.child)],
    "contents": [lambda h, n: h.contents([n.hash])],
    "experience": [lambda h, n: h.experience()],
    "prepare_experience": [lambda h, n: h.prepare_experience({n.text[:9]: b"mine"})],
    "keep_experience": [lambda h, n: h.keep_experience({n.text[:9]: b"mine"}), lambda h, n: h.keep_experience({n.text: b"mine"})],
    "delete_run": [lambda h, n: h.delete_run(n.run), lambda h, n: h.delete_run(n.child)],
    "search": [
        lambda h, n: h.search(n.text),
        lambda h, n: h.search(n.text, resource_id=n.thread),
        lambda h, n: h.search(n.text, cursor=n.cursor),
    ],
    "full_text": [lambda h, n, i=i: h.full_text(within(n)[i], [Wanted(n.text), Wanted(n.text, begins=True)]) for i in range(4)],
    "vectors": [
        lambda h, n, i=i: h.vectors(within(n)[i], n.text, {1: VectorsKnown(1, 0, 0, 0)}) for i in range(4)
    ],
    "fitting": [lambda h, n, i=i: h.fitting(within(n)[i], [PLACE, PLACE + 1, PLACE * 2]) for i in range(4)],
    "excerpts": [
        lambda h, n, i=i: h.excerpts(within(n)[i], [PLACE, PLACE + 1, PLACE * 2], before=2, after=2) for i in range(4)
    ],
    "vector_space": [lambda h, n: h.vector_space(n.text)],
    "facts": [lambda h, n: h.facts(thread_id=n.thread), lambda h, n: h.facts(resource_id=n.thread)],
    "change_facts": [
        lambda h, n: h.change_facts(lambda f: replace(f, document={"x": n.text[1:]}), thread_id=n.thread),
        lambda h, n: h.change_facts(lambda f: replace(f, document={"x": [n.text[1:], f.document]}), resource_id=n.thread),
    ],
    "forget_facts": [lambda h, n: h.forget_facts(thread_id=n.thread), lambda h, n: h.forget_facts(resource_id=n.thread)],
    "view": [lambda h, n: h.view(n.thread, "summary")],
    "keep_view": [lambda h, n: h.keep_view(n.thread, View(kind=n.text[1:], until=1, text=n.text[1:]))],
    "open_session": [lambda h, n: h.open_session(SessionRecord(id=n.session + n.text[1:], resource_id=n.thread, thread_id=n.thread))],
    "session": [lambda h, n: h.session(n.session)],
    "current_session": [lambda h, n: h.current_session(n.thread, "")],
    "change_session": [lambda h, n: h.change_session(n.session, lambda s: replace(s, state="completed", reason=n.text))],
    "list_sessions": [
        lambda h, n: h.list_sessions(),
        lambda h, n: h.list_sessions(filter=SessionFilter(resource_id=n.thread, states=("active",))),
    ],
    "expire_sessions": [lambda h, n: h.expire_sessions()],
    "delete_sessions": [lambda h, n: h.delete_sessions([n.session])],
}  # fmt: skip
"""Every method, called in each way that names something; the texts are the caller's own or another's."""


def test_every_method_is_walked() -> None:
    """A method that a handle gets is tried here, too, or this fails."""
    parts = [part for part in base.Handle.__mro__ if part.__module__.startswith("lumosai.")]
    methods = {name for part in parts for name in vars(part) if not name.startswith("_")} - {"scope", "storage"}
    assert set(CALLS) == methods
    for name, calls in CALLS.items():
        assert calls, name
        assert inspect.iscoroutinefunction(getattr(base.Handle, name)) or name.startswith("prepare_")


@pytest.fixture(params=["memory", "postgres"])
def url(request: pytest.FixtureRequest) -> str:
    """The URL of an empty database of each kind."""
    return "sqlite://" if request.param == "memory" else request.getfixturevalue("postgres_url")


async def of_ann(storage: Storage) -> Names:
    """What one owner has of everything, with a word that no other may see."""
    ann = storage.scope(Scope("one", "ann"))
    await ann.create_thread("t", title=SECRET, agent_id="t", resource_id="t", metadata={SECRET: SECRET})
    given = [
        Message.user(SECRET, ImagePart(data=SECRET.encode() * 9), id=f"m{i}", metadata={SECRET: 1}) for i in range(3)
    ]
    await ann.add_messages("t", given)
    await ann.add_branch("t", "m1", messages=[Message.user(SECRET, id="b")])
    await ann.create_thread("another", title=SECRET)
    first = Batch(first=1, last=1, data=b'"secret"', contents={"hash": b"secret"}, children=("child",))
    lease = await ann.open_run(RunRecord(id="run", agent=SECRET, thread_id="t", resource_id="t"), first)
    await ann.append_events(lease, Batch(first=2, last=2, data=b'"secret"'))
    await ann.post("run", InboxItem("item", "send", b"secret"))
    ended = await ann.open_run(RunRecord(id="ended"), Batch(first=1, last=1, data=b'"secret"'))
    await ann.append_events(ended, Batch(first=2, last=2, data=b'"secret"', status="ended", reason="stop"))
    space = await ann.vector_space(SECRET)
    claimed = await storage.index.claim(0, 9)
    await storage.index.put_texts([(c, [SECRET]) for c in claimed])
    await storage.index.put_vectors(space, [(c, b"secret") for c in await storage.index.claim(space, 9)])
    page = await ann.list_threads(limit=1)
    assert page.next_cursor
    for of in ({"thread_id": "t"}, {"resource_id": "t"}):
        await ann.change_facts(lambda f: replace(f, version=1, document={SECRET: SECRET}), **of)
    await ann.keep_view("t", View(kind="summary", until=2, text=SECRET))
    session = SessionRecord(id="session", resource_id="t", thread_id="t", variables={SECRET: SECRET}, idle_timeout_s=0)
    await ann.open_session(session)
    return Names("t", "m0", "run", "child", "hash", SECRET, "item", page.next_cursor, lease, "session")


async def rows(storage: Any, but: tuple[str, ...] = ()) -> dict[str, list[str]]:
    """Every row of every table."""

    def all_of_it():
        found = {}
        for table in tables.TABLES:
            if table.counted and table.name not in but:
                found[table.name] = [repr(tuple(row)) for row in (yield Query(f"SELECT * FROM {table.name}"))]
        return found

    return await storage.read(all_of_it)


@pytest.mark.parametrize("scope", [Scope("one", "bob"), Scope("two", "ann"), Scope("two")], ids=str)
async def test_no_method_reaches_outside_its_scope(storage: Storage, scope: Scope) -> None:
    """Asked for what another owner or tenant has, by its very names, it shows nothing of it, and no row of it changes."""
    names = await of_ann(storage)
    tenants = ("experience", "spaces") if scope.tenant == "one" else ()
    before = await rows(storage, tenants)
    other = storage.scope(scope)
    of_ended = msgspec.structs.replace(names, run="ended")
    given_calls = [(n, c, g) for g in (names, of_ended) for n, c in CALLS.items()]
    for number, (name, calls, given) in enumerate(given_calls, 1):
        for call in calls:
            try:
                shown = await call(other, given)
            except LumosaiError as error:
                shown = str(error)
            asked = name in ("create_thread", "ensure_thread", "update_thread", "begin_turn", "prepare_turn")
            if not asked and name not in (
                "experience",
                "keep_experience",
                "prepare_experience",
                "add_messages",
                "prepare_messages",
                "add_branch",
            ):
                seen = await mine(other, shown)
                assert SECRET not in seen, f"{name} shows {seen[:300]}"
        # A row that is gone does not come back: who took it is told by looking after every call.
        if THOROUGH or number % len(CALLS) == 0:
            after = await rows(storage, tenants)
            for table, there in before.items():
                gone = set(there) - set(after[table])
                assert not gone, f"{name}, or one before it, changed {table}: {sorted(gone)[:2]}"


async def mine(other: Any, shown: object) -> str:
    """What was shown, but for what the caller wrote itself under the same names."""
    text = repr(shown)
    for own in (await other.list_threads(limit=100)).items:
        text = text.replace(repr(own), "")
        for stored in (await other.messages(own.id, limit=100)).items:
            text = text.replace(repr(stored), "").replace(repr(stored.message), "")
    for run in (await other.list_runs()).items:
        text = text.replace(repr(run), "")
    return text


HOSTILE = (
    "'; DROP TABLE threads; --",
    '"quoted" \\ back\\\\slash \\',
    "100% _under_ %%",
    '*"NEAR(a b)" AND NOT -x:y ^ terms : "',
    "$.metadata['x'].\"y\"[0]",
    "line\nbreak\ttab\r\x01\x7f",
    "名字 🐉 é́ ﷽ \u202ertl",
    "{lock} {0} ? $1 :name %s",
    "nul\0in it",
    "half \ud800 a pair \udfff",
    "",
    "x" * 1_000_000,
)


async def test_no_text_is_more_than_a_text(storage: Storage) -> None:
    """In every place where a text is taken: it is kept, found or refused with our own error, and nothing else happens."""
    names = await of_ann(storage)
    handle = storage.scope(Scope("two", "ann"))
    before = await rows(storage)
    for number, hostile in enumerate(HOSTILE):
        # A database refuses some texts for what is in them; of the others each call is given some.
        every = THOROUGH or "memory" in storage.url or not hostile or not hostile.isprintable()
        given = Names(hostile, hostile, hostile, hostile, hostile, hostile, hostile, hostile, names.lease, hostile)
        fit = hostile.replace("\0", "").replace("\ud800", "").replace("\udfff", "")[:512]
        short = Names(*[fit] * 8, names.lease, fit)
        for each in (given, short):
            for place, call in enumerate(call for calls in CALLS.values() for call in calls):
                if every or (number + place) % 3 == 0:
                    try:
                        await call(handle, each)
                    except LumosaiError as error:
                        assert len(str(error)) < 2_000, str(error)[:100]
    system = storage.system()
    for hostile in HOSTILE:
        try:
            await system.erase(hostile, tenant=hostile)
        except LumosaiError:
            pass
        await system.orphans([hostile])
    after = await rows(storage)
    for table, there in before.items():
        assert set(there) <= set(after[table]), table
    assert (await system.info(check=True, retention=Retention())).problems == ()
