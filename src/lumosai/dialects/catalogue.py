"""Every dialect there is. A new one is a file beside this and a line here."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from lumosai.dialects.bare_json import BareJson
from lumosai.dialects.fenced_json import FencedJson
from lumosai.dialects.hermes import Hermes
from lumosai.dialects.legacy_chinese import LegacyChinese
from lumosai.dialects.legacy_function import LegacyFunction
from lumosai.dialects.legacy_json import LegacyJson
from lumosai.dialects.legacy_sentence import LegacySentence
from lumosai.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lumosai.dialects.base import Dialect

_ALL: tuple[Dialect, ...] = (
    Hermes(),
    LegacyJson(),
    LegacySentence(),
    LegacyFunction(),
    LegacyChinese(),
    FencedJson(),
    BareJson(),
)

DIALECTS: Mapping[str, Dialect] = MappingProxyType({dialect.name: dialect for dialect in _ALL})
"""Every dialect by its name, in the order in which they are asked."""


def get(name: str) -> Dialect:
    """The dialect of this name.

    Raises:
        ConfigurationError: there is none.
    """
    found = DIALECTS.get(name)
    if found is None:
        raise ConfigurationError(f"no dialect is named {name!r}; there are {', '.join(map(repr, DIALECTS))} and 'auto'")
    return found
