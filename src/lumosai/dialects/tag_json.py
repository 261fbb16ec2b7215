"""Families whose calls are JSON between a start and an end tag of their own."""

from __future__ import annotations

from lumosai.dialects._marked_json import MarkedJson

LONGCAT = MarkedJson(
    name="longcat",
    aliases=("longcat_flash",),
    start=("<longcat_tool_call>",),
    end="</longcat_tool_call>",
)
"""LongCat-Flash (meituan-longcat, its chat template)."""

HUNYUAN = MarkedJson(
    name="hunyuan",
    aliases=("hunyuan_a13b",),
    start=("<tool_calls>",),
    end="</tool_calls>",
    around=("[", "]"),
)
"""Hunyuan-A13B: a list (tencent/Hunyuan-A13B-Instruct, its chat template)."""

NEMOTRON = MarkedJson(
    name="nemotron-json",
    aliases=("nemotron_json", "NVIDIA-Nemotron-Nano-v2", "nemotron", "qwen3-coder xml <function=..><parameter=..>"),
    start=("<TOOLCALL>",),
    end="</TOOLCALL>",
    around=("[", "]"),
    control=False,
)
"""Nemotron Nano 2: a list (nvidia/NVIDIA-Nemotron-Nano-9B-v2, its chat template)."""
