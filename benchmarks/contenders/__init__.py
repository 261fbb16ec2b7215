"""Who is measured: `raw`, the job written by hand on the HTTP client, and `ours`, the same job through an agent."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from benchmarks.contenders.base import Contender


def open_contender(name: str, base_url: str) -> Contender:
    """The contender of that name. Its libraries are imported here and no sooner, so that their cost is its own.

    Raises:
        ValueError: nobody is called so.
    """
    if name == "raw":
        from benchmarks.contenders.raw import Raw

        return Raw(base_url)
    if name == "ours":
        from benchmarks.contenders.ours import Ours

        return Ours(base_url)
    msg = f"no contender {name!r}: it is 'raw' or 'ours'"
    raise ValueError(msg)
