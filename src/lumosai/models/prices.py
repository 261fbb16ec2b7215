"""What an answer costs, in US dollars: by the price a user gave, else by the `genai-prices` package where it is installed.

An unknown price is unknown, never 0; a model that runs on one's own machine costs 0 and says so. The package is large
(half a second and some 25 MB), so it is loaded only once a model is asked that it may know.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import msgspec

from lumosai.errors import ConfigurationError
from lumosai.models.providers import PROVIDERS

if TYPE_CHECKING:
    from lumosai.records import Usage

_MILLION: Final = Decimal(1_000_000)
_FREE: Final = (Decimal(0), "local")
_UNKNOWN: Final = (None, None)
_SIMPLE: Final = {"input_mtok", "output_mtok", "cache_read_mtok", "cache_write_mtok"}


class Price(msgspec.Struct, frozen=True):
    """US dollars for a million tokens.

    Attributes:
        input: tokens of the prompt.
        output: generated tokens, reasoning among them.
        cache_read: tokens of the prompt that the provider's cache held; as `input` where None.
        cache_write: tokens of the prompt that were written to it; as `input` where None.
        version: where the price is from and of which day, for whoever reads a stored cost.
    """

    input: Decimal
    output: Decimal
    cache_read: Decimal | None = None
    cache_write: Decimal | None = None
    version: str = "given"

    def of(self, usage: Usage) -> Decimal:
        """What those tokens cost."""
        read, written = usage.cache_read_tokens, usage.cache_write_tokens
        plain = max(0, usage.input_tokens - read - written)
        total = plain * self.input + usage.output_tokens * self.output
        total += read * (self.input if self.cache_read is None else self.cache_read)
        total += written * (self.input if self.cache_write is None else self.cache_write)
        return total / _MILLION


Given = Price | Mapping[str, Any] | tuple[Any, Any] | Callable[["Usage"], Any]
"""What `price=` takes: a `Price`, a table of its fields, (input, output), or a function from `Usage` to dollars."""


def cost(
    provider: str,
    model: str,
    usage: Usage,
    *,
    local: bool = False,
    price: Any = None,
) -> tuple[Decimal | None, str | None]:
    """What an answer costs and by which price list, or (None, None) where no price is known.

    Args:
        provider: whose model it is.
        model: its name there.
        usage: the tokens of the answer.
        local: whether it runs on this machine and so costs nothing.
        price: what the user says it costs, in one of the forms of `Given`; it goes before all else.

    Raises:
        ConfigurationError: `price` is of none of those forms.
    """
    if type(price) is dict and (provider, model) in price:  # a chain of models, each with a price of its own
        price = price[provider, model]
    elif type(price) is dict and price and isinstance(next(iter(price)), tuple):
        price = None
    if price is not None:
        if callable(price) and not isinstance(price, Price):
            return _decimal(price(usage)), "given"
        own = given(price)
        return own.of(usage), own.version
    if local:
        return _FREE
    try:
        known = _known[provider, model]
    except KeyError:
        known = _known[provider, model] = _look_up(provider, model)
    if isinstance(known, tuple):
        return known
    if isinstance(known, Price):
        return known.of(usage), known.version
    return known(usage)


def given(price: Any) -> Price:
    """A user's price as a `Price`.

    Raises:
        ConfigurationError: it is of none of the forms of `Given`.
    """
    if isinstance(price, Price):
        return price
    try:
        if isinstance(price, Mapping):
            fields: dict[str, Any] = {
                str(k): v if k == "version" or v is None else _decimal(v) for k, v in price.items()
            }
            return Price(**fields)
        inputs, outputs = price
        return Price(_decimal(inputs), _decimal(outputs))
    except (TypeError, ValueError, ArithmeticError) as error:
        msg = (
            f"price={price!r} is no price: give (input, output) in US dollars for a million tokens, a Price, or a table "
            "with input, output and perhaps cache_read and cache_write"
        )
        raise ConfigurationError(msg) from error


def prepare(provider: str, model: str) -> None:
    """Loads the price list aside, if this model is the first that needs it, so that no answer waits for it."""
    global _loading  # noqa: PLW0603  # once a process
    if _loading is None and (provider, model) not in _known and _listed(provider, model):
        _loading = threading.Thread(target=_package, name="lumosai-prices", daemon=True)
        _loading.start()


Cost = tuple[Decimal | None, str | None]
"""What an answer costs, and by which price list."""
_known: dict[tuple[str, str], Price | Cost | Callable[[Usage], Cost]] = {}
_loading: threading.Thread | None = None


def _listed(provider: str, model: str) -> bool:
    """Whether a price list may know this model: its provider has one, and such names."""
    entry = PROVIDERS.get(provider)
    return entry is not None and entry.has_price(model)


def _look_up(provider: str, model: str) -> Price | Cost | Callable[[Usage], Cost]:
    entry = PROVIDERS.get(provider)
    if entry is not None and entry.costs_nothing(model):
        return _FREE
    package = _package() if entry is not None and _listed(provider, model) else None
    if package is None or entry is None:
        return _UNKNOWN
    return _from_package(package, entry.prices, model)


def _package() -> Any:
    """The `genai-prices` package, None where it is not installed."""
    try:
        import genai_prices
        import genai_prices.data
    except ImportError:
        return None
    return genai_prices


def _from_package(package: Any, provider_id: str, model: str) -> Price | Cost | Callable[[Usage], Cost]:
    """The price in the package: as a `Price` where it is one number each, else as a question to the package."""
    version = f"genai-prices {package.__version__}"
    try:
        found = package.calc_price(package.Usage(input_tokens=1, output_tokens=1), model, provider_id=provider_id)
    except LookupError:
        return _UNKNOWN
    rates = {k: v for k, v in vars(found.model_price).items() if v is not None and k.endswith("_mtok")}
    always = not isinstance(found.model.prices, list)
    if always and rates.keys() <= _SIMPLE and all(isinstance(v, Decimal) for v in rates.values()):
        free = Decimal(0)
        return Price(
            rates.get("input_mtok", free),
            rates.get("output_mtok", free),
            rates.get("cache_read_mtok"),
            rates.get("cache_write_mtok"),
            version,
        )

    def ask(usage: Usage) -> tuple[Decimal | None, str | None]:
        tokens = package.Usage(
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens,
            cache_read_tokens=usage.cache_read_tokens or None,
            cache_write_tokens=usage.cache_write_tokens or None,
        )
        try:
            return package.calc_price(tokens, model, provider_id=provider_id).total_price, version
        except (LookupError, ValueError):
            # A usage that the package holds to be impossible, such as more cached than sent tokens.
            return _UNKNOWN

    return ask


def _decimal(value: Any) -> Decimal:
    return value if isinstance(value, Decimal) else Decimal(str(value))
