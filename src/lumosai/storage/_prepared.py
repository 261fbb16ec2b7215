"""What is made ready to be stored with something else. Part of the contract in `base`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Generator

    from lumosai.storage._records import Lease

T_co = TypeVar("T_co", covariant=True)


class Write(Protocol[T_co]):
    """Something that is made ready to be stored, and is not yet.

    Awaited, it is a transaction of its own and gives what came of it. Given to `open_run` or `append_events` it is part
    of theirs, and `value` is what came of it once they returned. It may be tried again where it failed.
    """

    @property
    def value(self) -> T_co:
        """What came of it, once it is stored."""
        ...

    def under(self, lease: Lease | None) -> Write[T_co]:
        """The same, refused where a run that holds this lease has been taken over."""
        ...

    def __await__(self) -> Generator[Any, Any, T_co]: ...
