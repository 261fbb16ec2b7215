"""The context plan and what is done to it, without a storage: what is in, what is out, and why."""

from __future__ import annotations

import cProfile
import pstats
import random

import pytest

from lumosai import Message, TextPart, ToolCallPart, ToolResultPart
from lumosai.errors import ConfigurationError, InvalidInputError
from lumosai.events import MemoryRecalled, PlanItem, from_json, to_json
from lumosai.memory import (
    Clamp,
    ContextPlan,
    Deduplicate,
    MessageLimit,
    RoleFilter,
    TokenBudget,
    ToolCallFilter,
    plan_table,
)
from lumosai.memory._pipeline import begun, chain, finished, processed
from lumosai.memory._window import answered, sendable
from lumosai.memory.base import Asking, Turn
from lumosai.memory.options import options_of
from lumosai.memory.plan import quoted
from lumosai.models.tokens import Counter
from lumosai.records import Scope, ToolDefinition
from lumosai.storage.base import StoredMessage


def turn_of(n: int, words: int = 20) -> list[Message]:
    """A question and its answer."""
    return [Message.user(f"question {n} " + "word " * words, id=f"q{n}"), Message.assistant("ok " * words, id=f"a{n}")]


def used(n: int, *names: str) -> list[Message]:
    """A turn in which tools are called."""
    calls = tuple(ToolCallPart(f"{n}.{k}", name, {"n": n}) for k, name in enumerate(names))
    results = tuple(ToolResultPart(c.id, c.name, f"result {c.id}") for c in calls)
    return [
        Message.user(f"do {n}", id=f"q{n}"),
        Message("assistant", (TextPart("I look."), *calls), f"c{n}"),
        Message("tool", results, f"r{n}"),
        Message.assistant(f"done {n}", id=f"a{n}"),
    ]


def plan_of(messages: list[Message], *, asked: str = "now?", **settings: object) -> ContextPlan:
    """A plan with a history and an input."""
    plan = ContextPlan(**settings)
    for seq, message in enumerate(messages, 1):
        plan.add("history", message, "history", seq=seq)
    plan.add("input", Message.user(asked, id="input"), "asked now")
    return plan


def shown(plan: ContextPlan) -> list[Message]:
    """What a model would be sent of the history."""
    history = plan.of("history")
    return sendable(history, answered([i.message for i in history]))


def whole(messages: list[Message]) -> bool:
    """Whether each call has its result right behind it, and each result its call right before it."""
    waiting: set[str] = set()
    for message in messages:
        results = {r.call_id for r in message.tool_results}
        if results != waiting:
            return False
        waiting = {c.id for c in message.tool_calls}
    return not waiting


async def test_a_processor_of_ones_own_is_a_plain_function() -> None:
    """Sync or async; it leaves out with a reason, and the plan says so. What gives something back is told the way."""

    def no_small_talk(plan: ContextPlan) -> None:
        for item in plan.of("history"):
            if len(item.message.text) < 5:
                item.leave_out("small talk")

    async def pinned(plan: ContextPlan) -> None:
        plan.add("recalled", Message.user("The door code is 42.", id="pin"), "pinned")

    plan = plan_of([Message.user("hello there"), Message.user("hm"), Message.assistant("Good day.")])
    await processed(plan, [], [no_small_talk, pinned], None)
    lines = [(i.kind, i.included, i.reason) for i in plan.lines()]
    assert lines == [
        ("history", True, "history"),
        ("history", False, "small talk"),
        ("history", True, "history"),
        ("recalled", True, "pinned"),
        ("input", True, "asked now"),
    ]
    with pytest.raises(ConfigurationError, match="leave_out"):
        await processed(plan, [], [lambda p: p.items], None)
    with pytest.raises(ConfigurationError, match="input"):
        plan.of("input")[0].leave_out("no")
    for wrong in ([RoleFilter], ["x"], no_small_talk):
        with pytest.raises(InvalidInputError, match="processor"):
            options_of({"processors": wrong})


