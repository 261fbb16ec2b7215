"""The table of providers: addresses, keys, and what each model can do."""

from __future__ import annotations

import re
from typing import Any

import pytest

from lumosai.errors import ConfigurationError, MissingKeyError
from lumosai.models import OpenAIChatModel, Profile
from lumosai.models.providers import PROVIDERS, Provider, base_url_of, key_of, profile_of


def profile(written: str) -> Profile:
    provider, _, name = written.partition(":")
    return profile_of(provider, name, base_url_of(provider))


@pytest.mark.parametrize("provider", list(PROVIDERS.values()), ids=lambda p: p.name)
def test_an_entry_is_whole(provider: Provider) -> None:
    """An address, and for a provider that takes a key: its variable, where to get one, and a model for `auto`."""
    assert re.match(r"https://|http://127\.0\.0\.1:", provider.base_url)
    assert provider.local or (provider.keys and provider.key_url.startswith("https://") and provider.default)
    assert provider.local == provider.profile.local
    for pattern, changes in provider.patterns:
        re.compile(pattern)
        assert set(changes) <= set(Profile.__struct_fields__)


@pytest.mark.parametrize("provider", list(PROVIDERS.values()), ids=lambda p: p.name)
def test_a_base_url_of_ones_own(provider: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every provider has its variable, and without it its own address."""
    assert base_url_of(provider.name) == provider.base_url
    variable = (provider.base_url_variables or (f"{provider.name.upper()}_BASE_URL",))[0]
    monkeypatch.setenv(variable, "https://proxy.example/api/v9")
    assert base_url_of(provider.name) == "https://proxy.example/api/v9"


@pytest.mark.parametrize("variable", ["DASHSCOPE_BASE_URL", "QWEN_BASE_URL"])
def test_variables_of_qwen(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both names are known, for the address and for the key."""
    monkeypatch.setenv(variable, "https://x.example/v1")
    monkeypatch.setenv(variable.replace("BASE_URL", "API_KEY"), "sk-q")
    assert base_url_of("qwen") == "https://x.example/v1"
    assert key_of("qwen", base_url_of("qwen")) == "sk-q"


@pytest.mark.parametrize(
    ("given", "used"),
    [
        ("http://gpu:11434", "http://gpu:11434/v1"),
        ("http://gpu:11434/", "http://gpu:11434/v1"),
        ("http://gpu:11434/v1", "http://gpu:11434/v1"),
        ("http://gpu/ollama/v1", "http://gpu/ollama/v1"),
    ],
)
def test_a_local_servers_address(given: str, used: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its path may be left out."""
    monkeypatch.setenv("OLLAMA_BASE_URL", given)
    assert base_url_of("ollama") == used


@pytest.mark.parametrize("provider", [p for p in PROVIDERS.values() if not p.local], ids=lambda p: p.name)
def test_a_missing_key(provider: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own address wants one: the error names every variable and where to get a key. Elsewhere none is needed."""
    with pytest.raises(MissingKeyError) as caught:
        key_of(provider.name, provider.base_url)
    for part in (*provider.keys, provider.key_url, provider.name):
        assert part in str(caught.value)
    assert key_of(provider.name, "http://127.0.0.1:8000/v1") is None
    for variable in provider.keys:
        monkeypatch.setenv(variable, "sk-" + variable)
    for variable in provider.account_variables:
        monkeypatch.setenv(variable, "org-account")
    assert key_of(provider.name, base_url_of(provider.name)) == "sk-" + provider.keys[0]


@pytest.mark.parametrize("provider", ["ollama", "lmstudio", "vllm", "llamacpp"])
def test_a_local_server_needs_no_key(provider: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """But one that is set is sent."""
    assert key_of(provider, base_url_of(provider)) is None
    monkeypatch.setenv(PROVIDERS[provider].keys[0], "sk-x")
    assert key_of(provider, base_url_of(provider)) == "sk-x"


@pytest.mark.parametrize(
    ("model", "wanted"),
    [
        ("openai:gpt-4o-mini", {"json_schema": True, "strict_tools": True, "sampling": True, "system_role": "system"}),
        (
            "openai:gpt-4o-mini",
            {"max_tokens_field": "max_completion_tokens", "reasoning_effort": False, "images": True},
        ),
        ("openai:gpt-5-mini", {"sampling": False, "reasoning_effort": True, "system_role": "developer"}),
        ("openai:o3", {"sampling": False, "reasoning_effort": True, "max_tokens_field": "max_completion_tokens"}),
        ("openai:gpt-5-chat-latest", {"reasoning_effort": False, "sampling": True, "system_role": "system"}),
        ("openai:gpt-3.5-turbo", {"json_schema": False, "images": False}),
        ("openai:gpt-4-turbo", {"json_schema": False}),
        ("openai:gpt-4.1", {"json_schema": True}),
        ("openai-responses:gpt-5-mini", {"sampling": False, "reasoning_effort": True, "refuses": ()}),
        ("openai-responses:gpt-4o", {"sampling": True, "reasoning_effort": False, "refuses": ("include",)}),
        ("openai-responses:gpt-5-chat-latest", {"reasoning_effort": False, "refuses": ("include",)}),
        ("anthropic:claude-3-haiku-20240307", {"thinking": "", "json_schema": False, "output_tokens": 4096}),
        ("anthropic:claude-3-7-sonnet-20250219", {"thinking": "budget", "json_schema": False, "sampling": True}),
        ("anthropic:claude-sonnet-4-5-20250929", {"thinking": "budget", "json_schema": True, "strict_tools": True}),
        ("anthropic:claude-opus-4-1-20250805", {"thinking": "budget", "json_schema": True, "context_tokens": 200_000}),
        ("anthropic:claude-sonnet-4-6", {"thinking": "adaptive", "sampling": True, "context_tokens": 1_000_000}),
        ("anthropic:claude-opus-4-7", {"thinking": "adaptive", "sampling": False, "thinks": False}),
        ("anthropic:claude-sonnet-5", {"thinking": "adaptive", "thinks": True, "tool_choices": "all"}),
        ("anthropic:claude-sonnet-5-5", {"thinking": "adaptive-between", "tool_choices": "auto"}),
        ("anthropic:claude-opus-5-5", {"thinking": "adaptive-always", "tool_choices": "auto", "images": True}),
        ("anthropic:claude-opus-7", {"thinking": "adaptive", "sampling": False, "output_tokens": 64_000}),
        ("deepseek:deepseek-reasoner", {"json_schema": False, "send_reasoning": True, "thinking": "thinking"}),
        ("zhipu:glm-4.6v", {"images": True, "thinking": "thinking"}),
        ("qwen:qwen-plus", {"thinking": "enable_thinking", "stream_only": False}),
        ("qwen:qwq-plus", {"stream_only": True}),
        ("qwen:qwen3-32b", {"stream_only": True}),
        ("qwen:qwen3-max", {"stream_only": False}),
        ("qwen:qwen3-vl-plus", {"images": True}),
        ("moonshot:kimi-k2-thinking", {"send_reasoning": True}),
        ("mistral:mistral-large-latest", {"json_schema": True, "stream_usage": False, "call_ids": "mistral"}),
        ("groq:openai/gpt-oss-120b", {"json_schema": True, "reasoning_effort": True}),
        ("groq:llama-3.3-70b-versatile", {"json_schema": False, "reasoning_effort": False}),
        ("gemini:gemini-2.5-flash", {"thinking": "budget", "schema_with_tools": False, "call_signatures": False}),
        ("gemini:gemini-2.5-pro", {"thinking": "budget_always", "images": True, "audio": True, "files": True}),
        ("gemini:gemini-3-pro-preview", {"thinking": "level", "efforts": ("low", "high"), "call_signatures": True}),
        (
            "gemini:gemini-3.8-flash",
            {"schema_with_tools": True, "result_media": True, "efforts": ("low", "medium", "high")},
        ),
        ("gemini:gemini-flash-latest", {"schema_with_tools": True, "call_signatures": True}),
        ("gemini:gemini-2.5-flash-image", {"native_tools": False, "json_schema": False, "thinking": ""}),
        ("gemini:gemma-3-27b-it", {"native_tools": False, "json_schema": False, "system_role": "user"}),
        ("openrouter:openai/gpt-4o", {"thinking": "openrouter"}),
        ("ollama:llama3.2", {"local": True, "json_schema": True}),
        ("vllm:any", {"local": True, "json_schema": True, "thinking": "template"}),
        ("lmstudio:any", {"local": True, "json_schema": True}),
    ],
)
def test_what_a_model_can_do(model: str, wanted: dict[str, Any]) -> None:
    """By its provider and its name."""
    found = profile(model)
    assert {k: getattr(found, k) for k in wanted} == wanted


@pytest.mark.parametrize(
    "account", ["org-acc", "org-acc.snowflakecomputing.com", "https://org-acc.snowflakecomputing.com/"]
)
def test_an_address_that_holds_an_account(account: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It comes from a variable; without it, or with what is none, the error says which. A base URL of one's own wins."""
    monkeypatch.setenv("SNOWFLAKE_TOKEN", "pat")
    for bad in ("", "evil.example/path?"):
        monkeypatch.setenv("SNOWFLAKE_ACCOUNT", bad)
        with pytest.raises(ConfigurationError, match="SNOWFLAKE_ACCOUNT"):
            key_of("snowflake", base_url_of("snowflake"))
    monkeypatch.setenv("SNOWFLAKE_ACCOUNT", account)
    assert base_url_of("snowflake") == "https://org-acc.snowflakecomputing.com/api/v2/cortex/v1"
    assert key_of("snowflake", base_url_of("snowflake")) == "pat"
    monkeypatch.delenv("SNOWFLAKE_TOKEN")
    with pytest.raises(MissingKeyError):
        key_of("snowflake", base_url_of("snowflake"))
    monkeypatch.setenv("SNOWFLAKE_BASE_URL", "https://private.example/v1")
    assert base_url_of("snowflake") == "https://private.example/v1"


def test_a_strange_model_at_a_strange_address() -> None:
    """Nothing is taken for granted; a known name at a strange address, a gateway say, is what it is at home."""
    strange = OpenAIChatModel("my-llama", base_url="http://127.0.0.1:8000/v1").profile
    assert strange == Profile()
    assert OpenAIChatModel("gpt-4o", base_url="https://gateway.example/v1").profile.json_schema
    assert profile("nobody:x") == Profile()


def test_a_profile_of_ones_own() -> None:
    """It replaces what the table says."""
    own = Profile(context_tokens=5)
    assert OpenAIChatModel("gpt-4o", profile=own).profile is own


def test_profiles_are_shared() -> None:
    """Every model of a name has the very same profile object, which keeps models small."""
    assert profile("openai:gpt-5-mini") is profile("openai:gpt-5-mini")
