"""Ids, records and errors."""

from __future__ import annotations

import inspect
import os
import re
import time

import pytest

from lumosai import errors, ids
from lumosai.records import ModelSettings, Usage


def test_run_ids_are_uuid_version_7_and_sort_by_time() -> None:
    """RFC 9562: version, variant, and the milliseconds first."""
    made = [ids.new_id() for _ in range(1000)]
    assert len(set(made)) == 1000
    assert all(re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", m) for m in made)
    stamp = int(made[-1].replace("-", "")[:12], 16)
    assert abs(stamp - time.time() * 1000) < 60_000


def test_trace_and_span_ids_are_the_w3cs() -> None:
    """32 and 16 lower-case hex digits."""
    assert re.fullmatch(r"[0-9a-f]{32}", ids.new_trace_id())
    assert re.fullmatch(r"[0-9a-f]{16}", ids.new_span_id())


def test_a_forked_process_makes_ids_of_its_own() -> None:
    """The generator is seeded anew in a child."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writer, ids.new_trace_id().encode())
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(reader, 64).decode() != ids.new_trace_id()
    os.close(reader)
    os.close(writer)


def test_a_content_hash_knows_no_order_of_keys() -> None:
    """Equal content, equal hash."""
    assert ids.content_hash({"a": 1, "b": 2}) == ids.content_hash({"b": 2, "a": 1})
    assert ids.content_hash({"a": 1}) != ids.content_hash({"a": 2})


def test_usage_adds_up() -> None:
    """Field by field."""
    assert Usage(1, 2, 3, 4, 5, 6) + Usage(1, 1, 1, 1, 1, 1) == Usage(2, 3, 4, 5, 6, 7)


def test_settings_merge_over_each_other() -> None:
    """What is set wins; what is not stays; the extras are joined."""
    base = ModelSettings(temperature=0.1, seed=1, extra={"a": 1})
    merged = base.merge(ModelSettings(temperature=0.0, extra={"b": 2}))
    assert merged == ModelSettings(temperature=0.0, seed=1, extra={"a": 1, "b": 2})
    assert base.merge(None) is base


def test_the_error_tree_is_drawn_as_it_is() -> None:
    """The tree at the top of `errors` names every class, under its parent."""
    drawn: list[tuple[str, str | None]] = []
    stack: list[tuple[int, str]] = []
    for line in (errors.__doc__ or "").splitlines():
        found = re.search(r"(\w+Error)\b", line)
        if not found or line.startswith("Every"):
            continue
        column = found.start()
        while stack and stack[-1][0] >= column:
            stack.pop()
        drawn.append((found[1], stack[-1][1] if stack else None))
        stack.append((column, found[1]))
    real = [c for _, c in inspect.getmembers(errors, inspect.isclass) if issubclass(c, errors.LumosaiError)]
    assert {name for name, _ in drawn} == {c.__name__ for c in real}
    for name, parent in drawn:
        if parent is not None:
            assert getattr(errors, name).__bases__[0].__name__ == parent


def test_errors_carry_data() -> None:
    """Attributes, not only text."""
    error = errors.RateLimitError("slow down", provider="openai", status=429, retry_after_s=2.0)
    assert (error.provider, error.status, error.retry_after_s, error.retryable) == ("openai", 429, 2.0, True)
    missing = errors.MissingExtraError("the local model", extra="local")
    assert "pip install 'lumosai[local]'" in str(missing)
    with pytest.raises(errors.LumosaiError):
        raise errors.UnknownModelError("no such model.", near=["gpt-5"])
