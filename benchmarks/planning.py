"""What a memory costs besides its storage: the context plan over a thousand messages, and looking up a session."""

from __future__ import annotations

import asyncio
import tempfile
import time
from statistics import median

from lumosai import Memory, Message, Scope, ToolCallPart, ToolResultPart
from lumosai.memory._pipeline import begun, chain, finished, processed
from lumosai.memory.base import Asking, Turn
from lumosai.models.tokens import Counter
from lumosai.records import ToolDefinition
from lumosai.storage.base import StoredMessage

_CANDIDATES = 1_000
_SESSIONS = 1_000


def messages(count: int) -> list[StoredMessage]:
    """A conversation in English and Chinese, every fourth message of which is a tool's."""
    found: list[Message] = []
    for n in range(count // 4):
        found += [
            Message.user(f"第{n}个问题：下周从上海到北京的火车票还有吗？" + "请查一下。" * 20, id=f"q{n}"),
            Message("assistant", (ToolCallPart(f"c{n}", "search", {"query": "tickets", "page": n}),), f"c{n}"),
            Message.tool(
                ToolResultPart(f"c{n}", "search", "There are trains at nine, ten and noon. " * 10), id=f"r{n}"
            ),
            Message.assistant(f"Answer {n}: there are three trains, the first one at nine. " * 4, id=f"a{n}"),
        ]
    return [StoredMessage(message, seq) for seq, message in enumerate(found, 1)]


async def plan(rounds: int) -> dict[str, float]:
    """CPU of one plan over a thousand candidates, with the default processors and a budget that half of them exceed."""
    tool = ToolDefinition("search", "Searches.", {"type": "object", "properties": {"query": {"type": "string"}}})
    asking = Asking(system="Be brief.", tools=(tool,), counter=Counter("deepseek", "chat"), window=128_000)
    earlier = messages(_CANDIDATES)
    turn = Turn(run_id="r", agent="a", thread_id="t", scope=Scope(), input=(Message.user("还有吗？", id="i"),))
    taken = []
    for _ in range(rounds):
        began = time.process_time()
        made = begun(turn, asking, 0, earlier, 40_000)
        await processed(made, (), chain((), _CANDIDATES), None)  # type: ignore[arg-type]  # nothing asks the storage
        recalled = finished(made, asking, earlier)
        taken.append(time.process_time() - began)
    if len(recalled.plan) < _CANDIDATES or not 0 < recalled.tokens <= 40_000:
        msg = f"the plan is not what it should be: {len(recalled.plan)} lines, {recalled.tokens} tokens"
        raise RuntimeError(msg)
    return {"plan_ms": median(taken) * 1e3}


async def sessions(rounds: int) -> dict[str, float]:
    """Wall time of looking up one session among a thousand, in SQLite."""
    with tempfile.TemporaryDirectory() as folder:
        async with Memory(f"sqlite:///{folder}/sessions.db") as memory:
            for start in range(0, _SESSIONS, 100):
                await asyncio.gather(*[memory.session(f"r{n}", agent="a") for n in range(start, start + 100)])
            taken = []
            for n in range(rounds):
                began = time.perf_counter()
                found = await memory.session(f"r{n % _SESSIONS}", agent="a")
                taken.append(time.perf_counter() - began)
                if found.is_new:
                    msg = "a session was not found again"
                    raise RuntimeError(msg)
    return {"session_ms": median(taken) * 1e3}
