"""`CallingModel`: every tool mode looks native from outside, and "auto" learns which one a model can do."""

from __future__ import annotations

import asyncio
import json
import weakref
from contextlib import aclosing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lumosai.errors import InvalidInputError, SchemaUnsupportedError, ServerError, ToolsUnsupportedError
from lumosai.messages import ImagePart, Message, TextPart, ToolCallPart, ToolResultPart
from lumosai.models import _constrained
from lumosai.models.base import (
    AttemptStarted,
    Finished,
    ModelRequest,
    ReasoningChunk,
    TextChunk,
    ToolCallChunk,
    UsageChunk,
)
from lumosai.models.calling import CallingModel, innermost, prepare
from lumosai.models.fallback import FallbackModel
from lumosai.models.profiles import MemoryProfiles, Profile, profile_key
from lumosai.models.retry import RetryModel
from lumosai.records import ModelSettings, ToolDefinition
from lumosai.testing import Answer, ScriptedModel, call

CALCULATOR = ToolDefinition(
    "calculator",
    "Evaluate an arithmetic expression.",
    {
        "type": "object",
        "properties": {"expression": {"type": "string", "description": "what to evaluate"}},
        "required": ["expression"],
        "additionalProperties": False,
    },
)
CLOCK = ToolDefinition("clock", "The time.", {"type": "object", "properties": {}, "additionalProperties": False})
TOOLS = (CALCULATOR, CLOCK)
ASKED = Message.user("What is 17 * 23?")
CALLED = Message.assistant("I calculate.", ToolCallPart("c1", "calculator", {"expression": "17*23"}))
RESULT = Message.tool(ToolResultPart("c1", "calculator", "391"))
FAILED = Message.tool(ToolResultPart("c1", "calculator", "bad expression", is_error=True))
OUTPUT = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}

HERMES = '<tool_call>\n{"name": "calculator", "arguments": {"expression": "1+1"}}\n</tool_call>'
BARE = '{"name": "calculator", "arguments": {"expression": "1+1"}}'
ENVELOPE = '{"tool": "calculator", "arguments": {"expression": "1+1"}}'

SCHEMAS = Profile(native_tools=False, json_schema=True)
TEXT = Profile(native_tools=False)
NATIVE = Profile(json_schema=True)


def request(*messages: Message, tools=TOOLS, tool_mode="auto", **options) -> ModelRequest:
    return ModelRequest(messages=messages or (ASKED,), tools=tools, tool_mode=tool_mode, **options)


async def ask(model, asked: ModelRequest | None = None) -> list:
    return [chunk async for chunk in model.stream(asked or request())]


def text_of(chunks: list) -> str:
    return "".join(c.delta for c in chunks if isinstance(c, TextChunk))


def calls_of(chunks: list) -> list[tuple[str, dict]]:
    found: dict[int, list[str]] = {}
    for chunk in chunks:
        if isinstance(chunk, ToolCallChunk):
            found.setdefault(chunk.index, [chunk.name, ""])[1] += chunk.delta
    return [(name, json.loads(raw)) for name, raw in found.values()]


def finish_of(chunks: list) -> str:
    assert isinstance(chunks[-1], Finished)
    assert sum(isinstance(c, Finished) for c in chunks) == 1
    return chunks[-1].reason


def said(sent: ModelRequest) -> list[tuple[str, str]]:
    """The prompt as (role, text)."""
    assert not any(m.tool_calls or m.tool_results for m in sent.messages)
    return [(m.role, m.text) for m in sent.messages]


_ARGUMENTS = st.dictionaries(
    st.text(max_size=4).filter(lambda k: k != "name"),
    st.recursive(
        st.none() | st.booleans() | st.integers(-999, 999) | st.text(max_size=8),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
        max_leaves=4,
    ),
    max_size=3,
)


def _cut(whole: str, data) -> list[str]:
    cuts = sorted(data.draw(st.sets(st.integers(0, len(whole)), max_size=6)))
    return [whole[a:b] for a, b in zip([0, *cuts], [*cuts, len(whole)], strict=True)]


