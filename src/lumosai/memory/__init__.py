"""Memory: threads, their branches and messages, and what of them goes into a prompt."""

from __future__ import annotations

from lumosai.memory.memory import Memory
from lumosai.memory.thread import MemoryThread

__all__ = ["Memory", "MemoryThread"]
