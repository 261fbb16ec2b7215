"""The first event of a run: everything needed to understand, repeat or resume it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lumosai.agent.state import clock, now
from lumosai.events import VERSION, RunStarted

if TYPE_CHECKING:
    from lumosai.agent.definition import Definition
    from lumosai.agent.prompt import Prompt
    from lumosai.agent.remember import Remember
    from lumosai.agent.state import RunState


def say_started(agent: Definition[Any], state: RunState, prompt: Prompt, remember: Remember | None) -> None:
    """Emits it."""
    known = agent.known
    root = state.parent is None
    state.of_run(
        RunStarted,
        VERSION,
        agent.version,
        known.hash,
        prompt.given[:],
        prompt.settings,
        state.limits,
        prompt.choice,
        state.output.schema.schema if state.output is not None else None,
        f"{known.model.provider}:{known.model.name}",
        state.thread_id,
        remember.branch if remember is not None else None,
        state.resource_id,
        state.scope,
        remember is not None and remember.turn.save,
        remember.turn.memory.told if remember is not None else None,
        state.tracing.id,
        state.parent_trace,
        None if state.until is None else now() + state.until - clock(),
        remember.queued_ms if remember is not None else 0.0,
        state.tracing.tracestate if root else "",
        state.tracing.baggage if root else "",
    )
