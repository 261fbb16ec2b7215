"""Messages: stored as they are, once, and gone when they are deleted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from lumosai.errors import ConfigurationError, InvalidInputError
from lumosai.messages import (
    AudioPart,
    FilePart,
    ImagePart,
    Message,
    ProviderPart,
    ReasoningPart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
)
from lumosai.records import Scope
from lumosai.storage.conformance._expect import all_of, refused, texts

if TYPE_CHECKING:
    from lumosai.storage.base import Storage
    from lumosai.storage.conformance._expect import Check


async def messages_come_back_as_they_were(storage: Storage) -> None:
    """Every kind of part comes back equal, its bytes and long texts too; the same bytes may lie in many messages."""
    mine = storage.scope(Scope())
    await mine.create_thread("t")
    picture, long = bytes(range(256)) * 40, "長い text\n" * 40_000
    given = [
        Message.system("Be brief.", metadata={"pinned": True}),
        Message.user("看", ImagePart(data=picture), ImagePart(url="https://example.org/a.png"), AudioPart(data=b"\0")),
        Message.user(FilePart(data=picture, media_type="application/pdf", name="a.pdf"), long),
        Message.assistant(
            ReasoningPart("hm " * 50_000, signature="s", provider="p"),
            TextPart(""),
            ToolCallPart("1", "f", {"a": [1.5, None, "\u0000", {"б": "\\"}]}),
            ToolCallPart("2", "g", None, raw="{broken"),
            ProviderPart("p", "k", {"deep": [[[]]]}),
        ),
        Message.assistant(
            TextPart("One moment."),
            ToolCallPart("3", "write", {"text": long, "small": 1}),
            ToolCallPart("4", "write", None, raw=f"{{{long}"),
            ProviderPart("p", "k", {"seal": "x" * 100_000}),
        ),
        Message.tool(
            ToolResultPart("1", "f", (TextPart("x"), ImagePart(data=picture), TextPart(long))),
            ToolResultPart("2", "g", long, is_error=True),
        ),
    ]
    stored = await mine.add_messages("t", given, run_id="run")
    assert [s.seq for s in stored] == [1, 2, 3, 4, 5, 6]
    read = (await mine.messages("t")).items
    assert [r.message.parts for r in read] == [m.parts for m in given]
    assert [r.message.role for r in read] == [m.role for m in given]
    assert [r.message.metadata for r in read] == [m.metadata for m in given]
    assert [r.run_id for r in read] == ["run"] * 6
    assert read == stored
    assert await mine.message("t", str(read[1].message.id)) == read[1]


async def messages_are_stored_once(storage: Storage) -> None:
    """A message whose id is there already is not stored again, neither in one call nor in the next; all or nothing."""
    mine = storage.scope(Scope())
    await mine.create_thread("t")
    one, two = Message.user("one", id="1"), Message.user("two", id="2")
    await mine.add_messages("t", [one, one])
    again = await mine.add_messages("t", [one, two, one])
    assert [s.seq for s in again] == [1, 2, 1]
    assert await texts(mine, "t") == ["one", "two"]
    thread = await mine.thread("t")
    assert thread is not None
    assert thread.message_count == 2
    await refused(ConfigurationError, mine.add_messages("t", [Message.user("three"), Message.user("x", id="")]))
    assert await texts(mine, "t") == ["one", "two"]


async def deleted_content_is_gone(storage: Storage) -> None:
    """Bytes that two messages share outlive the first one's deletion, and no longer the second's."""
    mine = storage.scope(Scope())
    await mine.create_thread("t")
    await mine.create_thread("u")
    await mine.add_messages("t", [Message.user(ImagePart(data=b"shared"), id="1")])
    await mine.add_messages("u", [Message.user(ImagePart(data=b"shared"), id="2")])
    assert await mine.delete_messages("t", ["1", "nobody"]) == 1
    assert await all_of(mine, "t") == []
    (left,) = await all_of(mine, "u")
    assert left.parts == (ImagePart(data=b"shared"),)
    await mine.delete_thread("u")
    await mine.add_messages("t", [Message.user(ImagePart(data=b"shared"), id="3")])
    (again,) = await all_of(mine, "t")
    assert again.parts == (ImagePart(data=b"shared"),)


async def a_message_that_nobody_could_read_again_is_refused(storage: Storage) -> None:
    """One that is not as its type says never comes into a thread, whose other messages it would hide."""
    mine = storage.scope(Scope())
    await mine.create_thread("t")
    await mine.add_messages("t", [Message.user("a", id="a")])
    image: Any = "eA=="
    wrong: tuple[Any, ...] = ("abc", ("abc",), (TextPart(image.encode()),), (ImagePart(data=image),))
    for parts in (*wrong, (ToolCallPart("c", "f", wrong),)):  # type: ignore[arg-type]
        await refused(InvalidInputError, mine.add_messages("t", [Message("user", parts)]))
    await refused(InvalidInputError, mine.add_messages("t", [Message("robot", (TextPart("a"),))]))  # type: ignore[arg-type]
    await refused(InvalidInputError, mine.add_messages("t", [Message.user("a", metadata={"a": object()})]))
    await refused(InvalidInputError, mine.add_branch("t", "a", messages=["text"]))  # type: ignore[list-item]
    await refused(InvalidInputError, mine.create_thread(metadata={"a": object()}))
    assert [s.message.id for s in (await mine.messages("t")).items] == ["a"]


CHECKS: Final[tuple[Check, ...]] = (
    a_message_that_nobody_could_read_again_is_refused,
    messages_come_back_as_they_were,
    messages_are_stored_once,
    deleted_content_is_gone,
)
