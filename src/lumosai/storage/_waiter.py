"""A future whose first waiter goes on in the very turn of the event loop in which it is done, and not in the next one.

What another thread has finished comes into an event loop as a call; a usual future would then only put whoever waits for
it in line behind that call. Each turn saved is one question to the operating system less.
"""

from __future__ import annotations

import asyncio
from contextvars import Context, copy_context
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


class Waiter(asyncio.Future[T]):
    """A future to be done by `finish` alone, from a call of its event loop: no task may be at work there."""

    _first: tuple[Callable[[asyncio.Future[T]], object], Context] | None = None

    def add_done_callback(  # type: ignore[override]  # the stubs name the parameter otherwise
        self, fn: Callable[[asyncio.Future[T]], object], *, context: Context | None = None
    ) -> None:
        if self._first is None and not self.done():
            self._first = (fn, context if context is not None else copy_context())
        else:
            super().add_done_callback(fn, context=context)

    def remove_done_callback(self, fn: Callable[[Any], object], /) -> int:
        removed = super().remove_done_callback(fn)
        if self._first is not None and self._first[0] == fn:
            self._first = None
            removed += 1
        return removed

    def cancel(self, msg: Any = None) -> bool:
        """As of any future: whoever waits hears of it in the next turn, since a task may be at work."""
        first, self._first = self._first, None
        if first is not None:
            super().add_done_callback(first[0], context=first[1])
        return super().cancel(msg)

    def finish(self, value: T, error: BaseException | None = None) -> None:
        """Gives what is waited for, unless nobody waits any more."""
        if self.done():
            return
        if error is None:
            self.set_result(value)
        else:
            self.set_exception(error)
        first, self._first = self._first, None
        if first is None:
            return
        try:
            first[1].run(first[0], self)
        except Exception as raised:  # noqa: BLE001  # as an event loop does with a callback that fails
            self.get_loop().call_exception_handler(
                {"message": f"a callback of {self!r} failed", "exception": raised, "future": self}
            )
