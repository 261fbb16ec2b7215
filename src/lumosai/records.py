"""Records: the plain values that results, tools and settings are made of.

All are frozen and encode to JSON. What storage keeps joins them as it is built.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import (
    TYPE_CHECKING,
    Any,
    Final,
    Generic,
    Literal,
    NamedTuple,
    Protocol,
    TypedDict,
    TypeVar,
    runtime_checkable,
)

import msgspec

from lumosai.errors import ConfigurationError, InvalidInputError
from lumosai.messages import Message, ToolCallPart, ToolResultPart

if TYPE_CHECKING:
    from collections.abc import Callable

Out = TypeVar("Out")


class ToolExample(msgspec.Struct, frozen=True):
    """What a user may say, and the arguments of the call that is meant."""

    said: str
    arguments: dict[str, Any]


class ToolDefinition(msgspec.Struct, frozen=True, omit_defaults=True, weakref=True):
    """How a tool is described to a model: the OpenAI function definition.

    Attributes:
        name: 1 to 64 of `a-z A-Z 0-9 _ -`.
        description: what it does, for the model.
        parameters: a JSON Schema (2020-12) of type "object".
        strict: whether `parameters` keeps to OpenAI's strict rules (every property required, no others allowed).
        examples: calls of it, for models that are held to a schema; others are not told of them.
    """

    name: str
    description: str
    parameters: dict[str, Any]
    strict: bool = False
    examples: tuple[ToolExample, ...] = ()


@runtime_checkable
class HasDefinition(Protocol):
    """Anything that can describe itself to a model as a tool."""

    def definition(self) -> ToolDefinition:
        """The definition."""
        ...


class NamedTool(TypedDict):
    """The one tool a model must call."""

    tool: str


ToolChoice = Literal["auto", "none", "required"] | NamedTool
ToolMode = Literal["native", "constrained", "text", "off"]
ToolCalling = Literal["auto", "native", "constrained", "text", "off"]
Titles = Literal["words", "model"]
"""Who names a thread: the first words of what was asked, or the model."""
Remembered = Literal["off", "thread", "resource"]
"""Whose facts working memory keeps."""
FinishReason = Literal[
    "stop",
    "length",
    "content_filter",
    "refusal",
    "step_limit",
    "tool_limit",
    "token_limit",
    "cost_limit",
    "deadline",
    "cancelled",
    "abandoned",
    "paused",
    "interrupted",
    "blocked",
    "tool_errors",
    "output_invalid",
    "error",
]


class Usage(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """Tokens as the provider counted them. Adds up with `+`.

    Attributes:
        input_tokens: prompt tokens, cached ones included.
        output_tokens: generated tokens, reasoning included.
        reasoning_tokens: the part of the output that was reasoning.
        cache_read_tokens: the part of the input that the provider's cache held.
        cache_write_tokens: the part of the input that was written to it.
        total_tokens: input plus output, unless the provider says otherwise.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    total_tokens: int = 0

    def __add__(self, other: Usage) -> Usage:
        if self is NO_USAGE:  # most sums begin with it
            return other
        return Usage(
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            self.reasoning_tokens + other.reasoning_tokens,
            self.cache_read_tokens + other.cache_read_tokens,
            self.cache_write_tokens + other.cache_write_tokens,
            self.total_tokens + other.total_tokens,
        )


NO_USAGE: Final = Usage()
"""No token at all."""


class ModelSettings(msgspec.Struct, frozen=True, omit_defaults=True):
    """How a model is to answer. Only what is set is sent.

    Attributes:
        temperature: 0 and up; higher is more varied.
        top_p: nucleus sampling, 0 to 1.
        max_output_tokens: the longest answer, in tokens.
        stop: texts that end the answer.
        seed: for providers that can repeat an answer.
        reasoning: effort ("none", "minimal", "low", "medium", "high"), or True/False for on and off.
        tool_choice: whether and which tool must be called.
        parallel_tool_calls: whether one answer may hold several calls.
        extra: merged into the request's JSON as it is, for what only one provider has.

    Raises:
        ConfigurationError: a value of another type. What range it may have is the provider's to say.
    """

    temperature: float | None = None
    top_p: float | None = None
    max_output_tokens: int | None = None
    stop: tuple[str, ...] | None = None
    seed: int | None = None
    reasoning: str | bool | None = None
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    extra: dict[str, Any] | None = None

    def __post_init__(self) -> None:
        for name, (rule, holds) in _SETTINGS.items():
            value = getattr(self, name)
            if value is not None and not holds(value):
                raise ConfigurationError(f"{name}={value!r}: it must be {rule}")

    def merge(self, other: ModelSettings | None) -> ModelSettings:
        """These settings with whatever `other` sets on top; the two `extra`s are joined."""
        if other is None or other == _NO_SETTINGS:
            return self
        changes = {f: v for f in self.__struct_fields__ if (v := getattr(other, f)) is not None}
        if self.extra and other.extra:
            changes["extra"] = {**self.extra, **other.extra}
        return msgspec.structs.replace(self, **changes)


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


