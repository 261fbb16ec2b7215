"""The values of storage: threads, branches and messages; runs, the right to write to them, and what waits for them."""

from __future__ import annotations

import datetime as dt
from typing import Any, Final, Literal, NamedTuple

import msgspec

from lumosai.messages import Message, Role

RunStatus = Literal["running", "paused", "ended"]
InboxKind = Literal["send", "cancel", "approve", "deny"]

MAIN: Final = 0
"""The number of the branch that every thread begins with."""


class ThreadRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A thread, without its messages.

    Attributes:
        id: as its user named it, or a UUIDv7; unique within its owner.
        title: "" while it has none.
        agent_id: whose thread it is, "" where nobody said.
        resource_id: whom it is about, "" where nobody said.
        metadata: the user's own JSON object.
        version: grows with each change of the fields above; see `update_thread`.
        branch: the number of the active branch.
        message_count: in all branches together, inherited ones not counted twice.
        owner: the user who may see it, None where only the whole tenant's handle does.
        created_at, updated_at: unix seconds; a message counts as an update.
    """

    id: str
    title: str = ""
    agent_id: str = ""
    resource_id: str = ""
    metadata: dict[str, Any] = {}
    version: int = 1
    branch: int = MAIN
    message_count: int = 0
    owner: str | None = None
    created_at: float
    updated_at: float


class Branch(msgspec.Struct, frozen=True):
    """One line of a thread.

    Attributes:
        number: within the thread, from 0.
        start: how many numbers of its path lie in other branches.
        last: the number of its last message; `start` where it has none of its own.
        created_at: unix seconds.
    """

    number: int
    start: int
    last: int
    created_at: float


class StoredMessage(msgspec.Struct, frozen=True):
    """A message where it lies.

    Attributes:
        message: it, with its id.
        seq: its number on the branch's path, rising.
        run_id: the run that made it, "" where none did.
        at: when it was stored, unix seconds.
    """

    message: Message
    seq: int
    run_id: str = ""
    at: float = 0.0


class MessageFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which messages; what is not said does not count.

    Attributes:
        roles: any of these.
        since, until: stored at or after, and before; unix seconds, or a datetime with its time zone.
        text: stands in a text part, in its first 65,536 characters. A to Z match either case, all else only itself.
        metadata: keys that the message's metadata have with these values.
        run_id: made by that run.
    """

    roles: tuple[Role, ...] = ()
    since: float | dt.datetime | None = None
    until: float | dt.datetime | None = None
    text: str = ""
    metadata: dict[str, Any] = {}
    run_id: str = ""


class ThreadFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which threads; what is not said does not count.

    Attributes:
        agent_id, resource_id: theirs.
        text: stands in the title; as in `MessageFilter`.
        metadata: as in `MessageFilter`.
    """

    agent_id: str = ""
    resource_id: str = ""
    text: str = ""
    metadata: dict[str, Any] = {}


class RunRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A root run, without its events.

    Attributes:
        id: the run's id.
        agent: its agent's name.
        definition_hash: over what decides how it goes.
        thread_id: its thread, "" where it stands alone.
        resource_id: whom it is about, "" where nobody said.
        has_context: whether it was given an object of the user's, which is not stored.
        status: "running", "paused" or "ended".
        reason: why it paused or ended, "" while it runs.
        last: the number of its last event.
        epoch: how often it was taken up, from 1.
        owner: the user who may see it, None where only the whole tenant's handle does.
        started_at, updated_at: unix seconds.
    """

    id: str
    agent: str = ""
    definition_hash: str = ""
    thread_id: str = ""
    resource_id: str = ""
    has_context: bool = False
    status: RunStatus = "running"
    reason: str = ""
    last: int = 0
    epoch: int = 1
    owner: str | None = None
    started_at: float = 0.0
    updated_at: float = 0.0


class Lease(msgspec.Struct, frozen=True):
    """The right to write to a run.

    Attributes:
        run_id: the run.
        key: as the tables know it.
        fence: grows with each take-over; who has an older one writes nothing.
        epoch: as in `RunRecord`.
    """

    run_id: str
    key: int
    fence: int
    epoch: int


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """Events that are stored together.

    Attributes:
        first, last: their numbers.
        data: each as JSON on a line of its own.
        contents: what they refer to by hash and is not stored yet.
        children: ids of sub-runs that begin in it.
        taken: ids of rows of the run's inbox that came to events in it, and are taken out.
        place: the run's on a branch, which a pause or an end gives back; 0 where it has none.
        status, reason: the run's from here on.
    """

    first: int
    last: int
    data: bytes
    contents: dict[str, bytes] = {}
    children: tuple[str, ...] = ()
    taken: tuple[str, ...] = ()
    place: int = 0
    status: RunStatus = "running"
    reason: str = ""


class InboxItem(msgspec.Struct, frozen=True):
    """What somebody asks of a run, wherever it goes on.

    Attributes:
        id: its own, from who asks: the same one posted twice is there once.
        kind: what it is.
        data: what belongs to it, as JSON.
        run_id: the root run.
        at: when it was posted, unix seconds.
    """

    id: str
    kind: InboxKind
    data: bytes = b""
    run_id: str = ""
    at: float = 0.0


class Place(NamedTuple):
    """A run's place among those that are to be at work on a branch.

    Attributes:
        key: its own, which rises; 0 where it has none.
        branch: the branch's number.
        ahead: the run that is at work there; "" where nobody is.
        ahead_key: that one's place.
        here: whether that is a run of this process.
        passed: the runs that are passed by, since their process is there no more.
    """

    key: int = 0
    branch: int = MAIN
    ahead: str = ""
    ahead_key: int = 0
    here: bool = False
    passed: tuple[str, ...] = ()


class Foreseen(NamedTuple):
    """How a turn would begin, seen a moment before.

    Attributes:
        place: who has the turn on the branch; no place is taken.
        thread: the thread, None where there is none.
        last: the number of the branch's last message.
        earlier: the last messages on its path.
    """

    place: Place = Place()
    thread: ThreadRecord | None = None
    last: int = 0
    earlier: tuple[StoredMessage, ...] = ()


class Begun(NamedTuple):
    """How a turn began, or that it did not.

    Attributes:
        thread: the thread.
        branch: the branch's number.
        earlier: the messages before the new ones.
        place: the run's on the branch; behind another one, nothing else was stored.
    """

    thread: ThreadRecord
    branch: int
    earlier: tuple[StoredMessage, ...]
    place: Place = Place()


class Stretch(msgspec.Struct, frozen=True):
    """Some of a run's events, and how the run stood when they were read.

    Attributes:
        run: the run.
        epochs: the number of the first event of each of its epochs.
        batches: as of `Handle.events`.
    """

    run: RunRecord
    epochs: dict[int, int]
    batches: tuple[bytes, ...] = ()


class Standing(msgspec.Struct, frozen=True):
    """How far a root run is.

    Attributes:
        run_id: the run.
        status, last, epoch: as in `RunRecord`.
    """

    run_id: str
    status: RunStatus
    last: int
    epoch: int
