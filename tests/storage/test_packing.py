"""Events of a run that has ended, packed: the very lines come back, whatever they hold."""

from __future__ import annotations

import base64
import contextlib
import random
import uuid
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lumosai.errors import StorageBrokenError
from lumosai.events import MemoryRecalled, PlanItem, StepStarted, TextDelta, ToolCallDelta, to_json
from lumosai.storage import _packing as packing
from lumosai.storage._skeleton import FRAME, SKELETON

HEAD = ("r", "r", None)
EARLIER = base64.b85decode(
    "0tAx>0SS1!1GT6}n>6EyH-T0Ucxnkg+ERo!$d7~|hjlTQz(yNrL2vlvVr%y>o@Zd-FO&Nwz;ISwVA2s576t}}BP^$Z0LWnlaah?{"
    "nK_t`NP6I!EjzNDV2_Lxf0{v)7HD9ZRR7}doB;si=!8E"
)
"""Events as programs before the schema's step 14 packed them."""
LISTS = base64.b85decode(
    "1O}7`0SU~3?ZF`vLvR3x;dj5=-9%9oMN#}mQ4~c{6h+ajh@vQpg58OtD2k%EkFdJCd7fAOG_`q527y2z5C{YUfj}S-2m}IwKp+sj@BF&k7g)CA"
    "dVXNSC{EHWFUqQEyM7qwW!?7U#IhaN^8*t`agt_vQC3ac^}{$X>$V>!m&+gf0C>A1a0LFvkwH$wKnz921_@RyIDuI<LInYpaurmKEMk#JlkqTi"
    "P%G3cumFw}&J~=5G~L3ctC8*hJ@3zae6^o%pxa20LrpcOtxNQT-ctb?q$aqkuu<v@W}T~uiGsRG5gP9^5PE_9CIeJEu9wz`_`5-7&%QaD@Y$NC"
    "z+T}oK>pZXmX)Z%oK0sVl-kp7xp=ti+KY7t94VnzZ1UCa`{aF2!3BBOM{uH;bO;g?*HK-GQj*vO-PN#Zy*uCgls4+js(6gxHHla~TI$haGut#G"
    "<-md909TaaLBM|j-%h~ye+RBYL7M?knZ4^@-6p}l<kdKT08M7ewE"
)
"""Events with long lists of ids, as programs since the schema's step 21 pack them."""


def deltas(texts: list[str], times: list[float]) -> list[bytes]:
    """Deltas of one text, a step behind them."""
    lines = [
        to_json(TextDelta(*HEAD, n, at, "s", None, "a", "m", 0, text))
        for n, (text, at) in enumerate(zip(texts, times, strict=False), 1)
    ]
    return [*lines, to_json(StepStarted(*HEAD, len(lines) + 1, 1.5, "s", None, "a", 0, "native"))]


@given(
    st.lists(st.text(), max_size=8),
    st.lists(st.floats(0, 4e9) | st.integers(0, 4 * 10**15).map(lambda n: n / 1e6), min_size=8, max_size=8),
    st.binary(max_size=50),
)
def test_what_is_packed_comes_back(texts: list[str], times: list[float], known: bytes) -> None:
    """Any text, any time, in any order, whatever is known besides."""
    data = b"\n".join(deltas(texts, times))
    small = packing.packed(data, packing.Place(7, 1, 9), known)
    assert packing.unpacked(small, known) == data


@given(st.lists(st.binary(max_size=40) | st.just(b'{"type":"text_delta","run_id":"r","seq":1,"at":1.0,"delta":"x"}')))
def test_what_is_no_event_comes_back_too(lines: list[bytes]) -> None:
    """Also what only looks like one."""
    data = b"{" + b"\n".join(lines)
    assert packing.unpacked(packing.packed(data)) == data


@given(
    st.sampled_from([b"", b"\x01z", b"\x02", b"\x03", b"\x04"]),
    st.binary(max_size=60),
    st.integers(0, 2000),
    st.integers(0, 255),
)
def test_what_is_damaged_is_told_to_be(mark: bytes, data: bytes, at: int, byte: int) -> None:
    """Any bytes behind a form's mark, and packed events of which one byte is another: no error but that."""
    names = [str(uuid.UUID(int=n * 2**99)) for n in range(64)]
    whole = bytearray(
        packing.packed(b"\n".join([named(names), *deltas(["a ", "b "], [1.0, 1.5])]), packing.Place(7, 1, 9))
    )
    whole[at % len(whole)] = byte
    for some in (mark + data, bytes(whole)):
        for read in (packing.unpacked, packing.place_of):
            with contextlib.suppress(StorageBrokenError):
                read(some)


KINDS = st.sampled_from(["history", "input", "working", "%s", "a\\b", "\t"])


@given(
    st.lists(st.builds(PlanItem, KINDS, st.text(max_size=4) | st.none(), st.integers(0), st.booleans(), KINDS, KINDS)),
    st.lists(st.text(max_size=9), max_size=3),
)
def test_a_plan_comes_back(plan: list[PlanItem], texts: list[str]) -> None:
    """Whatever is in it, between deltas and alone."""
    recalled = to_json(MemoryRecalled(*HEAD, 1, 1.0, "s", None, "a", tuple(plan), len(plan)))
    data = b"\n".join([recalled, *deltas(texts, [1.5] * 9), recalled])
    assert packing.unpacked(packing.packed(data)) == data


def named(names: list[str], *, plan: bool = True) -> bytes:
    """A plan of messages, and a request of all of them with an answer's line behind it."""
    items = tuple(PlanItem("history", name, 7, True, "history", "user") for name in names)
    recalled = to_json(MemoryRecalled(*HEAD, 1, 1.0, "s", None, "a", items, 7))
    asked = b'{"type":"model_call_started","prompt_hashes":[%s]}' % b",".join(b'"#%s"' % n.encode() for n in names)
    return b"\n".join([*([recalled] if plan else []), asked, *deltas(["one"], [1.0])])


