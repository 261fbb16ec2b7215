"""Requests of the Messages API: what each of the house's values becomes."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from lumosai.errors import InvalidInputError
from lumosai.messages import (
    FilePart,
    ImagePart,
    Message,
    ProviderPart,
    ReasoningPart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
)
from lumosai.models import ModelRequest, Profile
from lumosai.models._anthropic_history import safe_id
from lumosai.models._anthropic_request import Encoder
from lumosai.models._anthropic_schema import fitted
from lumosai.models.providers import profile_of
from lumosai.records import ModelSettings, ToolDefinition
from tests.models.anthropic_types import check

NO_CACHE = ModelSettings(extra={"cache_control": None})
X = {"type": "object", "properties": {"x": {"type": "integer"}}, "required": ["x"], "additionalProperties": False}
ADD = ToolDefinition("add", "Adds.", X, strict=True)
NOW = ToolDefinition("now", "The time.", {"type": "object", "properties": {}})
CACHE = {"type": "ephemeral"}

RESULT = {"type": "search_result", "source": "https://e.com", "title": "t", "content": [{"type": "text", "text": "a"}]}


def profile(name: str) -> Profile:
    return profile_of("anthropic", name, "https://api.anthropic.com/v1")


def body(
    *history: Message, name: str = "claude-sonnet-4-5", own: Profile | None = None, **request: Any
) -> dict[str, Any]:
    """A request's JSON, which the official types know."""
    asked = ModelRequest(messages=history or (Message.user("go"),), **request)
    found: dict[str, Any] = json.loads(Encoder("anthropic", own or profile(name)).body(name, asked, stream=False))
    check(found)
    return found


def messages(*history: Message) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = body(*history, settings=NO_CACHE)["messages"]
    return found


def text(said: str, **more: Any) -> dict[str, Any]:
    return {"type": "text", "text": said, **more}


def call(id_: str, name: str = "add", arguments: dict[str, Any] | None = None) -> ToolCallPart:
    return ToolCallPart(id_, name, arguments if arguments is not None else {"x": 1})


# Messages.


def test_a_small_request() -> None:
    """Only what is set is sent, and the longest answer, which the API insists on."""
    assert body(Message.user("hi"), settings=NO_CACHE) == {
        "model": "claude-sonnet-4-5",
        "max_tokens": 32_000,
        "messages": [{"role": "user", "content": [text("hi")]}],
    }


def test_system_messages() -> None:
    """Wherever they stand they are the request's `system`, a block each."""
    found = body(Message.system("Be brief."), Message.user("hi"), Message.system("And kind."), settings=NO_CACHE)
    assert found["system"] == [text("Be brief."), text("And kind.")]
    assert found["messages"] == [{"role": "user", "content": [text("hi")]}]


def test_neighbours_of_one_role() -> None:
    """They are one turn."""
    assert messages(
        Message.user("a"), Message.user("b"), Message.assistant("c"), Message.assistant("d"), Message.user("e")
    ) == [
        {"role": "user", "content": [text("a"), text("b")]},
        {"role": "assistant", "content": [text("c"), text("d")]},
        {"role": "user", "content": [text("e")]},
    ]


def test_results_of_a_turn() -> None:
    """All of them stand in one turn of the user's, before anything else that was said in it."""
    found = messages(
        Message.user("go"),
        Message.assistant(TextPart("I see."), call("a"), call("b")),
        Message.user("wait"),
        Message.tool(ToolResultPart("a", "add", "1"), ToolResultPart("b", "add", "no such thing", is_error=True)),
        Message.user("well?"),
    )
    assert found[1]["content"][1:] == [
        {"type": "tool_use", "id": "a", "name": "add", "input": {"x": 1}},
        {"type": "tool_use", "id": "b", "name": "add", "input": {"x": 1}},
    ]
    assert found[2]["content"] == [
        {"type": "tool_result", "tool_use_id": "a", "content": "1"},
        {"type": "tool_result", "tool_use_id": "b", "content": "no such thing", "is_error": True},
        text("wait"),
        text("well?"),
    ]


