"""The floors table of `docs/design/ARCHITECTURE.md`, enforced on the real import graph.

The graph is read from the sources, so that imports for type checkers and imports inside functions count like any other.
"""

from __future__ import annotations

import ast
import gc
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from tests.conftest import ROOT

SOURCE = ROOT / "src" / "lumosai"
PAGE = ROOT / "docs" / "design" / "ARCHITECTURE.md"
EVERYONES = {*sys.stdlib_module_names, "annotationlib", "msgspec", "typing_extensions"}  # the first is new in 3.14
FACADE = "lumosai"


@dataclass(frozen=True)
class Row:
    """One row of the table: its packages, the floors (and modules) they may import, and whose libraries."""

    floor: int
    packages: tuple[str, ...]
    floors: range
    modules: frozenset[str]
    in_order: bool
    whole: bool
    libraries: frozenset[str]
    later: bool


@dataclass(frozen=True)
class Import:
    """One import: from which module of ours, what (ours without the `lumosai.`), and where it stands."""

    module: str
    target: str
    line: int

    def __str__(self) -> str:
        return f"{self.module} (line {self.line}) imports {self.target}"


@cache
def table() -> tuple[Row, ...]:
    """The rows of the page's table."""
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    return tuple(row(line) for line in lines if re.match(r"\| \d+ \|", line))


def row(line: str) -> Row:
    """One line of the table as a row."""
    floor, packages, ours, others, holds = (cell.strip() for cell in line.strip("|").split("|"))
    floors = re.match(r"(\d+)(?:-(\d+))?", ours)
    return Row(
        floor=int(floor),
        packages=tuple(name.rstrip("/") for name in ticked(packages)),
        floors=range(int(floors[1]), int(floors[2] or floors[1]) + 1) if floors else range(0),
        modules=frozenset(ticked(ours)),
        in_order="in this order" in ours,
        whole="whole" in ours,
        libraries=frozenset(ticked(others)),
        later=holds.startswith("*later*"),
    )


def ticked(text: str) -> list[str]:
    """What stands between back-ticks."""
    return re.findall(r"`([^`]+)`", text)


@cache
def doors() -> frozenset[str]:
    """The modules besides `base` that a package shows to others."""
    found = re.search(r"and these doors: ([^.]*(?:\.[^\s][^.]*)*)\.\s", PAGE.read_text(encoding="utf-8"))
    assert found, f"{PAGE.name} no longer names the doors"
    return frozenset(ticked(found[1]))


def package(module: str) -> str:
    """The part of a module's name that the table's rows are about."""
    return module.partition(".")[0]


@cache
def modules() -> Mapping[str, Path]:
    """Every module of ours by its name without `lumosai.`; the facade's is `lumosai`."""
    found = {}
    for path in sorted(SOURCE.rglob("*.py")):
        parts = path.relative_to(SOURCE).with_suffix("").parts
        parts = parts[:-1] if parts[-1] == "__init__" else parts
        found[".".join(parts) or FACADE] = path
    return found


@cache
def imports() -> tuple[Import, ...]:
    """Every import in our sources."""
    return tuple(found for name, path in modules().items() for found in imports_of(name, path))


def imports_of(module: str, path: Path) -> Iterator[Import]:
    """The imports of one file; a relative one is made absolute."""
    gc.disable()  # Python 3.11 loses count of the tree's depth where something that is collected meanwhile parses, too
    try:
        tree = ast.parse(path.read_text(encoding="utf-8"))
    finally:
        gc.enable()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(module, target(alias.name, None), node.lineno)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} (line {node.lineno}): a relative import; name the whole path"
            for alias in node.names:
                yield Import(module, target(node.module or "", alias.name), node.lineno)


def target(name: str, member: str | None) -> str:
    """The module that is imported: `from lumosai.models import base` means `models.base`."""
    top, _, inner = name.partition(".")
    if top != FACADE:
        return f"<{top}>"
    if member is not None and (whole := f"{inner}.{member}".lstrip(".")) in modules():
        return whole
    return inner or FACADE


def ours(import_: Import) -> bool:
    """Whether it is a module of ours that is imported."""
    return not import_.target.startswith("<")


def row_of(module: str) -> Row:
    """The row a module stands in."""
    found = [r for r in table() if package(module) in r.packages]
    assert len(found) == 1, f"{package(module)!r} stands in {len(found)} rows of {PAGE.name}'s table, not in one"
    return found[0]


