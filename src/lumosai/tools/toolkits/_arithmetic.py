"""Numbers that stay exact as long as they can, and the functions over them, each bounded in cost.

Whole numbers are `int`, decimals and quotients are `Fraction`: `0.1 + 0.2` is 0.3 and `1/3 * 3` is 1. What has no exact value
(roots, logarithms, angles) is a `Decimal` of 50 digits; angles come from the C library and are good to 15. No result may
exceed `MAX_BITS`, so no expression can take the process's time or memory.
"""

from __future__ import annotations

import decimal
import math
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING

from lumosai.errors import ToolError

if TYPE_CHECKING:
    from collections.abc import Callable

Number = int | Fraction | Decimal

MAX_BITS = 131_072
"""The size of the largest exact whole number; about 39,000 digits."""
MAX_DIGITS = MAX_BITS // 4
EXACT_BITS = 4096
"""The size of the largest denominator that is kept exactly; beyond it 50 digits are kept."""
MAX_FACTORIAL = 9_000
MAX_PLACES = 1000
MAX_EXACT_DEGREE = 64
"""The highest degree of a root for which an exact value is looked for."""

CONTEXT = decimal.Context(
    prec=50,
    Emax=999_999,
    Emin=-999_999,
    rounding=decimal.ROUND_HALF_EVEN,
    traps=[decimal.InvalidOperation, decimal.DivisionByZero, decimal.Overflow],
)
_SQUARE = 2
_NOISE = 5e-16  # half a unit in the 15th place
_WHOLE_DIGITS, _LONG_DIGITS, _FRACTION_DIGITS, _SMALLEST = 5000, 40, 60, -7  # what is shown in full
PI = Decimal("3.14159265358979323846264338327950288419716939937510582097494")
E = Decimal("2.71828182845904523536028747135266249775724709369995957496697")


def literal(text: str) -> Number:
    """The exact value of a written number such as `12`, `0.1` or `1e-3`."""
    mantissa, _, exponent = text.lower().partition("e")
    if exponent and abs(int(exponent)) > MAX_DIGITS:
        raise ToolError(
            f"a number with the exponent {exponent[:9]}… is out of range: at most about 39,000 digits can be handled"
        )
    return settle(Fraction(mantissa) * Fraction(10) ** int(exponent or 0))


def settle(value: Number) -> Number:
    """The same value in its simplest kind; one that grew beyond the limits is rounded or refused."""
    if isinstance(value, Fraction):
        if value.denominator == 1:
            value = value.numerator
        elif value.denominator.bit_length() > EXACT_BITS:
            return approximate(value)
    if isinstance(value, int) and value.bit_length() > MAX_BITS:
        raise _too_large()
    return value


def approximate(value: Number) -> Decimal:
    """The value to 50 digits."""
    if isinstance(value, Fraction):
        return CONTEXT.divide(Decimal(value.numerator), Decimal(value.denominator))
    return CONTEXT.plus(Decimal(value))


def add(a: Number, b: Number) -> Number:
    if isinstance(a, Decimal) or isinstance(b, Decimal):
        return CONTEXT.add(approximate(a), approximate(b))
    return settle(a + b)


def subtract(a: Number, b: Number) -> Number:
    return add(a, negate(b))


def negate(x: Number) -> Number:
    # The operator would round a Decimal to the digits of whichever context the thread has.
    return x.copy_negate() if isinstance(x, Decimal) else -x


def absolute(x: Number) -> Number:
    return negate(x) if x < 0 else x


def multiply(a: Number, b: Number) -> Number:
    if isinstance(a, Decimal) or isinstance(b, Decimal):
        return CONTEXT.multiply(approximate(a), approximate(b))
    if _bits(a) + _bits(b) > MAX_BITS + 2:
        raise _too_large()
    return settle(a * b)


