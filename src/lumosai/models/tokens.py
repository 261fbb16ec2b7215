"""Tokens, counted before a request leaves: exactly where the model's own encoding is at hand, else estimated.

`tiktoken` (extra `tokens`) counts for OpenAI's models, where the file of the encoding is on this machine already:
nothing is fetched here. For every other model a text's length is turned into tokens by one rate, which is corrected by
what providers report of their answers, model by model, and kept with what else was learned of the model. A count says
which of them it is, and how far off the last ones were.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol

import msgspec

from lumosai.messages import (
    AudioPart,
    FilePart,
    ImagePart,
    ProviderPart,
    ReasoningPart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
)
from lumosai.models import _tiktoken

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from lumosai.messages import Message
    from lumosai.records import ToolDefinition

How = Literal["tiktoken", "estimate", "calibrated"]
"""How tokens are counted: by the model's encoding, by length, or by length and what the provider reported."""

_MESSAGE: Final = 4
"""What a message takes besides its content: marks of its role and end."""
_CALL: Final = 8
_TOOL: Final = 12
_IMAGE: Final = 1_000
_BYTES_A_TOKEN: Final = 20
"""Of audio and documents; nobody knows better without opening them."""
_MOST_OF_A_FILE: Final = 20_000

_PROSE: Final = 0.26
_DENSE: Final = 0.34
_WIDE: Final = 0.8
"""Tokens a character: of Latin prose, of JSON, and of what takes three bytes in UTF-8, such as Chinese (o200k_base)."""

_WEIGHT: Final = 2_000.0
"""Tokens that must have been reported until half of the rate is theirs: short prompts are mostly frame."""
_FADE: Final = 0.9
"""What an earlier answer counts against the one behind it."""
_LEAST_RATE: Final = 0.6
_MOST_RATE: Final = 3.0

RATES: Final = "tokens "
"""What the key of a rate begins with, among other things that were learned of a model."""

_encode: Final = msgspec.json.Encoder().encode


class Count(msgspec.Struct, frozen=True):
    """How many tokens something takes.

    Attributes:
        tokens: how many.
        how: "tiktoken" (the model's own encoding), "estimate" (by length) or "calibrated" (by length and by what the
            provider reported of this model).
        off: how far the last counts of this model were from what its provider reported, as a share (0.05 is 5 %);
            None where none has reported yet.
    """

    tokens: int
    how: How
    off: float | None = None


