"""Every back end keeps every promise of the contract."""

from __future__ import annotations

import pytest

from lumosai.storage import Storage
from lumosai.storage.conformance import CHECKS, Check


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
async def test_a_promise(check: Check, storage: Storage) -> None:
    """The promise that the check's docstring states."""
    await check(storage)
