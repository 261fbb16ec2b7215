"""A run that another process left, taken up here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lumosai.agent.past import Past, read
from lumosai.agent.run import Run
from lumosai.errors import ConfigurationError
from lumosai.events import TERMINAL
from lumosai.memory.base import READ_TOOL, WORKING_TOOL
from lumosai.records import Out, Scope

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self

    from lumosai.agent.definition import Definition
    from lumosai.agent.loop import Loop
    from lumosai.messages import Message
    from lumosai.storage.base import Handle, InboxItem, Lease, RunRecord


class Resumed(Run[Out]):
    """A run whose past is read when it is opened. One that is taken up only to end (`ending`) needs nothing of its agent's."""

    def __init__(
        self,
        agent: Definition[Any],
        loop_of: Callable[..., Loop],
        run_id: str,
        *,
        context: Any,
        output_type: Any,
        scope: Scope | None,
        force: bool,
        ending: bool = False,
    ) -> None:
        self._agent = agent
        self._make = loop_of
        self._run_id = run_id
        self._context = context
        self._output_type = output_type
        self._scope = scope
        self._force = force
        self._ending = ending
        self._opened = False

    @property
    def id(self) -> str:
        """The root run's id, once the run is open; else as it was asked for."""
        return super().id if self._opened else self._run_id

    def __repr__(self) -> str:
        return super().__repr__() if self._opened else f"<Run {self._run_id}, to be resumed>"

    async def __aenter__(self) -> Self:
        if not self._opened:
            loop = await self._load()
            super().__init__(loop)
            self._opened = True
        return await super().__aenter__()

    async def _load(self) -> Loop:
        """Takes the run over and reads what it had come to.

        Raises:
            LumosaiError: see `Agent.resume`.
        """
        agent, storage = self._agent, self._agent.storage
        if storage is None or not agent.journal:
            way = "it has journal=False" if storage is not None else "give it a storage, Agent(storage=…), to resume"
            raise ConfigurationError(f"agent {agent.name!r} keeps no runs: {way}")
        handle = storage.scope(self._scope if self._scope is not None else Scope())
        record, lease = await handle.take_run(self._run_id)
        try:
            posted = await storage.system().inbox([lease]) if lease is not None else ()
            return await self._loop_of(handle, record, lease, posted)
        except BaseException:
            if lease is not None:
                await handle.let_go(lease)
            raise

    async def _loop_of(
        self, handle: Handle, record: RunRecord, lease: Lease | None, posted: tuple[InboxItem, ...]
    ) -> Loop:
        agent = self._agent
        if record.agent != agent.name:
            raise ConfigurationError(f"run {record.id} is one of agent {record.agent!r}, not of {agent.name!r}")
        in_thread: list[Message] = []
        events = await read(handle, record.id, record.last, in_thread)
        past = Past(events, record.id, has_context=record.has_context, in_thread=in_thread)
        if lease is not None and not self._force:
            _check_tools(agent, past)
        started = past.started
        typed = agent.known.output(self._output_type or agent.output_type) is not None
        if lease is not None and started.output_schema is not None and not typed and not self._ending:
            raise ConfigurationError(f"run {record.id} had an output type: pass it to resume, output_type=…")
        alone = self._ending and agent.memory is None
        options: dict[str, Any] = {
            "thread_id": started.thread_id if not alone else None,
            "resource_id": started.resource_id,
            "scope": started.scope,
            "context": self._context,
            "tool_choice": started.tool_choice if not self._ending else None,
            "output_type": self._output_type,
            "settings": started.settings,
            "limits": started.limits,
        }
        if started.thread_id is not None and not alone:
            options |= {"branch": started.branch, "save_to_memory": started.save_to_memory}
            options |= {"memory_options": started.memory_options}
        if past.ended is None and isinstance(events[-1], TERMINAL) and events[-1].run_id == record.id:
            past.ended = events[-1]
        given = started.input or None  # None answers the thread as it is
        loop = self._make(given, options, interactive=True, past=past, lease=lease)
        loop.posted = posted
        return loop


def _check_tools(agent: Definition[Any], past: Past) -> None:
    """Raises where a waiting call's tool is defined otherwise now than when the model was told of it.

    Raises:
        ConfigurationError: it is.
    """
    then = {t.name: t for t in past.asked.tools} if past.asked is not None else {}
    now = {t.name: t for t in agent.known.definitions}
    for call in past.pending:
        if call.name not in (READ_TOOL, WORKING_TOOL) and call.name in then and then[call.name] != now.get(call.name):
            what = "is gone" if call.name not in now else "is defined otherwise now"
            raise ConfigurationError(
                f"the call {call.id!r} of run {past.started.run_id} waits for tool {call.name!r}, which {what}: "
                "resume with the agent as it was, or with force=True"
            )
