"""Answers of Gemini, one of every kind, as the parts of their events; and what each must give, read off by eye."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.models.gemini_server import framed

PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n\xff\xfe\x00").decode()
USED = {"promptTokenCount": 7, "candidatesTokenCount": 3, "totalTokenCount": 10}
TEN = (7, 3, 0, 0, 10)
SIG = "EpEgCo4gAb4+9vvWwdN+NkNiCCwr/qvFI8uf9A=="
GROUNDED = {
    "webSearchQueries": ["euro 2024 winner"],
    "groundingChunks": [{"web": {"uri": "https://x.example/a", "title": "a"}}],
    "groundingSupports": [{"segment": {"endIndex": 5, "text": "Spain"}, "groundingChunkIndices": [0]}],
}


@dataclass(frozen=True)
class Kind:
    """A kind of answer.

    Attributes:
        events: the parts of each event; an event of its own shape stands as it is.
        text, reasoning, calls, finish, usage: what it gives; a call is (id, name, arguments); `usage` is (input, output,
            reasoning, cache read, total).
        back: the parts that go back to the model, where they are not those that came with neighbouring texts joined.
        end: the reason in the last event.
        told: fields of the last event besides; of the last candidate, in `candidate`.
    """

    events: Sequence[Any]
    text: str = ""
    reasoning: str = ""
    calls: Sequence[tuple[str, str, dict[str, Any]]] = ()
    finish: str = "stop"
    usage: tuple[int, int, int, int, int] | None = TEN
    back: Sequence[dict[str, Any]] | None = None
    end: str | None = "STOP"
    told: dict[str, Any] = field(default_factory=lambda: {"usageMetadata": USED})
    candidate: dict[str, Any] = field(default_factory=dict)
    sdk: bool = True

    @property
    def wire(self) -> list[dict[str, Any]]:
        """The events, whole."""
        out: list[dict[str, Any]] = []
        for n, event in enumerate(self.events):
            if isinstance(event, list):
                candidate: dict[str, Any] = {"content": {"parts": event, "role": "model"}, "index": 0}
                event = {"candidates": [candidate], "modelVersion": "gemini-x", "responseId": "r-1"}  # its whole form
                if n == len(self.events) - 1:
                    candidate |= self.candidate
                    event |= self.told
                    if self.end is not None:
                        candidate["finishReason"] = self.end
            out.append(event)
        return out

    @property
    def sse(self) -> bytes:
        """As it comes over the network."""
        return b"".join(map(framed, self.wire))


def text(words: str, **fields: Any) -> dict[str, Any]:
    return {"text": words, **fields}


def call(name: str, args: dict[str, Any] | None = None, id_: str | None = None, **fields: Any) -> dict[str, Any]:
    inner: dict[str, Any] = {"name": name}
    if args is not None:
        inner["args"] = args
    if id_ is not None:
        inner["id"] = id_
    return {"functionCall": inner, **fields}


def more(*pieces: dict[str, Any], go_on: bool = True, name: str | None = None, **fields: Any) -> dict[str, Any]:
    """A piece of a call whose arguments are streamed."""
    inner: dict[str, Any] = {"name": name} if name else {}
    if pieces:
        inner["partialArgs"] = list(pieces)
    if go_on:
        inner["willContinue"] = True
    return {"functionCall": inner, **fields}


def at(path: str, value: Any, *, go_on: bool = False) -> dict[str, Any]:
    kind = "boolValue" if isinstance(value, bool) else "stringValue" if isinstance(value, str) else "numberValue"
    piece = {"jsonPath": path, **({"nullValue": "NULL_VALUE"} if value is None else {kind: value})}
    return {**piece, "willContinue": True} if go_on else piece


CODE = {"executableCode": {"language": "PYTHON", "code": "print(2 + 2)", "id": "e1"}, "thoughtSignature": SIG}
RAN = {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "4\n", "id": "e1"}}

KINDS: dict[str, Kind] = {
    "text": Kind([[text("Hello")], [text(", ")], [text("world 🌍 你好")]], "Hello, world 🌍 你好"),
    "text with the end": Kind([[text("All at once.")]], "All at once."),
    "several parts": Kind([[text("a"), text("b")], [text("c")]], "abc"),
    "an end of its own": Kind([[text("Hi")], []], "Hi"),
    "an end of empty text": Kind([[text("Hi")], [text("")]], "Hi"),
    "an end without content": Kind(
        [[text("Hi")], {"candidates": [{"finishReason": "STOP"}], "usageMetadata": USED}], "Hi"
    ),
    "the end in every event": Kind(
        [
            {"candidates": [{"content": {"parts": [text("one ")]}, "finishReason": "STOP", "index": 0}]},
            [text("two")],
        ],
        "one two",
    ),
    "usage after the end": Kind(
        [{"candidates": [{"content": {"parts": [text("Hi")]}, "finishReason": "STOP"}]}, {"usageMetadata": USED}], "Hi"
    ),
    "no usage": Kind([[text("Hi")]], "Hi", usage=None, told={}),
    "usage of every kind": Kind(
        [[text("Hi")]],
        "Hi",
        usage=(130, 42, 30, 64, 172),
        told={
            "usageMetadata": {
                "promptTokenCount": 100,
                "candidatesTokenCount": 12,
                "thoughtsTokenCount": 30,
                "cachedContentTokenCount": 64,
                "toolUsePromptTokenCount": 30,
                "totalTokenCount": 172,
                "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 100}],
                "trafficType": "ON_DEMAND",
            }
        },
    ),
    "usage in every event": Kind(
        [
            {
                "candidates": [{"content": {"parts": [text("a")]}}],
                "usageMetadata": {"promptTokenCount": 7, "totalTokenCount": 7},
            },
            [text("b")],
        ],
        "ab",
    ),
    "a second candidate": Kind(
        [
            {
                "candidates": [
                    {"content": {"parts": [text("first")]}},
                    {"content": {"parts": [text("second")]}, "index": 1},
                ]
            },
            [text("")],
        ],
        "first",
        sdk=False,
    ),
    "thought": Kind(
        [[text("Hmm, ", thought=True)], [text("yes.", thought=True)], [text("391")]],
        "391",
        "Hmm, yes.",
        back=[text("Hmm, yes.", thought=True), text("391")],
    ),
    "a sealed thought": Kind(
        [[text("Hmm.", thought=True, thoughtSignature=SIG)], [text("391")]],
        "391",
        "Hmm.",
    ),
    "thoughts of which one is sealed": Kind(
        [
            [text("A", thought=True), text("B", thought=True, thoughtSignature=SIG), text("C", thought=True)],
            [text("x")],
        ],
        "x",
        "ABC",
    ),
    "a thought between texts": Kind(
        [[text("one ")], [text("hm", thought=True)], [text("two")]],
        "one two",
        "hm",
    ),
    "sealed text": Kind([[text("Hello.", thoughtSignature=SIG)]], "Hello."),
    "sealed text behind text": Kind([[text("Hel")], [text("lo.", thoughtSignature=SIG)]], "Hello."),
    "text behind sealed text": Kind([[text("Hel", thoughtSignature=SIG)], [text("lo.")]], "Hello."),
    "two seals": Kind(
        [[text("a", thoughtSignature="c2lnQQ==")], [text("b", thoughtSignature="c2lnQg==")], [text("c")]], "abc"
    ),
    "sealed empty text": Kind([[text("Hello.")], [text("", thoughtSignature=SIG)]], "Hello."),
    "sealed empty text first": Kind([[text("", thoughtSignature=SIG)], [text("Hello.")]], "Hello."),
    "only a seal": Kind([[text("", thoughtSignature=SIG)]], ""),
    "fields that nobody knows": Kind(
        [[text("Hi", partMetadata={"a": 1}), call("f", {}, partMetadata={"b": 2})]],
        "Hi",
        calls=[("", "f", {})],
        finish="tool_calls",
    ),
    "a call": Kind([[call("add", {"x": 1, "名": "é"})]], calls=[("", "add", {"x": 1, "名": "é"})], finish="tool_calls"),
    "a call with an id": Kind(
        [[call("add", {"x": 1}, "abc1")]], calls=[("abc1", "add", {"x": 1})], finish="tool_calls"
    ),
    "a call with empty arguments": Kind([[call("now", {})]], calls=[("", "now", {})], finish="tool_calls"),
    "a call without arguments": Kind(
        [[call("now")]], calls=[("", "now", {})], finish="tool_calls", back=[call("now", {})]
    ),
    "a call of null arguments": Kind(
        [[{"functionCall": {"name": "now", "args": None}}]],
        calls=[("", "now", {})],
        finish="tool_calls",
        back=[call("now", {})],
    ),
    "a call and its end": Kind(
        [[call("add", {"x": 1}, thoughtSignature=SIG)], [text("")]],
        calls=[("", "add", {"x": 1})],
        finish="tool_calls",
        back=[call("add", {"x": 1}, thoughtSignature=SIG)],
    ),
    "parallel calls": Kind(
        [[call("add", {"x": 1}, thoughtSignature=SIG), call("add", {"x": 2})], [call("mul", {"y": 3})]],
        calls=[("", "add", {"x": 1}), ("", "add", {"x": 2}), ("", "mul", {"y": 3})],
        finish="tool_calls",
    ),
    "parallel calls with ids": Kind(
        [[call("add", {"x": 1}, "a"), call("add", {"x": 1}, "b")]],
        calls=[("a", "add", {"x": 1}), ("b", "add", {"x": 1})],
        finish="tool_calls",
    ),
    "a call that is said again": Kind(
        [[call("add", {"x": 1}, "a")], [call("add", {"x": 1}, "a"), call("add", {"x": 2}, "b")]],
        calls=[("a", "add", {"x": 1}), ("b", "add", {"x": 2})],
        finish="tool_calls",
        back=[call("add", {"x": 1}, "a"), call("add", {"x": 2}, "b")],
        sdk=False,
    ),
    "text and calls": Kind(
        [[text("Let me see. "), call("add", {"x": 1})]],
        "Let me see. ",
        calls=[("", "add", {"x": 1})],
        finish="tool_calls",
    ),
    "deep arguments": Kind(
        [[call("f", {"a": [{"b": None, "c": [1, 2.5, True]}, "}\"'\n"], "n": -9007199254740991, "e": ""})]],
        calls=[("", "f", {"a": [{"b": None, "c": [1, 2.5, True]}, "}\"'\n"], "n": -9007199254740991, "e": ""})],
        finish="tool_calls",
    ),
    "streamed arguments": Kind(
        [
            [more(name="light", thoughtSignature=SIG)],
            [more(at("$.brightness", 50))],
            [more(at("$.color.name", "wa", go_on=True))],
            [more(at("$.color.name", "rm", go_on=True))],
            [more(at("$.color.name", ""))],
            [more(at("$.on", True), at("$.tags[0]", "a"), at("$.tags[1]", "b", go_on=True))],
            [more(at("$.tags[1]", "c"), at("$['x y']", None))],
            [more(go_on=False)],
        ],
        calls=[
            ("", "light", {"brightness": 50, "color": {"name": "warm"}, "on": True, "tags": ["a", "bc"], "x y": None})
        ],
        finish="tool_calls",
        back=[
            call(
                "light",
                {"brightness": 50, "color": {"name": "warm"}, "on": True, "tags": ["a", "bc"], "x y": None},
                thoughtSignature=SIG,
            )
        ],
        sdk=False,
    ),
    "streamed arguments of two calls": Kind(
        [
            [more(name="f")],
            [more(at("$.a", "1"))],
            [more(go_on=False)],
            [more(at("$.a", "2"), name="f")],
            [more(go_on=False)],
        ],
        calls=[("", "f", {"a": "1"}), ("", "f", {"a": "2"})],
        finish="tool_calls",
        back=[call("f", {"a": "1"}), call("f", {"a": "2"})],
        sdk=False,
    ),
    "streamed arguments whose last piece is the end": Kind(
        [
            [more(name="f", thoughtSignature="<redacted>")],
            [more(at("$.o[0].a", "x", go_on=True))],
            [more(at("$.o[0].a", ""))],
            [more()],
            [more(at("$.o[1].a", 0.5))],
            [more(at("$.o[1].b", 3), go_on=False)],
            [text("")],
        ],
        calls=[("", "f", {"o": [{"a": "x"}, {"a": 0.5, "b": 3}]})],
        finish="tool_calls",
        back=[call("f", {"o": [{"a": "x"}, {"a": 0.5, "b": 3}]}, thoughtSignature="<redacted>")],
        sdk=False,
    ),
    "streamed and whole calls": Kind(
        [[call("now", None, thoughtSignature=SIG)], [more(name="f")], [more(at("$.a", "A"))], [more(go_on=False)]],
        calls=[("", "now", {}), ("", "f", {"a": "A"})],
        finish="tool_calls",
        back=[call("now", {}, thoughtSignature=SIG), call("f", {"a": "A"})],
        sdk=False,
    ),
    "streamed and without arguments": Kind(
        [[more(name="now")], [more(go_on=False)]],
        calls=[("", "now", {})],
        finish="tool_calls",
        back=[call("now", {})],
        sdk=False,
    ),
    "the longest": Kind([[text("and so on and")]], "and so on and", finish="length", end="MAX_TOKENS"),
    "the longest thought": Kind([[text("hm", thought=True)]], "", "hm", finish="length", end="MAX_TOKENS"),
    **{
        f"stopped for {reason}": Kind([[text("Well")], []], "Well", finish="content_filter", end=reason)
        for reason in (
            "SAFETY",
            "RECITATION",
            "LANGUAGE",
            "BLOCKLIST",
            "PROHIBITED_CONTENT",
            "SPII",
            "IMAGE_SAFETY",
            "IMAGE_PROHIBITED_CONTENT",
            "IMAGE_RECITATION",
            "MODEL_ARMOR",
        )
    },
    "stopped at once": Kind(
        [
            {
                "candidates": [
                    {
                        "finishReason": "SAFETY",
                        "index": 0,
                        "safetyRatings": [
                            {"category": "HARM_CATEGORY_HARASSMENT", "probability": "HIGH", "blocked": True}
                        ],
                    }
                ],
                "usageMetadata": {"promptTokenCount": 7, "totalTokenCount": 7},
            }
        ],
        finish="content_filter",
        usage=(7, 0, 0, 0, 7),
    ),
    **{
        f"blocked for {reason}": Kind(
            [
                {
                    "promptFeedback": {"blockReason": reason},
                    "usageMetadata": {"promptTokenCount": 7, "totalTokenCount": 7},
                }
            ],
            finish="content_filter",
            usage=(7, 0, 0, 0, 7),
        )
        for reason in ("SAFETY", "OTHER", "BLOCKLIST", "PROHIBITED_CONTENT", "IMAGE_SAFETY")
    },
    "feedback without a block": Kind(
        [{"promptFeedback": {"safetyRatings": []}, "candidates": [{"content": {"parts": [text("Hi")]}}]}, [text("")]],
        "Hi",
    ),
    "an image": Kind(
        [[text("Here: ")], [{"inlineData": {"mimeType": "image/png", "data": PNG}}]],
        "Here: ",
    ),
    "a sealed image": Kind(
        [
            [text("Here: ")],
            [{"inlineData": {"mimeType": "image/png", "data": PNG}, "thoughtSignature": SIG}],
            [text("!")],
        ],
        "Here: !",
    ),
    "a thought in an image": Kind(
        [[{"inlineData": {"mimeType": "image/png", "data": PNG}, "thought": True}], [text("Done.")]], "Done."
    ),
    "sound": Kind([[{"inlineData": {"mimeType": "audio/L16;codec=pcm;rate=24000", "data": "AAEC"}}]]),
    "a video by its address": Kind([[{"fileData": {"mimeType": "video/mp4", "fileUri": "https://x.example/v"}}]]),
    "code that ran": Kind([[text("Look. ")], [CODE], [RAN], [text("Four.")]], "Look. Four."),
    "an end between": Kind(
        [
            [{"executableCode": {"language": "PYTHON", "code": " f()\n"}, "thought": True}],
            {"candidates": [{"content": {"parts": [CODE]}, "finishReason": "STOP"}]},
            [RAN],
            [text("Four.")],
        ],
        "Four.",
    ),
    "a search": Kind([[text("Spain")], [text(" won.")]], "Spain won.", candidate={"groundingMetadata": GROUNDED}),
    "a tool that ran at the server": Kind(
        [
            [{"toolCall": {"toolType": "GOOGLE_SEARCH_WEB", "id": "t1", "args": {"q": "x"}}, "thoughtSignature": SIG}],
            [{"toolResponse": {"toolType": "GOOGLE_SEARCH_WEB", "id": "t1", "response": {"r": 1}}}],
            [text("x")],
        ],
        "x",
    ),
}