IDS = st.integers(0, 2**128 - 1).map(lambda n: str(uuid.UUID(int=n)))


@given(
    st.lists(st.sampled_from(["", ".r", "both"]), min_size=60, max_size=120),
    st.lists(st.tuples(st.integers(0, 150), st.integers(0, 150)), max_size=4),
    IDS,
    st.text(max_size=4),
    st.booleans(),
)
def test_long_lists_of_ids_come_back(
    kinds: list[str], stretches: list[tuple[int, int]], first: str, other: str, plan: bool
) -> None:
    """Whatever stretches of one another they are, ids of results by themselves or behind their answers, strange ids between."""
    start = uuid.UUID(first).int
    names: list[str] = []
    for number, kind in enumerate(kinds):
        name = str(uuid.UUID(int=(start + number * 7**40) % 2**128))
        names += [name, f"{name}.r"] if kind == "both" else [name + kind]
    lists = [names, *[names[a:] + names[:b] for a, b in stretches], [*names, other, *reversed(names)]]
    data = b"\n".join([named(one, plan=plan) for one in lists])
    small = packing.packed(data, packing.Place(7, 1, 9), b"what is known")
    assert packing.place_of(small) == packing.Place(7, 1, 9)
    assert packing.unpacked(small, b"what is known") == data
    assert packing.form_of(small) == (4 if len(names) >= 64 else packing.form_of(small))


def test_long_lists_of_ids_take_little_room() -> None:
    """Each id costs about as many bytes as are left to chance in it, in however many requests it is named."""
    chance = random.Random(1)
    names = [str(uuid.UUID(int=(0x01A2 << 112) | (n << 84) | chance.getrandbits(74))) for n in range(1000)]
    data = b"\n".join([named(names), *[named(names, plan=False)] * 3])
    small = packing.packed(data)
    assert len(small) < 13 * len(names) < len(data) / 15


def test_what_has_no_such_lists_is_left_as_it_is() -> None:
    """Ids of another form; and the mark that stands around stretches, which may be in what was never checked."""
    data = named([f"q{n}" for n in range(100)])
    small = packing.packed(data)
    assert packing.form_of(small) == 3
    assert packing.unpacked(small) == data
    data = named([str(uuid.UUID(int=n)) for n in range(100)]) + b'\n{"\xff0+9\xff"}'
    small = packing.packed(data)
    assert packing.form_of(small) == 3
    assert packing.unpacked(small) == data


def test_a_plan_takes_little_room() -> None:
    """A message of a plan costs about what its count of tokens does, where its id is known."""
    ids = [str(uuid.UUID(int=n * 2**99 + n)) for n in range(200)]
    items = [
        PlanItem("history", name, 20 + n % 9, True, "history", ("user", "assistant")[n % 2])
        for n, name in enumerate(ids)
    ]
    plan = to_json(MemoryRecalled(*HEAD, 1, 1.0, "s", None, "a", tuple(items), len(items)))
    small = packing.packed(plan, None, '","'.join(ids).encode() + FRAME)
    assert len(small) < 5 * len(items) < len(plan) / 20


def test_deltas_take_little_room() -> None:
    """A delta of a few characters costs about as many bytes as are in its time, and its text costs nothing twice."""
    times = [1.7e9 + n * 0.02 for n in range(1000)]
    lines = deltas([f"{n} " for n in range(1000)], times)
    text = "".join(f"{n} " for n in range(1000))
    small = packing.packed(b"\n".join(lines), None, text.encode())
    assert len(small) < 2500 < len(b"\n".join(lines)) / 50
    other = to_json(ToolCallDelta(*HEAD, 1, 1.0, "s", None, "a", "m", 0, "c", "n", '{"a'))
    assert packing.unpacked(packing.packed(b"\n".join([*lines, other])))[-len(other) :] == other


def test_what_earlier_programs_packed_is_read() -> None:
    """The first forms, and events that are not packed."""
    data = b"\n".join(deltas(["Hello ", "from ", "an ", "earlier ", "one"], [1.7e9 + n * 0.0203 for n in range(5)]))
    assert packing.place_of(EARLIER) == packing.Place(7, 1, 9)
    assert packing.unpacked(EARLIER, b"Hello from an earlier one" + SKELETON) == data
    lists = named([str(uuid.UUID(int=n * 2**99)) + ".r" * (n % 3 == 1) for n in range(64)])
    assert packing.unpacked(LISTS, b"what is known") == lists
    data = b'{"a":1}\n{"b":2}'
    assert packing.unpacked(b"\x01z" + zlib.compress(data)) == data
    assert packing.unpacked(data) == data


def test_the_dictionary_is_part_of_a_stored_format() -> None:
    """Whoever changes a byte of it makes stored runs unreadable: another one needs another mark."""
    assert (len(SKELETON), zlib.crc32(SKELETON)) == (6726, 3918507106)
    assert (len(FRAME), zlib.crc32(FRAME)) == (7638, 528918637)


def test_what_was_known_must_be_at_hand() -> None:
    """Otherwise that is said, and no wrong event is read."""
    data = b"\n".join(deltas(["what the thread holds "] * 9, [1.0] * 9))
    small = packing.packed(data, packing.Place(1, 1, 2), b"what the thread holds")
    assert packing.place_of(small) == packing.Place(1, 1, 2)
    with pytest.raises(StorageBrokenError, match="not there any more"):
        packing.unpacked(small, b"something else")
