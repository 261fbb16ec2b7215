"""Agent settings: precedence, references, and what becomes of them."""

from __future__ import annotations

import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lumosai.agent.config import AgentConfig, build, load, load_all
from lumosai.agent.config_file import from_mapping, read
from lumosai.agent.config_schema import leaves, variables
from lumosai.agent.config_sources import resolve, substitute
from lumosai.errors import ConfigurationError
from lumosai.models.profiles import Profile
from lumosai.records import Limits, ModelSettings, Recall
from lumosai.testing import ScriptedModel
from tests.conftest import examples

FILE = """\
model = "file-top"
instructions = "top"

[settings]
temperature = 0.5
seed = 7

[agents.a]
model = "file-agent"

[agents.a.settings]
temperature = 1

[agents.b]
"""


@pytest.fixture
def file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lumosai.toml").write_text(FILE)
    return "lumosai.toml"


@pytest.mark.parametrize(
    ("flags", "environ", "agent", "model", "source"),
    [
        ({("model",): ("--model", "flag")}, {"LUMOSAI_MODEL": "env"}, "a", "flag", "--model"),
        ({}, {"LUMOSAI_MODEL": "env"}, "a", "env", "LUMOSAI_MODEL"),
        ({}, {"LUMOSAI_MODEL": ""}, "a", "file-agent", "lumosai.toml:9"),
        ({}, {}, "a", "file-agent", "lumosai.toml:9"),
        ({}, {}, "b", "file-top", "lumosai.toml:1"),
    ],
)
def test_flag_before_environment_before_file(file, flags, environ, agent, model, source):
    """The strongest source that says something wins, and is named."""
    setting = resolve(read(file), agent, environ=environ, flags=flags)["model",]
    assert (setting.value, setting.source) == (model, source)


def test_the_default_is_what_nothing_else_says(file):
    """A key that nobody sets is not among the resolved ones, and has the default of the settings object."""
    assert ("limits", "max_steps") not in resolve(read(file), "a", environ={})
    assert load(file, name="a", environ={}).limits == Limits()


def test_settings_are_joined_key_by_key(file):
    """An agent's own table changes what it names and leaves the rest to the top of the file and the environment."""
    config = load(file, name="a", environ={"LUMOSAI_TOP_P": "0.9", "LUMOSAI_MAX_STEPS": "none"})
    assert config.settings == ModelSettings(temperature=1.0, seed=7, top_p=0.9)
    assert config.limits == Limits(max_steps=None)
    assert (config.name, config.instructions) == ("a", "top")


def test_an_argument_wins_over_the_environment():
    """A mapping is what the program itself says."""
    environ = {"LUMOSAI_MODEL": "env", "LUMOSAI_INSTRUCTIONS": "env"}
    config = load({"model": "argument"}, environ=environ)
    assert (config.model, config.instructions) == ("argument", "env")


def test_a_settings_object_is_taken_as_it_is():
    """Nothing is added to an AgentConfig."""
    config = AgentConfig(name="x", model="m")
    assert load(config, environ={"LUMOSAI_MODEL": "env"}) is config


def fits_any_text(path):
    return leaves()[path].type in (str, str | None, tuple[str, ...], bool | str)


@pytest.mark.parametrize("variable", [v for v, path in variables().items() if not fits_any_text(path)])
def test_every_variable_that_does_not_fit_is_named(variable):
    """A variable's text that its key cannot hold is an error that names the variable."""
    with pytest.raises(ConfigurationError, match=f"^{variable}: 'certainly not'.*allowed: "):
        resolve(from_mapping({}), "assistant", environ={variable: "certainly not"})


@pytest.mark.parametrize(
    ("variable", "text", "value"),
    [
        ("LUMOSAI_TOOLS", "calculator, clock", ("calculator", "clock")),
        ("LUMOSAI_TOOLS", "", ()),
        ("LUMOSAI_TOOLS", "http:a.com,b.org,clock,m.n:x", ("http:a.com,b.org", "clock", "m.n:x")),
        ("LUMOSAI_STOP", "a,.", ("a", ".")),
        ("LUMOSAI_INSTRUCTIONS", "", ""),
        ("LUMOSAI_ENABLE_STREAMING", "off", False),
        ("LUMOSAI_REASONING", "true", True),
        ("LUMOSAI_REASONING", "none", "none"),
        ("LUMOSAI_TOOL_CHOICE", "none", "none"),
        ("LUMOSAI_TOOL_CHOICE", '{"tool": "x"}', {"tool": "x"}),
        ("LUMOSAI_DEADLINE_S", "1.5", 1.5),
        ("LUMOSAI_MAX_TOOL_CALLS", "none", None),
    ],
)
def test_what_a_variables_text_means(variable, text, value):
    """Lists are cut at commas, switches know several words, "none" lifts a limit."""
    found = resolve(from_mapping({}), "assistant", environ={variable: text})
    assert found[variables()[variable]].value == value


