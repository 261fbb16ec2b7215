"""The families that write calls as a name and pairs; `_pairs` reads them all.

The forms are those of the models' chat templates (GLM-4.5 to 4.7, Hunyuan 3, K2 Horizon in its default format, the later LongCat-Flash).
"""

from __future__ import annotations

from lumosai.dialects._pairs import Form, Pairs

GLM = Pairs(
    "glm",
    Form(),
    aliases=(
        *("glm4", "glm45", "glm47", "glm4_moe", "glm45_moe", "glm47_moe", "GLM-4.6", "GLM-4.7-Flash", "glm5"),
        *("glm4 <arg_key>", "poolside_v1", "laguna", "Spark2.5", "spark", "spark3"),
        *("ling", "ling3", "inclusionai-ling-3.0-flash", "ring"),
    ),
    # A token of these models' vocabulary, which GLM 4.7 and Spark write right behind their prose.
    control=True,
)

HUNYUAN3 = Pairs(
    "hunyuan3",
    Form(section=("<tool_calls>", "</tool_calls>"), separator="<tool_sep>"),
    aliases=("hunyuan", "hy_v3", "hy3"),
    control=True,
)

K2_HORIZON = Pairs(
    "k2-horizon",
    Form(
        call=("<ifm|tool_call>", "</ifm|tool_call>"),
        key=("<ifm|arg_key>", "</ifm|arg_key>"),
        value=("<ifm|arg_value>", "</ifm|arg_value>"),
        section=("<ifm|tool_calls>", "</ifm|tool_calls>"),
        line="",
        whole=True,
    ),
    aliases=("k2", "ifm"),
    control=True,
)

LONGCAT2 = Pairs(
    "longcat-pairs",
    Form(
        call=("<longcat_tool_call>", "</longcat_tool_call>"),
        key=("<longcat_arg_key>", "</longcat_arg_key>"),
        value=("<longcat_arg_value>", "</longcat_arg_value>"),
    ),
    aliases=("longcat", "longcat_flash"),
    control=True,
)
