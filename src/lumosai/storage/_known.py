"""What a run's events say that the database holds elsewhere, too: what a run that has ended is packed against.

That is what the run refers to by hash (instructions, descriptions of tools), the ids of its thread's messages around it,
and the content of its own. So a run that has ended holds none of its thread's words a second time, and cannot be read
once they are gone: who deletes messages deletes the runs that said them, and packs others anew (`_forgetting`). The form
is part of a stored format, see `_packing`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import msgspec

from lumosai.storage import _packing as packing
from lumosai.storage._op import Query

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lumosai.storage._op import Row, Steps
    from lumosai.storage._packing import Place

BEFORE: Final = 24
"""Messages before a run's own whose ids it may speak of."""
_LONGEST: Final = 16_384
"""Characters of a message, and bytes of other content, that count."""
_SAID: Final = re.compile(rb'"message_ids":(\[(?:"[^"\\]*",?)+\])[^\n]*\Z')
_ids: Final = msgspec.json.Decoder(list[str]).decode


def place(key: int, run_id: str, data: bytes) -> Steps[Place | None]:
    """Where the messages lie that the last of a run's events names as its own; None where it has none there.

    Others may have messages of the same id, and say of any that a run made it: only its own tenant's count.
    """
    found = _SAID.search(data)
    if found is None:
        return None
    said = _ids(found[1])
    rows = yield Query(
        """SELECT messages.branch, messages.seq FROM messages JOIN branches ON branches.key = messages.branch
            JOIN threads ON threads.key = branches.thread
            WHERE messages.id = ? AND messages.run_id = ? AND threads.tenant = (SELECT tenant FROM runs WHERE key = ?)
            ORDER BY messages.branch LIMIT 1""",
        (said[-1], run_id, key),
    )
    if not rows:
        return None
    branch, last = rows[0]
    return packing.Place(branch, max(1, last - len(said) - BEFORE), last)


def known(key: int, run_id: str, where: Place | None, *, hold: bool = False) -> Steps[bytes]:
    """What a run's events say, too; with `hold` nobody deletes it before the transaction has ended."""
    pieces: list[bytes] = []
    rows = yield Query(
        """SELECT contents.hash, contents.data FROM run_uses JOIN contents
            ON contents.tenant = run_uses.tenant AND contents.hash = run_uses.hash
            WHERE run_uses.run = ? AND contents.size <= ? ORDER BY contents.hash{bytewise}""",
        (key, _LONGEST),
    )
    for digest, data in rows:
        pieces += (bytes(data), b'["%s","' % digest.encode())
    if where is not None:
        rows = yield Query(
            """SELECT id, CASE WHEN run_id = ? THEN substr(body, 1, ?) ELSE '' END FROM messages
                WHERE branch = ? AND seq BETWEEN ? AND ? ORDER BY seq"""
            + ("{hold}" if hold else ""),
            (run_id, _LONGEST, *where),
        )
        pieces += [b'{"kind":"history","message_id":"%s"},' % row[0].encode() for row in rows]
        pieces += [b'"#%s",' % row[0].encode() for row in rows]
        pieces += [row[1].encode() for row in rows]
    return b"".join(pieces)


def unpacked(key: int, run_id: str, rows: Iterable[Row]) -> Steps[list[bytes]]:
    """Rows of a run's events, each as it was stored. The data comes last in each."""
    at_hand: dict[Place | None, bytes] = {}
    found = []
    for row in rows:
        data = bytes(row[-1])
        if packing.needs(data):
            where = packing.place_of(data)
            if where not in at_hand:
                at_hand[where] = yield from known(key, run_id, where)
            data = packing.unpacked(data, at_hand[where])
        else:
            data = packing.unpacked(data)
        found.append(data)
    return found
