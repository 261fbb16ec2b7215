"""`calculator`: exact arithmetic for a model that cannot do it in its head.

The parser is Python's own (`ast.parse`), which is the best kept one there is and builds no code: the tree is walked here and
only numbers, operators and the functions below mean anything. The libraries for this were looked at and not taken:
simpleeval and asteval are such walkers too, but compute in binary floats, so that 0.1 + 0.2 is 0.30000000000000004, read
decimals through them, and leave most limits to their user; mpmath parses nothing, and SymPy evaluates the text as code.
"""

from __future__ import annotations

import ast
import math
import time
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from lumosai.errors import ToolError
from lumosai.tools.base import tool
from lumosai.tools.toolkits import _arithmetic as exact
from lumosai.tools.toolkits._notation import DEGREE, FACTORIAL, PERCENT, shorten, to_python
from lumosai.tools.toolkits._text import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Callable
    from decimal import Decimal

    from lumosai.tools.toolkits._arithmetic import Number

MAX_DEPTH = 60
"""How deeply parentheses, signs and powers may be nested."""
MAX_PRECISION = 50
MAX_SECONDS = 2.0
"""How long one expression may be computed; no single step takes more than some 50 ms."""
_ATTEMPTS = 4
"""How often an expression is parsed anew that another thread disturbed."""


@tool(effect="pure")
def calculator(expression: str, precision: int | None = None) -> str:
    """Evaluate arithmetic exactly.

    Args:
        expression: such as "17 * 23" or "15% of 80".
        precision: decimals to round to.
    """
    return evaluate(expression, precision)


def evaluate(expression: str, precision: int | None = None) -> str:
    """The value of `expression` as text: exact where it has a short exact form, else to 16 digits.

    Args:
        expression: numbers (`1,234.5`, `1e3`, `0xff`, `3.5万`), `+ - * / // % ** ^ !`, parentheses, percentages (`200 + 10%`
            is 220), `pi`, `e`, `tau` and the functions of `FUNCTIONS`. Angles are radians; `30°` is one in degrees.
        precision: round to at most this many digits after the point, a half away from zero.

    Raises:
        ToolError: it is no arithmetic, divides by zero, names something unknown, or would be too large to compute.
    """
    if precision is not None and not 0 <= precision <= MAX_PRECISION:
        raise ToolError(f"precision must be from 0 to {MAX_PRECISION}, not {precision}")
    source = to_python(expression, frozenset(FUNCTIONS))
    try:
        tree = _parsed(source)
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        # The parser's own message speaks of Python; the last two are its answer to absurd nesting.
        raise ToolError(
            f"cannot read {shorten(expression.strip())!r} as arithmetic: write it like '(17 + 4) * 23 / 2'"
        ) from None
    return exact.show(_Evaluation(source).number(tree.body, 0), precision)


def _parsed(source: str) -> ast.Expression:
    """The tree of an expression.

    Python keeps the depth of the tree that it builds in one place for all threads (python/cpython#106905), so a thread that
    parses meanwhile may make the count come out wrong. Nothing is wrong with the text then, and it is parsed again.
    """
    for _ in range(_ATTEMPTS):
        with suppress(SystemError):
            return ast.parse(source, mode="eval")
    return ast.parse(source, mode="eval")


class _Function(NamedTuple):
    compute: Callable[..., Number]
    least: int
    most: int = 0  # 0: as `least`; -1: any number


_ANY = -1
FUNCTIONS: dict[str, _Function] = {
    "sqrt": _Function(exact.sqrt, 1),
    "cbrt": _Function(exact.cbrt, 1),
    "root": _Function(exact.root, 2),
    "pow": _Function(exact.power, 2),
    "exp": _Function(exact.exp, 1),
    "ln": _Function(exact.log, 1),
    "log": _Function(exact.log, 1, 2),
    "log2": _Function(exact.log2, 1),
    "log10": _Function(exact.log10, 1),
    "lg": _Function(exact.log10, 1),
    "abs": _Function(exact.absolute, 1),
    "round": _Function(exact.round_half_up, 1, 2),
    "floor": _Function(exact.floor, 1),
    "ceil": _Function(exact.ceil, 1),
    "trunc": _Function(exact.trunc, 1),
    "int": _Function(exact.trunc, 1),
    "min": _Function(exact.smallest, 1, _ANY),
    "max": _Function(exact.largest, 1, _ANY),
    "sum": _Function(exact.total, 1, _ANY),
    "mean": _Function(exact.mean, 1, _ANY),
    "avg": _Function(exact.mean, 1, _ANY),
    "average": _Function(exact.mean, 1, _ANY),
    "median": _Function(exact.median, 1, _ANY),
    "mod": _Function(exact.modulo, 2),
    "gcd": _Function(exact.gcd, 1, _ANY),
    "lcm": _Function(exact.lcm, 1, _ANY),
    "factorial": _Function(exact.factorial, 1),
    "comb": _Function(exact.combinations, 2),
    "ncr": _Function(exact.combinations, 2),
    "perm": _Function(exact.permutations, 2),
    "npr": _Function(exact.permutations, 2),
    "sin": _Function(exact.sine, 1),
    "cos": _Function(exact.cosine, 1),
    "tan": _Function(exact.tangent, 1),
    "asin": _Function(exact.real(math.asin, "asin"), 1),
    "acos": _Function(exact.real(math.acos, "acos"), 1),
    "atan": _Function(exact.real(math.atan, "atan"), 1),
    "atan2": _Function(exact.real(math.atan2, "atan2"), 2),
    "sinh": _Function(exact.real(math.sinh, "sinh"), 1),
    "cosh": _Function(exact.real(math.cosh, "cosh"), 1),
    "tanh": _Function(exact.real(math.tanh, "tanh"), 1),
    "hypot": _Function(lambda x, y: exact.sqrt(exact.add(exact.multiply(x, x), exact.multiply(y, y))), 2),
    "radians": _Function(exact.radians, 1),
    "degrees": _Function(exact.degrees, 1),
}
"""Every function an expression may call, with how many arguments it takes."""

