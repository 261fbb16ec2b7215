"""Events as values: they go through JSON unchanged, later versions are passed by, and a fold is pure."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lumosai import events as ev
from lumosai.events import AnyEvent, Event, UnknownEvent, fold, from_json, to_json
from lumosai.messages import Message, Part, TextPart, ToolCallPart, ToolResultPart
from lumosai.records import Limits, ModelSettings, Usage
from tests.conftest import examples

HEADER: dict[str, Any] = {
    "run_id": "r",
    "root_id": "r",
    "parent_run_id": None,
    "seq": 1,
    "at": 1.5,
    "span_id": "0" * 15 + "1",
    "parent_span_id": None,
    "agent": "a",
}
text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=6,
)
calls = st.builds(
    ToolCallPart, text, text, st.dictionaries(text, json_values, max_size=3) | st.none(), text | st.none(), st.none()
)
parts: st.SearchStrategy[Part] = st.one_of(st.builds(TextPart, text), calls)
messages = st.builds(
    Message,
    st.sampled_from(["user", "assistant", "system"]),
    st.lists(parts, max_size=3).map(tuple),
    text | st.none(),
    st.dictionaries(text, json_values, max_size=2),
)
BY_TYPE = {
    Any: json_values,
    Message: messages,
    ToolCallPart: calls,
    float: st.floats(0, 1e9),
    Decimal: st.decimals(0, 100, places=6),
    str: text,
    ToolResultPart: st.builds(ToolResultPart, text, text, text, st.booleans()),
    Limits: st.just(Limits()),
    ModelSettings: st.just(ModelSettings(temperature=0.5, stop=("x",))),
    Usage: st.builds(Usage, st.integers(0, 99), st.integers(0, 99)),
}


def a_value(kind: Any) -> st.SearchStrategy:
    """Values of a field's type."""
    import types
    import typing

    if kind in BY_TYPE:
        return BY_TYPE[kind]
    origin = typing.get_origin(kind)
    if origin in (typing.Union, types.UnionType):
        return st.one_of([a_value(k) for k in typing.get_args(kind)])
    if origin is typing.Literal:
        return st.sampled_from(typing.get_args(kind))
    if origin is tuple:
        return st.lists(a_value(typing.get_args(kind)[0]), max_size=2).map(tuple)
    if origin is dict:
        return st.dictionaries(text, json_values, max_size=2)
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        hints = typing.get_type_hints(kind)
        return st.builds(kind, **{f: a_value(hints[f]) for f in kind.__struct_fields__})
    if typing.is_typeddict(kind):
        return st.just({"tool": "x"})
    return st.from_type(kind)


KINDS = [k for k in AnyEvent.__args__ if k is not UnknownEvent]


@pytest.mark.parametrize("kind", KINDS, ids=lambda k: k.__name__)
@given(data=st.data())
@settings(max_examples=examples(15), deadline=None)
def test_every_event_goes_through_json_unchanged(kind: type[Event], data: st.DataObject) -> None:
    """decode(encode(x)) == x, but for the prompt, of which the wire has only hashes."""
    import typing

    hints = typing.get_type_hints(kind)
    fields = {f: data.draw(a_value(hints[f])) for f in kind.__struct_fields__ if f not in HEADER}
    event = kind(**HEADER, **fields)
    sent = to_json(event)
    assert b"\n" not in sent
    assert json.loads(sent)["type"] == kind.__struct_config__.tag
    back = from_json(sent)
    if kind is ev.ModelCallStarted and (event.prompt or event.tools):
        assert back.prompt == back.tools == ()
        assert len(back.prompt_hashes) == len(event.prompt)
        assert (back.tools_hash is None) is (not event.tools)
        return
    assert msgspec.to_builtins(back) == msgspec.to_builtins(event)


def test_the_table_of_types_is_the_published_one() -> None:
    """The wire names are those of the API page; types are only ever added."""
    published = (
        "run_started memory_recalled step_started model_call_started text_delta reasoning_delta tool_call_delta "
        "model_call_complete tool_call_start tool_progress tool_call_complete approval_requested approval_resolved "
        "output_delta output_complete input_received guard_finding budget_warning handed_off retrying model_changed "
        "step_complete memory_saved run_paused run_resumed custom generation_complete run_cancelled error"
    )
    assert {k.__struct_config__.tag for k in KINDS} == set(published.split())


