"""What a handle keeps for a memory besides messages: facts, summaries and sessions. Part of the contract in `base`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal, Protocol

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lumosai.storage._page import Page

SessionState = Literal["active", "paused", "completed", "expired", "error"]

OPEN: Final = ("active", "paused")
"""The states of a session that is gone on with; of a person with an agent there is one such at the most."""


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What is remembered of a thread or of a resource.

    Attributes:
        version: grows with each change, from 0.
        document: the facts by name.
        changes: how it came to that, the last ones, the newest last; of which form is the memory's matter.
        updated_at: unix seconds.
        owner: whose row it is, None where only the whole tenant's handle sees it.
    """

    version: int = 0
    document: dict[str, Any] = {}
    changes: tuple[dict[str, Any], ...] = ()
    updated_at: float = 0.0
    owner: str | None = None


class View(msgspec.Struct, frozen=True, kw_only=True):
    """Something that was made from the beginning of a branch's path, such as its summary.

    It goes when any message goes that it was made from.

    Attributes:
        kind: what it is.
        until: the number of the last message that it is made from.
        first: the number of the first one.
        version: grows with each that takes another's place, from 1.
        text: what was made.
        made: how, as a JSON object: by which model, in which run.
        at: when, unix seconds.
    """

    kind: str
    until: int
    first: int = 1
    version: int = 1
    text: str = ""
    made: dict[str, Any] = {}
    at: float = 0.0


class SessionRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A person's time with an agent.

    Attributes:
        id: UUIDv7 text.
        resource_id: whom it is about.
        agent_id: the agent's name.
        thread_id: its thread.
        state: "active", "paused", "completed", "expired" or "error".
        reason: why it is in that state, "" where that needs none.
        variables: the user's own JSON object.
        version: grows with each change but of `active_at`.
        idle_timeout_s: it is over where nothing came for so long; None is never.
        max_age_s: it is over so long after its beginning; None is never.
        summary: what it was about, "" where nobody asked for that.
        owner: the user who may see it, None where only the whole tenant's handle does.
        created_at, active_at, ended_at: unix seconds; `active_at` is when it was opened or its thread was written to
            last, `ended_at` is None while it is open.
    """

    id: str
    resource_id: str
    agent_id: str = ""
    thread_id: str = ""
    state: SessionState = "active"
    reason: str = ""
    variables: dict[str, Any] = {}
    version: int = 1
    idle_timeout_s: float | None = None
    max_age_s: float | None = None
    summary: str = ""
    owner: str | None = None
    created_at: float = 0.0
    active_at: float = 0.0
    ended_at: float | None = None

    def over(self, now: float) -> str:
        """Why its time is up at a moment, "" where it is not. A paused one is not idle."""
        if self.max_age_s is not None and now - self.created_at >= self.max_age_s:
            return f"it is older than {self.max_age_s:g} s"
        if self.state == "active" and self.idle_timeout_s is not None and now - self.active_at >= self.idle_timeout_s:
            return f"nothing came for {self.idle_timeout_s:g} s"
        return ""


class SessionFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which sessions; what is not said does not count.

    Attributes:
        resource_id, agent_id, thread_id: theirs.
        states: any of these.
        active_before: nothing came since then; unix seconds.
    """

    resource_id: str = ""
    agent_id: str = ""
    thread_id: str = ""
    states: tuple[SessionState, ...] = ()
    active_before: float | None = None


class RememberingHandle(Protocol):
    """The part of a handle that is about what a memory makes of messages."""

    async def facts(self, *, thread_id: str = "", resource_id: str = "") -> Facts | None:
        """What is remembered of a thread or of a resource, one of the two; None where nothing ever was.

        Raises:
            ConflictError: the handle has no owner, and several owners remember something of that resource.
        """
        ...

    async def change_facts(
        self, change: Callable[[Facts], Facts], *, thread_id: str = "", resource_id: str = ""
    ) -> Facts:
        """Changes them, alone: nobody else's change comes between what `change` is given and what it gives.

        Args:
            change: makes the new ones; it may be called more than once. What it raises is raised, and nothing changed.
            thread_id: the thread's,
            resource_id: or the resource's, one of the two.

        Raises:
            NotFoundError: there is no such thread.
        """
        ...

    async def forget_facts(self, *, thread_id: str = "", resource_id: str = "") -> bool:
        """Deletes them with their history; whether there were any."""
        ...

    async def view(self, thread_id: str, kind: str, *, branch: int | None = None) -> View | None:
        """The view that covers most of a branch's path, None where there is none."""
        ...

    async def keep_view(self, thread_id: str, view: View, *, branch: int | None = None) -> View:
        """Keeps a view of a branch's path up to `view.until`, as the next version of the one that is there.

        Raises:
            NotFoundError: there is no such thread, branch or number.
        """
        ...

    async def open_session(
        self, new: SessionRecord, *, make_thread: bool = True, resume: bool = False
    ) -> tuple[SessionRecord, bool]:
        """The open session of a resource with an agent, and whether it was made here, as given.

        A paused one is active again. One whose time is up is expired first, and its time-outs are those of `new`. However many ask at once, all are given the same one.

        Args:
            new: as it is made where there is none.
            make_thread: whether its thread is made with it, where there is none of that id.
            resume: goes on with the last one although its time is up.
        """
        ...

    async def session(self, session_id: str) -> SessionRecord | None:
        """A session, None where there is none."""
        ...

    async def current_session(self, resource_id: str, agent_id: str) -> SessionRecord | None:
        """The open session of a resource with an agent, whether its time is up or not; None where there is none."""
        ...

    async def change_session(
        self, session_id: str, change: Callable[[SessionRecord], SessionRecord], *, version: int | None = None
    ) -> SessionRecord:
        """Changes a session, alone.

        Raises:
            NotFoundError: there is no such session.
            ConflictError: `version` is given and is not the session's any more; or it would be open again, and another is.
        """
        ...

    async def list_sessions(
        self,
        *,
        filter: SessionFilter | None = None,  # noqa: A002
        limit: int = 50,
        cursor: str | None = None,
    ) -> Page[SessionRecord]:
        """Sessions, the one that was made last first."""
        ...

    async def expire_sessions(self) -> int:
        """Expires those whose time is up; how many."""
        ...

    async def delete_sessions(self, session_ids: Sequence[str]) -> int:
        """Deletes sessions, their threads not; how many there were."""
        ...
