"""A model on this machine: real llama.cpp, with a model of a hundred kilobytes made by the tests."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from contextlib import aclosing
from typing import Literal

import pytest

from lumosai import Agent, _http, tool
from lumosai.errors import (
    AuthenticationError,
    ConfigurationError,
    ContextLengthError,
    MissingExtraError,
    ModelConnectionError,
    UnknownModelError,
    WeightsError,
)
from lumosai.messages import Message
from lumosai.models import LocalModel, _llama, model
from lumosai.models.base import Finished, Model, ModelRequest, TextChunk, UsageChunk
from lumosai.records import ModelSettings
from tests.models.tiny_gguf import CONTEXT, tiny_model

HELLO = (Message.user("Hello!"),)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return tiny_model(tmp_path_factory.mktemp("local") / "tiny.gguf")


@pytest.fixture(scope="module", autouse=True)
def _servers():
    yield
    _llama.stop_all()


@pytest.fixture
def local(weights):
    return LocalModel(weights, context_tokens=2048, threads=1)


async def ask(a_model, messages=HELLO, schema=None, **settings):
    request = ModelRequest(messages=messages, settings=ModelSettings(**settings), output_schema=schema)
    return [chunk async for chunk in a_model.stream(request)]


def text(chunks):
    return "".join(c.delta for c in chunks if isinstance(c, TextChunk))


async def slots(a_model):
    """What the server's slots are doing, as it says itself."""
    server = a_model._server
    answer = await _http.request("GET", f"{server.url}/slots", headers={"Authorization": f"Bearer {server.key}"})
    return json.loads(answer.body)


async def test_an_answer_streams_token_by_token(local):
    """Each token is a chunk of its own; usage and the reason for the end come last; it costs nothing."""
    chunks = await ask(local, max_output_tokens=12, seed=1)
    assert isinstance(local, Model)
    assert sum(isinstance(c, TextChunk) for c in chunks) >= 10
    assert chunks[-1].reason == "length"
    assert chunks[-1].model == "tiny"
    usage = [c.usage for c in chunks if isinstance(c, UsageChunk)][-1]
    assert usage.output_tokens == 12
    assert usage.input_tokens > 0
    assert (local.provider, local.name, local.profile.local) == ("local", "tiny", True)


async def test_the_prefix_of_a_conversation_is_kept(local):
    """A second turn computes only what is new."""
    first = (Message.user("Tell me something about the sea and its many fish. " * 4),)
    said = text(await ask(local, first, max_output_tokens=8, seed=1))
    chunks = await ask(local, (*first, Message.assistant(said), Message.user("And now?")), max_output_tokens=4)
    usage = [c.usage for c in chunks if isinstance(c, UsageChunk)][-1]
    assert usage.cache_read_tokens > 0.7 * usage.input_tokens


async def test_equal_settings_share_a_server(weights, tmp_path, local):
    """Two models of one file, named through a link too, use one process; other settings another."""
    link = tmp_path / "tiny.gguf"
    link.symlink_to(weights)
    same, other = LocalModel(link, context_tokens=2048, threads=1), LocalModel(weights, context_tokens=1024, threads=1)
    await asyncio.gather(local.load(), same.load(), other.load())
    assert local._server is same._server
    assert local._server.pid != other._server.pid
    other.unload()
    assert not other._server
    assert local._server.alive


async def test_closing_the_stream_stops_the_computing(weights):
    """A cancelled answer takes no processor: the server's slot is idle at once, and the next answer comes."""
    long = LocalModel(weights, context_tokens=CONTEXT, threads=1)
    long._options["slots"] = True
    request = ModelRequest(messages=HELLO, settings=ModelSettings(seed=1))
    async with aclosing(long.stream(request)) as chunks:
        async for chunk in chunks:
            if isinstance(chunk, TextChunk):
                break
        assert (await slots(long))[0]["is_processing"]
    async with asyncio.timeout(30):
        while (await slots(long))[0]["is_processing"]:
            await asyncio.sleep(0.01)
        assert (await ask(long, max_output_tokens=3))[-1].reason == "length"
    long.unload()


@pytest.mark.parametrize("parallel", [1, 3])
async def test_requests_side_by_side(weights, parallel):
    """More requests than slots are all answered."""
    shared = LocalModel(weights, context_tokens=1024, parallel=parallel, threads=1)
    answers = await asyncio.gather(*(ask(shared, max_output_tokens=20, seed=n) for n in range(5)))
    assert [a[-1].reason for a in answers] == ["length"] * 5


