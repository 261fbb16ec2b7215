"""Ctrl-C: heeded where it can be, remembered where it cannot."""

from __future__ import annotations

import signal
import threading

import pytest

from lumosai.cli.interrupts import Interrupts
from lumosai.cli.line_editor import history_path


def test_one_that_nobody_waits_for_is_remembered():
    """It breaks in nowhere, and is taken once."""
    with Interrupts() as interrupts:
        signal.raise_signal(signal.SIGINT)
        assert interrupts.take()
        assert not interrupts.take()


def test_the_first_stops_and_the_second_raises():
    """While an answer is made."""
    stopped = []
    with Interrupts() as interrupts, interrupts.stopping(lambda: stopped.append(1)):
        signal.raise_signal(signal.SIGINT)
        assert stopped == [1]
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert not interrupts.pending


def test_a_read_that_nothing_else_ends_is_broken_off():
    """At once where one is pending, else when it comes."""
    with Interrupts() as interrupts:
        with pytest.raises(KeyboardInterrupt), interrupts.raising():
            signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt), interrupts.raising():
            pytest.fail("it was pending")
        assert not interrupts.take()


def test_the_handler_before_it_is_put_back():
    """Outside, Ctrl-C is Python's own again; in another thread nothing is touched."""
    before = signal.getsignal(signal.SIGINT)
    with Interrupts():
        assert signal.getsignal(signal.SIGINT) is not before
    assert signal.getsignal(signal.SIGINT) is before

    def elsewhere():
        with Interrupts():
            seen.append(signal.getsignal(signal.SIGINT))

    seen = []
    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert seen == [before]


def test_history_is_kept_in_the_state_directory(monkeypatch, tmp_path):
    """`$XDG_STATE_HOME`, else under the home."""
    monkeypatch.setenv("HOME", str(tmp_path))
    assert history_path({"XDG_STATE_HOME": "/s"}).as_posix() == "/s/lumosai/chat_history"
    assert history_path({}) == tmp_path / ".local/state/lumosai/chat_history"