class TestModes:
    """Which mode "auto" is."""

    @pytest.mark.parametrize(("profile", "mode"), [
        (NATIVE, "native"),
        (SCHEMAS, "constrained"),
        (TEXT, "text"),
        (Profile(tool_mode="constrained", json_schema=True), "constrained"),
        (Profile(tool_mode="constrained", json_schema=False), "text"),
        (Profile(tool_mode="text"), "text"),
        (Profile(tool_mode="off"), "off"),
    ])  # fmt: skip
    def test_auto_goes_by_the_profile(self, profile: Profile, mode: str) -> None:
        """The profile's mode, where the model has what that mode takes, else the next best."""
        assert CallingModel(ScriptedModel([], profile=profile)).mode(request()) == mode

    @pytest.mark.parametrize("mode", ["native", "constrained", "text", "off"])
    def test_a_mode_that_was_asked_for_is_obeyed(self, mode: str) -> None:
        """Whatever the profile says and whatever was learned."""
        model = CallingModel(ScriptedModel([], profile=TEXT))
        assert model.mode(request(tool_mode=mode)) == mode
        assert model.why(request(tool_mode=mode)) == ""

    @pytest.mark.parametrize("profile", [NATIVE, SCHEMAS, TEXT])
    async def test_without_tools_a_request_goes_through_untouched(self, profile: Profile) -> None:
        """No tools, no schema, no calls in the history: the very messages, and the very chunks."""
        inner = ScriptedModel(["Hello. " + HERMES], profile=profile)
        chunks = await ask(CallingModel(inner), request(tools=()))
        assert text_of(chunks) == "Hello. " + HERMES
        assert inner.requests[0].messages == (ASKED,)
        assert inner.requests[0].tool_mode != "auto"


class TestEveryMode:
    """The same intent gives the same chunks in every mode."""

    @pytest.mark.parametrize(("profile", "answer"), [
        (NATIVE, call("calculator", expression="1+1")),
        (NATIVE, HERMES),
        (SCHEMAS, ENVELOPE),
        (SCHEMAS, HERMES),
        (TEXT, HERMES),
        (TEXT, BARE),
    ])  # fmt: skip
    @pytest.mark.parametrize("incremental", [True, False])
    async def test_a_call(self, profile: Profile, answer, incremental: bool) -> None:
        """A call is a `ToolCallChunk` with its name first, no text, and the reason "tool_calls"."""
        chunks = await ask(CallingModel(ScriptedModel([answer], profile=profile)), request(incremental=incremental))
        assert calls_of(chunks) == [("calculator", {"expression": "1+1"})]
        assert text_of(chunks).strip() == ""
        assert finish_of(chunks) == "tool_calls"

    @pytest.mark.parametrize(("profile", "answer"), [
        (NATIVE, "Hello, 世界."),
        (SCHEMAS, '{"tool": "none", "reply": "Hello, \\u4e16界."}'),
        (SCHEMAS, "Hello, 世界."),
        (TEXT, "Hello, 世界."),
    ])  # fmt: skip
    async def test_an_answer(self, profile: Profile, answer: str) -> None:
        """An answer is its text, and the reason "stop"."""
        chunks = await ask(CallingModel(ScriptedModel([answer], profile=profile)))
        assert (text_of(chunks), calls_of(chunks), finish_of(chunks)) == ("Hello, 世界.", [], "stop")

    @given(st.sampled_from([
        (NATIVE, HERMES), (NATIVE, f"I try.\n{HERMES}\n"), (SCHEMAS, ENVELOPE), (SCHEMAS, HERMES), (TEXT, BARE),
        (TEXT, f"I try.\n{HERMES}\nWait."), (SCHEMAS, '{"tool": "none", "reply": "\\ud83d\\ude42 <tool_call>"}'),
        (NATIVE, "See:\n```json\n" + BARE + "\n```\nThat is how."), (TEXT, "a\n\n```\ncode\n```\nb"),
    ]), st.data())  # fmt: skip
    def test_no_cut_of_the_stream_makes_a_difference(self, case: tuple[Profile, str], data) -> None:
        """Streamed at any cuts, the answer is what it is when it comes whole."""
        profile, whole = case
        pieces = _cut(whole, data)

        async def both() -> list:
            script = [Answer(deltas=pieces), Answer(deltas=[whole])]
            return [await ask(CallingModel(ScriptedModel([a], profile=profile))) for a in script]

        cut, uncut = asyncio.run(both())
        assert (text_of(cut), calls_of(cut), finish_of(cut)) == (text_of(uncut), calls_of(uncut), finish_of(uncut))
        assert "<tool_call>" not in text_of(cut) or "🙂" in text_of(cut)

    @given(_ARGUMENTS, st.sampled_from(["", "Let me see.\n", "我算一下。\n\n"]), st.data())
    def test_one_intent_is_the_same_in_every_mode(self, arguments: dict, before: str, data) -> None:
        """Whatever the arguments, whatever is said before, however it is cut: the same text, the same call."""
        raw = json.dumps(arguments, ensure_ascii=data.draw(st.booleans()))
        hermes = f'{before}<tool_call>\n{{"name": "book", "arguments": {raw}}}\n</tool_call>'
        whole = {
            "native": [before, call("book", **arguments)],
            "missed": Answer(deltas=_cut(hermes, data)),
            "text": Answer(deltas=_cut(hermes, data)),
            "constrained": Answer(deltas=_cut(f'{{"tool": "book", "arguments": {raw}}}', data)),
        }
        tools = (ToolDefinition("book", "Keeps anything.", {"type": "object"}),)

        async def every() -> dict[str, list]:
            asked = {n: request(tools=tools, tool_mode={"missed": "native"}.get(n, n)) for n in whole}
            return {n: await ask(CallingModel(ScriptedModel([a])), asked[n]) for n, a in whole.items()}

        for name, chunks in asyncio.run(every()).items():
            assert calls_of(chunks) == [("book", arguments)], name
            assert text_of(chunks).strip() == ("" if name == "constrained" else before.strip()), name
            assert finish_of(chunks) == "tool_calls", name

    @pytest.mark.parametrize("profile", [NATIVE, SCHEMAS, TEXT])
    async def test_reasoning_usage_and_the_provider_s_names_pass_through(self, profile: Profile) -> None:
        """Only text is read; everything else of an answer is handed on as it came."""
        answer = Answer(reasoning="hmm", deltas=["ok"], finish="length", model="other")
        chunks = await ask(CallingModel(ScriptedModel([answer], profile=profile)))
        assert chunks[0] == ReasoningChunk("hmm")
        assert isinstance(chunks[-2], UsageChunk)
        assert chunks[-1] == Finished("length", None, "other")

    @pytest.mark.parametrize("profile", [NATIVE, SCHEMAS, TEXT])
    async def test_leaving_early_closes_the_inner_stream(self, profile: Profile) -> None:
        """`aclose` goes through to the provider."""
        inner = ScriptedModel([Answer(deltas=["Hello ", "there"], gate=asyncio.Event(), gate_at=1)], profile=profile)
        async with aclosing(CallingModel(inner).stream(request())) as stream:
            await anext(stream)
        assert inner.closed == 1

    @pytest.mark.parametrize("profile", [NATIVE, SCHEMAS, TEXT])
    async def test_a_tool_choice_that_names_no_tool_is_refused(self, profile: Profile) -> None:
        """The request is wrong whoever is asked: the error names the tools there are."""
        with pytest.raises(InvalidInputError, match=r"'hammer'.*'calculator', 'clock'"):
            await ask(CallingModel(ScriptedModel(["x"], profile=profile)), request(tool_choice={"tool": "hammer"}))

    @pytest.mark.parametrize("profile", [NATIVE, SCHEMAS, TEXT])
    @pytest.mark.parametrize("answer", [HERMES, "Fine.\n" + HERMES])
    async def test_a_call_where_none_is_allowed_is_dropped(self, profile: Profile, answer: str) -> None:
        """Without tools, after a history of calls, a model that writes one again shows no markup and calls nothing."""
        for asked in (request(ASKED, CALLED, RESULT, tools=()), request(ASKED, CALLED, RESULT, tool_choice="none")):
            chunks = await ask(CallingModel(ScriptedModel([answer], profile=profile)), asked)
            assert calls_of(chunks) == []
            assert text_of(chunks).strip() == ("Fine." if answer.startswith("Fine") else "")
            assert finish_of(chunks) == "stop"


