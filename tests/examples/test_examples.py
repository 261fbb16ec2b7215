"""Every example runs as its first lines say, and prints what it is there to show."""

from __future__ import annotations

import ast

import pytest

from tests.conftest import ROOT
from tests.programs import run_program
from tests.servers import serve_in_thread

EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
SHOWN = {
    "approvals.py": ("notes.txt is gone", "only files of this project", "I deleted what I was allowed to."),
    "chinese.py": ("我：我叫Alice", "今天晴，21 度", "我：我叫什么名字？\n助手："),
    "context_plan.py": ("small talk", "over the budget of 260 tokens", "parts, "),
    "fallback.py": ("[next model: ", "You said: Say hello."),
    "limits.py": ("I rolled until I was stopped.", "step_limit after 3 calls"),
    "local_model.py": ("> What is 36 times 48?", "> What is my name?"),
    "observe.py": ("the slowest tool is translate: p95 1", "tool_call  translate"),
    "spans_in.py": (
        "run         clerk\n  model_call  gpt-9, 120 tokens",
        "gen_ai_client_operation_duration_seconds_count",
    ),
    "otel.py": ("POST /chat\n  invoke_agent guide, ", "    execute_tool weather\n      GET /weather"),
    "parallel_tools.py": ("    ok  near: 0.1 s", "failed  ", "Two of three sites answered. All in 0."),
    "quickstart.py": ("The answer is ", "2 steps"),
    "recall.py": ("I was reminded of", "我叫Alice，养了一只叫豆包的狗", "found: ['豆包']"),
    "scripted_test.py": ("both hold",),
    "sessions.py": ("the same session: True", "completed - 2 messages, about apples", "a new one: True"),
    "streaming.py": ("→ add {", "← add: ", "stop, 30 tokens"),
    "structured_output.py": ("people",),
    "threads.py": ("I was sent 3 messages; the first was 'My name is Alice.'.", "'My name is Alice.' has 4 messages"),
    "working_memory.py": ("Sorry, Alice! {'name': 'Alice', 'likes': ['tea']}", "version 2, by the model"),
}


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_an_example_runs(path, tmp_path):
    """It ends without an error or a warning, and shows what `SHOWN` names."""
    if path.name == "local_model.py":  # `.ci/run` runs it on the real weights, which are too big for the suite
        source = path.read_text(encoding="utf-8")
        assert source.count('model="local"') == 1
        path = tmp_path / path.name
        path.write_text(source.replace('model="local"', 'model="auto"'), encoding="utf-8")
    with serve_in_thread() as server:
        done = run_program(path, server.base_url, tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    for text in SHOWN[path.name]:
        assert text in done.stdout


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_an_example_says_what_it_is(path):
    """It begins with one sentence and, below that, the command that runs it; it stays small."""
    text = path.read_text(encoding="utf-8")
    first, _, rest = (ast.get_docstring(ast.parse(text)) or "").partition("\n\n")
    assert first.endswith((".", "。"))
    assert f"examples/{path.name}" in rest
    assert text.count("\n") <= 70


def test_no_example_is_missing():
    """What the tests expect and what is there are the same programs."""
    assert [path.name for path in EXAMPLES] == sorted(SHOWN)
