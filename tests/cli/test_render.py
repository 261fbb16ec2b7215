"""How a run looks: events in, text out, without a terminal."""

from __future__ import annotations

import itertools
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lumosai.cli.render import Renderer, cost_text, duration, totals_text
from lumosai.cli.terminal import Style, one_line, safe
from lumosai.events import (
    ApprovalRequested,
    ApprovalResolved,
    BudgetWarning,
    Error,
    GenerationComplete,
    ModelCallComplete,
    ModelChanged,
    ReasoningDelta,
    Retrying,
    RunCancelled,
    RunStarted,
    RunTotals,
    TextDelta,
    ToolCallComplete,
    ToolCallStart,
    ToolProgress,
)
from lumosai.messages import Message, ToolCallPart, ToolResultPart
from lumosai.records import Limits, ModelSettings, Usage

CALL = ToolCallPart("c1", "calculator", {"expression": "17 * 23"})
TOTALS = RunTotals("r", "stop", usage=Usage(10, 20), duration_ms=2000.0, model="m")


class Events:
    """Makes events of one run, numbered and a tenth of a second apart."""

    def __init__(self, run="r", agent="a"):
        self.count = itertools.count(1)
        self.run = run
        self.agent = agent

    def __call__(self, kind, *fields, run=None, **named):
        seq = next(self.count)
        return kind(run or self.run, self.run, None, seq, 100 + seq / 10, "s", None, self.agent, *fields, **named)

    def started(self):
        return self(RunStarted, 1, "", "", (), ModelSettings(), Limits(), None, None, "m")

    def text(self, delta, **named):
        return self(TextDelta, "m1", 0, delta, **named)

    def answered(self, *calls):
        return self(ModelCallComplete, "k", Message("assistant", calls), duration_ms=1500, time_to_first_chunk_ms=500)


def screen(events, *, colour=False, **options):
    """What one place that shows both channels would hold."""
    renderer = Renderer(Style(colour=colour), **options)
    return "".join(text for event in events for _, text in renderer.feed(event))


def channels(events, **options):
    renderer = Renderer(Style(colour=False), **options)
    pieces = [piece for event in events for piece in renderer.feed(event)]
    return "".join(p.text for p in pieces if p.channel == "answer"), "".join(
        p.text for p in pieces if p.channel == "note"
    )


def test_a_plain_answer():
    """The text as it comes, a line of totals behind it."""
    e = Events()
    events = [e.started(), e.text("Hel"), e.text("lo."), e.answered(), e(GenerationComplete, TOTALS)]
    assert screen(events) == "Hello.\n10 in + 20 out tokens · 2.0 s · 20.0 tokens/s · m\n"


def test_a_tool_call_shows_arguments_and_result():
    """One line for the call, one for the result; text before it ends its line first."""
    e = Events()
    result = ToolResultPart("c1", "calculator", "391")
    events = [
        e.started(),
        e.text("Let me see"),
        e.answered(CALL),
        e(ToolCallStart, CALL, "key"),
        e(ToolProgress, "c1", "half\nway"),
        e(ToolCallComplete, "c1", "calculator", result, duration_ms=3),
        e.text("391."),
    ]
    assert screen(events) == (
        'Let me see\n→ calculator(expression="17 * 23")\n· half way\n← calculator: 391 (3 ms)\n391.'
    )
    answer, notes = channels(events, shared=False)
    assert answer == "Let me see\n391."
    assert "391 (3 ms)" in notes


def test_a_refused_call_and_a_failed_one():
    """What went wrong is told with its kind; a call that never started is named all the same."""
    e = Events()
    refused = ToolResultPart("c1", "nope", "no tool of that name", is_error=True)
    assert screen(
        [e.started(), e(ToolCallComplete, "c1", "nope", refused, is_error=True, error_type="undeclared")]
    ) == ("→ nope\n← nope: undeclared: no tool of that name\n")


def test_reasoning_is_folded_into_one_line():
    """A thought shows how long it took; its text only when asked for."""
    e = Events()
    events = [e.started(), e(ReasoningDelta, "m1", 0, "hm, "), e(ReasoningDelta, "m1", 0, "well"), e.text("Yes.")]
    folded = screen(events)
    assert folded == "thought for 0.2 s (8 characters; --show-reasoning shows it)\nYes."
    assert screen(events, show_reasoning=True) == "hm, well\nYes."


def test_reasoning_alone_before_a_call():
    """The end of the thought is not lost when no text follows."""
    e = Events()
    events = [e.started(), e(ReasoningDelta, "m1", 0, "hm"), e.answered(CALL), e(ToolCallStart, CALL, "key")]
    assert screen(events).startswith("thought for 0.2 s (2 characters")


def test_a_retry_that_voids_the_text():
    """What was shown before is ended, and the reader is told that the answer begins anew."""
    e = Events()
    events = [e.started(), e.text("half an ans"), e(Retrying, "model", 2, "cut", 1.0, True), e.text("The answer.")]
    assert screen(events) == "half an ans\n↻ asking again (cut), in 1.0 s; the answer begins anew\nThe answer."
    answer, _ = channels([*events, e(GenerationComplete, TOTALS)], whole=True)
    assert answer == "The answer.\n"


def test_another_model_takes_over():
    """Both are named, and how tools are called from then on; a change of mode alone names one."""
    e = Events()
    assert "↻ a:x → b:y, tools: text (down)" in screen([e.started(), e(ModelChanged, "a:x", "b:y", "text", "down")])
    assert "↻ a:x, tools: text (why)" in screen([e.started(), e(ModelChanged, "a:x", "a:x", "text", "why")])