def test_results_of_every_kind() -> None:
    """Images and documents stand in the result; an empty one has no content, but a failure says something."""
    parts = (TextPart("see"), ImagePart(data=b"i"), FilePart(data=b"%PDF", media_type="application/pdf", name="a.pdf"))
    found = messages(
        Message.user("go"),
        Message.assistant(call("a"), call("b"), call("c")),
        Message.tool(
            ToolResultPart("a", "add", parts),
            ToolResultPart("b", "add", ""),
            ToolResultPart("c", "add", "", is_error=True),
        ),
    )
    first, second, third = found[2]["content"]
    assert first["content"] == [
        text("see"),
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aQ=="}},
        {
            "type": "document",
            "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERg=="},
            "title": "a.pdf",
        },
    ]
    assert second == {"type": "tool_result", "tool_use_id": "b"}
    assert third["is_error"] and third["content"]
    with pytest.raises(InvalidInputError, match="ToolResultPart"):
        messages(Message.user("go"), Message("tool", ()))


@pytest.mark.parametrize(
    ("part", "block"),
    [
        (
            ImagePart(url="https://e.com/a.png"),
            {"type": "image", "source": {"type": "url", "url": "https://e.com/a.png"}},
        ),
        (
            ImagePart(data=b"i", media_type="image/jpg"),
            {"type": "image", "source": {"type": "base64", "media_type": "image/jpeg", "data": "aQ=="}},
        ),
        (
            ImagePart(url="data:image/webp;base64,aQ=="),
            {"type": "image", "source": {"type": "base64", "media_type": "image/webp", "data": "aQ=="}},
        ),
        (
            FilePart(url="https://e.com/a.pdf", media_type="application/pdf"),
            {"type": "document", "source": {"type": "url", "url": "https://e.com/a.pdf"}},
        ),
        (
            FilePart(data=b"a,b", media_type="text/csv", name="t.csv"),
            {
                "type": "document",
                "source": {"type": "text", "media_type": "text/plain", "data": "a,b"},
                "title": "t.csv",
            },
        ),
        (
            FilePart(data=b"\xef\xbb\xbf{}", media_type="application/json"),
            {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "{}"}},
        ),
        (
            FilePart(data=b"%PDF-1.7", media_type="application/octet-stream"),
            {
                "type": "document",
                "source": {
                    "type": "base64",
                    "media_type": "application/pdf",
                    "data": base64.b64encode(b"%PDF-1.7").decode(),
                },
            },
        ),
        (
            FilePart(url="data:text/plain,a%20b", media_type="text/plain"),
            {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "a b"}},
        ),
        (
            ProviderPart("anthropic", "search_result", RESULT),
            RESULT,
        ),
        (
            FilePart(data=b"i", media_type="image/gif"),
            {"type": "image", "source": {"type": "base64", "media_type": "image/gif", "data": "aQ=="}},
        ),
        (
            FilePart(file_id="file_1", media_type="application/pdf"),
            {"type": "document", "source": {"type": "file", "file_id": "file_1"}},
        ),
        (
            FilePart(file_id="file_1", media_type="image/png"),
            {"type": "image", "source": {"type": "file", "file_id": "file_1"}},
        ),
    ],
)
def test_images_and_documents(part: Any, block: dict[str, Any]) -> None:
    """By bytes, by URL and by id, each as its block."""
    assert messages(Message.user("see", part)) == [{"role": "user", "content": [text("see"), block]}]


@pytest.mark.parametrize(
    "part",
    [
        ImagePart(),
        FilePart(),
        ImagePart(url="data:image/png;base64,a"),
        ImagePart(data=b"x", media_type="image/bmp"),
        FilePart(data=b"x", media_type="application/zip"),
        FilePart(url="https://e.com/a.txt", media_type="text/plain"),
    ],
)
def test_parts_that_cannot_be_sent(part: Any) -> None:
    """Each is an error, before a request."""
    with pytest.raises(InvalidInputError):
        messages(Message.user(part))


