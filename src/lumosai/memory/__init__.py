"""Memory: threads, their branches and messages, and what of them goes into a prompt."""

from __future__ import annotations

from lumosai.memory.memory import Memory
from lumosai.memory.options import MemoryOptions
from lumosai.memory.plan import ContextPlan, Item, Processor
from lumosai.memory.plan_table import plan_table
from lumosai.memory.processors import Clamp, Deduplicate, MessageLimit, RoleFilter, TokenBudget, ToolCallFilter
from lumosai.memory.recall import SemanticRecall
from lumosai.memory.search import Hit
from lumosai.memory.session import Session
from lumosai.memory.summary import Summary
from lumosai.memory.thread import MemoryThread
from lumosai.memory.working import FactChange, Working, WorkingFacts, WorkingMemory

__all__ = [
    "Clamp",
    "ContextPlan",
    "Deduplicate",
    "FactChange",
    "Hit",
    "Item",
    "Memory",
    "MemoryOptions",
    "MemoryThread",
    "MessageLimit",
    "Processor",
    "RoleFilter",
    "SemanticRecall",
    "Session",
    "Summary",
    "TokenBudget",
    "ToolCallFilter",
    "Working",
    "WorkingFacts",
    "WorkingMemory",
    "plan_table",
]
