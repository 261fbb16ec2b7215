"""Three agents with faults at run time; then `lumosai stats`, `traces`, `trace` and `top` must say what a server counted.

    python scripts/three_agents.py [--runs N] [--seed N]

The server is a process of its own that knows nothing of Lumosai: it plays the model and what the tools ask, and counts
what it was asked, what it refused and the tokens it told. Faults: server errors, refusals, answers cut in the middle, bad
arguments, tools that fail and tools that take too long, runs that are cancelled while the model or a tool is at work, and
processes that are killed with a run going on, which another process then resumes. One line a check; ends with 1 where one
does not hold.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import aiohttp
from aiohttp import web

AGENTS = {"clerk": "look_up", "courier": "ship", "scout": "scan"}
FAULTS = (
    "none",
    "none",
    "server_error",
    "refused",
    "cut",
    "bad_arguments",
    "tool_fails",
    "slow_tool",
    "cancel_in_model",
    "cancel_in_tool",
)
KILLED = "killed"
TOOL_TIMEOUT_S = 0.4
PATIENCE_S = 60


class Server:
    """The outside: a model and a service, which counts."""

    def __init__(self):
        self.plan = {}
        self.done = set()
        self.held = defaultdict(asyncio.Event)
        self.models = defaultdict(lambda: dict.fromkeys(("calls", "failed", "stopped", "input", "output"), 0))
        self.tools = defaultdict(lambda: dict.fromkeys(("calls", "failed", "stopped"), 0))

    def once(self, task, what):
        """Whether this happens for the first time in a task."""
        new = (task, what) not in self.done
        self.done.add((task, what))
        return new

    async def chat(self, http):
        """One request to the model."""
        body = await http.json()
        agent = body["model"]
        task = next(m["content"] for m in body["messages"] if m["role"] == "user").split()[-1]
        fault = self.plan[task]
        count = self.models[agent]
        count["calls"] += 1
        if fault == "server_error" and self.once(task, fault):
            count["failed"] += 1
            return web.json_response({"error": {"message": "busy"}}, status=503, headers={"retry-after": "0"})
        if fault == "refused":
            count["failed"] += 1
            return web.json_response({"error": {"message": "no such thing"}}, status=400)
        asked = body["messages"][-1]["role"] == "user"
        if fault in ("cancel_in_model", KILLED) and not asked and self.once(task, fault):
            count["stopped"] += 1
            await self.hold(task)
        used = (100 + len(task), 7)
        if asked or (fault == "bad_arguments" and self.once(task, "good")):
            given = '{"amount": "many"}' if fault == "bad_arguments" and asked else json.dumps({"task": task})
            if fault == "bad_arguments" and asked:
                self.tools[AGENTS[agent]]["calls"] += 1
                self.tools[AGENTS[agent]]["failed"] += 1
            call = {"index": 0, "id": f"c{random.getrandbits(40)}", "type": "function"}
            delta = {
                "role": "assistant",
                "tool_calls": [call | {"function": {"name": AGENTS[agent], "arguments": given}}],
            }
            reason = "tool_calls"
        else:
            delta, reason = {"role": "assistant", "content": f"Done with {task}."}, "stop"
        usage = {"prompt_tokens": used[0], "completion_tokens": used[1], "total_tokens": sum(used)}
        base = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": agent}
        frames = [
            base | {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]},
            base | {"choices": [{"index": 0, "delta": {}, "finish_reason": reason}], "usage": usage},
        ]
        cut = fault == "cut" and not asked and self.once(task, fault)
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(http)
        await response.write(b"data: " + json.dumps(frames[0]).encode() + b"\n\n")
        if cut:
            count["failed"] += 1
            http.transport.abort()
            return response
        await response.write(b"data: " + json.dumps(frames[1]).encode() + b"\n\ndata: [DONE]\n\n")
        count["input"] += used[0]
        count["output"] += used[1]
        return response

    async def tool(self, http):
        """What a tool asks."""
        name, task = http.match_info["name"], http.match_info["task"]
        fault, count = self.plan[task], self.tools[http.match_info["name"]]
        count["calls"] += 1
        if fault == "tool_fails":
            count["failed"] += 1
            return web.Response(status=500)
        if fault == "slow_tool":
            count["failed"] += 1
            await asyncio.sleep(10 * TOOL_TIMEOUT_S)
        if fault == "cancel_in_tool":
            count["stopped"] += 1
            await self.hold(task)
        return web.Response(text=f"{name} of {task}")

    async def hold(self, task):
        """Says that a task is under way, and answers no more."""
        self.held[task].set()
        await asyncio.sleep(PATIENCE_S)

    async def wait_held(self, http):
        """Answers once a task is held."""
        async with asyncio.timeout(PATIENCE_S):
            await self.held[http.match_info["task"]].wait()
        return web.Response()

    async def inject(self, http):
        """Takes faults, by task, while everything runs."""
        self.plan |= await http.json()
        return web.Response()

    async def counts(self, _http):
        """What was counted."""
        return web.json_response({"models": self.models, "tools": self.tools})

    async def serve(self):
        """Serves, having printed where, until the process is ended."""
        app = web.Application()
        app.router.add_post("/v1/chat/completions", self.chat)
        app.router.add_get("/tool/{name}/{task}", self.tool)
        app.router.add_get("/held/{task}", self.wait_held)
        app.router.add_post("/faults", self.inject)
        app.router.add_get("/counts", self.counts)
        runner = web.AppRunner(app, access_log=None, handler_cancellation=True)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        print("http://{}:{}".format(*runner.addresses[0][:2]), flush=True)
        await asyncio.Event().wait()


def make(name, database, url):
    """An agent, the same in every process."""
    from lumosai import Agent, Limits, Memory, tool
    from lumosai.models import OpenAIChatModel
    from lumosai.telemetry import Telemetry

    async def ask(task: str) -> str:
        """Asks the service."""
        async with aiohttp.ClientSession() as session, session.get(f"{url}/tool/{AGENTS[name]}/{task}") as answer:
            answer.raise_for_status()
            return await answer.text()

    memory = Memory(database)
    return Agent(
        name,
        model=OpenAIChatModel(name, base_url=f"{url}/v1", api_key="k"),
        tools=[tool(ask, name=AGENTS[name])],
        memory=memory,
        limits=Limits(tool_timeout_s=TOOL_TIMEOUT_S),
        observers=[Telemetry(memory.storage)],
    )


async def work(name, database, url, tasks):
    """Runs an agent's tasks, a few at a time; each one's end, as its caller sees it, on standard output."""
    from lumosai import Lumosai
    from lumosai.errors import LumosaiError

    agent, places = make(name, database, url), asyncio.Semaphore(4)

    async def one(task, fault):
        async with places, agent.stream(f"Task {task}", thread_id=f"{name}-{task}") as run:
            print(json.dumps({"run": run.id, "task": task}), flush=True)
            if fault.startswith("cancel"):
                timeout = aiohttp.ClientTimeout(PATIENCE_S)
                async with aiohttp.ClientSession(timeout=timeout) as session:
                    await (await session.get(f"{url}/held/{task}")).read()
                run.cancel()
            try:
                end = (await run.result()).finish_reason
            except LumosaiError:
                end = "error"
            status = {"cancelled": "cancelled", "error": "error"}.get(end, "ok")
            print(json.dumps({"run": run.id, "task": task, "status": status}), flush=True)

    async with Lumosai([agent], take_up=False):
        await asyncio.gather(*[one(t, f) for t, f in tasks.items()])


async def resume(name, database, url, run_id):
    """Goes on with a run whose process was killed."""
    from lumosai import Lumosai

    agent = make(name, database, url)
    async with Lumosai([agent], take_up=False), agent.resume(run_id) as run:
        print(json.dumps({"run": run_id, "status": "ok" if (await run.result()).text else "error"}), flush=True)


def started(*words):
    """This program, in a process of its own."""
    return subprocess.Popen([sys.executable, __file__, *words], stdout=subprocess.PIPE, text=True)


def lines(process):
    """What a process printed, once it has ended well."""
    out, _ = process.communicate(timeout=10 * PATIENCE_S)
    if process.returncode:
        raise RuntimeError(f"{process.args} ended with {process.returncode}")
    return [json.loads(line) for line in out.splitlines()]


async def ask(url, path, given=None):
    """The server's answer."""
    timeout = aiohttp.ClientTimeout(PATIENCE_S)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        response = await (session.get(url + path) if given is None else session.post(url + path, json=given))
        body = await response.read()
        return json.loads(body) if body else None


