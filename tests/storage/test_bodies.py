"""How a message is taken apart to be stored: its row stays small, whatever is in it, and nothing is lost."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lumosai.messages import ImagePart, Message, ProviderPart, TextPart, ToolCallPart, ToolResultPart
from lumosai.storage import _bodies as bodies

LONG = "αβγ\n" * 300_000


@pytest.mark.parametrize(
    "part",
    [
        TextPart(LONG),
        ImagePart(data=b"\0" * 3_000_000),
        ToolCallPart("1", "write", {"text": LONG}),
        ToolCallPart("1", "write", None, raw=LONG),
        ToolResultPart("1", "read", LONG),
        ToolResultPart("1", "read", (TextPart(LONG), ImagePart(data=b"\1" * 3_000_000))),
        ProviderPart("p", "sealed", [LONG]),
    ],
    ids=lambda part: type(part).__name__,
)
def test_a_huge_message_is_clamped_and_comes_back_whole(part) -> None:
    """What does not fit into the row lies beside it, once where it is the same; what is asked for comes back equal."""
    message = Message("assistant", (TextPart("Look."), part, part), "m", {"n": 1})
    packed = bodies.pack(message)
    assert len(packed.body) <= bodies.LARGE
    assert len(packed.asides) == (2 if isinstance(part, ToolResultPart) and not isinstance(part.content, str) else 1)
    assert bodies.needs(packed.body)
    assert bodies.unpack("assistant", "m", packed.body, packed.asides) == message
    assert bodies.light("assistant", "m", packed.body).parts[0] == TextPart("Look.")


@given(st.text(max_size=40), st.integers(bodies.HEAD - 30, bodies.HEAD + 30), st.booleans())
def test_a_text_comes_back_wherever_it_is_cut(text: str, before: int, call: bool) -> None:
    """Characters of any plane around the cut, halves of pairs as U+FFFD."""
    whole = "a" * before + text + "\ud800" + "z" * 40
    part = ToolCallPart("1", "f", {"x": [whole] * 5}) if call else TextPart(whole)
    packed = bodies.pack(Message("assistant", (part,), "m"))
    (back,) = bodies.unpack("assistant", "m", packed.body, packed.asides).parts
    told = back.arguments["x"][0] if isinstance(back, ToolCallPart) and back.arguments else back.text
    assert told == whole.replace("\ud800", "\ufffd")