class Rate(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a provider's reports make of our counts of one model; newer ones count more.

    Attributes:
        counted: tokens as they were counted here, without any correction.
        used: tokens of the same prompts as the provider reported them.
        off: how far the corrected counts were off, as a share.
        answers: of how many answers.
    """

    counted: float = 0.0
    used: float = 0.0
    off: float = 0.0
    answers: int = 0

    @property
    def ratio(self) -> float:
        """What a count is multiplied with."""
        ratio = (self.used + _WEIGHT) / (self.counted + _WEIGHT)
        return min(max(ratio, _LEAST_RATE), _MOST_RATE)

    def after(self, counted: float, used: float, off: float) -> Rate:
        """With one more report."""
        share = 1.0 / min(self.answers + 1, 10)
        return Rate(
            self.counted * _FADE + counted,
            self.used * _FADE + used,
            round(self.off + (off - self.off) * share, 4),
            self.answers + 1,
        )


class RateStore(Protocol):
    """Where rates are kept, by `rate_key`."""

    def rate(self, key: str) -> Rate | None: ...

    def put_rate(self, key: str, rate: Rate) -> None: ...


class MemoryRates:
    """Rates kept in this object."""

    def __init__(self) -> None:
        self._rows: dict[str, Rate] = {}

    def rate(self, key: str) -> Rate | None:
        """What is known, or None where nothing is."""
        return self._rows.get(key)

    def put_rate(self, key: str, rate: Rate) -> None:
        """Remembers."""
        self._rows[key] = rate


def rate_key(provider: str, endpoint: str, model: str) -> str:
    """The key under which a model's rate is kept."""
    return f"{RATES}{provider} {endpoint} {model}"


class Counter:
    """Counts for one model.

    Args:
        provider: whose model it is.
        model: its name there.
        endpoint: where it is asked.
        rates: where its rate is kept; in this object where None.
        wait: whether the model's encoding is loaded at once, which takes a second; else in the background, and until
            it is there tokens are estimated.

    Attributes:
        how: see `Count`; "calibrated" once an answer was reported.
    """

    __slots__ = ("_encoding", "_key", "_lengths", "_rates")

    def __init__(
        self, provider: str, model: str, endpoint: str = "", rates: RateStore | None = None, *, wait: bool = True
    ) -> None:
        self._key = rate_key(provider, endpoint, model)
        self._rates: RateStore = rates if rates is not None else MemoryRates()
        self._encoding: Any = None
        self._lengths: dict[str, tuple[int, int]] = {}
        if wait:
            self._load(provider, model)
        elif _tiktoken.may_fit(provider):
            threading.Thread(target=self._load, args=(provider, model), name="lumosai-tokens", daemon=True).start()

    def _load(self, provider: str, model: str) -> None:
        self._encoding = _tiktoken.encoding(provider, model)

    @property
    def how(self) -> How:
        if self._encoding is not None:
            return "tiktoken"
        return "calibrated" if self._rates.rate(self._key) is not None else "estimate"

    @property
    def off(self) -> float | None:
        """How far off the last counts were, as a share; None where no provider has reported yet."""
        rate = self._rates.rate(self._key)
        return rate.off if rate is not None else None

    @property
    def scale(self) -> float:
        """What a size is multiplied with to be tokens; 1 while nothing is known."""
        rate = self._rates.rate(self._key)
        return 1.0 if rate is None or self._encoding is not None else rate.ratio

    @property
    def size(self) -> Callable[[Message], int]:
        """How much a message takes, before the correction: the same for the same message for as long as this lives."""
        return size_of if self._encoding is None else self._encoded_size

    def tools_size(self, tools: Iterable[ToolDefinition]) -> int:
        """As `size`, of the tools that a model is told of."""
        encoding = self._encoding
        if encoding is None:
            return sum([_TOOL + int(len(_told(t)) * _DENSE) for t in tools])
        return sum([_TOOL + _encoded(encoding, _told(t).decode()) for t in tools])

    def count(self, messages: Iterable[Message], tools: Iterable[ToolDefinition] = ()) -> Count:
        """The tokens of a prompt."""
        size = sum(map(self.size, messages)) + self.tools_size(tools)
        return Count(round(size * self.scale), self.how, self.off)

    def learn(self, size: float, used: int) -> None:
        """Takes in what a provider reported.

        Args:
            size: of the prompt, as `size` and `tools_size` have it.
            used: its tokens by the report.
        """
        if size <= 0 or used <= 0:
            return
        before = self._rates.rate(self._key) or Rate()
        scale = before.ratio if before.answers and self._encoding is None else 1.0
        self._rates.put_rate(self._key, before.after(size, used, abs(size * scale - used) / used))

    def _encoded_size(self, message: Message) -> int:
        """As `size_of`, by the encoding; a message with an id is looked at once."""
        name, length = message.id, _length(message)
        if name is not None:
            known = self._lengths.get(name)
            if known is not None and known[0] == length:
                return known[1]
        encoding = self._encoding
        size = _size(message, lambda text, _: _encoded(encoding, text))
        if name is not None:
            if len(self._lengths) >= _KEPT:
                self._lengths.clear()
            self._lengths[name] = (length, size)
        return size


_KEPT: Final = 20_000
"""Messages whose size a counter keeps."""


def count(messages: Sequence[Message], tools: Sequence[ToolDefinition] = (), model: str = "") -> Count:
    """How many tokens a prompt takes.

    Args:
        messages: the prompt.
        tools: what the model is told of with it.
        model: "provider:model", or "" for one that nobody knows.
    """
    provider, _, name = model.partition(":")
    return Counter(provider, name).count(messages, tools)


def _told(tool: ToolDefinition) -> bytes:
    """What most models are told of a tool: without its examples."""
    return _encode(tool if not tool.examples else msgspec.structs.replace(tool, examples=()))


def size_of(message: Message) -> int:
    """About how many tokens a message takes, by its length."""
    parts = message.parts
    if len(parts) == 1 and type(parts[0]) is TextPart:  # nearly all, and a plan looks at a thousand
        text = parts[0].text
        if text.isascii():
            return _MESSAGE + int(len(text) * _PROSE)
        return _MESSAGE + _by_length(text, _PROSE)
    return _size(message, _by_length)


def _size(message: Message, of_text: Callable[[str, float], int]) -> int:
    total = _MESSAGE
    for part in message.parts:
        total += _part_size(part, of_text)
    return total


def _part_size(part: Any, of_text: Callable[[str, float], int]) -> int:  # noqa: PLR0911  # a flat list of cases
    match part:
        case TextPart() | ReasoningPart():
            return of_text(part.text, _PROSE)
        case ToolCallPart():
            arguments = part.raw or "" if part.arguments is None else _encode(part.arguments).decode()
            return _CALL + of_text(part.name + arguments, _DENSE)
        case ToolResultPart(content=str() as content):
            return _CALL + of_text(content, _DENSE)
        case ToolResultPart():
            return _CALL + sum([_part_size(p, of_text) for p in part.content])
        case ImagePart():
            return _IMAGE
        case AudioPart() | FilePart():
            return min(len(part.data or b"") // _BYTES_A_TOKEN, _MOST_OF_A_FILE) + _CALL
        case ProviderPart():
            return of_text(_encode(part.data).decode(), _DENSE)
    return _CALL


def _by_length(text: str, narrow: float) -> int:
    if text.isascii():
        return int(len(text) * narrow)
    # Bytes beyond one a character tell how many are wide without looking at each.
    wide = (len(text.encode("utf-8", "surrogatepass")) - len(text)) / 2
    return int(max(len(text) - wide, 0.0) * narrow + wide * _WIDE)


def _length(message: Message) -> int:
    """Tells two messages of one id apart, one of which was shortened."""
    return sum([len(getattr(p, "text", "")) for p in message.parts])


def _encoded(encoding: Any, text: str) -> int:
    return len(encoding.encode_ordinary(text))
