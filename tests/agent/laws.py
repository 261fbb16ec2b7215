"""The laws of a run's events, and random teams of agents to hold to them."""

from __future__ import annotations

import asyncio
import random
import re
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

import msgspec
from hypothesis import strategies as st

from lumosai import Agent, Limits, Message, ToolContext, tool
from lumosai.agent.inputs import messages_of
from lumosai.errors import LumosaiError, ModelError, ServerError
from lumosai.events import (
    TERMINAL,
    ApprovalRequested,
    ApprovalResolved,
    Event,
    GenerationComplete,
    ModelCallComplete,
    ModelCallStarted,
    RunPaused,
    RunResumed,
    RunStarted,
    StepComplete,
    StepStarted,
    TextDelta,
    ToolCallComplete,
    ToolCallDelta,
    ToolCallStart,
    ToolProgress,
    fold,
    from_json,
    to_json,
)
from lumosai.messages import ImagePart, ReasoningPart, TextPart
from lumosai.models.base import AttemptStarted, Finished, ModelRequest, ReasoningChunk, TextChunk
from lumosai.models.profiles import Profile
from lumosai.records import AgentResult, Usage
from lumosai.testing import Answer, Call, ScriptedModel, call
from tests.agent.helpers import add, broken, of, shout


@tool(timeout_s=0.01)
async def hang() -> str:
    """Never ends by itself."""
    await asyncio.Event().wait()
    return "never"


@tool
async def tick(times: int) -> str:
    """Gives the loop some turns."""
    for _ in range(times % 5):
        await asyncio.sleep(0)
    return "ticked"


@tool
def work(context: ToolContext, n: int) -> str:
    """Tells from its thread how far it is."""
    for i in range(n % 3):
        context.progress(f"{i}")
    return f"worked {n}"


@tool(approval=True)
def pay(amount: int) -> str:
    """Pays."""
    return f"paid {amount}"


TOOLS = (add, shout, broken, hang, tick, work, pay)


class Out(msgspec.Struct):
    x: int


class Given(msgspec.Struct):
    """What a random team is made of: the scripts of its members and what the outermost is held to."""

    script: list[Any]
    inner: list[Any]
    innermost: list[Any]
    limits: Limits = Limits()
    profile: str = "native"
    structured: bool = False


PROFILES = {
    "native": Profile(json_schema=True),
    "tool": Profile(json_schema=False),
    "prompted": Profile(json_schema=False, native_tools=False, tool_mode="text"),
    "constrained": Profile(json_schema=True, native_tools=False, tool_mode="constrained"),
}


@dataclass
class City:
    name: str
    people: int = 0


GOOD = '{"name": "Oslo", "people": 7}'


class Paced(ScriptedModel):
    """A scripted model that gives the event loop a turn before each chunk, as a network would."""

    async def stream(self, request: ModelRequest) -> AsyncIterator[Any]:
        async with aclosing(super().stream(request)) as chunks:
            async for chunk in chunks:
                await asyncio.sleep(0)
                yield chunk


def model_of(script: Sequence[Any], profile: Profile, last: Any = "The end.") -> ScriptedModel:
    """A model that answers by the script, and in the end with `last`."""
    answers = iter(script)

    def next_answer(request: ModelRequest) -> Any:
        answer = next(answers, None)
        if answer is not None:
            return answer
        if request.tools and any(t.name == "final_output" for t in request.tools):
            return Call("final_output", GOOD)
        return last

    return Paced(next_answer, profile=profile, price=(1, 2))


def team(given: Given, **settings: Any) -> Agent[Any]:
    """Three agents, each a tool of the one around it."""
    native = PROFILES["native"]
    innermost = Agent("innermost", model=model_of(given.innermost, native), tools=TOOLS)
    inner = Agent("inner", model=model_of(given.inner, native), tools=[*TOOLS, innermost.as_tool()])
    if given.structured:
        settings["output_type"] = City
    last = GOOD if given.structured else "The end."
    return Agent(
        "outer",
        model=model_of(given.script, PROFILES[given.profile], last),
        tools=[*TOOLS, inner.as_tool(), innermost.as_tool()],
        limits=given.limits,
        **settings,
    )


