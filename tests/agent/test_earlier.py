"""A conversation that an agent is handed again: what was worked out of its beginning stands, and nothing else changes."""

from __future__ import annotations

import gc
import random
import weakref
from collections.abc import AsyncIterator

import msgspec
import pytest

from lumosai import Agent, Message, ToolCallPart, ToolResultPart
from lumosai.errors import InvalidInputError, MediaUnsupportedError
from lumosai.messages import ImagePart
from lumosai.models import ModelRequest, OpenAIChatModel, Profile
from lumosai.models._media import MediaCheck
from lumosai.models._openai_request import Encoder
from lumosai.models._plain_history import has_calls
from lumosai.models.base import Chunk, Finished, Notes, TextChunk, ToolCallChunk, Transcript
from tests.servers import ChatServer

PROFILE = Profile(images=False)


class Compared:
    """A model that writes each request's body twice: as it comes, and as one of which nothing is known. Calls once a run."""

    provider = "openai"
    name = "m"
    profile = PROFILE

    def __init__(self, calls: int = 1) -> None:
        self.encoder = Encoder("openai", PROFILE)
        self.media = MediaCheck("openai", "m", PROFILE)
        self.calls = calls
        self.known: list[int] = []

    async def stream(self, request: ModelRequest) -> AsyncIterator[Chunk]:
        self.media(request.messages)
        plain = msgspec.structs.replace(request, messages=(*request.messages,))
        assert type(plain.messages) is tuple
        self.known.append(self._known(request.messages))
        assert self.encoder.body("m", request, stream=False) == Encoder("openai", PROFILE).body(
            "m", plain, stream=False
        )
        assert has_calls(request.messages) == has_calls(plain.messages)
        said = 0
        for message in reversed(request.messages):
            if message.role == "user":
                break
            said += message.role == "tool"
        if said < self.calls:
            yield ToolCallChunk(0, "", "add", '{"a": 1, "b": 2}')
            yield Finished("tool_calls")
        else:
            yield TextChunk("3")
            yield Finished("stop")

    def _known(self, messages: tuple[Message, ...]) -> int:
        """How many messages need not be encoded."""
        return messages.notes.known.get(self.encoder.messages, (0,))[0] if isinstance(messages, Transcript) else 0


async def add(a: int, b: int) -> int:
    """Adds.

    Args:
        a: one.
        b: the other.
    """
    return a + b


def talk(count: int) -> list[Message]:
    made = []
    for n in range(count // 4):
        made += [
            Message.user(f"question {n}"),
            Message.assistant(ToolCallPart(f"c{n}", "add", {"a": n, "b": 1})),
            Message.tool(ToolResultPart(f"c{n}", "add", str(n + 1))),
            Message.assistant(f"answer {n}"),
        ]
    return made


async def test_what_comes_again_is_encoded_once() -> None:
    """From the third time on only what is new is looked at; within a run only each step's own messages."""
    model = Compared()
    agent = Agent("a", instructions="Add.", model=model, tools=[add])
    earlier = talk(40)
    for run in range(4):
        await agent.generate([*earlier, Message.user(f"again {run}")])
    assert model.known == [0, 42, 0, 42, 41, 42, 41, 42]
    earlier += [Message.user("one"), Message.assistant("more")]
    await agent.generate([*earlier, Message.user("and again")])
    assert model.known[-2:] == [41, 44]


@pytest.mark.parametrize("seed", range(4))
async def test_whatever_becomes_of_a_conversation_the_requests_are_those_of_a_new_one(seed: int) -> None:
    """Messages are added, replaced, dropped, forgotten and made anew where others were, under changing instructions."""
    dice = random.Random(seed)
    model = Compared(calls=dice.choice([0, 1, 3]))
    said = {"now": "Add."}
    agent = Agent("a", instructions=lambda _: said["now"], model=model, tools=[add])
    talks = [talk(40), talk(60)]
    for n in range(60):
        one = dice.choice(talks)
        asked = [i for i, m in enumerate(one) if m.role == "user"]
        match dice.randrange(8):
            case 0:
                one[dice.choice(asked)] = Message.user(f"changed {n}")
            case 1:
                del one[asked[-2] :], one[: asked[1]]
                one += talk(8)
            case 2:
                one[-1] = Message.assistant(f"otherwise {n}")
            case 3:
                said["now"] = dice.choice(["Add.", "Add well.", ""])
            case 4:
                # The same bytes of memory, most likely, for another message.
                del one[-1]
                one.append(Message.assistant(f"in its place {n}"))
        result = await agent.generate([*one, Message.user(f"turn {n}")])
        if dice.random() < 0.5:
            one += [Message.user(f"turn {n}"), *result.messages]
    assert max(model.known) > 40


async def test_nothing_is_kept_alive() -> None:
    """A conversation that its owner drops is gone, though the agent stays."""
    model = Compared()
    agent = Agent("a", model=model, tools=[add])
    earlier = talk(40)
    for _ in range(3):
        await agent.generate([*earlier, Message.user("again")])
    gone = weakref.ref(earlier[7])
    del earlier
    gc.collect()
    assert gone() is None


async def test_what_is_wrong_is_found_behind_a_known_beginning() -> None:
    """With the number that it has in the whole conversation."""
    agent = Agent("a", model=Compared(), tools=[add])
    earlier = talk(40)
    for _ in range(3):
        await agent.generate([*earlier, Message.user("again")])
    call = Message.assistant(ToolCallPart("late", "add", {"a": 1, "b": 1}))
    with pytest.raises(InvalidInputError, match="without a result before message 41: add"):
        await agent.generate([*earlier, call, Message.user("go on")])
    with pytest.raises(InvalidInputError, match="message 40 holds a result for the call 'nobody'"):
        await agent.generate([*earlier, Message.tool(ToolResultPart("nobody", "add", "1"))])
    with pytest.raises(InvalidInputError, match="not str, Message or a list of Message"):
        await agent.generate([*earlier, {"role": "user"}])
    with pytest.raises(MediaUnsupportedError, match="part 1 of message 40"):
        await agent.generate([*earlier, Message.user("look", ImagePart(b"\x89PNG"))])
    answered = [*earlier, call, Message.tool(ToolResultPart("late", "add", "2"))]
    for _ in range(3):
        assert (await agent.generate(answered)).text == "3"
    assert (await agent.generate([*answered, Message.user("go on")])).text == "3"


async def test_a_server_gets_what_it_always_got() -> None:
    """Through the whole of a model: the very bytes of the first time, but for the question."""
    async with ChatServer() as server:
        agent = Agent("a", model=OpenAIChatModel("m", base_url=server.base_url, api_key="k"))
        earlier = talk(40)
        for n in range(3):
            await agent.generate([*earlier, Message.user(f"turn {n}")])
        bodies = [request.body.replace(b"turn %d" % n, b"turn") for n, request in enumerate(server.requests)]
    assert len(set(bodies)) == 1


def test_a_transcript_reads_as_the_tuple_of_its_messages() -> None:
    """And what is made of it is a plain one."""
    messages = tuple(talk(8))
    transcript = Transcript(messages, Notes())
    assert transcript == messages
    assert type(transcript[:3]) is type((*transcript,)) is tuple
    assert msgspec.json.encode(transcript) == msgspec.json.encode(messages)
    assert transcript.gathered("reader", lambda size, new: size + len(new), 0) == 8