def test_a_budget_trims_whole_turns_and_in_chunks() -> None:
    """Over a hundred turns the prompt stays within its budget, begins with a question, and its beginning seldom moves."""
    messages: list[Message] = []
    begins = []
    for n in range(100):
        plan = plan_of(messages, budget=1_000)
        TokenBudget()(plan)
        assert plan.tokens <= 1_000
        history = shown(plan)
        if history:
            assert history[0].role == "user"
            begins.append(history[0].id)
        if n > 60:
            assert plan.tokens > 700
        messages += turn_of(n)
    assert len(set(begins)) < 20
    assert sorted(set(begins), key=begins.index) == [b for n, b in enumerate(begins) if n == 0 or b != begins[n - 1]]


def test_a_budget_never_parts_a_call_from_its_result() -> None:
    """However the messages and the budget fall, what is sent is whole; a turn that is too long keeps its question."""
    rng = random.Random(7)
    for _ in range(300):
        messages: list[Message] = []
        for n in range(rng.randrange(1, 12)):
            messages += rng.choice([turn_of(n, rng.randrange(60)), used(n, *["look"] * rng.randrange(1, 4))])
        if rng.random() < 0.3:
            messages += used(99, "look") * rng.randrange(1, 5)
        plan = plan_of(messages, budget=rng.randrange(20, 600))
        TokenBudget(chunk=rng.choice([0.0, 0.1, 0.5]))(plan)
        assert whole(shown(plan))
        assert plan.tokens <= max(plan.budget, plan.tokens_of("input"))
    steps = [Message.user("Work through it all.", id="q")]
    for n in range(40):
        steps += used(n, "look")[1:3]
    plan = plan_of(steps, budget=300)
    TokenBudget()(plan)
    history = shown(plan)
    assert (history[0].id, history[-1].id) == ("q", "r39")
    assert whole(history)
    assert plan.tokens <= 300


async def test_whatever_is_done_to_a_plan_it_stays_sendable() -> None:
    """Processors in any order and number: calls keep their results, the input stays, the budget holds, and each line says why."""
    rng = random.Random(11)
    kinds = [
        lambda: RoleFilter(rng.choice(["tool", "assistant", "system"])),
        lambda: ToolCallFilter(*rng.choice([(), ("look",)]), keep_turns=rng.randrange(3)),
        lambda: Deduplicate(min_chars=rng.choice([1, 80])),
        lambda: Clamp(rng.randrange(30, 200)),
        lambda: MessageLimit(rng.randrange(30)),
        lambda: TokenBudget(rng.randrange(50, 900)),
    ]
    for _ in range(200):
        messages: list[Message] = []
        for n in range(rng.randrange(1, 15)):
            messages += rng.choice([turn_of(n, rng.randrange(90)), used(n, *rng.choices(["look", "add"], k=2))])
        plan = plan_of(messages[rng.randrange(3) :], budget=500)
        await processed(plan, [], chain([rng.choice(kinds)() for _ in range(rng.randrange(4))], 40), None)
        sent = shown(plan)
        assert whole(sent)
        assert not any(m.role == "assistant" and not m.parts for m in sent)
        assert plan.of("input")[0].included
        assert plan.tokens <= max(plan.budget, plan.tokens_of("input"))
        assert all(i.reason for i in plan.lines())


def test_what_is_too_much_by_itself_is_said() -> None:
    """Instructions and input over the budget leave no room for anything else, and the plan notes it."""
    plan = plan_of(turn_of(1), asked="word " * 500, budget=100)
    TokenBudget()(plan)
    assert not any(i.included for i in plan.of("history"))
    assert "input alone" in plan.notes[0]


def test_recalled_items_have_a_share_of_the_budget() -> None:
    """The best ones, which stand last, stay."""
    plan = plan_of(turn_of(1, 5), budget=400)
    for n in range(10):
        plan.add("recalled", Message.user("fact " * 20, id=f"m{n}"), f"rank {10 - n}")
    TokenBudget()(plan)
    kept = [i.message.id for i in plan.of("recalled") if i.included]
    assert kept == [f"m{n}" for n in range(10 - len(kept), 10)]
    assert 0 < plan.tokens_of("recalled") - plan.frame <= 100
    text = quoted([i for i in plan.of("recalled") if i.included])
    assert plan.size_of(text) <= plan.tokens_of("recalled"), "with what stands around it"


