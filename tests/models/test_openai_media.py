"""Images, audio and files of `/chat/completions`: how each is sent to each server, and what comes back as parts."""

from __future__ import annotations

import base64
import json
from typing import Any

import msgspec
import pytest
from pydantic import TypeAdapter

from lumosai import Agent
from lumosai.errors import InvalidInputError
from lumosai.events import ModelCallComplete
from lumosai.messages import AudioPart, FilePart, ImagePart, Message, TextPart, ToolCallPart, ToolResultPart
from lumosai.models import ModelRequest, OpenAIChatModel, Profile
from lumosai.models._openai_media import Sound, content, images_in
from lumosai.models._openai_request import Encoder
from lumosai.models.base import PartChunk, TextChunk
from tests.servers import ChatServer, Reply
from tests.test_media import PNG, WAV

from openai.types.chat import ChatCompletionUserMessageParam  # isort: skip

PNG64, WAV64 = base64.b64encode(PNG).decode(), base64.b64encode(WAV).decode()
IMAGE, AUDIO = ImagePart(PNG), AudioPart(WAV)
PDF = FilePart(b"%PDF-1.7", media_type="application/pdf", name="a.pdf")
PDF_URL = f"data:application/pdf;base64,{base64.b64encode(b'%PDF-1.7').decode()}"


@pytest.mark.parametrize(
    ("part", "form", "wire"),
    [
        (IMAGE, "", {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG64}"}}),
        (
            ImagePart(url="https://e.org/a.png", detail="low"),
            "mistral",
            {"type": "image_url", "image_url": {"url": "https://e.org/a.png", "detail": "low"}},
        ),
        (AUDIO, "", {"type": "input_audio", "input_audio": {"data": WAV64, "format": "wav"}}),
        (
            AudioPart(b"ID3", media_type="audio/mp3"),
            "",
            {"type": "input_audio", "input_audio": {"data": "SUQz", "format": "mp3"}},
        ),
        (
            AudioPart(url="data:audio/x-wav;base64,QQ=="),
            "",
            {"type": "input_audio", "input_audio": {"data": "QQ==", "format": "wav"}},
        ),
        (AUDIO, "qwen", {"type": "input_audio", "input_audio": {"data": f"data:;base64,{WAV64}", "format": "wav"}}),
        (
            AudioPart(url="https://e.org/a.mp3", media_type="audio/mpeg"),
            "qwen",
            {"type": "input_audio", "input_audio": {"data": "https://e.org/a.mp3", "format": "mp3"}},
        ),
        (AUDIO, "mistral", {"type": "input_audio", "input_audio": WAV64}),
        (
            AudioPart(url="https://e.org/a.wav"),
            "vllm",
            {"type": "audio_url", "audio_url": {"url": "https://e.org/a.wav"}},
        ),
        (AUDIO, "vllm", {"type": "input_audio", "input_audio": {"data": WAV64, "format": "wav"}}),
        (PDF, "", {"type": "file", "file": {"filename": "a.pdf", "file_data": PDF_URL}}),
        (FilePart(file_id="file-1"), "", {"type": "file", "file": {"file_id": "file-1"}}),
        (
            FilePart(url="https://e.org/a.pdf"),
            "",
            {"type": "file", "file": {"filename": "file", "file_data": "https://e.org/a.pdf"}},
        ),
        (PDF, "mistral", {"type": "document_url", "document_url": PDF_URL, "document_name": "a.pdf"}),
        (FilePart(file_id="f"), "mistral", {"type": "file", "file_id": "f"}),
    ],
)
def test_each_part_has_its_servers_form(part, form, wire):
    """OpenAI's, or that server's own."""
    assert content([TextPart("look"), part], form) == [{"type": "text", "text": "look"}, wire]


@pytest.mark.parametrize("part", [ImagePart(), AudioPart(), FilePart()])
def test_a_part_of_nothing_is_told(part):
    """It has neither bytes nor a URL."""
    with pytest.raises(InvalidInputError, match="neither bytes nor a URL"):
        content([part])


def test_a_users_message_is_one_of_the_openai_clients_types():
    """With every kind of part by its bytes."""
    wire = {"role": "user", "content": content([TextPart("a"), IMAGE, AUDIO, PDF, FilePart(file_id="f")])}
    TypeAdapter(ChatCompletionUserMessageParam).validate_python(wire, strict=True)


async def sent(provider: str, name: str, *parts: Any) -> Any:
    """The content of a user's message as it reaches a server."""
    async with ChatServer([Reply("ok")]) as server:
        model = OpenAIChatModel(name, provider=provider, base_url=server.base_url, api_key="k")
        [c async for c in model.stream(ModelRequest(messages=(Message.user(*parts),)))]
        return server.requests[0].messages[0]["content"]


async def test_the_form_is_the_providers():
    """By the table of what its models take."""
    assert (await sent("qwen", "qwen3-omni-flash", AUDIO))[0]["input_audio"]["data"].startswith("data:;base64,")
    assert (await sent("mistral", "mistral-small-latest", PDF))[0]["type"] == "document_url"
    assert (await sent("openai", "gpt-5-mini", PDF))[0]["type"] == "file"


def test_media_of_a_result_go_into_a_users_message_behind_it():
    """A tool's message may hold text only."""
    history = (Message.tool(ToolResultPart("c1", "draw", (TextPart("here"), IMAGE))),)
    body = Encoder("openai", Profile()).body("m", ModelRequest(messages=history), stream=False)
    tool, user = json.loads(body)["messages"]
    assert tool == {"role": "tool", "tool_call_id": "c1", "content": "here"}
    assert [p["type"] for p in user["content"]] == ["text", "image_url"]


# What a model makes.


def event(**delta: Any) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": None}
    return b"data: " + json.dumps({"id": "1", "choices": [choice]}).encode() + b"\n\n"


END = b'data: {"id":"1","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'


async def parts_of(*events: bytes) -> list[Any]:
    """The parts and texts of a streamed answer."""
    async with ChatServer([Reply(body=[*events, END], content_type="text/event-stream")]) as server:
        model = OpenAIChatModel("m", base_url=server.base_url)
        chunks = [c async for c in model.stream(ModelRequest(messages=(Message.user("draw"),)))]
    return [c.part if isinstance(c, PartChunk) else c.delta for c in chunks if isinstance(c, PartChunk | TextChunk)]


def drawn(url: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url}}


