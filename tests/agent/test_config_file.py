"""Configuration files: what is read, and what is refused with file, line, key and what is allowed."""

from __future__ import annotations

import os

import pytest

from lumosai.agent.config_file import find, from_mapping, read
from lumosai.agent.config_schema import LIMITS, RECALL, RETENTION, SETTINGS
from lumosai.errors import ConfigurationError
from lumosai.records import Limits, ModelSettings, Recall, Retention


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def refusal(folder, text, name="lumosai.toml"):
    (folder / name).write_text(text, encoding="utf-8")
    with pytest.raises(ConfigurationError) as caught:
        read(name)
    return str(caught.value)


def test_every_setting_and_limit_has_a_rule():
    """The table of keys is the two records, neither more nor less."""
    assert tuple(SETTINGS) == ModelSettings.__struct_fields__
    assert tuple(LIMITS) == Limits.__struct_fields__
    assert tuple(RETENTION) == Retention.__struct_fields__
    assert tuple(RECALL) == Recall.__struct_fields__


REFUSED = [
    # (text, place, the key, what the message must hold besides)
    ("modle = 'x'", "lumosai.toml:1", "modle", ["did you mean 'model'", "instructions"]),
    ("\n\n[agents.a]\ninstruction = 'x'", "lumosai.toml:4", "agents.a.instruction", ["'instructions'"]),
    ("[agents.a.limits]\nmax_stps = 3", "lumosai.toml:2", "agents.a.limits.max_stps", ["'max_steps'", "deadline_s"]),
    ("[agents.a]\nlimits = { max_stps = 3 }", "lumosai.toml:2", "agents.a.limits.max_stps", ["'max_steps'"]),
    ("recall = 'threads'", "lumosai.toml:1", "recall.over", ["'threads'", '"thread"']),
    ("[recall]\ntop = 3", "lumosai.toml:2", "recall.top", ["'top_k'"]),
    ("[agents.a]\nrecall = 3", "lumosai.toml:2", "agents.a.recall", ["must be a table"]),
    ("[settings]\ntemprature = 1", "lumosai.toml:2", "settings.temprature", ["'temperature'"]),
    ("[settings]\ntemperature = 'hot'", "lumosai.toml:2", "settings.temperature", ["'hot'", "a number from 0 to 2"]),
    ("[settings]\ntemperature = 3", "lumosai.toml:2", "settings.temperature", ["too large"]),
    ("[settings]\ntemperature = nan", "lumosai.toml:2", "settings.temperature", ["nan"]),
    ("[settings]\nstop = 'x'", "lumosai.toml:2", "settings.stop", ["a list of texts"]),
    ("[limits]\nmax_steps = 0", "lumosai.toml:2", "limits.max_steps", ["too small", "from 1 up"]),
    ("[limits]\nmax_steps = true", "lumosai.toml:2", "limits.max_steps", ["True"]),
    ("[limits]\nmax_steps = 1.5", "lumosai.toml:2", "limits.max_steps", ["1.5", '"none" for no limit']),
    ("[limits]\ndeadline_s = 0", "lumosai.toml:2", "limits.deadline_s", ["too small"]),
    ("[limits]\ntool_concurrency = 'none'", "lumosai.toml:2", "limits.tool_concurrency", ["from 1 up"]),
    ("limits = 3", "lumosai.toml:1", "limits", ["must be a table", "max_steps"]),
    ("tools = 'calculator'", "lumosai.toml:1", "tools", ["a list of built-in toolkits"]),
    ("tools = ['a', 3]", "lumosai.toml:1", "tools", ["a list"]),
    ("model = 3", "lumosai.toml:1", "model", ["openai:gpt-5-mini"]),
    ("[model]\nbase_url = 'http://x'", "lumosai.toml:1", "model", ["needs a name"]),
    ("[model]\nname = 'x'\nbase_ulr = 'http://x'", "lumosai.toml:3", "model.base_ulr", ["'base_url'"]),
    ("tool_calling = 'sometimes'", "lumosai.toml:1", "tool_calling", ['"constrained"']),
    ("enable_streaming = 'yes'", "lumosai.toml:1", "enable_streaming", ["true or false"]),
    ("agents = 3", "lumosai.toml:1", "agents", ["[agents.NAME]"]),
    ("[agents]", "lumosai.toml:1", "agents", ["at least one"]),
    ("agents.a = 3", "lumosai.toml:1", "agents.a", ["must be a table"]),
    ("[agent]\n[agents.a]", "lumosai.toml:1", "agent", ["not both"]),
    ("name = 'x'\n[agents.a]", "lumosai.toml:1", "name", ["no such key"]),
    ("[model]\nname='x'\napi_key = 'sk-123'", "lumosai.toml:3", "model.api_key", ["${API_KEY}"]),
    ("[model]\nname='x'\napi_key = '${K:-sk-123}'", "lumosai.toml:3", "model.api_key", ["environment variable"]),
    ("[model.headers]\nX-Api-Key = 'sk-123'", "lumosai.toml:2", "model.headers.X-Api-Key", ["${X_API_KEY}"]),
    ("[settings.extra]\nuser_token = 'abc'", "lumosai.toml:2", "settings.extra.user_token", ["${USER_TOKEN}"]),
]


@pytest.mark.parametrize(("text", "place", "key", "holds"), REFUSED, ids=[r[0][:40] for r in REFUSED])
def test_what_a_file_may_not_say(folder, text, place, key, holds):
    """The error begins with file and line, names the whole key, and says what is allowed."""
    message = refusal(folder, text)
    assert message.startswith(f"{place}: {key}: ")
    for words in holds:
        assert words in message
    assert "sk-123" not in message


