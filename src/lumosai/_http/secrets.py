"""Takes secrets out of text that others may read: error messages quote what a server says, which may quote a key."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

HIDDEN: Final = "[hidden]"
_SHORTEST: Final = 6
"""A secret shorter than this is a placeholder such as "none" or "local" and not worth hiding."""

_PATTERNS: Final = re.compile(
    r"(?i:\b(?:bearer|basic)\s+)(?=\S*[\d=_-])[\w.~+/=-]{8,}"  # an Authorization header's value
    r"|\b(?:sk|rk|pk|gsk|xai|key|tgp|hf|nvapi|pplx|r8|ghp|glpat|AKIA|csk|fw)[-_](?=[\w-]*\d)[\w*-]{8,}"
    r"|\bhf_[A-Za-z0-9]{8,}|\bAIza[\w-]{20,}"
    r"|\beyJ[\w-]{10,}\.[\w-]{10,}\.[\w-]*"  # a JSON Web Token
    r"|(?<=://)[^/\s:@]+:[^/\s@]+(?=@)"  # user:password in a URL
    r"|(?i:(?<=api_key=)|(?<=api-key=)|(?<=[?&]key=)|(?<=token=))[^\s&\"']{6,}"
)


def scrub(text: str, secrets: Iterable[str] = ()) -> str:
    """`text` without `secrets` and without what looks like a key."""
    for secret in secrets:
        if len(secret) >= _SHORTEST:
            text = text.replace(secret, HIDDEN)
    return _PATTERNS.sub(HIDDEN, text)
