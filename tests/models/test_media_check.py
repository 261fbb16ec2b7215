"""Images, audio and files that a model does not take are refused before a request, with the way out."""

from __future__ import annotations

import pytest

from lumosai.errors import MediaUnsupportedError
from lumosai.messages import AudioPart, FilePart, ImagePart, Message, TextPart, ToolResultPart
from lumosai.models import FallbackModel, ModelRequest, OpenAIChatModel, Profile
from lumosai.models._media import MediaCheck, media_in, normal, type_of
from lumosai.models.base import Notes, Transcript
from lumosai.models.providers import profile_of
from tests.servers import ChatServer

PNG = ImagePart(b"\x89PNG")
WAV = AudioPart(b"RIFF", media_type="audio/wav")
PDF = FilePart(b"%PDF", media_type="application/pdf", name="a.pdf")
LINK = ImagePart(url="https://example.org/a.png")


def profile(name: str) -> Profile:
    provider, _, model = name.partition(":")
    from lumosai.models.providers import PROVIDERS

    return profile_of(provider, model, PROVIDERS[provider].base_url)


def refusal(name: str, *parts, **own) -> str:
    """What is said of a user's parts; "" where they are taken."""
    provider, _, model = name.partition(":")
    try:
        MediaCheck(provider, model, Profile(**own) if own else profile(name))([Message.user("look", *parts)])
    except MediaUnsupportedError as error:
        return str(error)
    return ""


@pytest.mark.parametrize(
    ("name", "part", "said"),
    [
        ("openai:gpt-5-mini", PNG, ""),
        ("openai:gpt-5-mini", LINK, ""),
        ("openai:gpt-5-mini", PDF, ""),
        ("openai:gpt-5-mini", WAV, "it takes text and images and files. Ask a model that takes audio"),
        ("openai:gpt-4o-audio-preview", WAV, ""),
        ("openai:gpt-4o-audio-preview", PNG, "it takes text and audio"),
        ("openai:o3-mini", PNG, "it takes text only"),
        ("openai:gpt-3.5-turbo", PDF, "profile=Profile(files=True)"),
        (
            "openai:gpt-5",
            ImagePart(b"BM", media_type="image/bmp"),
            "it takes image/png, image/jpeg, image/webp, image/gif",
        ),
        ("openai:gpt-5", ImagePart(url="data:image/bmp;base64,QQ=="), "an image of type 'image/bmp'"),
        ("openai:gpt-5", ImagePart(b"", media_type="image/jpg"), ""),
        ("openai:gpt-5", FilePart(url="https://example.org/a.pdf"), "it takes no file by URL, only by bytes"),
        ("openai:gpt-5", FilePart(file_id="file-1"), ""),
        ("anthropic:claude-sonnet-4-5", FilePart(b"a,b", media_type="text/csv"), ""),
        ("anthropic:claude-sonnet-4-5", FilePart(b"\x89PNG", media_type="image/png"), ""),
        (
            "anthropic:claude-sonnet-4-5",
            FilePart(b"PK", media_type="application/zip"),
            "of files it takes application/pdf",
        ),
        ("anthropic:claude-sonnet-4-5", WAV, "it takes text and images and files"),
        ("deepseek:deepseek-chat", PNG, "it takes text only"),
        ("deepseek:deepseek-chat", WAV, "it takes text only"),
        ("deepseek:deepseek-chat", PDF, "it takes text only"),
        ("zhipu:glm-4.7", PNG, "it takes text only"),
        ("zhipu:glm-4.6v", LINK, ""),
        ("qwen:qwen-plus", PNG, "it takes text only"),
        ("qwen:qwen3-vl-plus", PNG, ""),
        ("qwen:qwen3.5-plus", PNG, ""),
        ("qwen:qwen3-omni-flash", WAV, ""),
        ("moonshot:kimi-k2.5", PNG, ""),
        ("moonshot:kimi-k2.5", LINK, "it takes no image by URL"),
        ("moonshot:moonshot-v1-8k", PNG, "it takes text"),
        ("mistral:mistral-small-latest", PNG, ""),
        ("mistral:codestral-latest", PNG, "it takes text and files"),
        ("groq:openai/gpt-oss-120b", PNG, "it takes text only"),
        ("xai:grok-4", PNG, ""),
        ("xai:grok-4", ImagePart(b"GIF8", media_type="image/gif"), "of images it takes image/png, image/jpeg."),
        ("xai:grok-3-mini", PNG, "it takes text only"),
        ("openrouter:some/model", PNG, ""),
        ("openrouter:some/model", PDF, ""),
        ("ollama:llama3", PNG, ""),
        ("ollama:llava", LINK, "it takes no image by URL"),
        ("vllm:anything", LINK, ""),
    ],
)
def test_what_a_model_takes(name, part, said):
    """Each provider's models, as their names tell."""
    found = refusal(name, part)
    assert (said in found) if said else (found == "")


