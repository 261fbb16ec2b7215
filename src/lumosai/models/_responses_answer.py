"""What servers of `/responses` answer, made into chunks.

`Answer` is fed the decoded events of one answer. It keeps the items that are under way and how the response ended; an
answer that came whole is one whose items all begin and end at once, so that both ways give the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from lumosai.messages import ProviderPart
from lumosai.models._responses_items import CALLS, Item, Torn
from lumosai.models._responses_seals import OWNER
from lumosai.models._responses_texts import refused, texts
from lumosai.models._responses_wire import response_of
from lumosai.models.base import Chunk, Finished, PartChunk, UsageChunk
from lumosai.records import Usage

if TYPE_CHECKING:
    from collections.abc import Callable

    from lumosai.models._responses_wire import Event, Response, Told
    from lumosai.models.base import ModelFinish

ENDS: Final = {
    "response.completed": "completed",
    "response.done": "completed",
    "response.incomplete": "incomplete",
    "response.failed": "failed",
    "response.cancelled": "cancelled",
}
"""The events that end a response, and the status that each means where the response in it names none."""

_WHY_INCOMPLETE: Final[dict[str, ModelFinish]] = {"content_filter": "content_filter", "steered": "pause"}
_SERVED: Final = "served"
"""The kind of an item that looks like a call of the caller's, but is one that the server itself has answered."""

_UNDER_WAY: Final = ("queued", "in_progress")


