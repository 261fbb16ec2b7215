"""The script that has a real model call three tools in one conversation: what it judges. `.ci/run` plays it."""

from __future__ import annotations

import os
import random
import subprocess
import sys

import pytest

from scripts import three_tools
from tests.conftest import ROOT, thorough
from tests.models.tiny_gguf import tiny_model


def run(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "scripts" / "three_tools.py"), *arguments]
    env = {**os.environ, **environ}
    return subprocess.run(command, capture_output=True, text=True, timeout=110, check=False, env=env)


@pytest.mark.parametrize("mode", three_tools.MODES)
def test_a_model_that_cannot_do_it(mode, tmp_path):
    """A model of random numbers holds nothing; each failure is told, and the exit code is 1."""
    done = run("--model", str(tiny_model(tmp_path / "noise.gguf")), "--mode", mode, "--threads", "1")
    assert done.returncode == 1
    assert f"{mode}, seed 1: 0 of 1 conversations, 0 of 3 questions" in done.stdout
    assert done.stdout.count("✗") == 3 and "Traceback" not in done.stderr


@thorough
def test_weights_that_cannot_be_fetched(tmp_path):
    """The exit code is 3."""
    done = run(
        LUMOSAI_CACHE_DIR=str(tmp_path), HF_ENDPOINT="http://127.0.0.1:9", PIP_NO_INDEX="1", PIP_CONFIG_FILE=os.devnull
    )
    assert done.returncode == 3 and done.stderr.startswith("three_tools: no model can be asked:")


def test_conversations_differ_and_have_three_tools():
    """Each seed its own, the same each time; three different tools in each."""
    for seed in range(50):
        questions = three_tools.drawn(random.Random(seed))
        assert questions == three_tools.drawn(random.Random(seed))
        assert len({name for _, name, _, _ in questions}) == 3


@pytest.mark.parametrize(
    ("calls", "text", "holds"),
    [
        ([("stock", {"item": "lamp"})], "There are 153 pieces.", True),
        ([("stock", {"item": "lamp"})], "There are 1,53 pieces.", True),
        ([("stock", {"item": "ladder"})], "There are 153 pieces.", False),
        ([("clock", {"item": "lamp"})], "There are 153 pieces.", False),
        ([("stock", {"item": "lamp"})] * 2, "There are 153 pieces.", False),
        ([], "There are 153 pieces.", False),
        ([("stock", {"item": "lamp"})], "There are some.", False),
        ([("stock", {"item": "lamp"})], '{"name": "stock", "arguments": {}} 153', False),
        ([("stock", {"item": "lamp"})], "<tool_call>153", False),
    ],
)
def test_what_holds(calls, text, holds):
    """One call of the right tool with the right arguments, its result in the answer, and no markup there."""
    assert (three_tools.judge("How many?", calls, text, "stock", "lamp", "153") is None) is holds
