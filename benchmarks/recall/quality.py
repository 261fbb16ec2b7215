"""recall@5 and recall@10: how often the message that answers a question is among the first five, or ten, that are found."""

from __future__ import annotations

from collections.abc import AsyncIterator
from statistics import mean

from benchmarks.recall.material import Conversation, conversations
from benchmarks.recall.plain import Plain
from lumosai import Message, Scope, TextPart
from lumosai.memory._fusion import Meaning, fused
from lumosai.memory._searching import Searcher
from lumosai.memory.recall import SemanticRecall
from lumosai.storage import open_storage
from lumosai.storage.base import FullText, Within

WAYS = ("plain BM25", "full text", "vectors", "hybrid")
CUTS = (5, 10)
_IN = Within(thread_id="t")


async def ranks(conversation: Conversation) -> dict[str, list[list[int]]]:
    """For each way and question the numbers of the messages that are found, the best first."""
    storage = open_storage("sqlite://")
    handle = storage.scope(Scope())
    await handle.create_thread("t")
    said = [Message(role, (TextPart(text),), f"m{n}") for n, (role, text) in enumerate(conversation.messages)]
    await handle.add_messages("t", said)
    searcher = SemanticRecall().searcher(storage)
    searcher.indexer.know(handle)
    await searcher.indexer.settled()
    plain = Plain([text for _, text in conversation.messages])
    found: dict[str, list[list[int]]] = {way: [] for way in WAYS}
    for question in conversation.questions:
        found["plain BM25"].append(plain.rank(question.text)[:20])
        words = await searcher.rank(handle, _IN, question.text, semantic=False)
        both = await searcher.rank(handle, _IN, question.text)
        found["full text"].append([_number(r.place) for r in words.ranked][:20])
        found["hybrid"].append([_number(r.place) for r in both.ranked][:20])
        found["vectors"].append(await _by_meaning(searcher, handle, question.text))
    await searcher.indexer.close()
    await storage.close()
    return found


async def _by_meaning(searcher: Searcher, handle, text: str) -> list[int]:
    notes: list[str] = []
    meaning: Meaning | None = await searcher._meaning(handle, _IN, text, notes)
    assert meaning is not None, notes
    return [_number(r.place) for r in fused(FullText(0, 0.0, ()), meaning)][:20]


def _number(place: int) -> int:
    return (place & 0xFFFFFFFF) - 1


PARTS = {
    "heldout": "Held out",
    "tune": "Tuned on",
    "rare": "Names, numbers and codes: questions repeat a rare word of what answers them",
}


async def table(part: str) -> AsyncIterator[str]:
    """The lines of a table as they are known, the last one over all conversations."""
    for line in (
        f"### {PARTS[part]}",
        "",
        "| conversation | messages | questions | " + " | ".join(f"{way} @5 / @10" for way in WAYS) + " |",
        "|---|---|---|" + "---|" * len(WAYS),
    ):
        yield line
    sums: dict[tuple[str, int], list[bool]] = {}
    for conversation in conversations(part):
        found = await ranks(conversation)
        gold = [q.evidence for q in conversation.questions]
        cells = []
        for way in WAYS:
            shares = []
            for cut in CUTS:
                hits = [evidence in first[:cut] for first, evidence in zip(found[way], gold, strict=True)]
                sums.setdefault((way, cut), []).extend(hits)
                shares.append(f"{100 * mean(hits):.0f}")
            cells.append(" / ".join(shares))
        yield f"| {conversation.name} | {len(conversation.messages)} | {len(gold)} | {' | '.join(cells)} |"
    totals = [" / ".join(f"{100 * mean(sums[way, cut]):.1f}" for cut in CUTS) for way in WAYS]
    count = len(next(iter(sums.values())))
    yield f"| **all** | | {count} | {' | '.join(totals)} |\n"
