"""`RememberingHandle` over any database: facts, views and sessions."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from msgspec.structs import replace

from lumosai.errors import InvalidInputError
from lumosai.storage import _facts as facts
from lumosai.storage import _sessions as sessions
from lumosai.storage import _views as views
from lumosai.storage._remembering import SessionFilter
from lumosai.storage._who import name_of
from lumosai.storage.base import ThreadRecord

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lumosai.storage._database import Database
    from lumosai.storage._page import Page
    from lumosai.storage._remembering import Facts, SessionRecord, View
    from lumosai.storage._who import Who

_MOST = 1_000


class Remembering:
    """The part of a handle that is about what a memory makes of messages."""

    __slots__ = ()

    _database: Database
    _who: Who

    async def facts(self, *, thread_id: str = "", resource_id: str = "") -> Facts | None:
        return await self._database.read(partial(facts.read, self._who, *_of(thread_id, resource_id)))

    async def change_facts(
        self, change: Callable[[Facts], Facts], *, thread_id: str = "", resource_id: str = ""
    ) -> Facts:
        of, now = _of(thread_id, resource_id), self._database.now()
        return await self._database.write(partial(facts.change, self._who, *of, change, now=now))

    async def forget_facts(self, *, thread_id: str = "", resource_id: str = "") -> bool:
        return await self._database.write(partial(facts.forget, self._who, *_of(thread_id, resource_id)))

    async def view(self, thread_id: str, kind: str, *, branch: int | None = None) -> View | None:
        op = partial(views.read, self._who, name_of(thread_id, "thread id"), name_of(kind, "kind"), branch)
        return await self._database.read(op)

    async def keep_view(self, thread_id: str, view: View, *, branch: int | None = None) -> View:
        name_of(view.kind, "kind")
        op = partial(views.keep, self._who, name_of(thread_id, "thread id"), view, branch, self._database.now())
        return await self._database.write(op)

    async def open_session(
        self, new: SessionRecord, *, make_thread: bool = True, resume: bool = False
    ) -> tuple[SessionRecord, bool]:
        for name, what in ((new.id, "session id"), (new.resource_id, "resource id"), (new.thread_id, "thread id")):
            name_of(name, what)
        if new.agent_id:
            name_of(new.agent_id, "agent id")
        now = self._database.now()
        new = replace(new, created_at=now, active_at=now)
        thread = None
        if make_thread:
            thread = ThreadRecord(
                id=new.thread_id,
                agent_id=new.agent_id,
                resource_id=new.resource_id,
                created_at=now,
                updated_at=now,
            )
        return await self._database.write(partial(sessions.open_, self._who, new, thread, resume=resume), "barrier")

    async def session(self, session_id: str) -> SessionRecord | None:
        op = partial(sessions.one, self._who, name_of(session_id, "session id"))
        return await self._database.read(op)

    async def current_session(self, resource_id: str, agent_id: str) -> SessionRecord | None:
        op = partial(sessions.current, self._who, name_of(resource_id, "resource id"), agent_id)
        return await self._database.read(op)

    async def change_session(
        self, session_id: str, change: Callable[[SessionRecord], SessionRecord], *, version: int | None = None
    ) -> SessionRecord:
        name = name_of(session_id, "session id")
        op = partial(sessions.change, self._who, name, change, version, self._database.now())
        return await self._database.write(op)

    async def list_sessions(
        self,
        *,
        filter: SessionFilter | None = None,  # noqa: A002
        limit: int = 50,
        cursor: str | None = None,
    ) -> Page[SessionRecord]:
        if not 1 <= limit <= _MOST:
            raise InvalidInputError(f"limit must be between 1 and {_MOST}, not {limit}")
        op = partial(sessions.listed, self._who, filter or SessionFilter(), limit, cursor)
        return await self._database.read(op)

    async def expire_sessions(self) -> int:
        gone = 0
        while some := await self._database.write(
            partial(sessions.expire, self._who, self._database.now()), "telemetry"
        ):
            gone += some
        return gone

    async def delete_sessions(self, session_ids: Sequence[str]) -> int:
        ids = [name_of(i, "session id") for i in session_ids]
        return await self._database.write(partial(sessions.delete, self._who, ids))


def _of(thread_id: str, resource_id: str) -> tuple[str, str]:
    return (
        name_of(thread_id, "thread id") if thread_id else "",
        name_of(resource_id, "resource id") if resource_id else "",
    )
