"""`lumosai chat` at a real (pseudo) terminal, and from a pipe."""

from __future__ import annotations

import asyncio
import stat
import sys

import pytest

from tests.cli.shell import environment, lumosai, provider, terminal
from tests.servers import Call, Reply, improvise, serve_in_thread

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="pseudo-terminals are a Unix thing")


@pytest.fixture
def home(tmp_path):
    return tmp_path


def chatting(server, home, *arguments):
    env = environment(home, **provider(server.base_url))
    return terminal("chat", "--model", "openai:test-model", *arguments, env=env, cwd=home)


def test_a_conversation_is_kept(home):
    """The second question is sent with the first and its answer; lines stay in a history file of one's own."""
    with serve_in_thread() as server, chatting(server, home, "--system", "Be brief.") as chat:
        chat.expect("assistant · model: openai:test-model · tools: none")
        chat.line("我叫Alice")
        chat.expect("You said: 我叫Alice")
        chat.expect(r"10 in \+ 5 out tokens · .* test-model")
        chat.line("我叫什么名字？")
        chat.expect("You said: 我叫什么名字？")
        chat.expect("tokens")
        chat.expect(">")
        chat.send("\x04")
        assert chat.ends() == 0
        roles = [(m["role"], m["content"]) for m in server.requests[-1].messages]
    assert roles == [
        ("system", "Be brief."),
        ("user", "我叫Alice"),
        ("assistant", "You said: 我叫Alice"),
        ("user", "我叫什么名字？"),
    ]
    history = home / ".local/state/lumosai/chat_history"
    assert "+我叫什么名字？" in history.read_text(encoding="utf-8")
    assert stat.S_IMODE(history.stat().st_mode) == 0o600


def test_ctrl_c_stops_the_answer_and_not_the_program(home):
    """The provider's stream is closed, what came is kept, and the chat goes on; then Ctrl-C leaves."""
    hold = asyncio.Event()  # never set: the answer hangs after its first words
    replies = iter([Reply("Once upon a time there was", hold=hold, hold_at=4)])
    with (
        serve_in_thread(lambda request: next(replies, None) or improvise(request)) as server,
        chatting(server, home) as chat,
    ):
        chat.expect("/help")
        chat.line("tell a story")
        chat.expect("Once upon a ")
        chat.send("\x03")
        chat.expect("cancelled")
        chat.line("go on")
        chat.expect("You said: go on")
        chat.expect("tokens")
        assert server.requests[0].cancelled
        sent = [(m["role"], m["content"]) for m in server.requests[1].messages]
        chat.expect(">")
        chat.send("\x03")
        chat.expect("Ctrl-C again, or Ctrl-D, leaves")
        chat.send("\x03")
        assert chat.ends() == 0
    assert sent == [("user", "tell a story"), ("assistant", "Once upon a "), ("user", "go on")]
    assert "Traceback" not in chat.seen


def test_tools_show_what_they_do(home):
    """A call is shown with its arguments and its result, and its messages stay in the conversation."""
    with serve_in_thread() as server, chatting(server, home, "--tools", "calculator") as chat:
        chat.expect("tools: calculator")
        chat.line("What is 17 * 23?")
        chat.expect(r'→ calculator\(expression="17 \* 23"')
        chat.expect("← calculator: .*391")
        chat.expect("The answer is .*391")
        chat.expect("tokens")
        chat.line("/tools none")
        chat.expect("no tools")
        chat.line("and now?")
        chat.expect("You said: and now?")
        roles = [m["role"] for m in server.requests[-1].messages]
    assert roles == ["user", "assistant", "tool", "assistant", "user"]


def test_a_silent_model_shows_a_sign_of_life(home):
    """Seconds are counted while nothing comes, and the line is taken away when something does."""
    hold = asyncio.Event()
    with (
        serve_in_thread([Reply("Here.", reasoning="hm", hold=hold, hold_at=2)]) as server,
        chatting(server, home) as chat,
    ):
        chat.expect("/help")
        chat.line("well?")
        chat.expect("… thinking, 1 s")
        chat.send("\x03")
        chat.expect("cancelled")
    assert "\r\x1b[2K" in chat.seen


