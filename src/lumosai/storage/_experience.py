"""Operations on what was learned of models: a tenant's, whichever owner's run it was."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lumosai.storage._op import Query

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lumosai.storage._op import Steps
    from lumosai.storage._who import Who


def read(who: Who) -> Steps[dict[str, bytes]]:
    """All of it, by name."""
    rows = yield Query("SELECT name, data FROM experience WHERE tenant = ?", (who.tenant,), apart=True)
    return {name: bytes(data) for name, data in rows}


def keep(who: Who, new: Mapping[str, bytes], now: float) -> Steps[None]:
    """Writes each, in place of what was there under its name."""
    yield Query(
        """INSERT INTO experience (tenant, name, at, data) VALUES (?, ?, ?, ?)
            ON CONFLICT (tenant, name) DO UPDATE SET at = excluded.at, data = excluded.data""",
        [(who.tenant, name, now, data) for name, data in new.items()],
        many=True,
    )