words = st.text(st.characters(codec="utf-8"), min_size=1, max_size=12)
good_calls = st.one_of(
    st.builds(lambda a, b: call("add", a=a, b=b), st.integers(-9, 9), st.integers()),
    st.builds(lambda t: call("shout", text=t), words),
    st.builds(lambda n: call("tick", times=n), st.integers(0, 9)),
    st.builds(lambda n: call("work", n=n), st.integers(0, 9)),
)
bad_calls = st.one_of(
    st.builds(lambda t: call("broken", text=t), words),
    st.just(call("hang")),
    st.builds(lambda t: Call("nowhere", t), words),
    st.builds(lambda t: Call("add", t), words),
    st.builds(lambda i: Call("add", {"a": 1, "b": 2}, i), st.sampled_from(["same", ""])),
)
approved_calls = st.builds(lambda n: call("pay", amount=n), st.integers(0, 9))
thoughts = st.one_of(
    st.builds(ReasoningPart, words, st.none() | words),
    st.builds(ReasoningChunk, words),
    st.builds(lambda s: ReasoningChunk("", s), words),
)
said = st.one_of(words, words, thoughts, st.just(ImagePart(data=b"x")))
again = st.builds(
    lambda discard, mode: AttemptStarted("other", "m2", "", 2, mode, discard, "rate_limit: slow down"),
    st.booleans(),
    st.sampled_from(["native", "native", "text"]),
)
surrogates = st.sampled_from([["a\ud83d", "\ude00b"], ["\ud83d"], ["x", "\udc00"]]).map(lambda d: Answer(deltas=d))


