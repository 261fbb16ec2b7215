"""Messages of a prompt that need not be stored with it: the run's own, which its events hold, and its thread's.

A stored request names each by `#` and its id, and any other message by the hash of its content, which lies beside it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from lumosai.events import InputReceived, ModelCallComplete, RunStarted, ToolCallComplete
from lumosai.ids import content_hash
from lumosai.messages import Message

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from lumosai.events import Event, ModelCallStarted
    from lumosai.messages import ToolResultPart

_encode: Final = msgspec.json.Encoder().encode
MARK: Final = "#"
_RESULTS: Final = ".r"
"""What the id of a message of results ends with, behind the id of the answer that called."""


class AtHand:
    """The messages that events, and a thread, hold already. A list of events may grow; it is read on from where it ended.

    Attributes:
        events: the run's, from its first.
    """

    __slots__ = ("_messages", "_read", "_results", "events")

    def __init__(self, events: list[Event]) -> None:
        self.events = events
        self._read = 0
        self._messages: dict[str, Message] = {}
        self._results: dict[str, ToolResultPart] = {}

    def tell(self, messages: Iterable[Message]) -> None:
        """These lie in the run's thread, as they are."""
        self._messages.update({m.id: m for m in messages if m.id is not None})

    def name_of(self, message: Message) -> str | None:
        """What names a message in a stored request; None where it has to be stored for itself."""
        name = message.id
        if name is None:
            return None
        self._go_on()
        known = self._messages.get(name)
        if known is None and name.endswith(_RESULTS):
            made = self._results_of(name)
            same = made is not None and len(made.parts) == len(message.parts)
            if made is not None and same and all(a is b for a, b in zip(made.parts, message.parts, strict=True)):
                known = self._messages[name] = message
        return MARK + name if known is message else None

    def get(self, name: str) -> Message | None:
        """The message of an id, as far as the events hold it."""
        self._go_on()
        found = self._messages.get(name)
        if found is None and name.endswith(_RESULTS):
            found = self._results_of(name)
            if found is not None:
                self._messages[name] = found
        return found

    def _results_of(self, name: str) -> Message | None:
        answer = self._messages.get(name.removesuffix(_RESULTS))
        if answer is None:
            return None
        results = [self._results[c.id] for c in answer.tool_calls if c.id in self._results]
        return Message("tool", tuple(results), name) if results else None

    def _go_on(self) -> None:
        events, messages = self.events, self._messages
        for number in range(self._read, len(events)):
            event = events[number]
            kind = type(event)
            if kind is RunStarted:
                messages |= {m.id: m for m in event.input if m.id is not None}  # type: ignore[attr-defined]  # of this kind
            elif kind is InputReceived or kind is ModelCallComplete:
                message = event.message  # type: ignore[attr-defined]  # of these kinds
                if message is not None and message.id is not None:
                    messages[message.id] = message
            elif kind is ToolCallComplete:
                self._results[event.call_id] = event.result  # type: ignore[attr-defined]  # of this kind
        self._read = len(events)


class Requests:
    """Requests of a run as they are stored.

    Args:
        events: the run's, from its first; the list may grow.

    Attributes:
        at_hand: messages that need not be stored with them.
    """

    __slots__ = ("_hashes", "_named", "_stored", "at_hand")

    def __init__(self, events: list[Event]) -> None:
        self.at_hand = AtHand(events)
        self._hashes: dict[int, tuple[Any, str]] = {}
        self._named: tuple[Sequence[Message], list[int], tuple[str, ...]] = ((), [], ())
        self._stored: set[str] = set()

    def light(self, event: ModelCallStarted, contents: dict[str, bytes]) -> ModelCallStarted:
        """The event with names for its prompt and tools; `contents` takes what is not stored yet."""
        names = self._names(event.prompt, contents)
        tools = self._hash_of(event.tools, contents) if event.tools else None
        return msgspec.structs.replace(event, prompt=(), tools=(), prompt_hashes=names, tools_hash=tools)

    def _names(self, prompt: Sequence[Message], contents: dict[str, bytes]) -> tuple[str, ...]:
        """Names of a prompt's messages: those that the last one begins with, by identity, have theirs already."""
        before, ids, names = self._named
        count = len(before)
        now = [*map(id, prompt)]
        if not count or now[:count] != ids:
            names, count = (), 0
        name_of = self.at_hand.name_of
        names += tuple([name_of(m) or self._hash_of(m, contents) for m in prompt[count:]])
        if contents.keys().isdisjoint(names):  # else they are to be stored again, should that fail now
            self._named = (prompt, now, names)
        return names

    def stored(self, contents: Iterable[str]) -> None:
        """These are stored."""
        self._stored.update(contents)

    def _hash_of(self, value: Any, contents: dict[str, bytes]) -> str:
        known = self._hashes.get(id(value))
        if known is None:
            known = self._hashes[id(value)] = (value, content_hash(value))
        digest = known[1]
        if digest not in self._stored and digest not in contents:
            contents[digest] = _encode(value)
        return digest
