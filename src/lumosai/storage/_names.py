"""Names by number: agents, models, tools and the like, each once in the database however many rows have it."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from lumosai.messages import scrub
from lumosai.storage._op import Query, marks

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from lumosai.storage._op import Steps

_LONGEST: Final = 200
"""Characters of a name; what is longer is cut, for names are no content."""
_AT_ONCE: Final = 500


@lru_cache(4096)
def cut(name: str) -> str:
    """A name as the tables know it."""
    return scrub(name).replace("\0", "")[:_LONGEST]


def numbered(names: Sequence[str]) -> Steps[dict[str, int]]:
    """Names by number; those that have none get one."""
    if not names:
        return {}
    yield Query("INSERT INTO names (text) VALUES (?) ON CONFLICT (text) DO NOTHING", [(n,) for n in names], many=True)
    return (yield from looked_up(names))


def looked_up(names: Sequence[str]) -> Steps[dict[str, int]]:
    """Those of the names that have a number."""
    found: dict[str, int] = {}
    for start in range(0, len(names), _AT_ONCE):
        some = names[start : start + _AT_ONCE]
        rows: Any = yield Query(f"SELECT text, key FROM names WHERE text IN ({marks(len(some))})", some)
        found |= dict(rows)
    return found


def named(keys: Iterable[int]) -> Steps[dict[int, str]]:
    """Names by their numbers."""
    found: dict[int, str] = {}
    wanted = sorted(keys)
    for start in range(0, len(wanted), _AT_ONCE):
        some = wanted[start : start + _AT_ONCE]
        rows: Any = yield Query(f"SELECT key, text FROM names WHERE key IN ({marks(len(some))})", some)
        found |= dict(rows)
    return found
