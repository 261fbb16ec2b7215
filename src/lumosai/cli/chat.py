"""`lumosai chat`: a conversation in the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from lumosai.cli.guard import INTERRUPTED
from lumosai.cli.options import (
    AgentName,
    Config,
    Debug,
    MemoryUrl,
    Model,
    Reasoning,
    System,
    Thread,
    Tools,
    choose_agent,
    configured,
)
from lumosai.cli.terminal import tell

if TYPE_CHECKING:
    import asyncio

    from lumosai.cli.interrupts import Interrupts
    from lumosai.cli.line_editor import Lines
    from lumosai.cli.session import Session


def chat(
    *,
    model: Model = None,
    tools: Tools = None,
    system: System = None,
    agent: AgentName = None,
    config: Config = None,
    thread: Thread = None,
    memory: MemoryUrl = None,
    show_reasoning: Reasoning = False,
    debug: Debug = False,
) -> None:
    """Talk with an agent.

    Ctrl-C stops an answer; at the prompt Ctrl-C twice, or Ctrl-D, leaves. /help lists what else can be typed.
    """
    from asyncio import Runner

    from lumosai.cli.ready import fetch_weights
    from lumosai.cli.session import Session

    _ = debug
    chosen = choose_agent(
        config=config, agent=agent, model=model, tools=tools, system=system, memory=memory, thread=thread
    )
    if chosen.warning:
        tell(f"lumosai: {chosen.warning}")
    session = Session(configured(chosen), show_reasoning=show_reasoning, thread=thread)
    fetch_weights(session.agent)
    with Runner() as runner:
        try:
            converse(session, runner)
        finally:
            runner.run(session.close())


def converse(session: Session, runner: asyncio.Runner) -> None:
    """Reads and answers until there is nothing more to read, or the user leaves."""
    from lumosai.cli.interrupts import Interrupts
    from lumosai.cli.line_editor import open_lines
    from lumosai.cli.session import COMMANDS

    lines = open_lines([f"/{name}" for name in COMMANDS])
    if lines.interactive:
        session.greet()
    with Interrupts() as interrupts:
        _take_turns(session, lines, runner, interrupts)


def _take_turns(session: Session, lines: Lines, runner: asyncio.Runner, interrupts: Interrupts) -> None:
    leaving = False
    while not session.over:
        try:
            interrupted = _turn(session, lines, runner, interrupts)
        except EOFError:
            break
        except KeyboardInterrupt:
            interrupted = True
            if leaving or not lines.interactive:
                raise typer.Exit(0 if lines.interactive else INTERRUPTED) from None
        if interrupted and not lines.interactive:
            raise typer.Exit(INTERRUPTED)
        if interrupted:
            session.say("Ctrl-C again, or Ctrl-D, leaves")
        leaving = interrupted


def _turn(session: Session, lines: Lines, runner: asyncio.Runner, interrupts: Interrupts) -> bool:
    """Reads once and does what was read; whether its answer was interrupted."""
    text = lines.read(interrupts)
    if not text.strip() or (text.startswith("/") and session.command(text)):
        return interrupts.take()
    try:
        return runner.run(session.answer(text, lines, interrupts)) or interrupts.take()
    except KeyboardInterrupt:  # a second one, while the first was still being heeded
        raise typer.Exit(INTERRUPTED) from None
