"""The streaming parser: what is given out when, what is held back and how long, and what that costs."""

from __future__ import annotations

import json

import pytest

from lumosai.dialects import DIALECTS, DialectParser, ParsedText, get, parse
from lumosai.dialects.catalogue import named
from lumosai.errors import ConfigurationError
from lumosai.messages import ToolCallPart
from lumosai.records import ToolDefinition
from tests.dialects.tools import TOOLS

CALL = '{"name": "calculator", "arguments": {"expression": "17 * 23"}}'
PART = ToolCallPart("", "calculator", {"expression": "17 * 23"})


def fed(*chunks: str) -> list[list]:
    """What each chunk gives, and what the end gives."""
    parser = DialectParser(tools=TOOLS)
    return [*(parser.feed(c) for c in chunks), parser.close()]


def test_prose_comes_out_as_it_comes_in():
    """Each chunk of an answer without calls is given at once and unchanged."""
    chunks = ["Hello", " there, ", "17 * 23", " is 391", ".\nAnd", " so on."]
    assert fed(*chunks) == [*([c] for c in chunks), []]


@pytest.mark.parametrize(
    "chunk",
    [
        "{something}",
        '{"city": ',
        '{"name": "Al',
        '{"id": 5, "title": "',
        '{"type": "report"',
        "[1, ",
        "[ ] todo",
        "<b>bold",
        "<tool_box",
        "```python\nx",
        '```json\n{"city": ',
        "Using the tool box",
        "Using the tool 'saw",
        "calculators are",
        "calculator(1",
        "工具很多",
        "工具: 锤",
        "- item",
        "> quote",
        "1. one",
        "| cell",
        "2026 was",
        "---x",
    ],
)
def test_text_that_cannot_become_a_call(chunk):
    """It is given out as soon as that is plain, however much it began like one."""
    assert fed(chunk)[0] == [chunk]


@pytest.mark.parametrize(
    "chunk",
    [
        "{",
        '{"na',
        '{"name": "calc',
        '{"name": "calculator", "argu',
        '[\n{"name": "calculator"',
        "<tool_c",
        '<tool_call>\n{"name": "x',
        "```",
        '```json\n{"name": "calculator", "arguments": {}',
        "Using the tool 'calc",
        "calculator(expression='1",
        "思考: 需要",
        "工具: calc",
        "工具: calculator\n参",
    ],
)
def test_text_that_may_become_a_call(chunk):
    """It is held back, so that no markup is ever shown, and given unchanged where the answer ends there."""
    assert fed(chunk) == [[], [chunk]]


def test_a_marked_call_is_given_as_soon_as_it_is_whole():
    """It does not wait for what follows."""
    text = f"<tool_call>{CALL}</tool_call>"
    assert fed("One moment.\n", text[:30], text[30:], "\nDone.") == [["One moment.\n"], [], [PART], ["Done."], []]


def test_a_fence_waits_for_the_end():
    """It is a call only if nothing follows, so until then neither it nor the blank lines behind it are given."""
    text = f"```json\n{CALL}\n```\n\n"
    assert fed("So:\n", text, "\n") == [["So:\n"], [], [], [PART]]
    assert fed("So:\n", text, "\n", "It is an example.") == [["So:\n"], [], [], [text + "\nIt is an example."], []]


def test_a_call_behind_a_fence():
    """It counts by itself, and comes in order, whatever becomes of the fence."""
    fence = f"```json\n{CALL}\n```\n"
    other = '<tool_call>{"name": "ping", "arguments": {}}</tool_call>'
    ping = ToolCallPart("", "ping", {})
    assert fed(fence, other) == [[], [], [PART, ping]]
    assert fed(fence, other, "\n", "Done.") == [[], [], [], [fence, ping, "Done."], []]


@pytest.fixture
def hold(monkeypatch: pytest.MonkeyPatch) -> int:
    """A limit of what is held back that a test reaches in no time."""
    monkeypatch.setattr("lumosai.dialects._said.HOLD", 10_000)
    return 10_000


def test_a_call_of_a_million_characters():
    """It is one, and read in a time that grows with its length alone."""
    code = "if a < b: print('{}')\n" * 50_000
    text = f"<tool_call>{json.dumps({'name': 'search', 'arguments': {'query': code}})}</tool_call>"
    parser = DialectParser(tools=TOOLS)
    found = [item for i in range(0, len(text), 1000) for item in parser.feed(text[i : i + 1000])]
    assert [*found, *parser.close()] == [ToolCallPart("", "search", {"query": code})]