def answers(calls: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """One answer: parts and calls in any order, whole or failing somewhere, with or without a second attempt."""
    pieces = st.lists(st.one_of(said, calls), max_size=4)
    faults = st.builds(
        lambda text, cs, error, at: Answer(
            text=text, calls=cs, error=error, error_at=at, usage=Usage(3, 4, 0, 0, 0, 7)
        ),
        words,
        st.lists(calls, max_size=2),
        st.sampled_from([ServerError("busy", retry_after_s=0), ModelError("gone"), RuntimeError("bug")]),
        st.integers(0, 6),
    )
    cut = st.builds(lambda text, at: Answer(text=text, cut_at=at), words, st.integers(0, 2))
    retried = st.builds(lambda a, middle, b: [*a, middle, *b], pieces, again, pieces)
    ended = st.builds(
        lambda text, cs, reason: Answer(text=text, calls=cs, finish=reason),
        words,
        st.lists(calls, max_size=2),
        st.sampled_from(["length", "content_filter", "refusal", "pause", "stop"]),
    )
    return st.one_of(pieces, pieces, pieces, retried, ended, faults, cut, surrogates)


plain_calls = st.one_of(good_calls, good_calls, bad_calls)
innermost_scripts = st.lists(answers(plain_calls), max_size=3)
ask_innermost = st.builds(lambda t: call("innermost", task=t), words)
inner_scripts = st.lists(answers(st.one_of(plain_calls, ask_innermost)), max_size=3)
outer_calls = st.one_of(
    plain_calls, st.builds(lambda t: call("inner", task=t), words), ask_innermost, st.just(call("inner", task="x"))
)
outer_scripts = st.lists(answers(outer_calls), max_size=4)
limits = st.one_of(
    st.just(Limits()),
    st.just(Limits()),
    st.builds(
        Limits,
        max_tool_calls=st.sampled_from([50, 0, 1, 2]),
        max_steps=st.sampled_from([10, 0, 1, 2]),
        max_output_tokens=st.sampled_from([None, None, 5, 20]),
        max_cost_usd=st.sampled_from([None, None, 1e-5]),
        tool_concurrency=st.sampled_from([8, 1, 2]),
    ),
)
outputs = st.one_of(
    st.sampled_from([GOOD, '{"name": 1}', "no JSON", '{"na', "", f"```json\n{GOOD}\n```"]),
    st.just(Call("final_output", GOOD)),
    st.just(Call("final_output", '{"name"')),
    st.just([Call("final_output", GOOD), Call("final_output", "{}")]),
    st.just([call("add", a=1, b=1), "So: ", Call("final_output", GOOD), call("shout", text="after")]),
    answers(outer_calls),
)
teams = st.builds(Given, outer_scripts, inner_scripts, innermost_scripts, limits)
structured_teams = st.builds(
    Given,
    st.lists(outputs, max_size=4),
    inner_scripts,
    innermost_scripts,
    limits,
    st.sampled_from(sorted(PROFILES)),
    st.just(True),
)


def rich_team(seed: int) -> Given:
    """A team with long scripts: many calls side by side, sub-agents, approvals and faults. One and the same for a seed."""
    chance = random.Random(seed)
    word = lambda: "".join(chance.choices("ab é😀{}", k=chance.randint(1, 9)))  # noqa: E731
    simple = [
        lambda: call("add", a=chance.randint(0, 9), b=chance.randint(0, 9)),
        lambda: call("shout", text=word()),
        lambda: call("tick", times=chance.randint(0, 9)),
        lambda: call("work", n=chance.randint(0, 9)),
        lambda: call("broken", text=word()),
        lambda: call("pay", amount=chance.randint(0, 9)),
        lambda: Call("nowhere", word()),
        lambda: Call("add", word()),
        lambda: Call("add", {"a": 1, "b": 2}, chance.choice(["same", ""])),
    ]

    def call_of(*names: str) -> Any:
        if names and chance.random() < 0.4:
            return call(chance.choice(names), task=word())
        return call("hang") if chance.random() < 0.03 else chance.choice(simple)()

    def piece(*names: str) -> Any:
        pick = chance.random()
        if pick < 0.55:
            return call_of(*names)
        if pick < 0.75:
            return word()
        if pick < 0.85:
            return ReasoningPart(word(), chance.choice([None, word()]))
        return ReasoningChunk(word()) if pick < 0.95 else ImagePart(data=b"x")

    def answer(*names: str) -> Any:
        pick = chance.random()
        if pick < 0.06:
            error = chance.choice([ServerError("busy", retry_after_s=0), ModelError("gone"), RuntimeError("bug")])
            return Answer(text=word() * 2, calls=[call_of(*names)], error=error, error_at=chance.randint(0, 4))
        pieces = [piece(*names) for _ in range(chance.randint(0, 5))]
        if pick < 0.16:
            mode = chance.choice(["native", "text"])
            middle = AttemptStarted("other", "m2", "", 2, mode, chance.random() < 0.5, "rate_limit: slow down")
            pieces.insert(chance.randint(0, len(pieces)), middle)
        return pieces

    return Given(
        [answer("inner", "innermost") for _ in range(chance.randint(1, 5))],
        [answer("innermost") for _ in range(chance.randint(0, 8))],
        [answer() for _ in range(chance.randint(0, 8))],
        Limits(
            max_tool_calls=chance.choice([50, 50, 50, 3]),
            max_steps=chance.choice([10, 10, 2]),
            max_output_tokens=chance.choice([None, None, None, 60]),
            tool_concurrency=chance.choice([8, 8, 2]),
            deadline_s=chance.choice([None, None, None, None, 0.01]),
            approval_wait_s=chance.choice([None, None, 0.0, 0.002]),
        ),
    )


rich_teams = st.builds(rich_team, st.integers(0, 2**32))


def hold(events: list[Event], *, paused: bool = False) -> None:
    """Every law that the events of a tree of runs must keep."""
    assert [e.seq for e in events] == list(range(1, len(events) + 1))
    root = events[0]
    assert type(root) is RunStarted
    assert root.parent_run_id is None
    started = {e.run_id: e for e in of(events, RunStarted)}
    ends = [e for e in events if isinstance(e, TERMINAL)]
    per_run = Counter(e.run_id for e in ends)
    if not paused:
        assert set(per_run) == set(started), "each run of the tree ends"
        assert events[-1] is ends[-1], "the stream ends with the root's last event"
        assert ends[-1].run_id == root.run_id
    assert set(per_run.values()) <= {1}, "and ends once"
    by_run = defaultdict(list)
    for e in events:
        assert e.root_id == root.run_id
        by_run[e.run_id].append(e)
    for run_id, own in by_run.items():
        assert own[0] is started[run_id], "a run begins with run_started"
        assert own[0].parent_run_id is None or own[0].parent_run_id in started
        if run_id in per_run:
            assert isinstance(own[-1], TERMINAL), "nothing of a run comes after its end"
    _spans(events, started)
    _model_calls(events)
    _tool_calls(events, paused=paused)
    _totals(events, started)
    _steps(by_run, paused=paused)


def _spans(events: list[Event], started: dict[str, RunStarted]) -> None:
    known: set[str] = set()
    calls = {e.span_id: e.run_id for e in of(events, ToolCallStart)}
    for e in events:
        if e.parent_span_id is not None:
            assert e.parent_span_id in known, f"{e} lies in a span that nobody began"
        known.add(e.span_id)
    for run in started.values():
        if run.parent_run_id is not None:
            assert calls[run.parent_span_id] == run.parent_run_id, "a sub-run lies in the call that asked for it"
            assert run.trace_id == next(iter(started.values())).trace_id


def _model_calls(events: list[Event]) -> None:
    begun = {e.model_call_id: e for e in of(events, ModelCallStarted)}
    ended = {e.model_call_id: e for e in of(events, ModelCallComplete)}
    assert begun.keys() == ended.keys()
    assert len(of(events, ModelCallStarted)) == len(begun)
    assert len(of(events, ModelCallComplete)) == len(ended)
    for key, start in begun.items():
        end = ended[key]
        assert (start.span_id, start.run_id, start.seq < end.seq) == (end.span_id, end.run_id, True)
        assert (end.message is None) is (end.error_type is not None)
    attempts = defaultdict(list)
    for e in begun.values():
        attempts[e.run_id, e.step].append(e.attempt)
    assert all(a == sorted(set(a)) and a[0] == 1 for a in attempts.values()), attempts


def _tool_calls(events: list[Event], *, paused: bool) -> None:
    asked: dict[str, Any] = {}
    raw: dict[str, str] = defaultdict(str)
    texts: dict[tuple[str, int], str] = defaultdict(str)
    for e in events:
        if type(e) is ToolCallDelta:
            raw[e.call_id] += e.delta
        elif type(e) is TextDelta:
            texts[e.message_id, e.part] += e.delta
        elif type(e) is ModelCallComplete and e.message is not None:
            for c in e.message.tool_calls:
                assert c.id not in asked, "ids are unique in the tree"
                assert c.id in raw, "each call was told as it came"
                asked[c.id] = e
            if not any(key[0] == e.message.id for key in texts):
                continue
            shown = "".join(t for (mid, _), t in sorted(texts.items(), key=lambda i: i[0][1]) if mid == e.message.id)
            assert e.message.text in (shown, e.message.text if "{" in e.message.text else shown)
    ended = Counter(e.call_id for e in of(events, ToolCallComplete))
    pending = {c.id for c in fold(events).pending}
    assert set(ended.values()) <= {1}
    assert set(ended) <= set(asked)
    if not paused:
        assert set(ended) == set(asked), "each call ends"
        assert not pending
    begun: dict[str, ToolCallStart] = {}
    keys = [e.idempotency_key for e in of(events, ToolCallStart)]
    assert len(set(keys)) == len(keys)
    spans = {}
    for e in events:
        if type(e) is ToolCallStart:
            assert e.call.id not in begun
            assert asked[e.call.id].seq < e.seq
            begun[e.call.id] = e
            spans[e.call.id] = e.span_id
        elif type(e) is ToolProgress:
            assert e.call_id in begun
        elif type(e) is ToolCallComplete and e.call_id in spans:
            assert e.span_id == spans[e.call_id]
            assert e.is_error is (e.error_type is not None) is e.result.is_error
    approvals = Counter(e.call.id for e in of(events, ApprovalRequested))
    resolved = Counter(e.call_id for e in of(events, ApprovalResolved))
    assert set(approvals.values()) <= {1}
    assert set(resolved.values()) <= {1}
    assert set(resolved) <= set(approvals)
    granted = {e.call_id for e in of(events, ApprovalResolved) if e.decision == "granted"}
    assert all(c in granted for c, e in begun.items() if e.call.name == "pay")
    for run_id in {e.run_id for e in events}:
        turns = [type(e) for e in events if e.run_id == run_id and type(e) in (RunPaused, RunResumed)]
        assert turns == [RunPaused, RunResumed] * (len(turns) // 2) + [RunPaused] * (len(turns) % 2)


def tree_of(run_id: str, events: Iterable[Event]) -> list[Event]:
    """The events of a run and its sub-runs."""
    tree, own = {run_id}, []
    for e in events:
        if e.parent_run_id in tree:
            tree.add(e.run_id)
        if e.run_id in tree:
            own.append(e)
    return own


def _totals(events: list[Event], started: dict[str, RunStarted]) -> None:
    for run_id in started:
        own = tree_of(run_id, events)
        result = fold(own)
        last = next((e for e in own if isinstance(e, TERMINAL) and e.run_id == run_id), None)
        if last is None:
            continue
        totals = last.result
        assert totals.run_id == result.run_id == run_id
        assert totals.finish_reason == result.finish_reason
        assert totals.usage == result.usage
        assert totals.cost_usd == result.cost_usd
        assert totals.steps == len(result.steps)
        assert totals.tool_calls == len(result.tool_calls)
        assert totals.model == result.model
        assert totals.message_ids == tuple(m.id for m in result.messages)
        assert all(m.id for m in result.messages)
        assert len(set(totals.message_ids)) == len(totals.message_ids)
        spent = sum((e.usage for e in of(own, ModelCallComplete)), start=Usage())
        assert spent == totals.usage


def _steps(by_run: dict[str, list[Event]], *, paused: bool) -> None:
    for own in by_run.values():
        begun, ended = of(own, StepStarted), of(own, StepComplete)
        assert [e.index for e in begun] == list(range(len(begun)))
        assert [e.index for e in ended] == list(range(len(ended)))
        for start, end in zip(begun, ended, strict=False):
            assert start.span_id == end.span_id
        if type(own[-1]) is GenerationComplete and own[-1].result.finish_reason != "deadline":
            assert len(begun) == len(ended)
            assert [e.usage for e in ended] == [s.usage for s in fold(own).steps]


def loadable(messages: Sequence[Message]) -> None:
    """A conversation that any run could go on with."""
    if messages:
        messages_of([*messages])
        msgspec.json.encode(messages)


def hold_prefixes(events: list[Event]) -> None:
    """Wherever the events are cut, they fold, and to a conversation that can be gone on with."""
    for cut in range(1, len(events) + 1):
        loadable(fold(events[:cut]).messages)


def hold_wire(events: list[Event]) -> None:
    """What goes over the wire folds to the same."""
    sent = [from_json(to_json(e)) for e in events]
    assert comparable(fold(sent)) == comparable(fold(events))


def comparable(result: AgentResult[Any] | Exception) -> str:
    """The result, or the error, without what differs between any two runs."""
    if isinstance(result, LumosaiError):
        return f"{type(result).__name__} {comparable(result.result)}"
    text = msgspec.json.encode(result).decode()
    text = re.sub(r'"duration_ms":[\d.e-]+', '"duration_ms":0', text)
    ids: dict[str, str] = {}
    uuid = r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}|call_[0-9a-f]{16}"
    return re.sub(uuid, lambda m: ids.setdefault(m[0], f"id{len(ids)}"), text)


COMPLAINTS: list[dict[str, Any]] = []
"""What every loop of `Watched` complained of, those too that were closed: a task that the collector finds later."""


@dataclass
class Watched:
    """An event loop's complaints, and what was left in it."""

    complaints: list[dict[str, Any]] = field(default_factory=list)

    def hear(self, context: dict[str, Any]) -> None:
        """One complaint."""
        self.complaints.append(context)
        COMPLAINTS.append(context)

    def run(self, main: Any) -> Any:
        """`asyncio.run`, after which no task is left and nothing was complained of."""

        async def watched() -> Any:
            asyncio.get_running_loop().set_exception_handler(lambda _, context: self.hear(context))
            value = await main
            for _ in range(3):
                await asyncio.sleep(0)  # a generator that was dropped is closed in a task of the loop's
            assert asyncio.all_tasks() == {asyncio.current_task()}
            return value

        value = asyncio.run(watched())
        assert self.complaints == []
        return value


__all__ = [
    "COMPLAINTS",
    "Finished",
    "TextChunk",
    "TextPart",
    "Watched",
    "comparable",
    "hold",
    "hold_prefixes",
    "hold_wire",
    "loadable",
    "rich_teams",
    "structured_teams",
    "team",
    "teams",
]
