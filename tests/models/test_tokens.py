"""Counting tokens: how near the estimate is, what reports make of it, and that nothing is fetched for it."""

from __future__ import annotations

import socket
import time

import pytest

from lumosai import FilePart, ImagePart, Message, ToolCallPart, ToolResultPart
from lumosai.models import _tiktoken
from lumosai.models.tokens import Counter, MemoryRates, Rate, count
from lumosai.records import ToolDefinition

# What o200k_base makes of these, counted once.
KNOWN = {
    "The quick brown fox jumps over the lazy dog, and then it goes home to have a good long rest.": 22,
    "我想订一张下周五从上海到北京的火车票，最好是上午出发，靠窗的座位。": 29,
    "What is the weather in Basel tomorrow? Please answer with the temperature and the wind.": 17,
}


@pytest.mark.parametrize("text", KNOWN)
def test_an_estimate_is_near(text: str) -> None:
    """Within a third for short texts of either language, the frame of a message included."""
    found = count([Message.user(text)], model="deepseek:deepseek-chat")
    assert found.how == "estimate"
    assert found.off is None
    assert found.tokens == pytest.approx(KNOWN[text] + 4, rel=0.33)


def test_everything_in_a_prompt_counts() -> None:
    """Calls, results, media and tools; a lone surrogate is no stumbling block."""
    tool = ToolDefinition("look", "Look at it.", {"type": "object", "properties": {"a": {"type": "string"}}})
    parts = [
        Message("assistant", (ToolCallPart("1", "look", {"a": "x" * 400}),)),
        Message("assistant", (ToolCallPart("1", "look", None, raw='{"a": ' + "x" * 400),)),
        Message.tool(ToolResultPart("1", "look", "y" * 400)),
        Message.user(ImagePart(data=b"x")),
        Message.user(FilePart(data=b"x" * 4_000)),
    ]
    assert all(count([m]).tokens > 100 for m in parts)
    assert count([], [tool]).tokens > 20
    assert count([Message("user", ())]).tokens == 4
    assert count([Message.user("\ud800" * 10)]).tokens > 0


def test_reports_correct_the_count() -> None:
    """A model that takes half as much again is counted so after a few answers; how far off it was is told, and shrinks."""
    rates = MemoryRates()
    counter = Counter("acme", "m", "https://acme", rates)
    prompt = [Message.user("word " * 4_000)]
    size = counter.count(prompt).tokens
    for _ in range(12):
        counter.learn(size, int(size * 1.5))
    found = Counter("acme", "m", "https://acme", rates).count(prompt)
    assert found.how == "calibrated"
    assert found.tokens == pytest.approx(size * 1.5, rel=0.06)
    assert found.off == pytest.approx(0.06, abs=0.06)
    assert Counter("acme", "m", "https://other", rates).count(prompt).how == "estimate"


def test_a_short_prompt_says_little_of_a_long_one() -> None:
    """The frame that a provider puts around ten tokens does not treble what ten thousand are counted as; nonsense is bounded."""
    counter = Counter("acme", "m")
    for _ in range(20):
        counter.learn(10, 60)
    assert counter.scale < 1.3
    for _ in range(50):
        counter.learn(10_000, 10_000_000)
    assert counter.scale == 3.0
    counter.learn(0, 5)
    counter.learn(5, 0)
    assert Rate().ratio == 1.0


def test_nothing_is_fetched(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    """Without the encoding's file, or with a damaged one, OpenAI's models are estimated too; no socket is opened."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path))
    _tiktoken._encoding.cache_clear()
    assert count([Message.user("hello")], model="openai:gpt-4o").how == "estimate"
    (tmp_path / "fb374d419588a4632f3f557e76b4b70aebbca790").write_bytes(b"half a file")  # o200k_base's
    _tiktoken._encoding.cache_clear()
    assert count([Message.user("hello")], model="openai:gpt-4o").how == "estimate"
    assert (tmp_path / "fb374d419588a4632f3f557e76b4b70aebbca790").exists()
    _tiktoken._encoding.cache_clear()


def test_the_models_own_encoding_counts_where_it_is_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """For OpenAI's models, by whatever name; each message is encoded once."""
    tiktoken = pytest.importorskip("tiktoken")
    from tiktoken.registry import ENCODINGS

    letters = {bytes([b]): b for b in range(256)} | {b"hello": 256, b"he": 257, b"ll": 258, b"hell": 259}
    tiny = tiktoken.Encoding("o200k_base", pat_str=r"\w+|\s+", mergeable_ranks=letters, special_tokens={})
    monkeypatch.setitem(ENCODINGS, "o200k_base", tiny)
    _tiktoken._encoding.cache_clear()
    try:
        for name in ("openai:gpt-4o-mini", "openai-responses:gpt-5", "openrouter:openai/gpt-4o"):
            found = count([Message.user("hello <|endoftext|> 你")], model=name)
            assert found.how == "tiktoken"
            assert found.tokens > 4
        assert count([Message.user("hello")], model="openrouter:meta/llama").how == "estimate"
        assert count([Message.user("hello")], model="openai:nobody-knows").how == "estimate"
        counter = Counter("openai", "gpt-4o")
        message = Message.user("hello", id="m")
        one = counter.count([message]).tokens
        monkeypatch.setattr("lumosai.models.tokens._encoded", lambda *_: 1 / 0)
        assert counter.count([message]).tokens == one
        beside = Counter("openai", "gpt-4o", wait=False)
        for _ in range(500):
            if beside.how == "tiktoken":
                break
            time.sleep(0.01)
        assert beside.how == "tiktoken"
        counter.learn(one, one + 2)
        assert (counter.scale, counter.how) == (1.0, "tiktoken")
        assert counter.off > 0
    finally:
        _tiktoken._encoding.cache_clear()