def allowed(import_: Import) -> bool:
    """Whether the table allows an import of one module of ours by another."""
    importer, imported = row_of(import_.module), row_of(import_.target)
    mine, theirs = package(import_.module), package(import_.target)
    if mine == theirs or import_.target in importer.modules or theirs in importer.modules:
        return True
    if importer is imported:
        return importer.in_order and importer.packages.index(theirs) < importer.packages.index(mine)
    if imported.floor not in importer.floors:
        return False
    shown = import_.target == f"{theirs}.base" or import_.target in doors()
    return imported.floor <= 1 or importer.whole or shown


def test_the_table_names_what_is_there_and_nothing_else():
    """Every package of ours stands in one row, and a row that is not marked later names only what exists."""
    there = {package(name) for name in modules()}
    assert {package(name) for name in modules() if row_of(name).later} == set()
    missing = {p for r in table() if not r.later for p in r.packages} - there
    assert missing == set(), f"{PAGE.name} names packages that are not there: mark their row later, or take it out"
    assert {door for door in doors() if door not in modules()} == set()


def test_imports_go_downward():
    """A module imports only what its row of the table allows."""
    refused = [str(i) for i in imports() if ours(i) and not allowed(i)]
    assert not refused, "\n".join(refused)


def test_a_library_has_one_user():
    """Libraries besides the standard one and msgspec are imported only by the packages whose row names them."""
    refused = [
        str(i)
        for i in imports()
        if not ours(i)
        and (library := i.target.strip("<>")) not in EVERYONES | row_of(i.module).libraries
        and library != "__future__"
    ]
    assert not refused, "\n".join(refused)


def test_nothing_imports_the_facade():
    """`lumosai` itself is for users: a file of ours that imports it would load what the facade holds back."""
    assert [str(i) for i in imports() if i.target == FACADE and i.module != FACADE] == []


def test_no_cycle_between_files():
    """No file imports itself by way of others, type-only imports included."""
    graph: dict[str, set[str]] = {name: set() for name in modules()}
    for i in imports():
        if ours(i) and i.target != i.module:
            graph[i.module].add(i.target)
    assert cycle(graph) is None


def test_no_cycle_between_folders():
    """No folder imports itself by way of others, type-only imports included."""
    graph: dict[str, set[str]] = {}
    for i in imports():
        if ours(i) and FACADE not in (i.module, i.target):
            mine, theirs = folder(i.module), folder(i.target)
            graph.setdefault(mine, set())
            if mine != theirs:
                graph[mine].add(theirs)
    assert cycle(graph) is None


def folder(module: str) -> str:
    """The folder a module lies in; one at the top is its own."""
    if any(name.startswith(f"{module}.") for name in modules()):
        return module
    return module.rpartition(".")[0] or module


def cycle(graph: Mapping[str, set[str]]) -> str | None:
    """One cycle of the graph, drawn; None where there is none."""
    done: set[str] = set()

    def walk(node: str, path: list[str]) -> list[str] | None:
        if node in path:
            return [*path[path.index(node) :], node]
        if node in done:
            return None
        for target_ in sorted(graph.get(node, ())):
            if found := walk(target_, [*path, node]):
                return found
        done.add(node)
        return None

    for node in graph:
        if found := walk(node, []):
            return " → ".join(found)
    return None


@pytest.mark.parametrize(
    ("module", "imported", "verdict"),
    [
        ("models.retry", "errors", True),
        ("records", "messages", True),
        ("messages", "records", False),
        ("errors", "models.base", False),
        ("models.retry", "tools.base", False),
        ("agent.log", "models.base", True),
        ("agent.log", "models.retry", False),
        ("testing.scripted", "models.retry", True),
        ("dialects.base", "_http", False),
        ("tools", "agent", False),
    ],
)
def test_the_rules_are_read_from_the_table(module, imported, verdict):
    """The table's text means what it says: known good imports are allowed, known bad ones refused."""
    assert allowed(Import(module, imported, 1)) is verdict


def test_a_cycle_is_found():
    """The check itself sees a cycle of any length, and none where there is none."""
    assert cycle({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": set()}) == "a → b → c → a"
    assert cycle({"a": {"b", "c"}, "b": {"c"}, "c": set()}) is None