_SETTINGS: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "temperature": ("a number", lambda v: isinstance(v, float) or _whole(v)),
    "top_p": ("a number", lambda v: isinstance(v, float) or _whole(v)),
    "max_output_tokens": ("a whole number", _whole),
    "stop": ("a tuple of texts", lambda v: isinstance(v, tuple | list) and all(isinstance(each, str) for each in v)),
    "seed": ("a whole number", _whole),
    "reasoning": ("an effort, such as 'low', or True or False", lambda v: isinstance(v, str | bool)),
    "parallel_tool_calls": ("True or False", lambda v: isinstance(v, bool)),
    "extra": ("a dict", lambda v: isinstance(v, dict)),
}
"""What each setting must be, in words and as a test; `tool_choice` is looked at where the tools are known."""
_NO_SETTINGS = ModelSettings()


class Limits(msgspec.Struct, frozen=True):
    """Bounds of a run, kept outside the model's control. None lifts one.

    Shared through sub-agents:
        max_tool_calls, max_input_tokens, max_output_tokens, max_total_tokens, max_cost_usd (US dollars),
        deadline_s (seconds from the run's start).
    Per run:
        max_steps: model answers with tools; then one last answer without.
        tool_timeout_s: seconds a tool may take, unless it says otherwise.
        tool_concurrency: calls of one answer that run side by side.
        max_tool_result_chars: a longer result is clamped in the middle.
        max_output_retries: re-asks when the answer does not fit `output_type`.
        max_identical_failures: the same call failing this often ends the run.
        approval_wait_s: seconds to wait for an approval.

    Raises:
        ConfigurationError: a limit that is negative, or one that nothing could run under.
    """

    max_tool_calls: int | None = 50
    max_input_tokens: int | None = None
    max_output_tokens: int | None = None
    max_total_tokens: int | None = None
    max_cost_usd: float | None = None
    deadline_s: float | None = None
    max_steps: int | None = 10
    tool_timeout_s: float | None = 30.0
    tool_concurrency: int = 8
    max_tool_result_chars: int | None = 50_000
    max_output_retries: int = 2
    max_identical_failures: int = 3
    approval_wait_s: float | None = None

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            value, least = getattr(self, name), _LEAST.get(name, 0)
            if value is None and name in _NEVER_NONE:
                raise ConfigurationError(f"{name}=None: this limit cannot be lifted, give it a number")
            if value is not None and not _at_least(value, least):
                raise ConfigurationError(
                    f"{name}={value!r}: it must be {least} or more, or None where it may be lifted"
                )


def _at_least(value: Any, least: int) -> bool:
    try:
        return bool(value >= least)
    except TypeError:
        return False


_LEAST = {"tool_concurrency": 1, "max_identical_failures": 1}
_NEVER_NONE = ("tool_concurrency", "max_output_retries", "max_identical_failures")


