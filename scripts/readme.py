"""Prints the shell blocks of README.md, each ended by a NUL, so that `.ci/run` runs what the reader would type."""

from __future__ import annotations

import re
import sys
from pathlib import Path

BLOCK = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)

for block in BLOCK.findall((Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")):
    sys.stdout.write(f"{block.strip()}\0")
