"""What the dialects make of texts, one row a dialect, and the table of the documentation that says so.

    .make/dev/bin/python scripts/bench_dialects.py [--check]        # make bench-dialects

Read are the recorded corpus (`scripts/corpus.py`; where there is none, its columns are empty), the project's own texts
(`tests/dialects/families`) and calls that a seeded generator makes, writes in each dialect and damages in every way that
can be mended (`DAMAGES`) or cuts off anywhere, which must give no call. A false execution is a call that no reader would
see: of a text that holds none, or another call than the one that was damaged.

Without `--check` the table is written into `docs/`, and the exit code is 1 where there is a false execution.
"""

from __future__ import annotations

import json
import random
import re
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from lumosai.dialects import DIALECTS, get, parse
from lumosai.messages import ToolCallPart
from lumosai.records import ToolDefinition
from scripts import corpus
from scripts.corpus import ROOT, Count

SEED = 20_260
CALLS = 12
"""Made for each dialect, each damaged in every way."""
CUTS = 6
"""Places at which each of them is cut off."""

TOOL = "plan_trip"
SCHEMA = {
    "type": "object",
    "properties": {
        "city": {"type": "string"},
        "note": {"type": "string"},
        "days": {"type": "integer"},
        "budget": {"type": "number"},
        "guided": {"type": "boolean"},
        "until": {"type": ["null", "integer"]},
        "tags": {"type": "array", "items": {"type": "string"}},
        "filters": {"type": "object"},
    },
}
TOOLS = [ToolDefinition(TOOL, "Plans a trip.", SCHEMA)]
WORDS = ("Paris", "北京", "a b", "São Paulo", "x{y}", "[1]", "it is, so: good", "2026-11-28", "C:/dir", "<b>", "100 %")


class Row:
    """What one dialect gave."""

    def __init__(self) -> None:
        self.counts = {
            key: Count() for key in ("cases", "cases auto", "texts", "texts auto", "mended", "mended auto", "cut")
        }
        self.false: list[str] = []

    def cells(self, *, recorded: bool) -> tuple[str, ...]:
        """The row of the table; `recorded`: whether there is a corpus."""
        shown = [self.counts[key] for key in ("cases", "cases auto", "texts", "texts auto", "mended", "mended auto")]
        cells = [str(count) if count.all else "" for count in shown]
        return (*(cells if recorded else ["", "", *cells[2:]]), str(len(self.false)))


# The generator.


def made(rng: random.Random) -> dict[str, Any]:
    """Arguments of the tool, with at least one value of each kind that damages differ in."""
    return {
        "city": rng.choice(WORDS),
        "days": rng.randrange(1, 100),
        "budget": rng.randrange(1, 1000) / 4,
        "guided": rng.random() < 0.5,
        "until": rng.choice([None, rng.randrange(9)]),
        "tags": [rng.choice(WORDS) for _ in range(rng.randrange(1, 4))],
        "filters": {"stars": rng.randrange(1, 6), "open": True, "near": {"name": rng.choice(WORDS)}},
        "note": rng.choice(WORDS),
    }


def written(value: Any, *, quote: str = '"', bare: bool = False, comma: str = "", words: bool = False) -> str:
    """The value as JSON with slips: other quotes, bare keys, commas at the end, Python's words."""
    more = {"quote": quote, "bare": bare, "comma": comma, "words": words}
    if isinstance(value, str):
        text = json.dumps(value, ensure_ascii=False)
        return text if quote == '"' else quote + text[1:-1].replace('\\"', '"').replace(quote, f"\\{quote}") + quote
    if isinstance(value, dict):
        pairs = (f"{k if bare else written(k, **more)}: {written(v, **more)}" for k, v in value.items())
        return "{" + ", ".join(pairs) + (comma if value else "") + "}"
    if isinstance(value, list):
        return "[" + ", ".join(written(v, **more) for v in value) + (comma if value else "") + "]"
    return repr(value) if words else json.dumps(value)


def in_quotes(value: Any) -> Any:
    """The arguments with their numbers as strings."""
    if isinstance(value, dict):
        return {key: in_quotes(each) if key != "filters" else each for key, each in value.items()}
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


