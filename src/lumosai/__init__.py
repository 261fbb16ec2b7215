"""Lumosai: an AI-agent platform for Python.

Importing this package costs milliseconds: each public name is loaded when it is first used.
"""

from __future__ import annotations

TYPE_CHECKING = False  # what typing calls so, without loading that

if TYPE_CHECKING:
    from lumosai._version import __version__
    from lumosai.agent.agent import Agent
    from lumosai.agent.config import AgentConfig
    from lumosai.agent.connected import ConnectedRun
    from lumosai.agent.context import RunContext
    from lumosai.agent.run import Run
    from lumosai.app import Lumosai
    from lumosai.errors import LumosaiError, ToolError
    from lumosai.events import Event, fold
    from lumosai.media import attach, attach_sync
    from lumosai.memory.memory import Memory
    from lumosai.memory.thread import MemoryThread
    from lumosai.messages import (
        AudioPart,
        FilePart,
        ImagePart,
        Message,
        ReasoningPart,
        TextPart,
        ToolCallPart,
        ToolResultPart,
    )
    from lumosai.models.registry import model
    from lumosai.records import AgentResult, AgentStep, Cursor, Limits, ModelSettings, Retention, Scope, Usage
    from lumosai.tools.base import Tool, ToolContext, tool

__all__ = [
    "Agent",
    "AgentConfig",
    "AgentResult",
    "AgentStep",
    "AudioPart",
    "ConnectedRun",
    "Cursor",
    "Event",
    "FilePart",
    "ImagePart",
    "Limits",
    "Lumosai",
    "LumosaiError",
    "Memory",
    "MemoryThread",
    "Message",
    "ModelSettings",
    "ReasoningPart",
    "Retention",
    "Run",
    "RunContext",
    "Scope",
    "TextPart",
    "Tool",
    "ToolCallPart",
    "ToolContext",
    "ToolError",
    "ToolResultPart",
    "Usage",
    "__version__",
    "attach",
    "attach_sync",
    "fold",
    "model",
    "tool",
]

_HOMES = {
    "__version__": "_version",
    "Agent": "agent.agent",
    "AgentConfig": "agent.config",
    "AgentResult": "records",
    "AgentStep": "records",
    "AudioPart": "messages",
    "ConnectedRun": "agent.connected",
    "Cursor": "records",
    "Event": "events",
    "FilePart": "messages",
    "ImagePart": "messages",
    "Limits": "records",
    "Lumosai": "app",
    "LumosaiError": "errors",
    "Memory": "memory.memory",
    "MemoryThread": "memory.thread",
    "Message": "messages",
    "ModelSettings": "records",
    "ReasoningPart": "messages",
    "Run": "agent.run",
    "RunContext": "agent.context",
    "Retention": "records",
    "Scope": "records",
    "TextPart": "messages",
    "Tool": "tools.base",
    "ToolCallPart": "messages",
    "ToolContext": "tools.base",
    "ToolError": "errors",
    "ToolResultPart": "messages",
    "Usage": "records",
    "attach": "media",
    "attach_sync": "media",
    "fold": "events",
    "model": "models.registry",
    "tool": "tools.base",
}


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        msg = f"module 'lumosai' has no attribute {name!r}"
        raise AttributeError(msg)
    from importlib import import_module

    value = getattr(import_module(f"lumosai.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
