"""The demo: what it checks, and how it ends where it cannot be played. `.ci/run` plays it on the real model."""

import os
import random
import subprocess
import sys

import pytest

from scripts import demo
from tests.conftest import ROOT, thorough
from tests.models.tiny_gguf import tiny_model

DEMO = ROOT / "scripts" / "demo.py"


def run(*arguments, **environ):
    return subprocess.run(
        [sys.executable, str(DEMO), *arguments],
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
        env={**os.environ, **environ},
    )


@thorough
def test_weights_that_cannot_be_fetched(tmp_path):
    """One clear line, and the exit code 3."""
    done = run(
        LUMOSAI_CACHE_DIR=str(tmp_path),
        HF_ENDPOINT="http://127.0.0.1:9",
        PIP_NO_INDEX="1",
        PIP_FIND_LINKS=str(tmp_path),
        PIP_CONFIG_FILE=os.devnull,
    )
    assert done.returncode == 3
    assert done.stderr.startswith("demo: no model can be shown: the weights 'qwen2.5-coder-0.5b'")
    assert done.stderr.count("\n") == 1


def test_a_model_that_cannot_do_it(tmp_path):
    """A model of random numbers is played to the end; what did not hold is told, and the exit code is 1."""
    done = run("--model", str(tiny_model(tmp_path / "noise.gguf")), "--random", "--seed", "1", "--threads", "1")
    assert done.returncode == 1
    assert "demo: FAILED: calculator was not called for" in done.stderr
    assert "calculates with the calculator: 0 of 1" in done.stdout
    assert "Traceback" not in done.stderr


def test_wrong_arguments():
    """They are told, and the exit code is 2."""
    assert run("--repeat", "0").returncode == 2


def answer(text, calls=(), deltas=9):
    return demo.Answer(text, list(calls), [], deltas, ())


@pytest.mark.parametrize("text", ["391", "It is 391.", "17 * 23 = 391"])
def test_an_answer_that_holds(text):
    """The number in any sentence."""
    assert demo.judge(demo.arithmetic(17, "*", 23), answer(text, ["calculator"])) is None


def test_a_large_number_with_commas():
    """Is the same number."""
    assert demo.judge(demo.arithmetic(99, "*", 99), answer("It is 9,801.", ["calculator"])) is None


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (answer("391"), "calculator was not called"),
        (answer("", ["calculator"]), "holds no 391"),
        (answer("It is 392.", ["calculator"]), "holds no 391"),
        (answer("It is 391, I calculated it.", ["calculator"], deltas=1), "was not streamed"),
    ],
)
def test_an_answer_that_does_not_hold(made, said):
    """Each check can fail, and says why."""
    assert said in demo.judge(demo.arithmetic(17, "*", 23), made)


def test_what_is_drawn():
    """Other rounds have other numbers, names and tools; the same seed draws the same."""
    rounds = [demo.drawn(random.Random(seed)) for seed in range(40)]
    assert rounds[7] == demo.drawn(random.Random(7))
    assert len({own.name for own, _ in rounds}) == 4
    assert len({parts[0].says[0] for _, parts in rounds}) > 30
    assert len({parts[1].says[0] for _, parts in rounds}) > 5


def test_how_often_is_enough(capsys):
    """Eight of ten are, seven are not."""
    assert demo.report({"a": 8}, {"a": 10}, ["why"], 1.0) == 0
    assert demo.report({"a": 7}, {"a": 10}, ["why"], 1.0) == 1
    assert capsys.readouterr().err.count("demo: FAILED: why") == 2
