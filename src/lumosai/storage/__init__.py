"""Where threads, messages and runs are kept: one contract, SQLite and PostgreSQL behind it.

    storage = open_storage("sqlite:///lumosai.db")      # or "postgresql://…"
    mine = storage.scope(Scope(owner="alice"))
    await mine.create_thread("t1", title="Holidays")

`base` is the contract; `conformance` is the suite that any back end must pass.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lumosai.storage.base import (
    Branch,
    Handle,
    MessageFilter,
    Page,
    SessionFilter,
    Storage,
    StoredMessage,
    System,
    ThreadFilter,
    ThreadRecord,
    open_storage,
)

if TYPE_CHECKING:
    from lumosai.storage.postgres import PostgresStorage
    from lumosai.storage.sqlite import SqliteStorage

__all__ = [
    "Branch",
    "Handle",
    "MessageFilter",
    "Page",
    "PostgresStorage",
    "SessionFilter",
    "SqliteStorage",
    "Storage",
    "StoredMessage",
    "System",
    "ThreadFilter",
    "ThreadRecord",
    "open_storage",
]

_HOMES = {"PostgresStorage": "postgres", "SqliteStorage": "sqlite"}


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        msg = f"module 'lumosai.storage' has no attribute {name!r}"
        raise AttributeError(msg)
    from importlib import import_module

    value = getattr(import_module(f"lumosai.storage.{home}"), name)
    globals()[name] = value
    return value
