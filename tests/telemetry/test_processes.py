"""One trace through three processes that speak HTTP, and out to the model's server from each of them."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from tests.conftest import ROOT
from tests.servers import Call, Reply, Request, serve_in_thread

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
GIVEN = {"traceparent": f"00-{TRACE}-{SPAN}-01", "tracestate": "shop=1", "baggage": "user=ann,tier=gold"}


def answer(request: Request) -> Reply:
    """Calls the tool there is, once."""
    tools = (request.json or {}).get("tools")
    asks = bool(tools) and request.messages[-1]["role"] != "tool"
    return Reply(calls=[Call("ask_next")]) if asks else Reply("done")


@contextmanager
def services(model_url: str, *names: str) -> Iterator[str]:
    """Services in processes of their own, each of which asks the next one; the first one's address."""
    env = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    program = str(ROOT / "tests" / "telemetry" / "service.py")
    with ExitStack() as stack:
        begun = []
        for name in names:
            command = [sys.executable, program, name, model_url]
            process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=env, text=True)
            stack.callback(process.communicate, timeout=10)  # which closes what it waits for
            begun.append(process)
        addresses = [json.loads(p.stdout.readline()) for p in begun]
        for process, following in zip(begun, [*addresses[1:], ""], strict=True):
            process.stdin.write(f"{following}\n")
            process.stdin.flush()
        yield addresses[0]
    assert [p.returncode for p in begun] == [0] * len(begun)


def of_kind(told: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    return [dict(zip(("kind", "name", "id", "parent"), s, strict=True)) for s in told["spans"] if s[0] == kind]


def test_one_trace_spans_three_processes() -> None:
    """Each run is inside the tool call that asked for it; the middle one's ids are an SDK's, where there is one."""
    middle = "sdk" if importlib.util.find_spec("opentelemetry.sdk") is not None else "plain"
    with serve_in_thread(answer) as models, services(models.base_url, "first", middle, "last") as first:
        request = urllib.request.Request(first, method="POST", headers=GIVEN)
        with urllib.request.urlopen(request, timeout=150) as response:
            told = json.load(response)
        asked = {r.headers["traceparent"]: r.headers for r in models.requests}
    chain = [told, told["inner"][0], told["inner"][0]["inner"][0]]
    assert [t["name"] for t in chain] == ["first", middle, "last"]
    parent = SPAN
    requests = []
    for each in chain:
        assert each["trace_id"] == TRACE
        assert each["status"] == "ok"
        assert (each["tracestate"], each["baggage"]) == (GIVEN["tracestate"], GIVEN["baggage"])
        (run,) = of_kind(each, "run")
        assert run["parent"] == parent
        requests += [f"00-{TRACE}-{s['id']}-01" for s in of_kind(each, "model_call")]
        parent = of_kind(each, "tool_call")[0]["id"] if each["inner"] else ""
    assert len(requests) == 5
    assert sorted(asked) == sorted(requests)
    for headers in asked.values():
        assert (headers["tracestate"], headers["baggage"]) == (GIVEN["tracestate"], GIVEN["baggage"])
    ids = [s[2] for t in chain for s in t["spans"]]
    assert len(set(ids)) == len(ids)
