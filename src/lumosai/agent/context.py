"""What a run tells the functions a user gives it: who runs, for whom, with what context."""

from __future__ import annotations

from typing import Generic, TypeVar

import msgspec

from lumosai.messages import Message
from lumosai.records import Scope

Ctx = TypeVar("Ctx")


class RunContext(msgspec.Struct, Generic[Ctx], frozen=True, kw_only=True):
    """A run as its `instructions` function sees it, before the first model call.

    Attributes:
        run_id: UUIDv7 text.
        agent: the agent's name.
        context: the object that the caller passed as `context=`, else None.
        input: the messages the run was started with.
        thread_id: the conversation it belongs to, else None.
        resource_id: whom it is about, else None.
        scope: whose rows it may see.
    """

    run_id: str
    agent: str
    context: Ctx
    input: tuple[Message, ...] = ()
    thread_id: str | None = None
    resource_id: str | None = None
    scope: Scope = Scope()
