"""Reading a marked call from left to right in a text that may still be growing.

A `Scanner` raises where it cannot go on: `CutError` where more text is needed, `NotOneError` where what stands there is
none of it. `judged` turns both into a verdict, so that a dialect is written as if its text were whole.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Any

from lumosai.dialects._json import read_object, space
from lumosai.dialects._lenient import read_loose
from lumosai.dialects.base import MORE, NO, Found, More, No

if TYPE_CHECKING:
    from collections.abc import Callable

    from lumosai.dialects.base import Verdict

MENDABLE = 32_768
"""Characters: broken calls that are longer together are not mended, as mending costs far more than reading."""

_VALUE = re.compile(
    r"""\"(?:\\.|[^\"\\])*+\"|'(?:\\.|[^'\\])*+'|[:,\[]\s*([^\W\d][\w.-]*)(?!\s*["':\w.-])""", re.DOTALL
)
_WORDS = frozenset({"true", "false", "null", "True", "False", "None"})


class CutError(Exception):
    """The text ends before it can be told; `until` as in `More`."""

    def __init__(self, until: str = "") -> None:
        super().__init__(until)
        self.until = until


class NotOneError(Exception):
    """No call stands here; `until` as in `No`."""

    def __init__(self, until: str = "") -> None:
        super().__init__(until)
        self.until = until


def judged(read: Callable[[Scanner], Found], text: str, *, final: bool) -> Verdict:
    """What `read` finds at the start of `text`, as a verdict."""
    try:
        return read(Scanner(text, final=final))
    except CutError as cut:
        return NO if final else More(cut.until) if cut.until else MORE
    except NotOneError as none:
        return No(none.until) if none.until else NO


class Scanner:
    """A place in a text.

    Attributes:
        at: the place.
        text: the text.
        final: whether no more of it comes.
    """

    __slots__ = ("_mendable", "at", "final", "text")

    def __init__(self, text: str, *, final: bool, at: int = 0) -> None:
        self.text = text
        self.final = final
        self.at = at
        self._mendable = MENDABLE

    @property
    def done(self) -> bool:
        """Whether the text ends here and no more comes."""
        return self.final and self.at == len(self.text)

    def ended(self, *markers: str) -> bool:
        """Whether the answer ends here, be it in the midst of one of `markers`, which is passed then."""
        if not self.final or len(self.text) - self.at > max(map(len, markers), default=0):
            return False
        rest = self.text[self.at :]
        if rest and not any(m.startswith(rest) and m != rest for m in markers):
            return False
        self.at = len(self.text)
        return True

    def blank(self) -> None:
        """Passes blank space, line breaks too."""
        self.at = space(self.text, self.at)

    def take(self, *markers: str) -> str:
        """Passes the first of `markers` that stands here; "" where none does.

        Raises:
            CutError: the text ends here in what may become one.
        """
        found = self.see(*markers)
        self.at += len(found)
        return found

    def see(self, *markers: str) -> str:
        """The same without passing it. A marker that begins with another stands before it in the list."""
        rest = len(self.text) - self.at
        for marker in markers:
            if self.text.startswith(marker, self.at):
                return marker
            if rest < len(marker) and not self.final and marker.startswith(self.text[self.at :]):
                raise CutError
        return ""

    def need(self, *markers: str) -> str:
        """Passes the first of `markers` that stands here.

        Raises:
            CutError: the text ends here in what may become one.
            NotOneError: none stands here.
        """
        found = self.take(*markers)
        if not found:
            raise NotOneError
        return found

    def match(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        """Passes what `pattern` matches here."""
        found = pattern.match(self.text, self.at)
        if found:
            self.at = found.end()
        return found

    def before(self, *markers: str, most: int) -> str:
        """Passes the text up to the first of `markers`, which is left.

        Raises:
            CutError: there is none yet.
            NotOneError: there is none within `most` characters.
        """
        longest = max(map(len, markers))
        found = _any_of(markers).search(self.text, self.at, self.at + most + longest)
        if found is None or found.start() - self.at > most:
            if len(self.text) - self.at > most + longest:
                raise NotOneError
            raise CutError
        start, self.at = self.at, found.start()
        return self.text[start : self.at]

    def find(self, *markers: str) -> str:
        """Goes to the first of `markers` from here on, which is left, and gives it.

        Raises:
            CutError: there is none yet.
        """
        found = _any_of(markers).search(self.text, self.at)
        if found is None:
            raise CutError("".join(dict.fromkeys(m[-1] for m in markers)))
        self.at = found.start()
        return found[0]

    def value(self) -> Any:
        """Passes the JSON value that stands here, strict or nearly.

        Raises:
            CutError: it is not whole.
            NotOneError: it is none.
        """
        if self.at == len(self.text):
            raise CutError
        found = read_loose(self.text, self.at)
        if isinstance(found, More):
            raise CutError("}]")
        if found is None:
            raise NotOneError
        value, self.at = found
        return value

    def value_before(self, *markers: str, besides: tuple[str, ...] = (), until: str = "") -> Any:
        """Passes the JSON object or list that stands here before one of `markers` or the end, slightly broken JSON mended.

        `besides`: what else a whole value may stand before.

        Raises:
            CutError: the text ends before it can be told.
            NotOneError: what stands there is neither, or leaves doubt; up to `until` nothing counts then.
        """
        start = self.at
        try:
            value = self.value()
        except NotOneError:
            pass
        else:
            self.blank()
            if isinstance(value, dict | list) and (self.ended(*markers) or self.see(*markers, *besides)):
                return value
            self.at = start
        try:
            self.find(*markers)
        except CutError:
            if not self.final:
                raise
            self.at = len(self.text)
        self._mendable -= self.at - start
        value = mend(self.text[start : self.at]) if self._mendable > 0 else None
        if value is None:
            raise NotOneError(until)
        return value

    def object_before(self, *markers: str, besides: tuple[str, ...] = ()) -> dict[str, Any]:
        """The same for an object.

        Raises:
            CutError: the text ends before it can be told.
            NotOneError: no object stands there.
        """
        value = self.value_before(*markers, besides=besides)
        if not isinstance(value, dict):
            raise NotOneError
        return value


@cache
def _any_of(markers: tuple[str, ...]) -> re.Pattern[str]:
    """The first of these texts, found in one search; of two that begin in one place the longer."""
    return re.compile("|".join(map(re.escape, sorted(markers, key=len, reverse=True))))


def mend(raw: str, *, closed: bool = False) -> dict[str, Any] | None:
    """The object that slightly broken JSON means beyond doubt. One that was cut off is none.

    `closed`: an end tag stood behind it, so that a bracket which is missing was forgotten rather than cut off.
    """
    strict = read_object(raw)
    if strict is not None or len(raw) > MENDABLE:
        return strict
    balanced = raw.count("{") == raw.count("}") and raw.count("[") == raw.count("]")
    if not (closed or balanced) or _has_bare_word(raw):
        return None
    from lumosai._repair import repair_object

    return repair_object(raw, closed=closed)


def _has_bare_word(raw: str) -> bool:
    """Whether a value is a word without quotes that means nothing in JSON nor in Python."""
    return any(found[1] and found[1] not in _WORDS for found in _VALUE.finditer(raw))