def test_the_last_messages_move_on_in_chunks() -> None:
    """At the most so many, at least three quarters; exactly so many where they are few."""
    messages = [m for n in range(40) for m in turn_of(n)]
    begins = []
    for end in range(20, 81, 2):
        plan = ContextPlan()
        for seq in range(max(end - 20, 0), end):
            plan.add("history", messages[seq], seq=seq + 1)
        MessageLimit(20)(plan)
        kept = [i for i in plan.of("history") if i.included]
        assert 16 <= len(kept) <= 20
        begins.append(kept[0].seq)
    assert len(set(begins)) <= 13
    plan = plan_of(messages)
    MessageLimit(3)(plan)
    assert [i.seq for i in plan.of("history") if i.included] == [78, 79, 80]
    MessageLimit(0)(plan)
    assert not any(i.included for i in plan.of("history"))
    with pytest.raises(ConfigurationError):
        MessageLimit(-1)


def test_tool_calls_are_filtered_with_their_results() -> None:
    """What was said beside them stays; names and the last turns may be spared."""
    messages = [*used(1, "look", "add"), *used(2, "add"), *used(3, "look")]
    plan = plan_of(messages)
    ToolCallFilter()(plan)
    assert [m.text for m in shown(plan)] == [
        "do 1",
        "I look.",
        "done 1",
        "do 2",
        "I look.",
        "done 2",
        "do 3",
        "I look.",
        "done 3",
    ]
    assert not any(m.tool_calls or m.tool_results for m in shown(plan))
    plan = plan_of(messages)
    ToolCallFilter("look")(plan)
    assert [c.name for m in shown(plan) for c in m.tool_calls] == ["add", "add"]
    assert whole(shown(plan))
    plan = plan_of(messages)
    ToolCallFilter(keep_turns=1)(plan)
    assert [c.id for m in shown(plan) for c in m.tool_calls] == ["3.0"]
    plan = plan_of(messages)
    ToolCallFilter(keep_turns=9)(plan)
    assert len([c for m in shown(plan) for c in m.tool_calls]) == 4


def test_a_role_is_left_out_with_what_belongs_to_it() -> None:
    """Without tool messages there are no calls either; a lost result is answered for, as before."""
    plan = plan_of([*used(1, "look"), *turn_of(2)])
    RoleFilter("tool")(plan)
    assert [m.role for m in shown(plan)] == ["user", "assistant", "assistant", "user", "assistant"]
    assert whole(shown(plan))
    plan = plan_of(used(1, "look")[:2])
    assert shown(plan)[-1].tool_results[0].text == "The result of this call was not kept."
    plan = plan_of([*used(1, "look"), *turn_of(2)])
    RoleFilter("assistant")(plan)
    assert [m.role for m in shown(plan)] == ["user", "user"]


def test_results_may_come_in_messages_of_their_own() -> None:
    """As other programs store them: each stays with its call; what is lost is answered for behind the last."""
    calls = tuple(ToolCallPart(str(n), "look", {}) for n in range(3))
    results = [Message.tool(ToolResultPart(str(n), "look", f"result {n}")) for n in range(2)]
    plan = plan_of([Message.user("look"), Message("assistant", calls), *results, Message.assistant("ok")])
    sent = shown(plan)
    assert [m.role for m in sent] == ["user", "assistant", "tool", "tool", "assistant"]
    told = [r.text for m in sent for r in m.tool_results]
    assert told == ["result 0", "result 1", "The result of this call was not kept."]


def test_what_stands_twice_is_shown_once() -> None:
    """The last time; short answers are no duplicates, and a repeated result keeps its pair."""
    long = "The meeting is on Monday at nine in the small room. " * 4
    messages = [
        Message.user(long, id="1"),
        Message.assistant("yes"),
        Message.user(long, id="2"),
        Message.assistant("yes"),
    ]
    plan = plan_of(messages)
    Deduplicate()(plan)
    assert [i.included for i in plan.of("history")] == [False, True, True, True]
    reads = []
    for n in range(3):
        reads += [
            Message("assistant", (ToolCallPart(f"c{n}", "read", {}),)),
            Message.tool(ToolResultPart(f"c{n}", "read", long)),
        ]
    plan = plan_of([Message.user("read it"), *reads])
    Deduplicate()(plan)
    assert [r.text == long for m in shown(plan) for r in m.tool_results] == [False, False, True]
    assert whole(shown(plan))


