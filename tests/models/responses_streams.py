"""Streams of `/responses` of every kind of event and every way to break them, and what each must give.

What a stream gives was read off its items, not computed by what is tested.
"""

from __future__ import annotations

import json
from typing import Any

from lumosai.errors import (
    BadRequestError,
    ContextLengthError,
    RateLimitError,
    ServerError,
    StreamInterruptedError,
)
from tests.models.responses_server import (
    Told,
    call,
    custom,
    events_of,
    message,
    refusal,
    response_of,
    sse,
    thought,
)
from tests.models.test_streams import Gives

Events = list[dict[str, Any]]


def without(told: Told, *kinds: str) -> Events:
    """The events of an answer, but for those of some kinds (by the end of their names)."""
    return [e for e in events_of(told) if not e["type"].endswith(kinds)]


def with_field(events: Events, **fields: Any) -> Events:
    """The events, each with other fields; None takes a field away."""
    made = [{**e, **{k: v for k, v in fields.items() if k in e}} for e in events]
    return [{k: v for k, v in e.items() if not (k in fields and v is None)} for e in made]


def upto(events: Events, kind: str) -> Events:
    """The events before the first one of a kind."""
    return events[: next(i for i, e in enumerate(events) if e["type"].endswith(kind))]


def again(events: Events, kind: str) -> Events:
    """The events with each one of a kind sent twice."""
    return [e for one in events for e in ([one, one] if one["type"].endswith(kind) else [one])]


def nothing_streamed(told: Told) -> Events:
    """Only the end of each item, and the response's."""
    return without(told, ".added", ".delta", "_text.done", "arguments.done", "part.done", "input.done", "refusal.done")


HELLO = Told([message("Hello, 你好 🌍 you.")])
OTHER = Told([message("Quite another thing.", id="msg_2")], id="resp_2")
ADD = call("add", '{"x": 1, "名": "é"}')
CALLS = Told([ADD, call("mul", '{"y":2}', id="fc_2", call_id="call_2")])
THINKS = Told([thought("First, I look.", "Then I add."), ADD])
USED = (20, 10, 4, 8, 30)
ADD_CALL = ("call_1", "add", '{"x": 1, "名": "é"}')
MUL_CALL = ("call_2", "mul", '{"y":2}')
RUN = ("call_1", "run", '{"input":"print(\\"\\u00e9\\")\\n"}')
CUT = Told([{**ADD, "arguments": '{"x": 1, "', "status": "incomplete"}], status="incomplete", why="max_output_tokens")
FAILED = Told([message("Hal")], status="failed", error={"code": "server_error", "message": "The model broke."})
CITED = {"type": "url_citation", "start_index": 0, "end_index": 5, "url": "https://x.example", "title": "X"}
SEARCH = {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"type": "search", "query": "q"}}


