"""The table of providers: where each is, which key it takes, what its models can do, what they are called.

Most of them speak `/chat/completions`; `protocol` names the one that a provider's models are asked in. What a model can do is its provider's profile with the changes of every pattern
that its name fits, in order, and what `_media_table` says that it sees and hears; a user's own `profile=` replaces it all.
"""

from __future__ import annotations

import os
import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import msgspec

from lumosai.models._media_table import media_of
from lumosai.models.profiles import Profile

if TYPE_CHECKING:
    from collections.abc import Mapping


class Provider(msgspec.Struct, frozen=True, kw_only=True):
    """One provider.

    Attributes:
        name: as in "name:model".
        protocol: the wire protocol; `models.registry` says which class speaks it.
        base_url: where its API is.
        base_url_variables: environment variables that say otherwise, the first that is set counts.
        keys: environment variables that may hold the key; empty where it takes none.
        key_url: where to get a key.
        default: the model that `auto` takes; "" where the server is asked what it has.
        prefixes: what bare names of its models begin with.
        prices: its name in the price list, "" where it is not in it.
        priced: a pattern that names in the price list fit.
        local: runs on this machine: needs no key and costs nothing.
        profile: what its models can do.
        patterns: changes to that by a pattern that a model's name holds.
    """

    name: str
    protocol: str = "openai-chat"
    base_url: str
    base_url_variables: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    key_url: str = ""
    default: str = ""
    prefixes: tuple[str, ...] = ()
    prices: str = ""
    priced: str = ""
    local: bool = False
    profile: Profile = Profile()
    patterns: tuple[tuple[str, dict[str, Any]], ...] = ()

    def has_price(self, model: str) -> bool:
        """Whether the price list may hold this model."""
        return bool(self.prices) and re.match(self.priced, model, re.IGNORECASE) is not None

    def costs_nothing(self, model: str) -> bool:
        """Whether it runs on the user's own machine. Ollama's names that end in "cloud" do not."""
        return self.local and not model.endswith("cloud")


_EFFORT: Final = {"reasoning_effort": True, "sampling": False, "system_role": "developer"}

