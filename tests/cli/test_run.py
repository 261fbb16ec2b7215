"""`lumosai run`: what goes to which stream, and how it ends."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time

import pytest

from lumosai.events import fold, from_json
from tests.cli.shell import PROGRAM, environment, lumosai, provider
from tests.servers import Call, Reply, serve_in_thread

MODEL = ("-m", "openai:test-model")


@pytest.fixture
def server():
    with serve_in_thread() as server:
        yield server


@pytest.fixture
def env(server, tmp_path):
    return environment(tmp_path, **provider(server.base_url))


def asked(server):
    return server.requests[-1].messages[-1]["content"]


def test_only_the_answer_is_on_standard_output(env, tmp_path):
    """Tool calls, tokens and time go to standard error, without colour where it is no terminal."""
    done = lumosai("run", "What is 17 * 23?", *MODEL, "-t", "calculator", env=env, cwd=tmp_path)
    assert done.returncode == 0
    assert done.stdout.startswith("The answer is ")
    assert done.stdout.count("\n") == 1
    assert '→ calculator(expression="17 * 23"' in done.stderr
    assert "tokens" in done.stderr
    assert "\x1b" not in done.stdout + done.stderr


def test_quiet_says_nothing_but_the_answer(env, tmp_path):
    """Standard error stays empty."""
    done = lumosai("run", "你好", *MODEL, "--quiet", env=env, cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "You said: 你好\n", "")


@pytest.mark.parametrize(
    ("arguments", "given", "question"),
    [
        (("-",), "from a pipe\n", "from a pipe"),
        ((), "从管道来", "从管道来"),
        (("sum up:",), "some text\n", "sum up:\n\nsome text"),
        (("just this",), "", "just this"),
        ((), b"\xef\xbb\xbfwith a mark \xff", "with a mark \ufffd"),
    ],
)
def test_the_question_may_come_from_a_pipe(server, env, tmp_path, arguments, given, question):
    """Alone, by "-", or behind the argument."""
    done = lumosai("run", *arguments, *MODEL, env=env, cwd=tmp_path, given=given)
    assert done.returncode == 0, done.stderr
    assert asked(server) == question


def test_no_question_is_wrong_usage(env, tmp_path):
    """Exit code 2, and the way to ask."""
    done = lumosai("run", *MODEL, env=env, cwd=tmp_path)
    assert done.returncode == 2
    assert "nothing to ask" in done.stderr
    assert done.stdout == ""


def test_events_as_json_lines(env, tmp_path):
    """One event a line, and together they fold to the result."""
    done = lumosai("run", "hello", *MODEL, "--json", env=env, cwd=tmp_path)
    events = [from_json(line) for line in done.stdout.splitlines()]
    assert [e.seq for e in events] == list(range(1, len(events) + 1))
    assert fold(events).text == "You said: hello"
    assert done.stderr == ""
    assert json.loads(done.stdout.splitlines()[-1])["type"] == "generation_complete"


def test_the_answer_streams(tmp_path):
    """The first words are out while the provider still holds the rest back."""
    hold = asyncio.Event()
    with serve_in_thread([Reply("One two three", hold=hold, hold_at=3)]) as server:
        process = subprocess.Popen(
            [*PROGRAM, "run", "count", *MODEL, "-q"],
            env=environment(tmp_path, **provider(server.base_url)),
            cwd=tmp_path,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
        )
        with process:
            assert process.stdout.read(8) == b"One two "
            assert process.poll() is None
            process.kill()


def test_without_streaming_the_last_step_alone_is_printed(tmp_path):
    """`--no-stream`: words before a tool call are not part of the answer."""
    replies = [Reply("Let me see.", calls=[Call("calculator", {"expression": "1+1"})]), Reply("It is 2.")]
    with serve_in_thread(replies) as server:
        env = environment(tmp_path, **provider(server.base_url))
        done = lumosai("run", "1+1?", *MODEL, "-t", "calculator", "--no-stream", env=env, cwd=tmp_path)
    assert done.stdout == "It is 2.\n"


@pytest.mark.parametrize(
    ("reply", "holds"),
    [
        (Reply("the key is wrong", status=401), "the key is wrong"),
        (Reply(body=b"<html>hi</html>", content_type="text/html"), "lumosai: "),
        (Reply("part", cut_after=2), "lumosai: "),
    ],
)
def test_a_failure_is_one_line_and_exit_code_1(tmp_path, reply, holds):
    """No traceback, the provider's words kept, the key never shown."""
    with serve_in_thread([reply]) as server:
        env = environment(tmp_path, **provider(server.base_url))
        done = lumosai("run", "hi", *MODEL, "--quiet", env=env, cwd=tmp_path)
    assert done.returncode == 1
    assert holds in done.stderr
    assert done.stderr.count("\n") == 1
    assert "Traceback" not in done.stderr
    assert "sk-test" not in done.stderr


