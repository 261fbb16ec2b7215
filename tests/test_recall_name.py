"""The script that asks a real model for a name told three hundred messages ago: what it tells, and how it ends."""

from __future__ import annotations

import os
import subprocess
import sys

from scripts import recall_name
from tests.conftest import ROOT, thorough


def test_the_name_lies_far_behind_other_talk():
    """Three hundred messages in both languages, none of which holds it."""
    said = recall_name.small_talk()
    assert len(said) == 300
    assert not any(recall_name.NAME in text for _, text in said)
    assert any(text.isascii() for _, text in said)
    assert any("\u4e00" <= text[0] <= "\u9fff" for _, text in said)


@thorough
def test_weights_that_cannot_be_fetched(tmp_path):
    """The exit code is 3."""
    command = [sys.executable, str(ROOT / "scripts" / "recall_name.py")]
    environ = {
        "LUMOSAI_CACHE_DIR": str(tmp_path),
        "HF_ENDPOINT": "http://127.0.0.1:9",
        "PIP_NO_INDEX": "1",
        "PIP_CONFIG_FILE": os.devnull,
        "PYTHONPATH": str(ROOT / "src"),
    }
    env = {**os.environ, **environ}
    done = subprocess.run(command, capture_output=True, text=True, timeout=110, check=False, env=env)
    assert done.returncode == 3 and done.stderr.startswith("recall_name: no model can be asked:")