def divide(a: Number, b: Number) -> Number:
    _not_zero(b)
    if isinstance(a, Decimal) or isinstance(b, Decimal):
        return CONTEXT.divide(approximate(a), approximate(b))
    if isinstance(a, int) and isinstance(b, int) and b.bit_length() > EXACT_BITS:
        # The greatest common divisor of two huge numbers is dear; an exact division is found without it.
        quotient, rest = divmod(a, b)
        return quotient if rest == 0 else CONTEXT.divide(Decimal(a), Decimal(b))
    return settle(Fraction(a) / Fraction(b))


def floor_divide(a: Number, b: Number) -> Number:
    _not_zero(b)
    if isinstance(a, Decimal) or isinstance(b, Decimal):
        return floor(divide(a, b))
    return a // b


def modulo(a: Number, b: Number) -> Number:
    """The remainder with the sign of `b`, as in Python."""
    return subtract(a, multiply(b, floor_divide(a, b)))


def power(a: Number, b: Number) -> Number:
    if isinstance(b, int) and not isinstance(a, Decimal):
        return _whole_power(a, b)
    if isinstance(b, Fraction) and not isinstance(a, Decimal) and a >= 0 and b.denominator <= MAX_EXACT_DEGREE:
        exact = root(a, b.denominator)
        if not isinstance(exact, Decimal):
            return power(exact, b.numerator)
    base, exponent = approximate(a), approximate(b)
    if base < 0 and exponent != exponent.to_integral_value():
        raise ToolError(f"{show(a)} to the power of {show(b)} is not a real number")
    if base == 0 and exponent <= 0:
        return 1 if exponent == 0 else divide(1, 0)
    return _decimal(lambda: CONTEXT.power(base, exponent))


def _whole_power(a: int | Fraction, b: int) -> Number:
    if b < 0:
        return divide(1, _whole_power(a, -b))
    if a in (0, 1, -1):
        return a if b % 2 else (a * a if b else 1)
    if isinstance(a, Fraction) and _bits(a) * b > 2 * EXACT_BITS:
        return _decimal(lambda: CONTEXT.power(approximate(a), Decimal(b)))
    # The least size that the result can have; it is at most twice that.
    if (_bits(a) - 1) * b > MAX_BITS:
        raise _too_large()
    return settle(a**b)


def _bits(value: int | Fraction) -> int:
    return max(value.numerator.bit_length(), value.denominator.bit_length())


def _not_zero(value: Number) -> None:
    if value == 0:
        raise ToolError("division by zero")


def _too_large() -> ToolError:
    return ToolError("the result is too large: at most about 39,000 digits can be handled")


def _decimal(compute: Callable[[], Decimal]) -> Decimal:
    try:
        return compute()
    except decimal.Overflow:
        raise _too_large() from None
    except decimal.InvalidOperation:
        raise ToolError("the result is not a real number") from None


def sqrt(x: Number) -> Number:
    return root(x, 2)


def cbrt(x: Number) -> Number:
    return root(x, 3)


def root(x: Number, n: Number) -> Number:
    """The real n-th root: exact where there is an exact one."""
    degree = whole(n, "the degree of a root")
    if not 1 <= degree <= MAX_PLACES:
        raise ToolError(f"the degree of a root must be from 1 to {MAX_PLACES}, not {degree}")
    if x < 0:
        if degree % 2 == 0:
            raise ToolError(f"the root of {show(x)} is not a real number")
        return negate(root(negate(x), degree))
    if not isinstance(x, Decimal) and degree <= MAX_EXACT_DEGREE:
        top, bottom = _whole_root(x.numerator, degree), _whole_root(x.denominator, degree)
        if top**degree == x.numerator and bottom**degree == x.denominator:
            return settle(Fraction(top, bottom))
    value = approximate(x)
    return (
        CONTEXT.sqrt(value) if degree == _SQUARE else CONTEXT.power(value, CONTEXT.divide(Decimal(1), Decimal(degree)))
    )


