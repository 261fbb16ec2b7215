"""Secrets in text that others may read, found by their shape and taken out.

Error messages quote what a server says, which may quote a key; spans and logs quote more. What is found has a shape of its
own: keys of well-known services, tokens in headers and URLs, private keys, and, where that is asked for, what stands
behind a name such as "password". A secret that looks like any other word is not known here, unless it is given.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

HIDDEN: Final = "[hidden]"
_SHORTEST: Final = 6
"""A given secret shorter than this is a placeholder such as "none" or "local" and not worth hiding."""

_SHAPES: Final = (
    r"(?:sk|rk|pk|gsk|xai|key|tgp|nvapi|pplx|r8|csk|fw)[-_](?=[A-Za-z_*-]{0,80}[0-9])[A-Za-z0-9_*-]{8,}",
    r"(?:sk|rk|pk)_(?:live|test)_[A-Za-z0-9]{8,}",
    r"(?:whsec|jina|lsv2_[a-z]{2})_[A-Za-z0-9_]{20,}",
    r"pa-[A-Za-z0-9_-]{40,}",
    r"AIza[A-Za-z0-9_-]{20,}",
    r"AQ\.[A-Za-z0-9_-]{30,}",
    r"ABSK[A-Za-z0-9+/]{60,}={0,2}",
    r"bce-v3/[A-Za-z0-9-]{8,}/[0-9a-f]{16,}",
    r"[0-9a-f]{32}\.[A-Za-z0-9]{16}(?![A-Za-z0-9])",
    r"dapi[0-9a-f]{32}",
    r"SG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}",
    r"(?:AKIA|ASIA)[A-Z0-9]{16}",
    r"gh[pousr]_[A-Za-z0-9]{8,}",
    r"github_pat_[A-Za-z0-9_]{20,}",
    r"glpat-[A-Za-z0-9_-]{16,}",
    r"hf_[A-Za-z0-9]{8,}",
    r"npm_[A-Za-z0-9]{30,}",
    r"pypi-[A-Za-z0-9_-]{40,}",
    r"(?:xox[abeprs]|xapp)-[A-Za-z0-9-]{10,}",
    r"ya29\.[A-Za-z0-9_-]{20,}",
    r"eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*",
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----[^-]*(?:-----END [A-Z ]*PRIVATE KEY-----)?",
)
_BY_SHAPE: Final = (
    "(?P<shape>(?<![A-Za-z0-9])(?-i:" + "|".join(_SHAPES) + "))"
    # Bearer abc1, Basic abc=
    r"|(?P<scheme>\b(?:Bearer|Basic|Token)\s{1,3})(?=[A-Za-z+/_~.-]{0,80}[0-9=])[A-Za-z0-9+/=._~-]{8,}"
    # ://user:password@
    r"|(?P<before>://[^\s/:@]{0,200}:)[^\s/@]{1,200}(?P<after>@)"
    # ?key=abc&token=def
    r"|(?P<parameter>(?:[?&](?:key|sig|signature|X-Amz-Signature)|api[_-]key|token)=)[^\s&\"']{6,}"
)
_NAMES: Final = (
    r"pass(?:word|wd|phrase)?|secret|token|api[_-]?key|access[_-]?key|client[_-]?secret|private[_-]?key"
    r"|authorization|credentials?|session[_-]?id|cookie"
)
_EDGE: Final = r"(?:\b|[_-]|(?-i:(?<=[a-z0-9])(?=[A-Z])))"
"""Before a name: "DB_PASSWORD", "refreshToken"."""
_HAN_NAMES: Final = "密码|口令|密钥|令牌"
_SHAPED: Final = re.compile(_BY_SHAPE, re.IGNORECASE)
_NAMED: Final = re.compile(
    # "password": "…", password=…, DB_PASSWORD: …
    _BY_SHAPE
    + r"|(?P<name>(?:"
    + _EDGE
    + "(?:"
    + _NAMES
    + ")|"
    + _HAN_NAMES
    + r")\\?[\"']?\s{0,3}[:=：]\s{0,3})(?P<quote>\\?[\"']?)"
    r"(?:(?:Bearer|Basic|Token)\s{1,3})?[^\s\"'\\,;&}]{3,}",
    re.IGNORECASE,
)
_NAME: Final = re.compile(rf"(?:^|\.|{_EDGE})(?:{_NAMES}|pwd)$|(?:{_HAN_NAMES})$", re.IGNORECASE)


def scrub(text: str, secrets: Iterable[str] = ()) -> str:
    """`text` without `secrets` and without what looks like a key: for error messages, whose words are to be understood."""
    for secret in secrets:
        if len(secret) >= _SHORTEST:
            text = text.replace(secret, HIDDEN)
    return _SHAPED.sub(_hide, text)


def redact(text: str) -> str:
    """`text` without what looks like a key, and without what stands behind a name that says it is one: for what is kept."""
    return _NAMED.sub(_hide, text)


def is_secret_name(name: str) -> bool:
    """Whether what stands under a name is a secret."""
    return _NAME.search(name) is not None


def redacted(value: Any, *, key: str = "") -> Any:
    """JSON as by `redact`: in every string, and whatever text stands under a key that names a secret, however deep."""
    hides = bool(key) and is_secret_name(key)
    if isinstance(value, str):
        return HIDDEN if hides and value else redact(value)
    if isinstance(value, dict):
        return {k: redacted(v, key=key if hides else k if isinstance(k, str) else "") for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [redacted(v, key=key) for v in value]
    return value


def _hide(match: re.Match[str]) -> str:
    """What is shown in place of what was found: what stands around a secret stays."""
    found = match.groupdict()
    if found["shape"]:
        return HIDDEN
    kept = found["scheme"] or found["before"] or found["parameter"] or found["name"] + found["quote"]
    return f"{kept}{HIDDEN}{found['after'] or ''}"
