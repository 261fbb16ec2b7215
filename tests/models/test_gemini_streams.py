"""Streams of Gemini: every kind of answer, at every cut, from a real server; and what of each goes back to the model."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lumosai import _http
from lumosai.agent.answer import Answer as Fold
from lumosai.messages import AudioPart, FilePart, ImagePart, Message, ProviderPart, ReasoningPart, TextPart
from lumosai.models import GeminiModel, ModelRequest
from lumosai.models._gemini_request import Encoder
from lumosai.models._gemini_stream import Reader
from lumosai.models.base import Chunk, Finished, PartChunk, ReasoningChunk, TextChunk, ToolCallChunk, UsageChunk
from lumosai.models.profiles import Profile
from tests.conftest import examples
from tests.models.gemini_server import GeminiServer, Turn
from tests.models.gemini_streams import GROUNDED, KINDS, SIG, USED, Kind, text
from tests.models.test_streams import cut, folded, recorded

ASK = ModelRequest(messages=(Message.user("go"),))
PLAIN = Profile()
WHOLE = ModelRequest(messages=ASK.messages, incremental=False)


async def serve(body: Sequence[bytes], request: ModelRequest = ASK, **turn: Any) -> list[Chunk]:
    async with GeminiServer([Turn(body=body, **turn)]) as server:
        model = GeminiModel("gemini-2.5-flash", base_url=server.base_url, api_key="k")
        return [chunk async for chunk in model.stream(request)]


def read(data: bytes, size: int = 0) -> list[Chunk]:
    """The chunks of a stream, decoded without a server."""
    decoder, reader = _http.Decoder(), Reader("gemini")
    chunks: list[Chunk] = []
    for start in range(0, len(data), size or len(data)):
        chunks += reader.feed(decoder.feed(data[start : start + (size or len(data))]))
    assert reader.whole
    return chunks + reader.answer.end()


def message_of(chunks: Sequence[Chunk]) -> Message:
    """The message that an agent makes of an answer."""
    fold = Fold({})
    for chunk in chunks:
        match chunk:
            case TextChunk():
                fold.open_text().pieces.append(chunk.delta)
            case ReasoningChunk():
                fold.reasoning(chunk)
            case ToolCallChunk():
                fold.call(chunk)
            case PartChunk():
                fold.whole(chunk.part)
            case Finished():
                fold.finished = chunk
            case _:
                pass
    return fold.message("gemini")


def sent_back(message: Message, profile: Profile = PLAIN) -> list[dict[str, Any]]:
    """The parts in which a message goes back."""
    body = json.loads(Encoder("gemini", profile).body(ModelRequest(messages=(Message.user("go"), message))))
    parts: list[dict[str, Any]] = body["contents"][1]["parts"]
    return parts


def expected_back(kind: Kind) -> list[dict[str, Any]]:
    """The parts that came, with neighbouring texts that say nothing but their words joined."""
    if kind.back is not None:
        return list(kind.back)
    came = [p for e in kind.wire for c in e.get("candidates", ())[:1] for p in c.get("content", {}).get("parts", ())]
    out: list[dict[str, Any]] = []
    for part in came:
        if part == {"text": ""}:
            continue
        joins = out and set(part) <= {"text", "thought"} and set(out[-1]) == set(part) and "text" in part
        if joins:
            out[-1] = {**out[-1], "text": out[-1]["text"] + part["text"]}
        else:
            out.append(part)
    return out or [{"text": ""}]


def result_of(chunks: Sequence[Chunk]) -> tuple[Any, ...]:
    text, reasoning, calls, finish, usage = folded(chunks)
    return text, reasoning, [(i, n, json.loads(a)) for i, n, a in calls], finish, usage


def wanted(kind: Kind) -> tuple[Any, ...]:
    return kind.text, kind.reasoning, list(kind.calls), kind.finish, kind.usage


@pytest.mark.parametrize("how", ["whole", "7", "1", "random-1", "random-2"])
@pytest.mark.parametrize("name", list(KINDS))
async def test_a_stream_from_a_server(name: str, how: str) -> None:
    """Whatever the cut, an answer gives what it holds."""
    assert result_of(await serve(cut(KINDS[name].sse, how))) == wanted(KINDS[name])


@pytest.mark.parametrize("name", list(KINDS))
def test_every_cut(name: str) -> None:
    """Equal chunks at every size of the pieces."""
    data = KINDS[name].sse
    once = read(data)
    assert all(read(data, size) == once for size in range(1, min(len(data), 80)))


@pytest.mark.parametrize("name", list(KINDS))
async def test_a_stream_where_a_whole_answer_was_asked_for(name: str) -> None:
    """A server that streams unasked is understood; so is one that was asked to stream and gives a list of all events."""
    kind = KINDS[name]
    assert result_of(await serve([kind.sse], WHOLE)) == wanted(kind)
    listed = json.dumps(kind.wire, indent=1).encode()
    assert result_of(await serve([listed], content_type="application/json")) == wanted(kind)
    assert result_of(await serve([listed], WHOLE, content_type="application/json")) == wanted(kind)


@pytest.mark.parametrize("name", [n for n, k in KINDS.items() if len(k.wire) == 1])
async def test_a_whole_answer(name: str) -> None:
    """An answer of one event is the same as one document, pretty or not."""
    kind = KINDS[name]
    pretty = json.dumps(kind.wire[0], indent=2).encode()
    assert result_of(await serve([pretty], WHOLE, content_type="application/json")) == wanted(kind)
    assert result_of(await serve([pretty], content_type="application/json")) == wanted(kind)


@pytest.mark.parametrize("name", list(KINDS))
def test_what_goes_back(name: str) -> None:
    """Every part goes back as it came: its signature, its thought's mark and whatever else it has on that very part."""
    kind = KINDS[name]
    message = message_of(read(kind.sse))
    assert message.text == kind.text
    back = sent_back(message)
    assert back == expected_back(kind)


