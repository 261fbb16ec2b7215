"""Families whose calls are JSON between two markers, and no more than that."""

from __future__ import annotations

from lumosai.dialects._marked_json import MarkedJson, keyed_calls

INTERNLM2 = MarkedJson(
    name="internlm2",
    aliases=("internlm", "internlm2_5", "internlm3", "internlm2 <|plugin|>"),
    start=("<|action_start|>", "<|plugin|>"),
    end="<|action_end|>",
    ends=("<|im_end|>",),
    form='{"name": NAME, "parameters": ARGUMENTS}',
)
"""InternLM 2 to 3: the form of the models' chat templates (InternLM/lmdeploy)."""

APERTUS = MarkedJson(
    name="apertus",
    start=("<|tools_prefix|>",),
    end="<|tools_suffix|>",
    ends=("<|assistant_end|>",),
    form="{NAME: ARGUMENTS}",
    around=("[", "]"),
    calls=keyed_calls,
    thought=("<|inner_prefix|>", "<|inner_suffix|>"),
    forgives=True,
)
"""Apertus: a list of objects with the tool's name as their only key (swiss-ai/Apertus, its chat template)."""
