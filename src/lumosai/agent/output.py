"""Structured output: how an answer is held to a type, and how it is read.

In order of preference: the provider keeps to the schema itself (`native`); the answer is the arguments of one tool that
must be called (`tool`); the schema stands in the instructions (`prompted`; a model in constrained mode is held to it by
its wrapper). Whichever way, the answer is read, checked and, where it does not fit, asked for again with the error.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import msgspec

from lumosai.records import ToolDefinition

if TYPE_CHECKING:
    from lumosai._schema import OutputSchema
    from lumosai.models.profiles import Profile

Way = Literal["native", "tool", "prompted"]

_PROMPT = "Answer with one JSON value that fits this JSON Schema, and with nothing else: no prose, no code fence.\n"


class OutputPlan:
    """How one run gets its structured output.

    Attributes:
        schema: the type's schema, with its loader.
        way: how the model is held to it; changed where a server refuses one.
        attempt: counts the answers that showed anything of an output, from 1.
        shown: whether the answer that is going on did.
        misfits: how many answers did not fit.
        value: the last output that did.
    """

    __slots__ = ("attempt", "misfits", "name", "schema", "shown", "value", "way")

    def __init__(self, schema: OutputSchema, way: Way, taken: frozenset[str]) -> None:
        self.schema = schema
        self.way = way
        self.attempt = 1
        self.shown = False
        self.misfits = 0
        self.value: Any = None
        name = "final_output"
        while name in taken:
            name += "_"
        self.name = name

    @property
    def wire_schema(self) -> dict[str, Any]:
        """The schema as a provider is given it: the strict form where there is one."""
        strict = self.schema.strict_schema
        return strict if strict is not None else self.schema.schema

    @property
    def tool(self) -> ToolDefinition:
        """The tool whose arguments are the output, for the `tool` way."""
        strict = self.schema.strict_schema is not None
        return ToolDefinition(self.name, "Gives the final answer. Call it once, when done.", self.wire_schema, strict)

    @property
    def instructions(self) -> str:
        """What the system prompt adds, for the `prompted` way."""
        return _PROMPT + msgspec.json.encode(self.schema.schema).decode()

    def begin_attempt(self) -> None:
        """The model is asked: what it showed before is not the output."""
        if self.shown:
            self.attempt += 1
            self.shown = False

    def read(self, text: str) -> Any:
        """The JSON value in `text`, checked against the type; the typed one is kept.

        Raises:
            InvalidOutput: it does not fit; the message is meant for the model.
        """
        self.value = self.schema.load(self.schema.parse(text))
        return self.schema.dump(self.value)

    def again(self, problem: str) -> str:
        """What the model is told when its answer did not fit."""
        return f"That answer does not fit what is asked for: {problem}\nAnswer again, with the corrected JSON only."


def way_for(profile: Profile, mode: str, *, has_tools: bool) -> Way:
    """The best way of a model with this profile, whose tools are called in `mode`."""
    together = mode == "constrained" or (mode in ("native", "off") and profile.schema_with_tools)
    if profile.json_schema and (together or not has_tools):
        return "native"
    if profile.native_tools and mode in ("native", "off"):
        return "tool"
    return "prompted"