def test_the_answers_own_names() -> None:
    """The last chunk says who answered and under which id."""
    assert read(KINDS["text"].sse)[-1] == Finished("stop", "r-1", "gemini-x")


def test_media_are_parts() -> None:
    """By their media type: an image, sound, a file; each with its bytes or its address."""
    image = ImagePart(data=b"\x89PNG\r\n\x1a\n\xff\xfe\x00", media_type="image/png")
    assert PartChunk(image) in read(KINDS["an image"].sse)
    assert PartChunk(image) not in read(KINDS["a thought in an image"].sse)
    sound = AudioPart(data=b"\0\1\2", media_type="audio/L16;codec=pcm;rate=24000")
    assert PartChunk(sound) in read(KINDS["sound"].sse)
    film = FilePart(url="https://x.example/v", media_type="video/mp4")
    assert PartChunk(film) in read(KINDS["a video by its address"].sse)


def test_base64_of_either_alphabet() -> None:
    """With or without padding."""
    data = bytes(range(248, 256)) * 2
    for encoded in (
        base64.b64encode(data),
        base64.urlsafe_b64encode(data),
        base64.urlsafe_b64encode(data).rstrip(b"="),
    ):
        kind = Kind([[{"inlineData": {"mimeType": "image/webp", "data": encoded.decode()}}]])
        assert PartChunk(ImagePart(data=data, media_type="image/webp")) in read(kind.sse)


def test_what_a_search_found_is_a_part() -> None:
    """Grounding is told once, at the end, and is not sent back, for it is no part of the content."""
    chunks = read(KINDS["a search"].sse)
    assert PartChunk(ProviderPart("gemini", "groundingMetadata", GROUNDED)) in chunks
    part = {"content": {"parts": [text("a")]}, "groundingMetadata": {"groundingChunks": [{"web": {"uri": "1"}}]}}
    last = {
        "groundingMetadata": {"groundingChunks": [{"web": {"uri": "2"}}], "webSearchQueries": ["q"]},
        "finishReason": "STOP",
    }
    chunks = read(Kind([{"candidates": [part]}, {"candidates": [last]}]).sse)
    both = {"groundingChunks": [{"web": {"uri": "1"}}, {"web": {"uri": "2"}}], "webSearchQueries": ["q"]}
    assert PartChunk(ProviderPart("gemini", "groundingMetadata", both)) in chunks


def test_what_several_searches_found() -> None:
    """Sources that are told again keep their places, for they are referred to by them; queries are told once."""
    found = {"retrievedContext": {"text": "Paris."}}
    first = {"finishReason": "STOP", "groundingMetadata": {"groundingChunks": [found], "webSearchQueries": ["q"]}}
    second = {
        "groundingChunks": [found],
        "groundingSupports": [{"groundingChunkIndices": [1]}],
        "webSearchQueries": ["q", "r"],
    }
    kind = Kind([{"candidates": [first]}, {"candidates": [{"groundingMetadata": second}]}, [text("a")]])
    (told,) = [c.part.data for c in read(kind.sse) if isinstance(c, PartChunk) and isinstance(c.part, ProviderPart)]
    assert told == {**second, "groundingChunks": [found, found]}
    again = Kind(
        [{"candidates": [{"groundingMetadata": GROUNDED}]}, {"candidates": [{"groundingMetadata": {}}]}, [text("a")]]
    )
    assert PartChunk(ProviderPart("gemini", "groundingMetadata", GROUNDED)) in read(again.sse)


def test_why_an_answer_was_stopped_is_told() -> None:
    """The filter's reason and ratings, the prompt's or the answer's, stand in a part of the answer."""
    blocked = read(KINDS["blocked for PROHIBITED_CONTENT"].sse)
    assert PartChunk(ProviderPart("gemini", "promptFeedback", {"blockReason": "PROHIBITED_CONTENT"})) in blocked
    (told,) = [c.part for c in read(KINDS["stopped at once"].sse) if isinstance(c, PartChunk)]
    assert isinstance(told, ProviderPart) and told.kind == "finishReason"
    assert told.data["finishReason"] == "SAFETY" and told.data["safetyRatings"][0]["probability"] == "HIGH"
    assert sent_back(message_of(blocked)) == [{"text": ""}]


