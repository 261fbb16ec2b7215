"""Every kind of part to every provider: it goes out as the published types have it, or is refused before the request."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from lumosai import Agent, Message, attach, tool
from lumosai.errors import InvalidInputError, MediaUnsupportedError
from lumosai.messages import AudioPart, FilePart, ImagePart, TextPart
from lumosai.models.base import Model
from tests.models.histories.wires import WIRES, Server
from tests.models.test_history_across import is_valid
from tests.test_media import PNG, WAV

PDF = b"%PDF-1.7 \xff"
SOURCES: dict[str, tuple[Any, dict[str, Any]]] = {
    "image by path": ("a.png", {}),
    "image by bytes": (PNG, {}),
    "image by URL": ("https://files.example/a.png", {}),
    "image by data URL": (ImagePart(url="data:image/png;base64," + base64.b64encode(PNG).decode()), {}),
    "audio by path": ("a.wav", {}),
    "audio by bytes": (WAV, {}),
    "audio by URL": ("https://files.example/a.wav", {}),
    "audio by data URL": (AudioPart(url="data:audio/wav;base64," + base64.b64encode(WAV).decode()), {}),
    "PDF by path": ("a.pdf", {}),
    "PDF by bytes": (PDF, {"name": "a.pdf"}),
    "PDF by URL": ("https://files.example/a.pdf", {}),
    "text by path": ("a.csv", {}),
    "file by id": (FilePart(file_id="file-abc", media_type="application/pdf"), {}),
}
IMAGES = ("image by path", "image by bytes", "image by URL", "image by data URL")
SOUNDS = ("audio by path", "audio by bytes", "audio by data URL")
FILES = ("PDF by path", "PDF by bytes", "text by path", "file by id")
TAKEN = {
    "openai": (*IMAGES, *FILES),
    "deepseek": (),
    "mistral": (*IMAGES, *FILES, "PDF by URL"),
    "qwen": IMAGES,
    "anthropic": (*IMAGES, *FILES, "PDF by URL"),
    "gemini": tuple(SOURCES),
    "openai-responses": (*IMAGES, *FILES, "PDF by URL"),
    "text": tuple(SOURCES),  # of which nobody knows
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, data in {"a.png": PNG, "a.wav": WAV, "a.pdf": PDF, "a.csv": b"a,b\n1,2\n"}.items():
        (tmp_path / name).write_bytes(data)


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("name", WIRES)
@pytest.mark.usefixtures("folder")
async def test_each_part_goes_out_or_is_refused(name, source):
    """Its bytes, its URL or its id stand in the request; or the error says which part it is, and nothing was sent."""
    given, options = SOURCES[source]
    part = given if isinstance(given, ImagePart | AudioPart | FilePart) else await attach(given, **options)
    wire = WIRES[name]
    async with Server(wire.answers[1]) as server:
        agent = wire.agent(server.url)
        try:
            await agent.generate(Message.user("What is it?", part))
        except MediaUnsupportedError as error:
            assert source not in TAKEN[name], error
            assert (error.message_index, error.part_index, server.requests) == (1, 1, [])
            return
        assert source in TAKEN[name]
        body = server.requests[0]
    raw = json.dumps(body)
    if part.data is not None and source != "text by path":
        assert base64.b64encode(part.data).decode() in raw
    elif part.url is not None:
        assert part.url.rpartition(",")[2] in raw
    elif isinstance(part, FilePart) and part.file_id is not None:
        assert part.file_id in raw
    is_valid(name, body)


@tool
def everything() -> list[Any]:
    """Gives an image and a PDF."""
    return [TextPart("both:"), ImagePart(PNG), FilePart(PDF, media_type="application/pdf", name="a.pdf")]


@pytest.mark.parametrize("name", ["openai", "mistral", "anthropic", "gemini", "openai-responses"])
async def test_what_a_tool_gives_is_shown(name):
    """An image and a document in a result, each in the request that follows."""
    wire = WIRES[name]
    calls = json.loads(
        json.dumps(wire.answers[0]).replace('"weather"', '"everything"').replace('"chart"', '"everything"')
    )
    async with Server(_without_arguments(calls), wire.answers[1]) as server:
        model: Model = wire.model(server.url)
        await Agent("a", model=model, tools=[everything]).generate("go")
        body = server.requests[-1]
    raw = json.dumps(body)
    assert raw.count(base64.b64encode(PNG).decode()) == raw.count(base64.b64encode(PDF).decode()) == 3
    is_valid(name, body)


def _without_arguments(value: Any) -> Any:
    """An answer whose calls have no arguments."""
    if isinstance(value, list):
        return [_without_arguments(v) for v in value]
    if not isinstance(value, dict):
        return value
    made = {k: _without_arguments(v) for k, v in value.items()}
    for key, empty in (("arguments", "{}"), ("input", {}), ("args", {})):
        if key in made:
            made[key] = empty
    return made


@pytest.mark.parametrize("name", WIRES)
@pytest.mark.parametrize("part", [ImagePart(), AudioPart(), FilePart()], ids=["image", "audio", "file"])
async def test_a_part_of_nothing_is_an_error_before_the_request(name, part):
    """It has neither bytes nor a URL."""
    async with Server(WIRES[name].answers[1]) as server:
        with pytest.raises(InvalidInputError, match=r"part 1 of message 1 .*neither bytes nor a URL"):
            await WIRES[name].agent(server.url).generate(Message.user("What is it?", part))
        assert server.requests == []


DRAWN = base64.b64encode(PNG).decode()


def drawing(name: str) -> dict[str, Any]:
    """An answer with a picture in it, in that provider's words."""
    if name == "gemini":
        parts = [
            {"text": "Here."},
            {"inlineData": {"mimeType": "image/png", "data": DRAWN}, "thoughtSignature": "c2ln"},
        ]
        candidate = {"content": {"role": "model", "parts": parts}, "finishReason": "STOP", "index": 0}
        return {"candidates": [candidate], "usageMetadata": {"promptTokenCount": 1, "totalTokenCount": 2}}
    if name == "openai-responses":
        picture = {"type": "image_generation_call", "id": "ig_1", "status": "completed", "result": DRAWN}
        said = json.loads(json.dumps(WIRES[name].answers[1]))
        said["output"] = [picture, said["output"][1]]
        return dict(said)
    said = json.loads(json.dumps(WIRES["openai"].answers[1]))
    image = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{DRAWN}"}}
    said["choices"][0]["message"] |= {"content": "Here.", "images": [image]}
    return dict(said)


