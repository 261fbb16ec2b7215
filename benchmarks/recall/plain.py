"""Plain BM25, as a reference: words in lower case, pairs of Chinese characters, k1 = 1.2, b = 0.75, nothing else."""

from __future__ import annotations

import math
import re
from collections import Counter

_TERM = re.compile(r"([\u3400-\u9fff]+)|[^\W_\u3400-\u9fff]+")
_K1, _B = 1.2, 0.75


def _terms(text: str) -> list[str]:
    found: list[str] = []
    for match in _TERM.finditer(text.lower()):
        run = match[1]
        found += [match[0]] if run is None else [run[i : i + 2] for i in range(len(run) - 1)] or [run]
    return found


class Plain:
    """An index of texts."""

    def __init__(self, texts: list[str]) -> None:
        self._texts = [Counter(_terms(text)) for text in texts]
        self._lengths = [text.total() for text in self._texts]
        self._usual = sum(self._lengths) / len(self._lengths)
        self._has = Counter(term for text in self._texts for term in text)

    def rank(self, question: str) -> list[int]:
        """The texts' numbers, the best first; those that share no word are left out."""
        total = len(self._texts)
        scores: Counter[int] = Counter()
        for term in _terms(question):
            has = self._has[term]
            weight = math.log(1 + (total - has + 0.5) / (has + 0.5))
            for number, text in enumerate(self._texts if has else ()):
                if often := text[term]:
                    soft = _K1 * (1 - _B + _B * self._lengths[number] / self._usual)
                    scores[number] += weight * often * (_K1 + 1) / (often + soft)
        return [number for number, _ in sorted(scores.items(), key=lambda s: (-s[1], s[0]))]
