"""A connection to PostgreSQL that asks in as few messages as may be, one transaction at a time.

What costs a program most of a short statement is the way to the server and back. So a statement goes there once: the types
of its parameters and rows, which asyncpg asks for first, are the same each time and are remembered, though nothing is
prepared on the server, where a pooler may give the next transaction another connection. And a statement that gives no
rows is not waited for: with the next one that is asked for rows, or with the commit, it goes ahead of it in the same
message, and the server works on them in their order. Where one fails, so does what goes behind it.
"""

from __future__ import annotations

import re
import struct
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    import asyncpg

    from lumosai.storage._op import Rows

_MOST: Final = 512
"""Statements whose types are remembered."""
_TRIED: Final = (0, 32)
"""The newest asyncpg in which it was tried that statements go ahead: that it takes their answers is nowhere promised."""
_FEW: Final = 32
"""Rows of a statement that goes ahead, at the most: asyncpg writes many of them quicker."""
_AHEAD: Final = 256 * 1024
"""Bytes that go ahead of a statement in one message, at the most."""
_NOTHING: Final = "SELECT 1 WHERE false"
_NULL: Final = b"\xff\xff\xff\xff"
_EXECUTE: Final = b"E\0\0\0\x09\0\0\0\0\0"
_TELLS: Final = re.compile(r"\s*(INSERT|UPDATE|DELETE)\b(?!.*\bRETURNING\b)", re.DOTALL | re.IGNORECASE).match


