"""Sessions: a person's time with an agent, with its thread, found again or begun anew.

    session = await memory.session("alice", agent="assistant", idle_timeout_s=1800)
    await agent.generate("Hello.", thread_id=session.thread_id, resource_id=session.resource_id)
    await session.update({"cart": ["tea"]})
    await session.complete()

Of a person with an agent one session is open at a time: whoever asks for it, in whichever process, is given the same one.
"""

from __future__ import annotations

import datetime as dt
import inspect
from typing import TYPE_CHECKING, Any, Final

from msgspec.structs import replace

from lumosai.errors import ConflictError, InvalidInputError
from lumosai.memory._left import page_as_shown
from lumosai.messages import scrub
from lumosai.storage.base import OPEN

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lumosai.memory._summarise import Summariser
    from lumosai.messages import Message
    from lumosai.storage.base import Handle, SessionRecord, SessionState

_TOUCH_S: Final = 60.0
_SUMMED_UP: Final = 1000


class Session:
    """A session, as it was when it was read; its methods change what is stored and give it as it is then.

    Attributes:
        record: what was read, with `version` and `reason`.
        is_new: whether it was begun by the call that gave it.
    """

    __slots__ = ("_handle", "is_new", "record")

    def __init__(self, handle: Handle, record: SessionRecord, *, is_new: bool = False) -> None:
        self._handle = handle
        self.record = record
        self.is_new = is_new

    def __repr__(self) -> str:
        return f"<Session {self.id} of {self.resource_id!r} with {self.agent_id!r}, {self.state}>"

    @property
    def id(self) -> str:
        """Its id."""
        return self.record.id

    @property
    def resource_id(self) -> str:
        """Whom it is about."""
        return self.record.resource_id

    @property
    def agent_id(self) -> str:
        """The agent's name."""
        return self.record.agent_id

    @property
    def thread_id(self) -> str:
        """Its thread: pass it to `generate` and `stream`."""
        return self.record.thread_id

    @property
    def state(self) -> SessionState:
        """Active, paused, completed, expired or error."""
        return self.record.state

    @property
    def variables(self) -> dict[str, Any]:
        """What was put into it."""
        return self.record.variables

    @property
    def summary(self) -> str:
        """What it was about, "" where nobody asked for that."""
        return self.record.summary

    @property
    def created_at(self) -> dt.datetime:
        """When it began, UTC."""
        return dt.datetime.fromtimestamp(self.record.created_at, tz=dt.UTC)

    @property
    def active_at(self) -> dt.datetime:
        """When something came last, UTC."""
        return dt.datetime.fromtimestamp(self.record.active_at, tz=dt.UTC)

    async def update(self, variables: Mapping[str, Any], *, version: int | None = None) -> Session:
        """Sets variables; one set to None is taken out. Others stay, whoever set them meanwhile.

        Raises:
            ConflictError: `version` is given, and the session was changed since.
            InvalidInputError: a variable holds what JSON cannot, or its name is no text.
        """
        from lumosai.memory._patch import json_value

        if not all(isinstance(name, str) for name in variables):
            raise InvalidInputError(f"the names of variables are texts, and {list(variables)!r:.200} are not all")
        new = {scrub(name): json_value(value, name) for name, value in variables.items()}

        def change(was: SessionRecord) -> SessionRecord:
            merged = {**was.variables, **new}
            return replace(was, variables={k: v for k, v in merged.items() if v is not None})

        return await self._change(change, version=version)

    async def pause(self, reason: str = "") -> Session:
        """Stops its clock of idleness; asking for it again makes it active.

        Raises:
            ConflictError: it is over.
        """
        return await self._change(lambda was: replace(_open(was), state="paused", reason=reason))

    async def resume(self) -> Session:
        """Makes it active again, one that is over too; its clock of idleness begins anew.

        Raises:
            ConflictError: another one of the same person with the same agent is open.
        """
        return await self._change(lambda was: replace(was, state="active", reason="", ended_at=None))

    async def complete(
        self, *, summarize: Summariser | str | bool = False, model: Any = None, reason: str = ""
    ) -> Session:
        """Ends it.

        Args:
            summarize: True has `model` sum up its thread; or a function of the messages that gives the text; or the text.
            model: who sums up, as an agent's model.
            reason: why it ends.

        Raises:
            ConflictError: it is over already.
            InvalidInputError: it is to be summed up by nobody.
        """
        summary = await self._summed_up(summarize, model)
        return await self._change(
            lambda was: replace(_open(was), state="completed", reason=reason, summary=summary or was.summary)
        )

    async def fail(self, reason: str) -> Session:
        """Ends it as one that went wrong.

        Raises:
            ConflictError: it is over already.
        """
        return await self._change(lambda was: replace(_open(was), state="error", reason=reason))

    async def reload(self) -> Session:
        """Reads it anew.

        Raises:
            NotFoundError: it was deleted.
        """
        return await self._change(lambda was: was)

    async def delete(self) -> bool:
        """Deletes it, its thread not; whether it was there."""
        return await self._handle.delete_sessions([self.id]) > 0

    async def messages(self, limit: int = 50) -> tuple[Message, ...]:
        """The last messages of its thread."""
        page = await page_as_shown(self._handle, self.thread_id, limit=limit, newest=True)
        return tuple([s.message for s in page.items[-limit:]])

    async def _summed_up(self, summarize: Summariser | str | bool, model: Any) -> str:  # noqa: FBT001  # as `complete`
        if summarize is False:
            return ""
        if isinstance(summarize, str):
            return summarize
        messages = await self.messages(_SUMMED_UP)
        if callable(summarize):
            made: Any = summarize(messages)
            text = await made if inspect.isawaitable(made) else made
            return str(text)
        if model is None:
            raise InvalidInputError("summarize=True needs to know who sums up: pass model='provider:model'")
        from lumosai.memory._summarise import summarise

        return await summarise(model, messages)

    async def _change(self, change: Callable[[SessionRecord], SessionRecord], *, version: int | None = None) -> Session:
        self.record = await self._handle.change_session(self.id, change, version=version)
        return self


def _open(was: SessionRecord) -> SessionRecord:
    if was.state not in OPEN:
        raise ConflictError(f"session {was.id!r} is over ({was.state}): ask for a new one, or resume it")
    return was


def is_fresh(record: SessionRecord, now: float, idle_timeout_s: float | None, max_age_s: float | None) -> bool:
    """Whether a session that was read may be given without writing that it was asked for."""
    if record.state != "active" or (record.idle_timeout_s, record.max_age_s) != (idle_timeout_s, max_age_s):
        return False
    soon = _TOUCH_S if idle_timeout_s is None else min(_TOUCH_S, idle_timeout_s / 10)
    return now - record.active_at < soon and not record.over(now)
