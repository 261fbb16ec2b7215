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
        account_variables: environment variables that hold the account which stands in its address as `{account}`.
        keys: environment variables that may hold the key; empty where it takes none.
        key_url: where to get a key.
        default: the model that `auto` takes; "" where the server is asked what it has.
        auto: whether `auto` takes it where its key is set; not where that is mostly set for something else.
        prefixes: what bare names of its models begin with.
        prices: its name in the price list, "" where it is not in it.
        priced: a pattern that names in the price list fit.
        local: runs on this machine: needs no key and costs nothing.
        profile: what its models can do.
        patterns: changes to that by a pattern that a model's name holds.
        elsewhere: what is thought of a model that is none of its own, at another address than its own.
    """

    name: str
    protocol: str = "openai-chat"
    base_url: str
    base_url_variables: tuple[str, ...] = ()
    account_variables: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    key_url: str = ""
    default: str = ""
    auto: bool = True
    prefixes: tuple[str, ...] = ()
    prices: str = ""
    priced: str = ""
    local: bool = False
    profile: Profile = Profile()
    patterns: tuple[tuple[str, dict[str, Any]], ...] = ()
    elsewhere: Profile = Profile()

    def has_price(self, model: str) -> bool:
        """Whether the price list may hold this model."""
        return bool(self.prices) and re.match(self.priced, model, re.IGNORECASE) is not None

    def costs_nothing(self, model: str) -> bool:
        """Whether it runs on the user's own machine. Ollama's names that end in "cloud" do not."""
        return self.local and not model.endswith("cloud")


_EFFORT: Final = {"reasoning_effort": True, "sampling": False, "system_role": "developer"}
_THINKS: Final = {"thinks": True, "reasoning_required": True}
_LEVELS: Final = ("low", "medium", "high")
_GEMINI_3: Final = {"schema_with_tools": True, "call_signatures": True, "result_media": True}
_OPENAI: Final = ("gpt-", "o1", "o3", "o4", "chatgpt-", "codex-")
_OPENAI_PRICED: Final = r"gpt-|o\d|chatgpt-|codex-|computer-use|ft:|text-|davinci|babbage"

_EFFORTS: Final = ("low", "medium", "high", "xhigh", "max")
_CLAUDE: Final[tuple[tuple[str, dict[str, Any]], ...]] = (
    (r"^claude-(2|instant)", {"native_tools": False, "output_tokens": 4096}),
    (r"^claude-3-(opus|sonnet|haiku)", {"output_tokens": 4096}),
    (r"^claude-3-5", {"output_tokens": 8192}),
    (r"^claude-(3-7|4-|(opus|sonnet)-4($|-[015]|-2)|haiku-4)", {"thinking": "budget"}),
    (r"^claude-(opus-4-[15]|sonnet-4-5|haiku-4)(?!\d)", {"json_schema": True, "strict_tools": True}),
    (
        r"^claude-(opus|sonnet)-4-[6-9]",
        {
            "json_schema": True,
            "strict_tools": True,
            "thinking": "adaptive",
            "efforts": ("low", "medium", "high", "max"),
        },
    ),
    (r"^claude-opus-4-[7-9]", {"sampling": False, "efforts": _EFFORTS}),
    (r"^claude-opus-4-[6-9]|^claude-sonnet-4-[6-9]", {"context_tokens": 1_000_000}),
    (
        r"^claude-[a-z]+-([5-9]|\d\d)(?!\d)|^claude-mythos",
        {
            "json_schema": True,
            "strict_tools": True,
            "thinking": "adaptive",
            "efforts": _EFFORTS,
            "sampling": False,
            "thinks": True,
            "output_tokens": 64_000,
            "context_tokens": 1_000_000,
        },
    ),
    (r"^claude-(fable|mythos|opus-5-5)", {"thinking": "adaptive-always"}),
    (r"^claude-(fable-5-[12]|mythos|opus-5-5|sonnet-5-5)", {"tool_choices": "auto"}),
    (r"^claude-sonnet-5-5", {"thinking": "adaptive-between"}),
)
"""What Claude's generations can do."""

