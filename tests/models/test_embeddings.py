"""Embedding models behind a server, and their names: what is sent, what comes back, and what each failure is called."""

from __future__ import annotations

import asyncio
import base64
import json
import math
import struct
from typing import Any

import google.genai
import openai
import pytest
from aiohttp import web
from google.genai import types as google_types
from hypothesis import given
from hypothesis import strategies as st

from lumosai.errors import (
    BadRequestError,
    ConfigurationError,
    ContextLengthError,
    InvalidInputError,
    MalformedAnswerError,
    MissingExtraError,
    MissingKeyError,
    ModelConnectionError,
    ModelError,
    RateLimitError,
    ServerError,
    UnknownModelError,
)
from lumosai.models import EmbeddingModel, GeminiEmbeddingModel, LocalEmbeddingModel, OpenAIEmbeddingModel, embedder
from lumosai.models import embeddings as by_name
from lumosai.models._embedding_table import EMBEDDERS
from lumosai.models._embedding_texts import batches, checked
from lumosai.models.openai_embeddings import address
from tests.models.embedding_server import EmbeddingServer, raw, refuse, vector

BOTH = [OpenAIEmbeddingModel, GeminiEmbeddingModel]
TEXTS = ["first", "zweiter", "第三个"]


async def no_wait(_seconds: float) -> None:
    """A wait that is over."""


def made(kind: Any, server: EmbeddingServer, **options: Any) -> Any:
    """A model of that class at that server."""
    options = {"api_key": "sk-test", "sleep": no_wait, "dimensions": 8, **options}
    return kind(options.pop("name", "m"), base_url=server.base_url, **options)


def unit(numbers: list[float]) -> list[float]:
    length = math.hypot(*numbers)
    return [x / length for x in numbers]


@pytest.mark.parametrize("kind", BOTH)
async def test_one_vector_a_text_in_their_order(kind):
    """Whatever the protocol, vectors come in the order of the texts, and the tokens are counted."""
    async with EmbeddingServer() as server:
        model = made(kind, server)
        assert isinstance(model, EmbeddingModel)
        found = await model.embed(TEXTS)
    expected = [vector(t, 8) for t in TEXTS]
    assert found.vectors == (expected if kind is OpenAIEmbeddingModel else [unit(v) for v in expected])
    assert found.usage.input_tokens == found.usage.total_tokens > 0
    assert model.dimensions == 8


@pytest.mark.parametrize("kind", BOTH)
async def test_no_text_no_request(kind):
    """An empty list gives an empty list, and nobody is asked."""
    async with EmbeddingServer() as server:
        found = await made(kind, server).embed([])
        assert (found.vectors, found.usage.input_tokens, server.requests) == ([], 0, [])


@pytest.mark.parametrize("texts", [["good", ""], ["good", " \n\t\u3000"], ["good", None], ["good", 5], "a text"])
@pytest.mark.parametrize("kind", BOTH)
async def test_what_cannot_be_embedded_is_refused_before_a_request(kind, texts):
    """A blank text, what is no text, and one text in place of several are errors that say which and why."""
    async with EmbeddingServer() as server:
        with pytest.raises(InvalidInputError, match=r"texts\[1\]|sequence of texts"):
            await made(kind, server).embed(texts)
        assert server.requests == []


async def test_odd_characters_are_sent_as_what_they_can_be():
    """Half a surrogate pair becomes U+FFFD, NUL a blank."""
    async with EmbeddingServer() as server:
        await made(OpenAIEmbeddingModel, server).embed(["a\ud800b", "a\0b", "\ud83d\ude00"])
        assert server.requests[0]["input"] == ["a\ufffdb", "a b", "😀"]


async def test_batches_keep_to_what_the_provider_takes():
    """More texts than a request may hold are several requests, a few of them at once, and the order stays."""
    texts = [f"text {i}" for i in range(95)]
    async with EmbeddingServer(delay_s=0.02) as server:
        found = await made(OpenAIEmbeddingModel, server, provider="qwen").embed(texts)
        assert sorted(len(r["input"]) for r in server.requests) == [5, *[10] * 9]
        assert 1 < server.most_at_once <= 4
    assert found.vectors == [vector(t, 8) for t in texts]
    assert found.usage.input_tokens == sum(len(t) for t in texts)


