"""An answer as a value of a type: here a dataclass, which may as well be a pydantic model, a TypedDict or a union.

python examples/structured_output.py [MODEL]
"""

import sys
from dataclasses import dataclass

from lumosai import Agent


@dataclass
class City:
    name: str
    country: str
    population: int


agent = Agent("geographer", model=sys.argv[1] if len(sys.argv) > 1 else "auto", output_type=City)
result = agent.generate_sync("Tell me about Paris.")

city = result.output
assert isinstance(city, City)
print(f"{city.name} in {city.country}: {city.population:,} people")
