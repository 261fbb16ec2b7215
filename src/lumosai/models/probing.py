"""A live endpoint put to the test: what does this model really do, asked in a handful of tiny requests?

Tables say what a provider promises; a server of one's own says nothing. `probe` asks: a native call in a stream, two
calls in one answer, a strict tool, an answer held to a schema, and, where it does not call natively, a call in words of
the model's own choice, from which its textual format is read. What it found is a `Learned`, ready for a store.

No request is sent twice but one that the server refuses for something nobody asked for, which it is then sent without.
"""

from __future__ import annotations

import time
from decimal import Decimal  # a field of a record
from typing import TYPE_CHECKING, Final

import msgspec

from lumosai.dialects import DialectParser
from lumosai.errors import BadRequestError, LumosaiError, ModelError, SchemaUnsupportedError, ToolsUnsupportedError
from lumosai.messages import Message
from lumosai.models import prices
from lumosai.models._text_calling import has_markers
from lumosai.models.base import AttemptStarted, Finished, ModelRequest, TextChunk, ToolCallChunk, UsageChunk
from lumosai.models.calling import CallingModel, innermost
from lumosai.models.profiles import NOTHING, PROOFS_NEEDED, Change, Learned, MemoryProfiles, Tried, profile_key
from lumosai.records import ModelSettings, ToolDefinition, ToolMode, Usage

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from lumosai.models.base import Model
    from lumosai.models.profiles import Profile, ProfileStore

MAX_REQUESTS: Final = 5
"""Requests of one probe, refusals that are got round aside."""
MAX_TOKENS: Final = 512
"""How long an answer may be; models that think need some of it for their thoughts."""
INPUT_TOKENS: Final = 200
"""About how long each request is."""

_CITY: Final = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
TOOL: Final = ToolDefinition("look_up_weather", "Look up today's weather in a city.", _CITY)
_ONE: Final = Message.user("What is the weather in Oslo now? Look it up with the tool.")
_TWO: Final = Message.user("What is the weather in Oslo and in Rome? Look up both at once, in one answer.")
_JSON: Final = Message.user('Which city is the capital of Norway? Answer as JSON: {"city": …}.')
_WORDS: Final = Message.user(
    "You can call one tool, in the textual format that you were trained to call tools in.\n"
    f"Tool: {msgspec.json.encode({'name': TOOL.name, 'description': TOOL.description, 'parameters': _CITY}).decode()}\n"
    "What is the weather in Oslo now? Answer with the call alone."
)


class Trial(msgspec.Struct, frozen=True):
    """One feature, tried.

    Attributes:
        feature: as in `profiles.FEATURES`.
        works: whether it does; None where it was not tried or the answer does not tell.
        why: what was seen: the server's own words where it refused.
        duration_ms: milliseconds until the answer was whole; 0 where none was asked for.
    """

    feature: str
    works: bool | None
    why: str
    duration_ms: float = 0.0


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What a probe found.

    Attributes:
        model: as "provider:name".
        endpoint: where it was asked.
        trials: in the order in which they were made.
        tool_mode: how "auto" will call tools from now on; None where the model could not be asked.
        dialect: the textual format it writes calls in, "" where none was seen.
        requests: how many were sent.
        usage: their tokens, as far as the server told.
        cost_usd: what they cost, None where no price is known.
        error: why it could not be asked at all, "" where it could.
        learned: all that, for a store.
    """

    model: str
    endpoint: str
    trials: tuple[Trial, ...] = ()
    tool_mode: ToolMode | None = None
    dialect: str = ""
    requests: int = 0
    usage: Usage = Usage()
    cost_usd: Decimal | None = None
    error: str = ""
    learned: Learned = NOTHING


def most(model: Model) -> tuple[int, Decimal | None]:
    """The most tokens that a probe's requests and answers have together, and what they cost; None where nobody knows."""
    heart = innermost(model)
    usage = Usage(MAX_REQUESTS * INPUT_TOKENS, MAX_REQUESTS * MAX_TOKENS)
    return usage.input_tokens + usage.output_tokens, _cost(heart, usage)


async def probe(
    model: Model, *, store: ProfileStore | None = None, strict: Callable[[Profile], Model] | None = None
) -> Report:
    """Asks the model, and puts what it found into `store`.

    Args:
        model: any; its wrappers are left out.
        store: where to keep it.
        strict: makes the same model with another profile, for the trial of strict tools, which is left out without.

    Raises:
        LumosaiError: nothing could be sent: no key, no weights. What a server answers is told in the report instead.
    """
    probing = _Probing(innermost(model), strict)
    try:
        await probing.run()
    except ModelError as error:
        return probing.report(str(error))
    report = probing.report()
    if store is not None:
        store.put(probing.key, report.learned)
    return report


