"""`docs/from-rust.md`: every name of the plan that the project began with has its row, and every name of ours is there."""

from __future__ import annotations

import importlib
import re

import pytest

from tests.conftest import ROOT, find_data

PAGE = ROOT / "docs" / "from-rust.md"
DECLARED = re.compile(r"\b(?:pub |async )*(?:fn|struct|enum|trait)\s+([A-Za-z_]\w+)")
DERIVED = re.compile(r"#\[derive\([^)]*\b(FunctionSchema)\b")
PLANNED = """
    AgentConfig AgentError AgentEvent AgentGenerateOptions AgentGenerateResult AgentMetrics AgentStep AgentStorage
    AgentStructuredOutput BasicAgent Calculator CalculatorParams ConsoleLogger ExecutionTrace FunctionCall
    FunctionDefinition FunctionSchema FunctionTool GetMessagesParams OpenAIFunctionCall LlmOptions LlmProvider Logger Lumosai MemoryOptions
    MemoryThread Message MessageFilter MetricsCollector OpenAIFunction PerformanceStats PostgresAgentStorage
    SqliteAgentStorage StreamingAgent StreamingOptions TelemetrySink TokenUsage Tool ToolCall ToolChoice TraceStep
    VoiceProvider WebSocketStreaming WorkingMemory add_message create_memory_thread enable_function_calling
    enable_memory_threads enable_streaming enable_telemetry execute_streaming function_definition generate
    generate_legacy generate_stream_with_messages generate_with_function_calling generate_with_memory
    get_execution_history get_messages get_performance_stats handle_agent_execution max_steps max_tool_calls
    memory_options parse_openai_function_calls parse_tool_calls record_agent_execution record_memory_operation
    record_tool_execution save_execution_trace save_metrics save_to_memory stream supports_function_calling tool_choice
    tool_timeout update_metadata user_message
""".split()
EXAMPLES = {"benchmark_function_calling_performance", "test_agent_with_memory_thread", "default"}
"""Names in the plan's code that are its own tests, or Rust's."""


def rows():
    """The table: names there, the name here, whether it comes later."""
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if line.startswith("| `"):
            theirs, here, _ = (cell.strip() for cell in line.strip("|").split("|"))
            yield re.findall(r"`([^`]+)`", theirs), re.search(r"`([^`]+)`", here)[1], here.startswith("*later*")


OURS = sorted({(here, later) for _, here, later in rows()})


def resolve(path):
    """The object that a dotted path names: the longest module, then attributes."""
    parts = path.split(".")
    for length in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:length]))
        except ModuleNotFoundError as error:
            if error.name is None or not ".".join(parts[:length]).startswith(error.name):
                raise
            continue
        for name in parts[length:]:
            found = getattr(found, name)
        return found
    raise ModuleNotFoundError(path)


@pytest.mark.parametrize("path", [path for path, later in OURS if not later])
def test_a_name_of_ours_is_there(path):
    """What a row names can be imported."""
    assert resolve(path) is not None


@pytest.mark.parametrize("path", [path for path, later in OURS if later])
def test_a_name_that_comes_later_is_not_there_yet(path):
    """A row marked later is taken up as soon as its name exists, so that the page cannot lag behind."""
    with pytest.raises((ModuleNotFoundError, AttributeError)):
        resolve(path)


def test_every_name_of_the_plan_has_a_row():
    """No name of the plan is left out, and none stands twice."""
    theirs = [name for names, _, _ in rows() for name in names]
    bare = [re.split(r"::|\.", name)[-1] for name in theirs]
    assert sorted({*PLANNED} - {*bare, *theirs}) == []
    assert sorted(name for name in {*theirs} if theirs.count(name) > 1) == []


def test_the_list_of_planned_names_is_whole():
    """Where the plan itself is at hand, everything its code declares is in the list above."""
    data = find_data()
    plan = data.parent / "seed" / "lumosai-plan2.zh.md" if data else None
    if plan is None or not plan.is_file():
        pytest.skip("the plan is not part of this checkout; the list above was taken from it")
    text = plan.read_text(encoding="utf-8")
    declared = {*DECLARED.findall(text), *DERIVED.findall(text)}
    assert len(declared) > 30
    assert sorted(declared - {*PLANNED} - EXAMPLES) == []