async def test_gemini_takes_a_hundred_at_once():
    """So does our request."""
    async with EmbeddingServer() as server:
        await made(GeminiEmbeddingModel, server).embed(["x"] * 250)
        assert sorted(len(r["requests"]) for r in server.requests) == [50, 100, 100]


async def test_the_number_of_texts_in_a_request_can_be_set():
    """By `texts_per_request`."""
    async with EmbeddingServer() as server:
        await made(OpenAIEmbeddingModel, server, texts_per_request=2).embed(["a", "b", "c"])
        assert [len(r["input"]) for r in server.requests] == [2, 1]


async def test_a_request_is_also_cut_by_its_bytes():
    """A text has no more tokens than bytes, so a limit of tokens is kept; a text above it goes alone."""
    texts = ["界" * 90_000, "a" * 290_000, "b" * 9_000, "c" * 2_000]
    async with EmbeddingServer() as server:
        await made(OpenAIEmbeddingModel, server).embed(texts)
        assert sorted([len(t) for t in r["input"]] for r in server.requests) == [[2_000], [90_000], [290_000, 9_000]]


@given(st.lists(st.text(max_size=30)), st.integers(1, 5), st.integers(1, 60))
def test_batches_lose_nothing_and_keep_to_their_limits(texts, most, most_bytes):
    """Joined they are the texts; none is empty; only a lone text may have more bytes."""
    found = list(batches(texts, most=most, most_bytes=most_bytes))
    assert [t for _, group in found for t in group] == texts
    assert [start for start, _ in found] == [sum(len(g) for _, g in found[:i]) for i in range(len(found))]
    for _, group in found:
        assert 1 <= len(group) <= most
        assert len(group) == 1 or sum(len(t.encode()) for t in group) <= most_bytes


async def test_base64_is_asked_for_where_the_server_gives_it():
    """OpenAI's answers come as base64 with the very floats; others are not asked for it."""
    async with EmbeddingServer() as server:
        await made(OpenAIEmbeddingModel, server).embed(["a"])
        await made(OpenAIEmbeddingModel, server, provider="qwen").embed(["a"])
        assert [r.get("encoding_format") for r in server.requests] == ["base64", None]


async def test_a_server_that_refuses_base64_is_asked_without():
    """Nobody asked for it, so all batches go on without, and the next call too."""

    def no_base64(_server: EmbeddingServer, asked: dict[str, Any]) -> Any:
        return refuse(400, "unknown field encoding_format") if "encoding_format" in asked else None

    async with EmbeddingServer(no_base64, delay_s=0.01) as server:
        model = made(OpenAIEmbeddingModel, server, texts_per_request=1)
        found = await model.embed(["a", "b", "c", "d", "e"])
        assert found.vectors == [vector(t, 8) for t in "abcde"]
        before = len(server.requests)
        await model.embed(["f"])
        assert len(server.requests) == before + 1


async def test_dimensions_are_asked_for_by_the_servers_own_name():
    """`dimensions`, Mistral's `output_dimension`, Gemini's `outputDimensionality`; nothing where nobody asks."""
    async with EmbeddingServer() as server:
        await made(OpenAIEmbeddingModel, server, dimensions=5).embed(["a"])
        await made(OpenAIEmbeddingModel, server, dimensions=6, provider="mistral").embed(["a"])
        await made(GeminiEmbeddingModel, server, dimensions=7).embed(["a"])
        await made(OpenAIEmbeddingModel, server, dimensions=None).embed(["a"])
        assert server.requests[0]["dimensions"] == 5
        assert server.requests[1]["output_dimension"] == 6
        assert "dimensions" not in server.requests[1]
        assert server.requests[2]["requests"][0]["outputDimensionality"] == 7
        assert "dimensions" not in server.requests[3]


async def test_dimensions_that_nobody_knows_are_known_after_the_first_answer():
    """0 before; then each vector must have as many."""
    sizes = iter([4, 5])

    def another(server: EmbeddingServer, _asked: dict[str, Any]) -> None:
        server.dimensions = next(sizes)

    async with EmbeddingServer(another) as server:
        model = made(OpenAIEmbeddingModel, server, dimensions=None, name="house-model")
        assert model.dimensions == 0
        await model.embed(["a"])
        assert model.dimensions == 4
        with pytest.raises(MalformedAnswerError, match="5 numbers, not 4"):
            await model.embed(["a"])