class _Answer(msgspec.Struct):
    """What one request was answered with."""

    text: str = ""
    calls: dict[int, list[str]] = {}
    pieces: int = 0
    finish: str = ""
    duration_ms: float = 0.0


class _Probing:
    """One probe as it goes."""

    def __init__(self, model: Model, strict: Callable[[Profile], Model] | None) -> None:
        self.model = model
        self.key = profile_key(model.provider, getattr(model, "endpoint", ""), model.name)
        self._strict = strict
        self._store = MemoryProfiles()
        self._trials: list[Trial] = []
        self._requests = 0
        self._usage = Usage()
        self._dialect = ""
        self._as_text = self._refused = False

    async def run(self) -> None:
        """Makes the trials, each the last one's results in mind."""
        await self._native()
        called = self._works("native")
        await self._tried("parallel", self._parallel, None if called else "it does not call natively")
        await self._tried("strict", self._strict_tool, None if called else "it does not call natively")
        await self._tried("json_schema", self._schema, None)
        if self._dialect or called:
            why = f"{self._dialect}, though it was asked natively" if self._dialect else "it calls natively"
            self._trials.append(Trial("dialect", True if self._dialect else None, why))
        else:
            await self._tried("dialect", self._written, None)

    def report(self, error: str = "") -> Report:
        """What was found so far."""
        learned = self._learned()
        mode: ToolMode | None = None
        if not error:
            store = MemoryProfiles()
            store.put(self.key, learned)
            request = ModelRequest(messages=(_ONE,), tools=(TOOL,), tool_mode="auto", services={"profiles": store})
            mode = CallingModel(self.model).mode(request)
        return Report(
            model=f"{self.model.provider}:{self.model.name}",
            endpoint=getattr(self.model, "endpoint", ""),
            trials=tuple(self._trials),
            tool_mode=mode,
            dialect=self._dialect,
            requests=self._requests,
            usage=self._usage,
            cost_usd=_cost(self.model, self._usage),
            error=error,
            learned=learned,
        )

    def _learned(self) -> Learned:
        changed = (self._store.get(self.key) or NOTHING).changed
        tried = {t.feature: Tried(t.works, t.why) for t in self._trials if t.works is not None}
        takes_strict = tried.get("strict")
        if takes_strict is not None and takes_strict.works != self.model.profile.strict_tools:
            changed = (*changed, Change({"strict_tools": takes_strict.works}, f"probed: {takes_strict.why}"))
        dialect = tried.get("dialect")
        if dialect is not None and dialect.works:
            tried["dialect"] = Tried(works=True, why=self._dialect)
        learned = msgspec.structs.replace(NOTHING, tried=tried, changed=changed, dialect=self._dialect)
        native, schema = tried.get("native"), tried.get("json_schema")
        if native is not None and not native.works:
            if self._refused:
                return msgspec.structs.replace(learned, reason=f"tools_rejected: {native.why}")
            tried.pop("native")  # the server takes tools: a history with calls can be sent as it is
            if not self._as_text:
                return learned  # one answer without a call proves nothing
            mode: ToolMode = "text" if has_markers(self._dialect) or not (schema and schema.works) else "constrained"
            reason = f"calls_as_text: it wrote its call as {self._dialect} text"
            return msgspec.structs.replace(learned.choosing(mode, reason), proofs=PROOFS_NEEDED)
        return learned

    def _works(self, feature: str) -> bool:
        return any(t.feature == feature and t.works for t in self._trials)

    async def _tried(self, feature: str, trial: Callable[[], Awaitable[Trial]], left_out: str | None) -> None:
        if left_out is not None:
            self._trials.append(Trial(feature, None, f"not tried: {left_out}"))
            return
        try:
            self._trials.append(await trial())
        except BadRequestError as error:
            self._trials.append(Trial(feature, works=False, why=str(error)))

    async def _native(self) -> None:
        """A call in a stream: tells of tools, of streaming, and of the format of a call that comes as text."""
        try:
            answer = await self._ask(ModelRequest(messages=(_ONE,), tools=(TOOL,)))
        except ToolsUnsupportedError as error:
            self._refused = True
            self._trials.append(Trial("native", works=False, why=str(error)))
            self._trials.append(Trial("streaming", None, "not told: the request was refused for its tools"))
            return
        ms = answer.duration_ms
        if answer.calls:
            trial = Trial("native", True, f"called {answer.calls[min(answer.calls)][0]} with {_arguments(answer)}", ms)
        elif seen := self._read(answer.text):
            self._as_text = True
            trial = Trial("native", False, f"wrote its call as text ({seen}): {_short(answer.text)}", ms)
        else:
            trial = Trial("native", _unless_cut(answer), _instead(answer), ms)
        self._trials.append(trial)
        self._trials.append(Trial("streaming", True, f"{answer.pieces} pieces", ms))

    async def _parallel(self) -> Trial:
        answer = await self._ask(ModelRequest(messages=(_TWO,), tools=(TOOL,), incremental=False))
        count = len(answer.calls)
        why = (
            f"{count} calls in one answer"
            if count > 1
            else "one call, where two were asked for"
            if count
            else _instead(answer)
        )
        return Trial("parallel", count > 1 or (None if answer.finish == "length" else False), why, answer.duration_ms)

    async def _strict_tool(self) -> Trial:
        if self._strict is None:
            return Trial("strict", None, "not tried: this kind of model takes no other profile")
        profile = msgspec.structs.replace(self.model.profile, strict_tools=True)
        tool = msgspec.structs.replace(TOOL, strict=True)
        refusals = MemoryProfiles()
        request = ModelRequest(messages=(_ONE,), tools=(tool,), incremental=False)
        answer = await self._ask(request, self._strict(profile), refusals)
        given_up = [c for c in (refusals.get(self.key) or NOTHING).changed if c.changes.get("strict_tools") is False]
        if given_up:
            return Trial("strict", False, given_up[0].why, answer.duration_ms)
        if not answer.calls:
            return Trial("strict", _unless_cut(answer), _instead(answer), answer.duration_ms)
        return Trial("strict", True, f"called with {_arguments(answer)}", answer.duration_ms)

    async def _schema(self) -> Trial:
        request = ModelRequest(messages=(_JSON,), output_schema=_CITY, output_name="city", incremental=False)
        try:
            answer = await self._ask(request)
        except SchemaUnsupportedError as error:
            return Trial("json_schema", works=False, why=str(error))
        try:
            fits = isinstance(msgspec.json.decode(answer.text, type=dict[str, str]).get("city"), str)
        except (msgspec.DecodeError, UnicodeError):
            fits = False
        if fits:
            return Trial("json_schema", True, f"answered {_short(answer.text)}", answer.duration_ms)
        why = f"the schema was taken, and not kept to: {_short(answer.text)}" if answer.text else _instead(answer)
        return Trial("json_schema", _unless_cut(answer), why, answer.duration_ms)

    async def _written(self) -> Trial:
        answer = await self._ask(ModelRequest(messages=(_WORDS,), incremental=False))
        if seen := self._read(answer.text):
            return Trial("dialect", True, f"{seen}: {_short(answer.text)}", answer.duration_ms)
        return Trial(
            "dialect", _unless_cut(answer), f"no call of any known format: {_instead(answer)}", answer.duration_ms
        )

    def _read(self, text: str) -> str:
        """The format of the call that a text holds, "" where it holds none; it is kept."""
        parser = DialectParser(tools=(TOOL,))
        items = [*parser.feed(text), *parser.close()]
        if all(isinstance(item, str) for item in items):
            return ""
        self._dialect = parser.seen
        return self._dialect

    async def _ask(
        self, request: ModelRequest, model: Model | None = None, store: MemoryProfiles | None = None
    ) -> _Answer:
        settings = ModelSettings(max_output_tokens=MAX_TOKENS)
        services = {"profiles": self._store if store is None else store}
        request = msgspec.structs.replace(request, settings=settings, services=services)
        answer, used = _Answer(calls={}), Usage()
        started = time.perf_counter()
        self._requests += 1
        async for chunk in (self.model if model is None else model).stream(request):
            if type(chunk) is AttemptStarted:
                self._requests += 1
                answer = _Answer(calls={})
            elif type(chunk) is TextChunk:
                answer.text += chunk.delta
                answer.pieces += 1
            elif type(chunk) is ToolCallChunk:
                answer.calls.setdefault(chunk.index, [chunk.name, ""])[1] += chunk.delta
                answer.pieces += 1
            elif type(chunk) is UsageChunk:
                used = chunk.usage
            elif type(chunk) is Finished:
                answer.finish = chunk.reason
        self._usage += used
        answer.duration_ms = (time.perf_counter() - started) * 1000
        return answer


def _cost(model: Model, usage: Usage) -> Decimal | None:
    try:
        local, price = model.profile.local, getattr(model, "price", None)
        return prices.cost(model.provider, model.name, usage, local=local, price=price)[0]
    except LumosaiError:
        return None


def _unless_cut(answer: _Answer) -> bool | None:
    """False, unless the answer was cut off before it could tell."""
    return None if answer.finish == "length" else False


def _instead(answer: _Answer) -> str:
    if answer.finish == "length":
        return f"not told: it was cut off after {MAX_TOKENS} tokens"
    return f"answered with text: {_short(answer.text)}" if answer.text else f"answered with nothing ({answer.finish})"


def _arguments(answer: _Answer) -> str:
    return _short(answer.calls[min(answer.calls)][1])


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= 100 else text[:99] + "…"  # noqa: PLR2004  # characters of a line