def test_references_are_resolved_and_typed(tmp_path):
    """`${VAR}` may stand for any type, `${VAR:-default}` falls back, `$${` is a plain `${`."""
    path = tmp_path / "x.toml"
    path.write_text(
        'model = "${PROVIDER:-openai}:${NAME}"\ninstructions = "$${x}"\ntools = ["${TOOL}"]\n'
        '[limits]\nmax_steps = "${STEPS:-4}"\n'
    )
    config = load(path, environ={"NAME": "n", "TOOL": "clock"})
    assert (config.model, config.instructions, config.tools) == ("openai:n", "${x}", ("clock",))
    assert config.limits.max_steps == 4
    with pytest.raises(ConfigurationError, match=r"x.toml:5: limits.max_steps: 'many' does not fit"):
        load(path, environ={"NAME": "n", "TOOL": "clock", "STEPS": "many"})


def test_a_missing_variable_is_an_error_only_where_it_is_needed(tmp_path):
    """One agent's missing key does not keep another from working."""
    path = tmp_path / "x.toml"
    path.write_text('[agents.a]\nmodel = "local"\n[agents.b.model]\nname = "openai:x"\napi_key = "${HOUSE_KEY}"\n')
    assert load(path, name="a", environ={}).model == "local"
    with pytest.raises(
        ConfigurationError, match=r"x.toml:3: agents.b.model: api_key: the variable HOUSE_KEY is not set"
    ):
        load(path, name="b", environ={})
    table = load(path, name="b", environ={"HOUSE_KEY": "k"}).model
    assert table == {"name": "openai:x", "api_key": "k"}


@given(st.text(), st.text(alphabet=st.characters(exclude_characters="$}"), max_size=20))
@settings(max_examples=examples(100))
def test_text_without_references_is_left_alone(text, default):
    """Only `${` is special; what a default says is taken to the letter."""
    if "${" not in text:
        assert substitute(text, {}) == text
    assert substitute(f"<${{NOPE:-{default}}}>", {}) == f"<{default}>"
    assert substitute("${A}", {"A": text}) == text


def test_several_agents_need_a_name(file):
    """`load` never guesses which agent is meant, and names those that there are."""
    with pytest.raises(ConfigurationError, match="describes 2 agents: name one of 'a', 'b'"):
        load(file)
    with pytest.raises(ConfigurationError, match=r"no agent 'aa'.*did you mean 'a'"):
        load(file, name="aa")
    assert [c.name for c in load_all(file, environ={})] == ["a", "b"]


@pytest.mark.parametrize("text", ["name = 'x'", "[agent]\nname = 'x'", "[agents.x]"])
def test_three_ways_to_write_one_agent(tmp_path, text):
    """A file of one agent needs no table of agents."""
    path = tmp_path / "x.toml"
    path.write_text(text)
    assert load(path, environ={}).name == "x"


def test_an_empty_file_is_an_agent_with_defaults(tmp_path):
    """Nothing has to be said."""
    path = tmp_path / "x.yaml"
    path.touch()
    assert load(path, environ={}) == AgentConfig(directory=str(tmp_path))


def test_legacy_is_the_rust_versions_settings():
    """All four switches are off, with its limits; the switches are on by default."""
    old, new = AgentConfig.legacy(name="x"), AgentConfig()
    switches = ("enable_function_calling", "enable_streaming", "enable_memory_threads", "enable_telemetry")
    assert [getattr(old, s) for s in switches] == [False] * 4
    assert [getattr(new, s) for s in switches] == [True] * 4
    assert (old.limits.max_steps, old.limits.max_tool_calls) == (5, 10)


def test_function_calling_off_is_the_legacy_textual_mode():
    """The agent calls tools by text, in the legacy sentence; streaming off fetches answers whole."""
    model = ScriptedModel("hi")
    arguments = build(AgentConfig.legacy(model=model))
    assert arguments["tool_calling"] == "text"
    assert arguments["model"].profile.dialect == "legacy-sentence"
    assert arguments["model"].whole
    assert arguments["model"].inner is model
    assert build(AgentConfig(model=model))["model"] is model
    assert build(AgentConfig(model=model))["tool_calling"] == "auto"


