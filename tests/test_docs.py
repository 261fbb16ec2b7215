"""The documentation: its programs run, its tables are those of the code, both languages say the same, and it builds."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

import lumosai
from scripts import docs_tables
from tests.conftest import ROOT, THOROUGH, thorough
from tests.programs import blocks, run_blocks
from tests.servers import serve_in_thread

DOCS = ROOT / "docs"
ENGLISH, CHINESE = DOCS / "en", DOCS / "zh"
PAGES = sorted(path.relative_to(ENGLISH) for path in ENGLISH.rglob("*.md"))
RUNNABLE = [
    folder / page
    for number, page in enumerate(PAGES)
    # The two differ in nothing but texts, as is tried below: in turn one of them is run, or both.
    for folder in ((ENGLISH, CHINESE) if THOROUGH else ((ENGLISH, CHINESE)[number % 2],))
    if blocks(folder / page, "python")
    and page.name != "local-model.md"  # its blocks need the weights: `make demo` runs such
]
LINK = re.compile(r"\[[^\]]+\]\(([^)#\s]+)[^)]*\)")
INCLUDE = re.compile(r"```\{include\} (\S+)")


def each(paths, below):
    """A parametrisation by path, named by the path below a folder."""
    return pytest.mark.parametrize("path", paths, ids=[str(path.relative_to(below)) for path in paths])


@each(RUNNABLE, DOCS)
def test_the_python_of_a_page_runs(path, tmp_path):
    """Its blocks, one after the other in one program, end without an error or a warning."""
    with serve_in_thread() as server:
        done = run_blocks(path, server.base_url, tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


@each([folder / "how-to" / "local-model.md" for folder in (ENGLISH, CHINESE)], DOCS)
def test_what_cannot_run_here_is_sound(path):
    """The one page whose Python needs a model's weights compiles, and imports only what is there."""
    for block in blocks(path, "python"):
        tree = ast.parse(block.text)
        imports = [node for node in tree.body if isinstance(node, ast.ImportFrom)]
        assert imports
        for node in imports:
            module = __import__(node.module, fromlist=[alias.name for alias in node.names])
            assert [alias.name for alias in node.names if not hasattr(module, alias.name)] == []


def test_both_languages_have_the_same_pages():
    """Every page is there in English and in Chinese."""
    assert sorted(path.relative_to(CHINESE) for path in CHINESE.rglob("*.md")) == PAGES


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_both_languages_say_the_same(page):
    """A page has the same headings, lists, tables and code in both languages; only sentences and texts differ."""
    if page.name in ("from-rust.md", "upgrade.md"):  # in English these are the pages that lie in docs/ itself
        english = DOCS / page.name
        if page.name == "from-rust.md":
            return
    else:
        english = ENGLISH / page
    assert skeleton(CHINESE / page) == skeleton(english)


def skeleton(path):
    """A page without its sentences."""
    kinds = ("heading_open", "list_item_open", "tr_open", "paragraph_open", "html_block")
    return [
        code(token) if token.type == "fence" else (token.type, token.tag)
        for token in MarkdownIt().enable("table").parse(path.read_text(encoding="utf-8"))
        if token.type in ("fence", *kinds)
    ]


def code(token):
    """A block's language and its code, with every text literal and comment blanked."""
    language = token.info.strip()
    if language != "python":
        return language, re.sub(r'"[^"]*"|#.*', "", token.content) if language in ("toml", "sh") else token.content
    tree = ast.parse(re.sub(r"^(\s*)(async with|await|async for)", r"\1\2", token.content))
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):  # `write_text(…, encoding=…)` is needed where the text is Chinese
            node.keywords = [keyword for keyword in node.keywords if keyword.arg != "encoding"]
        if isinstance(node, ast.JoinedStr):
            node.values = [value for value in node.values if not isinstance(value, ast.Constant)]
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            node.value = ""
    return "python", ast.dump(tree)


def test_the_tables_are_those_of_the_code():
    """Configuration keys, providers and commands stand in the pages as the code has them: `scripts/docs_tables.py`."""
    stale = [
        str(path.relative_to(DOCS))
        for language in ("en", "zh")
        for path in (DOCS / language).rglob("*.md")
        if docs_tables.filled(path, language) != path.read_text(encoding="utf-8")
    ]
    assert stale == [], "make fix (or scripts/docs_tables.py) writes them anew"


@each([*sorted(DOCS.rglob("*.md")), ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"], ROOT)
def test_the_links_of_a_page_lead_somewhere(path):
    """Every link and inclusion that names no site names a file that is there."""
    text = path.read_text(encoding="utf-8")
    found = [*LINK.findall(text), *INCLUDE.findall(text)]
    missing = [link for link in found if "://" not in link and not (path.parent / link).exists()]
    assert missing == []


def test_the_commands_that_the_pages_name_exist():
    """Every `lumosai …` and `make …` that a page tells the reader to type is there."""
    commands = {row[0].strip("`").split()[1] for row in docs_tables.commands()}
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    for path in [*DOCS.rglob("*.md"), *ROOT.glob("*.md")]:
        if DOCS / "design" in path.parents:  # pages of the design name what is planned too
            continue
        text = path.read_text(encoding="utf-8")
        assert {*re.findall(r"(?:`|^)(?:\S*/)?lumosai ([a-z]+)", text, re.MULTILINE)} <= commands, path
        assert {*re.findall(r"(?:`|^)make ([a-z-]+)", text, re.MULTILINE)} <= targets, path


def test_the_design_calls_no_command_later_that_is_there():
    """The page of the surface names every command, and marks those as planned that are, and no others."""
    page = (DOCS / "design" / "API.md").read_text(encoding="utf-8")
    there, later = page.split("## Command line\n", 1)[1].split(" for each", 1)[0].split("*later*")
    commands = {row[0].strip("`").split()[1] for row in docs_tables.commands()}
    assert {name.split()[-1] for name in re.findall(r"`([a-z ]+)", there)} - {"lumosai"} == commands
    assert not set(re.findall(r"`([a-z]+)", later)) & commands


@thorough
@pytest.mark.timeout(300)  # two sites, on a machine that may be busy
def test_the_site_builds_and_documents_every_public_name(tmp_path):
    """`make docs` builds without a warning in both languages, and every public name has its entry."""
    pytest.importorskip("sphinx", reason="the documentation is built where the docs group is installed")
    command = [sys.executable, ROOT / "scripts" / "build_docs.py", "--out", tmp_path]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=280, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    for language in ("en", "zh"):
        assert missing_from(tmp_path / language) == set()
    assert "en/index.html" in (tmp_path / "index.html").read_text(encoding="utf-8")


def missing_from(site: Path) -> set[str]:
    """The public names that a built site has no entry for."""
    from sphinx.util.inventory import InventoryFile

    with (site / "objects.inv").open("rb") as file:
        inventory = InventoryFile.load(file, str(site), lambda base, uri: uri)
    entries = {name for kind, objects in inventory.items() if kind.startswith("py:") for name in objects}
    last = {name.rpartition(".")[2] for name in entries}
    return {*lumosai.__all__} - last - {"__version__"}
