"""What a memory has summed up, by a model, inside the run whose prompt it is for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lumosai.agent.title import TitleAsk
from lumosai.errors import RunError
from lumosai.messages import scrub
from lumosai.models.base import ModelRequest
from lumosai.records import ModelSettings

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from lumosai.agent.definition import Known
    from lumosai.agent.state import RunState
    from lumosai.messages import Message


class SummaryAsk(TitleAsk):
    """Follows the request for a summary, whose text shows nowhere but in the prompt."""

    __slots__ = ()
    purpose = "summary"


def asks(state: RunState, known: Known) -> Callable[[tuple[Message, ...], Any, int], Awaitable[str]]:
    """Asks a model, the run's own where None is given, in the run's events, limits and costs; gives its text."""

    async def ask(messages: tuple[Message, ...], model: Any, most: int) -> str:
        if state.budget.exhausted() is not None:
            raise RunError("the run's limits leave no room for a summary")
        asked = known.model if model is None else _prepared(model)
        left = state.budget.output_left()
        request = ModelRequest(
            messages=messages,
            settings=ModelSettings(max_output_tokens=most if left is None else min(most, left)),
            incremental=False,
            services=known.services,
        )
        answer = await SummaryAsk(state, asked, request, asked.mode(request), 0).run()
        return scrub(answer.text).strip()

    return ask


def _prepared(model: Any) -> Any:
    from lumosai.models.calling import prepare

    if isinstance(model, str):
        from lumosai.models.registry import model as by_name

        model = by_name(model)
    return prepare(model)
