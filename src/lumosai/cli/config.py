"""`lumosai config show`: each value that counts, and where it comes from."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import typer

from lumosai.cli.guard import guarded
from lumosai.cli.options import AgentName, Config, Debug, Json, Model, System, Tools, choose_agent
from lumosai.cli.terminal import one_line, style_for, tell, write_json, write_line

if TYPE_CHECKING:
    from lumosai.agent.config_schema import Flat
    from lumosai.agent.config_sources import Setting
    from lumosai.cli.options import Chosen


def make() -> typer.Typer:
    """The `config` commands."""
    tree = typer.Typer(help="Look at the settings.", no_args_is_help=True, rich_markup_mode=None)
    tree.callback()(lambda: None)
    tree.command("show")(guarded(show))
    return tree


def show(
    *,
    agent: AgentName = None,
    config: Config = None,
    model: Model = None,
    tools: Tools = None,
    system: System = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Show every setting of an agent with its source.

    A flag counts before a LUMOSAI_* variable, that before the file, that before the default. Secrets are never shown.
    Exit code: 1 when a value cannot be used.
    """
    import sys

    from lumosai.agent.config_sources import resolve

    _ = debug
    chosen = choose_agent(config=config, agent=agent, model=model, tools=tools, system=system)
    if chosen.warning:
        tell(f"lumosai: {chosen.warning}")
    settings = resolve(chosen.document, chosen.name, environ=os.environ, flags=chosen.flags, strict=False)
    rows = _rows(settings)
    if json:
        write_json(_report(chosen, rows))
    else:
        _table(chosen, rows)
    problems = [s.problem for _, s in rows if s.problem]
    for problem in problems:
        tell(style_for(sys.stderr).red(f"lumosai: {one_line(problem)}"))
    if problems:
        raise typer.Exit(1)


def _rows(settings: dict[Flat, Setting]) -> list[tuple[str, Setting]]:
    """Every key with its value, defaults included; the agent's name is told apart."""
    from lumosai.agent.config import AgentConfig
    from lumosai.agent.config_schema import leaves
    from lumosai.agent.config_sources import Setting

    rows: list[tuple[str, Setting]] = []
    default = AgentConfig()
    for path in leaves():
        if path == ("name",):
            continue
        value: Any = default
        for key in path:
            value = getattr(value, key)
        rows.append((".".join(path), settings.get(path, Setting(value, "default", "default", value))))
    return rows


def _report(chosen: Chosen, rows: list[tuple[str, Setting]]) -> dict[str, Any]:
    return {
        "file": str(chosen.document.path) if chosen.document.path else None,
        "agent": chosen.name,
        "agents": list(chosen.document.names()),
        "settings": {
            key: {"value": s.shown, "kind": s.kind, "source": s.source, "problem": s.problem or None} for key, s in rows
        },
    }


def _table(chosen: Chosen, rows: list[tuple[str, Setting]]) -> None:
    import json
    import sys

    from lumosai.agent.config_file import shown_path

    style = style_for(sys.stdout)
    file = shown_path(chosen.document.path) if chosen.document.path else "none (no lumosai.toml from here upward)"
    others = [n for n in chosen.document.names() if n != chosen.name]
    write_line(f"file   {file}")
    also = f"  (also: {', '.join(others)})" if others else ""
    write_line(f"agent  {chosen.name}{also}")
    write_line()
    width = max(len(key) for key, _ in rows)
    for key, setting in rows:
        shown = setting.shown
        value = one_line(
            shown if isinstance(shown, str) and shown else json.dumps(shown, ensure_ascii=False, default=str), 60
        )
        line = f"{key:<{width}}  {value:<40}  {setting.source}"
        write_line(style.dim(line) if setting.kind == "default" else line)
