"""`lumosai.tools.base`: how functions, classes and schemas become tools."""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import gc
import inspect
import math
import subprocess
import sys
import threading
import time
import weakref
from typing import Any

import pytest
from pydantic import BaseModel

from lumosai.errors import ToolDefinitionError
from lumosai.records import HasDefinition, ToolDefinition
from lumosai.tools.base import Tool, ToolContext, as_tool, check_names, near, tool


@tool
def calculator(expression: str, precision: int = 2) -> str:
    """Evaluate an arithmetic expression.

    Args:
        expression: what to evaluate.
        precision: digits after the point.
    """
    return f"{expression} to {precision}"


def test_the_decorator_without_arguments() -> None:
    """Name, description and parameters come from the function."""
    assert isinstance(calculator, Tool)
    assert isinstance(calculator, HasDefinition)
    assert calculator.name == "calculator"
    assert calculator.description == "Evaluate an arithmetic expression."
    assert calculator.parameters == {
        "type": "object",
        "properties": {
            "expression": {"type": "string", "description": "what to evaluate."},
            "precision": {"type": "integer", "description": "digits after the point.", "default": 2},
        },
        "required": ["expression"],
        "additionalProperties": False,
    }
    assert (calculator.timeout_s, calculator.approval, calculator.effect, calculator.max_result_chars) == (
        None,
        False,
        "idempotent",
        None,
    )


def test_the_decorator_with_arguments() -> None:
    """Each setting is kept, and the function's own name and description are replaced."""

    def ask(arguments: dict[str, Any], context: ToolContext) -> bool:
        return True

    @tool(name="pay", description="Pay.", timeout_s=5, approval=ask, effect="once", max_result_chars=100)
    async def transfer(amount: int) -> str:
        """Transfer."""
        return str(amount)

    assert (transfer.name, transfer.description, transfer.timeout_s) == ("pay", "Pay.", 5)
    assert (transfer.approval, transfer.effect, transfer.max_result_chars) == (ask, "once", 100)
    assert transfer.is_async


def test_a_tool_is_still_the_function() -> None:
    """Called directly it does what the function does, positional arguments and all."""
    assert calculator("1+1") == "1+1 to 2"
    assert calculator("1+1", precision=3) == "1+1 to 3"
    assert calculator.__name__ == "calculator"
    assert list(inspect.signature(calculator).parameters) == ["expression", "precision"]

    @tool
    async def later(x: int) -> int:
        return x + 1

    assert asyncio.run(later(1)) == 2


def test_a_tool_is_immutable() -> None:
    """A change gives a new tool; the old one stays."""
    with pytest.raises(AttributeError, match=r"replace\(name=…\)"):
        calculator.name = "other"
    with pytest.raises(AttributeError, match="cannot be deleted"):
        del calculator.name
    other = calculator.replace(name="other", timeout_s=math.inf)
    assert (other.name, other.timeout_s, calculator.name) == ("other", math.inf, "calculator")
    assert other.parameters is calculator.parameters
    assert other.definition().name == "other"
    with pytest.raises(ToolDefinitionError, match="no setting 'nme'"):
        calculator.replace(nme="x")
    with pytest.raises(ToolDefinitionError, match="not a tool's name"):
        calculator.replace(name="a b")


def test_another_function_under_the_same_description() -> None:
    """A wrapped function takes the place of the old one without a new schema."""
    calls = []

    @functools.wraps(calculator.fn)
    def logged(**arguments: Any) -> str:
        calls.append(arguments)
        return calculator.fn(**arguments)

    wrapped = calculator.replace(fn=logged)
    assert wrapped.parameters is calculator.parameters
    assert wrapped.invoke({"expression": "1"}) == "1 to 2"
    assert calls == [{"expression": "1"}]


