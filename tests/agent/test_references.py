"""Prompts as they are stored: each message by its name, or by the hash of its content, which lies beside it once."""

from __future__ import annotations

from lumosai.agent.references import Requests
from lumosai.events import ModelCallStarted
from lumosai.messages import Message
from lumosai.records import ModelSettings

THREAD = tuple(Message.user(f"number {n}", id=f"m{n}") for n in range(3))
SYSTEM = Message.system("Be brief.")


def asked(*prompt: Message) -> ModelCallStarted:
    """A request of these messages."""
    return ModelCallStarted(
        "r", "r", None, 1, 1.0, "s", None, "a", "c", "answer", 0, 1, "p", "m", "", ModelSettings(), prompt=prompt
    )


def test_a_step_names_what_the_one_before_it_named() -> None:
    """A prompt that goes on, one that is cut, and one that is another: each message has its own name."""
    requests = Requests([])
    requests.at_hand.tell(THREAD)
    stored: dict[str, bytes] = {}
    first = requests.light(asked(SYSTEM, *THREAD[:2]), stored)
    requests.stored(stored)
    digest = first.prompt_hashes[0]
    assert [*stored] == [digest]
    assert first.prompt_hashes[1:] == ("#m0", "#m1")
    again: dict[str, bytes] = {}
    for _ in range(2):
        assert requests.light(asked(SYSTEM, *THREAD), again).prompt_hashes == (digest, "#m0", "#m1", "#m2")
    assert requests.light(asked(SYSTEM, THREAD[1]), again).prompt_hashes == (digest, "#m1")
    assert requests.light(asked(THREAD[2], THREAD[1]), again).prompt_hashes == ("#m2", "#m1")
    assert not again


def test_what_was_not_stored_is_given_again() -> None:
    """Where a batch fails, the next one that names a content brings it along."""
    requests = Requests([])
    lost: dict[str, bytes] = {}
    names = requests.light(asked(SYSTEM), lost).prompt_hashes
    found: dict[str, bytes] = {}
    assert requests.light(asked(SYSTEM, SYSTEM), found).prompt_hashes == names * 2
    assert found == lost != {}


def test_one_that_is_only_equal_is_no_message_of_the_thread() -> None:
    """A message with the id of another is stored for itself."""
    requests = Requests([])
    requests.at_hand.tell(THREAD)
    other = Message.user("something else", id="m0")
    assert requests.light(asked(THREAD[0]), {}).prompt_hashes == ("#m0",)
    contents: dict[str, bytes] = {}
    (name,) = requests.light(asked(other), contents).prompt_hashes
    assert [*contents] == [name]
