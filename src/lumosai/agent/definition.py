"""What an agent is: frozen settings, and what is worked out from them once, when it is first needed."""

from __future__ import annotations

from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Any, Generic, cast

from lumosai.agent.earlier import Earlier
from lumosai.errors import ConfigurationError, ToolDefinitionError
from lumosai.ids import content_hash
from lumosai.messages import Message, TextPart, scrub
from lumosai.records import Limits, ModelSettings, Out, Scope
from lumosai.tools.base import as_tool

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping

    from lumosai._schema import OutputSchema
    from lumosai.agent.context import RunContext
    from lumosai.agent.experience import Experience
    from lumosai.errors import LumosaiError
    from lumosai.events import Event
    from lumosai.memory.base import RunMemory
    from lumosai.models.base import Model
    from lumosai.models.calling import CallingModel
    from lumosai.models.tokens import Counter
    from lumosai.records import ToolCalling, ToolDefinition
    from lumosai.storage.base import Storage
    from lumosai.tools.base import Tool

    Instructions = str | Callable[[RunContext[Any]], str | Awaitable[str]]

_NO_SETTINGS = ModelSettings()
_NO_LIMITS = Limits()
_CALLING = ("auto", "native", "constrained", "text", "off")
_FIELDS = (
    "name",
    "instructions",
    "model",
    "tools",
    "output_type",
    "settings",
    "limits",
    "tool_calling",
    "memory",
    "storage",
    "journal",
    "observers",
    "version",
)


class Definition(Generic[Out]):
    """The settings of an agent. See `Agent`, which is one and runs."""

    __slots__ = (*_FIELDS, "__weakref__", "_known")

    name: str
    instructions: Instructions
    model: Model | str
    tools: tuple[Tool, ...]
    output_type: Any
    settings: ModelSettings
    limits: Limits
    tool_calling: ToolCalling
    memory: RunMemory | None
    storage: Storage | None
    journal: bool
    observers: tuple[Callable[[Event], None], ...]
    version: str
    _known: Known | None

    def __init__(
        self,
        name: str,
        *,
        instructions: Instructions = "",
        model: Model | str = "auto",
        tools: Iterable[Any] = (),
        output_type: Any = str,
        settings: ModelSettings = _NO_SETTINGS,
        limits: Limits = _NO_LIMITS,
        tool_calling: ToolCalling = "auto",
        memory: RunMemory | None = None,
        storage: Storage | str | None = None,
        journal: bool = True,
        observers: Iterable[Callable[[Event], None]] = (),
        version: str = "",
    ) -> None:
        _check(name, instructions, model, tool_calling, memory, storage)
        if type(settings) is not ModelSettings or type(limits) is not Limits:
            check_kinds(f"agent {name!r}", {"settings": settings, "limits": limits}, ConfigurationError)
        if observers:
            observers = _observers(name, observers)
        put = object.__setattr__
        put(self, "name", name)
        put(self, "instructions", scrub(instructions) if isinstance(instructions, str) else instructions)
        put(self, "model", model)
        put(self, "tools", _tools(name, tools))
        put(self, "output_type", output_type)
        put(self, "settings", settings)
        put(self, "limits", limits)
        put(self, "tool_calling", tool_calling)
        put(self, "memory", memory)
        put(self, "storage", storage_of(name, storage, memory))
        put(self, "journal", journal)
        put(self, "observers", tuple(observers))
        put(self, "version", version)
        put(self, "_known", None)

    __init__.__qualname__ = "Agent"  # which Python's errors about arguments are to name

    def __setattr__(self, name: str, value: object) -> None:
        msg = f"an agent is frozen: make another one with agent.replace({name}=…)"
        raise AttributeError(msg)

    def __delattr__(self, name: str) -> None:
        self.__setattr__(name, None)

    def __repr__(self) -> str:
        model = self.model if isinstance(self.model, str) else f"{self.model.provider}:{self.model.name}"
        tools = ", ".join(t.name for t in self.tools)
        return f"{type(self).__name__}({self.name!r}, model={model!r}, tools=[{tools}])"

    def fields(self) -> dict[str, Any]:
        """The settings by name: what `replace` changes."""
        return {name: getattr(self, name) for name in _FIELDS}

    @property
    def known(self) -> Known:
        """What is worked out from the settings."""
        known = self._known
        if known is None:
            known = Known(self)
            object.__setattr__(self, "_known", known)
        return known