def test_slash_commands(home):
    """Help, another model, forgetting, an unknown command, a message that only looks like one, leaving."""
    with serve_in_thread() as server, chatting(server, home) as chat:
        chat.expect("/help")
        chat.line("/help")
        chat.expect("/clear +forget what was said")
        chat.line("/model openai:other")
        chat.expect("model: openai:other")
        chat.line("/model nobody:x")
        chat.expect("lumosai: .*nobody")
        chat.expect("model: openai:other")
        chat.line("hello")
        chat.expect("You said: hello")
        chat.expect("tokens")
        chat.line("/clear")
        chat.expect("forgotten")
        chat.line("/etc/hosts is a file")
        chat.expect("You said: /etc/hosts is a file")
        chat.expect("tokens")
        chat.line("/nope")
        chat.expect("there is no /nope")
        chat.line("/exit")
        assert chat.ends() == 0
        assert server.requests[-1].json["model"] == "other"
        assert len(server.requests[-1].messages) == 1


def test_an_error_does_not_end_the_chat(home):
    """A provider's refusal is one line; the next question is asked as if for the first time."""
    replies = iter([Reply("no such key", status=401)])
    with (
        serve_in_thread(lambda request: next(replies, None) or improvise(request)) as server,
        chatting(server, home) as chat,
    ):
        chat.expect("/help")
        chat.line("first")
        chat.expect("lumosai: .*no such key")
        chat.line("second")
        chat.expect("You said: second")
        chat.expect("tokens")
        assert len(server.requests[-1].messages) == 1
    assert "Traceback" not in chat.seen


GUARDED = """\
from lumosai import tool

@tool(approval=True)
def wipe(path: str) -> str:
    'Wipe a path.'
    return f'wiped {path}'
"""


@pytest.mark.parametrize("kind", ["xterm-256color", "dumb"])
def test_a_call_that_needs_approval_is_asked_about(home, kind):
    """The user sees the arguments and decides; a refusal reaches the model, and Ctrl-C cancels the answer."""
    (home / "guarded.py").write_text(GUARDED)
    replies = iter([r for p in "abc" for r in (Reply(calls=[Call("wipe", {"path": f"/tmp/{p}"})]), Reply(f"ok {p}"))])
    with serve_in_thread(lambda request: next(replies)) as server:
        env = environment(home, TERM=kind, **provider(server.base_url))
        with terminal("chat", "-m", "openai:m", "-t", "guarded:wipe", env=env, cwd=home) as chat:
            chat.expect("tools: wipe")
            chat.line("wipe a")
            chat.expect(r'\? wipe\(path="/tmp/a"\) needs your approval')
            chat.expect("allow it")
            chat.line("n")
            chat.expect("denied")
            chat.expect("ok a")
            chat.expect("tokens")
            assert "the user refused" in server.requests[1].messages[-1]["content"]
            chat.line("wipe b")
            chat.expect("allow it")
            chat.line("y")
            chat.expect("granted")
            chat.expect("wiped /tmp/b")
            chat.expect("ok b")
            chat.expect("tokens")
            chat.line("wipe c")
            chat.expect("allow it.*")
            chat.send("\x03")
            chat.expect("cancelled")
            chat.expect("Ctrl-C again, or Ctrl-D, leaves")
            chat.expect(">")
            chat.send("\x03")
            assert chat.ends() == 0
    assert "Traceback" not in chat.seen
    assert len(server.requests) == 5


def test_messages_from_a_pipe(home):
    """Each line is a message, the answers go to standard output, everything else to standard error."""
    with serve_in_thread() as server:
        env = environment(home, **provider(server.base_url))
        done = lumosai("chat", "-m", "openai:test-model", env=env, cwd=home, given="one\n\n两\r\n/clear\nthree")
        sizes = [len(r.messages) for r in server.requests]
    assert done.returncode == 0
    assert done.stdout == "You said: one\nYou said: 两\nYou said: three\n"
    assert sizes == [1, 3, 1]
    assert "tokens" in done.stderr
    assert "\x1b" not in done.stdout + done.stderr