class TestNative:
    """The provider's own calls, and those it misses."""

    async def test_the_request_is_handed_on_as_it_is(self) -> None:
        """Tools, choice, settings, history: nothing is changed but the mode's name."""
        inner = ScriptedModel(["ok"])
        asked = request(ASKED, CALLED, RESULT, tool_choice="required", settings=ModelSettings(seed=1))
        await ask(CallingModel(inner), asked)
        sent = inner.requests[0]
        assert (sent.messages, sent.tools, sent.tool_choice, sent.settings) == (
            asked.messages, TOOLS, "required", asked.settings,
        )  # fmt: skip
        assert sent.messages[1] is CALLED
        assert sent.tool_mode == "native"

    @pytest.mark.parametrize("answer", [
        f"To call it, write:\n```json\n{BARE}\n```\nand wait.",
        f"> {BARE}",
        f"Write `{BARE}` on a line.",
        '{"name": "hammer", "arguments": {"expression": "1"}}',
        '{"name": "calculator", "colour": "red"}',
        "calculator is a tool; 1 + 1 = 2.",
    ])  # fmt: skip
    async def test_a_quoted_example_is_no_call(self, answer: str) -> None:
        """What stands in quotes, fences with prose behind them, or names no declared tool is text."""
        inner = ScriptedModel([answer])
        model = CallingModel(inner)
        chunks = await ask(model)
        assert (text_of(chunks), calls_of(chunks), finish_of(chunks)) == (answer, [], "stop")
        assert model._learned(request()).proofs == 0

    async def test_a_call_in_both_ways_is_one_call(self) -> None:
        """The echo of a native call in the text is not a second call; another call in the text is."""
        script = [[HERMES, call("calculator", expression="1+1")], [HERMES, call("calculator", expression="2+2")]]
        model = CallingModel(ScriptedModel(script))
        chunks = await ask(model)
        assert calls_of(chunks) == [("calculator", {"expression": "1+1"})]
        assert text_of(chunks).strip() == ""
        chunks = await ask(model)
        assert calls_of(chunks) == [("calculator", {"expression": "2+2"}), ("calculator", {"expression": "1+1"})]
        assert [c.index for c in chunks if isinstance(c, ToolCallChunk) and c.name] == [0, 1]

    async def test_a_retried_answer_is_read_from_its_start(self) -> None:
        """Half a call in the answer that broke does not spoil the one that follows."""
        broken = Answer(deltas=[HERMES[:30]], error=ServerError("oops", retry_after_s=0), error_at=9)
        model = CallingModel(RetryModel(ScriptedModel([broken, HERMES])))
        chunks = await ask(model)
        assert calls_of(chunks) == [("calculator", {"expression": "1+1"})]
        assert [c.attempt for c in chunks if isinstance(c, AttemptStarted)] == [2]

    async def test_an_answer_cut_short_stays_cut(self) -> None:
        """A stream that fails in the middle fails here too, without a `Finished`."""
        broken = Answer(deltas=["Hel", "lo"], error=ServerError("oops", retryable=False), error_at=1)
        got = []
        with pytest.raises(ServerError):
            async for chunk in CallingModel(ScriptedModel([broken])).stream(request()):
                got.append(chunk)
        assert text_of(got) == "Hel"
        assert not any(isinstance(c, Finished) for c in got)