def in_quotes_of(call: ToolCallPart) -> ToolCallPart:
    """The call with its numbers as strings, which is as good: a tool's execution reads them by its schema."""
    return ToolCallPart("", call.name, in_quotes(call.arguments))


Object = dict[str, Any]
DAMAGES: dict[str, Callable[[Object], str]] = {
    "single quotes": lambda value: written(value, quote="'"),
    "bare keys": lambda value: written(value, bare=True),
    "trailing commas": lambda value: written(value, comma=","),
    "Python's words": lambda value: written(value, words=True),
    "all of these": lambda value: written(value, quote="'", bare=True, comma=",", words=True),
}
"""Of any JSON."""

SHAPES: dict[str, Callable[[str, str, str, Object], Object]] = {
    "arguments in quotes": lambda name, key, called, args: {name: called, key: json.dumps(args, ensure_ascii=False)},
    "args": lambda name, _, called, args: {name: called, "args": args},
    "input": lambda name, _, called, args: {name: called, "input": args},
    "parameters": lambda name, _, called, args: {name: called, "parameters": args},
    "tool": lambda _, key, called, args: {"tool": called, key: args},
    "function": lambda _, key, called, args: {"function": called, key: args},
    "a wrapper": lambda _, __, called, args: {"type": "function", "function": {"name": called, "arguments": args}},
}
"""Of an object that holds a call's name and arguments."""


def damaged(text: str, call: ToolCallPart) -> Iterator[tuple[str, str]]:
    """The call's text with every damage that can be done to the JSON in it, each with its name."""
    arguments: Object = call.arguments or {}
    inner = written(arguments)
    outer = re.search(rf'\{{"(\w+)": "{TOOL}", "(\w+)": {re.escape(inner)}\}}', text)
    if outer:
        whole = {outer[1]: TOOL, outer[2]: arguments}
        for name, damage in DAMAGES.items():
            yield name, text.replace(outer[0], damage(whole))
        for name, shape in SHAPES.items():
            yield name, text.replace(outer[0], written(shape(outer[1], outer[2], TOOL, arguments)))
        yield "numbers in quotes", text.replace(inner, written(in_quotes(arguments)))
    elif inner in text:
        for name, damage in DAMAGES.items():
            yield name, text.replace(inner, damage(arguments))
        yield "numbers in quotes", text.replace(inner, written(in_quotes(arguments)))
    else:
        yield from _damaged_values(text, arguments)


def _damaged_values(text: str, arguments: Object) -> Iterator[tuple[str, str]]:
    """The same for a dialect in which only single values are JSON."""
    for name, damage in DAMAGES.items():
        hurt = text
        for value in arguments.values():
            if isinstance(value, dict | list) and text.count(written(value)) == 1:
                hurt = hurt.replace(written(value), damage(value))
        if hurt != text:
            yield name, hurt


def cut_off(text: str, call: ToolCallPart, rng: random.Random) -> Iterator[str]:
    """The text cut off within the arguments."""
    start = text.find(next(iter(call.arguments or {}), TOOL))
    end = max(text.rfind(json.dumps(call.arguments["note"], ensure_ascii=False)[1:-1]), start) if call.arguments else -1
    for _ in range(CUTS):
        if end > start >= 0:
            yield text[: rng.randrange(start, end)]


# Reading.


def measured() -> dict[str, Row]:
    """A row for every dialect."""
    rows: dict[str, Row] = defaultdict(Row)
    for name in DIALECTS:
        _mending(name, rows[name])
    _own_texts(rows)
    _recorded(rows)
    return {name: rows[name] for name in DIALECTS}


def _mending(name: str, row: Row) -> None:
    rng = random.Random(f"{SEED} {name}")  # no secret
    for _ in range(CALLS):
        call = ToolCallPart("", TOOL, made(rng))
        try:
            text = get(name).encode(call)
        except ValueError:  # it has no way to write such a value
            continue
        for way, hurt in damaged(text, call):
            for dialect, key in ((name, "mended"), ("auto", "mended auto")):
                calls = parse(hurt, tools=TOOLS, dialect=dialect).calls
                right = calls == (call,) or calls == (in_quotes_of(call),)
                row.counts[key].add(right=right)
                if calls and not right:
                    row.false.append(f"{way} ({dialect}): {hurt!r} gave {calls}")
        for cut in cut_off(text, call, rng):
            for dialect in (name, "auto"):
                calls = parse(cut, tools=TOOLS, dialect=dialect).calls
                row.counts["cut"].add(right=not calls)
                if calls:
                    row.false.append(f"cut off ({dialect}): {cut!r} gave {calls}")