def _whole_root(n: int, degree: int) -> int:
    """The whole part of the root of `n` >= 0, by Newton's method from above."""
    if degree <= _SQUARE:
        return math.isqrt(n) if degree == _SQUARE else n
    if n == 0:
        return 0
    guess = 1 << -(-n.bit_length() // degree)
    while True:
        better = ((degree - 1) * guess + n // guess ** (degree - 1)) // degree
        if better >= guess:
            return guess
        guess = better


def floor(x: Number) -> int:
    return math.floor(x) if not isinstance(x, Decimal) else int(_ranged(x).to_integral_value(decimal.ROUND_FLOOR))


def ceil(x: Number) -> int:
    return -floor(negate(x))


def trunc(x: Number) -> int:
    return floor(x) if x >= 0 else ceil(x)


def round_half_up(x: Number, digits: Number = 0) -> Number:
    """Rounded to `digits` after the point, a half away from zero, as taught at school."""
    places = whole(digits, "the number of digits")
    if abs(places) > MAX_PLACES:
        raise ToolError(f"the number of digits must be from -{MAX_PLACES} to {MAX_PLACES}, not {places}")
    exact = Fraction(_ranged(x) if isinstance(x, Decimal) else x)
    scaled = abs(exact) * Fraction(10) ** places
    rounded = Fraction(math.floor(scaled + Fraction(1, 2)), 1) / Fraction(10) ** places
    return settle(-rounded if x < 0 else rounded)


def _ranged(x: Decimal) -> Decimal:
    """A decimal that may become a whole number without filling the memory."""
    if x.adjusted() > MAX_DIGITS:
        raise _too_large()
    return x if x.adjusted() > -MAX_DIGITS else Decimal(0)


def whole(x: Number, what: str) -> int:
    """`x` as an int; `what` names it in the error where it has a fraction."""
    if x != floor(x):
        raise ToolError(f"{what} must be a whole number, not {show(x)}")
    return floor(x)


def factorial(x: Number) -> Number:
    n = whole(x, "the argument of a factorial")
    if n < 0:
        raise ToolError(f"the factorial of {n} is not defined: the argument must be 0 or more")
    if n > MAX_FACTORIAL:
        raise ToolError(f"the factorial of {show(n)} is too large: at most {MAX_FACTORIAL}! is computed")
    return math.factorial(n)


def combinations(n: Number, k: Number) -> Number:
    return _choose(n, k, math.comb)


def permutations(n: Number, k: Number) -> Number:
    return _choose(n, k, math.perm)


def _choose(n: Number, k: Number, count: Callable[[int, int], int]) -> Number:
    items, chosen = whole(n, "n"), whole(k, "k")
    if items < 0 or chosen < 0:
        raise ToolError("n and k must be 0 or more")
    terms = min(chosen, items - chosen) if count is math.comb else chosen
    if terms * items.bit_length() > MAX_BITS and chosen <= items:
        raise _too_large()
    return count(items, chosen)


def gcd(*xs: Number) -> Number:
    return math.gcd(*(whole(x, "each argument of gcd") for x in xs))


def lcm(*xs: Number) -> Number:
    result = 1
    for x in xs:
        n = whole(x, "each argument of lcm")
        if result.bit_length() + n.bit_length() > MAX_BITS:
            raise _too_large()
        result = math.lcm(result, n)
    return result


def largest(*xs: Number) -> Number:
    return max(xs)


def smallest(*xs: Number) -> Number:
    return min(xs)


def median(*xs: Number) -> Number:
    ordered = sorted(xs)
    half = len(xs) // 2
    return ordered[half] if len(xs) % 2 else divide(add(ordered[half - 1], ordered[half]), 2)


def total(*xs: Number) -> Number:
    result: Number = 0
    for x in xs:
        result = add(result, x)
    return result


def mean(*xs: Number) -> Number:
    return divide(total(*xs), len(xs))


def exp(x: Number) -> Number:
    return 1 if x == 0 else _decimal(lambda: CONTEXT.exp(approximate(x)))


def log(x: Number, base: Number | None = None) -> Number:
    """The natural logarithm, or that to `base`."""
    if x <= 0:
        raise ToolError(f"the logarithm of {show(x)} is not defined: the argument must be above 0")
    if base is None:
        return 0 if x == 1 else CONTEXT.ln(approximate(x))
    if base <= 0 or base == 1:
        raise ToolError(f"{show(base)} cannot be the base of a logarithm: it must be above 0 and not 1")
    value = CONTEXT.divide(CONTEXT.ln(approximate(x)), CONTEXT.ln(approximate(base)))
    nearest = value.to_integral_value()
    # log(1000, 10) is 3 and not 2.99…: proved, where both are exact.
    if (
        abs(nearest) <= EXACT_BITS
        and abs(CONTEXT.subtract(value, nearest)) < Decimal("1e-40")
        and power(base, int(nearest)) == x
    ):
        return int(nearest)
    return value


def log2(x: Number) -> Number:
    return log(x, 2)


def log10(x: Number) -> Number:
    return log(x, 10)


def real(function: Callable[..., float], name: str) -> Callable[..., Number]:
    """A function of the C library, over our numbers; good to 15 digits."""

    def compute(*xs: Number) -> Number:
        try:
            value = function(*(float(x) for x in xs))
        except OverflowError:
            raise ToolError(f"{name} of so large a number cannot be computed") from None
        except ValueError:
            raise ToolError(f"{name}({', '.join(map(show, xs))}) is not defined") from None
        # sin(pi) is 0, not the noise that rounding leaves.
        return 0 if abs(value) < _NOISE else Decimal(f"{value:.15g}")

    return compute


def tangent(x: Number) -> Number:
    if (below := cosine(x)) == 0:
        raise ToolError(f"tan({show(x)}) is not defined")
    return divide(sine(x), below)


sine, cosine = real(math.sin, "sin"), real(math.cos, "cos")


def radians(x: Number) -> Number:
    return CONTEXT.divide(CONTEXT.multiply(approximate(x), PI), Decimal(180))


def degrees(x: Number) -> Number:
    return CONTEXT.divide(CONTEXT.multiply(approximate(x), Decimal(180)), PI)


def show(value: Number, precision: int | None = None) -> str:
    """The number as text: exact where that is short enough, else to 16 digits, or to those of the whole part (up to 40) and five more.

    Args:
        value: the number.
        precision: round to at most this many digits after the point.
    """
    if precision is not None:
        value = round_half_up(value, precision)
    if isinstance(value, int):
        return _show_int(value)
    if isinstance(value, Fraction) and (exact := _terminating(value)) is not None:
        return exact
    rounded = approximate(value)
    with decimal.localcontext(CONTEXT) as context:
        context.prec = max(16, rounded.adjusted() + 6) if rounded.adjusted() < _LONG_DIGITS else 16
        rounded = (+rounded).normalize()
    return f"{rounded:f}" if _SMALLEST < rounded.adjusted() < _LONG_DIGITS else f"{rounded:e}"


def _show_int(value: int) -> str:
    exact = Decimal(value)  # prints more digits than `str(int)` is allowed to
    digits = exact.adjusted() + 1
    return (
        f"{exact:f}"
        if digits <= _WHOLE_DIGITS
        else f"{CONTEXT.plus(exact):.20e} (rounded; a whole number of {digits} digits)"
    )


def _terminating(value: Fraction) -> str | None:
    """The exact decimal digits, None where they go on for ever or for long."""
    bottom, twos, fives = value.denominator, 0, 0
    while bottom % 2 == 0:
        bottom, twos = bottom // 2, twos + 1
    while bottom % 5 == 0:
        bottom, fives = bottom // 5, fives + 1
    places = max(twos, fives)
    if bottom != 1 or places > _FRACTION_DIGITS:
        return None
    digits = value.numerator * 10**places // value.denominator
    return f"{Decimal(digits).scaleb(-places, decimal.Context(prec=decimal.MAX_PREC)):f}"
