"""The table of providers: where each is, which key it takes, what its models can do."""

from __future__ import annotations

import os

from lumosai.models.profiles import Profile


def base_url_of(provider: str) -> str:
    return os.environ.get(f"{provider.upper()}_BASE_URL") or "https://api.openai.com/v1"


def key_of(provider: str, endpoint: str) -> str | None:
    return os.environ.get("OPENAI_API_KEY")


def profile_of(provider: str, name: str, base_url: str | None) -> Profile:
    return Profile()
