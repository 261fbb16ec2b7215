"""Errors of PostgreSQL's and of its connections as ours, each with the way out."""

from __future__ import annotations

import re
from typing import Final

from lumosai.errors import (
    InvalidInputError,
    LumosaiError,
    StorageBrokenError,
    StorageError,
    StorageFullError,
    StorageUnavailableError,
)

_UNDONE: Final = frozenset({"40001", "40P01"})
"""Serialisation failure and deadlock: the transaction was undone, whole, and may be tried again."""
_LOST: Final = ("08", "53300", "57P01", "57P02", "57P03", "57P05", "25P03", "25P04")
"""The connection is gone or was not given: lost, none left, a server that stops or starts, its bounds for idle ones."""
_REFUSED: Final = re.compile(r"password|auth|no such (user|database)|not allowed|pg_hba", re.IGNORECASE)
"""What a pooler says, in words only, where it lets nobody in."""
_MEANINGS: Final[tuple[tuple[tuple[str, ...], type[StorageError], str], ...]] = (
    (("53100", "53400"), StorageFullError, "cannot grow: its disk is full. Nothing of this call was stored"),
    (("53200",), StorageUnavailableError, "has no memory left for this call, of which nothing was stored"),
    (("28", "3D000"), StorageBrokenError, "does not let us in: check user, password and the database's name"),
    (
        ("25006",),
        StorageBrokenError,
        "takes no writes, of this user or at all (a standby, or default_transaction_read_only): name the primary server",
    ),
    (
        ("42501",),
        StorageBrokenError,
        "does not let this user do that: GRANT it what it needs, or name the tables' owner",
    ),
    (
        ("57014", "55P03"),
        StorageUnavailableError,
        "took longer than its statement_timeout or lock_timeout allow. Nothing of this call was stored: raise them there",
    ),
    (("42P01", "42703", "3F000"), StorageBrokenError, "has lost tables or columns of ours: restore a backup"),
    (("XX001", "XX002"), StorageBrokenError, "is damaged: restore a backup"),
)


class LostError(StorageUnavailableError):
    """The connection was not there, or is there no more.

    Attributes:
        committing: whether that was in the midst of a commit, which may have been made.
    """

    committing = False


class UndoneError(StorageUnavailableError):
    """The transaction gave way to another one."""


def error_of(error: Exception, where: str) -> LumosaiError:
    """What an error of asyncpg's, or of the connection, means; `where` is the database, without a password."""
    import asyncpg

    code = getattr(error, "sqlstate", None)
    if isinstance(error, asyncpg.DataError):
        return InvalidInputError(f"no database can store this: {str(error)[:200]}")
    if isinstance(error, asyncpg.InterfaceError) and not re.search("closed|closing", str(error)):
        return StorageError(f"{where}: {error}")
    if code is not None and code.startswith("08") and _REFUSED.search(str(error)):
        code = "28000"
    if code is None or code.startswith(_LOST):
        what = "has no connection left for us" if code == "53300" else "cannot be reached, or the connection was lost"
        return LostError(f"{where} {what}: {str(error) or type(error).__name__}")
    if code in _UNDONE:
        return UndoneError(f"{where}: {error}")
    for codes, kind, what in _MEANINGS:
        if code.startswith(codes):
            return kind(f"{where} {what} ({error})")
    return StorageError(f"{where}: {str(error)[:500]} ({code})")  # it may quote a text that was given


def unknown(error: LostError) -> StorageUnavailableError:
    """The connection was lost in the midst of a commit that may not be made twice."""
    told = StorageUnavailableError(
        f"{error}. This call may or may not have been stored, for the connection was lost in the midst of its commit: "
        "look before you make it again"
    )
    told.retryable = False
    return told
