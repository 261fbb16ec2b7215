"""Models by name: `model("provider:name")`, `"provider/name"`, a bare name, `"auto"` or `"local"`.

Every provider is an entry: something that is called as `entry(name, **options)` and gives a `Model`, such as a model's
class. Those shipped here stand in `_SHIPPED` as "module:object"; another distribution brings its own by the same form,
as an entry point of the group `lumosai.models` whose name is the provider's:

    [project.entry-points."lumosai.models"]
    acme = "acme_models:AcmeModel"        # then model("acme:large") is AcmeModel("large")

Nothing is imported before a name asks for it.
"""

from __future__ import annotations

import difflib
import importlib
from typing import TYPE_CHECKING, Any, Final, cast

from lumosai.errors import ConfigurationError, UnknownModelError
from lumosai.models.providers import PROVIDERS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lumosai.models.base import Model

GROUP: Final = "lumosai.models"

_PROTOCOLS: Final = {
    "anthropic": "lumosai.models.anthropic:AnthropicModel",
    "gemini": "lumosai.models.gemini:GeminiModel",
    "openai-chat": "lumosai.models.openai_chat:OpenAIChatModel",
    "openai-responses": "lumosai.models.openai_responses:OpenAIResponsesModel",
}
"""Who speaks a wire protocol."""
_SHIPPED: Final[dict[str, str]] = {
    "local": "lumosai.models.local:LocalModel",
    "auto": "lumosai.models.auto:AutoModel",
    **{p.name: _PROTOCOLS[p.protocol] for p in PROVIDERS.values()},
}
_BARE: Final = ("auto", "local")
"""Providers that need no model's name."""


def model(name: str, **options: Any) -> Model:
    """The model of that name.

    Args:
        name: "provider:model", "provider/model", a bare name that tells its provider by how it begins ("gpt-5-mini",
            "qwen-plus"), "auto" for whatever is there, "local" or "local:weights" for a model on this machine.
        options: handed to the model's class, such as `base_url`, `api_key`, `timeout_s`, `headers`, `profile`, `price`.

    Raises:
        UnknownModelError: nobody knows the provider, or which provider's the model is; `near` holds similar names.
        ConfigurationError: the provider's entry point cannot be loaded, or its model takes no such option.
    """
    if not isinstance(cast("object", name), str) or not name.strip():
        msg = f"a model's name cannot be {name!r}: write 'provider:model', such as 'openai:gpt-5-mini', or 'auto', 'local'"
        raise UnknownModelError(msg)
    provider, rest = split(name.strip())
    if provider in PROVIDERS:
        options = {"provider": provider, **options}
    entry = _entry(provider)
    try:
        return cast("Model", entry(rest, **options) if rest else entry(**options))
    except TypeError as error:
        if not options or "argument" not in str(error):
            raise
        msg = f"the model {name!r} takes no such option: {error}"
        raise ConfigurationError(msg) from error


def split(name: str) -> tuple[str, str]:
    """The provider and the model's name at it; the latter is "" only for "auto" and "local".

    Raises:
        UnknownModelError: no provider is named, and the name does not tell it.
    """
    if name.lower() in _BARE:
        return name.lower(), ""
    for mark in ":/":
        provider, found, rest = name.partition(mark)
        provider = provider.strip().lower()
        if found and (provider in _SHIPPED or provider in _others()):
            if not rest.strip():
                msg = f"{name!r} names no model: write '{provider}:' and the model's name{_example(provider)}"
                raise UnknownModelError(msg)
            return provider, rest.strip()
    told = by_prefix(name)
    if told is None:
        raise _unknown(name)
    return told, name


def by_prefix(name: str) -> str | None:
    """The provider whose models' names begin like this one, None where none's do."""
    lower = name.lower()
    for provider, prefixes in _prefixes():
        if lower.startswith(prefixes):
            return provider
    return None


def names() -> list[str]:
    """Every provider's name, shipped ones first."""
    return [*_SHIPPED, *(n for n in _others() if n not in _SHIPPED)]


def resolve_auto() -> tuple[str, str]:
    """The name that "auto" stands for now, and why. May ask servers on this machine, for 0.3 s at most each."""
    from lumosai.models.probe import resolve

    return resolve()


def _prefixes() -> Iterator[tuple[str, tuple[str, ...]]]:
    yield from ((p.name, p.prefixes) for p in PROVIDERS.values() if p.prefixes)


def _entry(provider: str) -> Callable[..., Any]:
    home = _SHIPPED.get(provider)
    if home is not None:
        module, _, attribute = home.partition(":")
        return cast("Callable[..., Any]", getattr(importlib.import_module(module), attribute))
    found = _others()[provider]
    try:
        return cast("Callable[..., Any]", found.load())
    except (ImportError, AttributeError) as error:
        msg = f"the entry point {provider!r} of the group {GROUP!r}, {found.value!r}, cannot be loaded: {error}"
        raise ConfigurationError(msg) from error


def _others() -> dict[str, Any]:
    """What other distributions bring, by provider; shipped names are not theirs to take."""
    from importlib.metadata import entry_points

    return {e.name: e for e in entry_points(group=GROUP) if e.name not in _SHIPPED}


def _example(provider: str) -> str:
    entry = PROVIDERS.get(provider)
    return f", such as '{provider}:{entry.default}'" if entry is not None and entry.default else ""


def _unknown(name: str) -> UnknownModelError:
    """The error for a name that no provider is found for, with the names that look like it."""
    provider, mark, rest = name.replace("/", ":", 1).partition(":")
    if mark:
        near = [f"{p}:{rest}" for p in difflib.get_close_matches(provider.lower(), names(), n=3, cutoff=0.6)]
        what = f"no provider is called {provider!r} (in {name!r}); there are {', '.join(n for n in names() if n not in _BARE)}."
        if not near:
            what += " A model of another OpenAI-compatible server is 'openai:NAME' with its base_url."
        return UnknownModelError(what, near=near)
    known = [*names(), *(p.default for p in PROVIDERS.values() if p.default), *_examples()]
    near = difflib.get_close_matches(name.lower(), known, n=3, cutoff=0.6)
    what = f"the name {name!r} does not tell its provider: write 'provider:model', such as 'openai:gpt-5-mini'."
    return UnknownModelError(what, near=near)


def _examples() -> tuple[str, ...]:
    """Well-known names, only to be compared with misspelt ones."""
    return (
        "gpt-5",
        "gpt-4o",
        "gpt-4o-mini",
        "o3",
        "o4-mini",
        "claude-sonnet",
        "deepseek-reasoner",
        "qwen-max",
        "grok-4",
    )
