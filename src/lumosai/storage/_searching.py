"""What the search index gives and takes: where to search, what matches, what waits to be indexed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import msgspec

from lumosai.messages import Message, TextPart, ToolResultPart
from lumosai.storage._records import MessageFilter, StoredMessage, ThreadRecord

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from lumosai._terms import Wanted
    from lumosai.storage._page import Page


class Within(msgspec.Struct, frozen=True, kw_only=True):
    """Which messages a search goes through: a thread's, else a resource's, else all that the scope sees.

    Attributes:
        thread_id: the path of one of its branches is searched.
        branch: that branch's number, None for the active one.
        resource_id: the active paths of its threads are searched.
        filter: which of these; None for all.
    """

    thread_id: str = ""
    branch: int | None = None
    resource_id: str = ""
    filter: MessageFilter | None = None


def searchable(message: Message) -> str:
    """What of a message is searched: what was said in it, and what tools answered."""
    return "\n".join([p.text for p in message.parts if isinstance(p, TextPart | ToolResultPart)])


class Match(msgspec.Struct, frozen=True, gc=False):
    """A message that was found.

    Attributes:
        place: as the search index knows it.
        score: how well it fits; of one search only.
        words: how many words of the question it has, each as much of one as it is rare: a word that stands in no other
            message is nearly 1, a number twice that, one that stands everywhere nearly 0.
    """

    place: int
    score: float
    words: float = 0.0


class FullText(msgspec.Struct, frozen=True):
    """What the full text gives.

    Attributes:
        total: how many messages were searched, about.
        ideal: what a message scores that has every term once.
        matches: those that fit best, the best first.
        words: the question's words, counted as those of a match.
    """

    total: int
    ideal: float
    matches: tuple[Match, ...]
    words: float = 0.0


class VectorsKnown(msgspec.Struct, frozen=True, gc=False):
    """What a reader has of a branch's vectors: of which space and version, how many, and the last one's number."""

    space: int
    version: int
    count: int
    last: int


class VectorBlock(msgspec.Struct, frozen=True, gc=False):
    """Vectors of one branch, in the order of the messages.

    Attributes:
        branch: a message's place is `branch << 32 | seq`.
        space: of which embedding model, as the tables know it.
        version: changes where vectors are taken away.
        anew: whether these are all there are; else they come behind what was known.
        seqs: the messages' numbers.
        data: the vectors, one behind the other, in pieces.
    """

    branch: int
    space: int
    version: int
    anew: bool
    seqs: tuple[int, ...]
    data: tuple[bytes, ...]


class Vectors(msgspec.Struct, frozen=True):
    """What is new of the vectors of the messages that a search goes through.

    Attributes:
        ranges: the places that it goes through, first and last.
        total: how many messages that are, about.
        blocks: by branch, where there are any vectors, those that were not known.
    """

    ranges: tuple[tuple[int, int], ...]
    total: int
    blocks: tuple[VectorBlock, ...]


class Excerpt(msgspec.Struct, frozen=True):
    """A message that was found, with what was said around it.

    Attributes:
        place: as it was asked for.
        thread: where it was said.
        seq: its number on the path that shows it.
        messages: it and its neighbours, in order.
    """

    place: int
    thread: ThreadRecord
    seq: int
    messages: tuple[StoredMessage, ...]


class SearchingHandle(Protocol):
    """The part of a handle that searches."""

    async def search(
        self, text: str, *, resource_id: str = "", limit: int = 50, cursor: str | None = None
    ) -> Page[tuple[ThreadRecord, StoredMessage]]:
        """Messages whose text holds `text`, each with its thread: the thread made last first, its last message first."""
        ...

    async def full_text(self, within: Within, sought: Sequence[Wanted], *, limit: int = 50) -> FullText:
        """The messages that fit terms best, of those that are indexed; by BM25 over what is searched alone.

        Raises:
            NotFoundError: no such thread or branch.
        """
        ...

    async def vectors(self, within: Within, space: str, known: Mapping[int, VectorsKnown]) -> Vectors:
        """What is new of the vectors of the messages that a search goes through.

        Args:
            within: which messages.
            space: the name of the embedding model that made them.
            known: what the reader has already, by branch.

        Raises:
            NotFoundError: no such thread or branch.
        """
        ...

    async def fitting(self, within: Within, places: Sequence[int]) -> dict[int, float]:
        """Of some places those that a search goes through and its filter means, and when each was stored, unix seconds."""
        ...

    async def excerpts(
        self, within: Within, places: Sequence[int], *, before: int = 0, after: int = 0
    ) -> tuple[Excerpt, ...]:
        """What was said at these places and around them; what is gone, or is not searched, is left out."""
        ...

    async def vector_space(self, name: str) -> int:
        """The tenant's messages are to have vectors of the embedding model of that name, old ones too; its key."""
        ...


class Claimed(msgspec.Struct, frozen=True):
    """A message that waits to be indexed, and that one process holds for a while.

    Attributes:
        branch, seq: where it lies.
        message: it, without media and without the tails of long texts.
        before: what was said before it in the same branch, where a vector is to be made; None where nothing was.
        until: how long it is held, by the storage's clock; who holds it longer writes nothing.
        due: when it was due; what is new goes first.
        tries: how often it was tried, this one included.
    """

    branch: int
    seq: int
    message: Message
    before: Message | None = None
    until: float = 0.0
    due: float = 0.0
    tries: int = 1


class SearchIndex(Protocol):
    """What waits to be indexed, of every scope, and how the index gets it. Kind 0 is the full text, others are vectors."""

    async def claim(self, kind: int, limit: int, *, hold_s: float = 60.0) -> tuple[Claimed, ...]:
        """Some of what waits, which no other process gets for so long."""
        ...

    async def reclaim(self, kind: int) -> int:
        """Frees what dead processes hold."""
        ...

    async def put_texts(self, done: Sequence[tuple[Claimed, Collection[str]]]) -> int:
        """Writes messages' terms; how many still waited for it. They may then wait for vectors."""
        ...

    async def put_vectors(self, space: int, done: Sequence[tuple[Claimed, bytes]]) -> int:
        """Writes messages' vectors; how many still waited for it."""
        ...

    async def postpone(self, kind: int, claimed: Sequence[Claimed], delay_s: float) -> None:
        """Gives back what was claimed, to be tried again later."""
        ...

    async def drop(self, kind: int, claimed: Sequence[Claimed]) -> None:
        """Takes off the list what cannot be indexed."""
        ...

    async def waiting(self, kinds: Collection[int]) -> tuple[int, float | None]:
        """How many wait, and in how many seconds the first is due; None where none waits."""
        ...

    async def spaces(self, name: str) -> tuple[int, ...]:
        """The kinds of vectors that the embedding model of that name makes, of every tenant."""
        ...

    async def backfill(self, space: int) -> bool:
        """Puts some more old messages on a space's list; whether there may be more."""
        ...

    async def clear_stale(self) -> bool:
        """Deletes some vectors of embedding models that nobody has asked for in a week; whether there are more."""
        ...

    async def purge(self) -> None:
        """Writes the full text anew, so that nothing of what was deleted stays in the file."""
        ...