CONSTANTS: dict[str, Decimal] = {"pi": exact.PI, "e": exact.E, "tau": 2 * exact.PI}

_OPERATORS: dict[type[ast.operator], Callable[[Number, Number], Number]] = {
    ast.Add: exact.add,
    ast.Sub: exact.subtract,
    ast.Mult: exact.multiply,
    ast.Div: exact.divide,
    ast.FloorDiv: exact.floor_divide,
    ast.Mod: exact.modulo,
    ast.Pow: exact.power,
}
_POSTFIX: dict[str, Callable[[Number], Number]] = {
    PERCENT: lambda x: exact.divide(x, 100),
    FACTORIAL: exact.factorial,
    DEGREE: exact.radians,
}


class _Evaluation:
    """A walk over the tree of one expression. Only the kinds of node named here mean anything."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.deadline = time.monotonic() + MAX_SECONDS

    def number(self, node: ast.expr, depth: int) -> Number:
        if time.monotonic() > self.deadline:
            raise ToolError(
                f"the expression takes more than {MAX_SECONDS:g} s to compute: use smaller numbers or split it up"
            )
        if depth > MAX_DEPTH:
            raise ToolError(f"the expression is nested more than {MAX_DEPTH} levels deep: split it up")
        match node:
            case ast.BinOp():
                return self.chain(node, depth + 1)
            case ast.Constant():
                return self.literal(node)
            case ast.UnaryOp(op=ast.USub() | ast.UAdd()):
                value = self.number(node.operand, depth + 1)
                return exact.negate(value) if isinstance(node.op, ast.USub) else value
            case ast.Subscript(slice=ast.Name(id=sign)) if sign in _POSTFIX:
                return _POSTFIX[sign](self.number(node.value, depth + 1))
            case ast.Name(id=name):
                return self.constant(name)
            case ast.Call(func=ast.Name(id=name), keywords=[]) if name in FUNCTIONS:
                return self.call(name, node.args, depth + 1)
            case _:
                raise ToolError(
                    f"cannot compute {self.text(node)!r}: only numbers, operators and functions are arithmetic"
                )

    def chain(self, node: ast.BinOp, depth: int) -> Number:
        """A chain such as `1 + 2 - 3`, by a loop: it may be long, while nesting may not be deep."""
        links: list[ast.BinOp] = [node]
        while isinstance(links[-1].left, ast.BinOp):
            links.append(links[-1].left)
        value = self.number(links[-1].left, depth)
        for link in reversed(links):
            value = self.binary(link, value, self.number(link.right, depth))
        return value

    def binary(self, node: ast.BinOp, left: Number, right: Number) -> Number:
        operator = _OPERATORS.get(type(node.op))
        if operator is None:
            raise ToolError(f"{self.text(node)!r} uses an operator that is not one of + - * / // % ** ^")
        if isinstance(node.op, ast.Add | ast.Sub) and _is_percent(node.right) and not _is_percent(node.left):
            # As on any pocket calculator, 200 + 10% is 220.
            right = exact.multiply(left, right)
        try:
            return operator(left, right)
        except ToolError as error:
            raise ToolError(f"{error} (in {self.text(node)!r})") from None

    def literal(self, node: ast.Constant) -> Number:
        if type(node.value) not in (int, float):
            raise ToolError(f"{self.text(node)!r} is not a number")
        # Read from the text: the parser has rounded a decimal to a binary float already.
        return exact.literal(self.written(node))

    def constant(self, name: str) -> Number:
        if name in CONSTANTS:
            return CONSTANTS[name]
        if name in FUNCTIONS:
            raise ToolError(f"{name!r} is a function: write {name}(…)")
        near = did_you_mean(name, [*FUNCTIONS, *CONSTANTS])
        raise ToolError(f"unknown name {name!r}: only numbers, pi, e, tau and functions can be computed.{near}")

    def call(self, name: str, args: list[ast.expr], depth: int) -> Number:
        function = FUNCTIONS[name]
        # max([1, 2]) is written with a list by many; it arrives as a tuple.
        nodes = [part for arg in args for part in (arg.elts if isinstance(arg, ast.Tuple) else [arg])]
        most = function.most or function.least
        if len(nodes) < function.least or (len(nodes) > most != _ANY):
            takes = "one or more" if most == _ANY else " or ".join(map(str, sorted({function.least, most})))
            raise ToolError(f"{name}() takes {takes} argument(s), separated by commas, not {len(nodes)}")
        return function.compute(*(self.number(node, depth) for node in nodes))

    def written(self, node: ast.expr) -> str:
        # The source is one line of ASCII, so that the parser's byte offsets are those of characters.
        return self.source[node.col_offset : node.end_col_offset]

    def text(self, node: ast.expr) -> str:
        """What the node was written as, for a message: without the spaces that were put between the signs."""
        compact = self.written(node).replace(" ", "").replace(f"[{PERCENT}]", "%").replace(f"[{FACTORIAL}]", "!")
        return shorten(compact.replace(f"[{DEGREE}]", "°"))


def _is_percent(node: ast.expr) -> bool:
    return isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Name) and node.slice.id == PERCENT