SEALED = st.fixed_dictionaries(
    {"text": st.text(st.characters(codec="utf-8"), max_size=4)},
    optional={"thoughtSignature": st.sampled_from([SIG, "c2ln"])},
)


@given(st.lists(st.lists(SEALED, max_size=3), min_size=1, max_size=4))
def test_seals_go_back_where_they_were(events: list[list[dict[str, Any]]]) -> None:
    """However texts with and without signatures follow each other, each signature goes back with its own words."""
    kind = Kind(events)
    assert sent_back(message_of(read(kind.sse))) == expected_back(kind)


def test_text_that_a_parser_moved() -> None:
    """A seal is found by its place in the text: also where its words stand behind it, or fewer are left than there were."""

    def seal(start: int, end: int) -> ProviderPart:
        return ProviderPart("gemini", "fields", {"start": start, "end": end, "fields": {"thoughtSignature": SIG}})

    whole = Message.assistant(TextPart("Hel"), seal(0, 5), TextPart("lo"))
    assert sent_back(whole) == [text("Hello", thoughtSignature=SIG)]
    behind = Message.assistant(TextPart("Hel"), seal(5, 5), TextPart("lo"))
    assert sent_back(behind) == [text("Hello"), text("", thoughtSignature=SIG)]
    shorter = Message.assistant(TextPart("Hel"), seal(9, 9))
    assert sent_back(shorter) == [text("Hel"), text("", thoughtSignature=SIG)]


def test_thoughts_of_others_stay() -> None:
    """Another provider's thoughts and opaque parts are not sent."""
    message = Message.assistant(
        ReasoningPart("hm", "x", "anthropic"), ProviderPart("openai", "part", {"text": "no"}), TextPart("Hi")
    )
    assert sent_back(message) == [text("Hi")]


async def test_recorded_streams() -> None:
    """The recorded answers give what their files say."""
    plain = await serve([recorded("pai-generativelanguage-googleapis-com-test_google_model_iter_stream-0.sse")])
    assert result_of(plain) == ("", "", [("", "get_capital", {"country": "France"})], "tool_calls", (52, 5, 0, 0, 57))
    raw = recorded("google-tool-call-gemini3.chunks.txt")
    sealed = await serve([raw])
    assert result_of(sealed) == (
        "",
        "",
        [("", "weather", {"location": "San Francisco"})],
        "tool_calls",
        (29, 819, 804, 0, 848),
    )
    first = json.loads(raw.split(b"\n")[0].removeprefix(b"data: "))["candidates"][0]["content"]["parts"]
    assert sent_back(message_of(sealed)) == first
    assert all(read(raw, size) == sealed for size in (1, 2, 3, 5, 64, 1000))


def test_not_quite_json() -> None:
    """Numbers as text, NaN and half a character are read; a lone half is U+FFFD."""
    event = '{"candidates":[{"content":{"parts":[{"text":"a\\ud83d"}]},"finishReason":"STOP","avgLogprobs":NaN}],'
    used = json.dumps({k: str(v) for k, v in USED.items()})
    chunks = read(f'data: {event}"usageMetadata":{used}}}\n\n'.encode())
    assert folded(chunks)[0] == "a\ufffd"
    assert [c.usage.total_tokens for c in chunks if isinstance(c, UsageChunk)] == [10]


KEYS = (
    "text",
    "parts",
    "functionCall",
    "args",
    "inlineData",
    "thought",
    "thoughtSignature",
    "finishReason",
    "candidates",
)
WRONG = (
    "null",
    "[]",
    "{}",
    '"x"',
    "17",
    "true",
    "1e999",
    '"\\ud800"',
    '{"a":null}',
    "[null]",
    '{"error":{"code":500}}',
)


@settings(max_examples=examples(300))
@given(
    st.sampled_from(list(KINDS)), st.sampled_from(KEYS), st.sampled_from(WRONG), st.integers(0, 9), st.integers(0, 2000)
)
def test_hostile_answers(name: str, key: str, wrong: str, which: int, end: int) -> None:
    """Values of wrong types, and streams that stop anywhere: an answer is whole and goes back, or it is an error."""
    data = KINDS[name].sse
    found = list(re.finditer(rf'"{key}": ("[^"]*"|\d+|true|\{{\}}|\[\])'.encode(), data))
    if found:
        start, stop = found[which % len(found)].span(1)
        data = data[:start] + wrong.encode() + data[stop:]
    data = data[: end or None]
    decoder, reader = _http.Decoder(), Reader("gemini")
    chunks = reader.feed(decoder.feed(data))
    assert not any(isinstance(c, Finished) for c in chunks)
    if reader.whole and not reader.stopped:
        assert sent_back(message_of([*chunks, *reader.answer.end()]))


def test_an_answer_that_is_too_deep() -> None:
    """It is no answer of this format; nothing else breaks."""
    deep = b"[" * 100_000 + b"]" * 100_000
    reader = Reader("gemini")
    args = b'{"candidates":[{"content":{"parts":[{"functionCall":{"name":"f","args":{"a":%b}}}]}}]}' % deep
    assert reader.feed([args]) == []
    assert reader.broken is not None