def lumosai(database, *words):
    """What a command prints."""
    command = [sys.executable, "-m", "lumosai", *words, "--database", database]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, timeout=PATIENCE_S)
    return done.stdout


class Checks:
    """One line a check."""

    def __init__(self):
        self.failed = 0

    def equal(self, what, told, counted):
        """Whether they are the same."""
        good = told == counted
        self.failed += not good
        print(f"{'✓' if good else '✗'} {what}: {told}" + ("" if good else f", and it was {counted}"))


def run_all(url, database, runs, chance):
    """Everything that happens; how each run ended for its caller, by the run's id: (agent, task, status)."""
    ends, workers = {}, {}
    for name in AGENTS:
        faults = [chance.choice(FAULTS) for _ in range(runs - len(FAULTS))] + list(FAULTS)
        chance.shuffle(faults)
        tasks = {f"{name}{n}": fault for n, fault in enumerate(faults)}
        asyncio.run(ask(url, "/faults", tasks))
        workers[name] = started("--work", name, database, url, json.dumps(tasks))
    for name, worker in workers.items():
        for line in lines(worker):
            if "status" in line:
                ends[line["run"]] = (name, line["task"], line["status"])
    for name in AGENTS:
        task = f"{name}-{KILLED}"
        asyncio.run(ask(url, "/faults", {task: KILLED}))
        victim = started("--work", name, database, url, json.dumps({task: KILLED}))
        run_id = json.loads(victim.stdout.readline())["run"]
        asyncio.run(ask(url, f"/held/{task}"))
        victim.send_signal(signal.SIGKILL)
        victim.wait()
        (line,) = lines(started("--resume", name, database, url, run_id))
        ends[run_id] = (name, task, line["status"])
    return ends


