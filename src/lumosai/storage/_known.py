"""What a run's events say that the database holds elsewhere, too: what a run that has ended is packed against.

That is what its row says (its id, agent, definition and thread, which nothing changes), what it refers to by hash
(instructions, descriptions of tools), the ids of its thread's messages around it, and the content of its own. So a run
that has ended holds none of its thread's words a second time, and cannot be read once they are gone: who deletes messages
deletes the runs that said them, and packs others anew (`_forgetting`). It is part of a stored format, see `_packing`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from lumosai.errors import StorageBrokenError
from lumosai.storage import _ids as ids
from lumosai.storage import _packing as packing
from lumosai.storage._op import Query
from lumosai.storage._skeleton import FRAME, SKELETON

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lumosai.storage._op import Row, Rows, Steps
    from lumosai.storage._packing import Form, Place

BEFORE: Final = 24
"""Messages before a run's own whose ids it may speak of."""
_LONGEST: Final = 16_384
"""Characters of a message, and bytes of other content, that count."""
_NAMED: Final = 100
"""Messages whose ids count, at the most: the last ones."""
_FIRST: Final = 2
_SAID: Final = re.compile(rb'"message_ids":(\[(?:"[^"\\]*",?)+\])[^\n]*\Z')
_names: Final = msgspec.json.Decoder(list[str]).decode


class Placed(NamedTuple):
    """Messages that an operation stored, or found stored.

    Attributes:
        numbers: their numbers on the branch.
        run_id: of the run that they are stored for.
        branch: the branch that the last of them was put on, by its key; 0 where it was there before.
        last: its id.
    """

    numbers: tuple[int, ...]
    run_id: str
    branch: int = 0
    last: str = ""


def place_among(stored: Iterable[object], run_id: str, data: bytes) -> Place | None:
    """As `place`, where an operation of the same transaction has just put the last of these messages there."""
    placed = next((p for p in stored if type(p) is Placed and p.branch and p.run_id == run_id), None)
    found = _SAID.search(data) if placed is not None else None
    if placed is None or found is None:
        return None
    said = _names(found[1])
    return _around(placed.branch, placed.numbers[-1], len(said)) if said[-1] == placed.last else None


def place(key: int, run_id: str, data: bytes) -> Steps[Place | None]:
    """Where the messages lie that the last of a run's events names as its own; None where it has none there.

    Others may have messages of the same id, and say of any that a run made it: only its own tenant's count.
    """
    found = _SAID.search(data)
    if found is None:
        return None
    said = _names(found[1])
    rows = yield Query(
        """SELECT messages.branch, messages.seq FROM messages JOIN branches ON branches.key = messages.branch
            JOIN threads ON threads.key = branches.thread
            WHERE messages.id = ? AND messages.run_id = ? AND threads.tenant = (SELECT tenant FROM runs WHERE key = ?)
            ORDER BY messages.branch LIMIT 1""",
        (ids.packed(said[-1]), ids.packed(run_id), key),
    )
    if not rows:
        return None
    branch, last = rows[0]
    return _around(branch, last, len(said))


def _around(branch: int, last: int, count: int) -> Place:
    """Some messages of a branch up to a number, and those before them."""
    return packing.Place(branch, max(1, last - count - BEFORE), last)


def known(
    key: int, run_id: str, where: Place | None, form: Form = 3, *, hold: bool = False, given: bool = False
) -> Steps[bytes]:
    """What a run's events say, too: the dictionary of a form.

    Args:
        key: the run's.
        run_id: its id.
        where: its thread's messages, None where it says nothing of any. Those that the branch was given when the thread
            that it shared them with was deleted do not count: they were not there when the events were packed.
        form: of what is packed against it.
        hold: nobody deletes what it is made of before the transaction has ended.
        given: what the branch was given counts all the same, as it did with earlier programs.
    """
    rows = yield Query(
        """SELECT contents.hash, contents.data, runs.agent, runs.definition, runs.thread_id FROM runs
            LEFT JOIN run_uses ON run_uses.run = runs.key
            LEFT JOIN contents ON contents.key = run_uses.content AND contents.size <= ?
            WHERE runs.key = ? ORDER BY contents.hash{bytewise}""",
        (_LONGEST, key),
    )
    uses = [row for row in rows if row[0] is not None]
    messages: Rows = ()
    if where is not None:
        messages = yield Query(
            """SELECT id, CASE WHEN run_id = ? THEN substr(body, 1, ?) ELSE '' END FROM messages
                WHERE branch = ? AND seq BETWEEN ? AND ?"""
            + (" ORDER BY seq" if given else " AND seq > (SELECT start FROM branches WHERE key = ?) ORDER BY seq")
            + ("{hold}" if hold else ""),
            (ids.packed(run_id), _LONGEST, *where, *(() if given else (where.branch,))),
        )
        messages = [(ids.text(row[0]), row[1]) for row in messages]
    if form == _FIRST:
        return _first_dictionary(uses, messages)
    return _dictionary(run_id, rows[0], uses, messages)


def _dictionary(run_id: str, run: Row, uses: Rows, messages: Rows) -> bytes:
    """What it refers to and what was said, as far as there is room; then the run's events as they mostly are."""
    named = [row[0] for row in messages[-_NAMED:]]
    own = [row[0] for row in messages if row[1]][-_NAMED:]
    _, _, agent, definition, thread_id = run
    frame = FRAME % {
        b"run": run_id.encode(),
        b"agent": agent.encode(),
        b"definition": definition.encode(),
        b"thread": thread_id.encode(),
        b"hashes": b"".join([b'%s","' % digest.encode() for digest, *_ in uses]),
        b"prompt": '","#'.join(named).encode(),
        b"own": '","'.join(own).encode(),
        b"first": own[0].encode() if own else b"",
        b"last": own[-1].encode() if own else b"",
    }
    told = '","'.join(named).encode()
    said = b"".join([*[bytes(data) for _, data, *_ in uses], *[row[1].encode() for row in messages], told])
    room = max(0, packing.WINDOW - len(frame))
    return b"".join((said[-room:] if room else b"", frame))


def _first_dictionary(uses: Rows, messages: Rows) -> bytes:
    """That of the first form."""
    pieces = [piece for digest, data, *_ in uses for piece in (bytes(data), b'["%s","' % digest.encode())]
    pieces += [b'{"kind":"history","message_id":"%s"},' % row[0].encode() for row in messages]
    pieces += [b'"#%s",' % row[0].encode() for row in messages]
    pieces += [row[1].encode() for row in messages]
    room = packing.WINDOW - len(SKELETON)
    return b"".join(pieces)[-room:] + SKELETON


def unpacked(key: int, run_id: str, rows: Iterable[Row]) -> Steps[list[bytes]]:
    """Rows of a run's events, each as it was stored. The data comes last in each."""
    at_hand: dict[tuple[Form, Place | None], bytes] = {}
    found = []
    for row in rows:
        data = bytes(row[-1])
        form = packing.form_of(data)
        if form is None:
            data = packing.unpacked(data)
        else:
            where = packing.place_of(data)
            if (form, where) not in at_hand:
                at_hand[form, where] = yield from known(key, run_id, where, form)
            try:
                data = packing.unpacked(data, at_hand[form, where])
            except StorageBrokenError:
                at_hand[form, where] = yield from known(key, run_id, where, form, given=True)
                data = packing.unpacked(data, at_hand[form, where])
        found.append(data)
    return found