class Known:
    """What is worked out once an agent, when it first runs.

    Attributes:
        model: the model, with its retries and its way of calling tools around it.
        definitions: the tools as the model is told of them.
        hash: SHA-256 over what decides how a run goes: a resumed run compares it.
        services: stores handed to the model with each request.
        earlier: the conversation that was handed in last.
        experience: what runs learn of the model, where a storage keeps it.
    """

    __slots__ = (
        "_counter",
        "_outputs",
        "_system",
        "definitions",
        "earlier",
        "experience",
        "hash",
        "model",
        "services",
        "tools",
    )

    def __init__(self, agent: Definition[Any]) -> None:
        from lumosai.models.calling import prepare

        given = agent.model
        if isinstance(given, str):
            from lumosai.models.registry import model as by_name

            given = by_name(given)
        self.model: CallingModel = cast("CallingModel", prepare(given))
        self.tools: dict[str, Tool] = {t.name: t for t in agent.tools}
        strict = self.model.profile.strict_tools
        self.definitions: tuple[ToolDefinition, ...] = tuple([t.definition(strict=strict) for t in agent.tools])
        self.services: dict[str, Any] = {}
        self.earlier = Earlier()
        self.experience = _experience(agent.storage, self.model)
        if self.experience is not None:
            self.services["profiles"] = self.experience
        instructions = agent.instructions if isinstance(agent.instructions, str) else "<function>"
        model = f"{self.model.provider}:{self.model.name}"
        self.hash = content_hash([agent.name, agent.version, instructions, model, agent.tool_calling, self.definitions])
        self._outputs: dict[Any, OutputSchema] = {}
        self._system: Message | None = None
        self._counter: Counter | None = None

    @property
    def counter(self) -> Counter:
        """Counts tokens as the model's provider does, as far as that is known."""
        if self._counter is None:
            from lumosai.models.tokens import Counter as Made

            model = self.model
            self._counter = Made(model.provider, model.name, model.endpoint, self.experience, wait=False)
        return self._counter

    def output(self, output_type: Any) -> OutputSchema | None:
        """The schema of an output type, None for plain text.

        Raises:
            ConfigurationError: the type has no JSON Schema.
        """
        if output_type is str:
            return None
        from lumosai import _schema

        try:
            schema = self._outputs.get(output_type)
        except TypeError:  # a type that cannot be hashed, such as Annotated with a dict in it
            return _schema.output_of(output_type)
        if schema is None:
            schema = self._outputs[output_type] = _schema.output_of(output_type)
        return schema

    def system_message(self, text: str) -> Message:
        """The instructions as a message: the same object while they are the same, so that it is encoded once."""
        if self._system is None or self._system.text != text:
            self._system = Message("system", (TextPart(text),))
        return self._system


def _check(  # noqa: PLR0917  # one test each, in the order of the settings
    name: object, instructions: object, model: object, tool_calling: str, memory: object, storage: object
) -> None:
    if not isinstance(name, str) or not name.strip():
        msg = f"an agent needs a name, such as Agent('assistant'); got {name!r}"
        raise ConfigurationError(msg)
    if scrub(name) != name:
        msg = f"the agent name {name!r} holds half a surrogate pair, which is in no text that can be sent or kept"
        raise ConfigurationError(msg)
    if not isinstance(instructions, str) and not callable(instructions):
        msg = f"instructions of agent {name!r} are {type(instructions).__name__}: pass a string or a function"
        raise ConfigurationError(msg)
    if isinstance(model, str):
        _known_name(model)
    elif not hasattr(model, "stream"):
        msg = f"model of agent {name!r} is {type(model).__name__}: pass 'provider:model', 'auto', 'local' or a Model"
        raise ConfigurationError(msg)
    if memory is not None and not hasattr(memory, "enter"):
        msg = f"memory of agent {name!r} is {type(memory).__name__}: pass Memory('sqlite:///lumosai.db')"
        raise ConfigurationError(msg)
    if storage is not None and not isinstance(storage, str) and not hasattr(storage, "scope"):
        msg = f"storage of agent {name!r} is {type(storage).__name__}: pass 'sqlite:///lumosai.db' or a Storage"
        raise ConfigurationError(msg)
    if tool_calling not in _CALLING:
        msg = f"tool_calling={tool_calling!r} of agent {name!r} is none of {', '.join(_CALLING)}"
        raise ConfigurationError(msg)