def test_definitions() -> None:
    """The definition is the same object each time; the strict one is marked so, and is the plain one where there is none."""
    assert calculator.definition() is calculator.definition()
    assert calculator.definition() == ToolDefinition(
        "calculator", calculator.description, calculator.parameters, strict=False
    )
    strict = calculator.definition(strict=True)
    assert strict.strict
    assert strict.parameters["required"] == ["expression", "precision"]

    @tool
    def free(data: dict[str, Any]) -> None: ...

    assert not free.definition(strict=True).strict
    assert free.definition(strict=True).parameters is free.parameters


def test_as_tool() -> None:
    """A tool is itself; a function is described once."""

    def fn(a: int) -> int:
        return a

    assert as_tool(calculator) is calculator
    assert as_tool(fn) is as_tool(fn)
    assert as_tool(fn).fn is fn
    assert isinstance(as_tool(max_of), Tool)


def max_of(values: list[int]) -> int:
    """The largest."""
    return max(values)


def test_as_tool_costs_next_to_nothing_the_second_time() -> None:
    """Building an agent with a plain function is a matter of microseconds."""
    as_tool(max_of)
    best = math.inf
    for _ in range(5):
        begun = time.perf_counter()
        for _ in range(1000):
            as_tool(max_of)
        best = min(best, time.perf_counter() - begun)
    assert best / 1000 < 20e-6  # it is about 0.2 µs; the bound only tells a cache from none


def test_the_cache_holds_nothing_back() -> None:
    """A function made a tool is freed with its last user."""

    def make() -> Any:
        def fn(a: int) -> int:
            return a

        return fn

    fn = make()
    as_tool(fn)
    gone = weakref.ref(fn)
    del fn
    gc.collect()
    assert gone() is None


def test_a_wrapper_that_copied_the_cache() -> None:
    """`functools.wraps` copies attributes; the wrapper is a tool of its own all the same."""

    def fn(a: int) -> str:
        """Do."""
        return "plain"

    as_tool(fn)

    @functools.wraps(fn)
    def wrapper(a: int) -> str:
        return "wrapped"

    assert as_tool(wrapper).invoke({"a": 1}) == "wrapped"
    assert as_tool(fn).invoke({"a": 1}) == "plain"


def test_a_tool_made_a_tool_again() -> None:
    """The decorator on a tool changes only what it is told."""
    again = tool(name="again")(calculator.replace(timeout_s=3))
    assert (again.name, again.timeout_s, again.description) == ("again", 3, calculator.description)


class Shop:
    """Tools in a class."""

    def __init__(self, name: str) -> None:
        self.name = name

    @tool
    def declared(self, item: str) -> str:
        """Sell.

        Args:
            item: what.
        """
        return f"{self.name}: {item}"

    def plain(self, item: str, count: int = 1) -> str:
        """Buy."""
        return f"{self.name}: {count} {item}"


def test_methods() -> None:
    """Bound methods are tools without their `self`, decorated in the class or not."""
    a, b = Shop("a"), Shop("b")
    assert list(a.declared.parameters["properties"]) == ["item"]
    assert a.declared("x") == "a: x"
    assert as_tool(b.declared).invoke({"item": "y"}) == "b: y"
    plain = as_tool(a.plain)
    assert (plain.name, plain.description, list(plain.parameters["properties"])) == ("plain", "Buy.", ["item", "count"])
    assert plain.invoke({"item": "x"}) == "a: 1 x"
    assert as_tool(b.plain).invoke({"item": "x"}) == "b: 1 x"
    assert as_tool(a.plain).parameters is as_tool(b.plain).parameters


def test_a_method_that_belongs_to_nobody() -> None:
    """A tool of a class given without an instance is refused, not run without `self`."""
    with pytest.raises(ToolDefinitionError, match=r"object\.declared"):
        as_tool(Shop.declared)


class Adder(BaseModel):
    """Add.

    Attributes:
        a: one.
    """

    a: int
    b: int = 1

    def run(self) -> int:
        return self.a + self.b


