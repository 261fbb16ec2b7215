"""A conversation re-told without tool parts: nothing said is lost, and roles alternate."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from lumosai.messages import ImagePart, Message, ReasoningPart, TextPart, ToolCallPart, ToolResultPart
from lumosai.models._plain_history import has_calls, plain_history, with_system

USER = Message.user("Hi")
CALL = ToolCallPart("c", "t", {"a": 1})
RESULT = ToolResultPart("c", "t", "done")


def told(*messages: Message, **options) -> list[tuple[str, str]]:
    plain = plain_history(messages, lambda c: f"CALL {c.name}", lambda r: f"RESULT {r.text}", **options)
    assert not has_calls(plain)
    return [(m.role, m.text) for m in plain]


def test_calls_are_found() -> None:
    """In either half of the pair, and nowhere else."""
    assert not has_calls([USER, Message.assistant("x"), Message.system("y")])
    assert has_calls([USER, Message.assistant(CALL)])
    assert has_calls([Message.tool(RESULT)])


def test_parallel_calls_and_their_results() -> None:
    """One assistant message, one user's message."""
    assert told(USER, Message.assistant("Two:", CALL, CALL), Message.tool(RESULT, RESULT)) == [
        ("user", "Hi"), ("assistant", "Two:\nCALL t\nCALL t"), ("user", "RESULT done\nRESULT done"),
    ]  # fmt: skip


def test_results_in_several_messages_and_what_the_user_adds() -> None:
    """All that comes before the next answer is one message of the user."""
    tool = Message.tool(RESULT)
    assert told(USER, Message.assistant(CALL), tool, tool, Message.user("And?")) == [
        ("user", "Hi"), ("assistant", "CALL t"), ("user", "RESULT done\nRESULT done\n\nAnd?"),
    ]  # fmt: skip


def test_other_parts_are_kept_in_place() -> None:
    """Thoughts stay before the text, media behind the result that gave them, ids with their messages."""
    image = ImagePart(url="http://x/y.png")
    message = Message.assistant(ReasoningPart("hm"), CALL, id="m1")
    result = Message.tool(ToolResultPart("c", "t", (TextPart("seen"), image)))
    said, shown = plain_history([message, result], lambda c: c.name, lambda r: r.text)
    assert said == Message.assistant(ReasoningPart("hm"), "t", id="m1")
    assert shown.parts == (TextPart("seen"), image)


def test_replies_can_be_told_in_another_form() -> None:
    """Only texts without a call; the user's stay as they are."""
    assert told(USER, Message.assistant("Yes."), Message.assistant("x", CALL), reply=lambda t: f"<{t}>") == [
        ("user", "Hi"), ("assistant", "<Yes.>"), ("assistant", "x\nCALL t"),
    ]  # fmt: skip


def test_the_system_prompt_grows_at_its_end() -> None:
    """What is added comes behind the user's own words, or stands alone."""
    assert with_system([Message.system("A"), USER], "B") == (Message.system("A\n\nB"), USER)
    assert with_system([USER], "B") == (Message.system("B"), USER)
    assert with_system([Message.system(""), USER], "B") == (Message.system("B"), USER)


_messages = st.lists(
    st.sampled_from([USER, Message.assistant("yes"), Message.assistant("try", CALL), Message.tool(RESULT)]), max_size=12
)


@given(_messages)
def test_nothing_is_lost_and_messages_without_tools_are_the_same(messages: list[Message]) -> None:
    """Every call and result is told once, in order; a plain assistant's message is the very same object."""
    plain = plain_history(messages, lambda c: "CALL", lambda r: "RESULT")
    text = "\n".join(m.text for m in plain)
    assert text.count("CALL") == sum(len(m.tool_calls) for m in messages)
    assert text.count("RESULT") == sum(len(m.tool_results) for m in messages)
    assert text.count("yes") == sum(m.text == "yes" for m in messages)
    assert all(any(m is p for p in plain) for m in messages if m.text == "yes")
    assert not any(a.role == b.role == "user" and "RESULT" in a.text for a, b in itertools.pairwise(plain))


def test_the_message_that_results_serve() -> None:
    """It stands before them, once for all results of a step, at each step, and a later message does not change that."""
    first, later = Message.user("How much?"), Message.user("And now?")
    call = Message("assistant", (ToolCallPart("1", "add", {"a": 1}),))
    result = Message.tool(ToolResultPart("1", "add", "3"))
    told = plain_history(
        (first, call, result, result, call, result, later, call, result),
        lambda c: c.name,
        lambda r: r.text,
        asked=lambda text: f"({text})",
    )
    assert [m.text for m in told if m.role == "user"] == [
        "How much?",
        "(How much?)\n3\n3",
        "(How much?)\n3\n\nAnd now?",
        "(And now?)\n3",
    ]
    before = plain_history((first, call, result), lambda c: c.name, lambda r: r.text, asked=lambda text: f"({text})")
    assert before[-1].text == "(How much?)\n3"
