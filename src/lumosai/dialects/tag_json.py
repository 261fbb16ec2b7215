"""Families whose calls are JSON between a start and an end tag of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lumosai.dialects._marked_json import MarkedJson, usual_calls

if TYPE_CHECKING:
    from lumosai.messages import ToolCallPart


def _listed(value: Any) -> tuple[ToolCallPart, ...] | None:
    return usual_calls(value) if isinstance(value, list) else None


LONGCAT = MarkedJson(
    name="longcat",
    aliases=("longcat_flash",),
    start=("<longcat_tool_call>",),
    end="</longcat_tool_call>",
)
"""LongCat-Flash (meituan-longcat, its chat template)."""

HUNYUAN = MarkedJson(
    name="hunyuan",
    aliases=("hunyuan_a13b", "jamba", "jamba_1_5", "minimax", "minimax_m1"),
    start=("<tool_calls>",),
    end="</tool_calls>",
    around=("[", "]"),
    lines=True,
)
"""Hunyuan-A13B and Jamba: a list; MiniMax M1: one call a line.

The forms are those of the chat templates (tencent/Hunyuan-A13B-Instruct, ai21labs/AI21-Jamba-1.5, MiniMaxAI/MiniMax-M1).
"""

NEMOTRON = MarkedJson(
    name="nemotron-json",
    aliases=("nemotron_json", "NVIDIA-Nemotron-Nano-v2", "nemotron", "qwen3-coder xml <function=..><parameter=..>"),
    start=("<TOOLCALL>",),
    end="</TOOLCALL>",
    around=("[", "]"),
    control=False,
)
"""Nemotron Nano 2: a list (nvidia/NVIDIA-Nemotron-Nano-9B-v2, its chat template)."""

XLAM = MarkedJson(
    name="xlam",
    aliases=("xlam_2", "xlam_1", "granite", "granite3.1"),
    start=("<tool_call>",),
    end="</tool_call>",
    ends=("<|end_of_text|>", "<|im_end|>", "<|eot_id|>", "<|endoftext|>"),
    around=("[", "]"),
    calls=_listed,
)
"""xLAM: a list, which it also writes bare, fenced and behind `[TOOL_CALLS]` (Salesforce/xLAM-2, as vLLM reads it)."""
