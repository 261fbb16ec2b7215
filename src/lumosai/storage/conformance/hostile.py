"""Texts that a careless statement, pattern or path would trip over."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from lumosai.errors import ConfigurationError
from lumosai.messages import Message, TextPart
from lumosai.records import Scope
from lumosai.storage.base import MessageFilter, ThreadFilter
from lumosai.storage.conformance._expect import refused, texts

if TYPE_CHECKING:
    from lumosai.storage.base import Storage
    from lumosai.storage.conformance._expect import Check


HOSTILE: Final = (
    "'; DROP TABLE threads; --",
    '"quoted" \\ back\\\\slash',
    "100% _under_ %%",
    '*"NEAR(a b)" AND NOT -x:y ^',
    "$.metadata['x'].\"y\"[0]",
    "line\nbreak\ttab\r\x01\x7f",
    "名字 🐉 é́ ﷽ う゛字 \u202ertl",
    "a" * 1_000_000,
    "{lock} ? $1 :name",
)
"""Each is stored, found, and found alone."""


async def hostile_texts_are_only_text(storage: Storage) -> None:
    """Quotes, operators, wildcards, paths, control characters and a megabyte: each is stored, found, and found alone."""
    mine = storage.scope(Scope())
    for i, text in enumerate(HOSTILE):
        name = text[:200].replace("\0", "")
        await mine.create_thread(name, title=text, agent_id=name, resource_id=name, metadata={text: text})
        await mine.add_messages(name, [Message.user(text, id=f"m{i}", metadata={text: [text]})], run_id=name)
    for text in HOSTILE:
        name = text[:200]
        assert await texts(mine, name) == [text]
        for wanted in (
            ThreadFilter(text=text),
            ThreadFilter(agent_id=name),
            ThreadFilter(resource_id=name),
            ThreadFilter(metadata={text: text}),
        ):
            assert [t.id for t in (await mine.list_threads(filter=wanted)).items] == [name], (name, wanted)
        for sought in (
            MessageFilter(text=text[:60_000]),
            MessageFilter(run_id=name),
            MessageFilter(metadata={text: [text]}),
        ):
            assert len((await mine.messages(name, filter=sought)).items) == 1, name
        assert [t.id for t, _ in (await mine.search(text[:60_000])).items] == [name]
    await mine.create_thread("nul", title="a\0b", metadata={"k\0": "v\0"})
    stored = await mine.thread("nul")
    assert stored is not None
    assert (stored.title, stored.metadata) == ("ab", {"k\0": "v\0"})
    lone = Message("user", (TextPart("a\ud83d!"),), "lone", {"k": "\udc00"})
    await mine.add_messages("nul", [lone])
    assert await texts(mine, "nul") == ["a\ufffd!"]
    for bad in ("", "a\0b", "\ud800", "x" * 513):
        await refused(ConfigurationError, mine.create_thread(bad))
        if bad:
            await refused(ConfigurationError, mine.create_thread("good", resource_id=bad))
        await refused(ConfigurationError, mine.thread(bad))


CHECKS: Final[tuple[Check, ...]] = (hostile_texts_are_only_text,)
