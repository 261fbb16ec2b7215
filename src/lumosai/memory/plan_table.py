"""A run's context plan as a table, for people."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lumosai.events import MemoryRecalled, PlanItem

_WIDTH: Final = 40
_LATER: Final = "A later request, in which something had to make room:"
_COUNTED: Final = {
    "tiktoken": "counted by the model's own encoding",
    "estimate": "estimated by length",
    "calibrated": "estimated by length and what the provider reported",
}


def plan_table(recalled: MemoryRecalled, texts: Mapping[str, str] | None = None) -> str:
    """What went into a run's prompt and what not, a line each, and the sum below.

    Args:
        recalled: the event that the run told it by.
        texts: the messages' texts by id, as far as they are to be shown.
    """
    rows = [_row(i, texts or {}) for i in recalled.plan]
    head = ("", "part", "role", "tokens", "why", "text" if texts else "")
    widths = [max([_columns(r[n]) for r in (head, *rows)]) for n in range(len(head))]
    lines = ["  ".join([_filled(cell, widths[n], right=n == 3) for n, cell in enumerate(row)]) for row in (head, *rows)]  # noqa: PLR2004  # the tokens
    above = [_LATER] if recalled.operation == "trim" else []
    return "\n".join([*above, *[line.rstrip() for line in lines], _sum(recalled), *recalled.notes])


def _row(item: PlanItem, texts: Mapping[str, str]) -> tuple[str, ...]:
    why = item.reason
    if item.score is not None:
        why += f" (score {item.score:.3g})"
    if item.thread_id is not None:
        why += f", of thread {item.thread_id}"
    if item.version:
        why += f", version {item.version}"
    text = " ".join(texts.get(item.message_id or "", "").split())
    return (
        "in" if item.included else "out",
        item.kind,
        item.role,
        f"{item.tokens:,}",
        why,
        text if len(text) <= _WIDTH else f"{text[: _WIDTH - 1]}…",
    )


def _sum(recalled: MemoryRecalled) -> str:
    of = f" of {recalled.budget:,}" if recalled.budget is not None else ""
    how = f"; {_COUNTED.get(recalled.counted, recalled.counted)}" if recalled.counted else ""
    off = f", lately off by {recalled.off:.0%}" if recalled.off is not None else ""
    out = sum([not i.included for i in recalled.plan])
    shown = len(recalled.plan) - out
    return f"{recalled.tokens:,}{of} tokens in {shown} part{'s' * (shown != 1)}, {out} left out{how}{off}"


def _columns(text: str) -> int:
    """How many columns of a terminal a text takes; Chinese takes two a character."""
    return sum([2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text])


def _filled(text: str, width: int, *, right: bool) -> str:
    blank = " " * (width - _columns(text))
    return blank + text if right else text + blank