async def test_gemini_is_told_the_task_and_its_vectors_have_the_length_1():
    """Queries and passages have task types of their own; a cut vector is brought back to length 1."""
    async with EmbeddingServer(dimensions=16) as server:
        model = made(GeminiEmbeddingModel, server, name="gemini-embedding-001", dimensions=8)
        found = await model.embed(["a"], "query")
        await model.embed(["a"])
        first, second = (r["requests"][0] for r in server.requests)
    assert server.paths[0] == "/v1/models/gemini-embedding-001:batchEmbedContents"
    assert server.headers[0]["x-goog-api-key"] == "sk-test"
    assert first == {
        "model": "models/gemini-embedding-001",
        "taskType": "RETRIEVAL_QUERY",
        "outputDimensionality": 8,
        "content": {"parts": [{"text": "a"}]},
    }
    assert second["taskType"] == "RETRIEVAL_DOCUMENT"
    assert math.hypot(*found.vectors[0]) == pytest.approx(1)


async def test_the_second_gemini_model_is_told_the_task_in_words():
    """It takes no `taskType`; its prefixes stand before the text."""
    async with EmbeddingServer() as server:
        model = made(GeminiEmbeddingModel, server, name="gemini-embedding-2")
        await model.embed(["a"], "query")
        await model.embed(["a"])
        sent = [r["requests"][0] for r in server.requests]
    assert ["taskType" in s for s in sent] == [False, False]
    texts = [s["content"]["parts"][0]["text"] for s in sent]
    assert texts == ["task: search result | query: a", "title: none | text: a"]


@pytest.mark.parametrize(
    ("name", "query", "passage"),
    [
        ("nomic-embed-text:v1.5", "search_query: a", "search_document: a"),
        ("intfloat/multilingual-e5-large-instruct", "query: a", "passage: a"),
        ("bge-large-zh-v1.5", "为这个句子生成表示以用于检索相关文章：a", "a"),
        ("text-embedding-3-small", "a", "a"),
        ("bge-m3", "a", "a"),
    ],
)
async def test_models_get_the_prefixes_that_they_were_trained_with(name, query, passage):
    """By their names; `prefixes=` says otherwise."""
    async with EmbeddingServer() as server:
        for kind in ("query", "passage"):
            await made(OpenAIEmbeddingModel, server, name=name, provider="ollama").embed(["a"], kind)
        await made(OpenAIEmbeddingModel, server, name=name, prefixes=("Q: ", "")).embed(["a"], "query")
        assert [r["input"] for r in server.requests] == [[query], [passage], ["Q: a"]]


async def test_a_server_is_told_what_texts_are_for_where_it_has_a_field_for_that():
    """Cohere's, or one that is named; one that refuses it is asked without."""

    def strict(_server: EmbeddingServer, asked: dict[str, Any]) -> Any:
        return refuse(422, "input_type: extra fields not permitted") if "input_type" in asked else None

    async with EmbeddingServer() as server:
        model = made(OpenAIEmbeddingModel, server, provider="cohere")
        await model.embed(["a"], "query")
        await model.embed(["a"])
        named = made(OpenAIEmbeddingModel, server, kind_field=("task", "retrieval.query", "retrieval.passage"))
        await named.embed(["a"], "query")
        assert [r.get("input_type") for r in server.requests] == ["search_query", "search_document", None]
        assert server.requests[2]["task"] == "retrieval.query"
    async with EmbeddingServer(strict) as server:
        model = made(OpenAIEmbeddingModel, server, provider="cohere")
        for _ in range(2):
            await model.embed(["a"])
        assert ["input_type" in r for r in server.requests] == [True, False, False]


async def test_extra_fields_and_headers_are_sent():
    """What only one server has goes along as it is."""
    async with EmbeddingServer() as server:
        extra = {"input_type": "passage", "truncate": "END"}
        await made(OpenAIEmbeddingModel, server, extra=extra, headers={"X-Team": "one"}).embed(["a"])
        assert {k: server.requests[0][k] for k in extra} == extra
        assert server.headers[0]["x-team"] == "one"
        assert server.headers[0]["authorization"] == "Bearer sk-test"


