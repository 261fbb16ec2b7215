"""Budgets: what a run and its sub-runs may still use, counted outside the model's control.

A sub-run has a budget of its own and its parent's behind it: every use is booked on both, and the tighter one decides.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from lumosai.records import NO_USAGE, FinishReason, Limits, Usage

if TYPE_CHECKING:
    from collections.abc import Iterator

WARN_AT = 0.8
"""The share of a limit at which `budget_warning` is emitted, once a limit."""

_FREE = Decimal(0)
_NONE: frozenset[str] = frozenset()
_TOKENS = (
    ("max_input_tokens", "input_tokens"),
    ("max_output_tokens", "output_tokens"),
    ("max_total_tokens", "total_tokens"),
)


class Budget:
    """What was used so far, held against `limits`.

    Attributes:
        limits, parent: as given.
        usage, cost, tool_calls: what was used; the cost is None where a part of it is unknown.
        warned: limits that are told to be nearly used up, once each.
        warns: whether there is anything to warn of.
    """

    __slots__ = ("_bounded", "cost", "limits", "parent", "tool_calls", "usage", "warned", "warns")

    def __init__(self, limits: Limits, parent: Budget | None = None) -> None:
        self.limits = limits
        self.parent = parent
        self.usage = NO_USAGE
        self.cost: Decimal | None = _FREE
        self.tool_calls = 0
        self.warned = _NONE
        self._bounded = not (
            limits.max_cost_usd
            is limits.max_input_tokens
            is limits.max_output_tokens
            is limits.max_total_tokens
            is None
        )
        self.warns = self._bounded or limits.max_tool_calls is not None

    def spend(self, usage: Usage, cost: Decimal | None) -> None:
        """Books a model call."""
        self.usage += usage
        self.cost = None if self.cost is None or cost is None else self.cost + cost
        if self.parent is not None:
            self.parent.spend(usage, cost)

    @property
    def costs_count(self) -> bool:
        """Whether a limit of cost holds, this one's or one above it."""
        return self.limits.max_cost_usd is not None or (self.parent is not None and self.parent.costs_count)

    def take_call(self) -> str | None:
        """Books a tool call; why it may not run, where a limit is reached."""
        refused = self._refusal()
        if refused is None:
            budget: Budget | None = self
            while budget is not None:
                budget.tool_calls += 1
                budget = budget.parent
        return refused

    def _refusal(self) -> str | None:
        limit = self.limits.max_tool_calls
        if limit is not None and self.tool_calls >= limit:
            return f"the run's limit of {limit} tool calls (max_tool_calls) is reached; answer with what is known"
        return self.parent._refusal() if self.parent is not None else None  # noqa: SLF001  # of this class

    def exhausted(self) -> FinishReason | None:
        """The reason to stop before another model call, None while there is room."""
        if self._bounded:
            if self.cost is None and self.limits.max_cost_usd is not None:
                return "cost_limit"  # a model whose price is not known was asked: what is left is not known either
            for name, used, limit in self._shares():
                if used >= limit:
                    return "cost_limit" if name == "max_cost_usd" else "token_limit"
        return self.parent.exhausted() if self.parent is not None else None

    def output_left(self) -> int | None:
        """Tokens that may still be generated, None where nothing bounds them."""
        left = []
        if self._bounded:
            if self.limits.max_output_tokens is not None:
                left.append(max(1, self.limits.max_output_tokens - self.usage.output_tokens))
            if self.limits.max_total_tokens is not None:
                left.append(max(1, self.limits.max_total_tokens - self.usage.total_tokens))
        if self.parent is not None and (theirs := self.parent.output_left()) is not None:
            left.append(theirs)
        return min(left) if left else None

    def warnings(self) -> list[tuple[str, float, float]]:
        """Limits that have become nearly used up since the last look: (limit, used, share)."""
        if not self.warns:
            return []
        near = [
            (name, used, used / limit)
            for name, used, limit in (*self._shares(), *self._call_share())
            if limit and used >= WARN_AT * limit and name not in self.warned
        ]
        if near:
            self.warned |= {name for name, _, _ in near}
        return near

    def _call_share(self) -> Iterator[tuple[str, float, float]]:
        limit = self.limits.max_tool_calls
        if limit is not None:
            yield "max_tool_calls", self.tool_calls, limit

    def _shares(self) -> Iterator[tuple[str, float, float]]:
        if not self._bounded:
            return
        for name, field in _TOKENS:
            limit = getattr(self.limits, name)
            if limit is not None:
                yield name, getattr(self.usage, field), limit
        if self.limits.max_cost_usd is not None and self.cost is not None:
            yield "max_cost_usd", float(self.cost), self.limits.max_cost_usd
