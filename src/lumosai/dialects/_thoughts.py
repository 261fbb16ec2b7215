"""Calls with which a thought breaks off: some models go over from a thought to a call without ending the thought.

They count only as the end of the answer. In a thought that goes on, a call is one that is thought of.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lumosai.dialects._fit import fits
from lumosai.dialects._json import space
from lumosai.dialects.base import Found, More

if TYPE_CHECKING:
    from lumosai.dialects._table import Table

WAIT = -1

Calls = tuple[tuple[Found, str], ...]
"""What was found, each with the name of its dialect."""


def is_printable(token: str) -> bool:
    """Whether a token looks as anyone might write it, as `<tool_call>` does and `<|tool_call|>` does not."""
    return token[0] == "<" and token[1].isalpha() and "|" not in token


def token(text: str, at: int, known: Table) -> str:
    """The control token that stands at `at`; "" where none does, or one that anyone might write."""
    found = known.control.match(text, at) if known.control else None
    return found[0] if found and not is_printable(found[0]) else ""


def last_calls(text: str, at: int, known: Table, *, most: int, final: bool) -> Calls | int:
    """The calls from `at` to the end of the answer, `WAIT`, or where the thought goes on behind what is none of them.

    `most` characters at most are looked at.
    """
    if len(text) - at > most:
        return at + 1
    calls: list[tuple[Found, str]] = []
    end = at
    while end < len(text):
        found = _found(text, end, known, final=final)
        if found is None:
            return max(end, at + 1)
        if isinstance(found, More):
            return WAIT
        calls.append(found)
        end = space(text, end + found[0].end)
    if not final:
        return WAIT
    return tuple(calls) if any(found.calls for found, _ in calls) else end


def _found(text: str, at: int, known: Table, *, final: bool) -> tuple[Found, str] | More | None:
    """What stands at `at`, with its dialect's name."""
    opener = token(text, at, known)
    if not opener:
        return More() if not final and known.cut_token(text, at) else None
    for dialect in known.tokens[opener]:
        verdict = dialect.recognise(text[at:], known.tools, final=final)
        if isinstance(verdict, More) and not final:
            return verdict
        if isinstance(verdict, Found) and (dialect.marked or all(fits(c, known.tools) for c in verdict.calls)):
            return verdict, dialect.name
    return None
