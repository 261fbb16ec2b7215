"""How to test an agent of your own: with a scripted model, without a provider. Run it with pytest, or as it is.

pytest examples/scripted_test.py
"""

from lumosai import Agent, ToolError, tool
from lumosai.testing import ScriptedModel, call


@tool
def divide(a: float, b: float) -> float:
    """Divide a by b."""
    if b == 0:
        raise ToolError("b must not be 0")
    return a / b


def test_a_division_is_done_by_the_tool():
    model = ScriptedModel([call("divide", a=1, b=4), "A quarter."])
    result = Agent("calculator", model=model, tools=[divide]).generate_sync("What is 1/4?")
    assert result.text == "A quarter."
    assert model.requests[1].messages[-1].tool_results[0].text == "0.25"


def test_the_model_is_told_why_a_division_failed():
    model = ScriptedModel([call("divide", a=1, b=0), "That cannot be done."])
    result = Agent("calculator", model=model, tools=[divide]).generate_sync("What is 1/0?")
    failed = result.steps[0].tool_results[0]
    assert failed.is_error
    assert "b must not be 0" in failed.text


if __name__ == "__main__":
    test_a_division_is_done_by_the_tool()
    test_the_model_is_told_why_a_division_failed()
    print("both hold")
