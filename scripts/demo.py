"""A real model on this machine, with no key and no account: it calls tools, streams its answers and remembers a name.

    python scripts/demo.py [--random] [--repeat N] [--seed S] [--model NAME_OR_PATH]

Everything here is what a user's program would do; the library knows nothing of it. The weights are fetched once. Each
answer is checked: the tool was called and its result told, the name remembered, the text streamed.

`--random` draws other numbers, names and a tool; `--repeat` plays several rounds and tells how often each check held.

Ends with 0 where every check held (of several rounds: where each held in at least 80 of 100), 1 where one did not,
2 for wrong arguments, 3 where the weights cannot be fetched or the runtime is not installed, 130 after Ctrl-C.
"""

import argparse
import asyncio
import random
import sys
import time
from collections import Counter
from dataclasses import dataclass, field

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn
from rich.text import Text

from lumosai import Agent, Message, ModelSettings, tool
from lumosai.errors import LumosaiError, MissingExtraError, WeightsError
from lumosai.events import TextDelta, ToolCallComplete, ToolCallStart
from lumosai.models import LocalModel, weights
from lumosai.tools.toolkits import calculator

ENOUGH = 0.8
LONGEST = 16  # letters of a token, in the middle of many
SETTINGS = ModelSettings(max_output_tokens=150)
console = Console(highlight=False)


@tool
def stock(item: str) -> str:
    """Look up how many pieces of an item are in our warehouse.

    Args:
        item: the item's name, such as "hammer".
    """
    return f"{len(item) * 37 + 5} pieces"


@tool
def room_temperature(room: str) -> str:
    """Measure the temperature of a room in this house.

    Args:
        room: which room, such as "kitchen".
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


@dataclass
class Part:
    """One conversation, and what must come of it.

    Attributes:
        title: what it shows.
        says: the user's messages.
        expect: what the last answer must hold, as one of these texts.
        calls: the tool that must be called for the last answer, "" for none.
    """

    title: str
    says: list[str]
    expect: list[str] = field(default_factory=list)
    calls: str = ""


@dataclass
class Answer:
    """What came of one message."""

    text: str
    calls: list[str]
    results: list[str]
    deltas: int
    messages: tuple


def main() -> int:
    """Runs the demo; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--random", action="store_true", help="other numbers, names and another tool each round")
    parser.add_argument("--repeat", type=int, default=1, metavar="N", help="how many rounds")
    parser.add_argument(
        "--seed", type=int, default=None, help="what --random begins with; told, so that it can be repeated"
    )
    parser.add_argument("--model", default="default", help="weights by name, or a GGUF file's path")
    parser.add_argument("--threads", type=int, default=None, help="processors to compute with")
    options = parser.parse_args()
    if options.repeat < 1:
        parser.error("--repeat must be at least 1")
    try:
        model = LocalModel(options.model, threads=options.threads)
        fetch(model)
        return asyncio.run(play(model, options))
    except (WeightsError, MissingExtraError) as error:
        print(f"demo: no model can be shown: {error}", file=sys.stderr)
        return 3
    except LumosaiError as error:
        print(f"demo: FAILED: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ndemo: stopped", file=sys.stderr)
        return 130


def fetch(model):
    """Gets the weights, with a bar, where they are not here."""
    if model.path.exists():
        return
    console.print(
        "Fetching the model's weights, once. They are checked by their SHA-256 and kept in your cache directory."
    )
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(model.name, total=None)
        weights.pull(
            model.name, lambda done, total, what: bar.update(task, completed=done, total=total, description=what)
        )
    console.print(f"[green]✓[/] {model.path}")


async def play(model, options):
    """Every round; the exit code."""
    begun = time.monotonic()
    await model.load()
    console.print(f"[green]✓[/] {model.name} is loaded, in {time.monotonic() - begun:.1f} s. No key, no account.\n")
    seed = random.randrange(10**6) if options.seed is None else options.seed
    chance = random.Random(seed)
    if options.random:
        console.print(f"Numbers, names and tools are drawn at random; --seed {seed} draws these again.\n")
    held, played, failures = Counter(), Counter(), []
    for _ in range(options.repeat):
        own, parts = drawn(chance) if options.random else usual()
        agent = Agent(
            "assistant",
            instructions="You are a helpful assistant.",
            model=model,
            tools=[calculator, own],
            settings=SETTINGS,
        )
        for part in parts:
            problem = await show(agent, part)
            played[part.title] += 1
            held[part.title] += problem is None
            if problem is not None:
                failures.append(problem)
    return report(held, played, failures, time.monotonic() - begun)


def usual():
    """What is shown where nothing is drawn."""
    return stock, [
        arithmetic(17, "*", 23),
        Part("remembers a name", ["My name is Alice.", "What is my name?"], ["Alice"]),
        Part("remembers a name, in Chinese", ["我叫Alice", "我叫什么名字？"], ["Alice"]),
        Part("calls a tool of this demo", ["How many hammers are in the warehouse?"], ["227", "264"], "stock"),
        Part("streams", ["Write a sentence about the sea."], ["sea", "ocean", "water"]),
    ]


