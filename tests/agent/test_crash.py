"""kill -9 at random events, then a new process: the run ends as if nothing had been, on both databases."""

from __future__ import annotations

import asyncio
import http.server
import json
import os
import random
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

import pytest

from lumosai import Memory
from tests.conftest import ROOT
from tests.servers import Call, Reply, Request, serve_in_thread

ROUNDS = int(os.environ.get("LUMOSAI_CRASH_ROUNDS", "1"))
"""How many runs are killed, each several times, on each database."""


@pytest.fixture
def tool_server() -> Iterator[tuple[str, Counter]]:
    """A tool outside the process: it counts what it was asked by key."""
    asked: Counter = Counter()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            asked[parse_qs(parts.query)["key"][0].partition(":")[2]] += 1
            body = f"{len(parts.path)} metres".encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", asked
    server.shutdown()
    thread.join()
    server.server_close()


def answer(request: Request) -> Reply:
    """Four steps, by what was said so far: two calls, one call, two calls, the sum of it."""
    results = [m["content"] for m in request.messages if m["role"] == "tool"]
    wanted = {0: ["door", "window"], 2: ["table"], 3: ["roof", "cellar"]}.get(len(results))
    if wanted is None:
        return Reply("Measured: " + ", ".join(results) + ".")
    return Reply("One moment.", [Call("measure", {"what": w}, f"call_{w}") for w in wanted])


class Process:
    """A run in a process of its own."""

    def __init__(self, database: str, base_url: str, tool_url: str, run_id: str = "") -> None:
        command = [
            sys.executable,
            "-m",
            "tests.agent.crashing",
            database,
            base_url,
            tool_url,
            *([run_id] if run_id else []),
        ]
        path = os.pathsep.join([str(ROOT / "src"), str(ROOT)])
        self.process = subprocess.Popen(
            command, cwd=ROOT, env={**os.environ, "PYTHONPATH": path}, stdout=subprocess.PIPE, text=True
        )
        self.run_id = self.line()

    def line(self) -> str:
        """The next line it prints."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def kill_after(self, seq: int) -> int | None:
        """Kills it once it has shown an event of that number; the last number shown, None where it came to its end."""
        shown = 0
        while shown < seq:
            line = self.line()
            if not line.isdigit():
                assert self.process.wait(30) == 0
                return None
            shown = int(line)
        self.process.kill()
        self.process.wait(30)
        assert self.process.stdout is not None
        left = [int(rest) for rest in self.process.stdout.read().split("\n") if rest.isdigit()]
        self.process.stdout.close()
        return max([shown, *left])

    def finish(self) -> str:
        """Lets it come to its end; its answer."""
        assert self.process.stdout is not None
        lines = self.process.stdout.read().strip().split("\n")
        self.process.stdout.close()
        assert self.process.wait(60) == 0
        return lines[-1]


@pytest.mark.timeout(300)
@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_a_killed_run_goes_on_in_a_new_process(
    kind: str, tmp_path, request: pytest.FixtureRequest, tool_server: tuple[str, Counter]
) -> None:
    """The answer, the thread and what the outside saw are those of a run that nobody killed, but for what was cut."""
    tool_url, asked = tool_server
    database = request.getfixturevalue("postgres_url") if kind == "postgres" else f"sqlite:///{tmp_path}/crash.db"
    expected_keys = {f"{i}:call_{w}" for i, w in enumerate(["door", "table", "roof"])} | {
        "0:call_window",
        "2:call_cellar",
    }
    chance = random.Random(f"{kind} {os.environ.get('LUMOSAI_CRASH_SEED', '1')}")
    for _ in range(ROUNDS):
        asked.clear()
        with serve_in_thread(answer) as server:
            at, kills, run_id = chance.randrange(1, 30), 0, ""
            while True:
                process = Process(database, server.base_url, tool_url, run_id)
                assert not run_id or process.run_id == run_id
                run_id = process.run_id
                if kills == 3:
                    text = process.finish()
                    break
                shown = process.kill_after(at)
                if shown is None:
                    text = "Measured"
                    break
                kills += 1
                at = shown + chance.randrange(1, 15)
            prompts = Counter(json.dumps(r.messages) for r in server.requests)
        assert text.startswith("Measured")
        assert set(asked) == expected_keys
        assert all(times <= 1 + kills for times in asked.values())
        assert sum(asked.values()) <= len(expected_keys) + 2 * kills
        assert len(prompts) == 4
        assert sum(prompts.values()) <= 4 + kills
        asyncio.run(_check_thread(database))


async def _check_thread(database: str) -> None:
    """The thread holds the conversation once; then it is deleted."""
    async with Memory(database) as memory:
        thread = await memory.thread("t")
        messages = [m.message for m in (await thread.get_messages(limit=100)).items]
        assert [m.role for m in messages] == ["user", *["assistant", "tool"] * 3, "assistant"]
        for calling, told in zip(messages[1:-1:2], messages[2::2], strict=True):
            assert [c.id for c in calling.tool_calls] == [r.call_id for r in told.tool_results]
            assert not any(r.is_error for r in told.tool_results)
        assert messages[-1].text.startswith("Measured")
        await memory.delete_thread("t")
