"""Fixtures that every test may use, and the one rule that holds for all: no test reaches a real provider.

Test data that is recorded, not written by hand, lies outside the checkout: `$LUMOSAI_TEST_DATA`, by default `../shared/data`
beside it. A user's clone has none, so `data_dir` may be None and a test must stand on its own cases besides.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.databases import _postgres_databases, bare_postgres_url, postgres_server, postgres_url, storage, url
from tests.servers import ChatServer

# Fixtures for every test.
__all__ = ["_postgres_databases", "bare_postgres_url", "postgres_server", "postgres_url", "storage", "url"]

THOROUGH = bool(os.environ.get("LUMOSAI_THOROUGH"))
"""Whether the laws are held to all their examples, as `.ci/run` has it."""

EXPLORING = os.environ.get("LUMOSAI_THOROUGH") == "random"
"""Whether the examples are others each time: who looks for a new failure wants that, who tests a change does not."""

thorough = pytest.mark.skipif(
    not THOROUGH, reason="it takes seconds, and LUMOSAI_THOROUGH is not set, as `.ci/run` does"
)
"""Of a test whose cost is out of proportion to how seldom it fails."""


def examples(count: int) -> int:
    """How many of a law's examples are tried: a fifth, or all of them."""
    return count if THOROUGH else max(min(count, 10), count // 5)


# How long an example takes says how busy the machine is; every test has its own time-out.
settings.register_profile("house", deadline=None, max_examples=examples(100), derandomize=not EXPLORING)
settings.load_profile("house")

ROOT = Path(__file__).resolve().parent.parent


def find_data() -> Path | None:
    """The folder of recorded test data, or None where there is none."""
    named = os.environ.get("LUMOSAI_TEST_DATA")
    folder = Path(named) if named else ROOT.parent / "shared" / "data"
    return folder if folder.is_dir() else None


@pytest.fixture(scope="session")
def data_dir() -> Path | None:
    """The folder of recorded test data, or None."""
    return find_data()


@pytest.fixture
async def chat_server() -> AsyncIterator[ChatServer]:
    """A loopback server that improvises its answers."""
    async with ChatServer() as server:
        yield server


@pytest.fixture(autouse=True)
def no_provider_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys, base URLs, proxies and settings of whoever runs the tests are not seen by them."""
    for name in [*os.environ]:
        if name.lower().endswith(("_api_key", "_base_url", "_api_base", "_proxy")) or (
            name.startswith("LUMOSAI_") and name not in ("LUMOSAI_TEST_DATA", "LUMOSAI_PYTHONS")
        ):
            monkeypatch.delenv(name)
