"""The kept runs that are at work in this process, so that others in it reach them directly."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final, Protocol
from weakref import WeakValueDictionary

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Hashable

    from lumosai.agent.journal import Journal
    from lumosai.agent.state import RunState
    from lumosai.messages import Message
    from lumosai.records import Scope
    from lumosai.storage.base import Storage


class AtWork(Protocol):
    """A root run, as it is found here.

    Attributes:
        state: the run's.
        inbox: messages to take in before its next step.
        home: the event loop that it goes on.
        journal: keeps its events.
    """

    state: RunState
    inbox: list[Message]
    home: asyncio.AbstractEventLoop | None
    journal: Journal | None

    def stop(self, reason: str) -> None:
        """Ends it. On its own event loop only."""
        ...

    def seen_by(self, scope: Scope) -> bool:
        """Whether a scope may see it."""
        ...


_guard: Final = threading.Lock()
_runs: Final[WeakValueDictionary[tuple[Hashable, str], AtWork]] = WeakValueDictionary()


def find(storage: Storage, run_id: str) -> AtWork | None:
    """The run, where it is at work in this process."""
    with _guard:
        return _runs.get((storage.identity, run_id))


def enter(storage: Storage, run: AtWork) -> None:
    """It is at work here from now on."""
    with _guard:
        _runs[(storage.identity, run.state.run_id)] = run


def leave(storage: Storage, run: AtWork) -> None:
    """It is not any more."""
    with _guard:
        key = (storage.identity, run.state.run_id)
        if _runs.get(key) is run:
            del _runs[key]
