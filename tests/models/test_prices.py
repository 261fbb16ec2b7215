"""What answers cost: exactly, or not known; never a 0 that is not meant."""

from __future__ import annotations

import subprocess
import sys
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lumosai.errors import ConfigurationError
from lumosai.models import prices
from lumosai.models.prices import Price, cost
from lumosai.records import Usage
from tests.conftest import examples

USED = Usage(1000, 100, cache_read_tokens=400, cache_write_tokens=100, total_tokens=1100)


def test_a_given_price() -> None:
    """(input, output) in dollars for a million tokens; cached tokens have their own price where one is given."""
    assert cost("openai", "m", USED, price=(2, 10)) == (Decimal("0.003"), "given")
    price = Price(Decimal(2), Decimal(10), cache_read=Decimal("0.5"), cache_write=Decimal("2.5"), version="my list")
    assert cost("openai", "m", USED, price=price) == (Decimal("0.00245"), "my list")
    table = {"input": 2, "output": 10.0, "cache_read": "0.5", "cache_write": 2.5}
    assert cost("openai", "m", USED, price=table) == (Decimal("0.00245"), "given")
    assert cost("openai", "m", USED, price=lambda u: u.output_tokens * 0.001) == (Decimal("0.1"), "given")


def test_a_given_price_goes_before_all_else() -> None:
    """Even for a local model, and for one that the list knows."""
    assert cost("local", "m", USED, local=True, price=(1, 1))[0] == Decimal("0.0011")
    assert cost("openai", "gpt-4o", USED, price=(0, 0)) == (Decimal(0), "given")


@pytest.mark.parametrize(
    "price", ["cheap", 3, (1,), (1, 2, 3), {"input": 1}, {"in": 1, "out": 2}, ("a", "b"), object()]
)
def test_what_is_no_price(price: Any) -> None:
    """The error shows what was given and what may be."""
    with pytest.raises(ConfigurationError, match="for a million tokens"):
        cost("openai", "m", USED, price=price)


@pytest.mark.parametrize("provider", ["ollama", "lmstudio", "vllm"])
def test_a_server_of_ones_own(provider: str) -> None:
    """Costs nothing and says why; but for what Ollama runs elsewhere."""
    assert cost(provider, "llama3.2", USED) == (Decimal(0), "local")
    assert cost("anything", "m", USED, local=True) == (Decimal(0), "local")
    assert cost("ollama", "gpt-oss:120b-cloud", USED) == (None, None)


@pytest.mark.parametrize(
    ("provider", "model"), [("openai", "calc"), ("scripted", "m"), ("qwen", "qwen-plus"), ("nobody", "x")]
)
def test_a_price_that_nobody_knows(provider: str, model: str) -> None:
    """Unknown, not 0."""
    assert cost(provider, model, USED) == (None, None)


KNOWN = ("openai", "gpt-4o-mini")


def test_a_price_of_the_list() -> None:
    """The package's own figure, with its name and version."""
    package = pytest.importorskip("genai_prices", reason="the extra `prices` is not installed")
    found, version = cost(*KNOWN, Usage(1000, 100))
    wanted = package.calc_price(package.Usage(input_tokens=1000, output_tokens=100), KNOWN[1], provider_id="openai")
    assert found == wanted.total_price and found is not None and found > 0
    assert version == f"genai-prices {package.__version__}"


@settings(max_examples=examples(100), deadline=None)
@given(
    model=st.sampled_from(
        [
            ("openai", "gpt-4o-mini", "openai"),
            ("openai", "gpt-5-mini", "openai"),
            ("deepseek", "deepseek-chat", "deepseek"),
            ("moonshot", "kimi-k2-0905-preview", "moonshotai"),
            ("groq", "llama-3.3-70b-versatile", "groq"),
            ("mistral", "mistral-large-latest", "mistral"),
            ("xai", "grok-3", "x-ai"),
            ("openrouter", "openai/gpt-4o", "openrouter"),
            ("zhipu", "glm-4.7", "zhipuai"),
        ]
    ),
    sent=st.integers(0, 10**6),
    made=st.integers(0, 10**5),
    share=st.floats(0, 1),
)
def test_the_list_is_followed_to_the_cent(model: tuple[str, str, str], sent: int, made: int, share: float) -> None:
    """A price that is kept gives what asking the package anew gives, for any tokens."""
    package = pytest.importorskip("genai_prices", reason="the extra `prices` is not installed")
    provider, name, theirs = model
    cached = int(sent * share)
    found, _ = cost(provider, name, Usage(sent, made, cache_read_tokens=cached))
    usage = package.Usage(input_tokens=sent, output_tokens=made, cache_read_tokens=cached or None)
    assert found == package.calc_price(usage, name, provider_id=theirs).total_price


def test_a_model_the_list_does_not_have() -> None:
    """A provider's name alone makes no price."""
    pytest.importorskip("genai_prices", reason="the extra `prices` is not installed")
    assert cost("openai", "gpt-99-imaginary-of-nobody", USED) == (None, None)


def test_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    """Unknown, and no error."""
    monkeypatch.setitem(sys.modules, "genai_prices", None)
    monkeypatch.setattr(prices, "_known", {})
    assert cost(*KNOWN, USED) == (None, None)


def test_the_package_is_loaded_only_for_a_model_it_may_know() -> None:
    """Half a second and 25 MB are not spent on a local model, a given price, or a name that is none of the provider's."""
    program = (
        "import sys\n"
        "from lumosai.models.prices import cost, prepare\n"
        "from lumosai.records import Usage\n"
        "for provider, model in [('openai', 'calc'), ('ollama', 'llama3'), ('local', 'x'), ('qwen', 'qwen-plus')]:\n"
        "    prepare(provider, model)\n"
        "    cost(provider, model, Usage(1, 1), local=provider == 'local')\n"
        "cost('openai', 'gpt-4o', Usage(1, 1), price=(1, 1))\n"
        "assert 'genai_prices' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=150)


def test_the_list_is_loaded_aside() -> None:
    """`prepare` loads it in a thread, once, so that the first answer does not wait for it."""
    pytest.importorskip("genai_prices", reason="the extra `prices` is not installed")
    program = (
        "import sys, threading\n"
        "from lumosai.models import prices\n"
        "prices.prepare('openai', 'gpt-4o')\n"
        "first = prices._loading\n"
        "prices.prepare('openai', 'gpt-4o-mini')\n"
        "assert prices._loading is first and first is not None\n"
        "first.join()\n"
        "assert 'genai_prices.data' in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=150)