class Answer:
    """One answer as it comes.

    Args:
        at: who gives seals, see `_responses_seals`.
        custom: names of the caller's custom tools, by which their calls are told from those of tools that the server
            runs (xAI tells those alike); None where it runs none.

    Attributes:
        id, model: as the server names them.
        status: how the response ended; None while it has not.
        usage: tokens as last told.
        error: what a failed response says.
        begun: whether any event of a response came.
    """

    __slots__ = (
        "_at",
        "_by_id",
        "_by_index",
        "_calls",
        "_custom",
        "_items",
        "_refused",
        "_why",
        "begun",
        "error",
        "id",
        "model",
        "status",
        "usage",
    )

    def __init__(self, at: str = "", custom: frozenset[str] | None = None) -> None:
        self.id: str | None = None
        self.model: str | None = None
        self.status: str | None = None
        self.usage: Usage | None = None
        self.error: Any = None
        self.begun = False
        self._at = at
        self._custom = custom
        self._why: str | None = None
        self._refused = False
        self._items: list[Item] = []
        self._by_id: dict[str, Item] = {}
        self._by_index: dict[int, Item] = {}
        self._calls = 0

    @property
    def shown(self) -> bool:
        """Whether anything of an item came."""
        return bool(self._items)

    def feed(self, event: Event) -> list[Chunk]:
        """The chunks in an event; none in one of a type that is not known.

        Raises:
            Torn: it belongs to another answer than the events before it.
            ValueError: it holds no response where it should.
        """
        handler = _HANDLERS.get(event.type or "")
        if handler is None:
            return []
        self.begun = True
        return handler(self, event)

    def take_whole(self, response: Response) -> list[Chunk]:
        """The chunks of a response that is over; what was shown of it already is not given again.

        Raises:
            Torn: it is not what the events before it told.
        """
        self.begun = True
        self.model = response.model or self.model
        self.error = response.error
        if response.incomplete_details is not None:
            self._why = response.incomplete_details.reason
        if response.usage is not None:
            self.usage = counted(response.usage)
        chunks: list[Chunk] = []
        output = [i for i in response.output or () if isinstance(i.get("type"), str)]
        known = self._matched(output)
        self._check(response, output, known)
        self.id = response.id or self.id
        for item, found in zip(output, known, strict=True):
            chunks += self._close(found or self._open(item), item)
        self.status = response.status or "completed"
        cut = self.status != "completed"
        for item_ in self._items:
            chunks += item_.end(cut=cut)
        return chunks

    def end(self, *, stored: bool = False) -> list[Chunk]:
        """The last chunks of an answer that is whole: opaque parts, usage, and `Finished`.

        Args:
            stored: whether the server keeps the answer, so that the next request may name it.
        """
        chunks: list[Chunk] = []
        if stored and self.id:
            chunks.append(PartChunk(ProviderPart(OWNER, "response", {"id": self.id, "at": self._at})))
        if self.usage is not None:
            chunks.append(UsageChunk(self.usage))
        chunks.append(Finished(self._reason(), self.id, self.model))
        return chunks

    def _reason(self) -> ModelFinish:
        if self.status == "incomplete":
            return _WHY_INCOMPLETE.get(self._why or "", "length")
        if self._calls:
            return "tool_calls"
        return "refusal" if self._refused else "stop"

    def on_begin(self, event: Event) -> list[Chunk]:
        response = response_of(event.response)
        if self.shown and response.id and response.id != self.id:
            msg = f"a second response ({response.id}) began before the first ({self.id or 'unnamed'}) was whole"
            raise Torn(msg)
        self.id = response.id or self.id
        self.model = response.model or self.model
        return []

    def on_end(self, event: Event) -> list[Chunk]:
        response = response_of(event.response)
        if response.status is None or response.status in _UNDER_WAY:
            response.status = ENDS[event.type or ""]
        return self.take_whole(response)

    def on_added(self, event: Event) -> list[Chunk]:
        item = event.item
        if item is None:
            return []
        id_ = item.get("id")
        known = self._by_id.get(id_) if isinstance(id_, str) else None
        if known is None and event.output_index is not None:
            before = self._by_index.get(event.output_index)
            if before is not None and not before.closed and not before.empty:
                msg = f"item {event.output_index} began again before it was whole"
                raise Torn(msg)
        elif known is not None:
            if known.empty and not known.closed:
                return []
            msg = f"the item {known.id} began again"
            raise Torn(msg)
        opened = self._open(item, event.output_index)
        return opened.begin(self._at, item)

    def on_done(self, event: Event) -> list[Chunk]:
        item = event.item
        if item is None or not isinstance(item.get("type"), str):
            return []
        id_ = item.get("id")
        known = self._by_id.get(id_) if isinstance(id_, str) else None
        if known is None and event.output_index is not None:
            known = self._by_index.get(event.output_index)
            if known is not None and (known.kind != self._kind(item) or (known.closed and id_ != known.id)):
                known = None
        return self._close(known or self._open(item, event.output_index), item)

    def on_text(self, event: Event) -> list[Chunk]:
        return self._more(event, "message", ("text", event.content_index or 0))

    def on_refusal(self, event: Event) -> list[Chunk]:
        self._refused = True
        return self._more(event, "message", ("text", event.content_index or 0))

    def on_thought(self, event: Event) -> list[Chunk]:
        return self._more(event, "reasoning", ("text", event.content_index or 0))

    def on_summary(self, event: Event) -> list[Chunk]:
        return self._more(event, "reasoning", ("summary", event.summary_index or 0))

    def on_arguments(self, event: Event) -> list[Chunk]:
        return self._more(event, "function_call", ("arguments", 0))

    def on_input(self, event: Event) -> list[Chunk]:
        return self._more(event, "custom_tool_call", ("input", 0))

    def on_part(self, event: Event) -> list[Chunk]:
        """A part of a message's content that begins with text already."""
        found = texts({"type": "message", "content": [event.part]})
        event.delta = found[0][1] if found and event.part.get("type") in ("output_text", "refusal") else ""
        return self.on_text(event) if event.delta else []

    def on_annotation(self, event: Event) -> list[Chunk]:
        if event.annotation is not None:
            found = self._find(event, "message")
            found.annotations.setdefault(event.content_index or 0, []).append(event.annotation)
        return []

    def _more(self, event: Event, kind: str, key: tuple[str, int]) -> list[Chunk]:
        """A delta, or the text that its deltas added up to."""
        found = self._find(event, kind)
        if found.closed or found.kind == _SERVED:
            return []
        if isinstance(event.delta, str):
            return found.add(key, event.delta)
        whole = event.text if event.text is not None else event.refusal
        return found.fill(key, whole, exact=kind == "message") if isinstance(whole, str) else []

    def _find(self, event: Event, kind: str) -> Item:
        """The item that an event is about.

        By its id, else by its place: there are servers that give an item another id in each event, and others that give
        every item the same place.
        """
        id_ = event.item_id
        found = self._by_id.get(str(id_)) if id_ is not None else None
        if found is None and event.output_index is not None:
            found = self._by_index.get(event.output_index)
            if found is not None and found.closed:
                found = None
        elif found is None and id_ is None:
            found = next((i for i in reversed(self._items) if i.kind == kind and not i.closed), None)
        if found is None or found.kind not in (kind, _SERVED):
            found = self._open({"type": kind, "id": id_}, event.output_index)
        return found

    def _kind(self, item: dict[str, Any]) -> str:
        kind = str(item.get("type"))
        served = kind == "custom_tool_call" and self._custom is not None and item.get("name") not in self._custom
        return _SERVED if served and item.get("name") else kind

    def _open(self, item: dict[str, Any], index: int | None = None) -> Item:
        id_ = item.get("id")
        opened = Item(self._kind(item), None if id_ is None else str(id_))
        if opened.kind in CALLS:
            opened.call = self._calls
            self._calls += 1
        self._items.append(opened)
        if opened.id is not None:
            self._by_id[opened.id] = opened
        if index is not None:
            self._by_index[index] = opened
        return opened

    def _close(self, opened: Item, item: dict[str, Any]) -> list[Chunk]:
        if opened.closed:
            return []
        if opened.kind == "message" and refused(item):
            self._refused = True
        return opened.close(self._at, item)

    def _matched(self, output: list[dict[str, Any]]) -> list[Item | None]:
        """For each item of a whole response the one that stands for it: by its id, else by its place among its kind."""
        left = list(self._items)
        found: list[Item | None] = []
        for item in output:
            match = self._by_id.get(str(item.get("id")))
            found.append(match)
            if match in left:
                left.remove(match)
        for number, item in enumerate(output):
            if found[number] is None:
                match = next((i for i in left if i.kind == self._kind(item)), None)
                found[number] = match
                if match is not None:
                    left.remove(match)
        return found

    def _check(self, response: Response, output: list[dict[str, Any]], known: list[Item | None]) -> None:
        """Raises where a response's end does not tell what was shown of it.

        Servers that tell no items at the end are believed, unless the response has another name there than before.
        """
        renamed = bool(response.id) and self.id not in (None, response.id)
        if not renamed and (not output or response.status not in (None, "completed")):
            return
        pairs = zip(output, known, strict=True)
        told = [f for i, f in pairs if f is not None and (f.is_told_by(i) or not (f.closed or renamed))]
        other = next((i for i in self._items if i not in told and (renamed or i.says)), None)
        if other is not None:
            msg = f"the {other.kind} {other.id or ''} that came is not of the response that ended, {response.id}"
            raise Torn(msg)