def test_a_call_too_long_to_hold(hold: int):
    """What is longer than the limit is text, and what follows it is read on."""
    long = '{"name": "search", "arguments": {"query": "' + "x" * hold + '"}}\n'
    assert parse(long + "\n" + CALL, tools=TOOLS) == ParsedText(long + "\n", (PART,))
    parser = DialectParser(tools=TOOLS)
    given = sum(len(item) for i in range(0, len(long), 64) for item in parser.feed(long[i : i + 64]))
    assert given > hold


def test_fences_too_long_to_hold(hold: int):
    """What waits for the end has the same limit, all together."""
    fence = '```json\n{"name": "search", "arguments": {"query": "' + "x" * (hold // 2) + '"}}\n```\n'
    got = parse(fence * 3 + "Done.", tools=TOOLS)
    assert got == ParsedText(fence * 3 + "Done.", ())
    assert DialectParser(tools=TOOLS).feed(fence * 2) == [(fence * 2).removesuffix("\n")]


def test_a_plain_chunk():
    """In mid-line prose a chunk without anything special is plain; where a call may begin none is."""
    parser = DialectParser(tools=TOOLS)
    assert not parser.plain("Hello")
    parser.feed("Hello")
    assert parser.plain(" world")
    assert parser.plain("")
    assert not parser.plain(" world\n")
    assert not parser.plain(" `x")
    parser.feed(" world\n")
    assert not parser.plain("{")
    parser.feed("```python\nx = 1")
    assert parser.plain('; y = {"a": `b`}')
    parser.feed("\n```\n")
    parser.feed("<think>Well")
    assert parser.plain("\nline\n")
    assert not parser.plain("</think>")


def test_the_dialect_that_was_seen():
    """`seen` names the dialect of the last call, and is empty before."""
    for name, dialect in DIALECTS.items():
        parser = DialectParser(tools=TOOLS)
        parser.feed("Well.\n")
        assert parser.seen == ""
        parser.feed(dialect.encode(PART) + "\n")
        assert parser.close() in ([PART], [])
        assert parser.seen == name


def test_a_named_dialect():
    """Only the named one is recognised then."""
    text = get("hermes").encode(PART)
    assert parse(text, tools=TOOLS, dialect="hermes").calls == (PART,)
    assert parse(text, tools=TOOLS, dialect="legacy-function") == ParsedText(text, ())
    assert parse(CALL, tools=TOOLS, dialect="hermes") == ParsedText(CALL, ())


def test_an_unknown_dialect():
    """The error names it and says which there are."""
    with pytest.raises(ConfigurationError, match=r"'klingon'.*'hermes'.*'auto'"):
        parse("", tools=TOOLS, dialect="klingon")
    with pytest.raises(ConfigurationError, match="'klingon'"):
        get("klingon")


def test_tools_that_describe_themselves():
    """Anything with a `definition()` may be declared."""

    class Described:
        def definition(self) -> ToolDefinition:
            return TOOLS[0]

    assert parse(CALL, tools=[Described()]).calls == (PART,)


def test_many_sets_of_tools():
    """What is kept for a set of tools never answers for another one, however many come and go."""
    for i in range(100):
        tools = [ToolDefinition(f"tool{i}", "", {"type": "object"})]
        assert len(parse(f'{{"name": "tool{i}", "arguments": {{}}}}', tools=tools).calls) == 1
        assert parse(f'{{"name": "tool{i + 1}", "arguments": {{}}}}', tools=tools).calls == ()


ADVERSARIAL = [
    *("{", "[", "```", "`", '"', "<", "</thi", "\\", "“", " ", "\n", "1", "- ", "> ", "|-", "~~~"),
    *("<tool_call>", '<tool_call>{"', '<tool_call>\n{"name": "ping", "arguments": {"a": [', "<think>", "<pre>"),
    *(
        "\n{",
        '\n{"',
        "\n```\n",
        "\n```json\n",
        "\n\n<tool_call>\n",
        "思考: x\n",
        "思考: x\n工具: ping\n",
        "\n\n工具: ping\n参数: {\n",
    ),
    *(
        '{"name": "ping", "arguments": {"a": [\n',
        '{"name": "ping", "arguments": {"a": [\n\n',
        '```json\n{"name": "ping", "arguments": {',
    ),
    *('ping({"a": [\n\n', "search(tags=[\n", 'search(query="', "Using the tool 'ping' with parameters: {\"a\":\n\n"),
    *(
        '{"name": "ping", "arguments": {}}\n',
        '```json\n{"name": "ping", "arguments": {}}\n```\n',
        '{"name": "echo", "arguments": {"value": "x}',
    ),
    *(
        "\n[f(",
        "\n[ping(a='",
        "\n[ping(a=b)",
        "\n[bad(x=b'z'), ",
        "\n<|tool_call_start|>[f(a='x'y)",
        "\n<function_calls>f(a='",
    ),
    *(
        '\n<|tool_call|>[{"name": "f", "arguments": {',
        "\n<function_call> {'a': 1}",
        'functools[{"name": "f", "arguments": {',
    ),
    *(
        '\n<|tool_call>call:f{a:<|"|>x',
        "\n<|channel>thought\n<|tool_call>call:f{",
        "\ncall:ping{a:",
        "\n```tool_code\nping(",
    ),
]


class Counted:
    """A dialect that counts the characters it is asked to look at."""

    def __init__(self, inner) -> None:
        self.inner = inner
        self.read = self.asked = 0

    def __getattr__(self, name):
        return getattr(self.inner, name)

    def recognise(self, text, tools, *, final):
        self.asked += 1
        self.read += len(text)
        return self.inner.recognise(text, tools, final=final)


@pytest.mark.parametrize("unit", ADVERSARIAL)
def test_hostile_repetition(monkeypatch, unit):
    """However a text is made, and however it is cut, no dialect looks at more than a fixed multiple of it."""
    counted = {name: Counted(dialect) for name, dialect in DIALECTS.items()}
    monkeypatch.setattr("lumosai.dialects._known.DIALECTS", counted)
    text = (unit * (100_000 // len(unit) + 1))[:100_000]
    parser = DialectParser(tools=TOOLS)
    out = [item for i in range(0, len(text), 16) for item in parser.feed(text[i : i + 16])] + parser.close()
    got = ParsedText("".join(o for o in out if isinstance(o, str)), tuple(o for o in out if not isinstance(o, str)))
    assert got == parse(text, tools=TOOLS)
    # Bounds that a quadratic reading, 100,000 * 100,000 / 32, misses by far. The windows of 1,024 characters are
    # looked at once a line, growing calls once each eighth.
    assert max(c.read for c in counted.values()) < 600 * len(text)
    assert max(c.asked for c in counted.values()) <= len(text)


@pytest.mark.parametrize(
    ("dialect", "end"),
    [
        ("kimi-k2", "<|tool_calls_section_end|>"),
        ("deepseek", "<｜tool▁calls▁end｜>"),
        ("deepseek-v3.2", "</｜DSML｜function_calls>"),
    ],
)
def test_an_end_that_was_left_over(dialect, end):
    """Where its dialect is named it is not shown, be it alone, behind a sentence or on a line; a word behind it keeps it."""
    for before in ("", "All done.", "Done\n"):
        assert parse(before + end, tools=TOOLS, dialect=dialect) == ParsedText(before, ())
        assert parse(before + end, tools=TOOLS).content == before + end
    assert parse(f"{end} ends it.", tools=TOOLS, dialect=dialect).content == f"{end} ends it."


def test_a_named_dialect_that_is_not_alone() -> None:
    """Its tokens count in mid-prose, as where it is named; what another family writes is read all the same."""
    kimi = "<|tool_calls_section_begin|><|tool_call_begin|>functions.now:0<|tool_call_argument_begin|>{}<|tool_call_end|><|tool_calls_section_end|>"
    hermes = '<tool_call>\n{"name": "now", "arguments": {}}\n</tool_call>'
    now = ToolDefinition("now", "", {"type": "object", "properties": {}})
    for alone, text, calls in (
        (True, f"so, {kimi} then", 1),
        (False, f"so, {kimi} then", 1),
        (True, hermes, 0),
        (False, hermes, 1),
        (False, f"so, {hermes} then", 0),
    ):
        parser = DialectParser(tools=[now], dialect="kimi-k2", alone=alone)
        found = [*parser.feed(text), *parser.close()]
        assert sum(not isinstance(item, str) for item in found) == calls


@pytest.mark.parametrize(
    ("model", "dialect"),
    [
        ("fireworks-ai-llama-3-firefunction-v2", "functools"),
        ("unsloth/Qwen3.5-4B-GGUF", "qwen3-coder"),
        ("NousResearch-Hermes-2-Pro-Llama-3-8B-tool_use", "hermes"),
        ("deepseek-ai-DeepSeek-R1-Distill-Llama-8B", "deepseek-v3"),
        ("mistralai/Ministral-3-14B-Reasoning-2512", "mistral"),
    ],
)
def test_the_dialect_of_a_model(model, dialect):
    """A model's name means the dialects of the longest alias in it."""
    assert dialect in {each.name for each in named(model)}


def test_the_frame_of_a_model():
    """What a family writes around its answers is not shown where the model's name says which family that is."""
    for name in ("ernie45", "baidu/ERNIE-4.5-21B-A3B-Thinking"):
        assert parse("<response>\nSunny.\n</response>", tools=TOOLS, dialect=name).content == "Sunny.\n"