@pytest.mark.parametrize(
    ("base", "whole"),
    [
        ("http://h/v1", "http://h/v1/embeddings"),
        ("http://h/v1/", "http://h/v1/embeddings"),
        ("http://h/v1/embeddings", "http://h/v1/embeddings"),
        ("http://h/x?api-version=1", "http://h/x/embeddings?api-version=1"),
    ],
)
def test_where_embeddings_are_asked_for(base, whole):
    """Under the base URL, its query kept."""
    assert address(base) == whole


def item(index: int | None = None, embedding: Any = (1.0, 2.0)) -> dict[str, Any]:
    found = {"embedding": list(embedding) if isinstance(embedding, tuple) else embedding}
    return found if index is None else {**found, "index": index}


NAN = base64.b64encode(struct.pack("<2f", 1.0, math.nan)).decode()
UNUSABLE = {
    "too few": ([item(0)], "1 vectors for 2 texts"),
    "too many": ([item(0), item(1), item(2)], "the index 2"),
    "too many without index": ([item(), item(), item()], "3 vectors for 2 texts"),
    "an index twice": ([item(1), item(1)], "the index 1"),
    "an index below 0": ([item(0), item(-1)], "the index -1"),
    "one without index": ([item(1), item()], "the index None"),
    "of two lengths": ([item(0), item(1, (1.0,))], "1 numbers, not 2"),
    "empty": ([item(0, ()), item(1, ())], "0 numbers, not 2"),
    "NaN in base64": ([item(0, NAN), item(1)], "not finite"),
    "no base64": ([item(0, "%%%"), item(1)], "no usable embeddings"),
    "half a float": ([item(0, "AAAA"), item(1)], "no usable embeddings"),
    "null in it": ([item(0, (1.0, None)), item(1)], "no usable embeddings"),
    "text in it": ([item(0, (1.0, "2")), item(1)], "no usable embeddings"),
    "beyond a float": ([item(0, (1.0, 1e308)), item(1, (1e308, 1e308))], "not finite"),
}


@pytest.mark.parametrize(("data", "why"), UNUSABLE.values(), ids=UNUSABLE)
async def test_an_answer_that_is_not_one_usable_vector_a_text_is_an_error(data, why):
    """With the reason, and with no vector given away."""
    async with EmbeddingServer(lambda *_: web.json_response({"data": data})) as server:
        with pytest.raises(MalformedAnswerError, match=why):
            await made(OpenAIEmbeddingModel, server, dimensions=2).embed(["a", "b"])
        assert len(server.requests) == 1


@pytest.mark.parametrize("kind", BOTH)
@pytest.mark.parametrize(
    "body",
    [
        "",
        "[]",
        "null",
        "{",
        '{"data": null}',
        '{"data": [{"embedding": [NaN, 1]}]}',
        "<html>x</html>",
        '{"error": "no"}',
        '{"embeddings": [{"values": [1e999, 1]}]}',
        '{"embeddings": []}',
        '{"embeddings": [{}]}',
        '"\\ud800"',
        "\udcff",
    ],
)
async def test_what_is_no_answer_is_malformed(kind, body):
    """Whatever comes in place of the wire format."""
    answer = web.Response(body=body.encode(errors="surrogateescape"), content_type="application/json")
    async with EmbeddingServer(lambda *_: answer) as server:
        with pytest.raises(MalformedAnswerError):
            await made(kind, server, dimensions=2).embed(["a"])


async def test_vectors_go_by_the_index_that_each_names():
    """A server may answer in any order; one that writes 0 everywhere, or no index, is read as it stands."""
    shuffled = [item(2, (2.0,)), item(0, (0.0,)), item(1, (1.0,))]
    zeros = [item(0, (0.0,)), item(0, (1.0,)), item(0, (2.0,))]
    bare = [item(None, (0.0,)), item(None, (1.0,)), item(None, (2.0,))]
    answers = iter([shuffled, zeros, bare])
    async with EmbeddingServer(lambda *_: web.json_response({"data": next(answers)})) as server:
        model = made(OpenAIEmbeddingModel, server, dimensions=1)
        for _ in range(3):
            assert (await model.embed(["a", "b", "c"])).vectors == [[0.0], [1.0], [2.0]]


