"""Operations on contents: media, the tails of long texts, prompts, tool lists. Each is stored once a tenant, by its hash.

Messages and runs refer to one by its key. It stays for as long as any of them does, and goes with the last.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from lumosai.storage import _tables as tables
from lumosai.storage._op import Query, marks

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from lumosai.storage._op import Steps
    from lumosai.storage._who import Who

_AT_ONCE: Final = 500


def put(who: Who, contents: Mapping[str, bytes], now: float) -> Steps[None]:
    """Stores contents by hash, those that are there already not again; who refers to them does so in this transaction.

    Until it ends nobody deletes them: see `drop_unused`.
    """
    there: set[str] = set()
    hashes = sorted(contents)
    for start in range(0, len(hashes), _AT_ONCE):
        some = hashes[start : start + _AT_ONCE]
        rows = yield Query(
            f"SELECT hash FROM contents WHERE tenant = ? AND hash IN ({marks(len(some))}) ORDER BY key{{hold}}",
            (who.tenant, *some),
        )
        there.update(row[0] for row in rows)
    new = [(who.tenant, h, len(contents[h]), now, contents[h]) for h in hashes if h not in there]
    if new:
        yield Query(
            """INSERT INTO contents (tenant, hash, size, created_at, data) VALUES (?, ?, ?, ?, ?)
                ON CONFLICT (tenant, hash) DO {there}""",
            new,
            many=True,
        )


def used_by_messages(tenant: str, uses: Sequence[tuple[int, int, str]]) -> Steps[None]:
    """Messages refer to contents that are there, each told as (branch, seq, hash)."""
    yield Query(
        """INSERT INTO uses (branch, seq, content)
            SELECT CAST(? AS BIGINT), CAST(? AS BIGINT), key FROM contents WHERE tenant = ? AND hash = ?""",
        [(branch, seq, tenant, digest) for branch, seq, digest in uses],
        many=True,
    )


def used_by_run(tenant: str, run: int, hashes: Iterable[str]) -> Steps[None]:
    """A run refers to contents that are there."""
    yield Query(
        """INSERT INTO run_uses (run, content)
            SELECT CAST(? AS BIGINT), key FROM contents WHERE tenant = ? AND hash = ?
            ON CONFLICT (run, content) DO NOTHING""",
        [(run, tenant, digest) for digest in hashes],
        many=True,
    )


def drop_unused(keys: Iterable[int]) -> Steps[None]:
    """Deletes contents that nobody refers to any more.

    They are locked first: whoever is about to refer to one is waited for, and its reference seen.
    """
    some = [(key,) for key in sorted(set(keys))]
    for one in some:
        yield Query("SELECT 1 FROM contents WHERE key = ?{lock}", one)
    if some:
        yield Query(f"DELETE FROM contents WHERE key = ? AND {tables.unused()}", some, many=True)


def unused(after: int, limit: int, before: float) -> Steps[tuple[int, ...]]:
    """Contents stored before a moment that nobody refers to, in order, beyond a key."""
    rows = yield Query(
        f"SELECT key FROM contents WHERE key > ? AND created_at < ? AND {tables.unused()} ORDER BY key LIMIT ?",
        (after, before, limit),
    )
    return tuple([row[0] for row in rows])
