"""The model "auto": whatever can be had, looked for at the first use, and said."""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Iterator

import pytest

from lumosai.messages import Message
from lumosai.models import Model, ModelRequest, OpenAIChatModel, auto, model
from lumosai.models.auto import AutoModel
from lumosai.models.base import TextChunk
from lumosai.models.probe import PROBE_S, first_model, resolve
from lumosai.models.providers import PROVIDERS
from tests.raw_server import Connection, RawServer
from tests.servers import Reply, serve_in_thread

LOCAL = {"ollama": "OLLAMA_BASE_URL", "lmstudio": "LMSTUDIO_BASE_URL", "vllm": "VLLM_BASE_URL"}


@pytest.fixture(autouse=True)
def no_servers(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Whatever servers run on this machine are not seen: their variables point at a port that nobody else may take."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        for provider in PROVIDERS.values():
            for variable in provider.base_url_variables if provider.local else ():
                monkeypatch.setenv(variable, f"http://127.0.0.1:{unused.getsockname()[1]}")
        yield


def test_keys_go_by_the_order_of_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenAI, Anthropic, DeepSeek, Zhipu, Qwen, Gemini, Together, then the others: the first whose key is set."""
    order = ["openai", "anthropic", "deepseek", "zhipu", "qwen", "gemini", "together", "moonshot", "mistral"]
    order += ["groq", "xai", "openrouter", "cohere", "snowflake"]
    assert [p.name for p in PROVIDERS.values() if p.default and p.auto] == order
    for name in reversed(order):
        provider = PROVIDERS[name]
        monkeypatch.setenv(provider.keys[-1], "sk-x")
        assert resolve() == (f"{name}:{provider.default}", f"{provider.keys[-1]} is set")


def test_an_empty_key_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable that is set to nothing does not count."""
    monkeypatch.setenv("OPENAI_API_KEY", " ")
    assert resolve()[0] == "local"


@pytest.mark.parametrize("provider", list(LOCAL))
def test_a_server_on_this_machine(monkeypatch: pytest.MonkeyPatch, provider: str) -> None:
    """One that answers and has a model is taken, with the first model that can chat."""
    with serve_in_thread(models=["nomic-embed-text", "llama3.2:1b", "other"]) as server:
        monkeypatch.setenv(LOCAL[provider], server.base_url)
        name, reason = resolve()
        assert name == f"{provider}:llama3.2:1b"
        assert server.base_url in reason


def test_an_address_without_its_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """`OLLAMA_BASE_URL` may name the server alone, as it did in the Rust version."""
    with serve_in_thread() as server:
        monkeypatch.setenv("OLLAMA_BASE_URL", server.base_url.removesuffix("/v1"))
        assert resolve()[0] == "ollama:test-model"


def test_a_server_without_a_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """It cannot answer, so it is passed by."""
    with serve_in_thread(models=["nomic-embed-text"]) as server:
        monkeypatch.setenv("OLLAMA_BASE_URL", server.base_url)
        assert resolve()[0] == "local"


def test_nothing_is_there() -> None:
    """Then the local model, and the reason says all that was looked for."""
    name, reason = resolve()
    assert name == "local"
    for word in ("OPENAI_API_KEY", "TOGETHER_API_KEY", "ollama", "lmstudio", "vllm"):
        assert word in reason


async def test_a_server_that_says_nothing() -> None:
    """A port that accepts and stays silent holds nobody up for long."""
    import asyncio

    async def handler(connection: Connection) -> None:
        await connection.until_gone()

    async with RawServer(handler) as server:
        began = time.monotonic()
        assert await asyncio.to_thread(first_model, server.url) is None
        assert time.monotonic() - began < PROBE_S + 20


@pytest.mark.parametrize(
    "answer",
    [
        b"<html></html>",
        b"[]",
        b"{}",
        b'{"data": "x"}',
        b'{"data": [{"id": ""}]}',
        b'{"data": [{"name": "x"}]}',
        b"\xff",
    ],
)
async def test_another_kind_of_server(answer: bytes) -> None:
    """A web server that happens to listen there is not taken for one with models."""
    import asyncio

    async def handler(connection: Connection) -> None:
        await connection.request()
        await connection.answer(answer)

    async with RawServer(handler) as server:
        assert await asyncio.to_thread(first_model, server.url) is None


@pytest.mark.parametrize("url", ["", "localhost", "ftp://127.0.0.1", "http://", "http://127.0.0.1:99999999"])
def test_an_address_that_is_none(url: str) -> None:
    """A broken variable is as good as no server."""
    assert first_model(url) is None


async def test_it_is_looked_for_at_the_first_use(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Making it asks nobody; the first use does, once, and the log says which and why."""
    asked: list[int] = []
    real = auto.resolve
    monkeypatch.setattr(auto, "resolve", lambda: asked.append(1) or real())
    found = model("auto", timeout_s=5)
    assert isinstance(found, AutoModel) and "not looked for yet" in repr(found) and asked == []
    with serve_in_thread([Reply("hello")]) as server:
        monkeypatch.setenv("OPENAI_API_KEY", "sk-x")
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        with caplog.at_level(logging.INFO, logger="lumosai.models"):
            request = ModelRequest(messages=(Message.user("go"),))
            chunks = [c async for c in found.stream(request)]
            [c async for c in found.stream(request)]
        assert "".join(c.delta for c in chunks if isinstance(c, TextChunk)) == "hello"
        assert found.endpoint == server.base_url
    assert asked == [1]
    assert [r.getMessage() for r in caplog.records] == ["model auto is openai:gpt-5-mini: OPENAI_API_KEY is set"]
    assert found.reason == "OPENAI_API_KEY is set"
    assert isinstance(found, Model) and isinstance(found.inner, OpenAIChatModel)
    assert (found.provider, found.name, found.price, found.profile.json_schema) == ("openai", "gpt-5-mini", None, True)
    assert "gpt-5-mini" in repr(found)