async def test_a_passing_failure_is_asked_again_batch_by_batch():
    """Only the batch that failed; the others are not asked for twice."""
    failing = {"c": 2}

    def sometimes(_server: EmbeddingServer, asked: dict[str, Any]) -> Any:
        text = asked["input"][0]
        if failing.get(text):
            failing[text] -= 1
            return refuse(503, "busy")
        return None

    async with EmbeddingServer(sometimes) as server:
        found = await made(OpenAIEmbeddingModel, server, texts_per_request=1).embed(["a", "b", "c", "d"])
        assert found.vectors == [vector(t, 8) for t in "abcd"]
        assert sorted(r["input"][0] for r in server.requests) == ["a", "b", "c", "c", "c", "d"]


async def test_the_wait_that_the_server_names_is_kept():
    """`Retry-After`, up to a minute; beyond it the error is passed on at once."""
    waits: list[float] = []

    async def note(seconds: float) -> None:
        waits.append(seconds)

    answers = iter(
        [refuse(429, "slow down", **{"Retry-After": "7"}), None, refuse(429, "no", **{"Retry-After": "700"})]
    )
    async with EmbeddingServer(lambda *_: next(answers)) as server:
        model = made(OpenAIEmbeddingModel, server, sleep=note)
        await model.embed(["a"])
        with pytest.raises(RateLimitError):
            await model.embed(["a"])
    assert waits == [7.0]


async def test_a_batch_that_fails_for_good_fails_the_call_and_is_named():
    """No vectors of the others are given away as if they were all, nothing is left running, and a note says which."""

    def not_d(_server: EmbeddingServer, asked: dict[str, Any]) -> Any:
        return refuse(400, "d is refused") if "d" in asked["input"] else None

    async with EmbeddingServer(not_d, delay_s=0.01) as server:
        before = asyncio.all_tasks()
        with pytest.raises(BadRequestError, match="d is refused") as caught:
            await made(OpenAIEmbeddingModel, server, texts_per_request=2).embed([*"abcdefghijklmnopqrstuv"])
        assert caught.value.__notes__ == ["asked for vectors of texts 2 to 3 of 22"]
        assert asyncio.all_tasks() <= {*before, *(t for t in asyncio.all_tasks() if "aiohttp" in repr(t))}
        assert len(server.requests) < 11


async def test_a_server_that_stays_down_is_given_up():
    """After three requests, with its own error; a server that is not there likewise."""
    async with EmbeddingServer(lambda *_: refuse(500, "down")) as server:
        with pytest.raises(ServerError, match="down"):
            await made(OpenAIEmbeddingModel, server).embed(["a"])
        assert len(server.requests) == 3
        gone = server
    with pytest.raises(ModelConnectionError):
        await made(OpenAIEmbeddingModel, gone, attempts=1).embed(["a"])


async def test_a_text_that_is_too_long_is_the_servers_to_refuse():
    """It is never cut in silence: the error says so, and which texts it was among."""
    words = "This model's maximum context length is 8192 tokens, however you requested 90000 tokens"
    async with EmbeddingServer(lambda *_: refuse(400, words)) as server:
        with pytest.raises(ContextLengthError) as caught:
            await made(OpenAIEmbeddingModel, server).embed(["x" * 400_000])
        assert "texts 0 to 0 of 1" in caught.value.__notes__[0]
        assert len(server.requests[0]["input"][0]) == 400_000


async def test_a_cancelled_call_ends_its_requests():
    """No task goes on."""
    async with EmbeddingServer(delay_s=30) as server:
        task = asyncio.create_task(made(OpenAIEmbeddingModel, server, texts_per_request=1).embed(["a", "b", "c"]))
        while len(server.requests) < 3:
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_a_large_answer_does_not_stop_the_event_loop():
    """It is read in a thread: a clock on the loop goes on ticking."""
    async with EmbeddingServer(dimensions=3072) as server:
        model = made(OpenAIEmbeddingModel, server, dimensions=3072)
        data = json.dumps(server.openai({"input": ["x"] * 600, "model": "m", "encoding_format": "base64"}))
        server._script = lambda *_: raw(data)
        ticks, longest = 0, 0.0

        async def clock() -> None:
            nonlocal ticks, longest
            loop = asyncio.get_running_loop()
            while True:
                before = loop.time()
                await asyncio.sleep(0.001)
                longest = max(longest, loop.time() - before)
                ticks += 1

        ticking = asyncio.create_task(clock())
        found = await model.embed(["x"] * 600)
        ticking.cancel()
    assert len(found.vectors) == 600
    assert ticks > 3


