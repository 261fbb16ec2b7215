"""`lumosai sessions`, in processes of their own."""

from __future__ import annotations

import asyncio
import json

from lumosai import Memory
from tests.cli.shell import environment, lumosai


def test_sessions_are_listed_shown_ended_and_cleaned(tmp_path):
    """Each command says what it did, prints JSON where it is asked to, and names what is not there."""

    async def make() -> list[str]:
        async with Memory(f"sqlite:///{tmp_path / 'kept.db'}") as memory:
            alice = await memory.session("alice", agent="shop")
            await alice.update({"cart": ["tea"]})
            bob = await memory.session("bob", agent="shop", idle_timeout_s=0)
            return [alice.id, bob.id]

    alice, bob = asyncio.run(make())
    at = {"env": environment(tmp_path), "cwd": tmp_path}
    memory = ("--memory", "sqlite:///kept.db")
    listed = lumosai("sessions", "list", *memory, **at)
    assert [line.split()[0] for line in listed.stdout.splitlines()] == [bob, alice]
    assert "active  alice with shop" in listed.stdout
    shown = json.loads(lumosai("sessions", "show", alice, "--json", *memory, **at).stdout)
    assert (shown["state"], shown["variables"]) == ("active", {"cart": ["tea"]})
    assert lumosai("sessions", "complete", alice, "--reason", "sold", *memory, **at).returncode == 0
    assert lumosai("sessions", "clean", "--days", "0", *memory, **at).stdout == "1 expired, 2 deleted\n"
    assert lumosai("sessions", "list", "--json", *memory, **at).stdout.strip() == "[]"
    gone = lumosai("sessions", "show", alice, *memory, **at)
    assert gone.returncode == 1
    assert alice in gone.stderr
    assert lumosai("sessions", "list", "--state", "asleep", *memory, **at).returncode == 1
