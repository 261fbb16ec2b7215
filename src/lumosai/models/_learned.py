"""What was found out about a model at an endpoint: what was tried, whether it worked, when. And where that is kept.

Everything found out is dated on its own and forgotten after seven days, for servers are updated and models replaced. A
store of one's own needs two functions: `dated` before a record is written, `fresh` after it was read.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final, Protocol
from weakref import WeakKeyDictionary

import msgspec

from lumosai.records import ToolMode

if TYPE_CHECKING:
    from collections.abc import Callable

LEARNED_FOR_S: Final = 7 * 24 * 3600.0
PROOFS_NEEDED: Final = 2

FEATURES: Final = ("native", "parallel", "strict", "json_schema", "streaming", "dialect")
"""What is tried of every model."""
_REJECTED: Final = {"native": "tools"}
_CHOSEN: Final = "tool_mode"


class Tried(msgspec.Struct, frozen=True, omit_defaults=True):
    """One thing that was tried.

    Attributes:
        works: whether it worked.
        why: the server's words where it did not; what else is to be known where it did.
        at: when, unix seconds; 0 for now, until it is stored.
    """

    works: bool
    why: str = ""
    at: float = 0.0


class Change(msgspec.Struct, frozen=True, omit_defaults=True):
    """Fields of the profile that turned out otherwise: a server refused what nobody asked for, or took what few do.

    Attributes:
        changes: the fields, as they turned out.
        why: the server's words, or how else it was found out.
        at: when, unix seconds; 0 for now, until it is stored.
    """

    changes: dict[str, Any]
    why: str = ""
    at: float = 0.0


class Learned(msgspec.Struct, frozen=True, omit_defaults=True):
    """What was found out about one model at one endpoint.

    Attributes:
        tool_mode: the mode to use instead of the profile's, None while that is not decided.
        proofs: answers that held a declared tool's call as text although it was asked for natively.
        reason: why the mode was changed.
        at: when it was last added to, unix seconds.
        dialect: the format those calls were written in.
        tried: by feature, see `FEATURES`: "native" (takes `tools` and answers with calls), "parallel" (several in one
            answer), "strict" (takes `strict` tools), "json_schema" (answers held to one), "streaming", "dialect" (writes
            calls as text: the format is `why`).
        changed: what of the profile turned out otherwise, in the order in which it was met.
    """

    tool_mode: ToolMode | None = None
    proofs: int = 0
    reason: str = ""
    at: float = 0.0
    dialect: str = ""
    tried: dict[str, Tried] = {}
    changed: tuple[Change, ...] = ()

    @property
    def rejected(self) -> tuple[str, ...]:
        """The request's features that the server rejects: "tools", "json_schema", ….."""
        return tuple(_REJECTED.get(name, name) for name, tried in self.tried.items() if not tried.works)

    def having(self, feature: str, *, works: bool, why: str = "") -> Learned:
        """With that feature tried just now."""
        return msgspec.structs.replace(self, tried={**self.tried, feature: Tried(works, why)})

    def choosing(self, mode: ToolMode | None, reason: str) -> Learned:
        """With a tool mode that is decided, or only with the reason for what is not."""
        tried = self.tried if mode is None else {**self.tried, _CHOSEN: Tried(works=True, why=mode)}
        return msgspec.structs.replace(self, tool_mode=mode, reason=reason, tried=tried)


NOTHING: Final = Learned()


def dated(learned: Learned, now: float) -> Learned:
    """With what is new dated `now`, as it is to be stored."""
    tried = {k: t if t.at else msgspec.structs.replace(t, at=now) for k, t in learned.tried.items()}
    changed = tuple(c if c.at else msgspec.structs.replace(c, at=now) for c in learned.changed)
    return msgspec.structs.replace(learned, at=now, tried=tried, changed=changed)


def fresh(learned: Learned | None, now: float) -> Learned | None:
    """What of it is not too old; None where nothing is."""
    if learned is None or now - learned.at > LEARNED_FOR_S:
        return None
    tried = {k: t for k, t in learned.tried.items() if now - t.at <= LEARNED_FOR_S}
    changed = tuple(c for c in learned.changed if now - c.at <= LEARNED_FOR_S)
    if len(tried) == len(learned.tried) and len(changed) == len(learned.changed):
        return learned
    kept = msgspec.structs.replace(learned, tried=tried, changed=changed)
    if _CHOSEN in learned.tried and _CHOSEN not in tried:
        kept = msgspec.structs.replace(kept, tool_mode=None, proofs=0, reason="", dialect="")
    return kept


class ProfileStore(Protocol):
    """Where experience is kept. Keys are "provider endpoint model"."""

    def get(self, key: str) -> Learned | None: ...

    def put(self, key: str, learned: Learned) -> None: ...


class MemoryProfiles:
    """Experience kept in this object, forgotten after seven days. Not shared between processes."""

    def __init__(self, *, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._rows: dict[str, tuple[Learned, float]] = {}  # each with when the first of it is too old

    def get(self, key: str) -> Learned | None:
        """What is known, or None where nothing is or it is too old."""
        row = self._rows.get(key)
        if row is None:
            return None
        if (now := self._now()) <= row[1]:
            return row[0]
        kept = fresh(row[0], now)
        if kept is None:
            del self._rows[key]
        else:
            self._rows[key] = kept, _until(kept)
        return kept

    def put(self, key: str, learned: Learned) -> None:
        """Remembers, dated now."""
        self.take(key, dated(learned, self._now()))

    def take(self, key: str, learned: Learned) -> None:
        """Takes over what was dated elsewhere."""
        self._rows[key] = learned, _until(learned)


def _until(learned: Learned) -> float:
    """When the first of what is in it is too old."""
    return LEARNED_FOR_S + min([learned.at, *[t.at for t in learned.tried.values()], *[c.at for c in learned.changed]])


def profile_key(provider: str, endpoint: str, model: str) -> str:
    """The key under which experience is kept."""
    return f"{provider} {endpoint} {model}"


_OWN: WeakKeyDictionary[Any, ProfileStore] = WeakKeyDictionary()
"""What was learned without a request's store, by model object, for as long as that lives."""


def own_store(model: Any) -> ProfileStore:
    """Where experience with this model object is kept, whoever asks it, unless a request brings a store."""
    try:
        return _OWN.setdefault(model, MemoryProfiles())
    except TypeError:  # an object that cannot be hashed or weakly referred to: whoever asks learns for himself
        return MemoryProfiles()


def keep_in(model: Any, store: ProfileStore) -> None:
    """Keeps experience with this model object in `store`. To be said before the model is first asked."""
    _OWN[model] = store