def test_blank_text() -> None:
    """The API refuses it: it is left out, with the turn that holds nothing else."""
    assert messages(Message.user("a", " "), Message.assistant(" \n"), Message.user("b")) == [
        {"role": "user", "content": [text("a"), text("b")]}
    ]
    with pytest.raises(InvalidInputError, match="no message"):
        body(Message.system("x"), Message.user(" "))


def test_a_history_that_begins_with_an_answer() -> None:
    """The first turn must be the user's: one is put before it."""
    found = messages(Message.assistant("Hi, what can I do?"), Message.user("go"))
    assert [m["role"] for m in found] == ["user", "assistant", "user"]


def test_an_answer_to_go_on_from() -> None:
    """It ends in no blank, which the API refuses; nothing else of the history is touched."""
    found = messages(Message.assistant("One. "), Message.user("go"), Message.assistant("The answer is "))
    assert found[1]["content"] == [text("One. ")] and found[3]["content"] == [text("The answer is")]


def test_thoughts() -> None:
    """Sealed ones of Claude go back as they came, in their place; others' and unsealed ones do not."""
    redacted = {"type": "redacted_thinking", "data": "x"}
    found = messages(
        Message.user("go"),
        Message.assistant(
            ReasoningPart("Hm.", "c2ln", "anthropic"),
            ProviderPart("anthropic", "redacted_thinking", redacted),
            ReasoningPart("", "c2ln", "anthropic"),
            ReasoningPart("no seal", None, "anthropic"),
            ReasoningPart("not Claude's", "x", "deepseek"),
            ReasoningPart("whose?", "x"),
            TextPart("So."),
        ),
        Message.user("well?"),
    )
    assert found[1]["content"] == [
        {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"},
        redacted,
        {"type": "thinking", "thinking": "", "signature": "c2ln"},
        text("So."),
    ]


def test_opaque_parts() -> None:
    """Blocks go back as they came; what tells of an answer, or is another provider's, does not."""
    used = {"type": "server_tool_use", "id": "srvtoolu_a", "name": "web_search", "input": {}}
    cited = {
        "type": "char_location",
        "cited_text": "a",
        "document_index": 0,
        "document_title": None,
        "start_char_index": 0,
        "end_char_index": 1,
    }
    found = messages(
        Message.user("go"),
        Message.assistant(
            ProviderPart("anthropic", "server_tool_use", used),
            ProviderPart("openai", "reasoning", {"id": "rs_1"}),
            TextPart("So: it is warm"),
            ProviderPart("anthropic", "citations", {"text": "it is warm", "citations": [cited]}),
            ProviderPart("anthropic", "citations", {"text": "elsewhere", "citations": [cited]}),
            ProviderPart("anthropic", "stop_details", {"type": "refusal"}),
            ProviderPart("anthropic", "container", {"id": "c"}),
        ),
        Message.user("well?"),
    )
    assert found[1]["content"] == [used, text("So: "), text("it is warm", citations=[cited])]


def test_calls_of_every_kind() -> None:
    """Broken arguments are told as the text they were; ids and names are what the API takes; a caller goes back."""
    caller = {"type": "code_execution_20260120", "tool_id": "srvtoolu_a"}
    found = messages(
        Message.user("go"),
        Message.assistant(
            ToolCallPart("a", "add", None, '{"x":'),
            ToolCallPart("functions.add:0", "functions.add", {}),
            ToolCallPart("c", "", {}, signature=json.dumps({"caller": caller})),
            ToolCallPart("d", "add", {}, signature='{"google": 1}'),
            ToolCallPart("e", "add", {}, signature="c2ln"),
        ),
        Message.tool(
            *[ToolResultPart(i, "add", "1") for i in ("a", "functions.add:0", "c", "d", "e")],
        ),
    )
    broken, named, unnamed, other, sealed = found[1]["content"]
    assert broken["input"] == {"invalid_json": '{"x":'}
    assert named["name"] == "functions_add" and named["id"] == found[2]["content"][1]["tool_use_id"]
    assert unnamed["name"] == "unnamed" and unnamed["caller"] == caller
    assert "caller" not in other and "caller" not in sealed


def test_ids() -> None:
    """Ours stay; others stay apart from each other and the same each time."""
    assert safe_id("toolu_01-x") == "toolu_01-x"
    made = {safe_id(i) for i in ("a.b", "a:b", "a b", "", "é" * 200, "\ud800")}
    assert len(made) == 6 and safe_id("a.b") == safe_id("a.b")
    assert all(len(m) < 64 and m.replace("_", "").replace("-", "").isalnum() and m.isascii() for m in made)


# Tools.


def test_tools() -> None:
    """Each with its schema; strict where it is and the model holds to it, in the form that the API takes."""
    found = body(tools=(ADD, NOW), settings=NO_CACHE)
    assert found["tools"] == [
        {"name": "add", "description": "Adds.", "input_schema": X, "strict": True},
        {"name": "now", "description": "The time.", "input_schema": {"type": "object", "properties": {}}},
    ]
    assert "tool_choice" not in found
    assert "strict" not in body(name="claude-3-7-sonnet-latest", tools=(ADD,))["tools"][0]


def test_a_schema_without_an_object_at_its_root() -> None:
    """The API takes no choice there: what any of them has is offered, and only what all need is needed."""
    choice = {
        "anyOf": [
            {"type": "object", "properties": {"a": {"type": "string"}, "b": {}}, "required": ["a", "b"]},
            {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]},
        ]
    }
    found = body(tools=(ToolDefinition("f", "", choice), ToolDefinition("g", "", {})), settings=NO_CACHE)["tools"]
    assert found[0]["input_schema"] == {
        "type": "object",
        "properties": {"a": {"type": "integer"}, "b": {}},
        "required": ["a"],
    }
    assert found[1]["input_schema"] == {"type": "object"}