class TestLearning:
    """What "auto" finds out."""

    async def test_two_calls_as_text_change_the_next_request(self) -> None:
        """Each is recognised and run; after the second the model is asked in the dialect it writes."""
        inner = ScriptedModel([HERMES, HERMES, "done"])
        model = CallingModel(inner)
        assert model.mode(request()) == "native"
        assert calls_of(await ask(model))
        assert (model.mode(request()), model.why(request())) == ("native", "")
        assert calls_of(await ask(model))
        assert model.mode(request()) == "text"
        assert "calls_as_text" in model.why(request())
        assert "hermes" in model.why(request())
        await ask(model)
        assert [r.tool_mode for r in inner.requests] == ["native", "native", "text"]
        assert inner.requests[2].tools == ()

    async def test_bare_json_twice_means_a_schema_where_there_is_one(self) -> None:
        """Calls without markers are a weak model's: it is held to a schema, or told in text where it has none."""
        for profile, mode in ((NATIVE, "constrained"), (Profile(json_schema=False), "text")):
            model = CallingModel(ScriptedModel([BARE, BARE], profile=profile))
            await ask(model)
            await ask(model)
            assert model.mode(request()) == mode

    async def test_native_calls_and_undeclared_names_prove_nothing(self) -> None:
        """Only a declared tool's call in text is a proof."""
        other = HERMES.replace("calculator", "hammer")
        model = CallingModel(ScriptedModel([call("clock"), other, other, call("clock"), HERMES]))
        for _ in range(5):
            await ask(model)
        assert model.mode(request()) == "native"
        assert model._learned(request()).proofs == 1

    async def test_an_explicit_mode_learns_nothing(self) -> None:
        """Who says "native" keeps it, and the next "auto" does not suffer."""
        model = CallingModel(ScriptedModel([HERMES] * 3))
        for _ in range(3):
            await ask(model, request(tool_mode="native"))
        assert model.mode(request()) == "native"

    @pytest.mark.parametrize(("profile", "mode", "answer"), [
        (NATIVE, "constrained", ENVELOPE), (Profile(), "text", HERMES),
    ])  # fmt: skip
    async def test_a_server_that_rejects_tools_is_asked_otherwise_at_once(self, profile, mode, answer) -> None:
        """One answer, one announced second request, and no first try the next time."""
        inner = ScriptedModel([ToolsUnsupportedError("no tools here"), answer, answer], profile=profile, endpoint="e")
        model = prepare(inner)
        chunks = await ask(model)
        started = chunks[0]
        assert started == AttemptStarted("scripted", "scripted", "e", 2, mode, False, "tools_rejected: no tools here")
        assert calls_of(chunks) == [("calculator", {"expression": "1+1"})]
        assert model.mode(request()) == mode
        assert "tools_rejected" in model.why(request())
        assert not any(isinstance(c, AttemptStarted) for c in await ask(model))
        assert [r.tool_mode for r in inner.requests] == ["native", mode, mode]

    async def test_a_server_that_rejects_both_ends_in_text(self) -> None:
        """Tools, then the schema: two announced requests, one answer."""
        script = [ToolsUnsupportedError("tools"), SchemaUnsupportedError("schema"), HERMES]
        model = CallingModel(ScriptedModel(script))
        chunks = await ask(model)
        assert [(c.attempt, c.tool_mode) for c in chunks if isinstance(c, AttemptStarted)] == [
            (2, "constrained"), (3, "text"),
        ]  # fmt: skip
        assert calls_of(chunks) == [("calculator", {"expression": "1+1"})]

    @pytest.mark.parametrize(("mode", "error"), [
        ("native", ToolsUnsupportedError), ("constrained", SchemaUnsupportedError), ("text", ToolsUnsupportedError),
    ])  # fmt: skip
    async def test_an_explicit_mode_that_is_rejected_is_an_error(self, mode, error) -> None:
        """Nobody asked for another mode."""
        with pytest.raises(error):
            await ask(CallingModel(ScriptedModel([error("no"), "x"])), request(tool_mode=mode))

    @pytest.mark.parametrize("tools", [(), TOOLS])
    async def test_an_output_schema_that_is_rejected_is_told_in_words(self, tools) -> None:
        """Where nothing else is left, structured output goes on by the prompt."""
        profile = Profile(native_tools=False, tool_mode="text", json_schema=True)
        inner = ScriptedModel([SchemaUnsupportedError("no schema"), '{"n": 1}'], profile=profile)
        asked = request(tools=tools, output_schema=OUTPUT, tool_choice="none")
        chunks = await ask(CallingModel(inner), asked)
        assert chunks[0].tool_mode == "text"
        assert chunks[0].reason == "schema_rejected: no schema"
        assert text_of(chunks) == '{"n": 1}'
        first, second = inner.requests
        assert first.output_schema == OUTPUT
        assert second.output_schema is None
        assert json.dumps(OUTPUT, separators=(",", ":")) in second.messages[0].text

    async def test_an_output_schema_that_is_rejected_by_a_model_with_tools(self) -> None:
        """The caller may ask for the output as a tool's arguments: it is told, once, and the profile remembers."""
        inner = ScriptedModel([SchemaUnsupportedError("no schema"), '{"n": 1}'])
        model = CallingModel(inner)
        assert model.profile.json_schema
        with pytest.raises(SchemaUnsupportedError):
            await ask(model, request(output_schema=OUTPUT))
        assert not model.profile.json_schema
        assert not model.profile_for(request()).json_schema
        assert inner.profile.json_schema
        await ask(model, request(output_schema=OUTPUT))
        assert inner.requests[1].output_schema is None

    async def test_the_same_refusal_twice_is_raised(self) -> None:
        """A store that keeps nothing cannot make it ask for ever."""

        class Forgetful:
            def get(self, key):
                return None

            def put(self, key, learned):
                pass

        model = CallingModel(ScriptedModel([SchemaUnsupportedError("no")] * 9, profile=SCHEMAS))
        with pytest.raises(SchemaUnsupportedError):
            await ask(model, request(tools=(), output_schema=OUTPUT, services={"profiles": Forgetful()}))

    async def test_two_agents_that_share_a_model_share_what_it_taught(self) -> None:
        """Experience lives on the model object, whoever wrapped it and however often."""
        inner = ScriptedModel([ToolsUnsupportedError("no"), "a"])
        await ask(CallingModel(inner))
        assert CallingModel(RetryModel(inner)).mode(request()) == "constrained"
        assert CallingModel(ScriptedModel([])).mode(request()) == "native"

    async def test_a_store_handed_in_is_used_and_forgets(self) -> None:
        """Experience goes to the request's store by provider, endpoint and model, and is gone after seven days."""
        clock = [1_000_000.0]
        store = MemoryProfiles(now=lambda: clock[0])
        asked = request(services={"profiles": store})
        inner = ScriptedModel([ToolsUnsupportedError("no"), "a"], provider="p", endpoint="e", name="m")
        model = CallingModel(inner)
        await ask(model, asked)
        assert store.get(profile_key("p", "e", "m")).rejected == ("tools",)
        assert model.mode(asked) == "constrained"
        assert model.mode(request()) == "native", "the model's own store knows nothing of it"
        clock[0] += 7 * 24 * 3600 + 1
        assert model.mode(asked) == "native"


