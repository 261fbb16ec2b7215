"""The beginning of a conversation that an agent is handed again and again: looked at and encoded once.

Who keeps a conversation in a list hands the same messages to every run, and a few more. They are recognised by their
identity, for as long as every one of them lives; nothing is kept alive for it.
"""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any, Final

from lumosai.messages import Message
from lumosai.models.base import Notes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Self

LONG: Final = 32
"""Messages from which on it is worth while."""


class Given(tuple[Message, ...]):  # noqa: SLOT001  # a tuple's subclass can have no slots
    """An input that begins as one before it did.

    Attributes:
        trunk: what is known of its beginning.
    """

    trunk: Trunk

    def __new__(cls, messages: Iterable[Message], trunk: Trunk) -> Self:
        made = super().__new__(cls, messages)
        made.trunk = trunk
        return made


class Trunk:
    """All messages of an input but its last, which is the question. Its parts are never changed, only added to.

    Attributes:
        ids: of the messages, in order. They mean nothing where one of these does not live any more.
        refs: to the messages; none where the trunk was seen but once.
        lost: the references to messages that are gone.
        checked: how many of the first messages can be sent as they are.
    """

    __slots__ = ("_noted", "checked", "ids", "lost", "refs")

    def __init__(self, ids: list[int], refs: list[weakref.ref[Message]], lost: list[object], checked: int = 0) -> None:
        self.ids = ids
        self.refs = refs
        self.lost = lost
        self.checked = checked
        self._noted: tuple[Message | None, dict[object, tuple[int, Any]]] = (None, {})

    def grown(self, messages: tuple[Message, ...], ids: list[int]) -> Trunk:
        """The trunk that `messages` have, which begin with this one; it knows what this one does."""
        tell: Callable[[object], None] = self.lost.append
        new = messages[len(self.refs) : len(ids)]
        grown = Trunk(ids, [*self.refs, *[weakref.ref(m, tell) for m in new]], self.lost, self.checked)
        system, noted = self._noted
        grown._noted = (system, dict(noted))
        return grown

    def notes(self, system: Message | None) -> Notes:
        """What is known of the prompts that begin with these instructions and the trunk."""
        before, noted = self._noted
        if before is not system:
            noted = {}
            self._noted = (system, noted)
        return Notes(noted, len(self.ids) + (system is not None))


class Earlier:
    """What an agent knows of the conversation that it was handed last."""

    __slots__ = ("_trunk",)

    def __init__(self) -> None:
        self._trunk: Trunk | None = None

    def trunk(self, messages: tuple[Message, ...]) -> Trunk | None:
        """What is known of the beginning of `messages`; None where it was not seen before."""
        ids = list(map(id, messages))
        del ids[-1]
        trunk = self._trunk
        if trunk is None or trunk.lost or ids[: len(trunk.ids)] != trunk.ids:
            self._trunk = Trunk(ids, [], [])  # it may come again
            return None
        if len(trunk.refs) < len(ids):
            try:
                trunk = self._trunk = trunk.grown(messages, ids)
            except TypeError:  # what is no message: its checks will say so
                return None
        return trunk