@pytest.mark.parametrize(
    ("choice", "parallel", "wanted"),
    [
        (None, None, None),
        (None, True, None),
        (None, False, {"type": "auto", "disable_parallel_tool_use": True}),
        ("auto", None, {"type": "auto"}),
        ("required", None, {"type": "any"}),
        ("required", False, {"type": "any", "disable_parallel_tool_use": True}),
        ("none", False, {"type": "none"}),
        ({"tool": "add"}, None, {"type": "tool", "name": "add"}),
        ({"tool": "add"}, False, {"type": "tool", "name": "add", "disable_parallel_tool_use": True}),
    ],
)
def test_tool_choices(choice: Any, parallel: bool | None, wanted: Any) -> None:
    """Under the API's names, with one call at a time where that is asked for."""
    found = body(tools=(ADD,), tool_choice=choice, settings=ModelSettings(parallel_tool_calls=parallel))
    assert found.get("tool_choice") == wanted
    assert "tool_choice" not in body(tool_choice=choice, settings=ModelSettings(parallel_tool_calls=parallel))


def test_a_choice_that_cannot_be_demanded() -> None:
    """Newer models refuse a demand: they are told in words."""
    for choice, word in (("required", "of a tool"), ({"tool": "add"}, "'add'")):
        found = body(name="claude-opus-5-5", tools=(ADD,), tool_choice=choice)
        assert found["tool_choice"] == {"type": "auto"} and word in found["system"][-1]["text"]
    assert "system" not in body(name="claude-opus-5-5", tools=(ADD,), tool_choice="none")


