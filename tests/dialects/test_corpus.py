"""`make corpus`: what it counts, what it lets pass, and what it does where there is no corpus."""

from __future__ import annotations

import importlib.util
import json

import pytest

from tests.conftest import ROOT, find_data

_spec = importlib.util.spec_from_file_location("corpus_script", ROOT / "scripts" / "corpus.py")
corpus = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(corpus)

GOOD = '<tool_call>\n{"name": "f", "arguments": {"a": 1}}\n</tool_call>'


def case(
    number: int, text: str, expected: dict, family: str = "hermes <tool_call>{json}", strength: str = "exact"
) -> dict:
    return {"id": f"own-{number}", "family": family, "strength": strength, "text": text, "expected": expected}


def run(monkeypatch, folder, *cases: dict) -> int:
    (folder / "toolcalls").mkdir()
    (folder / "toolcalls" / "cases.json").write_text(json.dumps({"cases": cases}), encoding="utf-8")
    monkeypatch.setenv("LUMOSAI_TEST_DATA", str(folder))
    return corpus.main()


RIGHT = case(1, GOOD, {"count": 1, "calls": [{"name": "f", "arguments": {"a": 1}}]})


def test_all_is_well(monkeypatch, tmp_path, capsys):
    """Every kind of expectation that is met is counted as right, and the exit code is 0."""
    partial = {"min_count": 1, "names": ["f"], "calls": [{"paths": [[["a"], 1]], "arguments_contain": ['"a": 1']}]}
    assert (
        run(monkeypatch, tmp_path, RIGHT, case(2, GOOD, partial, strength="partial"), case(3, "Hi", {"count": 0})) == 0
    )
    assert "2/2     2/2           1/1     1/1" in capsys.readouterr().out


def test_a_call_that_is_not_understood(monkeypatch, tmp_path, capsys):
    """A built family below its floor fails, naming the case."""
    wrong = case(2, GOOD, {"count": 1, "calls": [{"name": "f", "arguments": {"a": 2}}]})
    assert run(monkeypatch, tmp_path, RIGHT, wrong) == 1
    assert "not understood: own-2" in capsys.readouterr().out


def test_a_false_call(monkeypatch, tmp_path, capsys):
    """One call where there is none fails, in a family that is not built, too."""
    assert run(monkeypatch, tmp_path, RIGHT, case(2, GOOD, {"count": 0}, family="other")) == 1
    assert "a call where there is none: own-2" in capsys.readouterr().out


def test_a_family_that_is_not_built(monkeypatch, tmp_path, capsys):
    """What it does not understand is shown and forgiven."""
    other = case(2, "[f(a=1)]", {"count": 1, "calls": [{"name": "f", "arguments": {"a": 1}}]}, family="other")
    assert run(monkeypatch, tmp_path, RIGHT, other) == 0
    assert "0/1" in capsys.readouterr().out


def test_no_corpus(monkeypatch, tmp_path, capsys):
    """One clear line, and no failure: a user's clone has none."""
    monkeypatch.setenv("LUMOSAI_TEST_DATA", str(tmp_path))
    assert corpus.main() == 0
    assert capsys.readouterr().out.startswith("corpus: no test data here")


@pytest.mark.skipif(
    find_data() is None, reason="the recorded corpus is not part of a clone; the cases above stand for it"
)
def test_the_corpus():
    """The recorded outputs of models are understood."""
    assert corpus.main() == 0