@pytest.mark.parametrize(
    "delta",
    [
        {"images": [drawn(f"data:image/jpeg;base64,{PNG64}")]},
        {"content": [drawn(f"data:image/png;base64,{PNG64}")]},
        {"content": [{"type": "image_url", "image_url": f"data:image/png;base64,{PNG64}"}]},
    ],
)
async def test_an_image_that_a_model_makes_is_a_part(delta):
    """With its bytes, and the type that they tell."""
    assert await parts_of(event(content="Here: "), event(**delta)) == ["Here: ", IMAGE]


async def test_an_image_by_url_stays_one():
    """Nothing is fetched; what is no image is passed by."""
    assert await parts_of(event(images=[drawn("https://e.org/a.png"), {}, 5, drawn("")])) == [
        ImagePart(url="https://e.org/a.png")
    ]
    assert images_in(drawn("data:image/png;base64,A")) == [ImagePart(url="data:image/png;base64,A")]


async def test_audio_that_comes_in_pieces_is_one_part_with_its_words():
    """However the pieces were encoded: each by itself, or cut anywhere."""
    whole = [WAV64[:7], WAV64[7:30], WAV64[30:]]
    alone = [base64.b64encode(p).decode() for p in (WAV[:10], WAV[10:])]
    for pieces in (whole, alone):
        audio = [event(audio={"id": "a", "data": p, "transcript": f"w{i} "}) for i, p in enumerate(pieces)]
        words = "".join(f"w{i} " for i in range(len(pieces)))
        assert await parts_of(*audio) == [AudioPart(WAV, media_type="audio/wav", transcript=words)]


