"""`lumosai doctor`: what is there, what is missing and how to get it, and whether the agent can answer."""

from __future__ import annotations

import json
import re
import tomllib

import pytest

from lumosai.cli.examine import BASE, EXTRAS, installed
from tests.cli.shell import environment, lumosai
from tests.conftest import ROOT
from tests.servers import serve_in_thread

# Nothing answers at port 9 (discard) of loopback.
NOWHERE = {f"{name}_BASE_URL": "http://127.0.0.1:9/v1" for name in ("OLLAMA", "LMSTUDIO", "VLLM")}


def examined(home, *arguments, **variables):
    env = environment(home, **{**NOWHERE, "XDG_CACHE_HOME": str(home / "cache"), **variables})
    done = lumosai("doctor", "--json", *arguments, env=env, cwd=home)
    report = json.loads(done.stdout)
    return done, report, {(c["area"], c["name"]): c for c in report["checks"]}


def test_it_knows_every_dependency_and_extra():
    """What is looked at is what pyproject.toml names."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    names = [re.match(r"[\w-]+", d)[0] for d in project["dependencies"]]
    assert list(BASE) == names
    extras = {e: re.match(r"[\w-]+", d[0])[0] for e, d in project["optional-dependencies"].items()}
    assert {e: distribution for e, (distribution, _) in EXTRAS.items()} == extras


def test_a_key_decides_auto_and_is_never_shown(tmp_path):
    """The variable is named, its value nowhere; the agent can answer."""
    done, report, checks = examined(tmp_path, OPENAI_API_KEY="sk-s3cret", GROQ_API_KEY="gsk-s3cret")
    assert done.returncode == 0, done.stdout
    assert report["ok"]
    assert report["auto"]["model"].startswith("openai:")
    assert report["auto"]["reason"] == "OPENAI_API_KEY is set"
    assert checks["key", "openai"]["state"] == "ok"
    assert checks["key", "groq"]["detail"] == "GROQ_API_KEY is set"
    assert checks["key", "deepseek"]["state"] == "missing"
    assert checks["key", "deepseek"]["remedy"].startswith("a key: https://")
    assert "s3cret" not in done.stdout + done.stderr


def test_a_server_on_this_machine_is_found(tmp_path):
    """Without a key, a server that answers is what auto takes."""
    with serve_in_thread(models=["qwen3"]) as server:
        done, report, checks = examined(tmp_path, OLLAMA_BASE_URL=server.base_url)
    assert done.returncode == 0, done.stdout
    assert report["auto"]["model"] == "ollama:qwen3"
    assert server.base_url in report["auto"]["reason"]
    assert checks["server", "ollama"]["state"] == "ok"
    assert checks["server", "vllm"]["state"] == "missing"


def test_an_agent_that_cannot_answer(tmp_path):
    """A model whose key is missing: exit code 1, and the variable to set."""
    done, report, checks = examined(tmp_path, "--model", "deepseek:deepseek-chat")
    assert done.returncode == 1
    assert not report["ok"]
    assert checks["model", "assistant"]["state"] == "bad"
    assert checks["model", "assistant"]["remedy"] == "export DEEPSEEK_API_KEY=…"


def test_the_local_model_without_its_weights(tmp_path):
    """With no key and no server auto is the local model; what it needs is told with the exact command."""
    done, report, checks = examined(tmp_path)
    assert report["auto"]["model"] == "local"
    row = checks["model", "assistant"]
    assert checks["weights", "qwen2.5-coder-0.5b"]["state"] == "missing"
    if installed("xllamacpp"):
        assert (done.returncode, row["state"]) == (0, "missing")
        assert row["remedy"] == "lumosai models pull qwen2.5-coder-0.5b"
    else:
        assert (done.returncode, row["state"]) == (1, "bad")
        assert row["remedy"] == "pip install 'lumosai[local]'"


@pytest.mark.parametrize(
    ("text", "holds"),
    [("modle = 'x'", "there is no such key"), ("model = '${NOPE}'", "NOPE is not set"), ("tools = ['nope']", "nope")],
)
def test_a_configuration_that_cannot_be_used(tmp_path, text, holds):
    """It is found and told like anything else, and the rest is still looked at."""
    (tmp_path / "lumosai.toml").write_text(text)
    done, report, checks = examined(tmp_path, OPENAI_API_KEY="x")
    assert done.returncode == 1
    assert any(holds in c["detail"] for c in report["checks"] if c["state"] == "bad")
    assert checks["python", "lumosai"]["state"] == "ok"


def test_a_misspelt_variable_is_noticed(tmp_path):
    """A LUMOSAI_ variable that nothing reads is told, with the name that was probably meant; it is no failure."""
    done, _, checks = examined(tmp_path, OPENAI_API_KEY="x", LUMOSAI_MAXSTEPS="3")
    assert done.returncode == 0
    assert "did you mean 'LUMOSAI_MAX_STEPS'" in checks["configuration", "LUMOSAI_MAXSTEPS"]["detail"]


def test_the_page_for_people(tmp_path):
    """Headings, marks, remedies, a verdict; plain where it is no terminal."""
    env = environment(tmp_path, **NOWHERE, OPENAI_API_KEY="sk-s3cret")
    done = lumosai("doctor", env=env, cwd=tmp_path)
    assert done.returncode == 0, done.stdout
    assert "Keys of providers\n" in done.stdout
    assert re.search(r"✓ openai +OPENAI_API_KEY is set", done.stdout)
    assert "→ a key: https://" in done.stdout
    assert done.stdout.endswith("The agent can answer.\n")
    assert "s3cret" not in done.stdout
    assert "\x1b" not in done.stdout
