"""Writes the tables of the documentation that are made from the code: configuration keys, providers.

    .make/dev/bin/python scripts/docs_tables.py [--check]

A table stands between `<!-- table NAME -->` and `<!-- end -->`. With `--check` nothing is written: exit code 1 and the
pages' names where one is not up to date.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PLACE = re.compile(r"(<!-- table (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
KEYS = {"en": ("key", "variable", "allowed"), "zh": ("键", "变量", "允许的值")}
COMMANDS = {"en": ("command", "does", "options"), "zh": ("命令", "作用", "选项")}
PROVIDERS = {"en": ("name", "key", "address"), "zh": ("名称", "密钥", "地址")}
EMBEDDERS = {
    "en": ("name", "model that `auto` takes", "texts a request"),
    "zh": ("名称", "`auto` 选用的模型", "每次请求的文本数"),
}


def keys() -> Iterator[tuple[str, ...]]:
    """Every key of an agent."""
    from lumosai.agent.config_schema import leaves

    for path, rule in leaves().items():
        yield code(".".join(path)), code(rule.variable), rule.allowed


def model() -> Iterator[tuple[str, ...]]:
    """The table form of `model`."""
    from lumosai.agent.config_schema import MODEL

    for key, rule in MODEL.items():
        yield code(key), code(rule.variable), rule.allowed


def providers() -> Iterator[tuple[str, ...]]:
    """Every provider, with its variables and its address."""
    from lumosai.models.providers import PROVIDERS as known

    for name, provider in known.items():
        variables = provider.base_url_variables or (f"{name.upper().replace('-', '_')}_BASE_URL",)
        address = " ".join(code(v) for v in (provider.base_url, *variables))
        yield code(name), " ".join(code(v) for v in (*provider.keys, *provider.account_variables)), address


def embedders() -> Iterator[tuple[str, ...]]:
    """Every provider of embedding models."""
    from lumosai.models._embedding_table import EMBEDDERS as known

    yield code("local"), code("multilingual-e5-small"), ""
    for name, provider in known.items():
        yield code(name), code(provider.default), str(provider.texts)


def commands() -> Iterator[tuple[str, ...]]:
    """Every command of the command line, with its options."""
    from typer.main import get_command

    from lumosai.cli.root import make

    yield from command_rows(get_command(make()), "lumosai")


def command_rows(command: Any, name: str) -> Iterator[tuple[str, ...]]:
    """A command's row, or those of the commands below it."""
    below = getattr(command, "commands", None)
    if below:
        for word, each in below.items():
            if not each.hidden:
                yield from command_rows(each, f"{name} {word}")
        return
    what = (command.help or "").partition("\n\n")[0].replace("\n", " ")
    arguments = [(p.metavar or p.name).upper() for p in command.params if p.param_type_name == "argument"]
    options = [p.opts[0] for p in command.params if p.param_type_name == "option" and not p.hidden]
    yield code(" ".join([name, *arguments])), what, " ".join(code(option) for option in options)


def code(text: str) -> str:
    """The text as code; nothing where there is none."""
    return f"`{text}`" if text else ""


TABLES: dict[str, tuple[dict[str, tuple[str, ...]], Callable[[], Iterable[tuple[str, ...]]]]] = {
    "keys": (KEYS, keys),
    "model": (KEYS, model),
    "providers": (PROVIDERS, providers),
    "embedders": (EMBEDDERS, embedders),
    "commands": (COMMANDS, commands),
}


def filled(page: Path, language: str) -> str:
    """The page with its tables as they should be."""

    def table(place: re.Match[str]) -> str:
        heads, rows = TABLES[place[2]]
        lines = [heads[language], ("---",) * len(heads[language]), *rows()]
        return place[1] + "".join("| " + " | ".join(cells) + " |\n" for cells in lines) + place[3]

    return PLACE.sub(table, page.read_text(encoding="utf-8"))


def main() -> int:
    """Writes or checks every page."""
    stale = []
    for language in ("en", "zh"):
        for page in sorted((ROOT / "docs" / language).rglob("*.md")):
            text = filled(page, language)
            if text != page.read_text(encoding="utf-8"):
                stale.append(page)
                if "--check" not in sys.argv:
                    page.write_text(text, encoding="utf-8")
    for page in stale:
        print(f"{page.relative_to(ROOT)}: {'not up to date' if '--check' in sys.argv else 'written'}")
    return 1 if stale and "--check" in sys.argv else 0


if __name__ == "__main__":
    raise SystemExit(main())
