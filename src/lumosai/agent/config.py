"""An agent as settings: from Python, from a mapping, or from `lumosai.toml`.

`load` says what an agent's settings are, importing nothing; `build` makes of them the arguments of an `Agent`, importing
the tools they name. `config_schema` lists every key.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from lumosai.agent.config_file import DEFAULT_NAME, Document, from_mapping, read
from lumosai.agent.config_model import configured_model
from lumosai.agent.config_processors import processors_of
from lumosai.agent.config_schema import AGENT, LIMITS, RECALL, RETENTION, SETTINGS, Flat, Rule, convert, near
from lumosai.agent.config_sources import Setting, resolve
from lumosai.agent.config_tools import import_tools, placed
from lumosai.errors import ConfigurationError
from lumosai.records import Limits, ModelSettings, Recall, Remembered, Retention, Titles, ToolCalling

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lumosai.events import Event
    from lumosai.memory.base import RunMemory

LEGACY_LIMITS = Limits(max_steps=5, max_tool_calls=10)
"""The bounds of the Rust version."""


_CHECKED = (
    "name",
    "instructions",
    "memory",
    "titles",
    "last_messages",
    "token_budget",
    "working_memory",
    "telemetry",
    "log_level",
    "log_format",
    "tool_calling",
    "enable_function_calling",
    "enable_streaming",
    "enable_memory_threads",
    "enable_telemetry",
    "version",
)
"""Fields whose type a rule tells."""


_TABLES: tuple[tuple[str, Any, dict[str, Rule]], ...] = (
    ("settings", ModelSettings, SETTINGS),
    ("limits", Limits, LIMITS),
    ("retention", Retention, RETENTION),
    ("recall", Recall, RECALL),
)
"""Fields that are tables, with their types and rules."""


class AgentConfig(msgspec.Struct, frozen=True):
    """What an agent is made from. `Agent.from_config` takes one, a file, or a mapping with these keys.

    Attributes:
        name: the agent's name.
        instructions: its system prompt.
        model: `provider:model`, "auto", "local", a table with `name` and options (base_url, api_key, headers,
            timeout_s; threads, context_tokens, parallel, gpu_layers, chat_template), or a model object.
        tools: built-in toolkits by name, import paths ("package.module:name"), or tools themselves.
        settings: how the model is to answer.
        limits: bounds of a run.
        retention: how long what is kept is kept, where `Lumosai` does it.
        memory: where threads are kept: a storage's URL; a relative file lies beside the configuration. "" is nowhere.
        titles: who names threads: the first words of what was asked, or the "model".
        last_messages: how many of a thread's last messages a run is shown, at the most.
        token_budget: how many tokens its prompt may take; None is what the model's window leaves.
        processors: what is done to the context plan, in order: names of the memory's own, such as "deduplicate", import
            paths ("package.module:name"), tables of a `name` and options, or processors themselves.
        working_memory: facts that are kept of a thread or of a person; "off" keeps none.
        recall: which older messages come back where they bear on what is asked; a mapping, or what is its `over`.
        telemetry: where traces and measurements are kept: a storage's URL, as `memory`; "" is where the memory is, and
            nowhere where there is none.
        log_level: what the command line logs, such as "info,lumosai.storage=debug"; "" is warnings, briefly. A program
            says it with `lumosai.telemetry.logs.configure`.
        log_format: how: "text" or "json".
        tool_calling: how tools are called; "off" means that there are none.
        enable_function_calling: False: tools are called by the legacy sentence in the answer's text.
        enable_streaming: False: each answer is fetched whole, and shows as one piece.
        enable_memory_threads: False: `memory` counts for nothing.
        enable_telemetry: False: nothing is recorded.
        version: the agent's own version, carried by its runs.
        directory: where the import paths of `tools` begin, besides the usual places; a file's own folder.
    """

    name: str = DEFAULT_NAME
    instructions: str = ""
    model: Any = "auto"
    tools: tuple[Any, ...] = ()
    settings: ModelSettings = ModelSettings()
    limits: Limits = Limits()
    retention: Retention = Retention()
    memory: str = ""
    titles: Titles = "words"
    last_messages: int = 20
    token_budget: int | None = None
    processors: tuple[Any, ...] = ()
    working_memory: Remembered = "off"
    recall: Recall = Recall()
    telemetry: str = ""
    log_level: str = ""
    log_format: Literal["", "text", "json"] = ""
    tool_calling: ToolCalling = "auto"
    enable_function_calling: bool = True
    enable_streaming: bool = True
    enable_memory_threads: bool = True
    enable_telemetry: bool = True
    version: str = ""
    directory: str | None = None

    def __post_init__(self) -> None:
        put = msgspec.structs.force_setattr
        if not isinstance(self.tools, list | tuple):
            raise ConfigurationError(f"agent {self.name!r}: tools must be a list, such as [{self.tools!r}]")
        put(self, "tools", tuple(self.tools))
        if not isinstance(self.processors, list | tuple):
            raise ConfigurationError(f"agent {self.name!r}: processors must be a list, such as [{self.processors!r}]")
        put(self, "processors", tuple(self.processors))
        for key, kind, rules in _TABLES:
            value = getattr(self, key)
            if key == "recall" and isinstance(value, str):
                value = {"over": value}
            if isinstance(value, Mapping):
                table = from_mapping({key: value}).data[key]
                put(self, key, kind(**{k: convert(rules[k], v) for k, v in table.items()}))
            elif not isinstance(value, kind):
                raise ConfigurationError(f"agent {self.name!r}: {key} must be {kind.__name__}(…), not {value!r}")
        for key in _CHECKED:
            try:
                convert(AGENT[key], getattr(self, key))
            except ValueError as error:
                allowed = AGENT[key].allowed
                raise ConfigurationError(f"agent {self.name!r}: {key}: {error}; allowed: {allowed}") from None

    @classmethod
    def legacy(cls, **changes: Any) -> AgentConfig:
        """The settings of the Rust version: all four switches off, 5 steps, 10 tool calls."""
        old: dict[str, Any] = {
            "limits": LEGACY_LIMITS,
            "enable_function_calling": False,
            "enable_streaming": False,
            "enable_memory_threads": False,
            "enable_telemetry": False,
        }
        return cls(**{**old, **changes})


def load(
    source: AgentConfig | str | os.PathLike[str] | Mapping[str, Any],
    *,
    name: str | None = None,
    environ: Mapping[str, str] | None = None,
) -> AgentConfig:
    """The settings of one agent.

    Args:
        source: settings (given back as they are), a file, or a mapping with the same keys as a file or as one agent.
        name: which agent, where there are several.
        environ: the environment, by default the process's. `LUMOSAI_*` variables win over a file, not over a mapping.

    Raises:
        ConfigurationError: the file cannot be read, or something in it cannot be used; or there are several agents
            and `name` says nothing.
    """
    if isinstance(source, AgentConfig):
        return source
    document = from_mapping(source) if isinstance(source, Mapping) else read(source)
    env = os.environ if environ is None else environ
    return from_document(document, choose(document, name), environ=env)


def load_all(
    source: str | os.PathLike[str] | Mapping[str, Any], *, environ: Mapping[str, str] | None = None
) -> tuple[AgentConfig, ...]:
    """The settings of every agent in a file or mapping, in its order. Raises as `load` does."""
    document = from_mapping(source) if isinstance(source, Mapping) else read(source)
    env = os.environ if environ is None else environ
    return tuple(from_document(document, name, environ=env) for name in document.names())


def choose(document: Document, name: str | None, *, first: bool = False) -> str:
    """The agent that is meant: `name`, the only one, or with `first` the first.

    Raises:
        ConfigurationError: there is no such agent, or several and none is named.
    """
    names = document.names()
    if name is None:
        if len(names) > 1 and not first:
            raise ConfigurationError(f"{document.where(())} describes {len(names)} agents: name one of {_list(names)}")
        return names[0]
    if name not in names:
        raise ConfigurationError(
            f"{document.where(())} has no agent {name!r}{near(name, names)}; there is {_list(names)}"
        )
    return name


def from_document(
    document: Document,
    name: str,
    *,
    environ: Mapping[str, str],
    flags: Mapping[Flat, tuple[str, Any]] | None = None,
) -> AgentConfig:
    """The settings of one agent of a document, with flags, environment and file in their order of precedence.

    Raises:
        ConfigurationError: as `config_sources.resolve` does.
    """
    settings = resolve(document, name, environ=environ, flags=flags)
    return from_settings(settings, name=name, path=document.path)


def from_settings(settings: Mapping[Flat, Setting], *, name: str, path: Path | None) -> AgentConfig:
    """The settings object that resolved values add up to."""
    values: dict[str, Any] = {"name": name}
    inner: dict[str, dict[str, Any]] = {key: {} for key, _, _ in _TABLES}
    for keys, setting in settings.items():
        if len(keys) == 1:
            values[keys[0]] = setting.value
        else:
            inner[keys[0]][keys[1]] = setting.value
    tools = settings.get(("tools",))
    if tools is not None and tools.kind == "file" and path is not None:
        values["tools"] = placed(tools.value, path.absolute().parent)
    for key, kind, _ in _TABLES:
        values[key] = kind(**inner[key])
    values["directory"] = str(path.absolute().parent) if path is not None else None
    return AgentConfig(**values)


def build(config: AgentConfig) -> dict[str, Any]:
    """The arguments of the `Agent` that the settings describe. Imports the tools they name.

    Raises:
        ConfigurationError: a tool cannot be found or is none, or the model's options do not fit.
    """
    calling = _tool_calling(config)
    memory = memory_of(config)
    legacy = calling == "text" and not config.enable_function_calling
    return {
        "name": config.name,
        "instructions": config.instructions,
        "model": configured_model(config.model, agent=config.name, legacy=legacy, whole=not config.enable_streaming),
        "tools": import_tools(config.tools, config.directory) if calling != "off" else (),
        "settings": config.settings,
        "limits": config.limits,
        "memory": memory,
        "observers": telemetry_of(config, memory),
        "tool_calling": calling,
        "version": config.version,
    }


def memory_of(config: AgentConfig, *, runs: bool = True) -> RunMemory | None:
    """The memory that the settings name.

    Args:
        config: the settings.
        runs: whether runs use it; nothing is imported for one that is only looked at.

    Raises:
        ConfigurationError: no storage has that URL; a processor cannot be found or made.
        MissingExtraError: its library is not installed.
    """
    url = memory_url(config)
    if not url:
        return None
    from lumosai.memory.base import open_memory

    return open_memory(
        url,
        titles=config.titles,
        last_messages=config.last_messages,
        token_budget=config.token_budget,
        working=config.working_memory,
        recall=config.recall,
        processors=processors_of(config.processors, config.directory) if runs else (),
    )


def memory_url(config: AgentConfig) -> str:
    """The URL of that memory, a relative file beside the configuration; "" where there is none."""
    return _beside(config, config.memory) if config.enable_memory_threads else ""


def telemetry_of(config: AgentConfig, memory: RunMemory | None) -> tuple[Callable[[Event], None], ...]:
    """What records the agent's runs: into the database that the settings name, else into the memory's.

    Raises:
        ConfigurationError: no storage has that URL.
        MissingExtraError: its library is not installed.
    """
    url = telemetry_url(config)
    if not url:
        return ()
    from lumosai.storage.base import open_storage
    from lumosai.telemetry.telemetry import Telemetry

    kept = getattr(memory, "storage", None) if url == memory_url(config) else None
    return (Telemetry(kept if kept is not None else open_storage(url)),)


def telemetry_url(config: AgentConfig) -> str:
    """Where traces and measurements are kept, a relative file beside the configuration; "" where they are not."""
    if not config.enable_telemetry:
        return ""
    return _beside(config, config.telemetry) if config.telemetry else memory_url(config)


def _beside(config: AgentConfig, url: str) -> str:
    _, mark, path = url.partition("sqlite:///")
    if mark and path and not os.path.isabs(path) and config.directory is not None:  # noqa: PTH117  # of a URL's part
        return f"sqlite:///{config.directory}/{path}"
    return url


def _tool_calling(config: AgentConfig) -> ToolCalling:
    if config.tool_calling == "auto" and not config.enable_function_calling:
        return "text"
    return config.tool_calling


def _list(names: Any) -> str:
    return ", ".join(repr(n) for n in names)
