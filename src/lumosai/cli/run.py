"""`lumosai run`: one question, one answer on standard output."""

from __future__ import annotations

import os
import stat
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from lumosai.cli.guard import INTERRUPTED
from lumosai.cli.options import (
    AgentName,
    Config,
    Debug,
    Model,
    Reasoning,
    System,
    Tools,
    choose_agent,
    configured,
    make_agent,
)
from lumosai.cli.terminal import is_terminal, style_for, tell, write

if TYPE_CHECKING:
    from lumosai.agent.config import AgentConfig
    from lumosai.events import ApprovalRequested, Event

PATIENCE_S = 2.0
"""How long standard input may be silent before we say that we wait for it."""


def run(
    prompt: Annotated[
        str | None,
        typer.Argument(metavar="[PROMPT]", help="What to ask; '-' reads it from standard input.", show_default=False),
    ] = None,
    *,
    model: Model = None,
    tools: Tools = None,
    system: System = None,
    agent: AgentName = None,
    config: Config = None,
    events: Annotated[bool, typer.Option("--json", help="Print every event as JSON, one a line.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but the answer and errors.")] = False,
    no_stream: Annotated[
        bool, typer.Option("--no-stream", help="Print the answer once it is whole: the last step's text alone.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Approve every tool call that asks for it.")] = False,
    show_reasoning: Reasoning = False,
    debug: Debug = False,
) -> None:
    """Ask once and print the answer.

    Standard output gets the answer alone; tool calls, tokens and errors go to standard error. What is piped in is added
    to the prompt. Exit code: 0, 1 when there is no answer, 130 after Ctrl-C.
    """
    _ = debug
    question = read_prompt(prompt)
    chosen = choose_agent(config=config, agent=agent, model=model, tools=tools, system=system)
    if chosen.warning:
        tell(f"lumosai: {chosen.warning}")
    settings = configured(chosen)
    printer = Printer(settings, events=events, quiet=quiet, whole=no_stream, show_reasoning=show_reasoning)
    import asyncio

    code = asyncio.run(_answer(settings, question, printer, yes=yes))
    if code:
        raise typer.Exit(code)


async def _answer(settings: AgentConfig, question: str, printer: Printer, *, yes: bool) -> int:
    from lumosai.app import Lumosai
    from lumosai.cli.follow import follow
    from lumosai.events import Error, RunCancelled

    async def decide(event: ApprovalRequested) -> bool:
        _ = event
        return yes

    agent = make_agent(settings)
    async with Lumosai([agent]), agent.stream(question) as opened:
        followed = await follow(opened, printer.show, decide)
    last = followed.events[-1]
    if isinstance(last, RunCancelled):
        return INTERRUPTED
    return 1 if isinstance(last, Error) or not printer.answered else 0


class Printer:
    """Prints a run's events: the answer to standard output, the rest to standard error; or all as JSON lines."""

    def __init__(self, settings: AgentConfig, *, events: bool, quiet: bool, whole: bool, show_reasoning: bool) -> None:
        from lumosai.cli.render import Renderer

        self.answered = events
        self._events = events
        self._quiet = quiet
        terminal = is_terminal(sys.stdout)
        self._renderer = Renderer(
            style_for(sys.stderr),
            show_reasoning=show_reasoning,
            whole=whole or not settings.enable_streaming,
            clean=terminal,
            shared=terminal and is_terminal(sys.stderr),
        )

    def show(self, event: Event) -> None:
        """Prints one event."""
        from lumosai.events import Error, to_json

        if self._events:
            sys.stdout.buffer.write(to_json(event) + b"\n")
            sys.stdout.buffer.flush()
        for channel, text in self._renderer.feed(event):
            if channel == "answer":
                self.answered = self.answered or bool(text.strip())
                if not self._events:
                    write(text)
            elif isinstance(event, Error) or not (self._quiet or self._events):
                sys.stderr.write(text)
                sys.stderr.flush()


def read_prompt(prompt: str | None) -> str:
    """The question: the argument, standard input, or both, the argument first.

    Raises:
        typer.BadParameter: there is none.
    """
    if prompt == "-":
        text = _read_input()
    elif prompt is not None:
        piped = _read_input() if _is_piped() else ""
        text = f"{prompt}\n\n{piped}" if piped.strip() else prompt
    elif is_terminal(sys.stdin):
        text = ""
    else:
        text = _read_input()
    if not text.strip():
        raise typer.BadParameter('there is nothing to ask: lumosai run "…", or pipe the question in')
    return text


def _is_piped() -> bool:
    """Whether standard input is a pipe or a file: something that was meant for us, and that ends."""
    try:
        mode = os.fstat(sys.stdin.fileno()).st_mode
    except (OSError, ValueError, AttributeError):  # closed, or not a real file
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISREG(mode)


def _read_input() -> str:
    if sys.stdin is None:
        return ""
    _say_if_silent()
    return sys.stdin.buffer.read().decode("utf-8", "replace").lstrip("\ufeff").rstrip("\n")


def _say_if_silent() -> None:
    if os.name == "nt":
        return  # there, only sockets can be waited for
    import select

    try:
        ready, _, _ = select.select([sys.stdin], [], [], PATIENCE_S)
    except (OSError, ValueError):
        return
    if not ready:
        tell("lumosai: waiting for standard input (end it with Ctrl-D, or start with < /dev/null)")
