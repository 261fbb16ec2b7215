"""Text as terms, by which it is found: words, their stems, and pairs of characters where a script sets no blanks.

A word of a script with blanks becomes its stem in lower case, without accents. A run of Chinese, Japanese, Korean, Thai
and their like becomes its overlapping pairs and its last character, so that each character begins some term: a search
for a single one finds the terms that begin with it. The same split makes the index and reads what is searched for.

This is a stored format: what is indexed is taken out of the index by the same terms. A change here needs a migration
that makes the index anew.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from itertools import islice
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

LONGEST: Final = 65_536
"""Characters of a text that are looked at."""
_WORD: Final = 40
"""Characters of a word that count."""
_SHORT: Final = 3
_PART: Final = 500
_BRIEF: Final = 2_000
"""Characters of a text whose words are found at once."""
_SAMPLE: Final = 1_000
_RUN: Final = 400
"""Characters of a run without blanks that are paired; what is longer falls apart into several."""

_DENSE: Final = (
    "\u0e00-\u0eff\u1000-\u109f\u1100-\u11ff\u1780-\u17ff\u3005\u3007\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff"
    "\uac00-\ud7a3\uf900-\ufaff\uff66-\uff9f\U00020000-\U0003134f"
)
"""Scripts without blanks between words, or with words so short that pairs find them better."""
_MARKS: Final = (
    "\u0300-\u036f\u0483-\u0487\u0591-\u05bd\u0610-\u061a\u064b-\u065f\u0670\u0900-\u0903\u093a-\u094f\u0962\u0963"
)
_ASCII: Final = re.compile(r"[a-z0-9]+(?:'[a-z]+)?")
_ANY: Final = re.compile(f"([{_DENSE}]{{1,{_RUN}}})|[^\\W_{_DENSE}](?:[^\\W_{_DENSE}]|[{_MARKS}]|['\u2019](?=\\w))*")
_DENSE_FIRST: Final = re.compile(f"[{_DENSE}]")
_NOT_A_WORD: Final = re.compile(f"[^\\w{_MARKS}]+|_")

_IRREGULAR: Final = {
    form: base
    for base, forms in {
        "be": "am is are was were been being",
        "begin": "began begun",
        "break": "broke broken",
        "bring": "brought",
        "build": "built",
        "buy": "bought",
        "catch": "caught",
        "child": "children",
        "choose": "chose chosen",
        "come": "came",
        "do": "did done does doing",
        "drink": "drank drunk",
        "drive": "drove driven",
        "eat": "ate eaten",
        "fall": "fell fallen",
        "feel": "felt",
        "fight": "fought",
        "find": "found",
        "fly": "flew flown",
        "foot": "feet",
        "forget": "forgot forgotten",
        "get": "got gotten",
        "give": "gave given",
        "go": "went gone goes going",
        "grow": "grew grown",
        "have": "had has",
        "hear": "heard",
        "hold": "held",
        "keep": "kept",
        "know": "knew known",
        "lead": "led",
        "leave": "left",
        "lend": "lent",
        "life": "lives",
        "lose": "lost",
        "make": "made",
        "man": "men",
        "mean": "meant",
        "meet": "met",
        "mouse": "mice",
        "pay": "paid",
        "person": "people",
        "ride": "rode ridden",
        "ring": "rang rung",
        "run": "ran",
        "say": "said",
        "see": "saw seen seeing",
        "sell": "sold",
        "send": "sent",
        "sing": "sang sung",
        "sit": "sat",
        "sleep": "slept",
        "speak": "spoke spoken",
        "spend": "spent",
        "stand": "stood",
        "steal": "stole stolen",
        "swim": "swam swum",
        "take": "took taken",
        "teach": "taught",
        "tell": "told",
        "think": "thought",
        "throw": "threw thrown",
        "tooth": "teeth",
        "understand": "understood",
        "wake": "woke woken",
        "wear": "wore worn",
        "wife": "wives",
        "win": "won",
        "woman": "women",
        "write": "wrote written",
    }.items()
    for form in forms.split()
}

_SMALL: Final = frozenset(
    """a about above after again all also am an and any are as at be because been before being below between both but by
    can could did do does doing don down during each ever few for from further had has have having he her here hers him his
    how i if in into is it its just ll me more most my no nor not now of off on once only or other our out over own please
    re s same she should so some such t tell than that the their them then there these they this those through to too under
    until up us ve very was we were what when where which while who whom whose why will with would you your yours""".split()  # noqa: SIM905  # a text is easier to read and change
)
"""Words that stand in nearly every question, and say nothing of what it is about."""
_SMALL_DENSE: Final = re.compile(
    "什么|怎么样|怎么|怎样|哪里|哪儿|哪个|哪些|哪|谁|几个|多少|为什么|是不是|有没有|能不能|可以|请问|告诉|还是|或者|因为|所以|但是"
    "|我们|你们|他们|她们|它们|这个|那个|这些|那些|这里|那里|时候|一下|一个|[的了吗呢吧啊呀嘛是在我你您他她它这那有就都也和与把被给对到过着会要不没很]"
    "|です|ます|でした|ました|[のはがをにでともかへや]"
)


class Token(NamedTuple):
    """A term where it stands in a text."""

    term: str
    start: int
    end: int


class Wanted(NamedTuple):
    """A term that is searched for.

    Attributes:
        term: as in the index.
        begins: whether terms that begin with it are meant, too.
    """

    term: str
    begins: bool = False

    @property
    def words(self) -> float:
        """For how many words it counts as evidence.

        A number or a code is not put in other words, as words are, and counts for two. Pairs of characters overlap, so
        that a word of three has two of them: each counts for half of one.
        """
        if any(map(str.isdigit, self.term)):
            return 2.0
        return 0.5 if len(self.term) > 1 and _DENSE_FIRST.match(self.term) else 1.0


def terms(text: str) -> list[str]:
    """The terms of a text in order, each as often as it stands there."""
    return [term for part in parts_of(text) for term in part]


def parts_of(text: str) -> Iterator[list[str]]:
    """As `terms`, in parts, each of which takes well under a millisecond."""
    text = text[:LONGEST]
    if text.isascii():
        text = text.lower()
        if len(text) <= _BRIEF:
            yield [_stem(word) for word in _ASCII.findall(text)]
            return
        words = (match[0] for match in _ASCII.finditer(text))
        while part := [_stem(word) for word in islice(words, _PART)]:
            yield part
        return
    matches = _ANY.finditer(text)
    while some := list(islice(matches, _PART // 2)):
        found: list[str] = []
        for match in some:
            if match[1] is None:
                found += _folded(match[0])
                continue
            run = _plain(match[1])
            pairs = [run[i : i + 2] for i in range(len(run) - 1)]
            pairs.append(run[-1:])
            found += pairs if " " not in run else [piece for pair in pairs for piece in pair.split()]
            if len(found) > _PART:
                yield [term for term in found if term]
                found = []
        yield [term for term in found if term]


def tokens(text: str) -> Iterator[Token]:
    """As `terms`, each with its place."""
    for match in _ANY.finditer(text[:LONGEST]):
        start, end = match.span()
        if match[1] is None:
            for term in _folded(match[0]):
                yield Token(term, start, end)
        else:
            run = match[1]
            for i in range(len(run)):
                for piece in _plain(run[i : i + 2]).split():
                    yield Token(piece, start + i, min(start + i + 2, end))


def wanted(text: str) -> tuple[Wanted, ...]:
    """What to look for where a text is searched for, each term once; small words only where there are no others."""
    told: dict[Wanted, None] = {}
    small: dict[Wanted, None] = {}
    for match in _ANY.finditer(text[:LONGEST]):
        if match[1] is None:
            word = match[0].lower()
            for term in _folded(match[0]):
                (small if word in _SMALL else told)[Wanted(term)] = None
            continue
        run = _plain(match[1])
        little = _little(run)
        if len(run) == 1:
            (small if little[0] else told)[Wanted(run, True)] = None
        for i in range(len(run) - 1):
            for piece in run[i : i + 2].split():
                (small if little[i] and little[i + 1] else told)[Wanted(piece)] = None
    return tuple(told or small)


def is_dense(text: str) -> bool:
    """Whether a text is mostly in scripts without blanks between words, as Chinese is and English is not."""
    text = text[:_SAMPLE]
    dense = sum(len(m[1]) for m in _ANY.finditer(text) if m[1] is not None)
    return 3 * dense > sum(map(str.isalnum, text))


def has_any(text: str) -> bool:
    """Whether a text has any term at all."""
    return _ANY.search(text) is not None


def marked(text: str, sought: Iterable[Wanted]) -> list[tuple[int, int]]:
    """Where the sought terms stand in a text, as (start, end); places that touch are one."""
    whole = {w.term for w in sought}
    begins = tuple(w.term for w in sought if w.begins)
    found: list[tuple[int, int]] = []
    for term, start, end in tokens(text):
        if term in whole:
            place = (start, end)
        elif begins and term.startswith(begins):
            place = (start, start + 1)
        else:
            continue
        if found and place[0] <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], place[1]))
        else:
            found.append(place)
    return found


def _little(run: str) -> list[bool]:
    """Which characters of a run belong to words that say little."""
    little = [False] * len(run)
    for match in _SMALL_DENSE.finditer(run):
        for i in range(*match.span()):
            little[i] = True
    return little


def _folded(word: str) -> tuple[str, ...]:
    """A word's terms: mostly one, its stem; another form of a letter may fall apart into several."""
    return _usual(word) if len(word) <= _WORD else _fold(word)