def _experience(storage: Storage | None, model: CallingModel) -> Experience | None:
    """Where runs put what they learn of the model; what its object knows already counts where the storage knows nothing."""
    if storage is None:
        return None
    from lumosai.agent.experience import Experience
    from lumosai.models.calling import innermost
    from lumosai.models.profiles import own_store

    return Experience(own_store(innermost(model)))


def storage_of(name: str, given: Storage | str | None, memory: RunMemory | None) -> Storage | None:
    """Where runs are kept: what is given, else the memory's.

    Raises:
        ConfigurationError: the memory's is another one.
    """
    theirs: Storage | None = getattr(memory, "storage", None)
    if given is None:
        return theirs
    if isinstance(given, str):
        if theirs is not None and theirs.url == given:
            return theirs
        from lumosai.storage.base import open_storage

        given = open_storage(given)
    if theirs is not None and theirs is not given and theirs.identity != given.identity:
        msg = (
            f"agent {name!r} has its memory in {theirs.url!r} and its runs in {given.url!r}: what a run says and what a "
            "thread holds are stored together, so give both one storage"
        )
        raise ConfigurationError(msg)
    return theirs if theirs is not None else given


def _known_name(model: str) -> None:
    """Raises where nobody knows the model's provider. Nothing is made that costs anything."""
    from lumosai.models import registry

    if registry.split(model.strip())[0] not in ("auto", "local"):
        registry.model(model)


_KINDS: dict[str, type] = {"settings": ModelSettings, "limits": Limits, "scope": Scope}


def check_kinds(of: str, given: Mapping[str, Any], error: type[LumosaiError]) -> None:
    """Raises where one of these values is of another type than it must be.

    Args:
        of: whose they are, for the error.
        given: by name.
        error: what is raised.
    """
    for name, value in given.items():
        kind = _KINDS.get(name)
        if kind is not None and not isinstance(value, kind):
            raise error(f"{name} of {of} is {type(value).__name__}: pass {kind.__name__}(…)")


def _observers(agent: str, given: Iterable[Any]) -> tuple[Callable[[Event], None], ...]:
    if callable(given):
        msg = f"observers of agent {agent!r} is {given!r} itself: write observers=[…]"
        raise ConfigurationError(msg)
    observers = tuple(given)
    for each in observers:
        if not callable(each) or iscoroutinefunction(each) or iscoroutinefunction(type(each).__call__):
            what = "is async, and nobody awaits it" if callable(each) else "cannot be called"
            msg = f"observer {each!r} of agent {agent!r} {what}: pass a plain function that takes an event"
            raise ConfigurationError(msg)
    return observers


def _tools(agent: str, given: Iterable[Any]) -> tuple[Tool, ...]:
    if callable(given) or given is None:
        msg = f"agent {agent!r}: tools must be a list of tools, not {given!r}; write tools=[…]"
        raise ToolDefinitionError(msg)
    tools = tuple([as_tool(t) for t in given])
    if len(tools) > 1:
        seen: set[str] = set()
        for tool in tools:
            if tool.name in seen:
                msg = f"agent {agent!r} has two tools named {tool.name!r}: rename one with @tool(name=…)"
                raise ToolDefinitionError(msg, tool=tool.name)
            seen.add(tool.name)
    return tools