class TestConstrained:
    """What is sent where calls are held to a schema."""

    async def sent(self, asked: ModelRequest, profile: Profile = SCHEMAS) -> ModelRequest:
        inner = ScriptedModel(["x"], profile=profile)
        await ask(CallingModel(inner), asked)
        return inner.requests[0]

    async def test_the_schema_has_a_branch_for_each_tool_and_one_for_none(self) -> None:
        """Exactly the declared calls and a reply can be written."""
        sent = await self.sent(request())
        assert sent.tools == ()
        names = [b["properties"]["tool"]["const"] for b in sent.output_schema["anyOf"]]
        assert sorted(names) == ["calculator", "clock", "none"]
        assert all(b["required"] == [*b["properties"]] for b in sent.output_schema["anyOf"])
        calculator = next(b for b in sent.output_schema["anyOf"] if b["properties"]["tool"]["const"] == "calculator")
        assert calculator["properties"]["arguments"]["required"] == ["expression"]

    async def test_a_choice_narrows_it(self) -> None:
        """A demanded call leaves no reply; a named tool leaves that tool; no call leaves no schema."""
        sent = await self.sent(request(tool_choice="required"))
        assert len(sent.output_schema["anyOf"]) == 2
        sent = await self.sent(request(settings=ModelSettings(tool_choice={"tool": "clock"}, parallel_tool_calls=True)))
        assert sent.output_schema["properties"]["tool"]["const"] == "clock"
        assert sent.settings == ModelSettings()
        sent = await self.sent(request(tool_choice="none"))
        assert sent.output_schema is None
        assert said(sent) == [("user", ASKED.text)]

    async def test_words_are_left_out_of_the_schema_and_names_are_not(self) -> None:
        """Descriptions are told in the prompt; a property that is called `title` is still there."""
        parameters = {
            "type": "object",
            "title": "Book",
            "description": "words",
            "properties": {
                "title": {"type": "string", "title": "Title", "description": "more words", "examples": ["x"]},
                "kind": {"enum": ["description", "title"], "default": "title"},
                "more": {"anyOf": [{"type": "object", "properties": {"default": {"type": "integer"}}}]},
            },
        }
        sent = await self.sent(request(tools=(ToolDefinition("book", "Books.", parameters),), tool_choice="required"))
        assert sent.output_schema["properties"]["arguments"] == {
            "type": "object",
            "properties": {
                "title": {"type": "string"},
                "kind": {"enum": ["description", "title"]},
                "more": {"anyOf": [{"type": "object", "properties": {"default": {"type": "integer"}}}]},
            },
        }

    async def test_references_inside_a_tool_s_schema_still_lead_somewhere(self) -> None:
        """A recursive argument type is placed under `$defs`, and each of its references with it."""
        tree = {
            "type": "object",
            "properties": {"root": {"$ref": "#/$defs/Node"}},
            "$defs": {"Node": {"type": "object", "properties": {"next": {"$ref": "#/$defs/Node"}}}},
        }
        sent = await self.sent(request(tools=(ToolDefinition("walk", "Walk.", tree), CALCULATOR)))
        schema = sent.output_schema

        def follow(value) -> None:
            if isinstance(value, dict):
                if "$ref" in value:
                    target = schema
                    for key in value["$ref"].removeprefix("#/").split("/"):
                        target = target[key]
                    assert isinstance(target, dict)
                for inner in value.values():
                    follow(inner)
            elif isinstance(value, list):
                for inner in value:
                    follow(inner)

        follow(schema)
        assert "$ref" in json.dumps(schema)

    async def test_a_tool_named_none_can_still_be_called(self) -> None:
        """The name for no tool makes way."""
        tool = ToolDefinition("none", "Does nothing.", {"type": "object", "properties": {}})
        inner = ScriptedModel(
            ['{"tool": "none", "arguments": {}}', '{"tool": "none_", "reply": "hi"}'], profile=SCHEMAS
        )
        model = CallingModel(inner)
        assert calls_of(await ask(model, request(tools=(tool,)))) == [("none", {})]
        assert text_of(await ask(model, request(tools=(tool,)))) == "hi"

    async def test_the_prompt_is_short_and_says_what_the_tools_are(self) -> None:
        """The user's instructions stay in front; a calculator takes well under 150 tokens."""
        sent = await self.sent(request(Message.system("Be brief."), ASKED, tools=(CALCULATOR,)))
        system = said(sent)[0][1]
        assert system.startswith("Be brief.")
        for word in ("calculator", "expression", "Evaluate an arithmetic expression.", "what to evaluate"):
            assert word in system
        assert len(system) < 150 * 3

    async def test_the_history_is_told_without_tool_parts(self) -> None:
        """Calls as the model wrote them, results as a user's message, in turn; other messages are the same objects."""
        before = Message.assistant("Hello.")
        sent = await self.sent(request(ASKED, before, ASKED, CALLED, RESULT, Message.user("And then?")))
        shown = _constrained.examples((CALCULATOR,))
        assert sent.messages[1 : 1 + len(shown)] == tuple(shown)
        assert sent.messages[1 + len(shown)] is ASKED
        told = [said(sent)[0], *said(sent)[1 + len(shown) :]]
        assert [role for role, _ in told] == ["system", "user", "assistant", "user", "assistant", "user"]
        assert told[2][1] == '{"tool": "none", "reply": "Hello."}'
        assert told[4][1] == 'I calculate.\n{"tool": "calculator", "arguments": {"expression": "17*23"}}'
        assert "391" in told[5][1]
        assert told[5][1].endswith("And then?")

    async def test_media_in_a_result_are_kept(self) -> None:
        """An image that a tool gave follows its text."""
        image = ImagePart(url="http://x/y.png")
        result = Message.tool(ToolResultPart("c1", "calculator", (TextPart("seen"), image)))
        sent = await self.sent(request(ASKED, CALLED, result))
        assert image in sent.messages[-1].parts
        assert "seen" in sent.messages[-1].text

    async def test_a_model_that_answers_after_tools_can_only_answer(self) -> None:
        """The schema leaves a reply alone, so that it does not call again; unless the call failed or is demanded."""
        profile = Profile(native_tools=False, json_schema=True, answers_after_tools=True)

        async def only_a_reply(*messages: Message, known: Profile = profile, **rest) -> bool:
            sent = await self.sent(request(*messages, **rest), known)
            return sent.output_schema == _constrained.reply_schema("none")

        assert await only_a_reply(ASKED, CALLED, RESULT)
        assert not await only_a_reply(ASKED, CALLED, FAILED)
        assert await only_a_reply(ASKED, CALLED, FAILED, CALLED, FAILED)
        assert await only_a_reply(ASKED, CALLED, FAILED, CALLED, RESULT)
        assert not await only_a_reply(ASKED, CALLED, RESULT, Message.user("And 2 + 2?"))
        assert not await only_a_reply(ASKED, CALLED, RESULT, known=SCHEMAS)
        assert not await only_a_reply(ASKED, CALLED, RESULT, tool_choice="required")

    async def test_the_prompt_begins_alike_before_and_after_a_call(self) -> None:
        """So that a server's prefix cache holds: nothing is read twice but the new messages."""
        profile = Profile(native_tools=False, json_schema=True, answers_after_tools=True)
        before = await self.sent(request(Message.system("Be brief."), ASKED), profile)
        after = await self.sent(request(Message.system("Be brief."), ASKED, CALLED, RESULT), profile)
        assert after.messages[: len(before.messages)] == before.messages

    async def test_a_last_answer_without_tools(self) -> None:
        """Where tools are declared no more, a model that called some is still held to a reply in the form it knows."""
        for asked in (request(ASKED, CALLED, RESULT, tools=()), request(ASKED, CALLED, RESULT, tool_choice="none")):
            sent = await self.sent(asked)
            assert sent.output_schema == _constrained.reply_schema("none")
            assert "calculator" not in said(sent)[0][1]
        assert (await self.sent(request(ASKED, tools=()))).output_schema is None

    async def test_a_server_that_was_found_to_take_no_schema(self) -> None:
        """It is asked for a plain answer."""
        profile = Profile(native_tools=False, json_schema=False, answers_after_tools=True)
        asked = request(ASKED, CALLED, RESULT, tool_mode="constrained")
        assert (await self.sent(asked, profile)).output_schema is None

    async def test_with_an_output_schema_the_reply_is_that(self) -> None:
        """The reply's branch holds the output's schema, its JSON comes as text; after tools it is the only one."""
        profile = Profile(native_tools=False, json_schema=True, answers_after_tools=True)
        answers = ['{"tool": "none", "reply": {"n": 1}}', '{"tool": "none", "reply": {"n": 391}}']
        inner = ScriptedModel(answers, profile=profile)
        model = CallingModel(inner)
        assert text_of(await ask(model, request(output_schema=OUTPUT))) == '{"n": 1}'
        branches = inner.requests[0].output_schema["anyOf"]
        assert OUTPUT in [b["properties"].get("reply") for b in branches]
        assert text_of(await ask(model, request(ASKED, CALLED, RESULT, output_schema=OUTPUT))) == '{"n": 391}'
        assert inner.requests[1].output_schema["properties"]["reply"] == OUTPUT

    async def test_examples_of_a_declared_name_are_left_out(self) -> None:
        """A tool's own calls are shown by nobody else."""
        tool = ToolDefinition("search", "Search.", {"type": "object", "properties": {}})
        sent = await self.sent(request(ASKED, tools=(tool,)))
        assert not any("Rhine" in text for _, text in said(sent))
        assert any("Hamlet" in text for _, text in said(sent))