def test_two_loops_at_once(weights):
    """One model object serves the event loops of several threads."""
    shared = LocalModel(weights, context_tokens=2048, threads=1)
    answers = []

    async def use():
        answers.append((await ask(shared, max_output_tokens=5))[-1])
        await _http.close()

    threads = [threading.Thread(target=lambda: asyncio.run(use())) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [a.reason for a in answers] == ["length"] * 3


SCHEMA = {
    "anyOf": [
        {
            "type": "object",
            "properties": {
                "tool": {"const": "pick"},
                "arguments": {
                    "type": "object",
                    "properties": {
                        "colour": {"enum": ["red", "green", "blue"]},
                        "sure": {"type": "boolean"},
                        "code": {"type": "string", "pattern": "^[A-Z]{2}[0-9]{2}$"},
                    },
                    "required": ["colour", "sure", "code"],
                    "additionalProperties": False,
                },
            },
            "required": ["tool", "arguments"],
            "additionalProperties": False,
        },
        {
            "type": "object",
            "properties": {"tool": {"const": "none"}, "reply": {"type": "string", "maxLength": 12}},
            "required": ["tool", "reply"],
            "additionalProperties": False,
        },
    ]
}


@pytest.mark.parametrize("seed", range(8))
async def test_a_schema_holds_even_noise(local, seed):
    """Whatever a model of random numbers says, it is valid JSON of the schema."""
    chunks = await ask(local, schema=SCHEMA, seed=seed, temperature=1.0, max_output_tokens=600)
    assert chunks[-1].reason == "stop"
    said = json.loads(text(chunks))
    if said["tool"] == "pick":
        assert said["arguments"].keys() == {"colour", "sure", "code"}
    else:
        assert isinstance(said["reply"], str)


async def test_an_agent_calls_a_tool(local):
    """Constrained calling makes a valid call of any model at all; the tool runs on its arguments."""
    picked = []

    @tool
    def pick(colour: Literal["red", "green"], sure: bool) -> str:
        """Pick a colour.

        Args:
            colour: which.
            sure: whether.
        """
        picked.append((colour, sure))
        return "done"

    agent = Agent(
        "picker", model=local, tools=[pick], settings=ModelSettings(seed=3, temperature=1.0, max_output_tokens=1200)
    )
    result = await agent.generate("Pick one", tool_choice={"tool": "pick"})
    assert picked
    assert picked[0][0] in ("red", "green")
    assert isinstance(picked[0][1], bool)
    assert result.tool_calls[0].name == "pick"
    assert result.cost_usd == 0


async def test_a_prompt_longer_than_the_window(local):
    """A clear error, of the kind that every provider's has."""
    with pytest.raises(ContextLengthError, match="2048"):
        await ask(local, (Message.user("word " * 3000),))


async def test_an_answer_without_an_end(weights):
    """A model that rambles is stopped at half its window, and the reason says so."""
    small = LocalModel(weights, context_tokens=256, threads=1)
    chunks = await ask(small, seed=1)
    assert chunks[-1].reason == "length"
    assert [c.usage for c in chunks if isinstance(c, UsageChunk)][-1].output_tokens == 128
    small.unload()


async def test_another_users_request(local):
    """Without the key, which only this process knows, the server answers nobody."""
    await local.load()
    answer = await _http.request("POST", f"{local._server.url}/v1/chat/completions", body=b"{}")
    assert answer.status == 401
    assert local._server.url.startswith("http://127.0.0.1:")
    stranger = LocalModel(local.path, context_tokens=2048, threads=1)
    stranger._server, stranger._inner = local._server, local._client(_llama.Server(None, local._server.url, "guessed"))
    with pytest.raises(AuthenticationError):
        await ask(stranger)


def test_the_key_is_in_no_list_of_processes(local):
    """Other users can read a process's arguments and not its pipes: the key went through a pipe."""
    asyncio.run(local.load())
    with open(f"/proc/{local._server.pid}/cmdline", "rb") as file:
        assert local._server.key.encode() not in file.read()
    with open(f"/proc/{local._server.pid}/environ", "rb") as file:
        assert local._server.key.encode() not in file.read()


async def test_a_proxy_in_the_environment(local, monkeypatch):
    """The server of this process is reached directly, whatever proxy there is for others."""
    for variable in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(variable, "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    await _http.close()
    assert (await ask(local, max_output_tokens=3))[-1].reason == "length"


async def test_a_server_that_crashed(local):
    """An answer in the making is told as cut; the next request starts the server anew."""
    request = ModelRequest(messages=HELLO, settings=ModelSettings(seed=1))
    with pytest.raises(ModelConnectionError):
        async for chunk in local.stream(request):
            if isinstance(chunk, TextChunk):
                os.kill(local._server.pid, signal.SIGKILL)
    while local._server.alive:
        await asyncio.sleep(0.01)
    assert (await ask(local, max_output_tokens=3))[-1].reason == "length"


async def test_the_loop_goes_on_while_a_model_loads(weights):
    """Loading happens aside: other tasks run meanwhile."""
    own = LocalModel(weights, context_tokens=512, threads=1)
    loading = asyncio.ensure_future(own.load())
    turns = 0
    while not loading.done():
        await asyncio.sleep(0.001)
        turns += 1
    await loading
    assert turns > 3
    own.unload()


async def test_giving_up_while_a_model_loads(weights):
    """A cancelled load ends at once; the model can be used afterwards."""
    own = LocalModel(weights, context_tokens=640, threads=1)
    loading = asyncio.ensure_future(own.load())
    await asyncio.sleep(0)
    loading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await loading
    assert (await ask(own, max_output_tokens=3))[-1].reason == "length"
    own.unload()


def test_it_says_nothing_and_ends_with_its_process(weights):
    """A program that uses a local model prints what it prints itself, and leaves no process behind."""
    program = f"""
import asyncio
from lumosai.messages import Message
from lumosai.models import LocalModel
from lumosai.models.base import ModelRequest
from lumosai.records import ModelSettings
local = LocalModel({str(weights)!r}, threads=1)
async def main():
    request = ModelRequest(messages=(Message.user("Hi"),), settings=ModelSettings(max_output_tokens=5))
    print([type(c).__name__ async for c in local.stream(request)][-1], local._server.pid)
asyncio.run(main())
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=150, check=True)
    said, pid = done.stdout.split()
    assert (said, done.stderr) == ("Finished", "")
    assert gone(int(pid))


def test_a_killed_program_leaves_no_server(weights):
    """Even `kill -9` of the program ends its server."""
    program = f"""
import asyncio, time
from lumosai.models import LocalModel
local = LocalModel({str(weights)!r}, threads=1)
asyncio.run(local.load())
print(local._server.pid, flush=True)
time.sleep(60)
"""
    running = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    with running:
        pid = int(running.stdout.readline())
        os.kill(pid, 0)
        running.kill()
    assert gone(pid)


def gone(pid):
    """Whether a process ends within some seconds."""
    for _ in range(500):
        with contextlib.suppress(FileNotFoundError), open(f"/proc/{pid}/stat") as file:
            if file.read().rsplit(") ", 1)[1][0] != "Z":
                threading.Event().wait(0.02)
                continue
        return True
    return False


def test_ctrl_c_at_a_terminal(local):
    """It reaches the whole group of processes; whether the model ends is the program's decision."""
    asyncio.run(local.load())
    os.kill(local._server.pid, signal.SIGINT)
    assert asyncio.run(ask(local, max_output_tokens=3))[-1].reason == "length"


async def test_a_truncated_file(weights, tmp_path):
    """It is refused before anything is started, and the message names it."""
    cut = tmp_path / "cut.gguf"
    cut.write_bytes(weights.read_bytes()[:-1000])
    with pytest.raises(WeightsError, match=r"cut\.gguf.*truncated"):
        await ask(LocalModel(cut))


async def test_an_architecture_the_runtime_does_not_know(tmp_path):
    """What the runtime says of it is told."""
    strange = tiny_model(tmp_path / "strange.gguf", architecture="lxama")
    with pytest.raises(WeightsError, match=r"strange\.gguf.*lxama"):
        await ask(LocalModel(strange))


async def test_a_path_that_is_not_there(tmp_path):
    """The message names it."""
    with pytest.raises(WeightsError, match=r"nowhere\.gguf"):
        await ask(LocalModel(tmp_path / "nowhere.gguf"))


async def test_weights_that_fail_in_a_run(tmp_path):
    """The run's error is the weights'; it is not tried again and again."""
    with pytest.raises(WeightsError, match=r"nowhere\.gguf"):
        await Agent("a", model=LocalModel(tmp_path / "nowhere.gguf")).generate("Hi")


async def test_without_the_runtime(weights, monkeypatch):
    """The message holds the command that installs it."""
    import importlib.util

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"pip install 'lumosai\[local\]'"):
        await ask(LocalModel(weights, context_tokens=333))


@pytest.mark.parametrize("name", ["qwen9", "llama", "smolm2-135m"])
def test_a_name_that_nobody_knows(name):
    """Told where the model is made, with the names there are."""
    with pytest.raises(UnknownModelError, match=r"qwen2\.5-coder-0\.5b"):
        LocalModel(name)


@pytest.mark.parametrize("wrong", [{"threads": 0}, {"context_tokens": -1}, {"parallel": True}, {"threads": 1.5}])
def test_a_setting_that_cannot_be(weights, wrong):
    """Told where the model is made, with the setting and its value."""
    with pytest.raises(ConfigurationError, match=rf"{next(iter(wrong))}={next(iter(wrong.values()))!r}"):
        LocalModel(weights, **wrong)


def test_names_of_the_registry(weights):
    """ "local" is the default weights, "local:name" others, "local:path" a file."""
    assert model("local").name == "qwen2.5-coder-0.5b"
    assert model("local:smollm2-135m").name == "smollm2-135m"
    assert model(f"local:{weights}").path == weights


def test_making_one_costs_nothing(weights):
    """Neither the runtime nor the HTTP client is loaded by it."""
    program = f"""
import sys
from lumosai.models.local import LocalModel
LocalModel({str(weights)!r}); LocalModel()
print(sorted({{"xllamacpp", "aiohttp", "pydantic"}} & sys.modules.keys()))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_finished_is_the_last_chunk(local):
    """The contract of a model: one end, and at the end."""
    chunks = asyncio.run(ask(local, max_output_tokens=4))
    assert [isinstance(c, Finished) for c in chunks].index(True) == len(chunks) - 1