class Connection:
    """One connection of asyncpg's.

    Args:
        raw: the connection.
        named: whether statements stay prepared on the server, which nothing stands before.
        ahead: whether statements may go ahead; else each waits for its answer.

    Attributes:
        since: when it was last given back, by the event loop's clock.
        uses: transactions that it has begun.
    """

    __slots__ = (
        "_ahead",
        "_at_rest",
        "_begun",
        "_known",
        "_late",
        "_named",
        "_nothing",
        "_size",
        "_sure",
        "_transport",
        "raw",
        "since",
        "uses",
    )

    def __init__(self, raw: asyncpg.Connection, *, named: bool, ahead: bool = True) -> None:
        self.raw = raw
        self.since = 0.0
        self.uses = 0
        self._named = named
        self._transport: Any = getattr(raw, "_transport", None) if ahead else None
        self._known: dict[str, Any] = {}
        self._nothing: Any = None
        self._ahead: list[bytes] = []
        self._size = 0
        self._at_rest = True
        self._begun = False
        self._late = False
        self._sure = True

    @property
    def usable(self) -> bool:
        """Whether another transaction may begin on it."""
        return self._at_rest and not self.raw.is_closed()

    def forget(self) -> None:
        """The tables are no longer what they were."""
        self._known.clear()

    async def begin(self, opening: str, *, late: bool = False) -> None:
        """Begins a transaction by these statements, which have no parameters; a late one behind what may be apart."""
        self.uses += 1
        self._late = late
        self._at_rest = self._begun = False
        if self._nothing is not None:
            self._ahead.append(_opened(opening))
            return
        self._begun = True
        await self.raw.execute(opening)
        if self._transport is not None:
            self._nothing = await self._prepared(_NOTHING)

    async def rows(self, sql: str, parameters: Sequence[Any] = ()) -> Rows:
        """What a statement gives."""
        statement = self._known.get(sql) or await self._statement(sql)
        if self._ahead:
            self._write()
        try:
            found: Rows = await statement.fetch(*parameters)
        except BaseException as error:
            self._failed(error, sql)
            raise
        self._sure = True
        return found

    async def rows_apart(self, sql: str, parameters: Sequence[Any] = ()) -> Rows:
        """What a statement gives that may be apart: by itself, where the transaction is late and did not begin yet."""
        if self._begun or not self._late:
            return await self.rows(sql, parameters)
        ahead, self._ahead = self._ahead, []
        self._begun = True
        found = await self.rows(sql, parameters)
        self._ahead, self._begun = ahead, False
        return found

    def tell(self, sql: str, rows: Sequence[Sequence[Any]]) -> bool:
        """Takes a statement that gives no rows, to go ahead of the next one, for each of these rows; whether it did."""
        if self._transport is None or len(rows) > _FEW or (self._named and sql not in self._known):
            return False
        name = self._known[sql].get_name().encode() if self._named else b""
        parts = [] if self._named else [_parse(sql)]
        size = 0
        for parameters in rows:
            bound = _bound(parameters, name)
            if bound is None:
                return False
            parts += (bound, _EXECUTE)
            size += len(bound)
        if self._size + size > _AHEAD:
            return False
        self._size += size
        self._ahead += parts
        return True

    async def run(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        """Runs a statement that gives no rows for each of these, where `tell` did not take it."""
        statement = self._known.get(sql) or await self._statement(sql)
        if self._ahead:
            self._write()
        try:
            await statement.executemany(rows)
        except BaseException as error:
            self._failed(error, sql)
            raise
        self._sure = True

    async def commit(self) -> None:
        """Ends the transaction: it is stored."""
        if self._begun or len(self._ahead) > 1:  # else there was nothing but what was apart
            await self.rows("COMMIT")
        self._ahead.clear()
        self._at_rest = True

    async def rollback(self) -> None:
        """Ends the transaction, where the server knows of it and answers."""
        self._ahead.clear()
        self._size = 0
        if self._sure:
            if self._begun:
                await self.raw.execute("ROLLBACK")
            self._at_rest = True

    async def _statement(self, sql: str) -> Any:
        """A statement, its types known from here on."""
        if self._ahead:  # which cannot go with the question for types
            self._write()
            try:
                await self._nothing.fetch()
            except BaseException as error:
                self._failed(error, sql)
                raise
            self._sure = True
        if len(self._known) >= _MOST:
            self._known.clear()
        statement = self._known[sql] = await self._prepared(sql)
        return statement

    async def _prepared(self, sql: str) -> Any:
        return await self.raw.prepare(sql, name=None if self._named else "")

    def _write(self) -> None:
        """Tells the server what goes ahead of a statement, which follows at once."""
        self._begun = True
        ahead, self._ahead, self._size = self._ahead, [], 0
        if not self.raw.is_closed():
            self._sure = False
            self._transport.write(b"".join(ahead))

    def _failed(self, error: BaseException, sql: str) -> None:
        """Nobody knows what the server waits for where something went ahead and asyncpg then refused what was to follow.

        Where the call was cancelled, it has the server told, and reads its answer.
        """
        self._known.pop(sql, None)
        if not isinstance(error, Exception) or getattr(error, "severity", None) is not None:
            self._sure = True


def is_tried(version: str) -> bool:
    """Whether statements may go ahead in an asyncpg of this version."""
    parts = version.split(".")[:2]
    return all(part.isdigit() for part in parts) and tuple(map(int, parts)) <= _TRIED


@lru_cache(maxsize=4096)
def gives_rows(sql: str) -> bool:
    """Whether a statement may give rows."""
    return _TELLS(sql) is None


@lru_cache(maxsize=16)
def _opened(opening: str) -> bytes:
    """The messages of statements without parameters."""
    bound = _bound(()) or b""
    return b"".join([_parse(sql) + bound + _EXECUTE for sql in opening.split("; ")])


@lru_cache(maxsize=1024)
def _parse(sql: str) -> bytes:
    """The message that has the server parse a statement."""
    text = sql.encode()
    return b"P%b\0%b\0\0\0" % (struct.pack("!i", len(text) + 8), text)


def _bound(parameters: Sequence[Any], name: bytes = b"") -> bytes | None:
    """The message that gives a statement its parameters; None where one is of a type that only asyncpg can write."""
    formats, values = bytearray(), []
    for value in parameters:
        kind = type(value)
        if kind is bytes:
            raw = value
        elif kind is str:
            try:
                raw = value.encode()
            except UnicodeEncodeError:
                return None
        elif kind is int:
            raw = b"%d" % value
        elif kind is float:
            raw = repr(value).encode()
        elif value is None:
            formats += b"\0\0"
            values.append(_NULL)
            continue
        else:
            return None
        formats += b"\0\1" if kind is bytes else b"\0\0"
        values += (len(raw).to_bytes(4, "big"), raw)
    count = len(parameters).to_bytes(2, "big")
    body = b"".join([b"\0", name, b"\0", count, formats, count, *values, b"\0\0"])
    return b"B%b%b" % (struct.pack("!i", len(body) + 4), body)