@pytest.mark.parametrize("text", ["word " * 300_000, "汉字" * 300_000, "a\U0001f600" * 200_000])
def test_a_huge_message_is_cut_in_the_middle(text: str) -> None:
    """Wherever it stands, in a quarter of the budget at the most, its beginning and its end kept."""
    result = Message.tool(ToolResultPart("c", "read", text))
    call = Message("assistant", (ToolCallPart("c", "read", {}),))
    plan = plan_of([Message.user(text, id="m"), call, result], asked=text, budget=8_000)
    Clamp()(plan)
    for item in plan.items:
        assert item.tokens <= 2_000
        if item.message is not call:
            body = item.message.text or item.message.tool_results[0].text
            assert body.startswith(text[:50])
            assert body.endswith(text[-50:])
            assert "left out" in body
    assert plan.of("history")[0].message.id == "m"


def test_the_plan_goes_over_the_wire_and_old_ones_are_read() -> None:
    """What is new has defaults: an event that was stored before reads as it was."""
    header = ("r", "r", None, 1, 0.0, "s", None, "a")
    item = PlanItem("recalled", "m", 12, False, "too old", "user", "t2", 0.5, 3)
    event = MemoryRecalled(*header, (item,), "recall", "", 1, 2.0, None, 12, 100, "calibrated", 0.04, ("slow",))
    assert from_json(to_json(event)) == event
    old = (
        b'{"type":"memory_recalled","run_id":"r","root_id":"r","parent_run_id":null,"seq":1,"at":0.0,"span_id":"s",'
        b'"parent_span_id":null,"agent":"a","plan":[{"kind":"history","message_id":"m"}],"count":1,"duration_ms":2.0}'
    )
    read = from_json(old)
    assert isinstance(read, MemoryRecalled)
    assert read.plan == (PlanItem("history", "m"),)
    assert (read.counted, read.budget, read.notes) == ("", None, ())


def test_a_plan_is_shown_as_a_table() -> None:
    """Each line with its tokens and its reason, in columns that Chinese fits into; the sum below."""
    items = (
        PlanItem("system", None, 120, True, "instructions", "system"),
        PlanItem("history", "m1", 1_300, False, "over the budget", "user"),
        PlanItem("recalled", "m2", 9, True, "rank 1", "assistant", "other", 0.812),
    )
    header = ("r", "r", None, 1, 0.0, "s", None, "a")
    event = MemoryRecalled(*header, items, "recall", "", 1, 2.0, None, 129, 1_000, "estimate", 0.07, ("recall: slow",))
    lines = plan_table(event, {"m1": "我叫Alice\n你好", "m2": "x" * 90}).splitlines()
    assert lines[2].split() == ["out", "history", "user", "1,300", "over", "the", "budget", "我叫Alice", "你好"]
    assert "rank 1 (score 0.812), of thread other" in lines[3]
    assert lines[4] == "129 of 1,000 tokens in 2 parts, 1 left out; estimated by length, lately off by 7%"
    assert lines[5] == "recall: slow"
    assert lines[1].index("instructions") == lines[2].index("over the budget")


async def test_a_plan_over_a_thousand_messages_costs_little() -> None:
    """A few calls a message, whatever the machine is doing; the benchmark holds it to two milliseconds of CPU."""
    tool = ToolDefinition("look", "Look.", {"type": "object", "properties": {}})
    asking = Asking(system="Be brief.", tools=(tool,), counter=Counter("deepseek", "x"), window=64_000)
    messages = [m for n in range(250) for m in used(n, "look")]
    earlier = [StoredMessage(m, n) for n, m in enumerate(messages, 1)]
    turn = Turn(run_id="r", agent="a", thread_id="t", scope=Scope(), input=(Message.user("now?", id="i"),))
    with cProfile.Profile() as profile:
        plan = begun(turn, asking, 0, earlier, 4_000)
        await processed(plan, [], chain((), 1_000), None)
        made = finished(plan, asking, earlier)
    assert len(made.plan) == 1_003
    assert made.tokens <= 4_000
    assert whole(list(made.messages))
    assert pstats.Stats(profile).total_calls < 20_000  # type: ignore[attr-defined]  # which typeshed does not know
