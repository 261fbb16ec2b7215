"""The tokens that end a model's turn: where a server lets one through, it ends the answer and is not shown."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lumosai.messages import ToolCallPart

TOKENS = (
    *("<|im_end|>", "<|eot_id|>", "<|eom_id|>", "<|eot|>", "<|eom|>", "<|end_of_text|>", "<|endoftext|>", "<|eos|>"),
    *("<|end|>", "<|return|>", "<|role_end|>", "<|message_sep|>", "<|end_of_turn|>", "<|end_of_role|>"),
    *("<|assistant_end|>", "<|END_OF_TURN_TOKEN|>", "<|user|>", "<|observation|>", "<|hy_eos|>"),
    *("<|END_RESPONSE|>", "<|END_TEXT|>", "<|close|>response<|sep|>", "<|close|>message<|sep|>", "<|end_of_msg|>"),
    *("<｜end▁of▁sentence｜>", "<｜User｜>", "<end_of_turn>", "<turn|>", "<seed:eos>", "</s>"),
)
"""Those of the models' vocabularies, and their marks, that end an answer or a turn. Each begins with `<`."""

_MOST = 256
_WHOLE = re.compile(rf"(?:\s*(?:{'|'.join(map(re.escape, TOKENS))}))+\s*")
_CUT = frozenset(token[:end] for token in TOKENS for end in range(len(token)))


class Ending:
    """Holds back what may be the end of the answer, up to 256 characters of it.

    Attributes:
        held: tokens, and blank between them; the last one maybe cut.
    """

    __slots__ = ("held",)

    def __init__(self) -> None:
        self.held = ""

    def take(self, items: list[str | ToolCallPart]) -> list[str | ToolCallPart]:
        """The items without what may end the answer. What ended a message before a call is not shown either."""
        out: list[str | ToolCallPart] = []
        for item in items:
            if isinstance(item, str):
                text = self.held + item
                start = _start(text)
                self.held = text[start:]
                if start:
                    out.append(text[:start])
            else:
                self._end(out)
                out.append(item)
        return out

    def close(self, items: list[str | ToolCallPart]) -> list[str | ToolCallPart]:
        """The last items, without the tokens that end the answer."""
        out = self.take(items)
        self._end(out)
        return out

    def _end(self, out: list[str | ToolCallPart]) -> None:
        held, self.held = self.held, ""
        if held and not _WHOLE.fullmatch(held):
            out.append(held)


def token(text: str, at: int, *, final: bool) -> str | None:
    """The token that stands at `at`, "" where none does, None where the text is cut in what may be one."""
    found = next((t for t in TOKENS if text.startswith(t, at)), "")
    return found if found or final or text[at:] not in _CUT else None


def _start(text: str) -> int:
    """Where the end of the text begins that is nothing but tokens and blank; the text's length if there is none."""
    at = text.find("<", max(0, len(text) - _MOST))
    while at >= 0:
        whole = _WHOLE.match(text, at)
        if text[whole.end() if whole else at :] in _CUT:
            return at
        at = text.find("<", at + 1)
    return len(text)
