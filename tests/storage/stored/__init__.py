"""Databases as they were stored under each schema, and what they must still answer.

`schema-N.db` is an SQLite file and `schema-N.sql` a dump of PostgreSQL, both made by `python -m tests.storage.stored` with
the program of that time; `schema-N.json` holds what every storage call answered then, and what each run showed. They are
made once, when a schema is about to be released, and never again.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import msgspec

from lumosai import Agent, Limits, Memory, Message, Scope, tool
from lumosai.events import from_json, to_json
from lumosai.messages import AudioPart, ImagePart, ReasoningPart, TextPart, ToolCallPart, ToolResultPart
from lumosai.models.base import ModelRequest
from lumosai.storage import MessageFilter, Storage, ThreadFilter
from lumosai.storage._remembering import Facts, SessionRecord
from lumosai.storage.base import Batch, InboxItem, RunRecord
from lumosai.testing import Answer, Call, ScriptedModel

HERE = Path(__file__).parent
SCOPES = (Scope(), Scope(owner="ann"), Scope(owner="bob"), Scope(tenant="other"))
PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(range(256))
LONG = "Much was said. " * 4_400
MANY = 520
"""Deltas of the long run: more than a run has that is compacted by the batch that ends it."""
_LONGEST = 400
_MOST = 100


@tool
def add(x: int, y: int) -> str:
    """Adds two numbers."""
    return str(x + y)


@tool(approval=True)
def send(to: str) -> str:
    """Sends a letter."""
    return f"sent to {to}"


def _results(request: ModelRequest) -> list[str]:
    return [r.text for m in request.messages for r in m.tool_results]


def agents(storage: Storage) -> dict[str, Agent]:
    """The agents whose runs are stored: one that calls a tool, a long one, one that asks another, one that waits."""
    memory = Memory(storage)

    def sum_up(request: ModelRequest) -> Any:
        known = _results(request)
        return f"The sum is {known[-1]}." if known else ["Let me see. ", Call("add", {"x": 19, "y": 23}, "c1")]

    def ask(request: ModelRequest) -> Any:
        known = _results(request)
        return f"It says: {known[0]}" if known else Call("sums", {"task": "Add them."}, "c0")

    def write(request: ModelRequest) -> Any:
        known = _results(request)
        return f"Done: {known[0]}" if known else Call("send", {"to": "Ann"}, "c2")

    sums = Agent("sums", model=ScriptedModel(sum_up), tools=[add], memory=memory)
    long = Agent("long", model=ScriptedModel(lambda _: Answer(deltas=[f"{i} " for i in range(MANY)])), memory=memory)
    return {
        "sums": sums,
        "long": long,
        "outer": Agent("outer", model=ScriptedModel(ask), tools=[sums.as_tool()], storage=storage),
        "letters": Agent(
            "letters", model=ScriptedModel(write), tools=[send], memory=memory, limits=Limits(max_steps=4)
        ),
    }


async def fill(storage: Storage) -> None:
    """A little of everything that a database may hold."""
    await _threads(storage)
    await _runs(storage)
    ann, bob = storage.scope(Scope(owner="ann")), storage.scope(Scope(owner="bob"))
    await ann.change_facts(
        lambda was: Facts(version=1, document={"name": "Ann 看"}, changes=({"by": "her"},)), thread_id="t"
    )
    await ann.change_facts(lambda was: Facts(version=1, document={"likes": ["tea"]}), resource_id="trip")
    await ann.open_session(
        SessionRecord(id="s1", resource_id="trip", agent_id="sums", thread_id="t", variables={"n": 1})
    )
    waiting = (await bob.list_runs(status="paused")).items[0]
    await bob.post(
        waiting.id, InboxItem("on its way", "send", msgspec.json.encode([Message.user("Be kind.", id="sent")]))
    )
    other = storage.scope(Scope(tenant="other", owner="ann"))
    await other.create_thread("t", title="Another tenant's")
    await other.add_messages("t", [Message.user("看", ImagePart(data=PICTURE), id="o1")])
    await other.keep_experience({"m": b'{"of":"other"}'})
    await storage.scope(Scope()).keep_experience({"model at place": b'{"calls":3}', "名 'x'": b"\x00\xff"})


async def _threads(storage: Storage) -> None:
    ann, bob = storage.scope(Scope(owner="ann")), storage.scope(Scope(owner="bob"))
    await ann.create_thread(
        "t", title="Every 'kind' 看", agent_id="sums", resource_id="trip", metadata={"k": [1, None]}
    )
    await ann.add_messages(
        "t",
        [
            Message.system("Be brief.", metadata={"pinned": True}, id="m1"),
            Message.user("看 this", ImagePart(data=PICTURE), AudioPart(data=b"RIFF\x00"), id="m2"),
            Message.assistant(
                ReasoningPart("hm", signature="s", provider="p"),
                TextPart("Yes \N{DRAGON}."),
                ToolCallPart("k1", "f", {"a": [1.5, None, "\u0000"]}),
                ToolCallPart("k2", "g", None, raw="{broken"),
                id="m3",
            ),
            Message.tool(
                ToolResultPart("k1", "f", (TextPart("x"), ImagePart(data=PICTURE))),
                ToolResultPart("k2", "g", "no", is_error=True),
                id="m4",
            ),
            Message.user(LONG, metadata={"interrupted": True}, id="m5"),
            Message.assistant("Good.", id="m6"),
        ],
        run_id="an old run",
    )
    await ann.add_branch("t", "m5", messages=[Message.user("Otherwise.", id="b1")])
    await ann.select_branch("t", 1)
    await ann.fork_thread("t", new_id="fork", branch=0, after="m5")
    await ann.add_messages("fork", [Message.assistant("On its own.", id="f1")])
    await ann.fork_thread("fork", new_id="fork of it", title="")
    await ann.delete_thread("fork")
    await bob.create_thread("t", title="Bob's", metadata={"k": [1, None]})
    await bob.add_messages("t", [Message.user("Mine.", id="m1"), Message.user("Gone.", id="m2")])
    await bob.delete_messages("t", ["m2"])


async def _runs(storage: Storage) -> None:
    made = agents(storage)
    bob = Scope(owner="bob")
    await made["sums"].generate(Message.user("Add them, please.", ImagePart(data=PICTURE)), thread_id="sums", scope=bob)
    await made["long"].generate("Count.", thread_id="sums", scope=bob)
    await made["outer"].generate("Go.", scope=bob)
    await made["letters"].generate("Write to Ann.", thread_id="letters", scope=bob)  # pauses at the call
    # One whose process died behind the first answer's call.
    handle = storage.scope(bob)
    whole = next(r for r in (await handle.list_runs(agent="sums")).items)
    events = [from_json(line) for line in await _lines(storage, bob, whole.id)]
    cut = next(i for i, e in enumerate(events) if type(e).__name__ == "ToolCallStart")
    hashes = [h for e in events for h in (*getattr(e, "prompt_hashes", ()), getattr(e, "tools_hash", None)) if h]
    left = [msgspec.structs.replace(e, run_id="cut", root_id="cut") for e in events[: cut + 1]]
    data = b"\n".join(map(to_json, left))
    batch = Batch(first=1, last=cut + 1, data=data, contents=await handle.contents(hashes))
    await handle.open_run(RunRecord(id="cut", agent="sums"), batch)


async def _lines(storage: Storage, scope: Scope, run_id: str) -> list[bytes]:
    batches = await storage.scope(scope).events(run_id)
    return [line for batch in batches for line in batch.split(b"\n")]


async def answers(storage: Storage) -> dict[str, Any]:
    """What every storage call that reads answers, for every scope, as JSON; long texts and bytes by their SHA-256."""
    said = {}
    for scope in SCOPES:
        handle = storage.scope(scope)
        threads = (await handle.list_threads()).items
        said[f"{scope.tenant}/{scope.owner or ''}"] = {
            "threads": threads,
            "of trip": [t.id for t in (await handle.list_threads(filter=ThreadFilter(resource_id="trip"))).items],
            "with k": [
                t.owner for t in (await handle.list_threads(filter=ThreadFilter(metadata={"k": [1, None]}))).items
            ],
            "found": [(t.id, m.message.id) for t, m in (await handle.search("said")).items],
            "experience": await handle.experience(),
            "runs": [r.id for r in (await handle.list_runs()).items],
            "remembered of trip": await handle.facts(resource_id="trip"),
            "sessions": (await handle.list_sessions()).items,
            "each": [await _thread(storage.scope(Scope(scope.tenant, t.owner)), t.id) for t in threads],
        }
    built: dict[str, Any] = msgspec.to_builtins(said, enc_hook=str)
    short: dict[str, Any] = _short(built)
    return short


async def _thread(handle: Any, name: str) -> dict[str, Any]:
    branches = await handle.branches(name)
    pinned = MessageFilter(metadata={"pinned": True})
    return {
        "branches": branches,
        "messages": [(await handle.messages(name, branch=b.number)).items for b in branches],
        "from its end": [m.seq for m in (await handle.messages(name, newest=True, limit=2)).items],
        "remembered": await handle.facts(thread_id=name),
        "pinned": [m.seq for m in (await handle.messages(name, filter=pinned)).items],
    }


async def shown(storage: Storage) -> dict[str, Any]:
    """What each run that ended shows to whoever reads it from its beginning, by its id: each event as JSON.

    Of a long run it is the number of events and the SHA-256 of all.
    """
    told = {}
    bob = Scope(owner="bob")
    for agent in agents(storage).values():
        for record in (await storage.scope(bob).list_runs(agent=agent.name, status="ended")).items:
            async with agent.resume(record.id, scope=bob) as run:
                lines = [to_json(e) async for e in run]
            digest = hashlib.sha256(b"\n".join(lines)).hexdigest()
            told[record.id] = [x.decode() for x in lines] if len(lines) < _MOST else [len(lines), digest]
    short: dict[str, Any] = _short(told)
    return short


def _short(value: Any) -> Any:
    if isinstance(value, str) and len(value) > _LONGEST:
        return f"sha256:{hashlib.sha256(value.encode()).hexdigest()}"
    if isinstance(value, dict):
        return {k: _short(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_short(v) for v in value]
    return value
