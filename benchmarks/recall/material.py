"""Conversations with questions, out of the files beside this one."""

from __future__ import annotations

import random
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).parent


class Question(NamedTuple):
    """A question, and the number of the message that answers it."""

    text: str
    evidence: int


class Conversation(NamedTuple):
    """What was said, as (role, text), and what is asked about it."""

    name: str
    messages: list[tuple[str, str]]
    questions: list[Question]


def blocks(file: str) -> list[list[str]]:
    """A file's exchanges, each a list of lines."""
    return [block.split("\n") for block in (HERE / file).read_text(encoding="utf-8").strip().split("\n\n")]


def conversation(name: str, files: list[str], asked: list[str], seed: int = 1) -> Conversation:
    """One long conversation of several files; single exchanges are shuffled, and talks stay as they are.

    Args:
        name: of the conversation.
        files: what it is made of.
        asked: those of them whose questions are asked.
        seed: of the shuffling.
    """
    loose = [(f, b) for f in files if "talk" not in f for b in blocks(f)]
    random.Random(seed).shuffle(loose)
    ordered = [(f, b) for f in files if "talk" in f for b in blocks(f)]
    messages: list[tuple[str, str]] = []
    questions: list[Question] = []
    for file, block in [*ordered, *loose]:
        first = len(messages)
        said = [line for line in block if not line.startswith("Q: ")]
        marked = next((first + n for n, line in enumerate(said) if line.startswith("* ")), None)
        for line in block:
            mark, text = (line[:2].rstrip(), line[2:]) if line.startswith("* ") else (line[:2], line[3:])
            if mark == "Q:":
                if file in asked:
                    questions.append(Question(text, len(messages) - 1 if marked is None else marked))
            else:
                messages.append(("assistant" if mark == "A:" else "user", text))
    return Conversation(name, messages, questions)


def conversations(*, held_out: bool) -> list[Conversation]:
    """Those that are asked about, each of some hundreds of messages."""
    kind = "heldout" if held_out else "tune"
    found = []
    for language, name in (("en", "English"), ("zh", "Chinese")):
        extra = [f"{'tune' if held_out else 'heldout'}.{language}.txt"]
        found += [
            conversation(f"{name}, facts", [f"{kind}.{language}.txt", *extra], [f"{kind}.{language}.txt"]),
            conversation(f"{name}, talk", [f"{kind}.talk.{language}.txt", *extra], [f"{kind}.talk.{language}.txt"]),
        ]
    own = [f"{kind}.{part}{language}.txt" for part in ("", "talk.") for language in ("en", "zh")]
    found.append(conversation("mixed", own, own))
    return found
