"""What is learned about a model: what was tried, what worked, when; where it is kept, and that it is forgotten."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lumosai.messages import Message
from lumosai.models import ModelRequest, OpenAIChatModel, Profile
from lumosai.models._profile_file import FileProfiles
from lumosai.models.base import AttemptStarted, Chunk, Model
from lumosai.models.calling import CallingModel
from lumosai.models.profiles import (
    FEATURES,
    LEARNED_FOR_S,
    Change,
    Learned,
    MemoryProfiles,
    ProfileStore,
    Tried,
    applied,
    changes,
    dated,
    fresh,
    keep_in,
    profile_key,
)
from lumosai.records import ToolDefinition
from lumosai.testing import ScriptedModel, call
from tests.models import strict_servers
from tests.models.strict_servers import strict
from tests.servers import Call, ChatServer, Reply, Request

ADD = ToolDefinition("add", "Adds.", {"type": "object", "properties": {"x": {"type": "integer"}}, "required": ["x"]})
DAY = 24 * 3600.0
KEY = profile_key("p", "https://x.example/v1", "m")


class Clock:
    """A clock that a test turns."""

    def __init__(self) -> None:
        self.at = 1_000_000.0

    def __call__(self) -> float:
        return self.at


def asked(store: ProfileStore | None = None, *, tools: bool = True, incremental: bool = True) -> ModelRequest:
    services = {} if store is None else {"profiles": store}
    return ModelRequest(
        messages=(Message.user("go"),),
        tools=(ADD,) if tools else (),
        tool_mode="auto",
        services=services,
        incremental=incremental,
    )


async def ask(model: Model, request: ModelRequest) -> list[Chunk]:
    return [chunk async for chunk in model.stream(request)]


def again(chunks: list[Chunk]) -> int:
    """How often the model had to be asked again."""
    return sum(isinstance(c, AttemptStarted) for c in chunks)


@pytest.fixture(params=["memory", "file"])
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[ProfileStore, Clock]:
    clock = Clock()
    if request.param == "memory":
        return MemoryProfiles(now=clock), clock
    return FileProfiles(tmp_path / "deep" / "profiles.json", now=clock), clock


def test_everything_is_dated_on_its_own(kept: tuple[ProfileStore, Clock]) -> None:
    """What was found out on Monday is forgotten a week later, what was found out on Friday is not."""
    store, clock = kept
    assert store.get(KEY) is None
    store.put(KEY, Learned().having("native", works=True).choosing("text", "wrote calls as text"))
    monday = clock.at
    clock.at += 4 * DAY
    friday = clock.at
    found = store.get(KEY)
    assert found is not None and found.tool_mode == "text" and found.tried["native"] == Tried(works=True, at=monday)
    refused = Change({"stream_usage": False}, "no stream_options")
    store.put(KEY, msgspec.structs.replace(found.having("json_schema", works=False, why="no"), changed=(refused,)))
    clock.at = monday + LEARNED_FOR_S + 1
    found = store.get(KEY)
    assert found is not None
    assert found.tried == {"json_schema": Tried(works=False, why="no", at=friday)} and found.rejected == (
        "json_schema",
    )
    assert (found.tool_mode, found.reason, found.proofs) == (None, "", 0)
    assert found.changed == (Change({"stream_usage": False}, "no stream_options", friday),)
    clock.at = friday + LEARNED_FOR_S + 1
    assert store.get(KEY) is None


_TRIED = st.builds(Tried, st.booleans(), st.text(max_size=3), st.floats(0, 3 * LEARNED_FOR_S))
_LEARNED = st.builds(
    Learned,
    tool_mode=st.sampled_from([None, "text", "constrained"]),
    proofs=st.integers(0, 3),
    at=st.floats(0, 3 * LEARNED_FOR_S),
    tried=st.dictionaries(st.sampled_from([*FEATURES, "tool_mode"]), _TRIED, max_size=4),
    changed=st.lists(
        st.builds(Change, st.just({"stream_usage": False}), st.just("no"), st.floats(0, 3 * LEARNED_FOR_S)), max_size=2
    ).map(tuple),
)


@given(learned=_LEARNED, now=st.floats(LEARNED_FOR_S, 3 * LEARNED_FOR_S))
def test_what_is_kept_is_young(learned: Learned, now: float) -> None:
    """Of any record: nothing old is left, nothing young is lost, twice is once, and it goes through JSON unchanged."""
    kept_ = fresh(learned, now)
    if kept_ is not None:
        assert fresh(kept_, now) == kept_
        assert {k for k, t in learned.tried.items() if now - t.at <= LEARNED_FOR_S} == set(kept_.tried)
        assert all(now - r.at <= LEARNED_FOR_S for r in kept_.changed)
    new = dated(learned, now)
    assert all(t.at for t in new.tried.values()) and new.at == now
    assert msgspec.json.decode(msgspec.json.encode(new), type=Learned) == new


@given(
    before=st.builds(Profile, stream_usage=st.booleans(), order=st.just(("empty",)), efforts=st.just(("low",))),
    after=st.builds(Profile, stream_usage=st.booleans(), max_tokens_field=st.sampled_from(["max_tokens", "x"])),
)
def test_a_refusal_is_what_it_changes(before: Profile, after: Profile) -> None:
    """The difference of two profiles, put on the one, is the other, through JSON too."""
    refused = Change(msgspec.json.decode(msgspec.json.encode(changes(before, after))))
    assert applied(before, [refused]) == after
    assert applied(before, [Change({"order": 7}), Change({"surprise": True})]) == before


# What a model teaches.


async def test_what_worked_is_noted() -> None:
    """Native calls, several at once, a stream, an answer held to a schema; each once, not at every answer."""
    puts: list[Learned] = []

    class Counting(MemoryProfiles):
        def put(self, key: str, learned: Learned) -> None:
            puts.append(learned)
            super().put(key, learned)

    store = Counting()
    inner = ScriptedModel(
        [call("add", x=1), [call("add", x=1), call("add", x=2)], "done", call("add", x=3), '{"n": 1}']
    )
    model = CallingModel(inner)
    for _ in range(4):
        await ask(model, asked(store))
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}}
    await ask(model, msgspec.structs.replace(asked(store, tools=False), output_schema=schema))
    found = store.get(profile_key(model.provider, model.endpoint, model.name))
    assert found is not None
    assert {k: t.works for k, t in found.tried.items()} == dict.fromkeys(
        ["native", "streaming", "parallel", "json_schema"], True
    )
    assert len(puts) == 3


async def test_a_dialect_is_noted() -> None:
    """Calls that came as text name the format, and the mode that was chosen for it is dated."""
    hermes = '<tool_call>\n{"name": "add", "arguments": {"x": 1}}\n</tool_call>'
    store = MemoryProfiles(now=Clock())
    model = CallingModel(ScriptedModel([hermes, hermes]))
    for _ in range(2):
        await ask(model, asked(store))
    found = store.get(profile_key(model.provider, model.endpoint, model.name))
    assert found is not None and found.tool_mode == "text"
    assert found.tried["dialect"] == Tried(works=True, why="hermes", at=1_000_000.0)
    assert found.tried["tool_mode"].at == 1_000_000.0


@pytest.mark.parametrize("incremental", [True, False])
async def test_refusals_are_kept_in_the_store(incremental: bool, tmp_path: Path) -> None:
    """A second model object, or a process, does not ask what the first was refused; after seven days it does."""
    clock = Clock()
    refuse = strict_servers.template if not incremental else strict_servers.mistral
    history = (Message.user("a"), Message.user("b"))
    async with ChatServer(strict(refuse, Reply("ok"))) as server:

        def model() -> OpenAIChatModel:
            return OpenAIChatModel("m", base_url=server.base_url, api_key="k", profile=Profile())

        def request(store: ProfileStore) -> ModelRequest:
            return msgspec.structs.replace(asked(store, incremental=incremental), messages=history)

        path = tmp_path / "profiles.json"
        first = again(await ask(model(), request(FileProfiles(path, now=clock))))
        assert first > 0
        learning = model()
        assert again(await ask(learning, request(FileProfiles(path, now=clock)))) == 0
        assert learning.profile != Profile()
        assert again(await ask(model(), request(MemoryProfiles()))) == first, "another store knows nothing"
        clock.at += LEARNED_FOR_S + 1
        assert again(await ask(learning, request(FileProfiles(path, now=clock)))) == first, (
            "forgotten, even by the object"
        )
        assert again(await ask(learning, request(FileProfiles(path, now=clock)))) == 0


async def test_a_store_that_keeps_nothing() -> None:
    """Each request learns anew, and each ends."""

    class Forgetful:
        def get(self, key: str) -> Learned | None:
            return None

        def put(self, key: str, learned: Learned) -> None: ...

    async with ChatServer(strict(strict_servers.mistral)) as server:
        model = OpenAIChatModel("m", base_url=server.base_url, api_key="k", profile=Profile())
        for _ in range(2):
            assert again(await ask(model, asked(Forgetful()))) == 1


async def test_refusals_and_modes_share_a_record() -> None:
    """What the wire learns and what the calling learns do not overwrite each other."""

    def picky(body: dict, _path: str) -> strict_servers.Refusal:
        if "stream_options" in body:
            return 400, {"error": {"message": "stream_options is not supported"}}
        if "tools" in body:
            return 400, {"error": {"message": "tools are not supported by this model"}}
        return None

    store = MemoryProfiles()
    async with ChatServer(strict(picky, Reply("ok"))) as server:
        model = CallingModel(OpenAIChatModel("m", base_url=server.base_url, api_key="k", profile=Profile()))
        assert again(await ask(model, asked(store))) == 2
        found = store.get(profile_key("openai", server.base_url, "m"))
        assert found is not None and found.rejected == ("tools",) and len(found.changed) == 1
        other = CallingModel(OpenAIChatModel("m", base_url=server.base_url, api_key="k", profile=Profile()))
        assert again(await ask(other, asked(store))) == 0
        assert other.mode(asked(store)) == "text"


async def test_a_models_own_store_can_be_a_file(tmp_path: Path) -> None:
    """`keep_in` gives a model object a store that outlives it."""

    def no_tools(request: Request) -> Reply:
        if "tools" in (request.json or {}):
            return Reply(status=400, text="tools are not supported by this model")
        return Reply("ok")

    path = tmp_path / "profiles.json"
    async with ChatServer(no_tools) as server:
        for wanted in (1, 0):
            inner = OpenAIChatModel("m", base_url=server.base_url, api_key="k", profile=Profile())
            keep_in(inner, FileProfiles(path))
            assert again(await ask(CallingModel(inner), asked())) == wanted
    assert (
        json.loads(path.read_text())[profile_key("openai", server.base_url, "m")]["tried"]["native"]["works"] is False
    )


# The file.


def test_a_file_that_is_no_file_of_ours(tmp_path: Path) -> None:
    """It holds nothing, and is written anew; nothing else is left lying about."""
    path = tmp_path / "profiles.json"
    path.write_text("{oh dear")
    store = FileProfiles(path)
    assert store.get(KEY) is None
    store.put(KEY, Learned(proofs=1))
    store.put("other", Learned(proofs=2))
    assert FileProfiles(path).get(KEY) is not None
    assert sorted(p.name for p in tmp_path.iterdir()) == ["profiles.json", "profiles.lock"]


def test_two_objects_of_one_file(tmp_path: Path) -> None:
    """Each sees what the other wrote, and neither loses it."""
    one, other = FileProfiles(tmp_path / "p.json"), FileProfiles(tmp_path / "p.json")
    for number in range(20):
        one.put(f"a{number}", Learned(proofs=number))
        other.put(f"b{number}", Learned(proofs=number))
        assert other.get(f"a{number}") is not None and one.get(f"b{number}") is not None
    assert all(one.get(f"{x}{n}") is not None for x in "ab" for n in range(20))


async def test_a_call_that_worked_after_a_refusal(tmp_path: Path) -> None:
    """A server that takes tools after all is believed: the newest of what was tried counts."""
    store = MemoryProfiles()
    async with ChatServer([Reply(calls=[Call("add", {"x": 1})])]) as server:
        key = profile_key("openai", server.base_url, "m")
        store.put(key, Learned().having("native", works=False, why="no"))
        model = CallingModel(OpenAIChatModel("m", base_url=server.base_url, api_key="k", profile=Profile()))
        await ask(model, msgspec.structs.replace(asked(store), tool_mode="native"))
        found = store.get(key)
        assert found is not None and found.tried["native"].works and found.rejected == ()
