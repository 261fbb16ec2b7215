"""Three different tools in one conversation with a real model on this machine, in each way of calling them.

    python scripts/three_tools.py [--mode MODE] [--repeat N] [--seed S] [--model NAME_OR_PATH] [--verbose]

A conversation has three questions, each with the ones before it in its history: one for the calculator, two for tools of
the script's own, drawn at random with their arguments and their order. A question holds where its tool was called, alone
and with the right arguments, the answer tells the result, and no markup of a call is in it. A conversation holds where
all three do.

Ends with 0 where at least 80 of 100 conversations held in every mode that was asked for, 1 where fewer did, 3 where the
weights cannot be fetched or the runtime is not installed.
"""

import argparse
import asyncio
import random
import re
import sys
import time
from collections import Counter

from lumosai import Agent, Message, ModelSettings, tool
from lumosai.errors import LumosaiError, MissingExtraError, WeightsError
from lumosai.events import ToolCallComplete, ToolCallStart
from lumosai.models import LocalModel, weights
from lumosai.tools.toolkits import calculator

ENOUGH = 0.8
MODES = ("constrained", "text")
MARKUP = re.compile(r"</?tool_|<\||\"arguments\"|\"parameters\"|```")


@tool
def room_temperature(room: str) -> str:
    """Measure the temperature of a room in this house.

    Args:
        room: the name of the room.
    """
    return f"{len(room) + 12.4} degrees Celsius"


@tool
def parcel_status(number: int) -> str:
    """Find out where a parcel is.

    Args:
        number: the parcel's number.
    """
    return f"at depot {number % 89 + 10}"


@tool
def train_platform(city: str) -> str:
    """Look up the platform of the next train to a city.

    Args:
        city: where the train goes.
    """
    return f"platform {len(city) + 3}"


@tool
def stock(item: str) -> str:
    """Look up how many pieces of an item are in our warehouse.

    Args:
        item: the name of the item.
    """
    return f"{len(item) * 37 + 5} pieces"


def drawn(chance):
    """Three questions: (question, tool's name, what the arguments must hold, what the answer must hold)."""
    a, b = chance.randint(11, 99), chance.randint(11, 99)
    room = chance.choice(["kitchen", "bathroom", "garage", "attic"])
    number = chance.randint(1000, 99999)
    city = chance.choice(["Madrid", "Vienna", "Oslo", "Naples", "Zagreb"])
    item = chance.choice(["ladder", "screwdriver", "lamp", "shovel"])
    own = [
        (f"How warm is it in the {room}?", "room_temperature", room, f"{len(room) + 12.4}"),
        (f"Where is parcel {number}?", "parcel_status", str(number), str(number % 89 + 10)),
        (f"From which platform does the next train to {city} leave?", "train_platform", city, str(len(city) + 3)),
        (f"How many pieces of the item {item} are in the warehouse?", "stock", item, str(len(item) * 37 + 5)),
    ]
    questions = [*chance.sample(own, 2), (f"What is {a} * {b}?", "calculator", str(a), str(a * b))]
    chance.shuffle(questions)
    return questions


async def converse(model, mode, questions, say):
    """One conversation; for each question why it did not hold, or None."""
    names = {name for _, name, _, _ in questions}
    own = [t for t in (room_temperature, parcel_status, train_platform, stock) if t.name in names]
    agent = Agent(
        "assistant",
        instructions="You are a helpful assistant.",
        model=model,
        tools=[calculator, *own],
        tool_calling=mode,
        settings=ModelSettings(max_output_tokens=150, temperature=0.0),
    )
    history, found = [], []
    for question, name, needed, expected in questions:
        history.append(Message.user(question))
        calls, failed = [], []
        try:
            async with agent.stream(history) as run:
                async for event in run:
                    if isinstance(event, ToolCallStart):
                        calls.append((event.call.name, event.call.arguments))
                    elif isinstance(event, ToolCallComplete) and event.is_error:
                        failed.append(event.result.text)
                result = await run.result()
        except LumosaiError as error:
            found.append(f"{question!r}: {error}")
            continue
        history.extend(result.messages)
        found.append(judge(question, calls, result.text, name, needed, expected))
        say(f"  {question}  →  {calls} {failed or ''}  →  {result.text!r}")
    return found


def judge(question, calls, text, name, needed, expected):
    """Why an answer is not what was to be given, or None."""
    if [called for called, _ in calls] != [name]:
        return f"{question!r}: called {[called for called, _ in calls]}, not {name}"
    if needed.lower() not in str(calls[0][1]).lower().replace(",", ""):
        return f"{question!r}: called {name} with {calls[0][1]}"
    if expected not in text.replace(",", ""):
        return f"{question!r}: the answer holds no {expected}: {text!r}"
    if MARKUP.search(text):
        return f"{question!r}: the answer holds markup: {text!r}"
    return None


async def measure(model, mode, options):
    """Every conversation in one mode: how many held, and how many questions."""
    chance = random.Random(options.seed)
    held, questions, begun = 0, Counter(), time.monotonic()
    for number in range(options.repeat):
        if options.verbose:
            print(f"{mode}, conversation {number + 1}")
        found = await converse(model, mode, drawn(chance), print if options.verbose else lambda _line: None)
        held += not any(found)
        questions.update(f is None for f in found)
        for problem in filter(None, found):
            print(f"{mode}: ✗ {problem}")
    seconds = time.monotonic() - begun
    print(
        f"{mode}, seed {options.seed}: {held} of {options.repeat} conversations, "
        f"{questions[True]} of {questions.total()} questions, {seconds:.0f} s"
    )
    return held


async def main(options):
    """The modes one after the other; the exit code."""
    model = LocalModel(options.model, threads=options.threads)
    if not model.path.exists():
        weights.pull(model.name, lambda _done, _total, _what: None)
    await model.load()
    modes = [options.mode] if options.mode else MODES
    held = [await measure(model, mode, options) for mode in modes]
    return int(any(h < ENOUGH * options.repeat for h in held))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mode", choices=MODES, help="only this way of calling")
    parser.add_argument("--repeat", type=int, default=1, metavar="N", help="how many conversations")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--model", default="default", help="weights by name, or a GGUF file's path")
    parser.add_argument("--threads", type=int, default=None, help="processors to compute with")
    parser.add_argument("--verbose", action="store_true", help="every question, call and answer")
    try:
        sys.exit(asyncio.run(main(parser.parse_args())))
    except (WeightsError, MissingExtraError) as error:
        print(f"three_tools: no model can be asked: {error}", file=sys.stderr)
        sys.exit(3)
