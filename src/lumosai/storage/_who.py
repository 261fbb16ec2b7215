"""For whom an operation works: the scope, as the conditions that every statement carries."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from lumosai.errors import ConfigurationError

if TYPE_CHECKING:
    from lumosai.records import Scope

_LONGEST = 512


class Who(NamedTuple):
    """A scope as it stands in the tables, where no owner is ''.

    Attributes:
        tenant: as in the scope.
        owner: as in the scope; '' for none, which sees every owner's.
    """

    tenant: str
    owner: str

    def where(self, table: str = "threads") -> str:
        """The condition; its parameters are `parameters`. What it says twice tells the database that an index may serve it."""
        own = f" AND {table}.owner = ? AND {table}.owner <> ''" if self.owner else ""
        return f"{table}.tenant = ?{own}"

    @property
    def parameters(self) -> tuple[str, ...]:
        """What stands for the `?` of `where`."""
        return (self.tenant, self.owner) if self.owner else (self.tenant,)


@lru_cache(maxsize=1024)
def who_of(scope: Scope) -> Who:
    """The scope as it stands in the tables.

    Raises:
        ConfigurationError: its tenant is empty, or its owner is, which would mean everybody.
    """
    if not scope.tenant or scope.owner == "":
        what = "tenant" if not scope.tenant else "owner"
        raise ConfigurationError(f"a scope's {what} must not be empty: Scope(owner=None) is the whole tenant")
    return Who(name_of(scope.tenant, "tenant"), name_of(scope.owner, "owner") if scope.owner is not None else "")


def name_of(text: str, what: str) -> str:
    """`text`, where it can be a name in the tables.

    Raises:
        ConfigurationError: it is no text, empty, longer than 512 characters, or holds NUL or half a surrogate pair.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ConfigurationError(f"{what} {text!r} holds half a surrogate pair, which no database can store") from None
    except AttributeError:
        raise ConfigurationError(f"{what} {text!r:.80} is {type(text).__name__}: it must be a text") from None
    if not text or len(text) > _LONGEST or "\0" in text:
        shown = text if len(text) <= _LONGEST else text[:40] + "…"
        raise ConfigurationError(f"{what} {shown!r} must have 1 to {_LONGEST} characters, none of them NUL")
    return text


def optional(name: str, what: str) -> str:
    """As `name_of`, of a name that may be missing: ""."""
    return name and name_of(name, what)