_TABLE: Final = (
    Provider(
        name="openai",
        base_url="https://api.openai.com/v1",
        keys=("OPENAI_API_KEY",),
        key_url="https://platform.openai.com/api-keys",
        default="gpt-5-mini",
        prefixes=_OPENAI,
        prices="openai",
        priced=_OPENAI_PRICED,
        profile=Profile(json_schema=True, strict_tools=True, max_tokens_field="max_completion_tokens"),
        patterns=(
            (r"^(o\d|gpt-[5-9])", _EFFORT),
            (r"^gpt-[5-9].*-chat", {"reasoning_effort": False, "sampling": True, "system_role": "system"}),
            (r"^(o1-mini|o1-preview)", {"native_tools": False, "json_schema": False, "system_role": "user"}),
            (r"^(gpt-3\.5|gpt-4$|gpt-4-|gpt-4o-2024-05-13)", {"json_schema": False}),
        ),
    ),
    Provider(
        name="openai-responses",
        protocol="openai-responses",
        base_url="https://api.openai.com/v1",
        base_url_variables=("OPENAI_BASE_URL",),
        keys=("OPENAI_API_KEY",),
        key_url="https://platform.openai.com/api-keys",
        default="gpt-5-mini",
        auto=False,
        prefixes=_OPENAI,
        prices="openai",
        priced=_OPENAI_PRICED,
        profile=Profile(json_schema=True, strict_tools=True, refuses=("include",)),
        patterns=(
            (r"^(o\d|gpt-[5-9]|codex-)", {**_EFFORT, "refuses": ()}),
            (
                r"^gpt-[5-9].*-chat",
                {"reasoning_effort": False, "sampling": True, "system_role": "system", "refuses": ("include",)},
            ),
            (r"^(gpt-3\.5|gpt-4$|gpt-4-|gpt-4o-2024-05-13)", {"json_schema": False}),
        ),
        elsewhere=Profile(reasoning_effort=True),
    ),
    # https://api-docs.deepseek.com/guides/thinking_mode: thoughts go back with every message of a turn that called tools,
    # an empty one is missed too; V4 thinks by default. https://api-docs.deepseek.com/guides/chat_prefix_completion: only
    # under /beta. R1 and V3 to V3.1 refuse `reasoning_content` in their input.
    Provider(
        name="anthropic",
        protocol="anthropic",
        base_url="https://api.anthropic.com/v1",
        keys=("ANTHROPIC_API_KEY",),
        key_url="https://console.anthropic.com/settings/keys",
        default="claude-sonnet-5",
        prefixes=("claude-",),
        prices="anthropic",
        priced=r"claude-",
        profile=Profile(prompt_cache=True, output_tokens=32_000, context_tokens=200_000),
        patterns=_CLAUDE,
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
        profile=Profile(
            send_reasoning=True,
            reasoning_in="all",
            reasoning_required=True,
            thinking="thinking",
            thinks=True,
            tool_choices="auto_thinking",
            parallel_tools=False,
            prefix="prefix",
            prefix_path="/beta",
        ),
        patterns=(
            (r"^deepseek-(chat|v3)", {"thinks": False}),
            (r"^deepseek-(v[4-9]|flash|pro)", {"reasoning_effort": True, "efforts": ("low", "high", "max")}),
            (
                r"^deepseek-(r1|v2|v3($|-0|\.1))",
                {"send_reasoning": False, "reasoning_required": False, "thinking": ""},
            ),
        ),
    ),
    # https://docs.z.ai/guides/capabilities/thinking-mode: thoughts go back with the results of the calls they led to.
    # https://docs.z.ai/api-reference/llm/chat-completion: `tool_choice` is "auto" and nothing else, `tool_stream` from
    # GLM 4.6 on, no `stream_options`. A prompt without a user's message is refused with 1214.
    Provider(
        name="zhipu",
        base_url="https://open.bigmodel.cn/api/paas/v4",
        keys=("ZHIPU_API_KEY", "ZHIPUAI_API_KEY"),
        key_url="https://open.bigmodel.cn/usercenter/apikeys",
        default="glm-4.7",
        prefixes=("glm-", "chatglm", "cogview-", "charglm-"),
        prices="zhipuai",
        priced=r"glm-",
        profile=Profile(
            send_reasoning=True, parallel_tools=False, stream_usage=False, tool_choices="auto", order=("empty", "user")
        ),
        patterns=(
            (r"^glm-(4\.[5-9]|[5-9])", {"thinking": "thinking", "thinks": True}),
            (r"^glm-(4\.[6-9]|[5-9])", {"tool_stream": True}),
            (r"^glm-(5\.[2-9]|[6-9])", {"reasoning_effort": True, "efforts": ("low", "high", "max")}),
        ),
    ),
    # https://help.aliyun.com/en/model-studio/deep-thinking: `enable_thinking`, `thinking_budget`; thoughts come in streams
    # only, the open Qwen 3 think by default, QwQ, QVQ and Omni answer in streams only; no call can be demanded of a model
    # that thinks. https://help.aliyun.com/en/model-studio/partial-mode: `partial`, not while it thinks.
    Provider(
        name="qwen",
        base_url="https://dashscope.aliyuncs.com/compatible-mode/v1",
        base_url_variables=("DASHSCOPE_BASE_URL", "QWEN_BASE_URL"),
        keys=("DASHSCOPE_API_KEY", "QWEN_API_KEY"),
        key_url="https://bailian.console.aliyun.com/?tab=model#/api-key",
        default="qwen-plus",
        prefixes=("qwen-", "qwen1", "qwen2", "qwen3", "qwen4", "qwq-", "qvq-"),
        profile=Profile(
            thinking="enable_thinking", stream_thinking=True, tool_choices="auto_thinking", prefix="partial"
        ),
        patterns=(
            (r"^(qwq|qvq|.*omni|.*-thinking)|^qwen3-\d", {"stream_only": True}),
            (r"^(qwq|qvq|.*-thinking)|^qwen3-\d(?!.*instruct)|^qwen3\.[5-9]|^qwen[4-9]", {"thinks": True}),
            (r"^(.*-coder|.*instruct|qwen[12])", {"thinking": ""}),
            (r"^(qwq|qvq|.*-thinking)", {"thinking": "", "prefix": ""}),
        ),
    ),
    # https://docs.together.ai/docs/reasoning-overview: hybrid models take `reasoning.enabled`, gpt-oss an effort.
    Provider(
        name="gemini",
        protocol="gemini",
        base_url="https://generativelanguage.googleapis.com/v1beta",
        base_url_variables=("GEMINI_BASE_URL", "GOOGLE_GEMINI_BASE_URL"),
        keys=("GEMINI_API_KEY", "GOOGLE_API_KEY"),
        key_url="https://aistudio.google.com/apikey",
        default="gemini-3.8-flash",
        prefixes=("gemini-",),
        prices="google",
        priced=r"gemini-",
        profile=Profile(
            json_schema=True,
            schema_with_tools=False,
            thinking="level",
            efforts=_LEVELS,
        ),
        patterns=(
            (r"^gemini-([3-9]|\d\d|\w+-latest|\w+-lite-latest)", _GEMINI_3),
            (r"^gemini-3-pro", {"efforts": ("low", "high")}),
            (r"^gemini-3(\.[156])?-flash", {"efforts": ("minimal", *_LEVELS)}),
            (r"^gemini-2\.5", {"thinking": "budget"}),
            (r"^gemini-2\.5-pro", {"thinking": "budget_always"}),
            (r"^(gemini-(1|2\.0)|gemma-|learnlm-)", {"thinking": ""}),
            (r"^gemini-2\.0-flash-thinking", {"native_tools": False, "json_schema": False}),
            (r"image", {"native_tools": False, "thinking": "", "call_signatures": False}),
            (r"^gemini-2.*image", {"json_schema": False}),
            (r"tts", {"native_tools": False, "json_schema": False, "thinking": ""}),
            (r"^gemma-[1-3]", {"native_tools": False, "json_schema": False, "system_role": "user"}),
        ),
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
        patterns=(
            (r"gpt-oss", {"reasoning_effort": True, "efforts": ("low", "medium", "high")}),
            (r"(?i)(deepseek-v[34]\.?[1-9]?|glm-(4\.[5-9]|5)|kimi-k2\.[5-9]|qwen3\.[5-9])", {"thinking": "enabled"}),
        ),
    ),
    # https://platform.moonshot.ai/docs/guide/use-kimi-k2-thinking-model: thoughts are kept in the context, and missed in
    # messages with calls; sampling is fixed from K2.5 on; K2.5 and K2.6 can be switched, K2 Thinking and K3 always think.
    # https://platform.moonshot.ai/docs/guide/use-partial-mode-feature-of-kimi-api: `partial`.
    Provider(
        name="moonshot",
        base_url="https://api.moonshot.cn/v1",
        keys=("MOONSHOT_API_KEY", "KIMI_API_KEY"),
        key_url="https://platform.moonshot.cn/console/api-keys",
        default="kimi-k2.5",
        prefixes=("kimi-", "moonshot-"),
        prices="moonshotai",
        priced=r"kimi-|moonshot-",
        profile=Profile(send_reasoning=True, tool_choices="auto_thinking", prefix="partial", order=("empty",)),
        patterns=(
            (r"thinking|^kimi-k2\.[5-9]|^kimi-k[3-9]", {**_THINKS, "reasoning_in": "all"}),
            (r"^kimi-k2\.[56](?!.*code)", {"thinking": "thinking"}),
            (r"^kimi-(k2\.[5-9]|k[3-9])", {"sampling": False}),
            (r"^kimi-k[3-9]", {"reasoning_effort": True, "efforts": ("low", "high", "max")}),
        ),
    ),
    # https://docs.mistral.ai/api: `random_seed`, `prefix`, "any" for a call of any tool, no `stream_options`, unknown
    # fields refused. Order and ids as mistral-common's request validator has them. Thoughts are parts of the content, in
    # and out: https://docs.mistral.ai/capabilities/reasoning.
    Provider(
        name="mistral",
        base_url="https://api.mistral.ai/v1",
        keys=("MISTRAL_API_KEY",),
        key_url="https://console.mistral.ai/api-keys",
        default="mistral-small-latest",
        prefixes=("mistral-", "ministral-", "magistral-", "codestral-", "devstral-", "pixtral-", "open-mi"),
        prices="mistral",
        priced=r".*(stral|mixtral|glm)",
        profile=Profile(
            json_schema=True,
            stream_usage=False,
            call_ids="mistral",
            seed_field="random_seed",
            tool_choices="any",
            prefix="prefix",
            order=("empty", "system", "tool_user", "last"),
        ),
        patterns=(
            (
                r"(magistral|mistral-(small|medium)-(latest|2[6-9]|3\.[5-9]))",
                {"send_reasoning": True, "reasoning_in": "all", "reasoning_field": "content"},
            ),
            (
                r"mistral-(small|medium)-(latest|2[6-9]|3\.[5-9])",
                {"reasoning_effort": True, "efforts": ("none", "high")},
            ),
        ),
    ),
    # https://console.groq.com/docs/reasoning: Qwen's thoughts stand in the text unless they are asked for apart, which
    # gpt-oss does not know; only gpt-oss takes its own `reasoning` back; any other field of a message is refused.
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
            (
                r"gpt-oss",
                {
                    "reasoning_effort": True,
                    "efforts": ("low", "medium", "high"),
                    "send_reasoning": True,
                    "reasoning_field": "reasoning",
                },
            ),
            (
                r"qwen3|qwen-3|deepseek-r1",
                {
                    "reasoning_effort": True,
                    "efforts": ("none", "default"),
                    "fields": {"reasoning_format": "parsed"},
                },
            ),
        ),
    ),
    # https://docs.x.ai/docs/guides/reasoning: grok-3-mini and 4.3 on take an effort, other models refuse the word.
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
        patterns=(
            (r"^grok-3-mini", {"reasoning_effort": True, "efforts": ("low", "high")}),
            (
                r"^grok-4\.([3-9](?!\d)|[3-9]$)",
                {"reasoning_effort": True, "efforts": ("none", "low", "medium", "high")},
            ),
        ),
    ),
    # https://openrouter.ai/docs/use-cases/reasoning-tokens: `reasoning`; `reasoning_details` go back as they came.
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
    # https://docs.cohere.com/docs/compatibility-api: no `parallel_tool_calls`, `strict` or `n`; the effort is "none" or
    # "high".
    Provider(
        name="cohere",
        base_url="https://api.cohere.ai/compatibility/v1",
        keys=("COHERE_API_KEY", "CO_API_KEY"),
        key_url="https://dashboard.cohere.com/api-keys",
        default="command-a-03-2025",
        prefixes=("command-", "c4ai-"),
        prices="cohere",
        priced=r"command|c4ai-",
        profile=Profile(json_schema=True, parallel_tools=False),
        patterns=(
            (r"reasoning|^command-a-plus", {"reasoning_effort": True, "efforts": ("none", "high"), "thinks": True}),
            (r"vision", {"native_tools": False}),
        ),
    ),
    # https://huggingface.co/docs/inference-providers: a router to many servers, "org/model:server".
    Provider(
        name="huggingface",
        base_url="https://router.huggingface.co/v1",
        keys=("HF_TOKEN", "HUGGINGFACE_HUB_TOKEN"),
        key_url="https://huggingface.co/settings/tokens",
        default="openai/gpt-oss-120b",
        auto=False,
        profile=Profile(json_schema=True),
        patterns=((r"gpt-oss", {"reasoning_effort": True, "efforts": ("low", "medium", "high")}),),
    ),
    # https://docs.snowflake.com/en/user-guide/snowflake-cortex/open_ai_sdk: tools and schemas for Claude's and OpenAI's
    # models only; Claude thinks by `reasoning`, and only at temperature 1.
    Provider(
        name="snowflake",
        base_url="https://{account}.snowflakecomputing.com/api/v2/cortex/v1",
        account_variables=("SNOWFLAKE_ACCOUNT", "SNOWFLAKE_ACCOUNT_IDENTIFIER"),
        keys=("SNOWFLAKE_TOKEN", "SNOWFLAKE_PAT"),
        key_url="https://docs.snowflake.com/en/user-guide/programmatic-access-tokens",
        default="claude-sonnet-4-5",
        profile=Profile(max_tokens_field="max_completion_tokens", native_tools=False, parallel_tools=False),
        patterns=(
            (r"^(claude|openai-)", {"native_tools": True, "json_schema": True, "parallel_tools": True}),
            (r"^claude", {"thinking": "openrouter", "thinking_temperature": 1.0}),
            (r"^openai-(gpt-[5-9]|o\d)", {"reasoning_effort": True, "sampling": False}),
        ),
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
    # https://github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md: a template's switches by
    # `chat_template_kwargs`; thoughts are taken back as `reasoning_content`.
    Provider(
        name="llamacpp",
        base_url="http://127.0.0.1:8080/v1",
        base_url_variables=("LLAMACPP_BASE_URL", "LLAMA_CPP_BASE_URL"),
        keys=("LLAMACPP_API_KEY", "LLAMA_API_KEY"),
        local=True,
        profile=Profile(json_schema=True, local=True, thinking="template", send_reasoning=True),
    ),
)

