"""What is made ready to be stored, and is not yet: alone, or as part of another transaction."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from lumosai.errors import InvalidInputError
from lumosai.storage import _runs as runs

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from lumosai.storage._database import Database
    from lumosai.storage._op import Op
    from lumosai.storage._who import Who
    from lumosai.storage.base import Lease

T = TypeVar("T")


class Pending(Generic[T]):
    """`lumosai.storage.base.Write` over any database.

    Args:
        database: where it is stored.
        who: the scope.
        prepare: makes the operation, and raises what is wrong with it.
        read: what is made of what that gave.
    """

    __slots__ = ("_database", "_lease", "_prepare", "_read", "_value", "_who")

    def __init__(
        self,
        database: Database,
        who: Who,
        prepare: Callable[[], Op[Any]],
        read: Callable[[Any], T] | None = None,
    ) -> None:
        self._database = database
        self._who = who
        self._prepare = prepare
        self._read = read
        self._lease: Lease | None = None
        self._value: T | None = None

    @property
    def value(self) -> T:
        return cast("T", self._value)

    def under(self, lease: Lease | None) -> Pending[T]:
        self._lease = lease
        return self

    def __await__(self) -> Generator[Any, Any, T]:
        return self._alone().__await__()

    async def _alone(self) -> T:
        op = self._prepare()
        if self._lease is not None:
            op = partial(runs.under, self._who, self._lease, op)
        return self.take(await self._database.write(op, again=True))

    def take(self, given: Any) -> T:
        """It is stored: what the operation gave."""
        value: T = given if self._read is None else self._read(given)
        self._value = value
        return value

    def of(self, database: Database, who: Who) -> Op[Any]:
        """The operation, to be part of a transaction of that scope's.

        Raises:
            InvalidInputError: it is another scope's, or another storage's.
        """
        if self._database is not database or self._who != who:
            raise InvalidInputError("what is stored along with a run must be of the run's storage and scope")
        return self._prepare()
