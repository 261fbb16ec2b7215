"""A run's requests behind its first: each is made to fit the budget that the memory's plan has."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from lumosai.events import MemoryRecalled

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lumosai.agent.past import Past
    from lumosai.agent.prompt import Prompt
    from lumosai.agent.remember import Remember
    from lumosai.agent.state import RunState
    from lumosai.memory.base import Fitted, Fitting
    from lumosai.messages import Message


class Fit:
    """Has one run's requests fit.

    Args:
        state: what the run's parts share.
        prompt: its requests.
        remember: its turn on a thread.
    """

    __slots__ = ("_fitting", "_prompt", "_remember", "_seen", "_state")

    def __init__(self, state: RunState, prompt: Prompt, remember: Remember) -> None:
        self._state = state
        self._prompt = prompt
        self._remember = remember
        self._fitting: Fitting | None = None
        self._seen = 0

    def next(self) -> None:
        """Makes the next request fit, and tells what had to make room."""
        prompt, plan = self._prompt, self._remember.plan
        # The first request is as it was planned.
        if plan is None or plan.budget is None or (self._fitting is None and len(prompt.messages) == prompt.recalled):
            return
        fitting = self._fitting
        if fitting is None:
            fitting = self._remember.fitting(prompt.asking(), plan)
            if fitting is None:
                return
            first = prompt.messages[: prompt.recalled]
            fitting.begin(first, kinds_of(first, plan, ()))
            self._fitting, self._seen = fitting, prompt.recalled
        began = time.perf_counter()
        fitting.used(self._remember.used)
        fitted = fitting.fit(prompt.messages[self._seen :])
        self._seen, self._remember.used = len(prompt.messages), 0
        prompt.shown = fitting.shown
        if fitted is not None:
            prompt.changed()
            if fitted.tools:
                prompt.add_tools(fitted.tools)
                fitting.told(prompt.definitions)
            self._tell(fitted, plan, (time.perf_counter() - began) * 1e3)

    def go_on(self, past: Past) -> None:
        """Goes on from a request that stands in the prompt, and need not be all of the conversation."""
        prompt, plan = self._prompt, past.planned
        self._remember.plan = plan
        fitting = self._remember.fitting(prompt.asking(), plan) if plan is not None else None
        if fitting is None or plan is None:
            return
        shown, said = [*prompt.messages], past.said
        kinds = kinds_of(shown, plan, [m.id for m in said])
        if past.trimmed:
            prompt.recalled = next((n for n, kind in enumerate(kinds) if kind == "steps"), len(shown))
            prompt.messages[prompt.recalled :] = said
        fitting.begin(shown, kinds, said if past.trimmed else None)
        prompt.shown = fitting.shown
        self._fitting, self._seen = fitting, len(prompt.messages)
        if past.answered is not None:
            self._remember.used = past.answered.usage.input_tokens

    def _tell(self, fitted: Fitted, plan: MemoryRecalled, duration_ms: float) -> None:
        self._state.of_run(
            MemoryRecalled,
            fitted.plan,
            "trim",
            "",
            len(self._prompt.shown or ()),
            round(duration_ms, 3),
            None,
            fitted.tokens,
            plan.budget,
            plan.counted,
            plan.off,
            fitted.notes,
            plan.scale,
        )


def kinds_of(messages: Sequence[Message], plan: MemoryRecalled, said: Sequence[str | None]) -> list[str]:
    """The section of each message that a request showed.

    Args:
        messages: they.
        plan: of the run's first request.
        said: the ids of what the run itself said.
    """
    lines = [i for i in plan.plan if i.included]
    asked = {i.message_id for i in lines if i.kind == "input"} - {None}
    own = {name for name in said if name is not None}
    kinds: list[str] = []
    for message in messages:
        before = kinds[-1] if kinds else ""
        if message.id in own or before == "steps" or (before == "input" and message.id not in asked):
            kinds.append("steps")
        else:
            kinds.append("input" if message.id in asked else "history")
    earlier = kinds.count("history")
    for number in range(min(earlier, sum([i.kind == "summary" for i in lines]))):
        kinds[number] = "summary"
    if earlier and messages[earlier - 1].id is None and any(i.kind == "recalled" for i in lines):
        kinds[earlier - 1] = "recalled"
    return kinds