@pytest.mark.parametrize("other", [n for n in WIRES if WIRES[n].sees])
@pytest.mark.parametrize("name", ["openai", "gemini", "openai-responses"])
async def test_what_a_model_draws_is_a_part_and_is_shown_to_whoever_goes_on(name, other):
    """To itself as to every other, once; its seal to itself alone."""
    async with Server(drawing(name)) as server:
        first = await WIRES[name].agent(server.url).generate("Draw a cat.")
    answer = first.messages[-1]
    assert [p for p in answer.parts if isinstance(p, ImagePart)] == [ImagePart(PNG)]
    async with Server(WIRES[other].answers[1]) as server:
        await WIRES[other].agent(server.url).generate([Message.user("Draw a cat."), answer, Message.user("Bigger.")])
        body = server.requests[0]
    raw = json.dumps(body)
    assert raw.count(DRAWN) == 1
    assert ("c2ln" in raw) == (name == other == "gemini")
    assert ("ig_1" in raw) == (name == other == "openai-responses")
    is_valid(other, body)


@pytest.mark.parametrize("mode", ["native", "text", "constrained", "off"])
async def test_a_picture_survives_every_way_of_calling_tools(mode):
    """Parsers of calls let it pass at its place."""
    said = drawing("openai")
    if mode == "constrained":
        said["choices"][0]["message"]["content"] = '{"tool": "none", "reply": "Here."}'
    async with Server(said) as server:
        agent = WIRES["text"].agent(server.url).replace(tool_calling=mode)
        async with agent.stream("Draw a cat.") as run:
            [event async for event in run]
            result = await run.result()
    assert result.messages[-1].parts == (TextPart("Here."), ImagePart(PNG))