async def test_a_missing_key_is_told_before_a_request(monkeypatch):
    """At the provider's own address."""
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    with pytest.raises(MissingKeyError):
        await embedder("openai:text-embedding-3-small").embed(["a"])


async def test_the_key_is_in_no_error():
    """Not even where the server says it."""
    async with EmbeddingServer(lambda *_: refuse(401, "Incorrect API key provided: sk-very-secret-key.")) as server:
        with pytest.raises(ModelError) as caught:
            await made(OpenAIEmbeddingModel, server, api_key="sk-very-secret-key").embed(["a"])
    assert "sk-very-secret-key" not in str(caught.value)


@pytest.mark.parametrize("options", [{"dimensions": 0}, {"texts_per_request": 0}, {"attempts": 0}])
def test_numbers_below_one_are_refused(options):
    """At once, by name."""
    with pytest.raises(ConfigurationError, match=next(iter(options))):
        OpenAIEmbeddingModel("m", **options)


# The providers' own clients, on the same bytes.


@pytest.mark.parametrize("base64_", [True, False])
async def test_the_openai_client_reads_the_same(base64_):
    """The same request gives the client and the model the same vectors and tokens, float by float."""

    def plain(server: EmbeddingServer, asked: dict[str, Any]) -> Any:
        shown = asked if base64_ else {k: v for k, v in asked.items() if k != "encoding_format"}
        return web.json_response(server.openai(shown))

    async with EmbeddingServer(plain) as server:
        ours = await made(OpenAIEmbeddingModel, server, name="text-embedding-3-small").embed(TEXTS)
        async with openai.AsyncOpenAI(base_url=server.base_url, api_key="sk-test", max_retries=0) as client:
            theirs = await client.embeddings.create(input=TEXTS, model="text-embedding-3-small", dimensions=8)
        assert server.requests[0] == server.requests[1]
    assert ours.vectors == [e.embedding for e in theirs.data]
    assert ours.usage.input_tokens == theirs.usage.prompt_tokens


@pytest.mark.filterwarnings("ignore:Inheritance class:DeprecationWarning")  # of the client's own making
async def test_the_google_client_reads_the_same():
    """The same request but for what the client leaves to the server; the same vectors where they are normalised."""

    def normalised(server: EmbeddingServer, asked: dict[str, Any]) -> Any:
        answer = server.gemini(asked)
        for embedding in answer["embeddings"]:
            embedding["values"] = unit(embedding["values"])
        return web.json_response(answer)

    async with EmbeddingServer(normalised) as server:
        root = server.base_url.removesuffix("/v1")
        options = google_types.HttpOptions(base_url=root, api_version="v1")
        client = google.genai.Client(api_key="sk-test", http_options=options)
        config = google_types.EmbedContentConfig(task_type="RETRIEVAL_QUERY", output_dimensionality=8)
        theirs = await client.aio.models.embed_content(model="gemini-embedding-001", contents=TEXTS, config=config)
        await client.aio.aclose()
        client.close()
        ours = await made(GeminiEmbeddingModel, server, name="gemini-embedding-001").embed(TEXTS, "query")
        assert server.paths[0] == server.paths[1]
        for request in server.requests[0]["requests"]:
            request["content"].pop("role", None)
        assert server.requests[0] == server.requests[1]
    assert ours.vectors == [e.values for e in theirs.embeddings]


# Names.


