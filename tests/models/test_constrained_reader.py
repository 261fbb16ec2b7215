"""The reader of constrained answers: the envelope is never shown, and no cut of the stream changes what is given."""

from __future__ import annotations

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lumosai.models._constrained_reader import ConstrainedReader
from lumosai.models._readers import TextReader
from lumosai.models.base import TextChunk, ToolCallChunk
from lumosai.records import ToolDefinition

CALCULATOR = ToolDefinition(
    "calculator",
    "Evaluate.",
    {"type": "object", "properties": {"expression": {"type": "string"}}, "required": ["expression"]},
)


def read(*pieces: str, **options) -> tuple[str, list[tuple[str, str]]]:
    """The text shown and the calls made by an answer that comes in these pieces."""
    reader = ConstrainedReader(TextReader([CALCULATOR]), **options)
    text, calls = "", {}
    for chunks in [*map(reader.feed, pieces), reader.close()]:
        for chunk in chunks:
            assert isinstance(chunk, TextChunk | ToolCallChunk)
            if isinstance(chunk, TextChunk):
                assert chunk.delta
                text += chunk.delta
            else:
                assert (chunk.index in calls) != bool(chunk.name), "a call's first chunk, and no other, has the name"
                calls.setdefault(chunk.index, [chunk.name, ""])[1] += chunk.delta
    assert list(calls) == list(range(len(calls)))
    assert reader.called == bool(calls)
    return text, [(name, raw) for name, raw in calls.values()]


def every_way(whole: str, **options) -> tuple[str, list[tuple[str, str]]]:
    """The same, having checked that every single cut, and one character at a time, make no difference."""
    result = read(whole, **options)
    assert read(*whole, **options) == result
    for at in range(len(whole) + 1):
        assert read(whole[:at], whole[at:], **options) == result, f"cut at {at}: {whole[:at]!r} | {whole[at:]!r}"
    return result


def call(arguments: str, name: str = "calculator") -> str:
    return f'{{"tool": "{name}", "arguments": {arguments}}}'


@pytest.mark.parametrize(
    "text",
    ["Hello.", "", 'say "hi" \\ / \b\f\n\r\t', "我叫Alice", "🙂", "é\u0000\u2028", '{"tool": "calculator"}', "\ufffd"],
)
@pytest.mark.parametrize("escaped", [False, True])
def test_a_reply_is_its_characters(text: str, escaped: bool) -> None:
    """The string is unescaped, surrogate pairs joined, at whatever cut."""
    whole = json.dumps({"tool": "none", "reply": text}, ensure_ascii=escaped)
    assert every_way(whole) == (text, [])


@pytest.mark.parametrize("arguments", [
    "{}", '{"expression": "17 * 23"}', '{"a": [1, {"b": "}]\\"{"}], "c": null}', '{ "x" : -1.5e3 }', '["odd"]', '"odd"',
    "12", "null",
])  # fmt: skip
def test_arguments_are_their_raw_text(arguments: str) -> None:
    """Joined, the deltas are exactly the value's text, spaces and escapes included."""
    assert every_way(call(arguments)) == ("", [("calculator", arguments)])


def test_arguments_stream_as_they_come() -> None:
    """Nothing is held back until the end: each delta of the arguments, and of the reply, is given at once."""
    reader = ConstrainedReader(TextReader([CALCULATOR]))
    assert reader.feed('{"tool": "calculator", "argu') == []
    assert "".join(c.delta for c in reader.feed('ments": {"expr')) == '{"expr'
    assert "".join(c.delta for c in reader.feed('ession": "1+')) == 'ession": "1+'
    reader = ConstrainedReader(TextReader([CALCULATOR]))
    assert reader.feed('{"tool": "none", "reply": "Hel') == [TextChunk("Hel")]
    assert reader.feed("lo") == [TextChunk("lo")]


def test_the_order_of_the_keys_is_not_relied_on() -> None:
    """Arguments before the name wait for it; a reply needs none."""
    assert every_way('{"arguments": {"a": 1}, "tool": "calculator"}') == ("", [("calculator", '{"a": 1}')])
    assert every_way('{"reply": "Hi", "tool": "none"}') == ("Hi", [])


def test_blank_space_and_a_fence_around_it() -> None:
    """Models that were not held to the schema like to fence JSON; the fence is no part of the answer."""
    inside = call('{"a": 1}')
    for whole in (f"\n  {inside}\n ", f"```json\n{inside}\n```", f"```\n{inside}\n```\n", f"```\r\n\n{inside}"):
        assert every_way(whole) == ("", [("calculator", '{"a": 1}')]), whole


def test_a_call_without_arguments() -> None:
    """A name alone is a call whose raw arguments are empty; nothing is made up."""
    assert every_way('{"tool": "calculator"}') == ("", [("calculator", "")])


def test_none_is_never_a_call() -> None:
    """The name for no tool calls nothing, whatever stands beside it; and it can be another word."""
    assert every_way('{"tool": "none"}') == ("", [])
    assert every_way('{"tool": "none", "arguments": {"a": 1}}') == ("", [])
    assert every_way('{"tool": "none_", "reply": "x"}', none="none_") == ("x", [])
    assert every_way(call("{}", "none"), none="none_") == ("", [("none", "{}")])


def test_a_reply_of_json_is_given_as_it_stands() -> None:
    """With an output schema the reply's JSON text is the answer's text, to the character."""
    whole = '{"tool": "none", "reply": {"city": "P\\u00e1ris", "n": [1, null]}}'
    assert every_way(whole, reply_json=True) == ('{"city": "P\\u00e1ris", "n": [1, null]}', [])
    assert every_way('{"tool": "none", "reply": "a\\"b"}', reply_json=True) == ('"a\\"b"', [])
    assert every_way('{"tool": "none", "reply": null}', reply_json=True) == ("null", [])