_TABLE: Final = (
    Provider(
        name="openai",
        base_url="https://api.openai.com/v1",
        keys=("OPENAI_API_KEY",),
        key_url="https://platform.openai.com/api-keys",
        default="gpt-5-mini",
        prefixes=("gpt-", "o1", "o3", "o4", "chatgpt-", "codex-"),
        prices="openai",
        priced=r"gpt-|o\d|chatgpt-|codex-|computer-use|ft:|text-|davinci|babbage",
        profile=Profile(json_schema=True, strict_tools=True, max_tokens_field="max_completion_tokens"),
        patterns=(
            (r"^(o\d|gpt-[5-9])", _EFFORT),
            (r"^gpt-[5-9].*-chat", {"reasoning_effort": False, "sampling": True, "system_role": "system"}),
            (r"^(o1-mini|o1-preview)", {"native_tools": False, "json_schema": False, "system_role": "user"}),
            (r"^(gpt-3\.5|gpt-4$|gpt-4-|gpt-4o-2024-05-13)", {"json_schema": False}),
        ),
    ),
    Provider(
        name="deepseek",
        base_url="https://api.deepseek.com/v1",
        keys=("DEEPSEEK_API_KEY",),
        key_url="https://platform.deepseek.com/api_keys",
        default="deepseek-chat",
        prefixes=("deepseek-",),
        prices="deepseek",
        priced=r"deepseek-",
        profile=Profile(send_reasoning=True, thinking="thinking", parallel_tools=False),
    ),
    Provider(
        name="zhipu",
        base_url="https://open.bigmodel.cn/api/paas/v4",
        keys=("ZHIPU_API_KEY", "ZHIPUAI_API_KEY"),
        key_url="https://open.bigmodel.cn/usercenter/apikeys",
        default="glm-4.7",
        prefixes=("glm-", "chatglm", "cogview-", "charglm-"),
        prices="zhipuai",
        priced=r"glm-",
        profile=Profile(send_reasoning=True, thinking="thinking", parallel_tools=False),
    ),
    Provider(
        name="qwen",
        base_url="https://dashscope.aliyuncs.com/compatible-mode/v1",
        base_url_variables=("DASHSCOPE_BASE_URL", "QWEN_BASE_URL"),
        keys=("DASHSCOPE_API_KEY", "QWEN_API_KEY"),
        key_url="https://bailian.console.aliyun.com/?tab=model#/api-key",
        default="qwen-plus",
        prefixes=("qwen-", "qwen1", "qwen2", "qwen3", "qwen4", "qwq-", "qvq-"),
        profile=Profile(thinking="enable_thinking"),
        patterns=((r"^(qwq|qvq|.*omni|.*-thinking)|^qwen3-\d", {"stream_only": True}),),
    ),
    Provider(
        name="together",
        base_url="https://api.together.xyz/v1",
        keys=("TOGETHER_API_KEY",),
        key_url="https://api.together.ai/settings/api-keys",
        default="openai/gpt-oss-120b",
        prices="together",
        priced=r".*/",
        profile=Profile(json_schema=True),
        patterns=((r"gpt-oss", {"reasoning_effort": True}),),
    ),
    Provider(
        name="moonshot",
        base_url="https://api.moonshot.cn/v1",
        keys=("MOONSHOT_API_KEY", "KIMI_API_KEY"),
        key_url="https://platform.moonshot.cn/console/api-keys",
        default="kimi-k2.5",
        prefixes=("kimi-", "moonshot-"),
        prices="moonshotai",
        priced=r"kimi-|moonshot-",
        profile=Profile(send_reasoning=True, thinking="thinking"),
    ),
    Provider(
        name="mistral",
        base_url="https://api.mistral.ai/v1",
        keys=("MISTRAL_API_KEY",),
        key_url="https://console.mistral.ai/api-keys",
        default="mistral-small-latest",
        prefixes=("mistral-", "ministral-", "magistral-", "codestral-", "devstral-", "pixtral-", "open-mi"),
        prices="mistral",
        priced=r".*(stral|mixtral|glm)",
        profile=Profile(json_schema=True, stream_usage=False, call_ids="mistral"),
    ),
    Provider(
        name="groq",
        base_url="https://api.groq.com/openai/v1",
        keys=("GROQ_API_KEY",),
        key_url="https://console.groq.com/keys",
        default="openai/gpt-oss-120b",
        prefixes=("llama-3", "llama-4"),
        prices="groq",
        priced=r".",
        profile=Profile(max_tokens_field="max_completion_tokens"),
        patterns=(
            (r"(gpt-oss|kimi-k2|llama-4)", {"json_schema": True}),
            (r"(gpt-oss|qwen3)", {"reasoning_effort": True}),
        ),
    ),
    Provider(
        name="xai",
        base_url="https://api.x.ai/v1",
        keys=("XAI_API_KEY",),
        key_url="https://console.x.ai",
        default="grok-4-fast-non-reasoning",
        prefixes=("grok-",),
        prices="x-ai",
        priced=r"grok-",
        profile=Profile(json_schema=True),
        patterns=((r"^grok-3-mini", {"reasoning_effort": True}),),
    ),
    Provider(
        name="openrouter",
        base_url="https://openrouter.ai/api/v1",
        keys=("OPENROUTER_API_KEY",),
        key_url="https://openrouter.ai/keys",
        default="openrouter/auto",
        prices="openrouter",
        priced=r".*/",
        profile=Profile(json_schema=True, thinking="openrouter"),
    ),
    Provider(
        name="ollama",
        base_url="http://127.0.0.1:11434/v1",
        keys=("OLLAMA_API_KEY",),
        prefixes=("llama2", "llama3", "llama4", "llava", "phi3", "phi4", "gemma", "tinyllama", "smollm"),
        local=True,
        profile=Profile(json_schema=True, local=True, reasoning_effort=True),
    ),
    Provider(
        name="lmstudio",
        base_url="http://127.0.0.1:1234/v1",
        base_url_variables=("LMSTUDIO_BASE_URL", "LM_STUDIO_BASE_URL"),
        keys=("LMSTUDIO_API_KEY",),
        local=True,
        profile=Profile(json_schema=True, local=True),
    ),
    Provider(
        name="vllm",
        base_url="http://127.0.0.1:8000/v1",
        keys=("VLLM_API_KEY",),
        local=True,
        profile=Profile(json_schema=True, local=True, thinking="template"),
    ),
)

