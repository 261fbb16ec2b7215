"""What the connection that writes does before it closes: a small file is left as small as it can be, in some milliseconds.

The full text is written in pieces that are put together now and then, which leaves terms several times and pages free. In a
large file that is little beside the rest, and goes with what `lumosai db gc` does.
"""

from __future__ import annotations

import sqlite3
from contextlib import suppress
from typing import Final

_LEAVES: Final = 400
"""Pages of the full text, at the most, that are written anew as one piece."""
_PIECES: Final = 4
"""Pieces, at the least, of which one is made."""
_COUNT: Final = "SELECT count(DISTINCT id >> 37) FROM fulltext_data WHERE id >> 37 > 0"
"""A block's piece is in its number, see the form of FTS5's tables."""
_GIVEN: Final = 500
"""Free pages that are given back, at the most."""


def tidy(connection: sqlite3.Connection) -> None:
    """Puts in order what this connection wrote; leaves it where another process is at work."""
    with suppress(sqlite3.Error):
        connection.execute("PRAGMA busy_timeout = 0")
        connection.execute("PRAGMA optimize")
        if not connection.total_changes:
            return
        leaves = connection.execute("SELECT count(*) FROM fulltext_idx").fetchone()[0]
        if leaves <= _LEAVES and connection.execute(_COUNT).fetchone()[0] >= _PIECES:
            connection.execute("INSERT INTO fulltext (fulltext) VALUES ('optimize')")
        if connection.execute("PRAGMA freelist_count").fetchone()[0]:
            # A script, as each step of the statement gives back one page.
            connection.executescript(f"PRAGMA incremental_vacuum({_GIVEN})")
