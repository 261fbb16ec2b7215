"""Spans of other programs made into ours: kinds, names, tokens, errors, and what of their attributes is kept."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, Final

import msgspec

from lumosai._secrets import HIDDEN, is_secret_name, redact, redacted
from lumosai.telemetry import _foreign_names as names
from lumosai.telemetry._incoming import FAILED
from lumosai.telemetry.measure import ASKED
from lumosai.traces import TraceStep

if TYPE_CHECKING:
    from lumosai.telemetry._incoming import Incoming
    from lumosai.telemetry.trace import Content
    from lumosai.traces import StepKind

_OWN_KINDS: Final[dict[str, StepKind]] = {
    "run": "run",
    "step": "step",
    "model_call": "model_call",
    "tool_call": "tool_call",
    "embedding": "embedding",
    "memory": "memory",
    "guard": "guard",
    "approval": "approval",
    "span": "span",
}
_ATTRIBUTES: Final = 256
"""Attributes of a span that are kept, at the most."""
_NOTES: Final = 64
_KEY: Final = 200
_LONG: Final = 4_096
_LONGEST: Final = 65_536
"""Characters of a value, at the most; the second where content is kept."""
_MEMO: Final = 4_096
_SHORT: Final = 80
_MOST: Final = 2**53
_DEAREST: Final = 10**9
_encode = msgspec.json.Encoder().encode
_RESERVED: Final = frozenset({"error", "name", "run_id", "notes"})
"""Names under which something else is kept beside the attributes."""
_NUMBERS: Final = frozenset({"time_to_first_chunk_ms", "queued_ms", "paused_ms", "attempt"})
_TYPED: Final = names.COUNTS | names.TEXTS | _NUMBERS | {"cost_usd", "operation", "decision"}
"""Attributes of ours whose type is relied on."""


class Reader:
    """Makes our spans of others'.

    Args:
        content: how much of what was said is kept.
    """

    def __init__(self, content: Content) -> None:
        self._full = content == "full"
        self._silent = content == "off"
        self._longest = _LONGEST if self._full else _LONG
        self._clean: dict[str, str] = {}
        self._keys: dict[str, tuple[str, bool, bool]] = {}

    def step(self, span: Incoming, service: str) -> tuple[TraceStep, str]:
        """The span as ours, and the id of the root run that it says it is of, "" where it says none."""
        raw = span.attributes
        own = raw.get("lumosai.kind")
        kind: StepKind | None = _OWN_KINDS.get(own) if isinstance(own, str) else None
        ours = kind is not None
        if kind is None:
            kind = names.kind_of(raw)
        known = self._attributes(raw)
        root, run_id = known.pop("root_run_id", ""), known.pop("id_of_run", "")
        agent = raw.get("gen_ai.agent.name") or raw.get("agent.name") or ""
        told_name = known.pop("own_name", None) if ours else None
        if ours:
            known.pop("kind", None)
        if kind != "span":
            _told(kind, raw, known, ours=ours)
        if ours or kind != "span":
            known.pop("gen_ai.agent.name", None)
        if kind == "tool_call":
            known.pop("gen_ai.tool.name", None)
        if _TYPED & known.keys():
            _sound(known)
            if not ours and "total_tokens" not in known and ("input_tokens" in known or "output_tokens" in known):
                known["total_tokens"] = known.get("input_tokens", 0) + known.get("output_tokens", 0)
        if service and not ours:
            known["service.name"] = service
        if span.notes:
            self._notes(span, known)
        error, error_type = self._error(span, raw, known)
        ended = span.end > 0
        name = told_name if isinstance(told_name, str) else _name(kind, span.name, raw, known)
        return (
            TraceStep(
                span_id=span.span,
                parent_span_id=span.parent or None,
                kind=kind,
                name=self._clean.get(name) or self._text(name)[:_KEY],
                start=span.start / 10**9,
                duration_ms=max(0, span.end - span.start) / 10**6 if ended else None,
                run_id=run_id if isinstance(run_id, str) else "",
                agent=agent[:_KEY] if isinstance(agent, str) else "",
                error=error,
                error_type=error_type,
                attributes=known,
            ),
            root if isinstance(root, str) else "",
        )

    def _attributes(self, raw: dict[str, Any]) -> dict[str, Any]:
        """What is kept of the attributes, under our names."""
        known: dict[str, Any] = {}
        full, keys, clean = self._full, self._keys, self._clean
        for key, value in raw.items():
            name, is_content, is_secret = keys.get(key) or self._key(key)
            if (is_content and not full) or name in known:
                continue
            if is_secret:
                known[name] = HIDDEN
            elif type(value) is str:
                known[name] = clean.get(value) or self._text(value)
            elif type(value) is dict or type(value) is list:
                known[name] = self._nested(value)
            else:
                known[name] = value
            if len(known) >= _ATTRIBUTES:
                break
        return known

    def _key(self, key: str) -> tuple[str, bool, bool]:
        """What an attribute is called here, whether it is what was said, and whether its name says that it is a secret."""
        name = names.OURS.get(key)
        if name is None:
            name = key[len(names.OWN) :] if key.startswith(names.OWN) and len(key) > len(names.OWN) else key
            name = _OWN_NAMES.get(key, name)
            if name in _RESERVED:
                name = f"attribute.{name}"
        shown = name[:_KEY].encode("utf-8", "replace").decode()
        found = shown, names.is_content(key) or name in names.CONTENT, is_secret_name(name)
        if len(self._keys) < _MEMO:
            self._keys[key] = found
        return found

    def _text(self, value: str) -> str:
        text = redact(value[: self._longest])
        if len(value) <= _SHORT and len(self._clean) < _MEMO:
            self._clean[value] = text
        return text

    def _nested(self, value: Any) -> Any:
        try:
            told = _encode(value)
        except (UnicodeEncodeError, OverflowError, RecursionError):
            return self._text(repr(value).encode("utf-8", "replace").decode())
        if len(told) > self._longest:
            return self._text(told.decode())
        return redacted(value)

    def _notes(self, span: Incoming, known: dict[str, Any]) -> None:
        """What happened within a span; exceptions stand in its error."""
        notes: list[dict[str, Any]] = []
        for at, name, attributes in span.notes[:_NOTES]:
            if name == "exception" or (not self._full and name.startswith(names.CONTENT_NOTES)):
                continue
            said = self._attributes(attributes)
            notes.append({"at": at / 10**9, "name": self._text(name[:_KEY]), **_without(said, "at", "name")})
        if notes:
            known["notes"] = notes

    def _error(self, span: Incoming, raw: dict[str, Any], known: dict[str, Any]) -> tuple[str | None, str | None]:
        told = raw.get("error.type")
        if span.code != FAILED and not told:
            return None, None
        raised: dict[str, Any] = next((n[2] for n in reversed(span.notes) if n[1] == "exception"), {})
        known.pop("error.type", None)
        kind = told or raised.get("exception.type") or raw.get("exception.type") or "_OTHER"
        words = span.message or raised.get("exception.message") or raw.get("exception.message") or None
        if self._silent or not isinstance(words, str):
            words = None
        return (redact(words[:_LONG]) if words is not None else None), (
            kind[:_KEY] if isinstance(kind, str) else "_OTHER"
        )


_OWN_NAMES: Final = {"lumosai.name": "own_name", "lumosai.run.id": "id_of_run", "lumosai.root_run.id": "root_run_id"}


def _without(known: dict[str, Any], *names: str) -> dict[str, Any]:
    return {(f"attribute.{k}" if k in names else k): v for k, v in known.items()}


def _name(kind: StepKind, name: str, raw: dict[str, Any], known: dict[str, Any]) -> str:
    if kind == "memory" and isinstance(known.get("operation"), str):
        return str(known["operation"])
    for key in names.NAMES.get(kind, ()):
        found = raw.get(key)
        if isinstance(found, str) and found:
            return found
    return name


def _told(kind: StepKind, raw: dict[str, Any], known: dict[str, Any], *, ours: bool) -> None:
    """Puts what a span of a known kind says into our words and units."""
    known.pop(names.OPERATION, None)
    reasons = known.pop(names.FINISH, None)
    if reasons and isinstance(reasons, list) and isinstance(reasons[0], str):
        known.setdefault("finish_reason", reasons[0])
    for key in names.FIRST_CHUNK:
        first = known.pop(key, None)
        if isinstance(first, int | float) and 0 <= first < _MOST:
            known.setdefault("time_to_first_chunk_ms", round(first * 1e3, 6))
    settings = {ours: known.pop(key) for key, ours in names.SETTINGS.items() if key in known}
    if settings:
        known.setdefault("settings", settings)
    queued = known.pop("queued_s", None)
    if isinstance(queued, int | float) and 0 <= queued < _MOST:
        known.setdefault("queued_ms", round(queued * 1e3, 6))
    if kind == "memory" and isinstance(raw.get(names.OPERATION), str):
        known.setdefault("operation", raw[names.OPERATION])
    if kind in ASKED and not ours:
        known.setdefault("provider", "")


def _sound(known: dict[str, Any]) -> None:
    """Takes out what is called like something of ours and is not of its type."""
    for name in _TYPED & known.keys():
        value = known[name]
        if name in names.COUNTS:
            if type(value) is float and value.is_integer():
                value = known[name] = int(value)
            fits = type(value) is int and 0 <= value <= _MOST
        elif name in _NUMBERS:
            fits = type(value) in (int, float) and 0 <= value <= _MOST
        elif name == "cost_usd":
            fits = price_of(value) is not None
        else:
            fits = type(value) is str
        if not fits:
            known[f"attribute.{name}"] = known.pop(name)


def price_of(told: Any) -> Decimal | None:
    """What is said to be a price in US dollars; None where it is none."""
    try:
        cost = Decimal(str(told)) if told is not None else None
    except InvalidOperation:
        return None
    return cost if cost is not None and cost.is_finite() and 0 <= cost < _DEAREST else None
