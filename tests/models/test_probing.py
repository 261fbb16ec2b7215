"""`probe`: what a live endpoint is found to do, against servers of several characters."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lumosai.messages import Message
from lumosai.models import LocalModel, ModelRequest, OpenAIChatModel, Profile, _llama
from lumosai.models._profile_file import FileProfiles
from lumosai.models.calling import CallingModel
from lumosai.models.probing import MAX_REQUESTS, MAX_TOKENS, TOOL, Report, most, probe
from lumosai.models.profiles import MemoryProfiles, profile_key
from lumosai.testing import ScriptedModel
from tests.models.tiny_gguf import tiny_model
from tests.servers import Call, ChatServer, Reply, Request

HERMES = f'<tool_call>\n{{"name": "{TOOL.name}", "arguments": {{"city": "Oslo"}}}}\n</tool_call>'
OSLO, ROME = Call(TOOL.name, {"city": "Oslo"}), Call(TOOL.name, {"city": "Rome"})


def capable(request: Request) -> Reply:
    """A server that does all of it."""
    body = request.json or {}
    if "response_format" in body:
        return Reply('{"city": "Oslo"}')
    asked = str(body["messages"][-1]["content"])
    if body.get("tools"):
        return Reply(calls=[OSLO, ROME] if "Rome" in asked else [OSLO])
    return Reply(HERMES)


def refusing(field: str, words: str, status: int = 400, otherwise: Callable[[Request], Reply] = capable) -> Any:
    def answer(request: Request) -> Reply:
        return Reply(status=status, text=words) if field in (request.json or {}) else otherwise(request)

    return answer


def as_text(request: Request) -> Reply:
    """A server that takes tools and passes a call on as the model wrote it."""
    body = request.json or {}
    if "response_format" in body:
        return Reply("The city is Oslo.")
    return Reply(HERMES)


def only_streams(request: Request) -> Reply:
    if not (request.json or {}).get("stream"):
        return Reply(status=400, text="This model only support stream mode, please enable the stream parameter.")
    return capable(request)


def not_strict(request: Request) -> Reply:
    tools = (request.json or {}).get("tools") or [{"function": {}}]
    if "strict" in tools[0]["function"]:
        return Reply(status=400, text="tools[0].function.strict: extra inputs are not permitted")
    return capable(request)


def chatty(_request: Request) -> Reply:
    return Reply("It is sunny, I think.")


def cut(_request: Request) -> Reply:
    return Reply("", reasoning="Hmm, let me think about it", finish="length")


async def probed(
    script: Callable[[Request], Reply], profile: Profile | None = None
) -> tuple[Report, list[Request], str]:
    """The report, the requests, and the address."""
    profile = Profile() if profile is None else profile
    async with ChatServer(script) as server:

        def make(profile: Profile) -> OpenAIChatModel:
            return OpenAIChatModel("m", base_url=server.base_url, api_key="k", profile=profile)

        return await probe(make(profile), strict=make), server.requests, server.base_url


def found(report: Report) -> dict[str, bool | None]:
    return {t.feature: t.works for t in report.trials}


ALL = {"native": True, "streaming": True, "parallel": True, "strict": True, "json_schema": True, "dialect": None}
CHARACTERS: list[tuple[Callable[[Request], Reply], dict[str, bool | None], str, str]] = [
    (capable, ALL, "native", ""),
    (only_streams, ALL, "native", ""),
    (not_strict, {**ALL, "strict": False}, "native", ""),
    (
        refusing("tools", "tools are not supported by this model"),
        {"native": False, "streaming": None, "parallel": None, "strict": None, "json_schema": True, "dialect": True},
        "constrained",
        "hermes",
    ),
    (
        refusing(
            "tools",
            "this model does not support tools",
            404,
            refusing("response_format", "response_format is not supported"),
        ),
        {"native": False, "streaming": None, "parallel": None, "strict": None, "json_schema": False, "dialect": True},
        "text",
        "hermes",
    ),
    (
        as_text,
        {"native": False, "streaming": True, "parallel": None, "strict": None, "json_schema": False, "dialect": True},
        "text",
        "hermes",
    ),
    (
        refusing("response_format", "response_format json_schema is unavailable"),
        {**ALL, "json_schema": False},
        "native",
        "",
    ),
    (
        chatty,
        {"native": False, "streaming": True, "parallel": None, "strict": None, "json_schema": False, "dialect": False},
        "native",
        "",
    ),
    (
        cut,
        {"native": None, "streaming": True, "parallel": None, "strict": None, "json_schema": None, "dialect": None},
        "native",
        "",
    ),
]


@pytest.mark.parametrize(
    ("script", "wanted", "mode", "dialect"),
    CHARACTERS,
    ids=["all", "only streams", "not strict", "no tools", "neither", "as text", "no schema", "chatty", "cut off"],
)
async def test_a_character(
    script: Callable[[Request], Reply], wanted: dict[str, bool | None], mode: str, dialect: str
) -> None:
    """Each is found out, by few and small requests; and the mode is the one that suits it."""
    report, requests, base = await probed(script)
    assert found(report) == wanted
    assert (report.tool_mode, report.dialect, report.error) == (mode, dialect, "")
    assert (report.model, report.endpoint) == ("openai:m", base)
    assert report.requests == len(requests) <= MAX_REQUESTS + 1
    assert all((r.json or {})["max_tokens"] == MAX_TOKENS and len(r.body) < 1500 for r in requests)
    assert all(t.why for t in report.trials)
    assert report.usage.input_tokens > 0 or script in (only_streams, cut, not_strict) or report.requests < 3


async def test_a_refusal_is_told_in_its_own_words() -> None:
    """Exactly, with what was asked."""
    report, _, _ = await probed(refusing("tools", "tools are not supported by this model (id 4711)"))
    assert "tools are not supported by this model (id 4711)" in report.trials[0].why
    report, _, _ = await probed(not_strict)
    assert "tools[0].function.strict: extra inputs" in next(t for t in report.trials if t.feature == "strict").why


@pytest.mark.parametrize(
    ("status", "words"), [(401, "Incorrect API key provided"), (429, "Rate limit reached"), (503, "down")]
)
async def test_a_server_that_does_not_let_us_in(status: int, words: str) -> None:
    """One request, its error, no mode, and nothing stored."""
    async with ChatServer(lambda _r: Reply(status=status, text=words)) as server:
        store = MemoryProfiles()
        report = await probe(OpenAIChatModel("m", base_url=server.base_url, api_key="k"), store=store)
        assert words in report.error and report.tool_mode is None and report.trials == ()
        assert len(server.requests) == 1
        assert store.get(profile_key("openai", server.base_url, "m")) is None


async def test_a_server_that_is_not_there() -> None:
    """Says so."""
    report = await probe(OpenAIChatModel("m", base_url="http://127.0.0.1:9/v1", api_key="k"))
    assert "127.0.0.1:9" in report.error and report.requests == 1


async def test_a_model_that_cannot_be_remade() -> None:
    """Its strict tools are not tried, and why is told."""
    async with ChatServer(capable) as server:
        report = await probe(OpenAIChatModel("m", base_url=server.base_url, api_key="k", profile=Profile()))
        assert found(report) == {**ALL, "strict": None}
        assert len(server.requests) == 3


@pytest.mark.parametrize("script", [as_text, only_streams, not_strict, CHARACTERS[3][0]], ids=lambda s: s.__name__)
async def test_what_was_found_is_used(script: Callable[[Request], Reply], tmp_path: Path) -> None:
    """By another model object with the same store: nothing is asked that was refused, and tools are called as found."""
    async with ChatServer(script) as server:

        def make(profile: Profile) -> OpenAIChatModel:
            return OpenAIChatModel("m", base_url=server.base_url, api_key="k", profile=profile)

        profile = Profile(strict_tools=True)
        report = await probe(make(profile), store=FileProfiles(tmp_path / "p.json"), strict=make)
        store = FileProfiles(tmp_path / "p.json")
        model = CallingModel(make(profile))
        request = ModelRequest(
            messages=(Message.user("Oslo?"),),
            tools=(TOOL,),
            tool_mode="auto",
            incremental=script is not only_streams,
            services={"profiles": store},
        )
        assert model.mode(request) == report.tool_mode
        before = len(server.requests)
        chunks = [c async for c in model.stream(request)]
        assert len(server.requests) == before + 1
        assert [c.name for c in chunks if hasattr(c, "index")][:1] == [TOOL.name] or report.tool_mode == "constrained"


async def test_a_profile_that_promises_less() -> None:
    """What is found to work is used, though the table did not know it."""
    report, _, base = await probed(capable, Profile(native_tools=False, json_schema=False))
    store = MemoryProfiles()
    store.put(profile_key("openai", base, "m"), report.learned)
    model = CallingModel(OpenAIChatModel("m", base_url=base, profile=Profile(native_tools=False, json_schema=False)))
    found_ = model.profile_for(ModelRequest(messages=(), services={"profiles": store}))
    assert found_.native_tools and found_.json_schema


def test_what_it_may_cost() -> None:
    """Is known before anything is sent; not where no price is."""
    tokens, cost = most(ScriptedModel([], profile=Profile(local=True)))
    assert tokens <= 10_000 and cost == 0
    priced = OpenAIChatModel("m", base_url="http://127.0.0.1:9/v1", price=(1.0, 2.0))
    assert most(priced)[1] is not None and float(most(priced)[1] or 0) < 0.01
    assert most(OpenAIChatModel("no-such-model", base_url="http://127.0.0.1:9/v1"))[1] is None


async def test_a_model_on_this_machine(tmp_path: Path) -> None:
    """Real llama.cpp with a model of random numbers: it keeps to a schema if not to sense, and costs nothing."""
    local = LocalModel(tiny_model(tmp_path / "tiny.gguf"), context_tokens=2048, threads=1)
    try:
        report = await probe(local)
    finally:
        _llama.stop_all()
    assert report.error == "" and report.tool_mode in ("constrained", "text")
    assert found(report)["native"] is not True and found(report)["streaming"] is True
    assert report.requests <= MAX_REQUESTS and report.cost_usd == 0
