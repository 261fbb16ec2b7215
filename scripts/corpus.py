"""Reads the corpus of model outputs with the dialects and prints, family by family, what was understood.

    python scripts/corpus.py [WORD]        # with a word: the families whose name holds it, and what each wrong case gave

The corpus is `toolcalls/cases.json` under `$LUMOSAI_TEST_DATA` (by default `../shared/data` beside the checkout); where
there is none, that is said and all is well. Each case is read by the name of its family's dialect and with "auto", whole
and a character at a time. Exits with 1 on an exception, on a call where there is none in any family, on a stream that
gives anything else than the whole text, when of the families that are built one falls below 90 % by its name, or all
exact cases together below 97 % by name or 92 % on auto.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections import defaultdict
from pathlib import Path

from lumosai.dialects import DialectParser, ParsedText, parse
from lumosai.dialects.catalogue import named
from lumosai.errors import ConfigurationError
from lumosai.records import ToolDefinition

FLOOR = 0.90
NAMED, AUTO = 0.97, 0.92
_MARKUP = re.compile(
    r"<\|[^|\n]{1,40}\|>|<｜[^｜\n]{1,40}｜|\[TOOL_CALLS\]|\[ARGS\]|</?(?:tool_call|function|invoke|parameter)\b"
)

DISPUTED = {
    "smg-46248fab33": "prose follows the JSON on its line; smg-96de9c7b70 wants no call for the very same form",
    "smg-5395d0fa35": "prose precedes the JSON on its line: a quoted example looks no different",
    "smg-c0c409ac53": "wants the call behind another family's marker in mid-line, behind a half call and two quoted markers",
    "vllm-9b35bec34c": "prose stands around the JSON on its line, as around a quoted example",
    "vllm-0d31646f79": "likewise",
    "smg-a6e88b2fb0": "wants a call out of a broken one with another in it: which of the two was meant, none can tell",
    "smg-0f0cdea087": "the text is of another family than the one by whose name it is read; on auto it is understood",
    "vllm-b3933fbdcb": "the very form of vllm-5481e33d11, whose calls count; the engine was set to another of its formats",
    "vllm-e5910496ff": "likewise",
    "llama.cpp-63a547633c": "the expectation is that of the next call of its test: the text calls empty_args",
    "llama.cpp-27a5bb5a4e": "likewise: the text holds no call",
    "vllm-aff00a827e": "the arguments are cut off in a string: what is missing is not invented",
    "vllm-8991062269": "a marker that anyone might write stands behind a word on its line: a quoted call looks no different",
    "vllm-543dfc506b": "wants a tool that is named otherwise than the one that the model called",
    "vllm-e1f82eb709": "likewise, and an argument that the text does not hold",
}
"""Cases whose expectation we do not share, and why. They are read, but not counted."""

ROOT = Path(__file__).resolve().parent.parent


def data_file() -> Path:
    """Where the corpus would be."""
    named = os.environ.get("LUMOSAI_TEST_DATA")
    return (Path(named) if named else ROOT.parent / "shared" / "data") / "toolcalls" / "cases.json"


def tools_of(cases: list[dict]) -> dict[str, ToolDefinition]:
    """The tools that these cases' calls need: their names, and the arguments where all of them are known."""
    known: dict[str, dict[str, list]] = {}
    open_ones: set[str] = set()
    for case in cases:
        names = case["expected"].get("names", [])
        invoked = names or re.findall(r'invoke name="([^"]+)"', case["text"])
        for i, call in enumerate(case["expected"].get("calls", ())):
            name = call.get("name", invoked[i] if i < len(invoked) else None)
            if name is None:
                continue
            arguments = call.get("arguments")
            if isinstance(arguments, dict):
                for key, value in arguments.items():
                    known.setdefault(name, {}).setdefault(key, []).append(value)
                known.setdefault(name, {})
            else:
                open_ones.add(name)
        open_ones.update(names[len(case["expected"].get("calls", ())) :])
        open_ones.update(named_in(case["text"]))
    return {name: _tool(name, None if name in open_ones else known[name]) for name in {*known, *open_ones}}


