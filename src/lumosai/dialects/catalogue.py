"""Every dialect there is. A new one is a file beside this and a line here."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from lumosai.dialects import (
    code_families,
    deepseek,
    deepseek_dsml,
    gemma,
    granite,
    marker_families,
    mistral,
    pairs,
    tag_json,
)
from lumosai.dialects._frames import folded, keys
from lumosai.dialects.bare_json import BareJson
from lumosai.dialects.cohere import Cohere, CommandR
from lumosai.dialects.elements import INVOKE, MINICPM5, MINIMAX_M2, QWEN3_CODER, SEED_OSS, STEP3
from lumosai.dialects.fenced_json import FencedJson
from lumosai.dialects.functionary import FunctionaryV2, FunctionaryV3, FunctionaryV31
from lumosai.dialects.gemma3 import Gemma3
from lumosai.dialects.gigachat import GigaChat, GigaChat35
from lumosai.dialects.harmony import Harmony
from lumosai.dialects.harmony_flat import HarmonyFlat
from lumosai.dialects.hermes import Hermes
from lumosai.dialects.kimi import Kimi
from lumosai.dialects.kimi_k3 import KimiK3
from lumosai.dialects.legacy_chinese import LegacyChinese
from lumosai.dialects.legacy_function import LegacyFunction
from lumosai.dialects.legacy_json import LegacyJson
from lumosai.dialects.legacy_sentence import LegacySentence
from lumosai.dialects.llama3 import Llama3
from lumosai.dialects.minimax_m3 import MinimaxM3
from lumosai.dialects.muse_glimmer import MuseGlimmer
from lumosai.dialects.pythonic import Pythonic
from lumosai.dialects.react import React
from lumosai.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lumosai.dialects.base import Dialect

_ALL: tuple[Dialect, ...] = (
    tag_json.XLAM,
    Hermes(),
    QWEN3_CODER,
    SEED_OSS,
    MINIMAX_M2,
    MinimaxM3(),
    INVOKE,
    STEP3,
    MINICPM5,
    MuseGlimmer(),
    pairs.GLM,
    pairs.HUNYUAN3,
    pairs.K2_HORIZON,
    tag_json.LONGCAT,
    pairs.LONGCAT2,
    tag_json.HUNYUAN,
    tag_json.NEMOTRON,
    LegacyJson(),
    LegacySentence(),
    LegacyFunction(),
    LegacyChinese(),
    deepseek.V3,
    deepseek.V31,
    deepseek_dsml.V32,
    deepseek_dsml.V4,
    deepseek_dsml.V41,
    Harmony(),
    HarmonyFlat(),
    Cohere(),
    Kimi(),
    KimiK3(),
    mistral.NEW,
    mistral.OLD,
    gemma.GEMMA4,
    gemma.FUNCTIONGEMMA,
    granite.FUNCTOOLS,
    granite.GRANITE,
    granite.GRANITE_20B,
    Llama3(),
    code_families.LLAMA4,
    code_families.LFM2,
    code_families.OLMO3,
    marker_families.APERTUS,
    marker_families.INTERNLM2,
    GigaChat(),
    GigaChat35(),
    FunctionaryV2(),
    FunctionaryV31(),
    CommandR(),
    gemma.GemmaBare(),
    React(),
    FunctionaryV3(),
    Gemma3(),
    Pythonic(),
    FencedJson(),
    BareJson(),
)

DIALECTS: Mapping[str, Dialect] = MappingProxyType({dialect.name: dialect for dialect in _ALL})
"""Every dialect by its name, in the order in which they are asked."""


def _by_name() -> dict[str, tuple[Dialect, ...]]:
    found: dict[str, tuple[Dialect, ...]] = {}
    for dialect in _ALL:
        for key in {folded(name) for name in (dialect.name, *dialect.aliases)}:
            found[key] = (*found.get(key, ()), dialect)
    return found


_NAMED = _by_name()


def named(name: str) -> tuple[Dialect, ...]:
    """The dialects with this name or alias, in the order in which they are asked.

    A model's name means those whose alias stands in it, as in "unsloth/Qwen3.5-4B-GGUF": the longest alias there is.

    Raises:
        ConfigurationError: there is none.
    """
    found = next((_NAMED[key] for key in keys(name) if key in _NAMED), None)
    if found is None:
        raise ConfigurationError(
            f"no dialect is named {name!r}; there are {', '.join(map(repr, DIALECTS))} and 'auto', "
            "and the names that serving engines give them"
        )
    return found


def get(name: str) -> Dialect:
    """The one dialect that this name or alias means: the one with that very name, else the first with that alias.

    Raises:
        ConfigurationError: there is none.
    """
    found = DIALECTS.get(name)
    if found is not None:
        return found
    dialects = named(name)
    return next((d for d in dialects if folded(d.name) == folded(name)), dialects[0])
