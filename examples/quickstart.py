"""An agent with one tool answers a question.

    python examples/quickstart.py [MODEL] [QUESTION]

MODEL is `provider:model`, `local`, or `auto` (the default): the first provider whose key is set, else a model on this machine.
"""

import sys

from lumosai import Agent, tool


@tool
def population(city: str) -> str:
    """Look up how many people live in a city.

    Args:
        city: the city's English name, such as "Paris".
    """
    known = {"paris": 2_100_000, "shanghai": 24_900_000, "lima": 10_000_000}
    return f"{known.get(city.lower(), 'unknown')}"


model = sys.argv[1] if len(sys.argv) > 1 else "auto"
question = sys.argv[2] if len(sys.argv) > 2 else "How many people live in Paris?"

agent = Agent("assistant", instructions="Be brief.", model=model, tools=[population])
result = agent.generate_sync(question)

print(result.text)
print(f"({result.model}, {len(result.steps)} steps, {result.usage.output_tokens} tokens out)")
