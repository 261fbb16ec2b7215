"""Everyday arithmetic notation, turned into the grammar that Python's own parser reads.

People and models write `17 × 23`, `1,234.5`, `15% of 80`, `5!`, `2π`, `√16`, `（３＋４）`, `3.5万` and `2³`. Each becomes the plain
ASCII expression that means the same, so that the standard parser decides about precedence and this file about signs only.
Postfix signs become subscripts (`5!` is `5[F]`), since those bind as tightly as a postfix sign should.
"""

from __future__ import annotations

import re
import unicodedata
from typing import NoReturn

from lumosai.errors import ToolError

MAX_LENGTH = 2000
"""The longest expression that is read, in characters."""

_SHOWN = 80

PERCENT, FACTORIAL, DEGREE = "P", "F", "D"

_SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻", "0123456789+-")
_SIGNS = str.maketrans(
    {
        **dict.fromkeys("×∗⋅·∙•✕✖", "*"),
        **dict.fromkeys("÷∕⁄", "/"),
        **dict.fromkeys("−–—‐‑‒﹣", "-"),
        **dict.fromkeys("[{【〔「", "("),
        **dict.fromkeys("]}】〕」", ")"),
        "、": ",",
        "’": "'",
        "π": " pi ",
        "τ": " tau ",
        "º": "°",
    }
)
_WORDS = {
    "plus": "+",
    "minus": "-",
    "times": "*",
    "of": "*",
    "over": "/",
    "x": "*",
    "mod": "%",
    "dividedby": "/",
    "multipliedby": "*",
    "tothepowerof": "**",
    "加": "+",
    "加上": "+",
    "减": "-",
    "减去": "-",
    "乘": "*",
    "乘以": "*",
    "除以": "/",
}
_HANZI = {c: i for i, c in enumerate("零一二三四五六七八九")} | {"〇": 0, "两": 2}
_UNITS = {"十": 10, "百": 100, "千": 1000, "万": 10**4, "亿": 10**8}

_TOKEN = re.compile(
    r"""(?P<space>\s+)
    |(?P<number>0[xX][0-9a-fA-F]+|0[bB][01]+|0[oO][0-7]+|(?:\d+(?:[_'\u00a0\u2009\u202f]\d+)*\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)
    |(?P<unit>(?<=\d)[百千万亿]+)
    |(?P<hanzi>[零〇一二两三四五六七八九十百千万亿点]+)
    |(?P<superscript>[⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻]+)
    |(?P<vulgar>[¼-¾⅐-⅞])
    |(?P<word>divided\s+by|multiplied\s+by|to\s+the\s+power\s+of|(?:plus|minus|times|of|over|mod)(?![A-Za-z0-9_])
        |[xX](?=\s*[\d.(])|加上?|减去?|乘以?|除以)
    |(?P<name>(?:(?:[mM]ath|np)\.)?[A-Za-z_][A-Za-z0-9_]*)
    |(?P<root>[√∛])
    |(?P<money>[$€£¥₹])
    |(?P<op>\*\*|//|[-+*/%^!°(),])""",
    re.VERBOSE,
)
_KEPT = re.compile("[⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻¼-¾⅐-⅞\u00a0\u2009\u202f]")
_GROUPED = re.compile(r"\d{1,3}(?:,\d{2,3})*,\d{3}(?!\d)(?:\.\d+)?")
_PERCENT_FOLLOWS = re.compile(r"\s*(?:$|[-+*/%^!),]|of\b|加|减|乘|除以|plus\b|minus\b|times\b|[xX]\s)")


def to_python(text: str, functions: frozenset[str]) -> str:
    """The ASCII expression, in Python's grammar, that `text` means; `functions` are the names that may be called.

    Raises:
        ToolError: empty, too long, a sign that means nothing here, or parentheses that do not pair.
    """
    if len(text) > MAX_LENGTH:
        raise ToolError(f"the expression has {len(text)} characters; at most {MAX_LENGTH} are read: split it up")
    folded = re.sub(r"^\s*=|[=?。\s]+$", "", "".join(map(_fold, text)).translate(_SIGNS))
    if not folded.strip():
        raise ToolError("the expression is empty: give one, such as '17 * 23'")
    return _Writer(folded, functions).write()


