"""The suite that any back end must pass: each check is a promise of `storage.base`, kept on a storage that is empty.

    @pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
    async def test_my_back_end(check):
        async with MyStorage(...) as storage:
            await check(storage)

A check fails with an AssertionError that says what was found. Each file holds the checks of one subject, and their list.
"""

from __future__ import annotations

from typing import Final

from lumosai.storage.conformance import (
    at_once,
    branches,
    hostile,
    inboxes,
    maintenance,
    messages,
    opening,
    reading,
    remembering,
    runs,
    scopes,
    searching,
    telemetry,
    threads,
    turns,
)
from lumosai.storage.conformance._expect import Check

__all__ = ["CHECKS", "Check"]

CHECKS: Final[tuple[Check, ...]] = (
    *threads.CHECKS,
    *messages.CHECKS,
    *reading.CHECKS,
    *branches.CHECKS,
    *scopes.CHECKS,
    *hostile.CHECKS,
    *runs.CHECKS,
    *inboxes.CHECKS,
    *turns.CHECKS,
    *maintenance.CHECKS,
    *telemetry.CHECKS,
    *at_once.CHECKS,
    *searching.CHECKS,
    *remembering.CHECKS,
    *opening.CHECKS,
)
"""Every check there is."""
