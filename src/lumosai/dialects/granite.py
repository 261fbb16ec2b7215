"""Granite and Phi 4: a list of JSON calls behind a marker, which the end of the answer ends.

    <|tool_call|>[{"name": NAME, "arguments": {…}}, …]
    <function_call> {"name": NAME, "arguments": {…}}
    functools[{"name": NAME, "arguments": {…}}, …]

The forms are those of the models' chat templates and model cards: Granite 3, Granite 20B for function calling,
Phi 4 mini and FireFunction. Granite 3.1 writes as xLAM does, and Granite 4 as Hermes.
"""

from __future__ import annotations

from lumosai.dialects._open_json import OpenJson

_END_TOKENS = ("<|/tool_call|>", "<|end_of_text|>", "<|end|>", "<|im_end|>", "<|endoftext|>")

GRANITE = OpenJson(
    name="granite",
    aliases=("granite3", "granite3.0", "granite3.2", "granite3.3", "phi4", "phi4_mini", "phi4_mini_json"),
    start=("<|tool_call|>",),
    around=("[", "]"),
    ends=_END_TOKENS,
)
"""The token of Granite 3; Phi 4 mini has it too, and one that ends the list."""

GRANITE_20B = OpenJson(
    name="granite-20b-fc",
    aliases=("granite", "granite_20b_fc", "glaive"),
    start=("<function_call> ",),
    starts=("<function_call>", "<functioncall>"),
    ends=("</function_call>", "</functioncall>", *_END_TOKENS),
    control=False,
)
"""One object a marker, which fine-tunes on Glaive's data write, too."""

FUNCTOOLS = OpenJson(
    name="functools",
    aliases=("phi4", "phi4_mini", "phi4_mini_json", "phi4 functools", "firefunction", "firefunction_v2"),
    start=("functools",),
    around=("[", "]"),
    ends=_END_TOKENS,
    listed=True,
    control=False,
)
"""The word before the list that Phi 4 mini and FireFunction are taught."""
