"""Where a model's requests go and with what: what all of them share, looked up at the first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from lumosai import _http

if TYPE_CHECKING:
    from collections.abc import Mapping

_CONNECT_S: Final = 10.0

KEY_HEADERS: Final = ("authorization", "api-key", "x-api-key", "x-goog-api-key")
"""Headers that hold a key, in lower case: where a user sends one, no other is looked for, and none is shown."""


def holds_key(headers: Mapping[str, str]) -> bool:
    """Whether a user's headers hold a key already."""
    return any(h.lower() in KEY_HEADERS for h in headers)


class Endpoint:
    """One server, as one model asks it.

    Args:
        provider, model: whose errors these are.
        base_url: where the API is.
        own: the protocol's headers, the key's among them.
        given: the user's, which come before those.
        timeout_s: as a model takes it.

    Attributes:
        base_url, headers, timeouts: where to, with what, and how long to wait.
        peer: as errors name it.
    """

    __slots__ = ("base_url", "headers", "peer", "timeouts")

    def __init__(
        self,
        provider: str,
        model: str,
        base_url: str,
        *,
        own: Mapping[str, str],
        given: Mapping[str, str],
        timeout_s: float | _http.Timeouts | None,
    ) -> None:
        self.base_url = base_url
        named = {h.lower() for h in given}
        self.headers = {**{h: v for h, v in own.items() if h.lower() not in named}, **given}
        if not isinstance(timeout_s, _http.Timeouts):
            timeout_s = _http.Timeouts(None if timeout_s is None else min(_CONNECT_S, timeout_s), timeout_s)
        self.timeouts = timeout_s
        secrets = [v for k, v in self.headers.items() if k.lower() in KEY_HEADERS]
        secrets += [v.partition(" ")[2] for v in secrets]
        self.peer = _http.Peer(provider, model, tuple(filter(None, secrets)))
