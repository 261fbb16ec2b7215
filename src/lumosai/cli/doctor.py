"""`lumosai doctor`: what is here, what is missing, and how to get it."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import typer

from lumosai.cli.options import AgentName, Config, Debug, Json, Model, choose_agent
from lumosai.cli.terminal import Style, style_for, write_json, write_line

if TYPE_CHECKING:
    from lumosai.cli.examine import Check
    from lumosai.cli.options import Chosen
    from lumosai.errors import LumosaiError

HEADINGS = {
    "python": "Python",
    "extra": "Optional parts",
    "key": "Keys of providers",
    "server": "Servers on this machine",
    "weights": "Weights of local models",
    "configuration": "Configuration",
    "model": "Models",
}
"""What each area is called, in the order in which they are shown."""


def doctor(
    *,
    agent: AgentName = None,
    config: Config = None,
    model: Model = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Look at what is installed, which keys and servers there are, which model answers, and what is missing.

    Exit code: 0 when the agent can answer, 1 when it cannot. Keys are never shown; nothing is changed, and nothing is
    asked but model servers on this machine.
    """
    from lumosai.cli.examine import examine

    _ = debug
    checks = examine(_chosen(agent, config, model), os.environ)
    bad = any(check.state == "bad" for check in checks)
    if json:
        write_json(_report(checks, bad=bad))
    else:
        _print(checks, style_for(sys.stdout), bad=bad)
    if bad:
        raise typer.Exit(1)


def _chosen(agent: str | None, config: str | None, model: str | None) -> Chosen | LumosaiError:
    from lumosai.errors import LumosaiError

    try:
        return choose_agent(config=config, agent=agent, model=model)
    except LumosaiError as error:
        return error


def _report(checks: list[Check], *, bad: bool) -> dict[str, object]:
    rows = [
        {"area": c.area, "name": c.name, "state": c.state, "detail": c.detail, "remedy": c.remedy or None}
        for c in checks
    ]
    auto = next((c.detail.split(": ", 1) for c in checks if (c.area, c.name) == ("model", "auto")), ["", ""])
    return {"ok": not bad, "auto": {"model": auto[0], "reason": auto[-1]}, "checks": rows}


def _print(checks: list[Check], style: Style, *, bad: bool) -> None:
    marks = {
        "ok": style.green("✓"),
        "missing": style.dim("–"),
        "bad": style.red("✗"),
        "note": style.yellow("!"),
    }
    for area, heading in HEADINGS.items():
        rows = [c for c in checks if c.area == area]
        if not rows:
            continue
        write_line(style.bold(heading))
        width = max(len(c.name) for c in rows)
        for check in rows:
            line = f"{check.name:<{width}}  {check.detail}"
            write_line(f"  {marks[check.state]} {style.dim(line) if check.state == 'missing' else line}")
            if check.remedy and check.state != "ok":
                write_line(f"    {' ' * width}  {style.cyan('→ ' + check.remedy)}")
        write_line()
    write_line(_verdict(checks, style, bad=bad))


def _verdict(checks: list[Check], style: Style, *, bad: bool) -> str:
    if bad:
        return style.red("The agent cannot answer: see ✗ above.")
    later = next((c.remedy for c in checks if c.area == "model" and c.state == "missing"), None)
    if later:
        return style.yellow(f"The agent can answer once its weights are here; to fetch them now: {later}")
    return style.green("The agent can answer.")
