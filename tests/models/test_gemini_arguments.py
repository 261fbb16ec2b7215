"""Arguments of calls that are streamed: put together whole, and never taken for whole where they are not."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lumosai._repair import repair_object
from lumosai.models._gemini_arguments import Arguments, steps
from lumosai.models._gemini_wire import PartialArg
from tests.models.gemini_streams import Kind, at, more
from tests.models.test_gemini_streams import message_of, read


def test_a_call_that_was_cut_off_is_no_call() -> None:
    """Arguments that were to go on when the answer ended are text that nobody takes for whole, or mends."""
    for pieces in (
        [],
        [at("$.city", "New ", go_on=True)],
        [at("$.city", "Rome")],
        [at("$.a.b", "x")],
        [at("$.l[0]", 1)],
    ):
        for end in ("MAX_TOKENS", "STOP"):
            chunks = read(Kind([[more(name="f")], [more(*pieces)], []], end=end).sse)
            (made,) = message_of(chunks).tool_calls
            assert made.arguments is None and made.raw is not None
            assert repair_object(made.raw) is None


@pytest.mark.parametrize("path", ["$", "", "a", "$.", "$..a", "$.a[", "$[0]", "$.a[-1]", "$.*", "$.a[*]", "$x"])
def test_a_path_that_names_no_place(path: str) -> None:
    """It is an error of the wire, not a guess."""
    with pytest.raises(ValueError, match="names no place"):
        steps(path)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8")),
    lambda inner: (
        st.lists(inner, min_size=1, max_size=3)
        | st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=5), inner, min_size=1, max_size=3)
    ),
    max_leaves=8,
)


@given(st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=5), JSON, max_size=4), st.randoms())
def test_arguments_put_together(value: dict[str, Any], chance: Any) -> None:
    """Whatever the arguments, streamed value by value with strings in pieces they come out equal."""
    arguments = Arguments(None)
    for path, leaf in leaves("$", value):
        if isinstance(leaf, str) and len(leaf) > 1:
            place = chance.randrange(len(leaf))
            arguments.add([PartialArg(path, string_value=leaf[:place], will_continue=True)])
            arguments.add([PartialArg(path, string_value=leaf[place:])])
        elif isinstance(leaf, bool):
            arguments.add([PartialArg(path, bool_value=leaf)])
        elif isinstance(leaf, str):
            arguments.add([PartialArg(path, string_value=leaf)])
        else:
            arguments.add([PartialArg(path, number_value=leaf)])
    assert json.loads(arguments.whole()) == value
    assert repair_object(arguments.cut()) is None


def leaves(path: str, value: Any) -> list[tuple[str, Any]]:
    if isinstance(value, dict):
        return [leaf for k, v in value.items() for leaf in leaves(f"{path}[{json.dumps(k)}]", v)]
    if isinstance(value, list):
        return [leaf for n, v in enumerate(value) for leaf in leaves(f"{path}[{n}]", v)]
    return [(path, value)]
