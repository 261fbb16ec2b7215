"""The contract of a model: a request goes in, a stream of chunks comes out.

A model is anything with these attributes and one method; nothing has to be inherited. What a chunk stream promises:

* it ends with exactly one `Finished`, or raises a `ModelError`; an answer that was cut is never `Finished`;
* chunks come in the order of the answer; those of parallel calls may interleave, told apart by `index`;
* `aclose` on the iterator closes the connection to the provider;
* a wrapper (retry, fallback, tool calling) yields `AttemptStarted` before each *further* request it makes. The first
  request is the caller's own and is not announced.

Nothing is promised about the size of chunks, nor that usage comes before the end.

A model may have an `answer` besides, see `WholeModel`: where nobody reads deltas, a list of chunks costs much less than
a stream of them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar, runtime_checkable

import msgspec

from lumosai.messages import Message, Part
from lumosai.records import ModelSettings, ToolCalling, ToolChoice, ToolDefinition, ToolMode, Usage

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Sequence
    from typing import Self

    from lumosai.models.profiles import Profile

Made = TypeVar("Made")
ModelFinish = Literal["stop", "length", "tool_calls", "content_filter", "refusal", "pause"]


class ModelRequest(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What one answer is made from.

    Attributes:
        messages: the whole prompt, system messages first; a `Transcript` where its beginning was sent before.
        tools: what the model may call.
        tool_choice: whether and which one it must; None leaves it to the provider's default.
        settings: only what is set is sent.
        output_schema: JSON Schema that the answer's text must fit, for models that can be held to one.
        output_name: what that schema is called.
        tool_mode: how tools are called; "auto" leaves it to `models.calling`, which hands on what it chose.
        incremental: False where nobody reads deltas: the answer may be fetched whole and given as one chunk.
        trace: the `traceparent` header to send, else None.
        carried: the headers that go with it, `tracestate` and `baggage`, each where there is one.
        services: stores that outlive the model object, by name; see `models.profiles`.
    """

    messages: tuple[Message, ...]
    tools: tuple[ToolDefinition, ...] = ()
    tool_choice: ToolChoice | None = None
    settings: ModelSettings = ModelSettings()
    output_schema: dict[str, Any] | None = None
    output_name: str = "output"
    tool_mode: ToolCalling = "native"
    incremental: bool = True
    trace: str | None = None
    carried: tuple[tuple[str, str], ...] = ()
    services: dict[str, Any] = {}


class Transcript(tuple[Message, ...]):  # noqa: SLOT001  # a tuple's subclass can have no slots
    """A prompt whose beginning was sent before: what was worked out of it then is not worked out again.

    The tuple of its messages, and equal to it. What is made of it anew, a slice or a joined one, is a plain tuple, of
    which nothing is known.

    Attributes:
        notes: what is known of its beginning, shared by the prompts of a run.
    """

    notes: Notes

    def __new__(cls, messages: Iterable[Message] = (), notes: Notes | None = None) -> Self:
        made = super().__new__(cls, messages)
        made.notes = notes if notes is not None else Notes()
        return made

    def gathered(self, reader: object, add: Callable[[Made, Sequence[Message]], Made], start: Made) -> Made:
        """What `reader` makes of all messages, `add`ing each to `start` once a run, or once if other runs begin so, too.

        Args:
            reader: whose work it is; it has always the same `add` and `start`.
            add: what becomes of a value, which it leaves as it is, when these messages are added.
            start: the value of no messages.
        """
        notes = self.notes
        count: int
        value: Made
        count, value = notes.known.get(reader, (0, start))
        if count > len(self):
            count, value = 0, start
        if count < notes.cut < len(self):
            value = add(value, self[count : notes.cut])
            count = notes.cut
            notes.shared[reader] = (count, value)
        if count < len(self):
            value = add(value, self[count:])
            notes.known[reader] = (len(self), value)
        return value


class Notes:
    """What readers made of a prompt's beginning.

    Args:
        shared: what they made of a beginning that prompts of other runs have, too: by reader, of how many messages.
        cut: how many messages that beginning has. What is made of just these is added to `shared`.

    Attributes:
        shared, cut: as given.
        known: what they made of the prompts of this run.
    """

    __slots__ = ("cut", "known", "shared")

    def __init__(self, shared: dict[object, tuple[int, Any]] | None = None, cut: int = 0) -> None:
        self.shared = shared if shared is not None else {}
        self.cut = cut
        self.known: dict[Any, tuple[int, Any]] = dict(self.shared)