def interleaved() -> Events:
    """Two calls whose arguments come by turns."""
    first, second = ([e for e in events_of(CALLS) if e.get("output_index") == i] for i in (0, 1))
    turns = [e for pair in zip(first, second, strict=False) for e in pair]
    longer = first if len(first) > len(second) else second
    return [*events_of(CALLS)[:2], *turns, *longer[len(turns) // 2 :], events_of(CALLS)[-1]]


def halves() -> Events:
    """A character outside the basic plane, cut in two; and one whose second half never comes."""
    events = without(HELLO, "_text.done", "part.done", "item.done")
    deltas = ["a \ud83c", "\udf0d b", " \ud83c"]
    middle = [{**events[4], "delta": d} for d in deltas]
    end = {**events[-1], "response": {**events[-1]["response"], "output": []}}
    return [*events[:4], *middle, end]


STREAMS: dict[str, tuple[Events, Gives]] = {
    "text": (events_of(HELLO), Gives("Hello, 你好 🌍 you.", usage=USED)),
    "two_messages": (
        events_of(Told([message("One. "), message("Two.", id="msg_2")])),
        Gives("One. Two.", usage=USED),
    ),
    "calls": (events_of(CALLS), Gives(calls=[ADD_CALL, MUL_CALL], finish="tool_calls", usage=USED)),
    "interleaved_calls": (interleaved(), Gives(calls=[ADD_CALL, MUL_CALL], finish="tool_calls", usage=USED)),
    "text_and_call": (
        events_of(Told([message("Let me see."), ADD])),
        Gives("Let me see.", calls=[ADD_CALL], finish="tool_calls", usage=USED),
    ),
    "empty_arguments": (
        events_of(Told([call("now", ""), call("here", "{}", id="fc_2", call_id="call_2")])),
        Gives(calls=[("call_1", "now", ""), ("call_2", "here", "{}")], finish="tool_calls", usage=USED),
    ),
    "malformed_arguments": (
        events_of(Told([call("add", '{"x": ')])),
        Gives(calls=[("call_1", "add", '{"x": ')], finish="tool_calls", usage=USED),
    ),
    "arguments_object": (
        [
            {"type": "response.output_item.done", "output_index": 0, "item": {**ADD, "arguments": {"x": 1}}},
            {"type": "response.completed", "response": {**response_of(Told()), "output": []}},
        ],
        Gives(calls=[("call_1", "add", '{"x":1}')], finish="tool_calls", usage=USED),
    ),
    "custom_call": (
        events_of(Told([custom("run", 'print("é")\n')])),
        Gives(calls=[RUN], finish="tool_calls", usage=USED),
    ),
    "custom_call_empty": (
        events_of(Told([custom("run", "")])),
        Gives(calls=[("call_1", "run", '{"input":""}')], finish="tool_calls", usage=USED),
    ),
    "custom_call_at_its_end": (
        nothing_streamed(Told([custom("run", 'print("é")\n')])),
        Gives(calls=[RUN], finish="tool_calls", usage=USED),
    ),
    "summary": (
        events_of(THINKS),
        Gives("", "First, I look.\n\nThen I add.", [ADD_CALL], "tool_calls", USED),
    ),
    "reasoning_text": (
        events_of(Told([thought(content=["Hmm. ", "Yes."], sealed=None), message("391")])),
        Gives("391", "Hmm. \n\nYes.", usage=USED),
    ),
    "sealed_only": (events_of(Told([thought(), thought(id="rs_2"), message("391")])), Gives("391", usage=USED)),
    "refusal": (events_of(Told([refusal("I cannot.")])), Gives("I cannot.", finish="refusal", usage=USED)),
    "refusal_at_its_end": (
        nothing_streamed(Told([refusal("I cannot.")])),
        Gives("I cannot.", finish="refusal", usage=USED),
    ),
    "annotations": (events_of(Told([message("Hello", annotations=[CITED])])), Gives("Hello", usage=USED)),
    "search": (events_of(Told([SEARCH, message("Found.")])), Gives("Found.", usage=USED)),
    "length": (
        events_of(Told([message("and so on and")], status="incomplete", why="max_output_tokens")),
        Gives("and so on and", finish="length", usage=USED),
    ),
    "length_in_a_call": (
        [*events_of(CALLS)[:5], events_of(CUT)[-1]],
        Gives(calls=[("call_1", "add", '{"x": 1, "')], finish="length", usage=USED),
    ),
    "length_in_a_custom_call": (
        events_of(Told([{**custom("run", "pri"), "status": "incomplete"}], status="incomplete")),
        Gives(calls=[("call_1", "run", '{"input":"pri')], finish="length", usage=USED),
    ),
    "content_filter": (
        events_of(Told([message("Well")], status="incomplete", why="content_filter")),
        Gives("Well", finish="content_filter", usage=USED),
    ),
    "why_unknown": (
        events_of(Told([message("Well")], status="incomplete", why="something new")),
        Gives("Well", finish="length", usage=USED),
    ),
    "failed": (events_of(FAILED), Gives("Hal", error=ServerError, says="The model broke.")),
    "failed_rate_limit": (
        events_of(Told([], status="failed", error={"code": "rate_limit_exceeded", "message": "Slow down."})),
        Gives(error=RateLimitError, says="Slow down."),
    ),
    "failed_prompt": (
        events_of(Told([], status="failed", error={"code": "invalid_prompt", "message": "Not this."})),
        Gives(error=BadRequestError, says="Not this."),
    ),
    "failed_image": (
        events_of(Told([], status="failed", error={"code": "image_parse_error", "message": "No picture."})),
        Gives(error=BadRequestError, says="No picture."),
    ),
    "failed_context": (
        events_of(Told([], status="failed", error={"code": "context_length_exceeded", "message": "Too long."})),
        Gives(error=ContextLengthError, says="Too long."),
    ),
    "failed_silently": (events_of(Told([], status="failed")), Gives(error=ServerError, says="failed")),
    "cancelled": (
        [
            *events_of(HELLO)[:-1],
            {**events_of(HELLO)[-1], "type": "response.cancelled", "response": {"status": "cancelled"}},
        ],
        Gives("Hello, 你好 🌍 you.", error=ServerError, says="cancelled"),
    ),
    "failed_as_completed": (
        [*events_of(FAILED)[:-1], {**events_of(FAILED)[-1], "type": "response.completed"}],
        Gives("Hal", error=ServerError, says="The model broke."),
    ),
    "error_event": (
        [
            *upto(events_of(HELLO), "_text.done"),
            {"type": "error", "code": "server_error", "message": "It broke.", "param": None, "sequence_number": 9},
        ],
        Gives("Hello, 你好 🌍 you.", error=ServerError, says="It broke."),
    ),
    "error_nested": (
        [
            *events_of(HELLO)[:2],
            {"type": "error", "error": {"type": "tokens", "code": "rate_limit_exceeded", "message": "Slow down."}},
        ],
        Gives(error=RateLimitError, says="Slow down."),
    ),
    "no_end": (
        events_of(HELLO)[:-1],
        Gives("Hello, 你好 🌍 you.", error=StreamInterruptedError, says="response.completed"),
    ),
    "no_end_of_a_call": (
        upto(events_of(CALLS), "arguments.done"),
        Gives(calls=[ADD_CALL], error=StreamInterruptedError),
    ),
    "created_only": (events_of(HELLO)[:1], Gives(error=StreamInterruptedError)),
    "created_twice": (
        [events_of(HELLO)[0], *events_of(HELLO)],
        Gives("Hello, 你好 🌍 you.", usage=USED),
    ),
    "created_twice_unnumbered": (
        with_field([events_of(HELLO)[0], *events_of(HELLO)], sequence_number=None),
        Gives("Hello, 你好 🌍 you.", usage=USED),
    ),
    "created_again_in_mid_stream": (
        [*events_of(HELLO)[:6], events_of(HELLO)[0], *events_of(HELLO)[6:]],
        Gives("Hello, 你好 🌍 you.", usage=USED),
    ),
    "told_again_from_the_start": (
        [*events_of(HELLO)[:6], *events_of(HELLO)],
        Gives("Hello, 你好 🌍 you.", usage=USED),
    ),
    "told_again_unnumbered": (
        with_field([*events_of(HELLO)[:6], *events_of(HELLO)], sequence_number=None),
        Gives("Hello, 你好 ", error=StreamInterruptedError, says="began again"),
    ),
    "each_event_twice": (
        [e for one in events_of(THINKS) for e in (one, one)],
        Gives("", "First, I look.\n\nThen I add.", [ADD_CALL], "tool_calls", USED),
    ),
    "another_created_before_anything": (
        [*events_of(OTHER)[:2], *events_of(HELLO)],
        Gives("Hello, 你好 🌍 you.", usage=USED),
    ),
    "spliced_at_its_beginning": (
        [*events_of(HELLO)[:6], *events_of(OTHER)],
        Gives("Hello, 你好 ", error=StreamInterruptedError, says="second response"),
    ),
    "spliced_in_mid_stream": (
        [*events_of(HELLO)[:6], *events_of(OTHER)[6:]],
        Gives("Hello, 你好 her thing.", error=StreamInterruptedError, says="not what its end says"),
    ),
    "spliced_at_its_end": (
        [*events_of(HELLO)[:-1], events_of(OTHER)[-1]],
        Gives("Hello, 你好 🌍 you.", error=StreamInterruptedError, says="that ended, resp_2"),
    ),
    "another_answers_delta": (
        [*events_of(HELLO)[:6], events_of(OTHER)[5], *events_of(HELLO)[6:]],
        Gives("Hello, 你好  anot🌍 you.", error=StreamInterruptedError, says="not what its end says"),
    ),
    "another_answers_item": (
        [*events_of(HELLO)[:6], *events_of(OTHER)[2:9], *events_of(HELLO)[6:]],
        Gives("Hello, 你好 ", error=StreamInterruptedError, says="began again"),
    ),
    "a_lost_text_delta": (
        [e for e in events_of(HELLO) if e.get("delta") != ", 你好 "],
        Gives("Hello🌍 you.", error=StreamInterruptedError, says="not what its end says"),
    ),
    "an_end_without_the_blanks_around": (
        [{**e, "delta": f"\n{e['delta']}"} if e.get("delta") == "Hello" else e for e in events_of(HELLO)],
        Gives("\nHello, 你好 🌍 you.", usage=USED),
    ),
    "content_that_is_text": (
        [
            {"type": "response.completed", "response": response_of(Told([{**message(""), "content": "Hi"}]))},
        ],
        Gives("Hi", usage=USED),
    ),
    "spliced_calls": (
        [
            *events_of(CALLS)[:6],
            *events_of(Told([call("add", '{"x": 999}', id="fc_9", call_id="call_9")], id="resp_2"))[6:],
        ],
        Gives(calls=[("call_1", "add", '{"x": 1, "名": "')], error=StreamInterruptedError),
    ),
    "two_responses": ([*events_of(HELLO), *events_of(OTHER)], Gives("Hello, 你好 🌍 you.", usage=USED)),
    "unknown_events": (
        [
            e
            for one in events_of(HELLO)
            for e in ({"type": "response.something.new", "delta": "x", "sequence_number": 1}, one, {"type": "ping"})
        ],
        Gives("Hello, 你好 🌍 you.", usage=USED),
    ),
    "gaps_in_the_numbers": (
        [{**e, "sequence_number": 7 * e["sequence_number"] + 3} for e in events_of(CALLS)],
        Gives(calls=[ADD_CALL, MUL_CALL], finish="tool_calls", usage=USED),
    ),
    "numbers_all_alike": (
        with_field(events_of(Told([message("hahahaha")], usage=(20, 10, 4, 8), size=2)), sequence_number=0),
        Gives("hahahaha", usage=USED),
    ),
    "ids_that_change": (
        [{**e, "item_id": f"x{n}"} if "item_id" in e else e for n, e in enumerate(events_of(THINKS))],
        Gives("", "First, I look.\n\nThen I add.", [ADD_CALL], "tool_calls", USED),
    ),
    "places_all_alike": (
        with_field(events_of(THINKS), output_index=0),
        Gives("", "First, I look.\n\nThen I add.", [ADD_CALL], "tool_calls", USED),
    ),
    "no_places": (
        with_field(events_of(CALLS), output_index=None),
        Gives(calls=[ADD_CALL, MUL_CALL], finish="tool_calls", usage=USED),
    ),
    "no_ids_nor_places": (
        with_field(events_of(CALLS), output_index=None, item_id=None),
        Gives(calls=[ADD_CALL, MUL_CALL], finish="tool_calls", usage=USED),
    ),
    "items_only_at_their_end": (
        nothing_streamed(CALLS),
        Gives(calls=[ADD_CALL, MUL_CALL], finish="tool_calls", usage=USED),
    ),
    "items_only_at_the_responses_end": (
        without(THINKS, ".added", ".delta", ".done"),
        Gives("", "First, I look.\n\nThen I add.", [ADD_CALL], "tool_calls", USED),
    ),
    "items_not_ended": (
        without(THINKS, "item.done"),
        Gives("", "First, I look.\n\nThen I add.", [ADD_CALL], "tool_calls", USED),
    ),
    "nothing_at_the_responses_end": (
        [*events_of(CALLS)[:-1], {**events_of(CALLS)[-1], "response": {**response_of(CALLS), "output": []}}],
        Gives(calls=[ADD_CALL, MUL_CALL], finish="tool_calls", usage=USED),
    ),
    "whole_arguments_at_the_beginning": (
        [
            {**e, "item": ADD} if e["type"].endswith("item.added") else e
            for e in without(Told([ADD]), ".delta", "arguments.done")
        ],
        Gives(calls=[ADD_CALL], finish="tool_calls", usage=USED),
    ),
    "whole_arguments_at_the_beginning_and_in_deltas": (
        [{**e, "item": ADD} if e["type"].endswith("item.added") else e for e in events_of(Told([ADD]))],
        Gives(calls=[ADD_CALL], finish="tool_calls", usage=USED),
    ),
    "text_at_the_parts_beginning": (
        [
            {**e, "part": {**e["part"], "text": "Hello"}} if e["type"].endswith("part.added") else e
            for e in events_of(HELLO)
            if e.get("delta") != "Hello"
        ],
        Gives("Hello, 你好 🌍 you.", usage=USED),
    ),
    "done_mark": (
        [*events_of(HELLO), {"type": "done"}],
        Gives("Hello, 你好 🌍 you.", usage=USED),
    ),
    "a_lost_delta": (
        [e for e in events_of(Told([ADD])) if e.get("delta") != '名": "'],
        Gives(calls=[("call_1", "add", '{"x": 1, "é"}')], error=StreamInterruptedError, says="not what its end says"),
    ),
    "surrogate_halves": (halves(), Gives("a 🌍 b \ufffd", usage=USED)),
    "no_usage": (
        [*events_of(HELLO)[:-1], {**events_of(HELLO)[-1], "response": {**response_of(HELLO), "usage": None}}],
        Gives("Hello, 你好 🌍 you."),
    ),
    "end_without_a_response": (
        [*events_of(HELLO)[:-1], {"type": "response.completed"}],
        Gives("Hello, 你好 🌍 you."),
    ),
    "no_output_at_all": (events_of(Told([])), Gives(usage=USED)),
}


def raw(events: Events) -> bytes:
    """The events' bytes, as a server may send them: escaped, where they hold what UTF-8 cannot."""
    try:
        return b"".join(sse(events))
    except UnicodeEncodeError:
        return b"".join(f"event: {e['type']}\ndata: {json.dumps(e)}\n\n".encode() for e in events)
