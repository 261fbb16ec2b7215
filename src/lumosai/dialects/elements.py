"""The families that write calls as elements; `_elements` reads them all.

The forms are those of the models' chat templates (Qwen3-Coder, Seed-OSS, MiniMax-M2, Step 3, MiniCPM 5). Those
whose section begins with a token of the model's vocabulary are `control`: they write it right behind their prose.
"""

from __future__ import annotations

from lumosai.dialects._elements import Elements, Form

_FUNCTION = ("<function=NAME>\nPARAMETERS</function>", "<parameter=KEY>\nVALUE\n</parameter>\n")
_STEP3 = (
    "<｜tool_calls_begin｜>",
    "<｜tool_call_begin｜>",
    "<｜tool_sep｜>",
    "<｜tool_call_end｜>",
    "<｜tool_calls_end｜>",
)
_STEPTML = '<steptml:invoke name="NAME">PARAMETERS\n</steptml:invoke>'

QWEN3_CODER = Elements(
    "qwen3-coder",
    Form(
        call="<function=",
        parameter="<parameter=",
        close=("</function>", "</parameter>"),
        section=("<tool_call>", "</tool_call>"),
        template=(f"<tool_call>\n{_FUNCTION[0]}\n</tool_call>", _FUNCTION[1]),
        bare=True,
        lines=True,
    ),
    aliases=(
        *(
            "qwen3_xml",
            "qwen_xml",
            "qwen3.5",
            "qwen3_engine",
            "step3p5",
            "stepfun3.5",
            "step3",
            "nemotron",
            "nemotron3",
            "mimo",
        ),
        "qwen3-coder xml <function=..><parameter=..>",
    ),
    control=True,
)

SEED_OSS = Elements(
    "seed-oss",
    Form(
        call="<function=",
        parameter="<parameter=",
        close=("</function>", "</parameter>"),
        section=("<seed:tool_call>", "</seed:tool_call>"),
        template=(
            "<seed:tool_call>\n<function=NAME>\nPARAMETERS</function>\n</seed:tool_call>",
            "<parameter=KEY>VALUE</parameter>\n",
        ),
        bare=True,
        lines=True,
    ),
    aliases=("ByteDance-Seed-OSS", "seed"),
    control=True,
)

MINIMAX_M2 = Elements(
    "minimax-m2",
    Form(
        call="<invoke name=",
        parameter="<parameter name=",
        close=("</invoke>", "</parameter>"),
        section=("<minimax:tool_call>", "</minimax:tool_call>"),
        template=(
            '<minimax:tool_call>\n<invoke name="NAME">\nPARAMETERS</invoke>\n</minimax:tool_call>',
            '<parameter name="KEY">VALUE</parameter>\n',
        ),
        containers=False,
    ),
    aliases=("minimax", "minimax <invoke>"),
    control=True,
)

INVOKE = Elements(
    "invoke",
    Form(
        call="<invoke name=",
        parameter="<parameter name=",
        close=("</invoke>", "</parameter>"),
        section=("<function_calls>", "</function_calls>"),
        template=(
            '<function_calls>\n<invoke name="NAME">\nPARAMETERS</invoke>\n</function_calls>',
            '<parameter name="KEY">VALUE</parameter>\n',
        ),
    ),
    aliases=("claude", "function_calls"),
)

STEP3 = Elements(
    "step3",
    Form(
        call="<steptml:invoke name=",
        parameter="<steptml:parameter name=",
        close=("</steptml:invoke>", "</steptml:parameter>"),
        section=(_STEP3[0], _STEP3[4]),
        lead=(_STEP3[1], "function", _STEP3[2]),
        tail=(_STEP3[3],),
        between=_STEP3[2],
        template=(
            f"{_STEP3[0]}\n{_STEP3[1]}function{_STEP3[2]}{_STEPTML}{_STEP3[3]}\n{_STEP3[4]}",
            '\n<steptml:parameter name="KEY">VALUE</steptml:parameter>',
        ),
        result=("<｜tool_outputs_begin｜><｜tool_output_begin｜>", "<｜tool_output_end｜><｜tool_outputs_end｜>"),
    ),
    aliases=("step", "stepfun"),
    control=True,
)

MINICPM5 = Elements(
    "minicpm5",
    Form(
        call="<function name=",
        parameter="<param name=",
        close=("</function>", "</param>"),
        spellings=(("<functionname=", "<paramname="),),
        template=('<function name="NAME">PARAMETERS</function>', '<param name="KEY">VALUE</param>'),
        xml=True,
    ),
    aliases=("minicpm5xml", "openbmb-MiniCPM5-1B", "minicpm"),
)
