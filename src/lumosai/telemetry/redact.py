"""Secrets in what is about to be stored or sent: found by their shape, and replaced.

This looks for what has a shape of its own: keys of well-known services, tokens in headers and URLs, private keys, and
values that stand behind a name such as "password". It cannot know a secret that looks like any other word.
"""

from __future__ import annotations

import re
from typing import Any, Final

HIDDEN: Final = "[redacted]"

_SHAPES: Final = (
    r"sk-(?=[A-Za-z_-]{0,80}[0-9])[A-Za-z0-9_-]{16,}",
    r"(?:pk|rk|sk)_(?:live|test)_[A-Za-z0-9]{10,}",
    r"AIza[A-Za-z0-9_-]{30,}",
    r"(?:AKIA|ASIA)[A-Z0-9]{16}",
    r"gh[pousr]_[A-Za-z0-9]{20,}",
    r"github_pat_[A-Za-z0-9_]{20,}",
    r"glpat-[A-Za-z0-9_-]{16,}",
    r"hf_[A-Za-z0-9]{20,}",
    r"npm_[A-Za-z0-9]{30,}",
    r"pypi-[A-Za-z0-9_-]{40,}",
    r"xox[abeprs]-[A-Za-z0-9-]{10,}",
    r"ya29\.[A-Za-z0-9_-]{20,}",
    r"eyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*",
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----[^-]*(?:-----END [A-Z ]*PRIVATE KEY-----)?",
)
_NAMES: Final = (
    r"pass(?:word|wd|phrase)?|secret|token|api[_-]?key|access[_-]?key|client[_-]?secret|private[_-]?key"
    r"|authorization|credential|session[_-]?id"
)
_FOUND: Final = re.compile(
    "(?P<shape>(?<![A-Za-z0-9])(?-i:" + "|".join(_SHAPES) + "))"
    # Bearer abc1, Basic abc=
    r"|(?P<scheme>\b(?:Bearer|Basic|Token)\s{1,3})(?=[A-Za-z+/_~.-]{0,80}[0-9=])[A-Za-z0-9+/=._~-]{8,}"
    # ://user:password@
    r"|(?P<before>://[^\s/:@]{0,200}:)[^\s/@]{1,200}(?P<after>@)"
    # "password": "…", password=…, DB_PASSWORD: …
    r"|(?P<name>(?:\b|[_-])(?:" + _NAMES + r")\\?[\"']?\s{0,3}[:=]\s{0,3})(?P<quote>\\?[\"']?)"
    r"(?:(?:Bearer|Basic|Token)\s{1,3})?[^\s\"'\\,;&}]{3,}",
    re.IGNORECASE,
)
_KEY: Final = re.compile(rf"(?:^|[_.-]|\b)(?:{_NAMES})$", re.IGNORECASE)
_HINTS: Final = re.compile(
    r"sk-|_live_|_test_|AIza|AKIA|ASIA|gh[pousr]_|_pat_|glpat|hf_|npm_|pypi-|xox|ya29|eyJ|BEGIN|Bearer|Basic|Token|://"
    r"|pass|secret|api.?key|access.?key|private.?key|authorization|credential|session.?id",
    re.IGNORECASE,
)


def redact(text: str) -> str:
    """The text with what looks like a secret replaced by "[redacted]"."""
    if _HINTS.search(text) is None:
        return text
    return _FOUND.sub(_hide, text)


def is_secret_name(name: str) -> bool:
    """Whether what stands under a name is a secret."""
    return _KEY.search(name) is not None


def redacted(value: Any, *, key: str = "") -> Any:
    """JSON with its secrets replaced: in every string, and whatever stands under a key that names one."""
    if isinstance(value, str):
        return HIDDEN if key and value and _KEY.search(key) else redact(value)
    if isinstance(value, dict):
        return {k: redacted(v, key=k if isinstance(k, str) else "") for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [redacted(v, key=key) for v in value]
    return value


def _hide(match: re.Match[str]) -> str:
    if match["shape"]:
        return HIDDEN
    if match["scheme"]:
        return match["scheme"] + HIDDEN
    if match["before"]:
        return match["before"] + HIDDEN + match["after"]
    return match["name"] + match["quote"] + HIDDEN