PROVIDERS: Final[Mapping[str, Provider]] = {p.name: p for p in _TABLE}
"""Every provider by name, in the order in which `auto` tries them."""


def base_url_of(provider: str) -> str:
    """Where a provider's API is: as its variables say, else its own address.

    A local server's address may be given without a path; its API is under `/v1`.
    """
    entry = PROVIDERS.get(provider)
    url = base_url_given(provider) or (_own_url(entry) if entry is not None else "")
    if entry is not None and entry.local and url.rstrip("/").count("/") == 2:  # noqa: PLR2004  # scheme://host
        return url.rstrip("/") + "/v1"
    return url


def _own_url(entry: Provider) -> str:
    """The provider's own address, with the account in it where one is set and looks like one."""
    for variable in entry.account_variables:
        given = os.environ.get(variable, "").strip().rstrip("/").rpartition("//")[2]
        account = given.removesuffix("." + entry.base_url.partition("{account}.")[2].partition("/")[0])
        if re.fullmatch(r"[A-Za-z0-9._-]+", account):
            return entry.base_url.replace("{account}", account)
    return entry.base_url


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
        ConfigurationError: its address needs an account and no variable holds one.
    """
    key = key_given(provider)
    entry = PROVIDERS.get(provider)
    if key is None and entry is not None and not entry.local and _is_own(entry, endpoint):
        from lumosai.errors import MissingKeyError

        raise MissingKeyError(provider, variables=entry.keys, url=entry.key_url)
    if entry is not None and "{account}" in endpoint:
        from lumosai.errors import ConfigurationError

        msg = f"the address of {provider!r} holds the account: set {entry.account_variables[0]}, or give a base_url"
        raise ConfigurationError(msg)
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
    if strange and not _is_own(entry, endpoint):
        return entry.elsewhere
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


def at_home(provider: str, endpoint: str) -> bool:
    """Whether an address is that of a provider of the table itself, not of a server that speaks its protocol."""
    entry = PROVIDERS.get(provider)
    return entry is not None and _is_own(entry, endpoint)


def _is_own(entry: Provider, endpoint: str) -> bool:
    """Whether an address is on the provider's own host."""
    host, own = endpoint.split("/")[2:3], entry.base_url.split("/")[2:3]
    return host == own or (bool(entry.account_variables) and bool(host) and host[0].endswith(own[0].rpartition("}")[2]))
