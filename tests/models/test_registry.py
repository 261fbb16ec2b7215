"""Models by name: every way to write one, what is said of a name that nobody knows, and the door for others' models."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from lumosai.errors import ConfigurationError, UnknownModelError
from lumosai.models import Model, OpenAIChatModel, model
from lumosai.models.providers import PROVIDERS
from lumosai.models.registry import by_prefix, names, resolve_auto, split


@pytest.mark.parametrize(
    ("written", "provider", "name"),
    [
        ("openai:gpt-5-mini", "openai", "gpt-5-mini"),
        ("openai/gpt-5-mini", "openai", "gpt-5-mini"),
        (" OpenAI:gpt-5-mini ", "openai", "gpt-5-mini"),
        ("ollama:llama3.2:1b", "ollama", "llama3.2:1b"),
        ("openrouter:anthropic/claude-sonnet-4.5:free", "openrouter", "anthropic/claude-sonnet-4.5:free"),
        ("openrouter/openai/gpt-4o", "openrouter", "openai/gpt-4o"),
        ("groq/openai/gpt-oss-120b", "groq", "openai/gpt-oss-120b"),
        ("together:meta-llama/Llama-3.3-70B-Instruct-Turbo", "together", "meta-llama/Llama-3.3-70B-Instruct-Turbo"),
        ("vllm:Qwen/Qwen3-8B", "vllm", "Qwen/Qwen3-8B"),
        ("gpt-4o", "openai", "gpt-4o"),
        ("o3-mini", "openai", "o3-mini"),
        ("o4-mini", "openai", "o4-mini"),
        ("chatgpt-4o-latest", "openai", "chatgpt-4o-latest"),
        ("deepseek-chat", "deepseek", "deepseek-chat"),
        ("qwen-plus", "qwen", "qwen-plus"),
        ("qwen3-max", "qwen", "qwen3-max"),
        ("qwq-32b", "qwen", "qwq-32b"),
        ("glm-4.7", "zhipu", "glm-4.7"),
        ("kimi-k2.5", "moonshot", "kimi-k2.5"),
        ("moonshot-v1-8k", "moonshot", "moonshot-v1-8k"),
        ("mistral-large-latest", "mistral", "mistral-large-latest"),
        ("codestral-latest", "mistral", "codestral-latest"),
        ("grok-4", "xai", "grok-4"),
        ("llama3.2", "ollama", "llama3.2"),
        ("llama3.2:1b", "ollama", "llama3.2:1b"),
        ("llama-3.3-70b-versatile", "groq", "llama-3.3-70b-versatile"),
    ],
)
def test_a_name(written: str, provider: str, name: str) -> None:
    """`provider:model`, `provider/model`, or a bare name by how it begins."""
    found = model(written)
    assert isinstance(found, OpenAIChatModel)
    assert (found.provider, found.name) == (provider, name)


def test_options_reach_the_model() -> None:
    """Whatever the model's class takes."""
    found = model("openai:my-model", base_url="http://127.0.0.1:9/v1", price=(1, 2))
    assert isinstance(found, OpenAIChatModel)
    assert (found.endpoint, found.price) == ("http://127.0.0.1:9/v1", (1, 2))
    with pytest.raises(ConfigurationError, match=r"'openai:gpt-5'.*temprature"):
        model("openai:gpt-5", temprature=1)


@pytest.mark.parametrize("name", list(PROVIDERS))
def test_every_provider_has_models(name: str) -> None:
    """Each name of the table gives a model of it, and making one opens nothing."""
    found = model(f"{name}:some-model")
    assert isinstance(found, Model) and found.provider == name
    assert found.profile is not None


@pytest.mark.parametrize(
    ("written", "near"),
    [
        ("opnai:gpt-5", "openai:gpt-5"),
        ("depseek:deepseek-chat", "deepseek:deepseek-chat"),
        ("oolama/llama3", "ollama:llama3"),
        ("gpt5-mini", "gpt-5-mini"),
        ("gtp-4o", "gpt-4o"),
        ("deepsek-chat", "deepseek-chat"),
        ("locl", "local"),
        ("atuo", "auto"),
    ],
)
def test_a_name_that_is_misspelt(written: str, near: str) -> None:
    """The error holds names that look like it."""
    with pytest.raises(UnknownModelError) as caught:
        model(written)
    assert near in caught.value.near
    assert repr(written) in str(caught.value) and f"Did you mean {near!r}" in str(caught.value)


def test_a_provider_that_nobody_knows() -> None:
    """What there is is listed, and how to reach another server."""
    with pytest.raises(UnknownModelError, match=r"no provider is called 'zzzz'.*openai, .*base_url") as caught:
        model("zzzz:m")
    assert caught.value.near == ()


@pytest.mark.parametrize("written", ["", "   ", None, 3, "openai:", "openai/ ", "something-else"])
def test_what_is_no_name(written: object) -> None:
    """Each is refused with the form that a name has."""
    with pytest.raises(UnknownModelError, match=r"provider:model|openai:gpt-5-mini"):
        model(written)  # type: ignore[arg-type]


def test_splitting() -> None:
    """`split` tells provider and name apart without making a model."""
    assert split("auto") == split("Auto") == ("auto", "")
    assert split("local") == ("local", "")
    assert split("local:qwen3-1.7b") == ("local", "qwen3-1.7b")
    assert split("anthropic:claude-x") == ("anthropic", "claude-x")
    assert by_prefix("claude-x") == "anthropic" and by_prefix("zzz") is None


def test_names_of_the_providers() -> None:
    """Shipped ones first."""
    found = names()
    assert found[:2] == ["local", "auto"] and set(PROVIDERS) < set(found)


# Others' models.

ACME = """
class AcmeModel:
    provider = "acme"
    endpoint = ""

    def __init__(self, name="default", *, flavour="plain"):
        self.name, self.flavour = name, flavour
"""


@pytest.fixture
def acme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A distribution, installed, that brings models by the entry point group."""
    (tmp_path / "acme_models.py").write_text(ACME)
    info = tmp_path / "acme_models-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-models\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[lumosai.models]\nacme = acme_models:AcmeModel\nbroken = acme_models:Missing\ngone = no_such_module:X\n"
        "openai = acme_models:AcmeModel\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "acme_models", raising=False)


@pytest.mark.usefixtures("acme")
def test_a_provider_that_another_distribution_brings() -> None:
    """It is called as the shipped ones are, options and all; a shipped name is not its to take."""
    found = model("acme:large", flavour="sweet")
    assert (type(found).__name__, found.name, found.flavour) == ("AcmeModel", "large", "sweet")  # type: ignore[attr-defined]
    assert model("acme/large").name == "large"
    assert "acme" in names()
    assert isinstance(model("openai:gpt-5"), OpenAIChatModel)
    with pytest.raises(UnknownModelError, match="acme:large"):
        model("acmee:large")


@pytest.mark.usefixtures("acme")
@pytest.mark.parametrize("name", ["broken", "gone"])
def test_an_entry_point_that_cannot_be_loaded(name: str) -> None:
    """The entry is named, and what it points at."""
    with pytest.raises(ConfigurationError, match=rf"{name}.*lumosai\.models.*(acme_models:Missing|no_such_module:X)"):
        model(f"{name}:m")


def test_auto_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """`resolve_auto` says which and why; `model("auto")` is that one."""
    monkeypatch.setenv("DEEPSEEK_API_KEY", "sk-x")
    assert resolve_auto() == ("deepseek:deepseek-chat", "DEEPSEEK_API_KEY is set")
    found = model("auto")
    assert (found.provider, found.name) == ("deepseek", "deepseek-chat")