@pytest.mark.parametrize(
    ("text", "place", "holds"),
    [
        ("a = ", "lumosai.toml:1", "not valid TOML"),
        ("a = 1\na = 2\n", "lumosai.toml:2", "not valid TOML"),
        ("a = 1\n\n[b", "lumosai.toml:3", "not valid TOML"),
    ],
)
def test_text_that_is_not_toml(folder, text, place, holds):
    """The parser's complaint is told with the line where it gave up."""
    message = refusal(folder, text)
    assert message.startswith(f"{place}: ")
    assert holds in message


@pytest.mark.parametrize(
    ("text", "place", "holds"),
    [
        ("agents:\n  a:\n    limits:\n      max_stps: 5\n", 4, "did you mean 'max_steps'"),
        ("model: [1\n", 2, "not valid YAML"),
        ("model: a\nmodel: b\n", 2, "'model' stands twice"),
        ("agents:\n  a: &x {}\n  a: *x\n", 3, "stands twice"),
        ("1: a\n", 1, "put it in quotes"),
        ("- a\n", 1, "keys and values"),
        ("model: !!python/object:os.system x\n", 1, "not valid YAML"),
        ("version: 1.0\n", 1, "a text"),
        ("limits: &x\n  max_steps: *x\n", 1, "alias"),
        ("version: 2024-13-45\n", 1, "not valid YAML"),
    ],
)
def test_yaml_is_held_to_the_same_rules(folder, text, place, holds):
    """YAML errors name file and line too; what plain data has not is refused."""
    message = refusal(folder, text, "lumosai.yaml")
    assert message.startswith(f"lumosai.yaml:{place}: ")
    assert holds in message


def test_a_yaml_bomb_is_refused(folder):
    """Aliases of aliases are counted before they are built."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 9)]
    assert "more than" in refusal(folder, "\n".join(lines), "lumosai.yaml")


def test_toml_and_yaml_say_the_same(folder):
    """The same settings in both formats are the same document, line numbers besides."""
    (folder / "a.toml").write_text('model = "m"\n[agents.a]\ntools = ["x"]\n[agents.a.limits]\nmax_steps = "none"\n')
    (folder / "a.yaml").write_text("model: m\nagents:\n  a:\n    tools: [x]\n    limits: {max_steps: none}\n")
    assert read("a.toml").data == read("a.yaml").data


@pytest.mark.parametrize(
    ("make", "holds"),
    [
        (lambda p: None, "cannot be read: No such file"),
        (lambda p: p.mkdir(), "cannot be read: Is a directory"),
        (lambda p: p.write_bytes(b"a = 1\nb = '\xff'"), ":2: not UTF-8"),
        (lambda p: p.write_bytes(b"#" * 1_000_001), "not a configuration file"),
    ],
)
def test_a_file_that_cannot_be_read(folder, make, holds):
    """The file is named, and why it cannot be read."""
    make(folder / "x.toml")
    with pytest.raises(ConfigurationError, match=r"x.toml") as caught:
        read("x.toml")
    assert holds in str(caught.value)


def test_a_byte_order_mark_and_windows_lines(folder):
    """A file saved by a Windows editor is read, and its lines are counted right."""
    (folder / "x.toml").write_bytes("\ufeffmodel = 'm'\r\n\r\n[limits]\r\nmax_steps = 3\r\n".encode())
    document = read("x.toml")
    assert document.data["limits"] == {"max_steps": 3}
    assert document.where(("limits", "max_steps")) == "x.toml:4"


def test_the_nearest_file_upward_is_found(folder):
    """The search begins in the working directory and goes up."""
    inner = folder / "a" / "b"
    inner.mkdir(parents=True)
    (folder / "lumosai.toml").touch()
    assert find(inner) == (folder / "lumosai.toml", "")
    (folder / "a" / "lumosai.yaml").touch()
    assert find(inner) == (folder / "a" / "lumosai.yaml", "")


def test_two_files_in_one_folder_are_ambiguous(folder):
    """Neither is preferred silently."""
    (folder / "lumosai.toml").touch()
    (folder / "lumosai.yaml").touch()
    with pytest.raises(ConfigurationError, match="both stand in"):
        find(folder)


@pytest.mark.skipif(
    os.name == "nt" or os.geteuid() != 0, reason="only root can make a file that belongs to another user"
)
def test_another_users_file_above_is_passed_by(folder):
    """A file that names code to import is not taken from a parent directory of somebody else's."""
    inner = folder / "a"
    inner.mkdir()
    file = folder / "lumosai.toml"
    file.touch()
    os.chown(file, 12345, -1)
    path, warning = find(inner)
    assert path is None
    assert "another user" in warning
    assert find(folder)[0] == file


def test_a_mapping_may_hold_what_only_python_has():
    """Functions as tools, a model object and our settings records are taken from a mapping as they are."""

    def tool(): ...

    class Model:
        def stream(self): ...

    model = Model()
    document = from_mapping({"model": model, "tools": [tool], "limits": Limits(max_steps=3)})
    assert document.data == {"model": model, "tools": [tool], "limits": {"max_steps": 3}}
    with pytest.raises(ConfigurationError, match=r"the mapping: limits.max_stps"):
        from_mapping({"limits": {"max_stps": 1}})
