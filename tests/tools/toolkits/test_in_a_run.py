"""The toolkits in an agent's run: a model's calls reach them, and their errors reach the model."""

from __future__ import annotations

from pathlib import Path

import pytest

from lumosai import Agent
from lumosai.testing import ScriptedModel, call
from lumosai.tools.toolkits import from_name


@pytest.mark.parametrize(
    ("spec", "name", "arguments", "shown"),
    [
        ("calculator", "calculator", {"expression": "17 * 23"}, "391"),
        ("calculator", "calculator", {"expression": "2/3", "precision": "2"}, "0.67"),
        ("calculator", "calculator", {"expression": "1/0"}, "division by zero"),
        ("clock", "clock", {"timezone": "Shanghi"}, "Did you mean 'Shanghai'"),
        ("dates", "days_between", {"start": "2026-01-01", "end": "2026-01-31"}, "30 days"),
        ("files:{folder}", "read_file", {"path": "a.csv"}, "x,y\n1,2"),
        ("files:{folder}", "read_file", {"path": "../../etc/passwd"}, "outside the folder"),
        ("http:example.com", "fetch", {"url": "http://127.0.0.1/"}, "not allowed"),
        ("csv:{folder}", "query_table", {"sql": "SELECT y FROM a"}, "y\n2"),
        ("csv:{folder}", "query_table", {"sql": "DROP TABLE a"}, "only a SELECT"),
    ],
)
async def test_call_by_a_model(tmp_path: Path, spec: str, name: str, arguments: dict[str, str], shown: str) -> None:
    """A result or an error of the tool is what the model is shown next, and the run goes on."""
    (tmp_path / "a.csv").write_text("x,y\n1,2\n")
    model = ScriptedModel([call(name, **arguments), "done"])
    agent = Agent("a", model=model, tools=from_name(spec.format(folder=tmp_path)))
    result = await agent.generate("go")
    assert result.text == "done"
    (step,) = [step for step in result.steps if step.tool_results]
    assert shown in str(step.tool_results[0].content)
