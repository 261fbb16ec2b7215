"""The schema and the words of constrained calling: what can be written is exactly what was declared."""

from __future__ import annotations

import itertools
import json

import pytest
from jsonschema import Draft202012Validator

from lumosai import Tool
from lumosai.errors import ToolDefinitionError
from lumosai.messages import ToolCallPart, ToolResultPart
from lumosai.models import _constrained
from lumosai.models.tokens import Counter
from lumosai.records import ToolDefinition, ToolExample

NODE = {
    "type": "object",
    "properties": {"value": {"type": "integer"}, "next": {"anyOf": [{"$ref": "#/$defs/Node"}, {"type": "null"}]}},
    "required": ["value"],
    "additionalProperties": False,
}
TOOLS = (
    ToolDefinition(
        "add",
        "Adds.",
        {
            "type": "object",
            "properties": {"a": {"type": "integer"}, "b": {"type": "integer", "description": "the other"}},
            "required": ["a"],
            "additionalProperties": False,
        },
    ),
    ToolDefinition(
        "walk",
        "Walks a list.",
        {
            "type": "object",
            "properties": {"head": {"$ref": "#/$defs/Node"}},
            "required": ["head"],
            "$defs": {"Node": NODE},
        },
    ),
    ToolDefinition(
        "nest", "Of itself.", {"type": "object", "properties": {"in": {"$ref": "#"}}, "additionalProperties": False}
    ),
    ToolDefinition("now", "The time.", {"type": "object", "properties": {}, "additionalProperties": False}),
)
FIT = {
    "add": {"a": 1, "b": 2},
    "walk": {"head": {"value": 1, "next": {"value": 2, "next": None}}},
    "nest": {"in": {"in": {}}},
    "now": {},
}
UNFIT = {
    "add": {"b": 2},
    "walk": {"head": {"value": 1, "next": {"value": "two"}}},
    "nest": {"in": {"out": 1}},
    "now": 5,
}
OUTPUT = {
    "type": "object",
    "properties": {"list": {"$ref": "#/$defs/Node"}},
    "required": ["list"],
    "$defs": {"Node": NODE},
}


def accepts(schema: dict, value: object) -> bool:
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema).is_valid(value)


def envelope(name: str, arguments: object) -> dict:
    return {"tool": name, "arguments": arguments}


@pytest.mark.parametrize("choice", [None, "auto", "required", {"tool": "walk"}, {"tool": "now"}])
def test_exactly_the_calls_allowed_can_be_written(choice) -> None:
    """Every declared call that the choice leaves, and no other name, shape or extra key."""
    schema = _constrained.schema(TOOLS, choice)
    for name, fit in FIT.items():
        allowed = not isinstance(choice, dict) or choice["tool"] == name
        assert accepts(schema, envelope(name, fit)) is allowed
        assert not accepts(schema, envelope(name, UNFIT[name]))
        assert not accepts(schema, {**envelope(name, fit), "reply": "x"})
    assert not accepts(schema, envelope("hammer", {}))
    assert accepts(schema, {"tool": "none", "reply": "Hi"}) is (choice in (None, "auto"))
    assert not accepts(schema, {"tool": "none", "reply": 5})


@pytest.mark.parametrize("tools", [*itertools.combinations(TOOLS, 2)])
def test_a_reply_of_the_output_s_schema(tools: tuple) -> None:
    """References of the output and of the tools, though named alike, lead to their own definitions."""
    schema = _constrained.schema(tools, None, OUTPUT)
    assert accepts(schema, {"tool": "none", "reply": {"list": {"value": 1, "next": None}}})
    assert not accepts(schema, {"tool": "none", "reply": "text"})
    for tool in tools:
        assert accepts(schema, envelope(tool.name, FIT[tool.name]))


def test_the_name_comes_first() -> None:
    """The model says which tool before it says the arguments, and the reader can stream them."""
    for branch in _constrained.schema(TOOLS, None)["anyOf"]:
        assert next(iter(branch["properties"])) == "tool"


def test_the_declared_schemas_are_left_alone() -> None:
    """What the tools declare is not changed by what is made of it."""
    before = repr(TOOLS)
    _constrained.schema(TOOLS, None, OUTPUT)
    assert repr(TOOLS) == before


def test_the_words_fit_the_choice() -> None:
    """Each tool is told; the form without a tool only where it may be used."""
    free, forced, named = (_constrained.describe(TOOLS, c) for c in (None, "required", {"tool": "add"}))
    assert all(t.name in text for t in TOOLS for text in (free, forced, named))
    assert "none" in free
    assert "none" not in forced
    assert '"tool": "add"' in named


def test_the_examples_have_the_form_of_answers() -> None:
    """Each is what the schema of its tools would allow: a name and arguments, or a reply; calls and replies in turn."""
    answers = [json.loads(m.text) for m in _constrained.examples(TOOLS) if m.role == "assistant"]
    assert {frozenset(a) for a in answers} == {frozenset(("tool", "arguments")), frozenset(("tool", "reply"))}
    assert all(accepts(_constrained.reply_schema("none"), a) for a in answers if "reply" in a)
    assert "arguments" in answers[-1]


def test_a_tool_may_show_calls_of_itself() -> None:
    """Behind the others, as turns, each with a reply before it; other models are not told of them."""
    shows = Tool("wake", "Wakes.", {"type": "object"}, lambda: None, examples=[("At six.", {"time": "06:00"})])
    assert shows.definition().examples == (ToolExample("At six.", {"time": "06:00"}),)
    *_, reply, asked, called = _constrained.examples((*TOOLS, shows.definition()))
    assert "reply" in json.loads(reply.text)
    assert (asked.text, json.loads(called.text)) == ("At six.", {"tool": "wake", "arguments": {"time": "06:00"}})
    plain = shows.replace(examples=())
    counter = Counter("openai", "nobody")
    assert counter.tools_size([plain.definition()]) == counter.tools_size([shows.definition()])
    for wrong in ("At six.", [("At six.",)], [("At six.", "06:00")], [1]):
        with pytest.raises(ToolDefinitionError, match="pairs of what a user says"):
            shows.replace(examples=wrong)


@pytest.mark.parametrize("output", [None, OUTPUT])
def test_only_a_reply(output) -> None:
    """Where nothing may be called, no call can be written."""
    schema = _constrained.reply_schema("none", output)
    fit = "Hi" if output is None else {"list": {"value": 1, "next": None}}
    assert accepts(schema, {"tool": "none", "reply": fit})
    assert not accepts(schema, {"tool": "none", "reply": 5})
    assert not accepts(schema, envelope("add", {"a": 1}))


def test_the_history_s_words() -> None:
    """A call in the form of an answer, a failed result told as an error."""
    assert _constrained.call_text(ToolCallPart("1", "add", {"a": 1})) == '{"tool": "add", "arguments": {"a": 1}}'
    assert _constrained.call_text(ToolCallPart("1", "add", None, raw="{a")) == "{a"
    assert "Result of add: 3" in _constrained.result_text(ToolResultPart("1", "add", "3"))
    assert "Error of add: no" in _constrained.result_text(ToolResultPart("1", "add", "no", is_error=True))


def test_what_was_asked_is_said_again() -> None:
    """Before a result stands the message that it serves, if that is short: small models take news for the user's own."""
    assert _constrained.asked_text("How much?") == "How much?\n"
    assert _constrained.asked_text("x" * 401) == ""
    assert _constrained.asked_text("") == ""
