"""A name told in Chinese three hundred messages ago, asked for in Chinese and in English of a real model on this machine.

    python scripts/recall_name.py [--postgres [URL]] [--model NAME_OR_PATH] [--threads N] [--verbose]

The name was told long before the window; semantic recall, with the embedding model on this machine, brings it back, and
the plan says why. With `--postgres` the thread is then written out by `lumosai db export`, taken into that empty database
by `lumosai db import`, and asked about again there; where no URL is given, into one that is started for it.

Ends with 0 where every answer holds the name and every plan its message, 1 where one does not, 3 where the weights cannot
be fetched or a part is not installed.
"""

import argparse
import asyncio
import os
import random
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # the small talk is the benchmark's

from benchmarks.recall.material import blocks
from lumosai import Agent, Memory, Message, ModelSettings, TextPart
from lumosai.errors import MissingExtraError, WeightsError
from lumosai.events import MemoryRecalled
from lumosai.memory import SemanticRecall, plan_table
from lumosai.models import LocalModel, weights
from scripts.alice import databases

NAME = "李明"
SPELLED = ("李明", "Li Ming", "Ming Li", "LiMing")
TOLD = f"你好，先自我介绍一下：我叫{NAME}，在海事局上班。"
QUESTIONS = ("我叫什么名字？", "What is my name?")
FILLER = 300


def small_talk():
    """Three hundred messages about other things, in both languages."""
    files = ("tune.en.txt", "tune.zh.txt", "heldout.en.txt", "heldout.zh.txt")
    exchanges = [b for f in files for b in blocks(f) if any(line.startswith("U: ") for line in b)]
    exchanges = [b for b in exchanges if not any(line.startswith("*") for line in b)]
    random.Random(1).shuffle(exchanges)
    said = [line for block in exchanges for line in block if line.startswith(("U: ", "A: "))]
    said *= FILLER // len(said) + 1
    return [("user" if line[0] == "U" else "assistant", line[3:]) for line in said[:FILLER]]


async def tell(memory):
    """The name, and then the three hundred messages."""
    thread = await memory.create_thread("t", resource_id="user-1")
    said = [("user", TOLD), ("assistant", f"你好，{NAME}！很高兴认识你。"), *small_talk()]
    for number, (role, text) in enumerate(said):
        await thread.add_message(Message(role, (TextPart(text),), f"m{number}"))


async def ask(memory, model, where, options):
    """Each question; how many were answered with the name, out of recall."""
    agent = Agent(
        "assistant",
        instructions="Answer the user's question in one short sentence. Write names as they were told.",
        model=model,
        memory=memory,
        settings=ModelSettings(max_output_tokens=60, temperature=0.0),
    )
    held = 0
    for question in QUESTIONS:
        async with agent.stream(question, thread_id="t", memory_options={"read_only": True}) as run:
            events = [event async for event in run]
            answer = (await run.result()).text
        (recalled,) = [e for e in events if isinstance(e, MemoryRecalled)]
        why = [i.reason for i in recalled.plan if i.kind == "recalled" and i.included and i.message_id == "m0"]
        good = bool(why) and any(name.lower() in answer.lower() for name in SPELLED)
        held += good
        print(f"{where}: {'✓' if good else '✗'} {question}  →  {answer!r}  (m0: {why[0] if why else 'not recalled'})")
        if options.verbose or not good:
            print(plan_table(recalled))
    return held


def transfer(source, target):
    """What is in one database, into another, by the command line."""
    with tempfile.TemporaryDirectory() as folder:
        file = str(Path(folder) / "export.jsonl")
        for command in (("export", file, "--database", source), ("import", file, "--database", target)):
            subprocess.run([sys.executable, "-m", "lumosai", "db", *command], check=True, stdout=subprocess.DEVNULL)


async def main(options):
    """Both databases one after the other; the exit code."""
    model = LocalModel(options.model, threads=options.threads)
    if not model.path.exists():
        weights.pull(model.name, lambda _done, _total, _what: None)
    await model.load()
    recall = SemanticRecall(time_budget_s=30.0)
    held, asked, source = 0, 0, None
    with tempfile.TemporaryDirectory(prefix="lumosai-recall-", ignore_cleanup_errors=True) as folder:
        os.chmod(folder, 0o755)  # the server has a user of its own
        with closing(databases(Path(folder), options.postgres)) as used:
            for where in used:
                if source is not None:
                    await asyncio.to_thread(transfer, source, where)
                async with Memory(where, last_messages=4, recall=recall) as memory:
                    if source is None:
                        await tell(memory)
                    await memory.settled()
                    held += await ask(memory, model, where.partition(":")[0], options)
                    asked += len(QUESTIONS)
                source = where
                if options.postgres is None:
                    break
    print(f"{held} of {asked} answers hold the name")
    return int(held < asked)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--postgres", nargs="?", const="", metavar="URL", help="an empty database, to take the thread into"
    )
    parser.add_argument("--model", default="default", help="weights by name, or a GGUF file's path")
    parser.add_argument("--threads", type=int, default=None, help="processors to compute with")
    parser.add_argument("--verbose", action="store_true", help="every plan")
    try:
        sys.exit(asyncio.run(main(parser.parse_args())))
    except (WeightsError, MissingExtraError) as error:
        print(f"recall_name: no model can be asked: {error}", file=sys.stderr)
        sys.exit(3)