def _fold(char: str) -> str:
    """The ASCII form of a full-width sign or of any script's digit; raised digits, fraction signs and hard spaces as they are."""
    if char.isascii() or _KEPT.match(char):
        return char
    return str(unicodedata.decimal(char)) if char.isdecimal() else unicodedata.normalize("NFKC", char)


def shorten(text: str) -> str:
    """As much of the text as a message can hold."""
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


class _Writer:
    """One pass over the text; `out` holds the Python tokens so far."""

    def __init__(self, text: str, functions: frozenset[str]) -> None:
        self.text = text
        self.functions = functions
        self.out: list[str] = []
        self.operand = False  # whether what was written last can be the left side of an operator
        self.start = self.at = 0  # where the sign at hand begins and ends
        self.calls: list[bool] = []  # of each open parenthesis: whether commas separate arguments in it
        self.roots: list[int] = []  # at which depth of parentheses a root sign waits for its operand

    def write(self) -> str:
        while self.at < len(self.text):
            match = _TOKEN.match(self.text, self.at)
            if match is None:
                self._fail(f"{self.text[self.at]!r} is not part of arithmetic")
            kind = str(match.lastgroup)
            self.start, self.at = self.at, match.end()
            getattr(self, f"_{kind}")(match.group())
        if self.calls:
            self._fail("a parenthesis is not closed")
        return " ".join(self.out)

    def _fail(self, why: str) -> NoReturn:
        raise ToolError(f"cannot read {shorten(self.text.strip())!r}: {why}")

    def _space(self, text: str) -> None:
        pass

    def _money(self, text: str) -> None:
        pass

    def _number(self, text: str) -> None:
        if not (self.calls and self.calls[-1]) and (grouped := _GROUPED.match(self.text, self.start)):
            self.at = grouped.end()
            text = grouped.group().replace(",", "")
        if self.operand and self.out[-1] != ")":
            self._fail(f"an operator is missing before {text!r}")
        self._value(_plain(text))

    def _hanzi(self, text: str) -> None:
        value = _hanzi(text)
        if value is None:
            self._fail(f"{text!r} is not a number")
        self._value(value)

    def _unit(self, text: str) -> None:
        factor = 1
        for char in text:
            factor *= _UNITS[char]
        # In parentheses, so that `6 / 3万` divides by the whole number.
        self.out[-1] = f"({self.out[-1]} * {factor})"

    def _superscript(self, text: str) -> None:
        if not self.operand:
            self._fail(f"{text!r} has nothing before it")
        self.out += ["**", "(", text.translate(_SUPERSCRIPTS), ")"]

    def _vulgar(self, text: str) -> None:
        top, bottom = unicodedata.normalize("NFKC", text).split("⁄")
        whole = self.out.pop() if self.operand and self.out[-1].isdigit() else None
        self.operand = False if whole else self.operand
        self._value(f"({whole or 0} + {top} / {bottom})")

    def _word(self, text: str) -> None:
        if self.operand:
            self._operator(_WORDS["".join(text.lower().split())])
        elif text.isascii():
            # `mod(7, 3)` and a lone `x` are names; after an operand the same word is an operator.
            self._name(text)
        else:
            self._fail(f"{text!r} has nothing before it")

    def _name(self, text: str) -> None:
        name = text.rpartition(".")[2].lower()
        if name == "percent" and self.operand:
            self.out.append(f"[{PERCENT}]")
        else:
            self._value(name, called=self._follows("("))

    def _root(self, text: str) -> None:
        name = "sqrt" if text == "√" else "cbrt"
        self._times()
        self.out.append(name)
        if not self._follows("("):
            self.out.append("(")
            self.roots.append(len(self.calls))

    def _op(self, text: str) -> None:
        if text == "(":
            self._open()
        elif text == ")":
            self._close()
        elif text == ",":
            self._comma()
        elif text == "%" and self.operand and self._is_percent():
            self.out.append(f"[{PERCENT}]")
        elif text in "!°":
            if not self.operand:
                self._fail(f"{text!r} has nothing before it")
            self.out.append(f"[{FACTORIAL if text == '!' else DEGREE}]")
        else:
            self._operator("**" if text == "^" else text)

    def _is_percent(self) -> bool:
        """Whether the `%` just read is a percentage; before a further operand it is the remainder."""
        if not _PERCENT_FOLLOWS.match(self.text, self.at):
            return False
        # `10 % -3` is a remainder, `10% - 3` and `10%-3` are percentages.
        return self.text[self.at :].lstrip()[:1] not in ("+", "-") or not self.text[self.start - 1].isspace()

    def _operator(self, text: str) -> None:
        self.out.append(text)
        self.operand = False

    def _open(self) -> None:
        called = bool(self.out) and self.out[-1] in self.functions
        if not called:
            self._times()
        # A list inside a call is a list of arguments: max([1,234]).
        self.calls.append(called or (bool(self.calls) and self.calls[-1] and self.out[-1] in ("(", ",")))
        self.out.append("(")
        self.operand = False

    def _close(self) -> None:
        if not self.calls:
            self._fail("a parenthesis is closed that was not opened")
        self.calls.pop()
        self.out.append(")")
        self._end_operand()

    def _comma(self) -> None:
        if not any(self.calls):
            self._fail("a comma groups thousands (1,234) or separates arguments; write decimals with a point")
        self._operator(",")

    def _value(self, text: str, *, called: bool = False) -> None:
        self._times()
        self.out.append(text)
        if not called:
            self._end_operand()
        elif text not in self.functions:
            # A constant before a parenthesis is a factor; an unknown name is reported by whoever evaluates it.
            self.operand = True

    def _end_operand(self) -> None:
        self.operand = True
        while self.roots and self.roots[-1] == len(self.calls):
            self.roots.pop()
            self.out.append(")")

    def _times(self) -> None:
        """Writes the multiplication that `2π` and `2(3)` leave out."""
        if self.operand:
            self._operator("*")

    def _follows(self, text: str) -> bool:
        return self.text[self.at :].lstrip().startswith(text)