def own_tools(case: dict, tools: dict[str, ToolDefinition]) -> list[ToolDefinition]:
    """The tools of a family, those whose arguments this very case knows as it has them."""
    own = {name: tool for name, tool in tools_of([case]).items() if tool.parameters.get("properties")}
    return list({**tools, **{name: tool for name, tool in own.items() if name in tools}}.values())


def named_in(text: str) -> list[str]:
    """Names that a text gives as JSON or calls as code, so that no case passes only because its tool was not declared."""
    as_code = re.findall(r"(?:\A|[\[>\n]|\), *)([^\W\d][\w.-]*)\(", text)
    return [*re.findall(r"""["'](?:name|tool)["']\s*:\s*["']([^"'\n]+)["']""", text), *as_code]


def _tool(name: str, arguments: dict[str, list] | None) -> ToolDefinition:
    if arguments is None:
        return ToolDefinition(name, "", {"type": "object"})
    properties = {key: {"type": sorted({_type(value) for value in values})} for key, values in arguments.items()}
    return ToolDefinition(name, "", {"type": "object", "properties": properties, "additionalProperties": False})


def dialect_of(case: dict) -> str:
    """The name by which the case is read: its family's, else its format's; "" where no dialect has either."""
    for name in (case["family"], case.get("format", "")):
        try:
            named(name)
        except ConfigurationError:
            continue
        return name
    return ""


def _type(value) -> str:
    """The JSON type of a value, as the tool of an engine's test declares it."""
    kinds = {bool: "boolean", int: "integer", float: "number", str: "string", list: "array", dict: "object"}
    return kinds.get(type(value), "null")


def streamed(text: str, tools: list[ToolDefinition], dialect: str) -> ParsedText:
    """The text read a character at a time."""
    parser = DialectParser(tools=tools, dialect=dialect)
    items = [item for char in text for item in parser.feed(char)] + parser.close()
    return ParsedText(
        "".join(i for i in items if isinstance(i, str)), tuple(i for i in items if not isinstance(i, str))
    )


def is_right(expected: dict, got: ParsedText) -> bool:
    """Whether the calls are those that the case wants; what it does not say is free."""
    calls = got.calls
    wanted = expected.get("calls", [])
    if "count" in expected and len(calls) != expected["count"]:
        return False
    if len(calls) < expected.get("min_count", 0):
        return False
    if expected.get("calls_args_empty") and any(c.arguments for c in calls):
        return False
    if "names" in expected and [c.name for c in calls] != expected["names"]:
        return False
    return len(calls) >= len(wanted) and all(map(_is_call, wanted, calls))


def shows_markup(expected: dict, got: ParsedText) -> bool:
    """Whether markup stands in what is left, where the case wants none there.

    It does in a thought that quotes it, and where a text only looks like a call: that stays as it is.
    """
    wanted = f"{expected.get('content') or ''}\n{expected.get('reasoning') or ''}"
    if not got.calls and "content" not in expected:
        return False
    return any(found[0] not in wanted for found in _MARKUP.finditer(got.content))


def _is_call(wanted: dict, call) -> bool:
    arguments = call.arguments or {}
    text = json.dumps(arguments, ensure_ascii=False)
    return (
        wanted.get("name", call.name) == call.name
        and wanted.get("arguments", arguments) == arguments
        and all(fragment in text for fragment in wanted.get("arguments_contain", ()))
        and all(_at(arguments, [key]) == value for key, value in wanted.get("partial_arguments", {}).items())
        and all(_at(arguments, path) == value for path, value in wanted.get("paths", ()))
    )


def _at(value, path):
    for key in path:
        try:
            value = value[key]
        except (KeyError, IndexError, TypeError):
            return ...
    return value


class Count:
    """How many of how many are right."""

    def __init__(self) -> None:
        self.right = self.all = 0

    def __str__(self) -> str:
        return f"{self.right}/{self.all}"

    def add(self, *, right: bool) -> None:
        """Counts one more."""
        self.right += right
        self.all += 1

    def reaches(self, share: float) -> bool:
        """Whether the share of right ones is at least this."""
        return self.right >= share * self.all


class Tally:
    """What a family gave: by name and on auto, its exact cases and the others."""

    def __init__(self) -> None:
        self.built = False
        self.counts = {(way, kind): Count() for way in ("name", "auto") for kind in ("exact", "partial")}
        self.false_calls: list[str] = []
        self.wrong: list[str] = []
        self.broken: list[str] = []
        self.markup = 0