def test_a_reply_that_is_no_string() -> None:
    """A number is said, null says nothing, an object is shown as JSON."""
    assert every_way('{"tool": "none", "reply": 391}') == ("391", [])
    assert every_way('{"tool": "none", "reply": null}') == ("", [])
    assert every_way('{"tool": "none", "reply": {"a": null}}') == ('{"a": null}', [])


def test_a_call_that_does_not_count_is_dropped() -> None:
    """Where nothing may be called, the markup of a call is dropped and a reply still shown."""
    assert every_way(call("{}"), keep=False) == ("", [])
    assert every_way('{"tool": "none", "reply": "Hi"}', keep=False) == ("Hi", [])


@pytest.mark.parametrize("at", range(1, 60))
def test_an_answer_that_was_cut_shows_no_envelope(at: int) -> None:
    """Whatever is missing at the end, what was said is shown and the envelope is not."""
    reply = '{"tool": "none", "reply": "Hello there, how do you do?"}'
    text, calls = every_way(reply[:at])
    assert "Hello there, how do you do?".startswith(text)
    assert calls == []
    whole = call('{"expression": "17 * 23 + 11"}')
    text, calls = every_way(whole[:at])
    assert text == ""
    assert all(name == "calculator" and whole.endswith(("", f"{raw}}}")) for name, raw in calls)


@pytest.mark.parametrize("text", [
    "The answer is 4.", "17 * 23 = 391", "[1, 2]", "`code`", "```python\nprint(1)\n```\nand more", '"quoted"', "-",
    '{"city": "Paris"}', '{"tool": 5}', "{not json}", "{}", "{ }", '{"tool": "calculator", "colour": "red"}', "```",
])  # fmt: skip
def test_prose_and_other_json_are_text(text: str) -> None:
    """A server that ignores the schema answers in its own way; an answer without a call is shown as it is."""
    shown, calls = every_way(text)
    assert calls == []
    assert shown == text or (text in ("```", "{}", "{ }", '{"tool": 5}') and shown in ("", text))


def test_a_call_in_another_dialect_counts_and_is_not_shown() -> None:
    """A model that writes the calls of its training instead of the schema's is understood too."""
    marked = '<tool_call>\n{"name": "calculator", "arguments": {"expression": "1+1"}}\n</tool_call>'
    for whole in (marked, '{"name": "calculator", "arguments": {"expression": "1+1"}}'):
        text, calls = every_way(whole)
        assert text.strip() == ""
        assert [(n, json.loads(raw)) for n, raw in calls] == [("calculator", {"expression": "1+1"})]


def test_what_follows_the_envelope_is_read_in_its_own_way() -> None:
    """Prose behind the object is text, a second call a second call."""
    first = call('{"expression": "1"}')
    text, calls = every_way(f"{first}\nDone.")
    assert (text.strip(), calls) == ("Done.", [("calculator", '{"expression": "1"}')])
    second = '<tool_call>\n{"name": "calculator", "arguments": {"expression": "2"}}\n</tool_call>'
    text, calls = every_way(f"{first}\n{second}")
    assert text.strip() == ""
    assert [json.loads(raw)["expression"] for _, raw in calls] == ["1", "2"]


def test_broken_escapes_lose_as_little_as_can_be() -> None:
    """A lone half of a surrogate pair becomes U+FFFD; an unknown escape is shown as it was written."""
    assert every_way(r'{"tool": "none", "reply": "\ud83d x \ude42 \ud83d\u0041 \ud83d\n"}') == (
        "\ufffd x \ufffd \ufffdA \ufffd\n",
        [],
    )
    assert every_way(r'{"tool": "none", "reply": "\(x\) \u12 \uzzzz"}') == (r"\(x\) \u12 \uzzzz", [])
    assert every_way('{"tool": "none", "reply": "two\nlines"}') == ("two\nlines", [])


def test_stray_characters_after_something_was_given() -> None:
    """Once an answer was shown, garbage in the envelope neither shows nor loses anything."""
    assert every_way('{"tool": "none", "reply": "Hi"; "x" 5, "more": {"a": 1}}') == ("Hi", [])


_json = st.recursive(
    st.none() | st.booleans() | st.integers(-99, 99) | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


@given(st.dictionaries(st.text(max_size=5), _json, max_size=3), st.text(max_size=20), st.booleans(), st.data())
@example({"a": '"}{'}, "\\", True, None)
def test_whatever_is_encoded_is_read_back(arguments: dict, reply: str, escaped: bool, data) -> None:
    """For any arguments and any reply, at random cuts: the same arguments and the same reply."""
    for value, expected in (
        ({"tool": "none", "reply": reply}, (reply, [])),
        ({"tool": "calculator", "arguments": arguments}, ("", [("calculator", arguments)])),
    ):
        whole = json.dumps(value, ensure_ascii=escaped)
        cuts = sorted(data.draw(st.sets(st.integers(0, len(whole)), max_size=6))) if data is not None else [3]
        pieces = [whole[a:b] for a, b in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
        text, calls = read(*pieces)
        assert (text, [(n, json.loads(raw)) for n, raw in calls]) == expected


@given(st.text(alphabet='{}[]",:\\ `u0d83toolreplynagmsjk\n', max_size=40), st.integers(0, 40))
def test_no_text_whatever_breaks_it(text: str, at: int) -> None:
    """Any garbage is read without an error, and a cut makes no difference."""
    assert read(text[:at], text[at:]) == read(text)
    opened = '{"tool": "none", ' + text
    assert read(opened[: at + 17], opened[at + 17 :]) == read(opened)