def test_a_history_with_calls_and_no_tools() -> None:
    """What was called stays declared, and may not be called."""
    history = (Message.user("go"), Message.assistant(call("a"), call("b", "now", {})))
    results = Message.tool(ToolResultPart("a", "add", "1"), ToolResultPart("b", "now", "2"))
    found = body(*history, results)
    assert [t["name"] for t in found["tools"]] == ["add", "now"] and found["tool_choice"] == {"type": "none"}


def test_server_tools() -> None:
    """Those that `extra` names stand beside the request's own; of one name the user's counts."""
    search = {"type": "web_search_20250305", "name": "web_search"}
    mine = {"name": "add", "description": "Mine.", "input_schema": {"type": "object"}}
    found = body(tools=(ADD, NOW), settings=ModelSettings(extra={"tools": [search, mine], "cache_control": None}))
    assert [(t["name"], t.get("description")) for t in found["tools"]] == [
        ("web_search", None),
        ("add", "Mine."),
        ("now", "The time."),
    ]
    alone = body(settings=ModelSettings(extra={"tools": [search]}))
    assert alone["tools"] == [{**search, "cache_control": CACHE}] and "tool_choice" not in alone


# Settings.


def test_settings_under_the_apis_names() -> None:
    """Each has its field; one it has not is not sent; of two ways to sample one is."""
    chosen = ModelSettings(
        temperature=0.5,
        top_p=0.9,
        max_output_tokens=7,
        stop=("a",),
        seed=3,
        extra={"top_k": 5, "metadata": {"user_id": "u"}},
    )
    found = body(settings=chosen)
    del found["messages"]
    assert found == {
        "model": "claude-sonnet-4-5",
        "max_tokens": 7,
        "stop_sequences": ["a"],
        "temperature": 0.5,
        "top_k": 5,
        "metadata": {"user_id": "u"},
    }
    assert body(settings=ModelSettings(top_p=0.9))["top_p"] == 0.9
    assert "temperature" not in body(name="claude-opus-4-8", settings=ModelSettings(temperature=0.5, top_p=0.9))


def test_extra_goes_before_everything() -> None:
    """What the user writes into the request by hand stands once, as they wrote it."""
    mine = {"model": "other", "system": "Mine.", "messages": [{"role": "user", "content": "Mine."}], "max_tokens": 3}
    raw = Encoder("anthropic", profile("claude-sonnet-4-5")).body(
        "m",
        ModelRequest(messages=(Message.system("s"), Message.user("x")), settings=ModelSettings(extra=mine)),
        stream=False,
    )
    pairs = dict(json.loads(raw, object_pairs_hook=list))
    assert pairs["model"] == "other" and pairs["system"] == "Mine." and pairs["max_tokens"] == 3
    assert raw.count(b'"system":') == raw.count(b'"messages":') == raw.count(b'"model":') == 1


@pytest.mark.parametrize(
    ("name", "longest"),
    [
        ("claude-3-haiku-20240307", 4096),
        ("claude-3-5-haiku-latest", 8192),
        ("claude-opus-4-1", 32_000),
        ("claude-opus-4-8", 32_000),
        ("claude-sonnet-5", 64_000),
        ("some-other-model", 8192),
    ],
)
def test_the_longest_answer(name: str, longest: int) -> None:
    """Where nobody says, as long as every model of the kind may answer."""
    own = profile_of("anthropic", name, "https://gateway.example/v1")
    assert body(name=name, own=own)["max_tokens"] == longest


HIGH = {"type": "adaptive", "display": "summarized"}