def test_an_event_of_a_later_version_is_kept_as_it_came() -> None:
    """An unknown type decodes to `UnknownEvent` and is written back unchanged."""
    raw = {**HEADER, "type": "something_new", "x": {"y": [1]}}
    event = from_json(json.dumps(raw))
    assert isinstance(event, UnknownEvent)
    assert event.kind == "something_new"
    assert event.seq == 1
    assert json.loads(to_json(event)) == raw


@pytest.mark.parametrize("bad", ["", "[]", "null", "{}", '{"type": "text_delta"}', '{"type": 7}', "{"])
def test_what_is_no_event_is_refused(bad: str) -> None:
    """Never a half-read event."""
    with pytest.raises(msgspec.MsgspecError):
        from_json(bad)


def test_unknown_fields_of_a_known_type_are_passed_by() -> None:
    """A later version may add fields."""
    raw = {**HEADER, "type": "text_delta", "message_id": "m", "part": 0, "delta": "x", "new": 1}
    assert from_json(json.dumps(raw)).delta == "x"


def test_a_fold_of_nothing_is_an_error() -> None:
    """A run begins with `run_started`."""
    with pytest.raises(ValueError, match="run_started"):
        fold([])


async def test_any_prefix_of_a_run_folds_to_a_loadable_conversation() -> None:
    """Wherever the events are cut, there is a result, and its text is what was shown."""
    from lumosai.testing import call
    from tests.agent.helpers import record, scripted

    agent, _ = scripted([["Let me see. ", call("add", a=1, b=2)], "It is three."])
    events, whole = await record(agent)
    for cut in range(1, len(events) + 1):
        result = fold(events[:cut])
        shown = "".join(e.delta for e in events[:cut] if type(e) is ev.TextDelta)
        assert "".join(m.text for m in result.messages if m.role == "assistant") == shown
        assert result.finish_reason == ("stop" if cut == len(events) else "interrupted")
    assert fold(events) == whole


async def test_a_call_without_a_result_is_answered_in_the_messages() -> None:
    """Cut between a call and its result, a conversation can still be gone on with; the steps tell only what was."""
    from lumosai.agent.inputs import messages_of
    from lumosai.testing import call
    from tests.agent.helpers import record, scripted

    agent, _ = scripted([[call("add", a=1, b=2), call("shout", text="x")], "Done."])
    events, whole = await record(agent)
    for cut in range(1, len(events) + 1):
        result = fold(events[:cut])
        if result.messages:
            messages_of(result.messages)
        assert len(result.steps) <= len(whole.steps)
    first_end = next(i for i, e in enumerate(events) if type(e) is ev.ToolCallComplete)
    result = fold(events[: first_end + 1])
    told = result.messages[-1].tool_results
    assert len(told) == 2
    assert [r.is_error for r in told].count(True) == 1
    assert len(result.steps[0].tool_results) == 1


def test_what_was_said_of_an_answer_that_was_cut_keeps_its_order() -> None:
    """Thought and text come back as the parts they were; a structured answer's beginning is its text."""

    def events(*more: tuple) -> list[Event]:
        started = ev.RunStarted(*HEADER.values(), 1, "", "", (), ModelSettings(), Limits(), None, None, "m")
        asked = ev.ModelCallStarted(*HEADER.values(), "call", "answer", 0, 1, "p", "m", "", ModelSettings())
        return [started, asked, *(kind(**HEADER, **fields) for kind, fields in more)]

    said = fold(
        events(
            (ev.TextDelta, {"message_id": "m1", "part": 0, "delta": "Let "}),
            (ev.TextDelta, {"message_id": "m1", "part": 0, "delta": "me."}),
            (ev.ReasoningDelta, {"message_id": "m1", "part": 1, "delta": "Hm."}),
            (ev.TextDelta, {"message_id": "m1", "part": 2, "delta": "So"}),
        )
    ).messages
    assert [(type(p).__name__, p.text) for p in said[0].parts] == [
        ("TextPart", "Let me."),
        ("ReasoningPart", "Hm."),
        ("TextPart", "So"),
    ]
    assert said[0].id == "m1"
    result = fold(
        events((ev.OutputDelta, {"attempt": 1, "delta": '{"a":'}), (ev.OutputDelta, {"attempt": 1, "delta": " 1"}))
    )
    assert result.text == '{"a": 1'
    assert result.messages[0].id
    assert result.cost_usd is None
