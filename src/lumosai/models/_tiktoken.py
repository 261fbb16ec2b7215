"""The only user of the tiktoken library: the encodings of OpenAI's models, where their files are here already.

tiktoken fetches a file that it does not find. It is asked only for what lies whole in its own cache (`TIKTOKEN_CACHE_DIR`,
`DATA_GYM_CACHE_DIR`, else `data-gym-cache` in the folder for temporary files), or was loaded by somebody else, so that
nothing goes out. `python -c "import tiktoken; tiktoken.get_encoding('o200k_base')"` puts one there.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import tempfile
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

_PROVIDERS: Final = frozenset({"openai", "openai-responses", "azure", "openrouter"})
_HOME: Final = "https://openaipublic.blob.core.windows.net/encodings/"
_DIGESTS: Final = {
    "o200k_base": "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d",
    "cl100k_base": "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7",
}
_FILES: Final = {"o200k_harmony": "o200k_base"}


def may_fit(provider: str) -> bool:
    """Whether a provider's models may have an encoding that can be loaded."""
    return provider in _PROVIDERS and importlib.util.find_spec("tiktoken") is not None


def encoding(provider: str, model: str) -> Any:
    """The encoding of a model, None where it has none that is here."""
    if provider not in _PROVIDERS:
        return None
    name = model.removeprefix("openai/")
    if provider == "openrouter" and name == model:
        return None
    return _encoding(name)


@lru_cache(maxsize=64)
def _encoding(model: str) -> Any:
    if importlib.util.find_spec("tiktoken") is None:
        return None
    import tiktoken
    from tiktoken.registry import ENCODINGS

    try:
        name = tiktoken.encoding_name_for_model(model)
    except KeyError:
        return None
    if name not in ENCODINGS and not _is_here(_FILES.get(name, name)):
        return None
    return tiktoken.get_encoding(name)


def _is_here(name: str) -> bool:
    """Whether tiktoken has the whole file of an encoding; one that is damaged it would fetch again."""
    folder = os.environ.get("TIKTOKEN_CACHE_DIR", os.environ.get("DATA_GYM_CACHE_DIR"))
    if folder is None:
        folder = str(Path(tempfile.gettempdir()) / "data-gym-cache")
    if not folder or name not in _DIGESTS:
        return False
    path = Path(folder) / hashlib.sha1(f"{_HOME}{name}.tiktoken".encode(), usedforsecurity=False).hexdigest()
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest() == _DIGESTS[name]
    except OSError:
        return False