def _plain(number: str) -> str:
    """A number without group marks and leading zeros, both of which Python's grammar refuses."""
    if number[:2].lower() in ("0x", "0b", "0o"):
        return str(int(number, 0))
    digits = re.sub(r"[_'\u00a0\u2009\u202f]", "", number)
    return re.sub(r"^0+(?=\d)", "", digits)


def _hanzi(text: str) -> str | None:
    """The decimal digits of a Chinese number such as 三百二十 or 一点五, None where it is none."""
    whole, point, rest = text.partition("点")
    if point and (not rest or any(c not in _HANZI for c in rest)):
        return None
    value = _hanzi_whole(whole)
    if value is None:
        return None
    return f"{value}.{''.join(str(_HANZI[c]) for c in rest)}" if point else str(value)


def _hanzi_whole(text: str) -> int | None:
    if not text:
        return None
    if all(c in _HANZI for c in text):
        return int("".join(str(_HANZI[c]) for c in text))
    total, section, digit = 0, 0, 0
    for char in text:
        unit = _UNITS.get(char)
        if unit is None:
            digit = _HANZI[char]
        elif unit < 10**4:
            # 十五 begins with its unit.
            section, digit = section + (digit or 1) * unit, 0
        elif total >= unit:
            # 三亿五千万: the 万 is of the 五千 alone.
            total, section, digit = total + (section + digit) * unit, 0, 0
        else:
            total, section, digit = (total + section + digit) * unit, 0, 0
    if digit and text[-2] in "百千万亿":
        # 二百五 is 250; 205 is 二百零五.
        digit *= _UNITS[text[-2]] // 10
    return total + section + digit
