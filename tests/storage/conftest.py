"""The storage's own tests run on a database in memory, too."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.databases import url_of


@pytest.fixture(params=["sqlite", "memory", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database of each kind."""
    return url_of(request, tmp_path)