class AgentStep(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """One model answer and what came of it.

    Attributes:
        index: from 0.
        text: the answer's text.
        tool_calls: the calls it asked for.
        tool_results: their results, in the order of the calls.
        usage: tokens of this step.
        finish_reason: why the model stopped.
        duration_ms: milliseconds from asking to the last tool's result.
    """

    index: int
    text: str = ""
    tool_calls: tuple[ToolCallPart, ...] = ()
    tool_results: tuple[ToolResultPart, ...] = ()
    usage: Usage = Usage()
    finish_reason: str = "stop"
    duration_ms: float = 0.0


class AgentResult(msgspec.Struct, Generic[Out], frozen=True, kw_only=True):
    """What a run gave. `str(result)` is its text.

    Attributes:
        run_id: UUIDv7 text.
        thread_id: the thread it belongs to, else None.
        text: the last answer's text; the partial text where the run was cut.
        output: the answer as the run's `output_type`; the text where that is `str`; None where the run was cut.
        messages: the new messages of the run, without its input.
        steps: one per model answer.
        tool_calls: every call of every step.
        pending: calls that wait for an approval.
        usage: tokens of all model calls.
        cost_usd: US dollars, None where a price is not known.
        finish_reason: why it ended.
        model: the model that gave the last answer, as the provider names it.
        duration_ms: milliseconds by the monotonic clock.
    """

    run_id: str
    thread_id: str | None = None
    text: str = ""
    output: Out | None = None
    messages: tuple[Message, ...] = ()
    steps: tuple[AgentStep, ...] = ()
    tool_calls: tuple[ToolCallPart, ...] = ()
    pending: tuple[ToolCallPart, ...] = ()
    usage: Usage = Usage()
    cost_usd: Decimal | None = None
    finish_reason: FinishReason = "stop"
    model: str = ""
    duration_ms: float = 0.0

    def __str__(self) -> str:
        return self.text


class Approval(msgspec.Struct, frozen=True):
    """A decision about one tool call, good for exactly that call id and those arguments.

    Attributes:
        call_id: the call.
        arguments_hash: `content_hash` of the arguments as they were shown.
        granted: yes or no.
        by: who decided.
        reason: why, told to the model when denied.
    """

    call_id: str
    arguments_hash: str
    granted: bool
    by: str = ""
    reason: str = ""


class Scope(msgspec.Struct, frozen=True, omit_defaults=True):
    """Whose rows may be seen and written.

    Attributes:
        tenant: the customer, workspace or deployment.
        owner: one user in it; None is the whole tenant.
    """

    tenant: str = "default"
    owner: str | None = None


class Recall(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is recalled of older messages, as settings say it; see `SemanticRecall`.

    Attributes:
        over: the branch that a run is on, or all threads about whom it is about; "off" recalls nothing.
        top_k: messages that are found, at most.
        before, after: neighbours that come with each.
        threshold: the least similarity in meaning, None for no such bound.
        embedder: the name of an embedding model, "auto" for the one on this machine or else of a provider whose key is set;
            None for words alone.
        time_budget_s: seconds after which a run goes on without, None to wait.
        half_life_s: after so many seconds a message counts half, None for all alike.
    """

    over: Remembered = "off"
    top_k: int = 4
    before: int = 1
    after: int = 1
    threshold: float | None = None
    embedder: str | None = "auto"
    time_budget_s: float | None = 2.0
    half_life_s: float | None = None


class Retention(msgspec.Struct, frozen=True, omit_defaults=True):
    """How long a database keeps what it keeps. None is for ever, or without a limit.

    What a run needs that may go on, paused or at work, never goes, nor does what anything that stays refers to.

    Attributes:
        journal_days: days that a run is kept after its end, with its events. Its messages stay in their thread.
        threads_days: days that a thread is kept after it was last written to.
        telemetry_days: days that traces and measurements are kept; has no effect until there are any.
        max_mib: the whole database's size, in MiB. Beyond it ended runs go, the oldest first, but for those that ended
            within the last hour. Threads never go for size.
    """

    journal_days: float | None = 7.0
    threads_days: float | None = None
    telemetry_days: float | None = 90.0
    max_mib: float | None = 2048.0


class Cursor(NamedTuple):
    """A place in a run's events: behind the event with this number. On the wire it is `epoch.seq`, such as "1.17".

    Attributes:
        epoch: how often the run had been taken up when the event was made, from 1; 0 before the first event.
        seq: the event's number, from 1; 0 before the first.
    """

    epoch: int = 0
    seq: int = 0

    def __str__(self) -> str:
        return f"{self.epoch}.{self.seq}"

    @classmethod
    def parse(cls, text: str) -> Cursor:
        """The cursor that was written so.

        Raises:
            InvalidInputError: it is none.
        """
        found = _CURSOR.fullmatch(text)
        if found is None:
            shown = text if len(text) <= _SHOWN else text[:_SHOWN] + "…"
            raise InvalidInputError(f"{shown!r} is no cursor: one is written epoch.seq, such as '1.17'")
        return cls(int(found[1]), int(found[2]))


_CURSOR = re.compile(r"([0-9]{1,9})\.([0-9]{1,18})", re.ASCII)
_SHOWN = 40
