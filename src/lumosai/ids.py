"""Identifiers: UUIDv7 text for runs and messages, W3C hex for traces and spans, a hash for content.

A UUIDv7 (RFC 9562, section 5.7) begins with the milliseconds since 1970, so ids sort roughly by time; order is never
*derived* from them. Random bits come from a generator seeded by the operating system, re-seeded after a fork.
"""

from __future__ import annotations

import hashlib
import os
import random
import time

import msgspec

_random = random.Random(os.urandom(32))  # noqa: S311  # ids must be unique, not secret
_bits = _random.getrandbits
os.register_at_fork(after_in_child=lambda: _random.seed(os.urandom(32))) if hasattr(os, "register_at_fork") else None

_encode_sorted = msgspec.json.Encoder(order="sorted").encode


def new_id() -> str:
    """A new UUIDv7 as its 36 characters of text."""
    ms = time.time_ns() // 1_000_000
    return "%08x-%04x-7%03x-%04x-%012x" % (ms >> 16, ms & 0xFFFF, _bits(12), 0x8000 | _bits(14), _bits(48))  # noqa: UP031  # the quickest way


def new_trace_id() -> str:
    """A new W3C trace id: 32 lower-case hex digits, the first 8 of them the seconds since 1970.

    So whatever is kept by them is written where it was written last, and X-Ray takes them. The other 96 bits are random.
    """
    return f"{int(time.time()):08x}{_bits(96):024x}"


def new_span_id() -> str:
    """A new W3C span id: 16 lower-case hex digits, not all zero."""
    return f"{_bits(64) or 1:016x}"


def content_hash(value: object) -> str:
    """SHA-256, in hex, over msgspec's JSON of `value` with sorted keys: equal content, equal hash."""
    return hashlib.sha256(_encode_sorted(value)).hexdigest()
