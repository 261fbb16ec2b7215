"""How the documentation is built: `make docs`, or scripts/build_docs.py. One source folder a language, one configuration."""

from __future__ import annotations

import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "src"))

from lumosai import __version__

project = "Lumosai"
author = "Lumosai contributors"
copyright = author  # noqa: A001  # Sphinx reads this name
release = version = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
exclude_patterns = ["_build"]
# A link out of the site, such as to the changelog of the checkout, is left as it is written; a field's short name, which
# several types may have, leads to any of them.
suppress_warnings = ["myst.xref_missing", "ref.python"]
smartquotes = False

html_theme = "furo"
html_title = f"Lumosai {__version__}"
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {"navigation_with_keys": True}

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
autodoc_class_signature = "mixed"
napoleon_numpy_docstring = False
napoleon_use_ivar = True

INDENTED = re.compile(r"^ {4}\S")
SECTION = re.compile(r"^[A-Z][A-Za-z ]+:$")
ROW = re.compile(r"^\|(.*)\|$")
RULE = re.compile(r"^\|(?: *:?-+:? *\|)+$")
SPAN = re.compile(r"(?<!`)`([^`\n]+)`(?!`)(\w?)")
FENCE = re.compile(r"^(\s*)```(\w*)$")


def as_rst(app, what, name, obj, options, lines: list[str]) -> None:
    """Puts a docstring, written to be read as it stands, into Sphinx's own notation: drawn trees and code as blocks."""
    out: list[str] = []
    fence: str | None = None
    for at, line in enumerate(lines):
        if found := FENCE.match(line):
            fence = None if fence is not None else found[1]
            out += ["", f"{found[1]}.. code-block:: {found[2] or 'text'}", ""] if fence is not None else [""]
        elif fence is not None:
            out.append(f"   {line}" if line.strip() else "")
        elif row := ROW.match(line):
            if not at or not ROW.match(lines[at - 1]):
                out += ["", ".. list-table::", "   :header-rows: 1", ""]
            if not RULE.match(line):
                cells = [SPAN.sub(literal, cell.strip()) for cell in row[1].split("|")]
                out += [f"   {'  ' if n else '* '}- {cell}" for n, cell in enumerate(cells)]
        else:
            if INDENTED.match(line) and at and not lines[at - 1].strip() and not in_section(lines, at):
                previous = next((text for text in reversed(out) if text.strip()), "")
                if not INDENTED.match(previous):
                    out += ["::", ""]
            out.append(line if INDENTED.match(line) and out[-2:-1] == ["::"] else SPAN.sub(literal, line))
    lines[:] = out


def literal(span: re.Match[str]) -> str:
    """A code span; what follows without a space, as in `extra`s, needs a mark that ends it."""
    return f"``{span[1]}``" + (f"\\ {span[2]}" if span[2] else "")


def in_section(lines: list[str], at: int) -> bool:
    """Whether the indented line stands below a heading such as `Args:`."""
    above = next((text for text in reversed(lines[:at]) if text.strip() and not text.startswith(" ")), "")
    return bool(SECTION.match(above))


def setup(app) -> None:
    """Called by Sphinx."""
    app.connect("autodoc-process-docstring", as_rst, priority=400)  # before napoleon's, which has 500