@pytest.mark.parametrize(
    ("name", "wish", "thinking", "effort"),
    [
        ("claude-3-5-haiku-latest", "high", None, None),
        ("claude-3-7-sonnet-latest", "low", {"type": "enabled", "budget_tokens": 4096}, None),
        ("claude-4-opus-20250514", True, {"type": "enabled", "budget_tokens": 10_000}, None),
        ("claude-sonnet-4-20250514", True, {"type": "enabled", "budget_tokens": 10_000}, None),
        ("claude-haiku-4-5", "minimal", {"type": "enabled", "budget_tokens": 1024}, None),
        ("claude-sonnet-4-5", False, None, None),
        ("claude-opus-4-6", "high", HIGH, "high"),
        ("claude-opus-4-6", "xhigh", HIGH, "high"),
        ("claude-opus-4-6", True, HIGH, None),
        ("claude-opus-4-6", "none", {"type": "disabled"}, None),
        ("claude-opus-4-8", "xhigh", HIGH, "xhigh"),
        ("claude-sonnet-5", "minimal", HIGH, "low"),
        ("claude-sonnet-5", False, {"type": "disabled"}, None),
        ("claude-haiku-5-5", False, {"type": "disabled"}, None),
        ("claude-sonnet-5-5", False, {"type": "between_tools"}, None),
        ("claude-opus-5-5", False, None, "low"),
        ("claude-fable-5", "max", HIGH, "max"),
        ("claude-mythos-preview", "medium", HIGH, "medium"),
        ("claude-opus-5", None, None, None),
    ],
)
def test_how_a_model_is_told_to_think(name: str, wish: Any, thinking: Any, effort: str | None) -> None:
    """As its generation takes it; nothing where nothing is asked."""
    found = body(name=name, settings=ModelSettings(reasoning=wish))
    assert found.get("thinking") == thinking
    assert found.get("output_config", {}).get("effort") == effort


def test_the_rules_of_a_budget() -> None:
    """It is below the longest answer, goes with no temperature and no demand, and with no turn that began without."""

    def asked(*history: Message, choice: Any = None, **more: Any) -> dict[str, Any]:
        settings = ModelSettings(reasoning="high", temperature=0.5, **more)
        return body(*history, tools=(ADD,), tool_choice=choice, settings=settings)

    assert "temperature" not in asked()
    assert asked(max_output_tokens=8000)["thinking"]["budget_tokens"] == 4000
    assert asked(max_output_tokens=1500)["thinking"]["budget_tokens"] == 1024
    assert asked(max_output_tokens=1024).get("thinking") is None
    assert asked(max_output_tokens=1024)["temperature"] == 0.5
    for choice in ("required", {"tool": "add"}):
        assert "thinking" not in asked(choice=choice) and "temperature" in asked(choice=choice)
    assert "thinking" in asked(choice="none")
    result = Message.tool(ToolResultPart("a", "add", "1"))
    begun = Message.assistant(ReasoningPart("Hm.", "c2ln", "anthropic"), call("a"))
    other = Message.assistant(ReasoningPart("Hm.", "x", "deepseek"), call("a"))
    assert "thinking" in asked(Message.user("go"), begun, result)
    assert "thinking" not in asked(Message.user("go"), other, result)
    assert "thinking" in asked(Message.user("go"), other, result, Message.user("and?"))


def test_a_budget_of_ones_own() -> None:
    """What `extra` says of thinking is sent, with room for the answer behind it, under the same rules."""
    mine = ModelSettings(temperature=0.5, extra={"thinking": {"type": "enabled", "budget_tokens": 40_000}})
    found = body(settings=mine, tools=(ADD,))
    assert found["thinking"]["budget_tokens"] == 40_000 < found["max_tokens"] and "temperature" not in found
    assert "thinking" not in body(settings=mine, tools=(ADD,), tool_choice="required")
    effort = ModelSettings(reasoning="low", extra={"output_config": {"effort": "max"}})
    assert body(name="claude-sonnet-5", settings=effort)["output_config"] == {"effort": "max"}


def test_a_forced_call_and_adaptive_thinking() -> None:
    """Nothing is said of thinking, so that no generation refuses it."""
    found = body(name="claude-opus-4-6", tools=(ADD,), tool_choice="required", settings=ModelSettings(reasoning="high"))
    assert found["tool_choice"] == {"type": "any"} and "thinking" not in found
    assert found["output_config"] == {"effort": "high"}


