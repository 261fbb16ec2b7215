"""What a run asks its model: instructions, conversation and tools, and how the answer is held to a type."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from lumosai.agent.context import RunContext
from lumosai.agent.earlier import LONG, Given
from lumosai.agent.embeds import embeds
from lumosai.agent.output import way_for
from lumosai.agent.summary import asks
from lumosai.errors import ConfigurationError
from lumosai.memory.base import Asking
from lumosai.messages import scrub
from lumosai.models.base import ModelRequest, Notes, Transcript
from lumosai.models.prices import cost as price_of
from lumosai.records import Usage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from lumosai.agent.definition import Definition
    from lumosai.agent.earlier import Trunk
    from lumosai.agent.output import Way
    from lumosai.agent.state import RunState
    from lumosai.memory.base import Recalled
    from lumosai.messages import Message
    from lumosai.records import ModelSettings, ToolChoice, ToolDefinition
    from lumosai.tools.base import Tool

FREE_CHOICES = (None, "auto", "none")


class Prompt:
    """The requests of one run.

    Args:
        agent: whose run it is.
        state: what the run's parts share.
        given: the input.
        settings: how the model is to answer.
        choice: which tool must be called, if any, the settings' included.
        incremental: whether anybody sees the events before the end.

    Attributes:
        given, settings: as given.
        choice: which tool must be called, if any: it may hold for the first answer only.
        definitions: the tools that the model is told of.
        tools: they themselves, by name.
        messages: the conversation so far, without the instructions.
        recalled: how many of them were there before the run said anything.
        shown: what the next request shows of it; None where that is all of it.
    """

    def __init__(
        self,
        agent: Definition[Any],
        state: RunState,
        given: tuple[Message, ...],
        *,
        settings: ModelSettings,
        choice: ToolChoice | None,
        incremental: bool,
    ) -> None:
        known = agent.known
        self.given = given
        self.settings = settings
        self.choice = choice
        self.definitions = known.definitions if agent.tool_calling != "off" else ()
        self.tools: Mapping[str, Tool] = known.tools
        self.messages: list[Message] = []
        self.recalled = 0
        self.shown: list[Message] | None = None
        self._agent = agent
        self._known = known
        self._model = known.model
        self._state = state
        # The choice goes with each request by itself.
        self._settings = settings if settings.tool_choice is None else replace(settings, tool_choice=None)
        self._incremental = incremental
        self._trunk: Trunk | None = None
        self._noted: Message | None = None
        self._notes: Notes | None = None

    def anew(self) -> None:
        """The conversation begins anew: nothing of it was sent."""
        self.definitions = self._known.definitions if self._agent.tool_calling != "off" else ()
        self.tools = self._known.tools
        self.messages.clear()
        self.recalled = 0
        self.shown = self._notes = None

    async def open(self) -> None:
        """Makes the instructions, and checks that the run can be held to its limits and to its output's type.

        Raises:
            ConfigurationError: it cannot.
        """
        state = self._state
        if state.budget.costs_count:
            self._check_price()
        given = self._agent.instructions
        state.system = scrub(given) if isinstance(given, str) else await self._instructions(given)
        if state.output is not None:
            self.choose_way()

    def asking(self) -> Asking:
        """What the first request has besides what a memory puts into it."""
        state, profile = self._state, self._model.profile
        output, settings = state.output, self.settings
        prompted = output is not None and output.way == "prompted"
        system = f"{state.system}\n\n{output.instructions}" if prompted and output is not None else state.system
        asked = settings.max_output_tokens
        return Asking(
            system=system,
            tools=self.definitions,
            counter=self._known.counter,
            window=profile.context_tokens,
            answer_tokens=profile.output_tokens if asked is None else asked,
            ask=asks(state, self._known),
            embed=embeds(state),
        )

    def begin_with(self, recalled: Recalled | None) -> None:
        """The conversation begins with what was said before, if anything was, and the input."""
        state = self._state
        if recalled is None:
            if type(self.given) is Given:
                self._trunk = self.given.trunk
            self.messages.extend(self.given)
        else:
            self.add_tools(recalled.tools)
            if recalled.system:
                state.system = f"{state.system}\n\n{recalled.system}" if state.system else recalled.system
            self.messages.extend(recalled.messages)
            self.messages.extend(recalled.input)
        self.recalled = len(self.messages)

    def changed(self) -> None:
        """What is shown begins otherwise than before."""
        self._notes = None

    def add_tools(self, tools: Iterable[Tool]) -> None:
        """Gives the model more tools. A tool of the agent's of the same name stays."""
        if self._agent.tool_calling == "off":
            return
        new = [t for t in tools if t.name not in self.tools]
        if new:
            strict = self._model.profile.strict_tools
            self.definitions = (*self.definitions, *[t.definition(strict=strict) for t in new])
            self.tools = {**self.tools, **{t.name: t for t in new}}
            self.choose_way()

    def choose_way(self) -> None:
        """Settles how the model is held to the output's type, where the run has one."""
        output = self._state.output
        if output is not None:
            output.way = self.way(self._request(self.definitions, self.given))

    def way(self, request: ModelRequest, *, schemas: bool = True) -> Way:
        """How the model is best held to the output's type."""
        known = getattr(self._model, "profile_for", None)  # a FallbackModel has its first model's, unlearned
        profile = known(request) if known is not None else self._model.profile
        profile = profile if schemas else replace(profile, json_schema=False)
        return way_for(profile, self._model.mode(request), has_tools=bool(self.definitions))

    def request(self, definitions: tuple[ToolDefinition, ...]) -> ModelRequest:
        """The next request, with these tools."""
        return self._request(definitions, self._whole())

    def _whole(self) -> tuple[Message, ...]:
        """Instructions and conversation."""
        text, output = self._state.system, self._state.output
        if output is not None and output.way == "prompted":
            text = f"{text}\n\n{output.instructions}" if text else output.instructions
        system = self._known.system_message(text) if text else None
        shown = self.messages if self.shown is None else self.shown
        whole = shown if system is None else [system, *shown]
        if len(whole) < LONG:
            return tuple(whole)
        if self._notes is None or self._noted is not system:
            self._noted = system
            self._notes = self._trunk.notes(system) if self._trunk is not None else Notes()
        return Transcript(whole, self._notes)

    def _request(self, definitions: tuple[ToolDefinition, ...], prompt: tuple[Message, ...]) -> ModelRequest:
        output, settings, choice = self._state.output, self._settings, self.choice
        left = self._state.budget.output_left()
        if left is not None and (settings.max_output_tokens is None or settings.max_output_tokens > left):
            settings = replace(settings, max_output_tokens=left)
        if output is not None and output.way == "tool":
            definitions = (output.tool,) if choice == "none" else (*definitions, output.tool)
            choice = "required" if choice in FREE_CHOICES else choice
        native = output is not None and output.way == "native"
        mode = self._agent.tool_calling
        if mode == "off" and definitions:
            mode = "native"  # no tools of the user's: the one there is carries the output
        return ModelRequest(
            messages=prompt,
            tools=definitions,
            tool_choice=choice if definitions else None,
            settings=settings,
            output_schema=output.wire_schema if output is not None and native else None,
            output_name=output.schema.name if output is not None else "output",
            tool_mode=mode,
            incremental=self._incremental,
            services=self._known.services,
        )

    def _check_price(self) -> None:
        """Raises where a limit of cost, the run's or one above it, cannot be kept."""
        price = self._model.price
        for model in getattr(self._model, "models", (self._model,)):
            local = model.provider == "local"
            if price_of(model.provider, model.name, Usage(), local=local, price=price)[0] is None:
                msg = (
                    f"max_cost_usd cannot be kept: the price of {model.provider}:{model.name} is not known. "
                    "Install lumosai[prices], give the model a price=…, or drop the limit"
                )
                raise ConfigurationError(msg)

    async def _instructions(self, given: Callable[[RunContext[Any]], Any]) -> str:
        state = self._state
        made: object = given(
            RunContext(
                run_id=state.run_id,
                agent=state.name,
                context=state.context,
                input=self.given,
                thread_id=state.thread_id,
                resource_id=state.resource_id,
                scope=state.scope,
            )
        )
        if inspect.isawaitable(made):
            made = await made
        if not isinstance(made, str):
            msg = f"the instructions function of agent {state.name!r} returned {type(made).__name__}, not str"
            raise ConfigurationError(msg)
        return scrub(made)
