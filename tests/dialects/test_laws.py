"""Laws of the dialects: what is written is read back, wherever it stands and wherever the stream is cut."""

from __future__ import annotations

import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from lumosai.dialects import DIALECTS, DialectParser, get, parse
from lumosai.dialects._known import is_prose
from lumosai.dialects.base import Found, More, No
from lumosai.messages import ToolCallPart
from lumosai.records import ToolDefinition
from tests.conftest import examples
from tests.dialects.tools import TOOLS, in_pieces

OPEN = {"type": "object"}
FENCED = ["legacy-json", "fenced-json", "command-r", "gemma3"]
NAMES = ["calculator", "get_weather", "a-b_c", "查询天气", "x"]
ANY = [ToolDefinition(name, f"About {name}.", OPEN) for name in NAMES]

MARKUP = st.sampled_from(
    [
        "</tool_call>",
        "<tool_call>",
        "```",
        "\n```\n",
        "}",
        "{",
        '"',
        "'",
        "\\",
        "\n",
        "工具: x",
        "参数",
        "</think>",
        ")",
        "x(",
    ]
)
TEXT = st.lists(st.text(max_size=8) | MARKUP, max_size=4).map("".join).filter(lambda s: not _has_surrogate(s))
NUMBER = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
VALUE = st.recursive(
    st.none() | st.booleans() | NUMBER | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
ARGUMENTS = st.dictionaries(TEXT, VALUE, max_size=4).filter(lambda a: not isinstance(a.get("properties"), dict))
CALL = st.builds(ToolCallPart, st.just(""), st.sampled_from(NAMES), ARGUMENTS)

BEFORE = st.sampled_from(
    [
        "",
        "Let me look.\n",
        "好的，我来查一下。\n\n",
        '> quoted\n> {"name": "x"}\n\n',
        "```python\nx(1)\n```\n",
        '```json\n{"name": "x", "arguments": {}}\n```\nThat is the form.\n',
        "- <tool_call>\n- x({})\n\n",
        'Write `x({})` or "工具: x".\n',
        '| a |\n|---|\n| {"name": "x"} |\n\n',
        '<think>\n<tool_call>{"name": "x", "arguments": {}}</tool_call>\n</think>',
        '{"answer": {"name": "x", "arguments": {}}}\n',
        "<tool_call>\nnonsense\n</tool_call>\n",
    ]
)
AFTER = st.sampled_from(["", "\n", "\n\n  \n"])
PROSE_AFTER = st.sampled_from(["\nDone.", "\n\n完成。\n", "\n> quoted\n", "\n```python\nx(1)\n```"])

PIECES = st.sampled_from(
    [
        *(
            "\n",
            "\n\n",
            " ",
            "    ",
            "\t",
            "\r\n",
            "> ",
            "- ",
            "1. ",
            "| ",
            "|---|",
            "hello",
            "你好",
            ".",
            ":",
            "，",
            "\0",
            "\\",
        ),
        *("<tool_call>", "</tool_call>", "<think>", "</think>", "<pre>", "</pre>", "<", "</", "<!--", "-->"),
        *("```", "```json\n", "\n```\n", "~~~", "`", '"', "“", "”", "「", "」", "{", "}", "[", "]", "(", ")", ",", ";"),
        *(
            '{"name": "ping", "arguments": {',
            '{"name": "ping", "arguments": {}}',
            '{"tool": "ping", "parameters": {}}',
            '{"id":',
        ),
        *(
            "ping(",
            "ping()",
            "calculator(expression='1')",
            "search(query=",
            "Using the tool ",
            "'ping'",
            " with parameters: ",
        ),
        *(
            "思考: a",
            "工具：ping",
            "工具: ",
            "ping",
            "参数：{}",
            "结果: 1",
            "{'name': 'ping', 'arguments': {}}",
            "1.5e",
            "null",
            "-",
        ),
    ]
)
TAGS = st.sampled_from(
    [
        *(
            "<tool_call>\n<function=ping>",
            "<function=",
            "<parameter=a>",
            "</parameter>",
            "</function>",
            "<tool_call>ping",
        ),
        *("<arg_key>a</arg_key>", "<arg_value>", "</arg_value>", "<tool_calls>", "<tool_sep>", "</tool_calls>"),
        *("<minimax:tool_call>", '<invoke name="ping">', '<parameter name="a">', "</invoke>", "</minimax:tool_call>"),
        *(
            "]<]minimax[>[",
            "]<]minimax[>[<tool_call>",
            "]<]minimax[>[</tool_call>",
            "<item>",
            "<mm:think>",
            "</mm:think>",
        ),
        *(
            '<function name="ping">',
            '<param name="a">',
            "</param>",
            "<![CDATA[",
            "]]>",
            "<ifm|tool_calls>",
            "<TOOLCALL>",
        ),
        *(
            "<｜tool_calls_begin｜>",
            "<｜tool_call_begin｜>",
            "<｜tool_sep｜>",
            "<｜tool_call_end｜>",
            "<longcat_tool_call>",
        ),
        *("Thought: x\n", "Action: ping\n", "Action Input:", "Observation: 1", "Final Answer: 2"),
        *("<tool_call>\n<function=ping>\n</function>\n</tool_call>", "<tool_call>ping</tool_call>", "<seed:tool_call>"),
    ]
)
CODE = st.sampled_from(
    [
        *(
            "[",
            "]",
            "[ping()",
            "ping()",
            "ping()]",
            "(",
            ")",
            "=",
            "'",
            '"',
            "\\",
            ", ",
            "\n",
            " ",
            ".",
            "x",
            "a='",
            "b=[",
        ),
        *(
            "get_weather(city='",
            'search(query="',
            "bad(x=b'z')",
            "print(",
            "1e999",
            "None",
            "{'a': ",
            "'b': ",
            "r'",
            "'''",
        ),
        *(
            "<|tool_call_start|>",
            "<|tool_call_end|>",
            "<|python_start|>",
            "<|python_end|>",
            "<|tool_call_st",
            "<|im_end|>",
        ),
        *(
            "<function_calls>",
            "</function_calls>",
            "\n```tool_code\n",
            "\n```",
            "functools[",
            "<|tool_call|>",
            "<|/tool_call|>",
        ),
        *('{"name": "ping", "arguments": {}}', "<function_call> ", "</function_call>", "<functioncall>", '"}'),
        *(
            "<|tool_call>",
            "<tool_call|>",
            "call:",
            "call:ping{",
            "city:",
            '<|"|>',
            "<escape>",
            "}",
            ":",
            "{",
            "3",
            "true",
            ",",
        ),
        *(
            "<|channel>thought\n",
            "<|channel>",
            "<channel|>",
            "<|tool_response>",
            "response:",
            "<tool_response|>",
            "<turn|>",
        ),
        *("<start_function_call>", "<end_function_call>", "<call>", "<start_function_response>", "<think>", "</think>"),
        *("Well.", "So: ", "> ", "- ", "`", "```\n"),
    ]
)
HOSTILE = st.lists(PIECES | TAGS | st.text(max_size=3), max_size=24).map("".join)


def _has_surrogate(text: str) -> bool:
    return any("\ud800" <= c <= "\udfff" for c in text)


@st.composite
def cut(draw, texts=HOSTILE):
    """A text and where to cut it."""
    text = draw(texts)
    return text, draw(st.lists(st.integers(0, len(text)), max_size=8))


def written(name: str, call: ToolCallPart) -> tuple[ToolCallPart, str]:
    """The call and its text. A format without escapes cannot write every name of a parameter, nor its own end tags."""
    try:
        return call, get(name).encode(call)
    except ValueError:
        call = ToolCallPart("", call.name, {f"p{i}": value for i, value in enumerate(call.arguments.values())})
    try:
        return call, get(name).encode(call)
    except ValueError:
        reject()


def declared(call: ToolCallPart) -> list[ToolDefinition]:
    """All tools, the called one with the types of its parameters: some formats write values as bare text."""
    kinds = {str: "string", bool: "boolean", int: "integer", float: "number", list: "array", dict: "object"}
    types = {key: {"type": kinds.get(type(value), "null")} for key, value in call.arguments.items()}
    return [
        ToolDefinition(t.name, t.description, {**OPEN, "properties": types}) if t.name == call.name else t for t in ANY
    ]


@pytest.mark.parametrize("name", DIALECTS)
@settings(max_examples=examples(40))
@given(call=CALL, before=BEFORE, after=AFTER, data=st.data())
def test_a_call_that_is_written_is_read_back(name, call, before, after, data):
    """Whatever its arguments are, wherever it stands, however it is cut, and by whichever dialects are asked."""
    call, text = written(name, call)
    text = before + text + after
    tools = declared(call)
    cuts = data.draw(st.lists(st.integers(0, len(text)), max_size=8))
    for dialect in ("auto", name):
        got = in_pieces(text, cuts, tools, dialect)
        assert got.calls == (call,)
        assert got.content == before
        assert got == parse(text, tools=tools, dialect=dialect)


@pytest.mark.parametrize("name", [n for n in DIALECTS if n not in FENCED])
@settings(max_examples=examples(30))
@given(call=CALL, before=BEFORE, after=PROSE_AFTER)
def test_prose_after_a_call(name, call, before, after):
    """A call on lines of its own counts whatever follows."""
    call, text = written(name, call)
    got = parse(before + text + after, tools=declared(call))
    assert got.calls == (call,)
    assert got.content == before + after.lstrip("\n")


@pytest.mark.parametrize("name", FENCED)
@settings(max_examples=examples(30))
@given(call=CALL, before=BEFORE, after=PROSE_AFTER)
def test_prose_after_a_fence(name, call, before, after):
    """A fence that anything follows is an example: it stays as it is."""
    text = before + written(name, call)[1] + after
    got = parse(text, tools=ANY)
    assert got.calls == ()
    assert got.content == text


@pytest.mark.parametrize("name", DIALECTS)
@settings(max_examples=examples(30))
@given(
    call=CALL,
    frame=st.sampled_from(
        ["> {}", "- {}", "Write {}", '"{}"', "`{}`", "| {} |", "    x\n    {}", "````python\n{}\n````"]
    ),
)
def test_a_call_in_a_frame(name, call, frame):
    """Quoted, listed, inlined, tabled, indented or fenced, a call of one line is none."""
    text = "Like so:\n\n" + frame.replace("{}", written(name, call)[1].replace("\n", " "))
    got = parse(text, tools=ANY)
    assert got.calls == ()
    assert got.content == text


@settings(max_examples=examples(200))
@given(cut())
def test_any_text_cut_anywhere(text_and_cuts):
    """No text breaks the parser, no cut makes a difference, and without a call no character is lost."""
    text, cuts = text_and_cuts
    whole = parse(text, tools=TOOLS)
    assert in_pieces(text, cuts) == whole
    if is_prose(text, TOOLS):
        assert not whole.calls
    if not whole.calls:
        assert whole.content == text


@settings(max_examples=examples(300))
@given(cut(st.lists(CODE, max_size=24).map("".join)), st.sampled_from(["auto", "gemma", "lfm2", "pythonic", "phi4"]))
def test_calls_as_code_cut_anywhere(text_and_cuts, dialect):
    """No cut makes a difference, whatever of calls as code, of Gemma's or of Granite's stands beside whatever else."""
    text, cuts = text_and_cuts
    assert in_pieces(text, cuts, dialect=dialect) == parse(text, tools=TOOLS, dialect=dialect)


@settings(max_examples=examples(100))
@given(cut())
def test_small_limits(text_and_cuts):
    """The law holds at the limits of what is held back, too."""
    text, cuts = text_and_cuts
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("lumosai.dialects._said.HOLD", 60)
        patch.setattr("lumosai.dialects.parser._WINDOW", 7)
        patch.setattr("lumosai.dialects.parser._EAGER", 5)
        patch.setattr("lumosai.dialects._lines.HEAD", 9)
        assert in_pieces(text, cuts) == parse(text, tools=TOOLS)


LINES = st.lists(
    st.sampled_from(
        [
            *(
                "Plain prose, and no more.",
                "- an item",
                "2. another",
                "* a third: `code`",
                "| a | b |",
                "|---|:--|",
                "> no",
            ),
            *(
                "",
                "",
                "   ",
                "    indented",
                "  - below",
                "a `code` b",
                "a ``b` c`` d",
                'say "so" and',
                '5" by 7" or',
                '"open',
            ),
            *(
                "“so” 「那样」",
                "“open",
                "[1] and {x: 1}",
                "{open",
                "[open",
                "] and }",
                "a\\b",
                "x < y",
                "<b>bold</b>",
                "</think>",
            ),
            *(
                "```",
                "```python",
                "~~~",
                "工具: ping",
                "Thought: x",
                "Action: ping",
                "ping",
                "ping()",
                "[ping()]",
                "tail.",
            ),
            *(
                '{"name": "ping", "arguments": {}}',
                '<tool_call>{"name": "ping", "arguments": {}}</tool_call>',
                "<pre>",
                "</pre>",
            ),
            *(
                'Well.<|tool_call|>[{"name": "ping", "arguments": {}}]',
                "]<]minimax[>[<tool_call>",
                "[TOOL_CALLS]ping{}",
            ),
        ]
    )
    | st.text(st.sampled_from("ab .:`\"'“”[]{}<>|-*1\\/\t"), max_size=12),
    max_size=14,
).map("\n".join)


@settings(max_examples=examples(300))
@given(LINES)
def test_many_lines_at_once(text):
    """Lines in which nothing can stand give the same together as one by one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("lumosai.dialects._line_starts._BULK", 1)
        together = parse(text, tools=TOOLS)
        patch.setattr("lumosai.dialects._line_starts._BULK", 1_000_000)
        assert parse(text, tools=TOOLS) == together
    if is_prose(text, TOOLS):
        assert (together.content, together.calls) == (text, ())


@settings(max_examples=examples(150))
@given(cut())
def test_a_plain_chunk(text_and_cuts):
    """A chunk that is called plain comes out as it went in, and skipping it changes nothing of what follows."""
    text, cuts = text_and_cuts
    fed, skipped = DialectParser(tools=TOOLS), DialectParser(tools=TOOLS)
    start = 0
    for end in [*sorted(cuts), len(text)]:
        chunk, start = text[start:end], end
        plain = skipped.plain(chunk)
        assert plain == fed.plain(chunk)
        out = fed.feed(chunk)
        if plain:
            assert out == ([chunk] if chunk else [])
        else:
            assert skipped.feed(chunk) == out
    assert fed.close() == skipped.close()


@pytest.mark.parametrize("name", DIALECTS)
@settings(max_examples=examples(40))
@given(text=HOSTILE, call=CALL, data=st.data())
def test_a_verdict_stands(name, text, call, data):
    """What a dialect says of a text it says of every longer one; only `More` may change its mind."""
    dialect = get(name)
    tools = {t.name: t for t in [*ANY, *TOOLS]}
    openers = dialect.openers(tools)
    opener = data.draw(st.sampled_from(openers))
    _, call = written(name, call)
    text = data.draw(st.sampled_from([opener + text, call + text, call[:-1] + text]))
    start = min(len(o) for o in openers if text.startswith(o))
    settled = None
    for end in range(start, len(text) + 1):
        verdict = dialect.recognise(text[:end], tools, final=False)
        assert isinstance(verdict, Found | More | No)
        if settled is not None:
            assert verdict == settled, text[:end]
        elif not isinstance(verdict, More):
            settled = verdict
    if settled is not None:
        assert dialect.recognise(text, tools, final=True) == settled