@pytest.mark.parametrize(
    ("name", "kind", "provider", "model", "dimensions"),
    [
        ("openai:text-embedding-3-small", OpenAIEmbeddingModel, "openai", "text-embedding-3-small", 1536),
        ("openai/text-embedding-3-large", OpenAIEmbeddingModel, "openai", "text-embedding-3-large", 3072),
        ("text-embedding-3-large", OpenAIEmbeddingModel, "openai", "text-embedding-3-large", 3072),
        ("text-embedding-v4", OpenAIEmbeddingModel, "qwen", "text-embedding-v4", 1024),
        ("embedding-3", OpenAIEmbeddingModel, "zhipu", "embedding-3", 2048),
        ("cohere:embed-v4.0", OpenAIEmbeddingModel, "cohere", "embed-v4.0", 1536),
        ("mistral-embed", OpenAIEmbeddingModel, "mistral", "mistral-embed", 1024),
        ("gemini:gemini-embedding-001", GeminiEmbeddingModel, "gemini", "gemini-embedding-001", 3072),
        ("gemini-embedding-2", GeminiEmbeddingModel, "gemini", "gemini-embedding-2", 3072),
        ("ollama:nomic-embed-text:v1.5", OpenAIEmbeddingModel, "ollama", "nomic-embed-text:v1.5", 0),
        ("together:BAAI/bge-m3", OpenAIEmbeddingModel, "together", "BAAI/bge-m3", 0),
        ("local", LocalEmbeddingModel, "local", "multilingual-e5-small", 384),
        ("LOCAL:multilingual-e5-small", LocalEmbeddingModel, "local", "multilingual-e5-small", 384),
    ],
)
def test_a_name_is_its_model(name, kind, provider, model, dimensions):
    """`embedder` finds the class, the provider and the dimensions."""
    found: Any = embedder(name)
    assert (type(found), found.provider, found.name, found.dimensions) == (kind, provider, model, dimensions)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("", "cannot be"),
        (None, "cannot be"),
        ("openai:", "names no model"),
        ("opnai:text-embedding-3-small", "openai:text-embedding-3-small"),
        ("anthropic:claude", "no provider of embedding models is called 'anthropic'"),
        ("text-embeding-3-small", "text-embedding-3-small"),
        ("local:bge", "there is 'local:multilingual-e5-small'"),
    ],
)
def test_a_name_that_nobody_knows(name, why):
    """The error says what there is and what looks like it."""
    with pytest.raises(UnknownModelError, match=why):
        embedder(name)


def test_an_option_that_the_model_does_not_take():
    """Is told by the model's name."""
    with pytest.raises(ConfigurationError, match="takes no such option"):
        embedder("local", dimensions=5)


def test_auto_is_the_model_on_this_machine_else_a_provider_with_a_key(monkeypatch):
    """Nothing leaves the machine while a model is on it."""
    variables = [
        v
        for p in ("OPENAI", "GEMINI", "DASHSCOPE", "QWEN", "ZHIPU", "ZHIPUAI", "MISTRAL", "COHERE", "CO")
        for v in [f"{p}_API_KEY"]
    ]
    for variable in [*variables, "GOOGLE_API_KEY"]:
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(by_name.importlib.util, "find_spec", lambda _name: object())
    assert by_name.resolve_auto()[0] == "local"
    monkeypatch.setattr(by_name.importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(MissingExtraError, match=r"pip install 'lumosai\[embeddings\]'"):
        embedder("auto")
    monkeypatch.setenv("MISTRAL_API_KEY", "k")
    assert by_name.resolve_auto() == ("mistral:mistral-embed", "the key of 'mistral' is set")
    assert embedder().name == "mistral-embed"


def test_another_distribution_brings_its_own(monkeypatch):
    """By an entry point; one that cannot be loaded is an error that names it."""

    class Point:
        group, value = by_name.GROUP, "acme:Acme"

        def __init__(self, name: str, found: Any) -> None:
            self.name, self.found = name, found

        def load(self) -> Any:
            if self.found is None:
                raise ImportError("no acme")
            return self.found

    points = [Point("acme", LocalEmbeddingModel), Point("broken", None), Point("openai", None)]
    monkeypatch.setattr("importlib.metadata.entry_points", lambda group: points)
    assert by_name.names() == ["local", *EMBEDDERS, "acme", "broken"]
    assert embedder("acme:multilingual-e5-small").dimensions == 384
    with pytest.raises(ConfigurationError, match=r"'broken'.*no acme"):
        embedder("broken:x")


def test_checked_leaves_good_texts_alone():
    """The very strings."""
    assert checked(["a", "b"]) == ["a", "b"]
