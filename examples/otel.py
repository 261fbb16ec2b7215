"""OpenTelemetry: what an agent does, inside the span of the request that asked for it.

pip install 'lumosai[otel]'
python examples/otel.py
"""

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from lumosai import Agent, tool
from lumosai.telemetry.otel import OpenTelemetry
from lumosai.testing import ScriptedModel, call

kept = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(kept))
tracer = provider.get_tracer("shop")


@tool
def weather(city: str) -> str:
    """Looks the weather up."""
    with tracer.start_as_current_span("GET /weather"):  # as an instrumented HTTP client does by itself
        return "Sunny."


model = ScriptedModel([call("weather", city="Rome"), "It is sunny."])
agent = Agent("guide", model=model, tools=[weather], observers=[OpenTelemetry(provider)])
with tracer.start_as_current_span("POST /chat"):
    print(agent.generate_sync("How is the weather in Rome?").text)

spans = {span.context.span_id: span for span in kept.get_finished_spans()}


def depth(span) -> int:
    """How many spans are around it."""
    return 1 + depth(spans[span.parent.span_id]) if span.parent else 0


for span in sorted(spans.values(), key=lambda s: s.start_time):
    tokens = span.attributes.get("gen_ai.usage.output_tokens")
    print("  " * depth(span) + span.name + (f", {tokens} tokens" if tokens else ""))