PROVIDERS: Final[Mapping[str, Provider]] = {p.name: p for p in _TABLE}
"""Every provider by name, in the order in which `auto` tries them."""

LATER: Final[Mapping[str, tuple[str, ...]]] = {
    "anthropic": ("claude-",),
    "gemini": ("gemini-",),
    "openai-responses": (),
}
"""Names that are kept for protocols which this version does not speak, and what bare names of theirs begin with."""


def base_url_of(provider: str) -> str:
    """Where a provider's API is: as its variables say, else its own address.

    A local server's address may be given without a path; its API is under `/v1`.
    """
    entry = PROVIDERS.get(provider)
    url = base_url_given(provider) or (entry.base_url if entry is not None else "")
    if entry is not None and entry.local and url.rstrip("/").count("/") == 2:  # noqa: PLR2004  # scheme://host
        return url.rstrip("/") + "/v1"
    return url


def base_url_given(provider: str) -> str | None:
    """The base URL that the environment gives for a provider."""
    entry = PROVIDERS.get(provider)
    variables = entry.base_url_variables if entry is not None else ()
    for variable in variables or (f"{provider.upper().replace('-', '_')}_BASE_URL",):
        if url := os.environ.get(variable, "").strip():
            return url
    return None


def key_given(provider: str) -> str | None:
    """The key that the environment holds for a provider."""
    entry = PROVIDERS.get(provider)
    for variable in entry.keys if entry is not None else (f"{provider.upper().replace('-', '_')}_API_KEY",):
        if key := os.environ.get(variable, "").strip():
            return key
    return None


def key_of(provider: str, endpoint: str) -> str | None:
    """The key to send to a provider; None where it needs none: on this machine, or at another address than its own.

    Raises:
        MissingKeyError: it needs one and no variable holds one.
    """
    key = key_given(provider)
    entry = PROVIDERS.get(provider)
    if key is None and entry is not None and not entry.local and _same_host(endpoint, entry.base_url):
        from lumosai.errors import MissingKeyError

        raise MissingKeyError(provider, variables=entry.keys, url=entry.key_url)
    return key


def profile_of(provider: str, name: str, endpoint: str) -> Profile:
    """What a model can do, as far as the table knows.

    Of a server at another address than the provider's own, which serves a model that does not sound like one of the
    provider's, nothing is known but that it speaks the protocol.
    """
    entry = PROVIDERS.get(provider)
    if entry is None:
        return Profile()
    strange = entry.prefixes and not name.startswith(entry.prefixes) and not entry.local
    if strange and not _same_host(endpoint, entry.base_url):
        return Profile()
    return _profile(entry.name, name)


@lru_cache(maxsize=1024)
def _profile(provider: str, name: str) -> Profile:
    entry = PROVIDERS[provider]
    changes: dict[str, Any] = {}
    for pattern, change in entry.patterns:
        if re.search(pattern, name):
            changes |= change
    changes |= media_of(provider, name)
    return msgspec.structs.replace(entry.profile, **changes) if changes else entry.profile


def _same_host(one: str, other: str) -> bool:
    return one.split("/")[2:3] == other.split("/")[2:3]
