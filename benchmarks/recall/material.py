"""Conversations with questions, out of the files beside this one."""

from __future__ import annotations

import random
from itertools import product
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).parent
LANGUAGES = (("en", "English"), ("zh", "Chinese"))


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
    kind, _, rest = file.partition(".")
    if kind == "orders":
        return orders(rest.partition(".")[0])
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


_ORDERED = {
    "en": (
        "lamp desk chair stove kettle carpet ladder mirror bicycle piano".split(),
        "Graz Porto Bergen Tampere Lyon".split(),
    ),
    "zh": ("台灯 书桌 椅子 炉子 水壶 地毯 梯子 镜子 自行车 钢琴".split(), "桂林 大连 绵阳 台州 喀什".split()),
}
_SAID = {
    "en": (
        "Order {code} is a {thing} for {place}.",
        "Noted, I have put it down.",
        "What did {code} stand for, and who gets it?",
    ),
    "zh": ("订单 {code} 是一件{thing}，要寄到{place}。", "好的，记下了。", "{code} 是什么东西，给谁的？"),
}


def orders(language: str, seed: int = 1) -> list[list[str]]:
    """Long messages about other things, each with an order in passing; the orders differ by a number, a thing and a place.

    Every second one is asked about by its number alone.
    """
    chance = random.Random(seed)
    said, answer, question = _SAID[language]
    others = [line[2:] for block in blocks(f"heldout.{language}.txt") for line in block if line.startswith("* ")]
    join = " " if language == "en" else ""
    found = []
    for number, (thing, place) in enumerate(product(*_ORDERED[language])):
        code = f"{chance.choice('ABCD')}{chance.choice('XYZ')}-{chance.randrange(1_000, 10_000)}"
        about = chance.sample(others, 4)
        text = join.join([*about[:2], said.format(code=code, thing=thing, place=place), *about[2:]])
        lines = [f"* {text}", f"A: {answer}"]
        found.append([*lines, f"Q: {question.format(code=code)}"] if number % 2 else lines)
    return found


def conversations(part: str) -> list[Conversation]:
    """Those of a part, "heldout", "tune" or "rare", that are asked about, each of some hundreds of messages."""
    found = []
    for language, name in LANGUAGES:
        extra = f"{'heldout' if part == 'tune' else 'tune'}.{language}.txt"
        found += [conversation(f"{name}, {kind}", [file, extra], [file]) for kind, file in _asked(part, language)]
    own = [file for language, _ in LANGUAGES for _, file in _asked(part, language)]
    found.append(conversation("mixed", own, own))
    return found


def _asked(part: str, language: str) -> list[tuple[str, str]]:
    """The kinds and files of a part."""
    if part == "rare":
        return [("names and numbers", f"rare.{language}.txt"), ("orders", f"orders.{language}.txt")]
    return [("facts", f"{part}.{language}.txt"), ("talk", f"{part}.talk.{language}.txt")]
