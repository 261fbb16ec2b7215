"""The application: agents by name, from Python or from `lumosai.toml`. What the command line starts from."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Self

from lumosai.agent.adopt import Adopter
from lumosai.agent.config_schema import near
from lumosai.agent.upkeep import Upkeep, longest
from lumosai.errors import ConfigurationError, NotFoundError
from lumosai.records import Retention, Scope

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from lumosai.agent.agent import Agent
    from lumosai.agent.connected import ConnectedRun
    from lumosai.storage.base import RunRecord
    from lumosai.telemetry.telemetry import Telemetry


_RETENTION = Retention()


class Lumosai:
    """Agents that belong together. Use it as an async context manager, so that connections are closed at the end.

        async with Lumosai.load("lumosai.toml") as app:
            result = await app.agent("assistant").generate("Hello.")

    Iterating gives the agents in their order; `len` and `in` (a name) work as on any collection.

    While it is open, runs of its agents whose process died go on here. When it closes, those that are not done are left
    to other processes. What its databases have kept long enough is removed meanwhile, now and then and a little at a time.

    Args:
        agents: each with a name of its own.
        context: makes the user's object again for a run that had one, of what is stored of the run.
        take_up: whether runs that go on nowhere are looked for at all.
        retention: how long what is kept is kept; None removes nothing.
        telemetry: records the runs of all these agents, beside what each of them has to observe it.

    Raises:
        ConfigurationError: two agents have one name.
    """

    def __init__(
        self,
        agents: Iterable[Agent[Any]] = (),
        *,
        context: Callable[[RunRecord], Any] | None = None,
        take_up: bool = True,
        retention: Retention | None = _RETENTION,
        telemetry: Telemetry | None = None,
    ) -> None:
        by_name: dict[str, Agent[Any]] = {}
        for agent in agents:
            if agent.name in by_name:
                raise ConfigurationError(f"two agents are named {agent.name!r}: give each a name of its own")
            observed = telemetry is not None and telemetry not in agent.observers
            by_name[agent.name] = agent.replace(observers=(*agent.observers, telemetry)) if observed else agent
        self.telemetry = telemetry
        self._agents = by_name
        self._adopter = Adopter(by_name.values(), context) if take_up else None
        kept = [a.storage for a in by_name.values() if a.storage is not None]
        self._upkeep = Upkeep(kept, retention) if retention is not None else None

    @classmethod
    def load(
        cls, source: str | os.PathLike[str] | Mapping[str, Any], *, environ: Mapping[str, str] | None = None
    ) -> Self:
        """Every agent that a `lumosai.toml`, a `lumosai.yaml` or a mapping of the same shape describes.

        Args:
            source: the file, or its content as a mapping.
            environ: the environment, by default the process's; its `LUMOSAI_*` variables win over a file.

        Raises:
            ConfigurationError: the file cannot be read, or something in it cannot be used.
        """
        from lumosai.agent.agent import Agent
        from lumosai.agent.config import build, load_all

        configs = load_all(source, environ=environ)
        return cls([Agent(**build(c)) for c in configs], retention=longest(c.retention for c in configs))

    def agent(self, name: str) -> Agent[Any]:
        """The agent of that name.

        Raises:
            ConfigurationError: there is none.
        """
        try:
            return self._agents[name]
        except KeyError:
            there = ", ".join(map(repr, self._agents)) or "none"
            raise ConfigurationError(f"no agent {name!r}{near(name, self._agents)}; there is {there}") from None

    async def connect(self, run_id: str, *, scope: Scope | None = None) -> ConnectedRun[Any]:
        """A run of any of the agents' storages, wherever it goes on; see `Agent.connect`.

        Raises:
            NotFoundError: there is no such run in this scope.
            ConfigurationError: none of the agents keeps runs.
        """
        from lumosai.agent.subscription import record_of

        storages = {id(a.storage): a.storage for a in self if a.storage is not None}
        if not storages:
            raise ConfigurationError("none of the agents keeps runs: give one a storage, Agent(storage=…)")
        scope = scope if scope is not None else Scope()
        for storage in storages.values():
            record = await record_of(storage, storage.scope(scope), run_id)
            if record is not None:
                mine = [a for a in self if a.storage is storage]
                agent = next((a for a in mine if a.name == record.agent), mine[0])
                return await agent.connect(run_id, scope=scope)
        raise NotFoundError(
            f"there is no run {run_id!r} in {scope}; runs with journal=False are reached only by who holds them"
        )

    def __iter__(self) -> Iterator[Agent[Any]]:
        return iter(self._agents.values())

    def __len__(self) -> int:
        return len(self._agents)

    def __contains__(self, name: object) -> bool:
        return name in self._agents

    async def __aenter__(self) -> Self:
        if self._adopter is not None:
            self._adopter.start()
        if self._upkeep is not None:
            self._upkeep.start()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Closes the connections that this event loop keeps to models, and the agents' storages.

        Agents may still be used: new ones are opened.
        """
        if self._adopter is not None:
            await self._adopter.close()
        if self._upkeep is not None:
            await self._upkeep.close()
        if "lumosai.telemetry.telemetry" in sys.modules:  # nothing was recorded where it was never loaded
            from lumosai.telemetry.telemetry import Telemetry

            for recording in {id(o): o for a in self for o in a.observers if isinstance(o, Telemetry)}.values():
                await recording.close()
        for storage in {id(a.storage): a.storage for a in self if a.storage is not None}.values():
            await storage.close()
        if "lumosai._http" in sys.modules:  # nothing was opened where it was never loaded
            from lumosai import _http

            await _http.close()