def drawn(chance):
    """A round of its own."""
    name = chance.choice(
        ["Bob", "Carla", "David", "Emma", "Felix", "Grace", "Hugo", "Ingrid", "Jonas", "Olivia", "Yusuf"]
    )
    chinese = chance.choice(["小明", "王芳", "李雷", "韩梅梅", "张伟", name])
    sign = chance.choice("*+-")
    a, b = (
        (chance.randint(11, 99), chance.randint(11, 99))
        if sign == "*"
        else (chance.randint(500, 9999), chance.randint(11, 499))
    )
    number = chance.randint(1000, 99999)
    room = chance.choice(["kitchen", "bathroom", "garage", "attic"])
    city = chance.choice(["Madrid", "Vienna", "Oslo", "Naples", "Zagreb"])
    item = chance.choice(["ladder", "screwdriver", "lamp", "shovel"])
    own, question, expect = chance.choice(
        [
            (room_temperature, f"How warm is it in the {room}?", [f"{len(room) + 12.4}"]),
            (parcel_status, f"Where is parcel {number}?", [str(number % 89 + 10)]),
            (train_platform, f"From which platform does the next train to {city} leave?", [str(len(city) + 3)]),
            (stock, f"How many pieces of the item {item} are in the warehouse?", [str(len(item) * 37 + 5)]),
        ]
    )
    return own, [
        arithmetic(a, sign, b),
        Part("remembers a name", [f"My name is {name}.", "What is my name?"], [name]),
        Part("remembers a name, in Chinese", [f"我叫{chinese}", "我叫什么名字？"], [chinese]),
        Part("calls a tool of this demo", [question], expect, own.name),
        Part("streams", [f"Write a sentence about {city}."], [city]),
    ]


def arithmetic(a, sign, b):
    """A question for the calculator."""
    value = {"*": a * b, "+": a + b, "-": a - b}[sign]
    return Part("calculates with the calculator", [f"What is {a} {sign} {b}?"], [str(value)], "calculator")


async def show(agent, part):
    """Plays one part; why it did not hold, or None."""
    console.rule(part.title, align="left", style="dim")
    history = []
    try:
        for say in part.says:
            history.append(Message.user(say))
            answer = await ask(agent, history)
            history.extend(answer.messages)
        problem = judge(part, answer)
    except LumosaiError as error:
        problem = f"{history[-1].text!r} could not be answered: {error}"
    if problem is not None:
        console.print(Text(f"✗ {problem}", style="red"))
    console.print()
    return problem


async def ask(agent, history):
    """Asks, and shows the answer as it comes."""
    console.print(Text.assemble(("you        ", "cyan"), history[-1].text))
    begun, first, deltas, calls, results, told = time.monotonic(), None, 0, [], [], False
    async with agent.stream(history) as run:
        async for event in run:
            if isinstance(event, ToolCallStart):
                listed = ", ".join(f"{k}={v!r}" for k, v in (event.call.arguments or {}).items() if v is not None)
                console.print(Text.assemble(("calls      ", "yellow"), f"{event.call.name}({listed})"))
                calls.append(event.call.name)
            elif isinstance(event, ToolCallComplete):
                console.print(Text.assemble(("result     ", "yellow"), event.result.text))
                results.append(event.result.text)
            elif isinstance(event, TextDelta):
                first = first or time.monotonic()
                deltas += 1
                if not told:
                    console.print(Text("assistant  ", "green"), end="")
                    told = True
                console.file.write(event.delta)  # as it comes: a console would wait for a line's end
                console.file.flush()
        result = await run.result()
    seconds = time.monotonic() - begun
    usage = result.usage
    console.print()
    console.print(
        f"           {seconds:.1f} s, first word after {(first or time.monotonic()) - begun:.1f} s; {usage.input_tokens} tokens read, "
        f"{usage.cache_read_tokens} of them from the prefix cache, {usage.output_tokens} written",
        style="dim",
    )
    return Answer(result.text, calls, results, deltas, result.messages)


def judge(part, answer):
    """Why an answer is not what was to be shown, or None."""
    question = part.says[-1]
    if part.calls and part.calls not in answer.calls:
        return f"{part.calls} was not called for {question!r}"
    plain = answer.text.replace(",", "")
    if not any(expected in plain for expected in part.expect):
        return f"the answer to {question!r} holds no {' or '.join(part.expect)}: {answer.text!r}"
    if answer.deltas < len(answer.text) / LONGEST:
        return f"the answer to {question!r} was not streamed: it came in {answer.deltas} pieces"
    return None


def report(held, played, failures, seconds):
    """Tells how it went; the exit code."""
    for title, count in played.items():
        console.print(f"{'[green]✓[/]' if held[title] == count else '[red]✗[/]'} {title}: {held[title]} of {count}")
    console.print(f"{seconds:.0f} s in all")
    for problem in failures:
        print(f"demo: FAILED: {problem}", file=sys.stderr)
    return int(any(held[title] < ENOUGH * count for title, count in played.items()))


if __name__ == "__main__":
    sys.exit(main())