def _own_texts(rows: dict[str, Row]) -> None:
    from tests.dialects.test_families import FILES, tools_of

    for family, held in FILES.items():
        name = held["dialect"]
        row = rows[get(name).name if name != "auto" else next(iter(DIALECTS))]
        for case in (*held.get("calls", ()), *held.get("negatives", ())):
            wanted = case.get("calls", [])
            for dialect, key in ((name, "texts"), ("auto", "texts auto")):
                if dialect == "auto" and not case.get("auto", True):
                    continue
                got = [
                    [c.name, c.arguments] for c in parse(case["text"], tools=tools_of(family), dialect=dialect).calls
                ]
                row.counts[key].add(right=got == wanted)
                if got and not wanted:
                    row.false.append(f"{family}: {case['id']} ({dialect})")


def _recorded(rows: dict[str, Row]) -> None:
    path = corpus.data_file()
    if not path.is_file():
        return
    families: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for case in json.loads(path.read_text(encoding="utf-8"))["cases"]:
        families[case["family"]].append(case)
    for members in families.values():
        tools = corpus.tools_of(members)
        for case in members:
            name, own = corpus.dialect_of(case), corpus.own_tools(case, tools)
            if name and case["strength"] == "exact" and case["id"] not in corpus.DISPUTED:
                row = rows[get(name).name]
                for dialect, key in ((name, "cases"), ("auto", "cases auto")):
                    got = parse(case["text"], tools=own, dialect=dialect)
                    row.counts[key].add(right=corpus.is_right(case["expected"], got))
                    if got.calls and case["expected"].get("count") == 0:
                        row.false.append(f"{case['id']} ({dialect})")


# The table.

PLACE = re.compile(r"(<!-- figures dialects -->\n).*?(<!-- end -->)", re.DOTALL)
HEADS = {
    "en": ("dialect", "recorded: by name", "auto", "own texts: by name", "auto", "mended: by name", "auto", "false"),
    "zh": ("方言", "录制语料：按名称", "自动", "自有文本：按名称", "自动", "修复：按名称", "自动", "误执行"),
}
TOTAL = {"en": "all", "zh": "合计"}
PAGES = {language: ROOT / "docs" / language / "reference" / "dialects.md" for language in HEADS}


def total(rows: dict[str, Row]) -> Row:
    """The sum of all rows."""
    whole = Row()
    for row in rows.values():
        for key, count in row.counts.items():
            whole.counts[key].right += count.right
            whole.counts[key].all += count.all
        whole.false += row.false
    return whole


def table(rows: dict[str, Row], language: str) -> str:
    """The table in Markdown."""
    recorded = corpus.data_file().is_file()
    head = HEADS[language]
    lines = [head, ("---", *["---:"] * (len(head) - 1))]
    lines += [(f"`{name}`", *row.cells(recorded=recorded)) for name, row in rows.items()]
    lines.append((TOTAL[language], *total(rows).cells(recorded=recorded)))
    return "".join("| " + " | ".join(cells) + " |\n" for cells in lines)


def main() -> int:
    """Prints the table, writes it where there is a corpus, and gives the exit code."""
    rows = measured()
    print(table(rows, "en"), end="")
    whole = total(rows)
    print(f"cut off within the arguments, and no call: {whole.counts['cut']}")
    for name, row in rows.items():
        for line in row.false:
            print(f"a false execution in {name}: {line}")
    if "--check" not in sys.argv and corpus.data_file().is_file():
        for language, page in PAGES.items():
            text = page.read_text(encoding="utf-8")
            filled = PLACE.sub(lambda m, language=language: m[1] + table(rows, language) + m[2], text)
            if filled != text:
                page.write_text(filled, encoding="utf-8")
                print(f"{page.relative_to(ROOT)}: written")
    return 1 if whole.false else 0


if __name__ == "__main__":
    raise SystemExit(main())
