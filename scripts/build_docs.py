"""Builds the documentation into `site/`: `site/en`, `site/zh`, and a first page that leads to either.

    .make/dev/bin/python scripts/build_docs.py [--out FOLDER] [--languages en zh]

A warning is an error. Nothing is fetched.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LANGUAGES = {"en": "en", "zh": "zh_CN"}
FIRST = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Lumosai</title><meta name="viewport" content="width=device-width">
<script>location.replace(((navigator.language || "").startsWith("zh") ? "zh" : "en") + "/index.html")</script>
<p><a href="en/index.html">English</a> · <a href="zh/index.html" lang="zh">简体中文</a></p></html>
"""


def main() -> int:
    """Builds each language; 0 where none had a warning."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=ROOT / "site")
    parser.add_argument("--languages", nargs="+", choices=LANGUAGES, default=LANGUAGES)
    options = parser.parse_args()
    out = options.out
    for folder in options.languages:
        command = ["-c", ROOT / "docs", "-D", f"language={LANGUAGES[folder]}", "-d", out / ".doctrees" / folder]
        strict = ["--quiet", "--fail-on-warning", "--keep-going", "-b", "html"]
        done = subprocess.run(
            [sys.executable, "-m", "sphinx", *strict, *command, ROOT / "docs" / folder, out / folder], check=False
        )
        if done.returncode != 0:
            return done.returncode
    (out / "index.html").write_text(FIRST, encoding="utf-8")
    print(f"The documentation is in {out}/index.html")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
