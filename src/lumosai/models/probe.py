"""What can be had for the model "auto": keys that are set, servers that answer.

First the providers in the order of their table, the first whose key is set; then servers on this machine (or where
their `*_BASE_URL` says) that answer and have a model; then the local model.
"""

from __future__ import annotations

import http.client
import os
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import msgspec

from lumosai.models.providers import PROVIDERS, base_url_of, key_given

if TYPE_CHECKING:
    from lumosai.models.providers import Provider

PROBE_S: Final = 0.3
"""Seconds a server has to answer; one that is not there refuses at once."""

_NOT_CHAT: Final = ("embed", "rerank", "whisper", "tts", "clip")


def resolve() -> tuple[str, str]:
    """The name "auto" stands for now, and why."""
    for provider in PROVIDERS.values():
        if provider.default and provider.auto and (variable := _set_key(provider)) is not None:
            return f"{provider.name}:{provider.default}", f"{variable} is set"
    asked = []
    for provider in PROVIDERS.values():
        if provider.local:
            url = base_url_of(provider.name)
            found = first_model(url, key_given(provider.name))
            if found is not None:
                return f"{provider.name}:{found}", f"a server at {url} answers and has it"
            asked.append(f"{provider.name} ({url})")
    keys = ", ".join(p.keys[0] for p in PROVIDERS.values() if p.default and p.auto)
    return "local", f"none of {keys} is set, and no server with a model answers as {', '.join(asked)}"


def first_model(base_url: str, key: str | None = None) -> str | None:
    """The first chat model of an OpenAI-compatible server; None where none answers within `PROBE_S` or it has none."""
    try:
        parts = urlsplit(base_url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return None
    if host is None or parts.scheme not in ("http", "https"):
        return None
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(host, port, timeout=PROBE_S)
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    try:
        connection.request("GET", parts.path.rstrip("/") + "/models", headers=headers)
        answer = connection.getresponse()
        body = answer.read(1 << 20) if answer.status == http.client.OK else b""
        listed = msgspec.json.decode(body, type=_Listed)
    except (OSError, http.client.HTTPException, msgspec.DecodeError, UnicodeError):
        return None
    finally:
        connection.close()
    return next((m.id for m in listed.data if m.id and not any(n in m.id.lower() for n in _NOT_CHAT)), None)


class _Model(msgspec.Struct):
    id: str = ""


class _Listed(msgspec.Struct):
    data: list[_Model]


def _set_key(provider: Provider) -> str | None:
    """The variable that holds the provider's key."""
    return next((v for v in provider.keys if os.environ.get(v, "").strip()), None)