def test_the_whole_answer_at_the_end_is_the_last_steps_text():
    """With `whole`, words before a tool call are not part of the answer."""
    e = Events()
    events = [
        e.started(),
        e.text("Let me see."),
        e.answered(CALL),
        e.text("391"),
        e.answered(),
        e(GenerationComplete, TOTALS),
    ]
    assert channels(events, whole=True)[0] == "391\n"
    assert channels(events)[0] == "Let me see.\n391\n"


def test_ends_that_are_not_an_answer():
    """A limit, a cancellation and a failure each say so in words."""
    e = Events()
    limit = RunTotals("r", "step_limit")
    assert "stopped at the limit of steps" in screen([e.started(), e(GenerationComplete, limit)])
    cancelled = screen([e.started(), e.text("par"), e(RunCancelled, "cancelled", RunTotals("r", "cancelled"))])
    assert cancelled.startswith("par\ncancelled\n")
    failed = screen([e.started(), e.text("par"), e(Error, "ServerError", "500:\n no", False, RunTotals("r", "error"))])
    assert failed == "par\nlumosai: 500: no\n"


def test_approvals_and_budgets():
    """A call that waits shows its arguments in full; the decision and a nearly used limit are told."""
    e = Events()
    text = screen(
        [
            e.started(),
            e(ApprovalRequested, CALL, "hash"),
            e(ApprovalResolved, "c1", "denied", "user", "not now"),
            e(BudgetWarning, "max_total_tokens", 80.0, 0.8),
        ]
    )
    assert text == (
        '? calculator(expression="17 * 23") needs your approval\ndenied: not now\n! max_total_tokens: 80% used\n'
    )


def test_a_sub_agents_text_is_not_the_answer():
    """Its tool calls show under its name; its text, end and failure are its caller's business."""
    e = Events()
    call = e(ToolCallStart, CALL, "key", run="child")
    events = [e.started(), call, e.text("child says", run="child"), e(GenerationComplete, TOTALS, run="child")]
    assert screen(events) == '  [a] → calculator(expression="17 * 23")\n'


def test_colours_only_where_they_are_wanted():
    """Without colour there is no escape sequence; with it the call's name is set off."""
    e = Events()
    events = [e.started(), e(ToolCallStart, CALL, "key")]
    assert "\x1b" not in screen(events)
    assert "\x1b[36mcalculator\x1b[0m" in screen(events, colour=True)


@given(st.lists(st.text(max_size=12), max_size=12))
def test_no_text_can_steer_the_terminal(deltas):
    """Whatever a model or a tool says, what a terminal gets holds no control character but newline and tab."""
    e = Events()
    events = [e.started()]
    for delta in [*deltas, "\x1b]0;title\x07\x1b[2J\r\x9b5n"]:
        result = ToolResultPart("c1", delta, delta)
        events += [
            e.text(delta),
            e(ReasoningDelta, "m1", 0, delta),
            e(ToolCallStart, ToolCallPart("c1", delta, {delta: delta}), "key"),
            e(ToolCallComplete, "c1", delta, result, is_error=True, error_type=delta),
            e(Error, delta, delta, False, TOTALS),
        ]
    for show in (False, True):
        shown = screen(events, show_reasoning=show)
        assert all(c in "\n\t" or not (ord(c) < 32 or 127 <= ord(c) < 160) for c in shown)


@given(st.lists(st.text(max_size=12), max_size=12))
def test_piped_text_is_not_touched(deltas):
    """Into a file the answer goes as it is, with one newline at its end where it had none."""
    e = Events()
    events = [e.started(), *(e.text(d) for d in deltas), e.answered(), e(GenerationComplete, TOTALS)]
    text = "".join(deltas)
    for whole in (False, True):
        answer, _ = channels(events, clean=False, shared=False, whole=whole)
        assert answer == text + ("\n" if text and not text.endswith("\n") else "")


@pytest.mark.parametrize(
    ("cost", "text"),
    [("0", "free"), ("1.5", "$1.5000"), ("0.00123", "$0.0012"), ("0.0000123", "$0.000012"), ("1e-9", "<$0.0000001")],
)
def test_a_cost_says_something(cost, text):
    """As many digits as carry meaning."""
    assert cost_text(Decimal(cost)) == text


def test_totals_leave_out_what_is_not_known():
    """No tokens, no rate, no cost, no model: only the time."""
    assert totals_text(RunTotals("r", "stop", duration_ms=12.3), 0.0) == "12 ms"
    usage = Usage(10, 5, reasoning_tokens=3, cache_read_tokens=8)
    text = totals_text(RunTotals("r", "stop", usage=usage, cost_usd=Decimal(0), duration_ms=61_500), 0.0)
    assert text == "10 in (8 cached) + 5 out (3 reasoning) tokens · 1 min 2 s · free"


def test_durations_and_lines():
    """Milliseconds, seconds, minutes; a long text is cut to one line."""
    assert [duration(ms) for ms in (0.4, 999, 1000, 59_949)] == ["0 ms", "999 ms", "1.0 s", "59.9 s"]
    assert one_line("a\n  b\tc" * 200, 10) == "a b ca b …"
    assert safe("我叫\x1b[31mAlice\u202e") == "我叫[31mAlice"