def test_a_refusal_says_which_part_which_model_and_what_to_do():
    """And carries them as attributes."""
    check = MediaCheck("deepseek", "deepseek-chat", profile("deepseek:deepseek-chat"))
    history = [Message.system("s"), Message.user("a"), Message.user("look", WAV, PNG)]
    with pytest.raises(MediaUnsupportedError) as caught:
        check(history)
    error = caught.value
    assert (error.part, error.message_index, error.part_index) == ("audio", 2, 1)
    assert (error.provider, error.model, error.status, error.retryable) == ("deepseek", "deepseek-chat", None, False)
    assert str(error) == (
        "deepseek:deepseek-chat does not take part 1 of message 2 (role 'user'), audio of type 'audio/wav' by its bytes: it "
        "takes text only. Ask a model that takes audio, or, if this one does, say so by its profile: "
        "profile=Profile(audio=True)"
    )


def test_media_in_a_tools_result_count_and_what_a_model_said_itself_does_not():
    """A result's image is sent like any other; an image that a model made is for its protocol to send back or not."""
    result = Message.tool(ToolResultPart("c", "draw", (TextPart("here"), PNG)))
    check = MediaCheck("deepseek", "m", Profile(images=False))
    with pytest.raises(MediaUnsupportedError, match=r"part 0 of message 0 \(role 'tool'\)"):
        check([result])
    check([Message.assistant("drawn", PNG)])
    assert [p for _, p in media_in(result.parts)] == [PNG]


def test_of_a_model_of_which_nobody_knows_nothing_is_refused():
    """The server judges."""
    assert refusal("house:model", PNG, WAV, PDF, LINK, native_tools=True) == ""


def test_a_message_is_looked_at_once():
    """A long history costs no more at its hundredth step; one that was refused is refused again."""
    check, notes = MediaCheck("p", "m", Profile(images=False)), Notes()
    good, bad = Message.user("a"), Message.user(PNG)
    check(Transcript([good] * 3, notes))
    assert notes.known[check] == (3, None)
    for _ in range(2):
        with pytest.raises(MediaUnsupportedError, match="message 3"):
            check(Transcript([good, good, good, bad], notes))
    assert notes.known[check] == (3, None)


async def test_no_request_leaves():
    """Streamed or whole; a fallback goes on to the next model, which takes it."""
    request = ModelRequest(messages=(Message.user("what?", PNG),))
    async with ChatServer() as server:
        blind = OpenAIChatModel("blind", base_url=server.base_url, profile=Profile(images=False))
        with pytest.raises(MediaUnsupportedError):
            [c async for c in blind.stream(request)]
        with pytest.raises(MediaUnsupportedError):
            await blind.answer(request, lambda _: None)
        assert server.requests == []
        sees = OpenAIChatModel("sees", base_url=server.base_url)
        chunks = [c async for c in FallbackModel(blind, sees).stream(request)]
        assert [r.json["model"] for r in server.requests] == ["sees"]
        assert chunks


@pytest.mark.parametrize(
    ("given", "usual"),
    [
        ("IMAGE/JPG", "image/jpeg"),
        ("audio/x-wav", "audio/wav"),
        ("text/plain; charset=utf-8", "text/plain"),
        ("audio/mp3", "audio/mpeg"),
        ("image/png", "image/png"),
    ],
)
def test_a_media_type_has_one_name(given, usual):
    """However it is written."""
    assert normal(given) == usual


def test_the_type_of_a_data_url_is_its_own():
    """What the part says besides does not count."""
    assert type_of(ImagePart(url="data:image/webp;base64,QQ==", media_type="image/png")) == "image/webp"
    assert type_of(PDF) == "application/pdf"
