"""Operations on contents: media, the tails of long texts, prompts, tool lists. Each is stored once a tenant, by its hash.

Messages and runs refer to one by its key. It stays for as long as any of them does, and goes with the last. What is longer
than a piece lies in several, of which the row of contents holds the first: so it need not be removed in one go.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from lumosai.storage import _tables as tables
from lumosai.storage._op import Query, marks

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from lumosai.storage._op import Row, Steps
    from lumosai.storage._who import Who

PIECE: Final = 64 * 1024
"""Bytes of a piece. Contents that were stored by earlier programs are longer."""
_AT_ONCE: Final = 500
_FEW: Final = 16
"""Contents of which a run's events usually bring no more."""


COLUMNS: Final = "contents.key, contents.hash, contents.size, contents.data"
PIECES: Final = "SELECT data FROM pieces WHERE whole = ? ORDER BY number"


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
    new = [(who.tenant, h, len(contents[h]), now, contents[h][:PIECE]) for h in hashes if h not in there]
    if new:
        yield Query(
            """INSERT INTO contents (tenant, hash, size, created_at, data) VALUES (?, ?, ?, ?, ?)
                ON CONFLICT (tenant, hash) DO {there}""",
            new,
            many=True,
        )
    for tenant, digest, size, *_ in new:
        if size > PIECE:
            whole = contents[digest]
            yield Query(
                """INSERT INTO pieces (whole, number, data)
                    SELECT key, CAST(? AS BIGINT), CAST(? AS {data}) FROM contents WHERE tenant = ? AND hash = ?
                    ON CONFLICT (whole, number) DO NOTHING""",
                [(n, whole[n * PIECE : (n + 1) * PIECE], tenant, digest) for n in range(1, -(-size // PIECE))],
                many=True,
            )


def put_for_run(who: Who, run: int, contents: Mapping[str, bytes], now: float) -> Steps[None]:
    """Stores contents, as `put`, that a run refers to. Mostly they are there already, as a prompt is and a tool list."""
    hashes = sorted(contents)
    if len(hashes) <= _FEW:
        rows = yield Query(
            f"""INSERT INTO run_uses (run, content)
                SELECT CAST(? AS BIGINT), key FROM contents WHERE tenant = ? AND hash IN ({marks(len(hashes))})
                ORDER BY key{{hold}} ON CONFLICT (run, content) DO NOTHING RETURNING content""",
            (run, who.tenant, *hashes),
        )
        if len(rows) == len(hashes):
            return
    yield from put(who, contents, now)
    yield from used_by_run(who.tenant, run, hashes)


def read(rows: Iterable[Row]) -> Steps[dict[str, bytes]]:
    """Contents by hash, of rows of `COLUMNS`, each whole."""
    found: dict[str, bytes] = {}
    for key, digest, size, data in rows:
        pieces = [bytes(data)]
        if len(pieces[0]) < size:
            more = yield Query(PIECES, (key,))
            pieces += [bytes(row[0]) for row in more]
        found[digest] = b"".join(pieces)
    return found


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


def drop_unused(keys: Iterable[int], *, later: bool = False) -> Steps[None]:
    """Deletes contents that nobody refers to any more.

    Others who drop one are waited for first, so that the last sees that it is. Only what then seems unused is locked:
    whoever is about to refer to it is waited for, too, and its reference seen. Who refers to what is in use all the same,
    such as a prompt that all runs share, is not: it may hold a prompt and wait for the thread that is deleted here.

    Args:
        keys: of contents.
        later: whether the pieces of long ones go with `_removal.sweep`, a few at a time.
    """
    some: list[tuple[int]] = []
    long: list[tuple[int]] = []
    for key in sorted(set(keys)):
        yield Query("SELECT 1 FROM contents WHERE key = ?{guard}", (key,))
        rows = yield Query(f"SELECT size FROM contents WHERE key = ? AND {tables.unused()}{{lock}}", (key,))
        if rows:
            some.append((key,))
            if rows[0][0] > PIECE:
                long.append((key,))
    if long:
        which = f"FROM contents WHERE key = ? AND {tables.unused()}"
        told = f"INSERT INTO removed (kind, key) SELECT 'content', key {which} ON CONFLICT (kind, key) DO NOTHING"
        yield Query(told if later else f"DELETE FROM pieces WHERE whole IN (SELECT key {which})", long, many=True)
    if some:
        yield Query(f"DELETE FROM contents WHERE key = ? AND {tables.unused()}", some, many=True)


def unused(after: int, limit: int, before: float) -> Steps[tuple[int, ...]]:
    """Contents stored before a moment that nobody refers to, in order, beyond a key."""
    rows = yield Query(
        f"SELECT key FROM contents WHERE key > ? AND created_at < ? AND {tables.unused()} ORDER BY key LIMIT ?",
        (after, before, limit),
    )
    return tuple([row[0] for row in rows])