def test_tool_calling_off_means_no_tools():
    """Tools are not even imported."""
    assert build(AgentConfig(tools=("no.such:tool",), tool_calling="off"))["tools"] == ()


def test_a_chain_of_models_is_changed_model_by_model():
    """Each model of a fallback keeps its own profile but for the format of calls."""
    from lumosai.models.fallback import FallbackModel

    first = ScriptedModel("a", profile=Profile(images=True))
    chain = build(AgentConfig.legacy(model=FallbackModel(first, ScriptedModel("b"))))["model"]
    assert isinstance(chain, FallbackModel)
    assert [m.profile.dialect for m in chain.models] == ["legacy-sentence", "legacy-sentence"]
    assert [m.profile.images for m in chain.models] == [True, None]


def test_tools_by_import_path(tmp_path):
    """A file's own folder is where import paths begin; a path may name one tool or a list of them."""
    (tmp_path / "config_test_tools.py").write_text(
        "def one() -> str:\n    'One.'\n    return '1'\n\ndef two() -> str:\n    'Two.'\n    return '2'\n\nboth = [one, two]\n"
        "text = 'x'\n"
    )
    path = tmp_path / "lumosai.toml"
    path.write_text('tools = ["config_test_tools:one", "config_test_tools:both"]')
    try:
        assert [t() for t in build(load(path, environ={}))["tools"]] == ["1", "1", "2"]
        for name, holds in (
            ("config_test_tools:text", "neither a tool nor a function"),
            ("config_test_tools:onee", "did you mean 'one'"),
            ("config_test_tools:", "package.module:name"),
            ("config_test_nope:x", "there is no module 'config_test_nope'"),
            ("file:docs", "there is no module 'file'.*did you mean 'files'"),
            ("calculater", "did you mean 'calculator'|calculator"),
        ):
            with pytest.raises(ConfigurationError, match=holds):
                build(AgentConfig(tools=(name,)))
    finally:
        sys.path.remove(str(tmp_path))


def test_paths_of_toolkits_begin_where_they_are_written(tmp_path, monkeypatch):
    """A file's relative paths begin beside the file, a variable's in the working directory."""
    (tmp_path / "project" / "docs").mkdir(parents=True)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    file = tmp_path / "project" / "lumosai.toml"
    file.write_text('tools = ["files:docs", "calculator"]')
    config = load(file, environ={})
    assert config.tools == (f"files:{tmp_path / 'project' / 'docs'}", "calculator")
    assert [t.name for t in build(config)["tools"]] == ["list_files", "read_file", "search_files", "calculator"]
    assert load(file, environ={"LUMOSAI_TOOLS": "files:docs"}).tools == ("files:docs",)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"tools": "calculator"}, r"agent 'x': tools must be a list, such as \['calculator'\]"),
        ({"enable_streaming": "yes"}, "agent 'x': enable_streaming: 'yes' is a text; allowed: true or false"),
        ({"tool_calling": "maybe"}, "agent 'x': tool_calling: 'maybe'.*constrained"),
        ({"instructions": 3}, "agent 'x': instructions: 3 is a whole number"),
        ({"limits": 3}, r"agent 'x': limits must be Limits\(…\), not 3"),
        ({"limits": {"max_stps": 3}}, "limits.max_stps: there is no such key .*'max_steps'"),
    ],
)
def test_settings_made_in_python_are_checked_too(fields, message):
    """A wrong type is told at once, with the agent and the field."""
    with pytest.raises(ConfigurationError, match=message):
        AgentConfig("x", **fields)


def test_tables_in_python():
    """Settings and limits may be plain mappings, tools a list."""
    config = AgentConfig("x", tools=["calculator"], limits={"max_steps": 3}, settings={"stop": ["."]})
    assert config.tools == ("calculator",)
    assert config.limits == Limits(max_steps=3)
    assert config.settings.stop == (".",)


