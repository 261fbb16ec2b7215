"""`lumosai run`: one question, one answer on standard output."""

from __future__ import annotations

import contextlib
import os
import stat
import sys
from typing import TYPE_CHECKING, Annotated, Any

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
from lumosai.cli.terminal import is_terminal, one_line, style_for, tell

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from lumosai.agent.agent import Agent
    from lumosai.cli.screen import Screen
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
    thread: Thread = None,
    memory: MemoryUrl = None,
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
    chosen = choose_agent(
        config=config, agent=agent, model=model, tools=tools, system=system, memory=memory, thread=thread
    )
    if chosen.warning:
        tell(f"lumosai: {chosen.warning}")
    settings = configured(chosen)
    import asyncio

    whole = no_stream or not settings.enable_streaming
    show = _shower(events=events, quiet=quiet, whole=whole, show_reasoning=show_reasoning)
    from lumosai.cli.ready import fetch_weights, ready_agent

    chosen_agent = ready_agent(settings)
    fetch_weights(chosen_agent)
    code = asyncio.run(_answer(chosen_agent, question, show, yes=yes, thread=thread))
    if code:
        raise typer.Exit(code)


def _shower(*, events: bool, quiet: bool, whole: bool, show_reasoning: bool) -> Screen | EventLines:
    from lumosai.cli.screen import Screen

    if events:
        return EventLines()
    return Screen(sys.stderr, show_reasoning=show_reasoning, whole=whole, quiet=quiet)


async def _answer(
    agent: Agent[Any], question: str, screen: Screen | EventLines, *, yes: bool, thread: str | None
) -> int:
    from lumosai.app import Lumosai
    from lumosai.cli.follow import follow
    from lumosai.events import Error, RunCancelled

    async def decide(event: ApprovalRequested) -> bool:
        _ = event
        return yes

    async with Lumosai([agent], take_up=False), screen.live(), agent.stream(question, thread_id=thread) as opened:
        followed = await follow(opened, screen.show, decide)
    last = followed.events[-1]
    if isinstance(last, RunCancelled):
        return INTERRUPTED
    if isinstance(last, Error):
        return 1
    if not screen.answered:
        tell(style_for(sys.stderr).red("lumosai: the model ended without an answer"))
        return 1
    return 0


class EventLines:
    """Prints every event as one line of JSON."""

    answered = True

    def show(self, event: Event) -> None:
        """Prints one event, and a failure on standard error too."""
        from lumosai.events import Error, to_json

        sys.stdout.buffer.write(to_json(event) + b"\n")
        sys.stdout.buffer.flush()
        if isinstance(event, Error):
            tell(style_for(sys.stderr).red(f"lumosai: {one_line(event.message, 2000)}"))

    @contextlib.asynccontextmanager
    async def live(self) -> AsyncIterator[None]:
        """Does nothing: programs need no sign of life."""
        yield


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