class TestText:
    """What is sent where tools are told in the prompt."""

    async def sent(self, asked: ModelRequest, **profile) -> ModelRequest:
        inner = ScriptedModel(["x"], profile=Profile(native_tools=False, **profile))
        await ask(CallingModel(inner), asked)
        return inner.requests[0]

    async def test_tools_are_told_and_none_are_sent(self) -> None:
        """Behind the user's own instructions, or in a system message where there is none."""
        sent = await self.sent(request(Message.system("Be brief."), ASKED))
        assert sent.tools == ()
        assert sent.output_schema is None
        assert said(sent)[0][1].startswith("Be brief.\n\n")
        assert "calculator" in said(sent)[0][1]
        assert said(await self.sent(request()))[0][0] == "system"

    async def test_the_choice_is_told_in_words(self) -> None:
        """A demand is said; no call means no word of tools."""
        assert "must" in said(await self.sent(request(tool_choice="required")))[0][1]
        assert "'clock'" in said(await self.sent(request(tool_choice={"tool": "clock"})))[0][1]
        assert said(await self.sent(request(tool_choice="none"))) == [("user", ASKED.text)]

    async def test_the_history_is_told_in_the_dialect(self) -> None:
        """A call reads as the model would have written it, and the parser would read it back."""
        sent = await self.sent(request(ASKED, CALLED, RESULT))
        told = said(sent)
        assert [role for role, _ in told] == ["system", "user", "assistant", "user"]
        assert told[2][1].startswith("I calculate.\n")
        again = await ask(CallingModel(ScriptedModel([told[2][1]], profile=TEXT)))
        assert calls_of(again) == [("calculator", {"expression": "17*23"})]
        assert "391" in told[3][1]

    async def test_a_call_that_was_no_json_is_told_as_it_was_written(self) -> None:
        """Broken arguments in the history are neither lost nor mended."""
        broken = Message.assistant(ToolCallPart("c1", "calculator", None, raw='{"expression": 17 *'))
        for profile in ({}, {"json_schema": True}):
            sent = await self.sent(request(ASKED, broken, FAILED), **profile)
            assert any('{"expression": 17 *' in m.text for m in sent.messages)

    async def test_an_output_schema_is_told_in_words(self) -> None:
        """Held to it by the server, the model could not write a call."""
        sent = await self.sent(request(output_schema=OUTPUT, tool_mode="text"), json_schema=True)
        assert sent.output_schema is None
        assert '"integer"' in said(sent)[0][1]

    async def test_off_sends_no_tools_and_reads_nothing(self) -> None:
        """Tools are left out, calls in the history are told in words where the server takes none."""
        sent = await self.sent(request(ASKED, CALLED, RESULT, tool_mode="off"))
        assert sent.tools == ()
        assert [role for role, _ in said(sent)] == ["user", "assistant", "user"]
        inner = ScriptedModel(["x"])
        await ask(CallingModel(inner), request(ASKED, CALLED, RESULT, tool_mode="off"))
        assert inner.requests[0].messages == (ASKED, CALLED, RESULT)


