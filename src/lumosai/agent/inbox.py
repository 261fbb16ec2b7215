"""A run's inbox: what is posted into it, and how its owner applies that.

What is asked of a run from elsewhere lies in its inbox (`Handle.post`). Its owner looks for it, applies it in order, and
has each row taken out by the very transaction that keeps the event which came of it. A row may be seen again, by this
process or by the next one to go on with the run: then its event is there, or it has none, and nothing more is done.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from lumosai._loggers import logger_of
from lumosai.events import ApprovalResolved, InputReceived
from lumosai.ids import new_id
from lumosai.messages import Message
from lumosai.records import Approval
from lumosai.storage.base import InboxItem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from lumosai.agent.state import RunState
    from lumosai.events import Event


logger = logger_of("lumosai.agent")


class Decision(msgspec.Struct, frozen=True):
    """About a call that waits for an approval. `arguments_hash` is of what the decider was shown."""

    call_id: str
    arguments_hash: str
    by: str = ""
    reason: str = ""


class Stop(msgspec.Struct, frozen=True):
    """Why a run is to be cancelled."""

    reason: str


_encode: Final = msgspec.json.Encoder().encode
_messages: Final = msgspec.json.Decoder(tuple[Message, ...]).decode
_decision: Final = msgspec.json.Decoder(Decision).decode
_stop: Final = msgspec.json.Decoder(Stop).decode


def sending(messages: Sequence[Message]) -> InboxItem:
    """Messages that are to join a run, each with its id."""
    return InboxItem(new_id(), "send", _encode(messages))


def cancelling(reason: str) -> InboxItem:
    """A run that is to end."""
    return InboxItem(new_id(), "cancel", _encode(Stop(reason)))


def deciding(decision: Decision, *, granted: bool) -> InboxItem:
    """A call that may run, or may not."""
    return InboxItem(new_id(), "approve" if granted else "deny", _encode(decision))


class Inbox:
    """One run's inbox, in the process that is at work on it.

    Args:
        state: the run's.
        messages: where those go that it is to take in before its next step.
        stop: ends it, for a reason.
    """

    def __init__(self, state: RunState, messages: list[Message], stop: Callable[[str], None]) -> None:
        self._state = state
        self._messages = messages
        self._stop = stop
        self._seen: set[str] = set()
        self._of_message: dict[str, str] = {}
        self._of_call: dict[str, str] = {}
        self._moot: list[str] = []
        past = state.past.events if state.past is not None else ()
        self._there = {str(e.message.id) for e in past if type(e) is InputReceived}

    def take(self, items: Iterable[InboxItem]) -> None:
        """Applies what was not seen yet."""
        for item in items:
            if item.id not in self._seen:
                self._seen.add(item.id)
                try:
                    self._apply(item)
                except (msgspec.MsgspecError, UnicodeError) as error:  # damaged, or of a later version
                    logger.warning("run %s: %r in its inbox cannot be read: %s", self._state.run_id, item.kind, error)

    def _apply(self, item: InboxItem) -> None:
        if item.kind == "send":
            self._messages.extend(self._new(item))
        elif item.kind == "cancel":  # its row goes with all others when the run has ended
            self._stop(_stop(item.data).reason)
        elif item.kind in ("approve", "deny"):
            self._decide(item)

    def _new(self, item: InboxItem) -> list[Message]:
        """The messages of a row that are in no event yet; the row goes with the last one's."""
        new = [m for m in _messages(item.data) if m.id not in self._there]
        if new:
            self._of_message[str(new[-1].id)] = item.id
            self._there.update(str(m.id) for m in new)
        else:
            self._moot.append(item.id)
        return new

    def _decide(self, item: InboxItem) -> None:
        said, state = _decision(item.data), self._state
        if said.call_id in state.decided or said.call_id in self._of_call:
            self._moot.append(item.id)
            return
        self._of_call[said.call_id] = item.id
        granted = item.kind == "approve"
        approval = Approval(said.call_id, said.arguments_hash, granted, said.by, said.reason)
        waiting = state.approvals.get(said.call_id)
        if waiting is None:  # a run that was just taken up has not come to the call again
            state.early[said.call_id] = approval
        elif waiting.arguments_hash == said.arguments_hash:
            waiting.resolve(waiting, approval)
        else:
            self._moot.append(item.id)

    def late(self, items: Iterable[InboxItem]) -> list[Message]:
        """Messages that came while the run ended."""
        unseen = [i for i in items if i.id not in self._seen]
        self._seen.update(i.id for i in unseen)
        return [m for i in unseen for m in self._new(i)]

    def taken(self, events: Iterable[Event]) -> tuple[str, ...]:
        """The rows that are done with once these events are stored."""
        found, self._moot = self._moot, []
        if self._of_message or self._of_call:
            for event in events:
                row = None
                if type(event) is InputReceived:
                    row = self._of_message.get(str(event.message.id))
                elif type(event) is ApprovalResolved:
                    row = self._of_call.get(event.call_id)
                if row is not None:
                    found.append(row)
        return tuple(found)
