"""What images, audio and files the models of each provider take, as far as their names tell it.

Of a provider that is not here, and of what is not said of one that is, nobody knows: such a part is sent, and the server
judges. Later patterns come before earlier ones.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

_PICTURES: Final = ("image/png", "image/jpeg", "image/webp", "image/gif")
_TEXTS: Final = ("text/*", "application/json", "application/xml", "application/yaml", "application/toml")
_SOUNDS: Final = ("audio/wav", "audio/mpeg")
_TEXT_ONLY: Final = {"images": False, "audio": False, "files": False}
_SEES: Final = {"images": True}
_HEARS: Final = {"audio": True}

_OPENAI: Final = (
    (r"", {"images": True, "audio": False, "files": True, "media_types": (*_PICTURES, *_SOUNDS), "urls": ("image",)}),
    (r"^(gpt-3\.5|gpt-4$|gpt-4-(0|32k|1106-preview)|o1-mini|o1-preview|o3-mini)", _TEXT_ONLY),
    (r"audio", {**_TEXT_ONLY, **_HEARS}),
)

_MEDIA: Final[Mapping[str, tuple[tuple[str, dict[str, Any]], ...]]] = {
    "openai": _OPENAI,
    "openai-responses": (*_OPENAI, (r"", {"urls": ("image", "file")})),
    "anthropic": (
        (
            r"",
            {
                "images": True,
                "audio": False,
                "files": True,
                "media_types": (*_PICTURES, "application/pdf", *_TEXTS),
                "urls": ("image", "file"),
            },
        ),
        (r"^claude-(2|instant)", _TEXT_ONLY),
    ),
    "gemini": ((r"", {"images": True, "audio": True, "files": True}), (r"tts|gemma-3-1b", _TEXT_ONLY)),
    "deepseek": ((r"", _TEXT_ONLY),),
    "zhipu": ((r"", {**_TEXT_ONLY, "urls": ("image",)}), (r"^glm-[\d.]+v", _SEES)),
    "qwen": (
        (r"", {**_TEXT_ONLY, "urls": ("image", "audio"), "media_form": "qwen"}),
        (r"-vl|^qvq|omni|^qwen3\.[5-9]|^qwen[4-9]", _SEES),
        (r"omni", _HEARS),
    ),
    "together": ((r"", {"files": False}), (r"(?i)-vl|vision|llama-4", _SEES)),
    "moonshot": ((r"", {**_TEXT_ONLY, "urls": ()}), (r"vision|^kimi-k2\.[5-9]|^kimi-k[3-9]", _SEES)),
    "mistral": (
        (
            r"",
            {
                "images": False,
                "audio": False,
                "files": True,
                "media_types": _PICTURES,
                "urls": ("image", "audio", "file"),
                "media_form": "mistral",
            },
        ),
        (r"pixtral|mistral-(small|medium|large)|magistral|ministral|devstral-small", _SEES),
        (r"voxtral", _HEARS),
    ),
    "groq": ((r"", {**_TEXT_ONLY, "urls": ("image",)}), (r"llama-4", _SEES)),
    "xai": (
        (
            r"",
            {
                "images": True,
                "audio": False,
                "files": False,
                "media_types": ("image/png", "image/jpeg"),
                "urls": ("image",),
            },
        ),
        (r"^grok-(2-1212|3|code)", _TEXT_ONLY),
    ),
    "openrouter": ((r"", {"files": True, "urls": ("image", "file")}),),
    "cohere": ((r"", _TEXT_ONLY), (r"vision|aya-vision", _SEES)),
    "snowflake": ((r"", _TEXT_ONLY), (r"^(claude|openai-)", {**_SEES, "urls": ()})),
    "ollama": ((r"", {"files": False, "urls": ()}), (r"llava|-?vl|vision|gemma3|gemma4|llama4|minicpm-v", _SEES)),
    "lmstudio": ((r"", {"files": False, "audio": False, "urls": ()}),),
    "vllm": ((r"", {"files": False, "urls": ("image", "audio"), "media_form": "vllm"}),),
    "llamacpp": ((r"", {"files": False, "urls": ("image",)}),),
    "local": ((r"", _TEXT_ONLY),),
}
"""By provider: a pattern that a model's name holds, and what that says of its profile."""


@lru_cache(maxsize=1024)
def media_of(provider: str, name: str) -> Mapping[str, Any]:
    """What is known of a model's media, as fields of its profile."""
    changes: dict[str, Any] = {}
    for pattern, change in _MEDIA.get(provider, ()):
        if re.search(pattern, name):
            changes |= change
    return changes
