"""Which value counts, and where it came from: argument > flag > `LUMOSAI_*` > file > default, key by key.

`resolve` gives every key of one agent a `Setting` that knows its source, so that running with a value and showing it
read the same list.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Literal, NamedTuple
from urllib.parse import urlsplit, urlunsplit

from lumosai.agent.config_file import REFERENCE, Document
from lumosai.agent.config_schema import MODEL, SECRET, Flat, Rule, convert, leaves, near
from lumosai.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lumosai.agent.config_lines import Path as Keys

Kind = Literal["argument", "flag", "environment", "file", "default"]
_SECRET_VARIABLE = re.compile(r"(KEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIALS?)$", re.IGNORECASE)


class Setting(NamedTuple):
    """One value.

    Attributes:
        value: as it is used; None also where a reference could not be resolved.
        kind: what sort of source it came from.
        source: that source by name: "lumosai.toml:3", "LUMOSAI_MODEL", "--model", "default".
        shown: as it may be shown: a secret stands as its reference.
        problem: why it cannot be used, "" where it can.
    """

    value: Any
    kind: Kind
    source: str
    shown: Any
    problem: str = ""


def resolve(
    document: Document,
    name: str,
    *,
    environ: Mapping[str, str],
    flags: Mapping[Flat, tuple[str, Any]] | None = None,
    strict: bool = True,
) -> dict[Flat, Setting]:
    """Each key that something sets for the agent `name`, with its source. What nothing sets is left out.

    Args:
        document: the configuration, checked.
        name: one of `document.names()`.
        environ: the environment.
        flags: key → (the flag as it is written, its value), of the command line.
        strict: raise for a value that cannot be used; otherwise its `problem` says so.

    Raises:
        ConfigurationError: a variable is not set, or a variable's or flag's text does not fit its key.
    """
    found: dict[Flat, Setting] = {}
    for path, rule in leaves().items():
        setting = (
            _written(document, name, path, rule, environ, only="argument")
            or _flag(path, rule, flags or {})
            or _variable(path, rule, environ)
            or _written(document, name, path, rule, environ, only="file")
        )
        if setting is not None:
            if strict and setting.problem:
                raise ConfigurationError(setting.problem)
            found[path] = setting
    return found


def _written(
    document: Document, name: str, path: Flat, rule: Rule, environ: Mapping[str, str], *, only: Kind
) -> Setting | None:
    """The value that the file, or the mapping that was passed as an argument, gives."""
    kind: Kind = "file" if document.path is not None else "argument"
    if kind != only:
        return None
    for keys, table in document.tables(name):
        value: Any = table
        for key in path:
            value = value.get(key, _ABSENT) if isinstance(value, dict) else _ABSENT
        if value is not _ABSENT:
            return _from_document(document, (*keys, *path), rule, value, environ)
    return None


def _from_document(document: Document, keys: Keys, rule: Rule, value: Any, environ: Mapping[str, str]) -> Setting:
    kind: Kind = "file" if document.path is not None else "argument"
    where = document.where(keys) if kind == "file" else "argument"
    shown = shown_value(value, environ, str(keys[-1]))
    try:
        used = _used(value, rule, environ)
    except ValueError as error:
        name = ".".join(str(k) for k in keys)
        return Setting(None, kind, where, shown, f"{document.where(keys)}: {name}: {error}")
    return Setting(used, kind, where, shown)


def _used(value: Any, rule: Rule, environ: Mapping[str, str]) -> Any:
    """The value with its references resolved, as its rule's type."""
    if isinstance(value, dict) and rule.type is str:  # the table form of `model`
        return {k: _used_option(k, v, environ) for k, v in value.items()}
    plain = substitute(value, environ)
    if plain is value and not isinstance(value, str | int | float | list | dict):
        return value  # a Python object, passed in a mapping
    if isinstance(value, list | tuple) and not all(isinstance(v, str) for v in value):
        return tuple(plain)
    try:
        return convert(rule, plain, text=isinstance(value, str) and plain != value)
    except ValueError as error:
        raise ValueError(f"{error}; allowed: {rule.allowed}") from None


def _used_option(key: str, value: Any, environ: Mapping[str, str]) -> Any:
    try:
        return _used(value, MODEL[key], environ)
    except ValueError as error:
        raise ValueError(f"{key}: {error}") from None


def _flag(path: Flat, rule: Rule, flags: Mapping[Flat, tuple[str, Any]]) -> Setting | None:
    if path not in flags:
        return None
    flag, value = flags[path]
    return _outside(rule, value, "flag", flag)


def _variable(path: Flat, rule: Rule, environ: Mapping[str, str]) -> Setting | None:
    value = environ.get(rule.variable) if rule.variable else None
    if value is None or (not value and path not in _MAY_BE_EMPTY):
        return None
    return _outside(rule, value, "environment", rule.variable)


def _outside(rule: Rule, value: Any, kind: Kind, source: str) -> Setting:
    try:
        used = convert(rule, value, text=True)
    except ValueError as error:
        return Setting(None, kind, source, value, f"{source}: {error}; allowed: {rule.allowed}")
    return Setting(used, kind, source, _mask(used) if isinstance(used, str) else used)


def substitute(value: Any, environ: Mapping[str, str]) -> Any:
    """The value with `${VAR}` and `${VAR:-default}` resolved in every text of it.

    Raises:
        ValueError: a variable without a default is not set.
    """
    if isinstance(value, str):
        return REFERENCE.sub(lambda m: _referred(m, environ), value)
    if isinstance(value, dict):
        return {k: substitute(v, environ) for k, v in value.items()}
    if isinstance(value, list):
        return [substitute(v, environ) for v in value]
    return value


def _referred(match: re.Match[str], environ: Mapping[str, str]) -> str:
    variable, default = match[1], match[2]
    if variable is None:
        return "${"
    value = environ.get(variable)
    if value or (value is not None and default is None):
        return value
    if default is not None:
        return default
    hint = near(variable, (n for n in environ if not n.startswith("_")))
    way = "" if _SECRET_VARIABLE.search(variable) else f", or write ${{{variable}:-a default}}"
    raise ValueError(f"the variable {variable} is not set{hint}; set it{way}")


def shown_value(value: Any, environ: Mapping[str, str], key: str = "") -> Any:
    """The value as it may be shown: references resolved, but for secrets, which stand as they are written."""
    if isinstance(value, dict):
        return {k: shown_value(v, environ, str(k)) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [shown_value(v, environ, key) for v in value]
    if isinstance(value, str):
        return _shown_text(value, environ, secret=bool(SECRET.search(key)))
    return value if isinstance(value, int | float | None) else repr(value)


def _shown_text(text: str, environ: Mapping[str, str], *, secret: bool) -> str:
    references = list(REFERENCE.finditer(text))
    if secret:
        return text if references else "(hidden)"
    if any(m[1] and _SECRET_VARIABLE.search(m[1]) for m in references):
        return text
    try:
        return _mask(substitute(text, environ))
    except ValueError:
        return text


def _mask(text: str) -> str:
    """The text without the password of an address."""
    if "://" not in text or "@" not in text:
        return text
    try:
        parts = urlsplit(text)
    except ValueError:
        return text
    if parts.password is None:
        return text
    return urlunsplit(parts._replace(netloc=f"…@{parts.netloc.rpartition('@')[2]}"))


_ABSENT = object()
_MAY_BE_EMPTY: frozenset[Flat] = frozenset({("instructions",), ("tools",)})
"""Keys that an empty variable sets to nothing; for the others an empty variable is not set."""