def _fold(word: str) -> tuple[str, ...]:
    plain = _plain(word)
    if not plain.isascii():
        apart = unicodedata.normalize("NFD", plain)
        plain = "".join([c for c in apart if not "\u0300" <= c <= "\u036f"])
        if not plain.isascii():
            pieces = _NOT_A_WORD.split(unicodedata.normalize("NFC", plain))
            return tuple([piece[:_WORD] for piece in pieces if piece])
    return tuple([_stem(piece) for piece in _ASCII.findall(plain)])


_usual = lru_cache(maxsize=16_384)(_fold)
"""The same of words that come again and again, as most do."""


def _plain(text: str) -> str:
    """Wide, narrow and capital letters as plain small ones. A few, such as a sound mark, become a blank and another."""
    return unicodedata.normalize("NFKC", text).casefold().replace("\u2019", "'")


@lru_cache(maxsize=65_536)
def _stem(word: str) -> str:
    """An English word without what its form adds; an irregular form's base. Others lose little by it."""
    if "'" in word:
        word = word.partition("'")[0]
    word = _IRREGULAR.get(word, word[:_WORD])
    if len(word) <= _SHORT or not word.isalpha():
        return word
    return _without_e(_without_ending(_without_plural(word)))


def _without_plural(word: str) -> str:
    if word.endswith("ies"):
        return f"{word[:-3]}y"
    if word.endswith(("sses", "ches", "shes", "xes")):
        return word[:-2]
    return word[:-1] if word.endswith("s") and not word.endswith(("ss", "us", "is")) else word


def _without_ending(word: str) -> str:
    for ending in ("ingly", "edly", "ing", "ed", "ly"):
        base = word.removesuffix(ending)
        if base != word and len(base) >= _SHORT - (ending == "ed") and re.search("[aeiouy]", base):
            doubled = len(base) > _SHORT and base[-1] == base[-2] and base[-1] not in "lsze"
            return base[:-1] if doubled and ending != "ly" else base
    return word


def _without_e(word: str) -> str:
    if len(word) > _SHORT and word.endswith("y") and word[-2] not in "aeiou":
        return f"{word[:-1]}i"
    return word[:-1] if len(word) > _SHORT and word.endswith("e") else word