def test_an_empty_answer_is_a_failure(tmp_path):
    """A script must not take nothing for an answer."""
    with serve_in_thread([Reply("")]) as server:
        env = environment(tmp_path, **provider(server.base_url))
        done = lumosai("run", "hi", *MODEL, "--quiet", env=env, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "lumosai: the model ended without an answer\n"


@pytest.mark.parametrize(
    ("arguments", "holds"),
    [
        (("-m", "opnai:x"), "openai"),
        (("-m", "anthropic:x"), "ANTHROPIC_API_KEY"),
        ((*MODEL, "-t", "calculater"), "calculator"),
        ((*MODEL, "-t", "nope.nope:x"), "there is no module 'nope'"),
        ((*MODEL, "-c", "nope.toml"), "nope.toml cannot be read"),
        ((*MODEL, "-a", "other"), "no agent 'other'"),
    ],
)
def test_what_cannot_be_set_up_is_one_line(env, tmp_path, arguments, holds):
    """Unknown names come with near ones; nothing was asked."""
    done = lumosai("run", "hi", *arguments, env=env, cwd=tmp_path)
    assert done.returncode == 1
    assert holds in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("lumosai: ")


def test_a_missing_key_names_its_variable(tmp_path):
    """Which variable, where to get a key, and that a local model needs none."""
    done = lumosai("run", "hi", "-m", "deepseek:deepseek-chat", env=environment(tmp_path), cwd=tmp_path)
    assert done.returncode == 1
    assert "DEEPSEEK_API_KEY" in done.stderr
    assert "local" in done.stderr


def test_debug_shows_the_traceback(env, tmp_path):
    """And only then."""
    done = lumosai("run", "hi", *MODEL, "-t", "broken:x", "--debug", env=env, cwd=tmp_path)
    assert done.returncode == 1
    assert "Traceback" in done.stderr


def test_an_unexpected_error_is_one_line_too(env, tmp_path):
    """A bug anywhere becomes a line that says how to see more."""
    (tmp_path / "broken.py").write_text(
        "class X:\n    @property\n    def definition(self): return self.nope()\nx = X()\n"
    )
    done = lumosai("run", "hi", *MODEL, "-t", "broken:x", env=env, cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1


@pytest.mark.skipif(sys.platform == "win32", reason="signals are a Unix thing")
def test_ctrl_c_cancels_and_leaves_with_130(tmp_path):
    """What came is on standard output, with its line ended; the provider's stream is closed."""
    hold = asyncio.Event()
    with serve_in_thread([Reply("One two three", hold=hold, hold_at=3)]) as server:
        process = subprocess.Popen(
            [*PROGRAM, "run", "count", *MODEL],
            env=environment(tmp_path, **provider(server.base_url)),
            cwd=tmp_path,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            # A shell's background job ignores Ctrl-C, and so would its children.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )
        with process:
            first = process.stdout.read(8)
            os.kill(process.pid, signal.SIGINT)
            out, err = process.communicate(timeout=150)
        assert (process.returncode, first + out) == (130, b"One two \n")
        assert b"cancelled" in err
        assert b"Traceback" not in err
        deadline = time.monotonic() + 60
        while not server.requests[0].cancelled and time.monotonic() < deadline:
            time.sleep(0.01)
        assert server.requests[0].cancelled


@pytest.mark.skipif(sys.platform == "win32", reason="broken pipes are a Unix thing")
def test_a_reader_that_goes_away(tmp_path):
    """`lumosai run … | head -c 1` ends quietly."""
    with serve_in_thread([Reply("word " * 5000)]) as server:
        process = subprocess.Popen(
            [*PROGRAM, "run", "talk", *MODEL, "-q"],
            env=environment(tmp_path, **provider(server.base_url)),
            cwd=tmp_path,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        with process:
            process.stdout.read(1)
            process.stdout.close()
            err = process.stderr.read()
            assert process.wait(30) == 141
    assert err == b""


def test_a_call_that_needs_approval_is_refused_unless_approved(tmp_path):
    """Nobody is there to be asked: the call is denied, or with --yes it runs."""
    (tmp_path / "guarded.py").write_text(
        "from lumosai import tool\n\n@tool(approval=True)\ndef wipe(path: str) -> str:\n"
        "    'Wipe a path.'\n    return f'wiped {path}'\n"
    )
    replies = [Reply(calls=[Call("wipe", {"path": "/tmp/a"})]), Reply("ok")]
    for flags, told in (((), "refused"), (("--yes",), "wiped /tmp/a")):
        with serve_in_thread(replies) as server:
            env = environment(tmp_path, **provider(server.base_url))
            done = lumosai("run", "wipe", *MODEL, "-t", "guarded:wipe", *flags, env=env, cwd=tmp_path)
            assert done.returncode == 0, done.stderr
            assert told in asked(server)


def test_settings_of_a_file_are_sent(server, env, tmp_path):
    """The nearest lumosai.toml counts, below it the agent that is named; flags win."""
    (tmp_path / "lumosai.toml").write_text(
        'model = "openai:from-file"\n[settings]\nseed = 7\n[agents.a]\ninstructions = "Be a."\n[agents.b]\n'
    )
    inner = tmp_path / "inner"
    inner.mkdir()
    lumosai("run", "hi", env=env, cwd=inner)
    assert server.requests[-1].json["model"] == "from-file"
    assert server.requests[-1].json["seed"] == 7
    assert server.requests[-1].messages[0] == {"role": "system", "content": "Be a."}
    lumosai("run", "hi", "-a", "b", *MODEL, env=env, cwd=inner)
    assert server.requests[-1].json["model"] == "test-model"
    assert len(server.requests[-1].messages) == 1


def test_streaming_off_asks_for_the_whole_answer(server, env, tmp_path):
    """`enable_streaming = false` sends a plain request."""
    (tmp_path / "lumosai.toml").write_text('model = "openai:m"\nenable_streaming = false\n')
    done = lumosai("run", "hi", env=env, cwd=tmp_path)
    assert done.stdout == "You said: hi\n"
    assert not server.requests[-1].json.get("stream")


def test_function_calling_off_is_the_legacy_sentence(tmp_path):
    """Tools are described in the prompt, and the sentence in the answer runs the tool."""
    replies = [Reply('Using the tool \'calculator\' with parameters: {"expression": "6*7"}'), Reply("42.")]
    (tmp_path / "lumosai.toml").write_text(
        'model = "openai:m"\ntools = ["calculator"]\nenable_function_calling = false\n'
    )
    with serve_in_thread(replies) as server:
        done = lumosai("run", "6*7?", env=environment(tmp_path, **provider(server.base_url)), cwd=tmp_path)
        assert "tools" not in server.requests[0].json
        assert "Using the tool" in server.requests[0].messages[0]["content"]
    assert done.stdout == "42.\n"
    assert "← calculator: 42" in done.stderr
