"""The lines of an export: one JSON object each, told apart by `kind`. This is a stored format: only ever added to.

The first line is `lumosai` and the last one `end`. Between them what is referred to comes before what refers to it:
contents, threads, branches, messages, facts, sessions, then each run behind its events. A reader passes by kinds that it does not know.
"""

from __future__ import annotations

from typing import Final

import msgspec

from lumosai.records import Scope

VERSION: Final = 2
"""Of the format. A reader refuses a greater one. Since 2 the body of a message that is a text alone is that text."""


class _Line(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="kind"):
    pass


class Header(_Line, frozen=True, tag="lumosai"):
    """What the export is.

    Attributes:
        version: of the format.
        schema: of the database.
        scope: of what; None of everything.
        at: when, unix seconds.
    """

    version: int
    schema: int
    scope: Scope | None
    at: float


class Content(_Line, frozen=True, tag="content"):
    """Media, or other large content, of a tenant's; `data` in Base64."""

    tenant: str
    hash: str
    data: bytes


class Ref(msgspec.Struct, frozen=True, omit_defaults=True):
    """Which thread is meant. One of another creation time is another thread."""

    tenant: str
    owner: str
    id: str
    created_at: float


class Thread(_Line, frozen=True, tag="thread"):
    """A thread without its branches."""

    thread: Ref
    title: str
    agent_id: str
    resource_id: str
    metadata: msgspec.Raw
    version: int
    active: int
    updated_at: float


class Part(msgspec.Struct, frozen=True, omit_defaults=True):
    """A part of a branch's path: numbers `first` to `last`, which lie in a branch; in the branch itself without `of`."""

    first: int
    last: int
    of: Ref | None = None
    branch: int = 0


class Branch(_Line, frozen=True, tag="branch"):
    """A branch, and what it shows of others."""

    thread: Ref
    number: int
    start: int
    last: int
    created_at: float
    path: tuple[Part, ...] = ()


class Item(msgspec.Struct, frozen=True, omit_defaults=True):
    """A message: its body as it is stored, and the hashes of what lies beside it."""

    seq: int
    id: str
    role: str
    at: float
    body: msgspec.Raw
    run_id: str = ""
    uses: tuple[str, ...] = ()


class Messages(_Line, frozen=True, tag="messages"):
    """Messages that lie in a branch, in order. `behind` is the id of the one before them, "" of none."""

    thread: Ref
    branch: int
    created_at: float
    items: tuple[Item, ...]
    behind: str = ""


class Events(_Line, frozen=True, tag="events"):
    """Events of a run; `data` in Base64 where they are no JSON."""

    run: str
    tenant: str
    owner: str
    started_at: float
    first: int
    last: int
    events: tuple[msgspec.Raw, ...] = ()
    data: bytes | None = None


class Posted(msgspec.Struct, frozen=True, omit_defaults=True):
    """A row of a run's inbox."""

    id: str
    kind: str
    data: bytes
    at: float


class Run(_Line, frozen=True, tag="run"):
    """A run, whose events came before."""

    id: str
    tenant: str
    owner: str
    started_at: float
    updated_at: float
    status: str
    last: int
    epoch: int
    agent: str = ""
    definition: str = ""
    thread_id: str = ""
    resource_id: str = ""
    has_context: int = 0
    reason: str = ""
    children: tuple[str, ...] = ()
    uses: tuple[str, ...] = ()
    epochs: dict[str, int] = {}
    inbox: tuple[Posted, ...] = ()


class Facts(_Line, frozen=True, tag="facts"):
    """What is remembered of a thread, or of a resource where there is no `thread`."""

    tenant: str
    owner: str
    version: int
    document: msgspec.Raw
    changes: msgspec.Raw
    updated_at: float
    thread: Ref | None = None
    resource_id: str = ""


class Session(_Line, frozen=True, tag="session"):
    """A person's time with an agent."""

    tenant: str
    owner: str
    id: str
    resource_id: str
    agent_id: str
    thread_id: str
    state: str
    reason: str
    variables: msgspec.Raw
    version: int
    idle_s: float | None
    age_s: float | None
    summary: str
    created_at: float
    active_at: float
    ended_at: float | None


class Experience(_Line, frozen=True, tag="experience"):
    """What was learned of a model; `data` in Base64."""

    tenant: str
    name: str
    at: float
    data: bytes


class End(_Line, frozen=True, tag="end"):
    """There is no more. `lines` counts all before it."""

    lines: int


Line = Header | Content | Thread | Branch | Messages | Facts | Session | Events | Run | Experience | End
"""Any line."""

KINDS: Final[frozenset[str]] = frozenset(
    {"lumosai", "content", "thread", "branch", "messages", "facts", "session", "events", "run", "experience", "end"}
)
