"""Options that several commands share, and the agent that they name."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

if TYPE_CHECKING:
    from lumosai.agent.agent import Agent
    from lumosai.agent.config import AgentConfig
    from lumosai.agent.config_file import Document
    from lumosai.agent.config_schema import Flat

Model = Annotated[str | None, typer.Option("--model", "-m", metavar="NAME", help="provider:model, 'auto' or 'local'.")]
Tools = Annotated[
    list[str] | None,
    typer.Option(
        "--tools", "-t", metavar="LIST", help="Toolkits and import paths, such as calculator,clock,my.module:tool."
    ),
]
System = Annotated[str | None, typer.Option("--system", "-s", metavar="TEXT", help="The instructions.")]
AgentName = Annotated[
    str | None, typer.Option("--agent", "-a", metavar="NAME", help="Which agent of the file; by default the first.")
]
Config = Annotated[
    str | None,
    typer.Option(
        "--config",
        "-c",
        metavar="FILE",
        help="By default the nearest lumosai.toml or lumosai.yaml, from here upward; '' for none.",
    ),
]
Thread = Annotated[
    str | None,
    typer.Option("--thread", metavar="NAME", help="Go on with this conversation, which is kept; made if need be."),
]
MemoryUrl = Annotated[
    str | None,
    typer.Option(
        "--memory",
        "--database",
        metavar="URL",
        help="Where conversations are kept, such as sqlite:///lumosai.db or postgresql://….",
    ),
]
DatabaseUrl = Annotated[
    str | None,
    typer.Option(
        "--database",
        "--memory",
        metavar="URL",
        help="Which, such as sqlite:///lumosai.db or postgresql://…; by default the agent's memory, else your own.",
    ),
]
Tenant = Annotated[str | None, typer.Option("--tenant", metavar="NAME", help="Only this tenant's.")]
Owner = Annotated[str | None, typer.Option("--owner", metavar="NAME", help="Only this owner's, within the tenant.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]
Reasoning = Annotated[bool, typer.Option("--show-reasoning", help="Show what the model thinks, not only for how long.")]


class Chosen(NamedTuple):
    """What the command line is to work with.

    Attributes:
        document: the configuration; an empty one where there is no file.
        name: the agent's name.
        flags: key → (the flag as written, its value).
        warning: what the user should know about how it was chosen, "" where there is nothing.
    """

    document: Document
    name: str
    flags: dict[Flat, tuple[str, Any]]
    warning: str


def choose_agent(
    *,
    config: str | None = None,
    agent: str | None = None,
    model: str | None = None,
    tools: list[str] | None = None,
    system: str | None = None,
    memory: str | None = None,
    thread: str | None = None,
) -> Chosen:
    """The configuration and the agent in it that the options, the environment and the working directory name.

    Raises:
        ConfigurationError: the file cannot be used, or has no such agent.
    """
    from lumosai.agent.config import choose
    from lumosai.agent.config_schema import AGENT_VARIABLE
    from lumosai.errors import ConfigurationError

    if thread is not None:
        from lumosai.storage.base import name_of

        name_of(thread, "--thread")
    document, warning = _document(config)
    named = agent or os.environ.get(AGENT_VARIABLE) or None
    if named is not None and document.path is None:
        raise ConfigurationError(f"no agent {named!r}: no lumosai.toml from here upward describes one; see --config")
    name = choose(document, named, first=True)
    given = {
        ("model",): ("--model", model),
        ("tools",): ("--tools", ",".join(tools) if tools is not None else None),
        ("instructions",): ("--system", system),
        ("memory",): ("--memory", memory),
    }
    flags: dict[Flat, tuple[str, Any]] = {k: v for k, v in given.items() if v[1] is not None}
    if thread is not None and memory is None:
        flags |= _kept_somewhere(document, name, flags)
    return Chosen(document, name, flags, warning)


def _kept_somewhere(document: Document, name: str, flags: dict[Flat, tuple[str, Any]]) -> dict[Flat, tuple[str, Any]]:
    """Where conversations are kept that a thread was named for: the user's own database, where nothing else is set."""
    from lumosai.agent.config_sources import resolve

    setting = resolve(document, name, environ=os.environ, flags=flags, strict=False).get(("memory",))
    if setting is not None and setting.value:
        return {}
    path = default_database()
    path.parent.mkdir(parents=True, exist_ok=True)
    return {("memory",): ("--thread", f"sqlite:///{path}")}


def default_database() -> Path:
    """The user's own database: `$LUMOSAI_DATA_DIR`, `$XDG_DATA_HOME/lumosai`, else `~/.local/share/lumosai`."""
    own = os.environ.get("LUMOSAI_DATA_DIR")
    if own:
        return Path(own).expanduser().absolute() / "lumosai.db"
    xdg = os.environ.get("XDG_DATA_HOME")
    base = Path(xdg) if xdg and Path(xdg).is_absolute() else Path("~/.local/share").expanduser()
    return base / "lumosai" / "lumosai.db"


def check_there(path: str) -> None:
    """Raises where there is no such database file; "" is a database without one.

    Raises:
        ConfigurationError: with what writes one.
    """
    if path and not Path(path).is_file():
        from lumosai.errors import ConfigurationError

        begun = "a conversation that is kept begins it: lumosai chat --thread NAME"
        hint = f" yet ({begun})" if path == str(default_database()) else ""
        raise ConfigurationError(f"there is no database {path!r}{hint}: --database names another one")


def configured(chosen: Chosen) -> AgentConfig:
    """The chosen agent's settings; import paths begin in the working directory where there is no file."""
    import msgspec

    from lumosai.agent.config import from_document
    from lumosai.cli.logs import as_configured

    config = from_document(chosen.document, chosen.name, environ=os.environ, flags=chosen.flags)
    as_configured(config)
    return msgspec.structs.replace(config, directory=config.directory or str(Path.cwd()))


def make_agent(config: AgentConfig) -> Agent[Any]:
    """The agent that the settings describe."""
    from lumosai.agent.agent import Agent
    from lumosai.agent.config import build

    return Agent(**build(config))


def _document(config: str | None) -> tuple[Document, str]:
    from lumosai.agent.config_file import find, from_mapping, read
    from lumosai.agent.config_schema import CONFIG_VARIABLE

    named = config if config is not None else os.environ.get(CONFIG_VARIABLE)
    if named is not None:
        return (read(named), "") if named else (from_mapping({}), "")
    path, warning = find()
    return (read(path) if path is not None else from_mapping({})), warning
