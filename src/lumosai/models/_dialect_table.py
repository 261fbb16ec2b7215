"""Which textual format the models of each family write their calls in, as far as their names tell it.

By the chat templates of the models and the parsers that serving engines name for them; what is not here is asked for the
default. Only for the text mode: a server that calls natively knows its model's format itself.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

_FAMILIES: Final = (
    (r"gpt-oss", "harmony"),
    (r"functiongemma", "functiongemma"),
    (r"gemma-?4|gemma.*-4-", "gemma4"),
    (r"gemma", "gemma3"),
    (r"xlam", "xlam"),
    (r"qwen[\d.]*-?coder-?next|qwen3-?coder|qwen3\.[5-9]|qwen[4-9]", "qwen3-coder"),
    (r"deepseek.*(v4\.[1-9]|v[5-9])", "deepseek-v4.1"),
    (r"deepseek.*v4", "deepseek-v4"),
    (r"deepseek.*v3\.2-exp", "deepseek-v3.1"),
    (r"deepseek.*v3\.[2-9]", "deepseek-v3.2"),
    (r"deepseek.*(v3\.1|terminus)", "deepseek-v3.1"),
    (r"deepseek.*distill.*llama", "llama3"),
    (r"deepseek.*distill.*qwen", "hermes"),
    (r"deepseek", "deepseek-v3"),
    (r"kimi-?k[3-9]", "kimi-k3"),
    (r"kimi|moonlight", "kimi-k2"),
    (r"glm-?(4\.[5-9]|[5-9])", "glm"),
    (r"minimax.*m[3-9]", "minimax-m3"),
    (r"minimax", "minimax-m2"),
    (r"step-?3\.[5-9]", "qwen3-coder"),
    (r"step-?3", "step3"),
    (r"minicpm-?[5-9]", "minicpm5"),
    (r"seed-?oss", "seed-oss"),
    (r"hunyuan-?[3-9]|\bhy-?[3-9]", "hunyuan3"),
    (r"hunyuan", "hunyuan"),
    (r"longcat", "longcat"),
    (r"nemotron-?3|nemotron.*nano.*30b", "qwen3-coder"),
    (r"nemotron.*(nano|ultra)", "nemotron-json"),
    (r"command-?(a|r7b)|c4ai-command-(a|r7b)", "cohere"),
    (r"command-?r", "command-r"),
    (r"(ministral|magistral|devstral|mistral-(small|medium|large)).*(25(0[3-9]|1)|26|3\.[1-9]|latest)", "mistral"),
    (r"mistral-(small|medium)-?3\.[1-9]|devstral|magistral|ministral-?3", "mistral"),
    (r"mistral|mixtral|ministral|codestral|pixtral", "mistral-v3"),
    (r"granite.*20b-function", "granite-20b-fc"),
    (r"granite-?4", "hermes"),
    (r"granite", "granite"),
    (r"phi-?4-mini|firefunction", "functools"),
    (r"functionary.*v3\.1", "functionary-v3.1"),
    (r"functionary.*v3", "functionary-v3.2"),
    (r"functionary", "functionary-v2"),
    (r"llama-?4", "llama4"),
    (r"llama-?3", "llama3"),
    (r"lfm-?2", "lfm2"),
    (r"olmo-?3", "olmo3"),
    (r"apertus", "apertus"),
    (r"internlm", "internlm2"),
    (r"gigachat", "gigachat3"),
    (r"muse-?glimmer", "muse-glimmer"),
    (r"jamba", "hunyuan"),
    (r"ring-|ling-", "glm"),
    (r"mimo", "qwen3-coder"),
    (r"claude", "invoke"),
    (r"qwen|qwq|hermes|ernie|reka", "hermes"),
)


@lru_cache(maxsize=1024)
def dialect_of(name: str) -> str:
    """The dialect of a model with this name, "" where it does not tell."""
    lower = name.lower()
    return next((dialect for pattern, dialect in _FAMILIES if re.search(pattern, lower)), "")
