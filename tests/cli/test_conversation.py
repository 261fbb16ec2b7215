"""What of a run stays in a conversation: always something that a model takes back."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from lumosai.agent.agent import Agent
from lumosai.agent.inputs import messages_of
from lumosai.cli.conversation import after, settled
from lumosai.errors import ServerError
from lumosai.messages import Message, ReasoningPart, TextPart, ToolCallPart, ToolResultPart
from lumosai.testing import Answer, ScriptedModel, call
from tests.conftest import examples

QUESTION = Message.user("and?")
EARLIER = (Message.user("hi"), Message.assistant("hello"))


def add(a: int, b: int) -> int:
    """Add."""
    return a + b


async def events_of(script, *, cancel_after=None):
    agent = Agent("a", model=ScriptedModel(script), tools=[add])
    async with agent.stream([*EARLIER, QUESTION]) as run:
        events = []
        async for event in run:
            events.append(event)
            if cancel_after is not None and type(event).__name__ == cancel_after:
                run.cancel()
                cancel_after = None
    return events


async def test_an_answer_with_tools_stays_whole():
    """Call, result and answer follow the question."""
    said = after(EARLIER, QUESTION, await events_of([call("add", a=1, b=2), "three"]))
    assert said[:3] == (*EARLIER, QUESTION)
    assert [m.role for m in said[3:]] == ["assistant", "tool", "assistant"]
    assert said[-1].text == "three"


async def test_a_failure_leaves_nothing():
    """Asking again is as if for the first time."""
    assert after(EARLIER, QUESTION, await events_of([ServerError("down")])) == EARLIER
    assert after(EARLIER, QUESTION, []) == EARLIER


async def test_a_failure_after_tools_ran_leaves_what_they_did():
    """What had effects is not forgotten."""
    said = after(EARLIER, QUESTION, await events_of([call("add", a=1, b=2), ServerError("down")]))
    assert [m.role for m in said[2:]] == ["user", "assistant", "tool"]


async def test_a_cancelled_answer_keeps_what_came():
    """The words that were shown are part of the conversation."""
    said = after(EARLIER, QUESTION, await events_of([Answer(text="one two three")], cancel_after="TextDelta"))
    assert said[2] == QUESTION
    assert said[3].text.startswith("one")


async def test_a_cancelled_call_is_not_left_open():
    """A call that has no result is dropped, so that the next question can be asked."""
    said = after(EARLIER, QUESTION, await events_of([call("add", a=1, b=2), "3"], cancel_after="ModelCallComplete"))
    assert messages_of([*said, Message.user("go on")])


PARTS = st.one_of(
    st.builds(TextPart, st.text(max_size=3)),
    st.builds(ReasoningPart, st.text(max_size=3)),
    st.builds(ToolCallPart, st.sampled_from("abc"), st.just("t"), st.just({})),
)


@st.composite
def histories(draw):
    """Assistant messages, each perhaps followed by results of some of its calls."""
    messages = []
    for number in range(draw(st.integers(0, 4))):
        parts = [
            ToolCallPart(f"{number}{p.id}{i}", p.name, {}) if isinstance(p, ToolCallPart) else p
            for i, p in enumerate(draw(st.lists(PARTS, max_size=4)))
        ]
        messages.append(Message("assistant", tuple(parts)))
        calls = [p.id for p in parts if isinstance(p, ToolCallPart)]
        answered = draw(st.lists(st.sampled_from(calls), unique=True)) if calls else []
        if answered:
            messages.append(Message.tool(*(ToolResultPart(i, "t", "x") for i in answered)))
    return messages


@given(histories())
@settings(max_examples=examples(150))
def test_whatever_was_cut_can_be_gone_on_with(messages):
    """No call without a result and no empty message is left; nothing is changed that was whole; doing it twice changes nothing."""
    kept = settled(messages)
    assert messages_of([*kept, Message.user("go on")])
    assert all(m.parts for m in kept)
    assert settled(kept) == kept
    assert [r for m in kept for r in m.tool_results] == [r for m in messages for r in m.tool_results]
    assert [m.text for m in kept if m.text] == [m.text for m in messages if m.text]