@dataclasses.dataclass
class Multiplier:
    """Multiply."""

    a: int
    b: int = 2

    async def __call__(self, context: ToolContext) -> str:
        return f"{context.run_id}: {self.a * self.b}"


def test_a_class_that_runs() -> None:
    """A class of parameters with `run`, or that is callable, is a tool."""
    adder = as_tool(Adder)
    assert (adder.name, adder.description) == ("Adder", "Add.")
    assert adder.parameters["properties"]["a"] == {"type": "integer", "description": "one."}
    assert adder.invoke(adder.accept({"a": "2"})[1]) == 3
    assert as_tool(Adder) is adder
    multiplier = tool(name="multiply")(Multiplier)
    assert multiplier.is_async
    assert multiplier.context_parameter == "context"
    kwargs = multiplier.accept({"a": 3})[1]
    assert asyncio.run(multiplier.invoke({**kwargs, "context": ToolContext(run_id="r")})) == "r: 6"


class Silent(BaseModel):
    a: int


def test_a_class_that_does_nothing() -> None:
    """Parameters without an action are refused with both ways out."""
    with pytest.raises(ToolDefinitionError, match=r"run\(self\).*parameters=Silent, fn=…"):
        as_tool(Silent)
    with pytest.raises(ToolDefinitionError, match="neither a function nor"):
        as_tool(Shop)


def test_a_tool_from_a_class_and_a_function() -> None:
    """`Tool(name, description, parameters, fn)` takes a class, and the function one instance."""
    made = Tool("double", "Double it.", Silent, lambda silent: silent.a * 2)
    assert made.invoke(made.accept({"a": "4"})[1]) == 8
    assert made.parameters["required"] == ["a"]


def test_a_tool_from_a_schema() -> None:
    """`Tool(name, description, parameters, fn)` takes a raw JSON Schema."""
    schema = {"type": "object", "properties": {"q": {"type": "string"}}, "required": ["q"]}

    def fn(q: str, context: ToolContext) -> str:
        return context.run_id + q

    made = Tool("search", "Search.", schema, fn, timeout_s=1, effect="pure")
    assert made.parameters == schema
    assert made.context_parameter == "context"
    assert made.invoke({**made.accept({"q": 5})[1], "context": ToolContext(run_id="r")}) == "r5"
    with pytest.raises(ToolDefinitionError, match=r"'search'.*not a JSON Schema"):
        Tool("search", "", {"type": "object", "properties": {"q": {"type": "text"}}}, fn)


@pytest.mark.parametrize("name", ["", "a b", "x" * 65, "päckchen", "a.b", "a\n", "<lambda>"])
def test_a_bad_name(name: str) -> None:
    """Only 1 to 64 of a-z, A-Z, 0-9, _ and - are names to every provider."""
    with pytest.raises(ToolDefinitionError, match="1 to 64"):
        tool(name=name)(max_of)
    with pytest.raises(ToolDefinitionError, match="1 to 64"):
        Tool(name, "", {}, lambda: None)


def test_names_at_the_edge() -> None:
    """The longest name and every allowed character."""
    for name in ("x" * 64, "a-B_9", "-", "0"):
        assert tool(name=name)(max_of).name == name


def test_what_is_no_tool() -> None:
    """A value that cannot be called is named, with what can be."""
    with pytest.raises(ToolDefinitionError, match="42 cannot be a tool"):
        as_tool(42)
    with pytest.raises(ToolDefinitionError, match="fn must be callable"):
        Tool("t", "", {}, 42)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("effect", "twice"),
        ("timeout_s", -1),
        ("timeout_s", math.nan),
        ("timeout_s", "5"),
        ("timeout_s", True),
        ("approval", "yes"),
        ("max_result_chars", -1),
        ("max_result_chars", 1.5),
    ],
)
def test_a_setting_that_is_none(setting: str, value: Any) -> None:
    """It is refused where it is written, by name and with what it must be."""
    with pytest.raises(ToolDefinitionError, match=rf"'max_of': {setting} must be .*not {value!r}"):
        tool(**{setting: value})(max_of)
    with pytest.raises(ToolDefinitionError, match=f"'max_of': {setting} must be"):
        as_tool(max_of).replace(**{setting: value})


