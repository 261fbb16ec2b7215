"""Limits hold whatever the model does: this one would call its tool for ever.

python examples/limits.py
"""

from lumosai import Agent, Limits, tool
from lumosai.testing import ScriptedModel, call


@tool
def roll() -> int:
    """Roll a die."""
    return 4


def never_done(request):
    """A model that calls the tool as long as it is offered, and answers once it is not."""
    return call("roll") if request.tools else "I rolled until I was stopped."


agent = Agent("gambler", model=ScriptedModel(never_done), tools=[roll], limits=Limits(max_steps=3))
result = agent.generate_sync("Roll a six.")

print(result.text)
print(f"{result.finish_reason} after {len(result.tool_calls)} calls")