class Chunk(msgspec.Struct, frozen=True, gc=False):
    """One piece of an answer."""


class AttemptStarted(Chunk, frozen=True):
    """A wrapper is about to send a further request.

    Attributes:
        provider, model, endpoint: to whom.
        attempt: from 2.
        tool_mode: how tools are called in it.
        discard: whether the chunks since the last attempt's start are void.
        reason: why the last one was not enough, such as "rate_limit" or "tools_rejected".
        delay_s: seconds waited before it.
    """

    provider: str
    model: str
    endpoint: str
    attempt: int
    tool_mode: ToolMode
    discard: bool
    reason: str
    delay_s: float = 0.0


class TextChunk(Chunk, frozen=True, gc=False):
    """More of the answer's text."""

    delta: str


class ReasoningChunk(Chunk, frozen=True, gc=False):
    """More of the model's thought; `signature` seals the thought so far."""

    delta: str
    signature: str | None = None


class ToolCallChunk(Chunk, frozen=True, gc=False):
    """More of a tool call.

    Attributes:
        index: which call of this answer, from 0.
        id: set on the call's first chunk; "" where the provider gives none.
        name: set on the call's first chunk.
        delta: more of the arguments' raw text.
        signature: the provider's seal, where it gives one.
    """

    index: int
    id: str
    name: str
    delta: str
    signature: str | None = None


class PartChunk(Chunk, frozen=True, gc=True):
    """A whole part: media, or a provider's own."""

    part: Part


class UsageChunk(Chunk, frozen=True, gc=False):
    """Tokens so far. A later one replaces an earlier one."""

    usage: Usage


class Finished(Chunk, frozen=True, gc=False):
    """The answer is whole. `model` is the name the provider answered with."""

    reason: ModelFinish
    response_id: str | None = None
    model: str | None = None


@runtime_checkable
class Model(Protocol):
    """Turns a request into a stream of chunks.

    Attributes:
        provider: such as "openai".
        name: the model's name at that provider.
        profile: what it can do.
    """

    @property
    def provider(self) -> str: ...

    @property
    def name(self) -> str: ...

    @property
    def profile(self) -> Profile: ...

    def stream(self, request: ModelRequest) -> AsyncIterator[Chunk]:
        """The answer's chunks. An async generator: `aclose` it to stop the answer.

        Raises:
            ModelError: what the provider answered instead.
        """
        ...


Tell = Callable[[AttemptStarted], None]
"""Is told of each further request before it is made."""


@runtime_checkable
class WholeModel(Model, Protocol):
    """A model that can give an answer in one piece besides. Of its wrappers each passes this on, or has only `stream`.

    Attributes:
        in_one_piece: whether `answer` may be asked; where not, `stream` is.
    """

    @property
    def in_one_piece(self) -> bool: ...

    async def answer(self, request: ModelRequest, tell: Tell) -> Sequence[Chunk]:
        """The chunks that `stream` would yield for a request that is not `incremental`, but for each `AttemptStarted`.

        Args:
            request: as for `stream`.
            tell: gets those as they come.

        Raises:
            ModelError: as `stream`.
        """
        ...


EmbeddingKind = Literal["query", "passage"]
"""Whether texts ask, or are what is searched."""


class Embeddings(msgspec.Struct, frozen=True):
    """Vectors for texts, in their order, each `EmbeddingModel.dimensions` long.

    Attributes:
        vectors: finite numbers, one vector a text.
        usage: the tokens of all texts together, as far as the provider counts them.
    """

    vectors: list[list[float]]
    usage: Usage = Usage()


@runtime_checkable
class EmbeddingModel(Protocol):
    """Turns texts into vectors. Those of two models, or of two numbers of dimensions, cannot be compared.

    Attributes:
        name: the model's name at its provider.
        dimensions: numbers in a vector; 0 until the first answer where nobody knows them before.
    """

    @property
    def name(self) -> str: ...

    @property
    def dimensions(self) -> int: ...

    async def embed(self, texts: Sequence[str], kind: EmbeddingKind = "passage") -> Embeddings:
        """One vector a text, or an error: never fewer vectors. No text, no request.

        Args:
            texts: as many as you like; the model splits them into requests. None may be blank.
            kind: whether they ask ("query") or are what is searched ("passage").

        Raises:
            InvalidInputError: a text is blank or is not text.
            ModelError: a provider gave no vectors, not as many as were asked for, or such as cannot be used.
        """
        ...
