"""The embedding calls of a run: in its trace, wrapped by its observers, told in its `memory_recalled` event."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lumosai.models.embedding_calls import EmbeddingCalls

if TYPE_CHECKING:
    from lumosai.agent.state import RunState


def embeds(state: RunState) -> EmbeddingCalls:
    """What asks embedding models for a run."""
    known = {"run_id": state.run_id, "root_id": state.root_id, "agent": state.name}
    if state.thread_id is not None:
        known["thread_id"] = state.thread_id
    return EmbeddingCalls(state.tracing.ids, state.log.observers, known)