def compare(url, database, ends):
    """Asks the commands, and compares; how many checks failed."""
    checks = Checks()
    counted = asyncio.run(ask(url, "/counts"))
    models = json.loads(lumosai(database, "stats", "--by", "model", "--json"))
    tools = json.loads(lumosai(database, "stats", "--by", "tool", "--json"))
    agents = json.loads(lumosai(database, "stats", "--json"))
    for name, tool in AGENTS.items():
        told, truth = models[f"openai:{name}"], counted["models"][name]
        checks.equal(f"{name}: requests to the model", told["count"], truth["calls"])
        checks.equal(f"{name}: requests that failed", failures(told, truth), truth["failed"])
        used = (told["usage"]["input_tokens"], told["usage"]["output_tokens"])
        checks.equal(f"{name}: tokens", used, (truth["input"], truth["output"]))
        told, truth = tools[tool], counted["tools"][tool]
        checks.equal(f"{name}: calls of {tool}", told["count"], truth["calls"])
        checks.equal(f"{name}: calls that failed", failures(told, truth), truth["failed"])
        mine = [status for agent, _, status in ends.values() if agent == name]
        checks.equal(f"{name}: runs", agents[name]["count"], len(mine))
        judged = len(mine) - mine.count("cancelled")
        checks.equal(f"{name}: runs that failed", round(agents[name]["error_rate"] * judged), mine.count("error"))
    listed = {t["run_id"]: t for t in json.loads(lumosai(database, "traces", "--json", "-n", "1000"))["traces"]}
    ended = {run_id: t["status"] for run_id, t in listed.items()}
    wrong = {r for r in ended.keys() | ends.keys() if r not in ends or ended.get(r) != ends[r][2]}
    checks.equal("traces: runs that ended otherwise than their callers saw", len(wrong), 0)
    for key, kind, told in (("models", "model_calls", "requests"), ("tools", "tool_calls", "calls")):
        whole = sum(c["calls"] for c in counted[key].values())
        checks.equal(f"traces: {told}", sum(t.get(kind, 0) for t in listed.values()), whole)
    checks.equal("traces: spans missing", sum(t.get("dropped", 0) for t in listed.values()), 0)
    trees = {run_id: json.loads(lumosai(database, "trace", run_id, "--json"))["steps"] for run_id in ends}
    spans = defaultdict(int)
    for step in (step for steps in trees.values() for step in steps):
        spans[step["kind"], step["name"]] += 1
    for name, tool in AGENTS.items():
        checks.equal(f"trace: requests of {name}", spans["model_call", name], counted["models"][name]["calls"])
        checks.equal(f"trace: calls of {tool}", spans["tool_call", tool], counted["tools"][tool]["calls"])
    killed = [r for r, (_, task, _) in ends.items() if task.endswith(KILLED)]
    cut = [s for r in killed for s in trees[r] if s.get("error_type") == "interrupted" and s["kind"] == "model_call"]
    checks.equal("trace: requests that a killed process had under way", len(cut), len(AGENTS))
    shown = lumosai(database, "top", "--once").splitlines()
    for name in AGENTS:
        row = next((line.split() for line in shown if line.startswith(f"{name} ")), ["", "-1"])
        checks.equal(f"top: runs of {name}", int(row[1]), sum(e[0] == name for e in ends.values()))
    checks.equal("top: what the processes used", [line.split(":")[0] for line in shown].count("process"), 1)
    checks.equal("top: runs that go on", next(line for line in shown if line.startswith("running")), "running: 0")
    return checks.failed


def failures(told, truth):
    """How many failed, of the rate that is told: of those that were not stopped."""
    return round(told["error_rate"] * (told["count"] - truth["stopped"]))


def main(options):
    """All of it; the exit code."""
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="lumosai-three-") as folder:
        database = options.database or f"sqlite:///{Path(folder) / 'three.db'}"
        server = started("--serve")
        try:
            url = server.stdout.readline().strip()
            ends = run_all(url, database, max(options.runs, len(FAULTS)), random.Random(options.seed))
            failed = compare(url, database, ends)
        finally:
            server.kill()
            server.wait()
            server.stdout.close()
    print(f"{len(ends)} runs, {failed} checks failed, {time.monotonic() - begun:.0f} s, --seed {options.seed}")
    return int(failed > 0)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=12, help="of each agent, at the least one a fault")
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(2)))
    parser.add_argument("--database", help="in place of a new SQLite file; it must be empty")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--work", nargs=4, help=argparse.SUPPRESS)
    parser.add_argument("--resume", nargs=4, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        asyncio.run(Server().serve())
    elif given.work:
        asyncio.run(work(*given.work[:3], json.loads(given.work[3])))
    elif given.resume:
        asyncio.run(resume(*given.resume))
    else:
        sys.exit(main(given))