def test_secrets_are_shown_as_references(tmp_path):
    """What may be shown of a value never holds a secret, wherever it was put."""
    path = tmp_path / "x.toml"
    path.write_text(
        '[model]\nname = "openai:x"\napi_key = "${HOUSE_KEY}"\nbase_url = "http://u:${PASSWORD}@h/v1"\n'
        'headers = { Authorization = "Bearer ${T}", Other = "${MY_TOKEN}", Plain = "${PLAIN}" }\n'
    )
    environ = {"HOUSE_KEY": "s3cret", "PASSWORD": "s3cret", "T": "s3cret", "MY_TOKEN": "s3cret", "PLAIN": "shown"}
    setting = resolve(read(path), "assistant", environ=environ)["model",]
    assert "s3cret" not in repr(setting.shown)
    assert setting.shown["headers"] == {"Authorization": "Bearer ${T}", "Other": "${MY_TOKEN}", "Plain": "shown"}
    assert setting.value["api_key"] == "s3cret"
    shown = resolve(from_mapping({}), "assistant", environ={"LUMOSAI_MODEL": "http://u:s3cret@h"})["model",].shown
    assert "s3cret" not in shown


def test_recall_is_configured_short_or_as_a_table(tmp_path):
    """A word says over what; a table says the rest; a variable wins over either; the memory that comes of it recalls."""
    file = tmp_path / "lumosai.toml"
    file.write_text(
        'memory = "sqlite://"\n[recall]\ntop_k = 2\nembedder = "none"\n[agents.a]\nrecall = "resource"\n[agents.b]\n'
    )
    one, two = load_all(file, environ={"LUMOSAI_RECALL_BEFORE": "0"})
    assert one.recall == Recall("resource", top_k=2, before=0, embedder=None)
    assert two.recall == Recall(top_k=2, before=0, embedder=None)
    assert load(file, name="a", environ={"LUMOSAI_RECALL": "thread"}).recall.over == "thread"
    assert AgentConfig(recall="thread").recall == load({"recall": Recall("thread")}).recall == Recall("thread")
    made, none = build(one)["memory"]._settings.recall, build(two)["memory"]._settings.recall
    assert (made.over, made.top_k, made.before, none) == ("resource", 2, 0, None)
    with pytest.raises(ConfigurationError, match="over"):
        AgentConfig(recall="everything")


def test_processors_by_name_and_by_import_path(tmp_path, monkeypatch):
    """Those that come along with their options, one's own with theirs; nothing is imported before an agent is built."""
    from lumosai.agent.config import memory_of
    from lumosai.memory import Deduplicate, RoleFilter, ToolCallFilter

    monkeypatch.delitem(sys.modules, "own_processors", raising=False)
    (tmp_path / "own_processors.py").write_text(
        "def short(plan):\n    pass\n\nclass Least:\n    def __init__(self, chars=3):\n        self.chars = chars\n\n"
        "    def __call__(self, plan):\n        pass\n"
    )
    (tmp_path / "lumosai.toml").write_text(
        'memory = "sqlite://"\n'
        'processors = ["ToolCallFilter", { name = "deduplicate", min_chars = 9 }, { name = "role-filter", roles = ["tool"] },'
        ' "own_processors:short", "own_processors:Least", { name = "own_processors:Least", chars = 5 }]\n'
    )
    config = load(tmp_path / "lumosai.toml", environ={})
    assert memory_of(config, runs=False) is not None
    assert "own_processors" not in sys.modules
    monkeypatch.setattr(sys, "path", [*sys.path])
    made = build(config)["memory"]._settings.processors  # what a run is planned by
    calls, twice, roles, short, least, more = made
    assert isinstance(calls, ToolCallFilter) and isinstance(roles, RoleFilter) and roles.roles == {"tool"}
    assert isinstance(twice, Deduplicate) and twice.min_chars == 9
    assert short is sys.modules["own_processors"].short and (least.chars, more.chars) == (3, 5)
    assert build(load({"memory": "sqlite://", "processors": [short]}))["memory"]._settings.processors == (short,)


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ("dedupliate", "did you mean 'deduplicate'"),
        ({"name": "clamp", "least": 3}, "cannot be made"),
        ({"name": "clamp", "most": 0}, "at least one token"),
        ({"most": 4}, "a table with a `name`"),
        ("no_such_module:f", "cannot be imported: there is no module 'no_such_module'"),
        ("json:dump_it", "json has no 'dump_it' (did you mean 'dump'?)"),
        ("json:__all__", "cannot be called"),
    ],
)
def test_a_processor_that_cannot_be_is_named(entry, said):
    """What it is, and what would do."""
    with pytest.raises(ConfigurationError) as raised:
        build(load({"memory": "sqlite://", "processors": [entry]}))
    assert said in str(raised.value)