async def test_bare_samples_and_words_alone():
    """Samples without a header are named so; audio that is broken leaves its words."""
    assert await parts_of(event(audio={"data": base64.b64encode(b"\0\1" * 8).decode()})) == [
        AudioPart(b"\0\1" * 8, media_type="audio/pcm;rate=24000")
    ]
    assert await parts_of(event(audio={"transcript": "hi"}), event(audio={"data": "A"})) == [
        AudioPart(media_type="audio/pcm;rate=24000", transcript="hi")
    ]
    assert await parts_of(event(content="x", audio="odd"), event(audio={"id": "a"})) == ["x"]
    assert Sound().part() is None


async def test_a_whole_answer_gives_the_same_parts():
    """Not streamed."""
    message = {
        "role": "assistant",
        "content": None,
        "images": [drawn(f"data:image/png;base64,{PNG64}")],
        "audio": {"id": "a", "data": WAV64, "transcript": "hi", "expires_at": 1},
    }
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    body = json.dumps({"id": "1", "choices": [choice], "usage": {"prompt_tokens": 1, "completion_tokens": 1}}).encode()
    async with ChatServer([Reply(body=body)]) as server:
        chunks = await OpenAIChatModel("m", base_url=server.base_url).answer(
            ModelRequest(messages=(Message.user("draw"),)), lambda _: None
        )
    parts = [c.part for c in chunks if isinstance(c, PartChunk)]
    assert parts == [IMAGE, AudioPart(WAV, media_type="audio/wav", transcript="hi")]


async def test_a_run_ends_with_the_parts_in_its_message_and_in_an_event():
    """They survive the events' JSON and go along in the result."""
    events = [event(content="Here."), event(images=[drawn(f"data:image/png;base64,{PNG64}")]), END]
    async with ChatServer([Reply(body=events, content_type="text/event-stream")]) as server:
        agent = Agent("artist", model=OpenAIChatModel("m", base_url=server.base_url))
        async with agent.stream("draw") as run:
            seen = [e async for e in run]
            result = await run.result()
    complete = next(e for e in seen if isinstance(e, ModelCallComplete))
    assert complete.message is not None
    assert complete.message.parts == (TextPart("Here."), IMAGE)
    assert result.messages[-1].parts == complete.message.parts
    assert msgspec.json.decode(msgspec.json.encode(complete), type=ModelCallComplete).message == complete.message


def back(message: Message, **profile: Any) -> list[dict[str, Any]]:
    """An assistant's message as it is sent back."""
    request = ModelRequest(messages=(message,))
    found: list[dict[str, Any]] = json.loads(Encoder("openai", Profile(**profile)).body("m", request, stream=False))[
        "messages"
    ]
    return found


def test_an_image_that_a_model_made_is_shown_to_it_again():
    """By the user, since an assistant's message has no place for it."""
    said, shown = back(Message.assistant("Here.", IMAGE))
    assert said == {"role": "assistant", "content": "Here."}
    assert shown["role"] == "user"
    assert shown["content"] == content([TextPart("The image that you made:"), IMAGE])
    assert back(Message.assistant(IMAGE))[0]["content"] == "Here it is."
    strict = back(Message.assistant(IMAGE), order=("alternate",))
    assert [m["role"] for m in strict] == ["user", "assistant", "user", "assistant"]


def test_a_model_that_takes_no_images_is_told_that_there_was_one():
    """And one that called tools beside it, whose results must follow at once."""
    assert back(Message.assistant(IMAGE), images=False) == [
        {"role": "assistant", "content": "(An image, which cannot be shown here.)"}
    ]
    said = back(Message.assistant("a", IMAGE, ToolCallPart("c", "f", {})))
    assert [m["content"] for m in said] == ["a"]


def test_what_a_model_said_aloud_is_its_words():
    """Audio is not sent back; without its words, that it was there."""
    assert back(Message.assistant(AudioPart(WAV, transcript="hello")))[0]["content"] == "hello"
    assert back(Message.assistant(AUDIO))[0]["content"] == "(Audio, which cannot be shown here.)"
