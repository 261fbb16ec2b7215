"""One chat: its agent, what was said, and the commands that begin with a slash."""

from __future__ import annotations

import asyncio
import contextlib
import re
import sys
from typing import TYPE_CHECKING, Any

import msgspec

from lumosai.agent.upkeep import Upkeep
from lumosai.app import Lumosai
from lumosai.cli.conversation import after
from lumosai.cli.follow import follow
from lumosai.cli.guard import reason
from lumosai.cli.ready import fetch_weights, model_text, ready_agent
from lumosai.cli.screen import Screen
from lumosai.cli.terminal import is_terminal, one_line, style_for
from lumosai.errors import LumosaiError
from lumosai.messages import Message

if TYPE_CHECKING:
    from lumosai.agent.config import AgentConfig
    from lumosai.agent.run import Run
    from lumosai.cli.interrupts import Interrupts
    from lumosai.cli.line_editor import Lines
    from lumosai.events import ApprovalRequested

COMMANDS = {
    "help": "this list",
    "clear": "forget what was said",
    "model": "which model answers; /model NAME changes it",
    "tools": "which tools there are; /tools calculator,clock changes them, /tools none takes them away",
    "exit": "leave",
}
"""What may be typed after a slash, and what it does."""
_UPKEEP_S = 0.3
_COMMAND = re.compile(r"/([a-z]+)(?:\s+(.*))?$", re.DOTALL)


class Session:
    """A conversation with one agent.

    Attributes:
        config: the agent's settings, as commands have changed them.
        thread: the thread that keeps the conversation, None where only this chat does.
        said: the conversation so far, where no thread keeps it.
        over: whether the user has asked to leave.

    Raises:
        LumosaiError: the agent cannot be made.
    """

    def __init__(self, config: AgentConfig, *, show_reasoning: bool = False, thread: str | None = None) -> None:
        self.config = config
        self.thread = thread
        self.agent = ready_agent(config)
        self.said: tuple[Message, ...] = ()
        self.over = False
        self._show_reasoning = show_reasoning
        self._notes = sys.stdout if is_terminal(sys.stdout) else sys.stderr
        self._style = style_for(self._notes)

    async def close(self) -> None:
        """Keeps the database to its age and size, for a moment at the most, and closes connections."""
        if self.thread is not None and self.agent.storage is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_UPKEEP_S):
                    await Upkeep([self.agent.storage], self.config.retention).once(pause_s=0.001)
        await Lumosai([self.agent], take_up=False).aclose()

    async def answer(self, text: str, lines: Lines, interrupts: Interrupts) -> bool:
        """Answers a message on the screen; whether it was interrupted by Ctrl-C."""
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None  # noqa: S101  # a coroutine that runs has one
        with interrupts.stopping(lambda: loop.call_soon_threadsafe(task.cancel)):
            try:
                return await self._answer(text, lines)
            except asyncio.CancelledError:  # before the first event, or behind the last
                task.uncancel()
                return True

    async def _answer(self, text: str, lines: Lines) -> bool:
        screen = Screen(self._notes, show_reasoning=self._show_reasoning, whole=not self.config.enable_streaming)

        async def decide(event: ApprovalRequested) -> bool:
            _ = event
            with screen.paused():
                return (await lines.ask("allow it? [y/N] ")).strip().lower() in ("y", "yes")

        question = Message.user(text)
        try:
            async with screen.live(), self._asked(question) as run:
                followed = await follow(run, screen.show, decide)
                if self.thread is None:
                    self.said = after(self.said, question, followed.events)
        except LumosaiError as error:
            self.fail(error)
            return False
        return followed.interrupted

    def _asked(self, question: Message) -> Run[Any]:
        if self.thread is None:
            return self.agent.stream([*self.said, question])
        return self.agent.stream(question, thread_id=self.thread)

    def greet(self) -> None:
        """Says who is there."""
        tools = ", ".join(t.name for t in self.agent.tools) or "none"
        thread = f" · thread: {one_line(self.thread, 40)}" if self.thread is not None else ""
        self.say(f"{self.agent.name} · model: {model_text(self.agent)} · tools: {tools}{thread} · /help")

    def command(self, text: str) -> bool:
        """Runs a slash command; False where the text is none, but a message that begins with a slash."""
        match = _COMMAND.match(text.strip())
        if match is None:
            return False
        name, rest = match[1], (match[2] or "").strip()
        run = {"help": self._help, "clear": self._clear, "model": self._model, "tools": self._tools}.get(name)
        if name in ("exit", "quit"):
            self.over = True
        elif run is not None:
            run(rest)
        else:
            self.say(f"there is no /{name}; /help lists what there is")
        return True

    def say(self, text: str) -> None:
        """A line beside the conversation."""
        self._notes.write(f"{self._style.dim(text)}\n")
        self._notes.flush()

    def fail(self, error: BaseException) -> None:
        """An error that does not end the chat."""
        self._notes.write(f"{self._style.red(f'lumosai: {reason(error)}')}\n")
        self._notes.flush()

    def _help(self, rest: str) -> None:
        _ = rest
        for name, words in COMMANDS.items():
            self.say(f"/{name:<6} {words}")
        self.say("Enter sends, Alt-Enter begins a new line; Ctrl-C stops an answer, Ctrl-D leaves")

    def _clear(self, rest: str) -> None:
        _ = rest
        if self.thread is not None:
            self.say(f"thread {self.thread!r} is kept: `lumosai threads rm` deletes one, --thread begins another")
            return
        self.said = ()
        self.say("forgotten")

    def _model(self, rest: str) -> None:
        if rest:
            self._change(model=rest)
        self.say(f"model: {model_text(self.agent)}")

    def _tools(self, rest: str) -> None:
        if rest:
            names = () if rest == "none" else tuple(t.strip() for t in rest.split(",") if t.strip())
            self._change(tools=names)
        for tool in self.agent.tools:
            self.say(f"{tool.name}: {one_line(tool.description, 100)}")
        if not self.agent.tools:
            self.say("no tools")

    def _change(self, **changes: Any) -> None:
        """Takes other settings, unless they cannot work."""
        config = msgspec.structs.replace(self.config, **changes)
        try:
            agent = ready_agent(config)
            fetch_weights(agent)
        except LumosaiError as error:
            self.fail(error)
        else:
            self.agent, self.config = agent, config
