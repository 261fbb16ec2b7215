"""What a handle asks of its back end: to drive operations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol, TypeVar

if TYPE_CHECKING:
    from lumosai.storage._op import Op

T = TypeVar("T")

Lane = Literal["barrier", "memory", "journal", "telemetry"]


class Database(Protocol):
    """What a handle asks of its back end."""

    def now(self) -> float:
        """Unix seconds."""
        ...

    async def write(self, op: Op[T], lane: Lane = "memory", *, again: bool = False) -> T:
        """Drives an operation in a transaction, and commits it; `again`: it may be done twice, and is where that must be."""
        ...

    async def read(self, op: Op[T]) -> T:
        """Drives an operation that changes nothing, on one state of the database."""
        ...