# Structured output.


def test_an_output_schema() -> None:
    """In the form that the API holds a model to, beside the effort."""
    schema = {"type": "object", "properties": {"n": {"type": "integer", "minimum": 3}}, "required": ["n"]}
    found = body(name="claude-opus-4-8", output_schema=schema, settings=ModelSettings(reasoning="low"))
    assert found["output_config"] == {
        "effort": "low",
        "format": {
            "type": "json_schema",
            "schema": {
                "type": "object",
                "properties": {"n": {"type": "integer", "description": "(minimum: 3)"}},
                "required": ["n"],
                "additionalProperties": False,
            },
        },
    }


def test_an_output_schema_that_cannot_be_held_to() -> None:
    """It is told in words."""
    found = body(Message.system("Be brief."), Message.user("go"), output_schema={"type": "object"}, settings=NO_CACHE)
    assert "output_config" not in found and found["system"][0] == text("Be brief.")
    assert '{"type":"object"}' in found["system"][1]["text"]


@pytest.mark.parametrize(
    ("schema", "fit"),
    [
        (
            {"type": ["string", "null"], "maxLength": 3},
            {
                "anyOf": [
                    {"type": "string", "description": "(maxLength: 3)"},
                    {"type": "null", "description": "(maxLength: 3)"},
                ]
            },
        ),
        ({"enum": ["a", None], "type": ["string", "null"]}, {"enum": ["a", None]}),
        ({"const": 1, "title": "T", "description": "D"}, {"const": 1, "title": "T", "description": "D"}),
        (
            {"oneOf": [{"type": "null"}, {"type": "string", "format": "date"}]},
            {"anyOf": [{"type": "null"}, {"type": "string", "format": "date"}]},
        ),
        ({"type": "string", "format": "iban"}, {"type": "string", "description": '(format: "iban")'}),
        (
            {"type": "array", "items": {"$ref": "#/$defs/A"}, "minItems": 2, "$defs": {"A": {"type": "boolean"}}},
            {
                "type": "array",
                "items": {"$ref": "#/$defs/A"},
                "description": "(minItems: 2)",
                "$defs": {"A": {"type": "boolean"}},
            },
        ),
        (
            {"type": "array", "items": {"type": "null"}, "minItems": 1},
            {"type": "array", "items": {"type": "null"}, "minItems": 1},
        ),
        ({"$ref": "#/$defs/A", "$defs": {"A": {"type": "array", "items": {"$ref": "#/$defs/A"}}}}, None),
        ({"$ref": "https://example.com/schema"}, None),
        ({"type": "object", "additionalProperties": {"type": "string"}}, None),
        ({"type": "object", "properties": {"a": {}}}, None),
        ({"type": "array", "prefixItems": [{"type": "string"}]}, None),
        ({}, None),
    ],
)
def test_schemas_as_structured_outputs_take_them(schema: dict[str, Any], fit: Any) -> None:
    """Closed objects, known keywords, the rest in the description; None where that would say something else."""
    assert fitted(schema) == fit


# The cache.


def marks(found: dict[str, Any]) -> list[tuple[str, str]]:
    """Where marks stand: in tools, system or which turn, and the text or name there."""
    places = [("tools", found.get("tools", [])), ("system", found.get("system", []))]
    places += [(str(i), m["content"]) for i, m in enumerate(found["messages"])]
    return [
        (place, block.get("name") or block.get("text") or block["type"])
        for place, blocks in places
        for block in blocks
        if "cache_control" in block
    ]


HISTORY = (
    Message.system("Be brief."),
    Message.user("one"),
    Message.assistant(ReasoningPart("Hm.", "c2ln", "anthropic"), call("a")),
    Message.tool(ToolResultPart("a", "add", "1")),
    Message.assistant("two"),
    Message.user("three", "four"),
)