def test_an_unsupported_annotation() -> None:
    """It is refused at the declaration, naming tool, parameter and reason."""

    def fn(a: int, connection: threading.Thread) -> None: ...

    with pytest.raises(ToolDefinitionError, match=r"'fn'.*'connection'.*Thread"):
        tool(fn)


def test_something_with_a_tool_of_its_own() -> None:
    """An object that knows how to be a tool, such as an agent, is asked."""

    class Agentish:
        def as_tool(self) -> Tool:
            return calculator

    assert as_tool(Agentish()) is calculator


def test_two_tools_of_one_name() -> None:
    """Both are told, and the way out; one tool given twice is one."""
    other = calculator.replace(fn=lambda **_: None)
    with pytest.raises(ToolDefinitionError, match=r"two tools are named 'calculator'.*replace\(name"):
        check_names([calculator, other])
    assert check_names([calculator, as_tool(max_of), calculator]) == {
        "calculator": calculator,
        "max_of": as_tool(max_of),
    }


def test_near_names() -> None:
    """Misspelt, differently written and similar names are found; unlike ones are not."""
    assert near("Calculator", ["calculator", "clock"]) == ["calculator"]
    assert near("get-weather", ["get_weather", "set_heather"])[0] == "get_weather"
    assert near("xyz", ["calculator", "clock"]) == []


def test_positional_only_parameters() -> None:
    """They are given by position when the tool is called, defaults in between too."""

    @tool
    def fn(a: int, b: int = 2, /, c: int = 3, *, d: int = 4) -> tuple[int, ...]:
        return a, b, c, d

    assert fn.invoke({"a": 1, "d": 5}) == (1, 2, 3, 5)
    assert fn.invoke({"a": 1, "b": 9, "c": 8}) == (1, 9, 8, 4)


def test_the_context_of_a_test() -> None:
    """A context can be made by hand; its progress goes nowhere."""
    context: ToolContext[dict[str, int]] = ToolContext({"user": 1}, run_id="r", call_id="c", agent="a")
    context.progress("half")
    assert context.context == {"user": 1}
    assert (context.run_id, context.call_id, context.agent, context.thread_id, context.cancelled) == (
        "r",
        "c",
        "a",
        None,
        False,
    )


def test_waiting_for_the_cancel() -> None:
    """A sync tool's sleep ends at once when the call is cancelled, and at its time when not."""
    context = ToolContext()
    assert context.wait_cancelled(0.01) is False
    waits: list[bool] = []
    thread = threading.Thread(target=lambda: waits.append(context.wait_cancelled(30)))
    thread.start()
    context.cancel()
    thread.join(5)
    assert waits == [True]
    assert context.cancelled
    assert context.wait_cancelled() is True


def test_importing_loads_no_heavy_library() -> None:
    """Declaring and calling a tool with plain parameters loads neither pydantic nor asyncio nor a parser."""
    program = """
import sys
from lumosai.tools.base import tool, check_names
@tool
def add(a: int, b: int = 1) -> int:
    "Add."
    return a + b
check_names([add])
assert add.invoke(add.accept({"a": 1})[1]) == 2
add.definition(strict=True)
heavy = {"pydantic", "asyncio", "jsonschema", "docstring_parser", "json_repair"} & sys.modules.keys()
assert not heavy, heavy
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=150)


def test_the_package_names_its_doors() -> None:
    """The names of `lumosai.tools` are resolved on first use."""
    import lumosai.tools as package

    for name in package.__all__:
        assert getattr(package, name) is not None
        assert name in dir(package)
    assert package.Tool is Tool
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        package.Nothing  # noqa: B018