class TestPrepare:
    """The wrapper around a user's model."""

    def test_it_is_made_once_for_a_model(self) -> None:
        """Agents are made by the thousand: the same model gives the same wrapper, and a wrapper itself."""
        inner = ScriptedModel([])
        made = prepare(inner)
        assert isinstance(made, CallingModel)
        assert isinstance(made.inner, RetryModel)
        assert prepare(inner) is made
        assert prepare(made) is made
        assert innermost(made) is inner
        assert (made.provider, made.name, made.profile) == (inner.provider, inner.name, inner.profile)

    def test_a_chain_is_prepared_inside(self) -> None:
        """Each model of a fallback has its own mode and retries."""
        chain = FallbackModel(ScriptedModel([]), FallbackModel(ScriptedModel([], profile=TEXT)))
        made = prepare(chain)
        assert isinstance(made, FallbackModel)
        assert prepare(made) is made
        assert prepare(chain).models[0] is made.models[0]
        assert isinstance(made.models[0], CallingModel)
        assert made.mode(request()) == "native"
        assert made.models[1].mode(request()) == "text"

    def test_retries_are_not_doubled(self) -> None:
        """A model with retries of its own keeps them as they are."""
        mine = RetryModel(ScriptedModel([]), attempts=1)
        assert prepare(mine).inner is mine

    def test_a_model_that_cannot_be_hashed_or_weakly_referred_to(self) -> None:
        """It works the same; only its experience is each wrapper's own."""

        class Slotted:
            __slots__ = ()
            __hash__ = None
            provider = name = "x"
            profile = NATIVE

            def stream(self, request):
                raise NotImplementedError

        model = Slotted()
        made = prepare(model)
        assert prepare(model) is made
        assert made.mode(request()) == "native"

    def test_nothing_is_kept_of_a_model_that_is_gone(self) -> None:
        """Wrappers and experience go with the model: a process may make models for ever."""
        inner = ScriptedModel([])
        prepared, gone = weakref.ref(prepare(inner)), weakref.ref(inner)
        assert prepared() is None
        del inner
        assert gone() is None

    async def test_a_fallback_in_another_mode_says_so(self) -> None:
        """The second model's attempt names the second model's mode."""
        down = ScriptedModel([ServerError("down", retryable=False)])
        weak = ScriptedModel([HERMES], profile=TEXT)
        chunks = await ask(prepare(FallbackModel(down, weak)))
        assert chunks[0].tool_mode == "text"
        assert calls_of(chunks) == [("calculator", {"expression": "1+1"})]