def judge(case: dict, tools: list[ToolDefinition], tally: Tally, *, show: bool = False) -> None:
    """Reads one case by name and on auto and counts it."""
    dialect = dialect_of(case)
    tally.built = tally.built or bool(dialect)
    for way, name in (("name", dialect), ("auto", "auto")):
        if name:
            _judge(case, tools, tally, way, name, show=show)
        elif case["strength"] != "robustness":
            tally.counts[way, case["strength"]].add(right=case["expected"].get("count") == 0)


def _judge(case: dict, tools: list[ToolDefinition], tally: Tally, way: str, dialect: str, *, show: bool) -> None:
    try:
        got = parse(case["text"], tools=tools, dialect=dialect)
        if streamed(case["text"], tools, dialect) != got:
            tally.broken.append(f"{case['id']}: the stream gives something else than the whole text")
    except Exception as error:  # whatever is raised is what is looked for
        tally.broken.append(f"{case['id']}: {type(error).__name__}: {error}")
        return
    if case["strength"] == "robustness":
        return
    if case["strength"] == "exact" and case["expected"].get("count") == 0 and got.calls and case["id"] not in DISPUTED:
        tally.false_calls.append(f"{case['id']} ({way})")
    if case["id"] in DISPUTED:
        return
    right = is_right(case["expected"], got)
    tally.counts[way, case["strength"]].add(right=right)
    tally.markup += right and shows_markup(case["expected"], got)
    if not right:
        tally.wrong.append(f"{case['id']} ({way})")
        if show:
            print(f"{case['id']} by {dialect!r}\n  {case['text']!r}\n  wanted {case['expected']}\n  got    {got}")


def report(families: dict[str, Tally]) -> bool:
    """Prints the table. Whether all is well."""
    print(f"{'family':52} {'exact: name':>11} {'auto':>7} {'partial: name':>13} {'auto':>7}  false  errors  markup")
    fine = True
    sums = {way: Count() for way in ("name", "auto")}
    for family, tally in sorted(families.items(), key=lambda item: (not item[1].built, item[0])):
        cells = [str(tally.counts[way, kind]) for kind in ("exact", "partial") for way in ("name", "auto")]
        note = "" if tally.built else "  (its dialect is not built yet)"
        print(
            f"{family:52} {cells[0]:>11} {cells[1]:>7} {cells[2]:>13} {cells[3]:>7} "
            f"{len(tally.false_calls):6} {len(tally.broken):7} {tally.markup:7}{note}"
        )
        for line in tally.broken:
            print(f"    error: {line}")
        for case in tally.false_calls:
            print(f"    a call where there is none: {case}")
        fine = fine and not (tally.broken or tally.false_calls)
        if not tally.built:
            continue
        for case in tally.wrong:
            print(f"    not understood: {case}")
        both = Count()
        for (way, kind), count in tally.counts.items():
            if kind == "exact":
                sums[way].right += count.right
                sums[way].all += count.all
            if way == "name":
                both.right += count.right
                both.all += count.all
        fine = fine and both.reaches(FLOOR)
    print(f"exact cases of the families that are built: by name {sums['name']}, on auto {sums['auto']}")
    for case, reason in DISPUTED.items():
        print(f"disputed, not counted: {case}: {reason}")
    return fine and sums["name"].reaches(NAMED) and sums["auto"].reaches(AUTO)


def main(*words: str) -> int:
    """Reads, prints, and gives the exit code."""
    path = data_file()
    if not path.is_file():
        print(f"corpus: no test data here ({path.name} under $LUMOSAI_TEST_DATA); nothing to read")
        return 0
    cases = json.loads(path.read_text(encoding="utf-8"))["cases"]
    by_family: dict[str, list[dict]] = defaultdict(list)
    for case in cases:
        if all(word in case["family"] for word in words):
            by_family[case["family"]].append(case)
    families: dict[str, Tally] = defaultdict(Tally)
    for family, members in by_family.items():
        tools = tools_of(members)
        for case in members:
            judge(case, own_tools(case, tools), families[family], show=bool(words))
    fine = report(families)
    print(f"{len(cases)} cases: {'well' if fine else 'NOT well'}")
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