_HANDLERS: Final[dict[str, Callable[[Answer, Event], list[Chunk]]]] = {
    "response.created": Answer.on_begin,
    "response.queued": Answer.on_begin,
    "response.in_progress": Answer.on_begin,
    "response.output_item.added": Answer.on_added,
    "response.output_item.done": Answer.on_done,
    "response.content_part.added": Answer.on_part,
    "response.output_text.delta": Answer.on_text,
    "response.output_text.done": Answer.on_text,
    "response.output_text.annotation.added": Answer.on_annotation,
    "response.refusal.delta": Answer.on_refusal,
    "response.refusal.done": Answer.on_refusal,
    "response.reasoning_text.delta": Answer.on_thought,
    "response.reasoning_text.done": Answer.on_thought,
    "response.reasoning.delta": Answer.on_thought,
    "response.reasoning_summary_text.delta": Answer.on_summary,
    "response.reasoning_summary_text.done": Answer.on_summary,
    "response.reasoning_summary.delta": Answer.on_summary,
    "response.function_call_arguments.delta": Answer.on_arguments,
    "response.custom_tool_call_input.delta": Answer.on_input,
    **dict.fromkeys(ENDS, Answer.on_end),
}
"""Arguments and inputs that are told whole are not looked at: the item's end tells them, and the call's name, again."""


def counted(told: Told) -> Usage:
    """Tokens in the house's terms."""
    given, made = told.input_tokens or 0, told.output_tokens or 0
    prompt, completion = told.input_tokens_details, told.output_tokens_details
    thought = (completion.reasoning_tokens if completion is not None else None) or 0
    if thought and told.total_tokens == given + made + thought:
        made += thought  # xAI counts thinking beside the answer, not in it
    return Usage(
        given,
        made,
        thought,
        (prompt.cached_tokens if prompt is not None else None) or 0,
        (prompt.cache_write_tokens if prompt is not None else None) or 0,
        told.total_tokens if told.total_tokens is not None else given + made,
    )