def test_what_is_marked_by_itself() -> None:
    """The ends of the tools, the system prompt and the last two turns of the user's: those of the last request and this."""
    assert marks(body(*HISTORY, tools=(ADD, NOW))) == [
        ("tools", "now"),
        ("system", "Be brief."),
        ("2", "tool_result"),
        ("4", "four"),
    ]
    assert marks(body(Message.user("one"))) == [("0", "one")]
    assert marks(body(*HISTORY, tools=(ADD,), own=Profile())) == []
    assert marks(body(*HISTORY, settings=NO_CACHE)) == []


def test_a_request_is_a_prefix_of_the_next() -> None:
    """But for the marks, all that was sent before is sent again, byte for byte, so that a cache holds."""
    encoder = Encoder("anthropic", profile("claude-sonnet-4-5"))
    mark = b',"cache_control":{"type":"ephemeral"}'
    sent = []
    for count in (2, 4, 6):
        raw = encoder.body("m", ModelRequest(messages=HISTORY[:count], tools=(ADD,)), stream=True)
        sent.append(raw.replace(mark, b"").removesuffix(b"]}"))
    assert sent[1].startswith(sent[0]) and sent[2].startswith(sent[1])


def mine(ttl: str | None = None) -> ProviderPart:
    return ProviderPart("anthropic", "cache_control", {**CACHE, **({"ttl": ttl} if ttl else {})})


def test_marks_of_the_users() -> None:
    """They stand where they were put, behind the part before them, and count among the four."""
    long = Message.user("long text", mine(), "question", mine())
    found = body(Message.system("s", mine()), long, Message.assistant("a"), Message.user("b"), tools=(ADD,))
    assert marks(found) == [("system", "s"), ("0", "long text"), ("0", "question"), ("2", "b")]
    five = Message.user("a", mine(), "b", mine(), "c", mine(), "d", mine(), "e")
    assert marks(body(five, tools=(ADD,))) == [("0", "a"), ("0", "b"), ("0", "c"), ("0", "d")]


def test_a_mark_for_an_hour() -> None:
    """Nothing is marked before it, since shorter ones must come behind."""
    found = body(Message.system("s"), Message.user("a", mine("1h"), "b"), tools=(ADD,))
    assert marks(found) == [("0", "a"), ("0", "b")]
    assert found["messages"][0]["content"][0]["cache_control"] == {"type": "ephemeral", "ttl": "1h"}


def test_a_mark_for_the_whole_request() -> None:
    """The server finds the last place itself; the others are still marked, three at most."""
    found = body(*HISTORY, tools=(ADD,), settings=ModelSettings(extra={"cache_control": CACHE}))
    assert found["cache_control"] == CACHE and marks(found) == [("tools", "add"), ("system", "Be brief.")]
    hour = {"type": "ephemeral", "ttl": "1h"}
    assert marks(body(*HISTORY, tools=(ADD,), settings=ModelSettings(extra={"cache_control": hour}))) == []


def test_what_cannot_be_marked() -> None:
    """A thought never is, nor a tool that is loaded later."""
    thought = Message.assistant(ReasoningPart("Hm.", "c2ln", "anthropic"), mine())
    assert marks(body(Message.user("a"), thought, Message.user("b"))) == [("0", "a"), ("2", "b")]
    later = {"name": "f", "input_schema": {"type": "object"}, "defer_loading": True}
    assert marks(body(settings=ModelSettings(extra={"tools": [later]}))) == [("0", "go")]


def test_bytes_are_kept() -> None:
    """A message is encoded once for as long as it lives, whatever is marked in the request."""
    encoder = Encoder("anthropic", profile("claude-sonnet-4-5"))
    request = ModelRequest(messages=HISTORY)
    encoder.body("m", request, stream=True)
    first = encoder.messages.each(HISTORY)
    encoder.body("m", request, stream=True)
    assert all(a is b for a, b in zip(first, encoder.messages.each(HISTORY), strict=True))
