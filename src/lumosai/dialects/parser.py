"""Finds the calls in a model's text, as it streams: the position rules, and what is held back until it is decided.

A call counts only at the start of the answer or of a line, outside fences, block quotes, quotations, tables, lists,
inline code and thoughts. At such a place the dialects are asked whose opener stands there; text that begins no call
is given out at once, and mid-line prose costs one search (`plain`). A model's control token may stand behind prose on
its line as well: anywhere where its dialect was named; else behind a sentence, if only calls follow to the end. Where a
dialect's markup has opened the answer's text, its tokens count in lists, tables and behind fences too. Every text is read in small windows, so that a
whole text and a stream take one path, and no text is read more than a few times.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lumosai.dialects import _ending, _inline, _lines, _thoughts
from lumosai.dialects._bulk import LIST
from lumosai.dialects._coerce import coerced
from lumosai.dialects._ending import Ending
from lumosai.dialects._fit import fits
from lumosai.dialects._frames import frame_of
from lumosai.dialects._table import BLOCKS, THOUGHT_ENDS, THOUGHTS, TOKENS_OF_THOUGHT, table
from lumosai.dialects.base import Found, More, No
from lumosai.dialects.catalogue import DIALECTS, named

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lumosai.dialects._table import Table
    from lumosai.dialects.base import Dialect
    from lumosai.messages import ToolCallPart
    from lumosai.records import HasDefinition, ToolDefinition

HOLD = 262_144
"""Characters: what might be a call and is longer is given out as text."""

_WINDOW = 1024
_EAGER = 512
_LOOKS = 16
_MAX_INDENT = 3
_BULK = 64
"""Characters: of less, whole lines are not looked for, as pieces of a stream seldom hold one."""
_FRAME = Found(0, ())
_LINE, _PROSE, _FENCE, _BLOCK, _OVER = range(5)
_WAIT = -1
_QUOTE, _NOTHING, _WORDS, _SENTENCE = range(4)
_line_break = re.compile(r"[\n<]").search
_any_mark = re.compile(r"[<\[\]]").search
_special = _inline.CALM.search
_tag = re.compile(r"(</?[a-z_]+>)(?:[ \t\r]{0,8}(\n)[ \t]{0,8})?")
_cut_tag = re.compile(r"(</?[a-z_]{0,32})|(</?[a-z_]{1,32}>)[ \t\r]{0,8}(?:\n[ \t]{0,8})?")
_BRACKETS = ("{", "[", "<")
_blank_lines = re.compile(r"\n++")
_fence_line = re.compile(r"\n(?=[ \t]*+[`~])")
_closing_run = re.compile(r"[ \t]*(`+|~+|)[ \t\r]*")


class DialectParser:
    """Takes the calls out of one answer. `feed` it the text in any pieces, then `close` it.

    The pieces that come out, joined, are the answer without its calls' markup; where the text was cut makes no
    difference to them. A call's `id` is "".

    Args:
        tools: what may be called. Where there are none, only formats with markers of their own are recognised.
        dialect: the name or an alias of the one in which calls are written; "auto" recognises all.
        alone: whether only that one is recognised; else it is asked first, and the others as on "auto".
        show_broken: whether a call that the answer's end cut off is given out as text; else it is left out.

    Attributes:
        seen: the name of the dialect in which the last call was written; "" while there was none.
        broken: the call that the answer's end cut off, as it was written; "" where none was, and before `close`.

    Raises:
        ConfigurationError: no dialect has that name.
    """

    __slots__ = (
        "_after_call",
        "_aside",
        "_behind",
        "_calm",
        "_closed_by",
        "_ending",
        "_fence",
        "_final",
        "_fresh",
        "_gap",
        "_held",
        "_in_list",
        "_inline",
        "_looked",
        "_mode",
        "_named",
        "_not_here",
        "_open_fences",
        "_open_size",
        "_opened_by",
        "_out",
        "_show_broken",
        "_size",
        "_start_of_line",
        "_table",
        "_tail",
        "_until",
        "broken",
        "seen",
    )

    def __init__(
        self,
        *,
        tools: Sequence[ToolDefinition | HasDefinition],
        dialect: str = "auto",
        alone: bool = True,
        show_broken: bool = True,
    ) -> None:
        self._table, self._named = _known(tools, dialect, alone=alone)
        self._inline = _inline.Inline()
        self._ending = Ending()
        self._out: list[str | ToolCallPart] = []
        self._mode = _LINE
        self._calm: Callable[[str], object] | None = None
        # Text that waits: its pieces, their length, how much was looked at, and what makes it worth another look.
        self._held: list[str] = []
        self._size = self._looked = 0
        self._until = ""
        # Since the answer's start or the last call: nothing but blank lines, which are these.
        self._fresh = True
        self._after_call = False
        self._gap: list[str] = []
        # What counts only if nothing follows, each with its text and dialect; their text alone where it does not.
        self._open_fences: list[tuple[str, tuple[str | ToolCallPart, ...], str]] = []
        self._open_size = 0
        # What the lines before make of this one.
        self._in_list = self._not_here = False
        # What stands before on this line of prose, and whether the line is code or a table's row.
        self._behind = _NOTHING
        self._aside = False
        self._fence = self._closed_by = self._tail = ""
        # The dialect whose markup stands around the answer's text.
        self._opened_by: Dialect | None = None
        self._start_of_line = self._final = False
        self._show_broken = show_broken
        self.seen = self.broken = ""

    def plain(self, chunk: str) -> bool:
        """Whether this chunk may be passed on unread: `feed` would give it back unchanged and change nothing."""
        calm = self._calm
        return calm is not None and calm(chunk) is None and not self._ending.held

    def feed(self, chunk: str) -> list[str | ToolCallPart]:
        """What can be told of the text so far: text for the user, and calls, in order."""
        if self.plain(chunk):
            return [chunk] if chunk else []
        self._take(chunk)
        return self._given()

    def close(self) -> list[str | ToolCallPart]:
        """What was held back, now that no more text comes."""
        while self._held:
            text = "".join(self._held)
            self._held.clear()
            self._run(text, final=True)
        if self._open_fences:
            fences, self._open_fences = self._open_fences, []
            for _, calls, name in fences:
                self._out.extend(calls)
                self.seen = name or self.seen
        elif not self._after_call:
            self._out.extend(self._gap)
        self._gap = []
        self._calm = None
        return self._ending.close(self._joined())

    def _given(self) -> list[str | ToolCallPart]:
        """What was found since the last time, without what may end the answer."""
        items = self._joined()
        if self._ending.held or any("<" in item for item in items if isinstance(item, str)):
            return self._ending.take(items)
        return items

    def _joined(self) -> list[str | ToolCallPart]:
        """What was found since the last time, neighbouring texts joined."""
        items, self._out = self._out, []
        out: list[str | ToolCallPart] = []
        texts: list[str] = []
        for item in items:
            if isinstance(item, str):
                texts.append(item)
                continue
            if texts:
                out.append("".join(texts))
                texts = []
            out.append(item)
        if texts:
            out.append("".join(texts))
        return [item for item in out if item]

    # The stream: what waits, and when it is looked at again.

    def _take(self, chunk: str) -> None:
        waiting = [chunk]
        while waiting:
            text = waiting.pop()
            if len(text) > _WINDOW:
                waiting.extend(text[i : i + _WINDOW] for i in reversed(range(0, len(text), _WINDOW)))
                continue
            if not self._held:
                self._looked = 0
            else:
                self._held.append(text)
                self._size += len(text)
                if not self._due(text):
                    continue
                text = "".join(self._held)
                self._held.clear()
            rest = self._run(text, final=False)
            if rest:
                waiting.append(rest)

    def _due(self, chunk: str) -> bool:
        """Whether what waits is worth another look. All looks together stay linear in its length."""
        if self._size > HOLD:
            return True
        if self._until and not any(c in chunk for c in self._until):
            return False
        self._until = ""
        return self._size <= _EAGER or self._looked <= _LOOKS * self._size

    def _run(self, text: str, *, final: bool) -> str:
        """Reads on as far as can be told and keeps the rest. What is left of a long text is given back to be read anew."""
        steps = (self._at_lines, self._in_prose, self._in_fence, self._in_block, self._behind_end)
        at = 0
        self._until = ""
        self._final = final
        while at < len(text):
            after = steps[self._mode](text, at)
            if after == _WAIT:
                self._held.append(text[at:] if at else text)
                self._size = len(text) - at
                self._looked = (0 if at else self._looked) + self._size
                break
            at = after
            if len(text) > _WINDOW and at < len(text) and not final:
                self._calm = None
                return text[at:]
            if final and at < len(text):
                # Only the whole rest may be read as final, so it is taken in windows first.
                self._take(text[at:])
                break
        self._calm = None if self._held else self._calmness()
        return ""

    def _calmness(self) -> Callable[[str], object] | None:
        """The search that must find nothing in a chunk for it to be plain."""
        if self._mode == _PROSE and self._inline.settled and self._behind == _WORDS:
            return _special
        if self._mode == _FENCE and not self._start_of_line:
            return _line_break
        if self._mode == _BLOCK and not self._tail:
            return _any_mark if self._closed_by in THOUGHTS.values() else _first_of(self._closed_by)
        return None

    # What is said.

    def _say(self, text: str) -> None:
        """Text that is none of a call's."""
        if self._fresh:
            self._settle_as_text()
            self._fresh = self._after_call = False
        self._out.append(text)

    def _settle_as_text(self) -> None:
        """Something other than calls follows: what waited for that is text."""
        if self._open_fences:
            for raw, calls, name in self._open_fences:
                self._out.append(raw)
                if not raw:
                    self._out.extend(calls)
                    self.seen = name or self.seen
            self._open_fences = []
            self._open_size = 0
        if self._gap:
            if not self._after_call:
                self._out.extend(self._gap)
            self._gap = []

    def _blank_line(self, text: str) -> None:
        """A blank line ends a paragraph. One behind a call belongs to neither text."""
        self._inline.clear()
        self._not_here = False
        if not self._fresh:
            self._out.append(text)
        elif not self._after_call:
            self._gap.append(text)

    def _found(self, found: Found, raw: str, name: str, *, last: bool) -> None:
        """Takes what a dialect found in `raw`. `last`: it counts only if nothing but calls or blank follows."""
        if last:
            self._open_fence(found, raw, name)
        elif found.calls:
            self._call(found, name)
        elif found.text:
            self._say(found.text)
        elif self._open_fences:
            self._open_fences.append((raw, (), ""))
        if found.named:
            return
        if not (found.calls or found.text):
            self._in_list = self._not_here = False
            self._inline.clear()
        self._mode, self._behind = _OVER if found.ends else _LINE, _NOTHING

    def _call(self, found: Found, name: str) -> None:
        if found.text:
            self._say(found.text)
        if self._open_fences:
            self._open_fences += [("".join(self._gap), (), ""), ("", found.calls, name)]
            self._gap = []
        else:
            self._out.extend(found.calls)
            self._gap = []
            self.seen = name
        self._fresh = self._after_call = True
        self._inline.clear()

    def _open_fence(self, found: Found, raw: str, name: str) -> None:
        raw = "".join(self._gap) + raw
        self._gap = []
        self._open_size += len(raw)
        if self._open_size > HOLD:
            self._say(raw)
        else:
            self._open_fences.append((raw, (found.text, *found.calls), name if found.calls else ""))
        self._fresh, self._after_call = True, False
        self._inline.clear()

    # At the start of a line.

    def _at_lines(self, text: str, at: int) -> int:
        after = self._in_bulk(text, at) if len(text) - at >= _BULK and not self._inline.open else at
        return after if after > at else self._at_line(text, at)

    def _in_bulk(self, text: str, at: int) -> int:
        """Passes by lines in which nothing can stand; gives `at` where none follow."""
        blank = _blank_lines.match(text, at) if text[at] == "\n" and not self._fresh else None
        found = self._table.bulk.match(text, blank.end() if blank else at)
        if found is None:
            return at
        lines = text[at : found.end()]
        self._say(lines)
        self._in_list = found.lastindex == LIST
        self._not_here = self._not_here and not blank and "\n\n" not in lines
        return found.end()

    def _at_line(self, text: str, at: int) -> int:
        first = _lines.indent_end(text, at)
        self._behind = _NOTHING
        self._aside = _lines.width(text[at:first]) > _MAX_INDENT or text.startswith("|", first)
        if first - at > _lines.HEAD:
            return self._prose(at, indented=True)
        if first == len(text):
            if not self._final:
                return _WAIT
            self._blank_line(text[at:])
            return first
        char = text[first]
        if char == "\n":
            self._blank_line(text[at : first + 1])
            return first + 1
        if char not in (_lines.STRUCTURE if self._inline.open else self._table.starts):
            return self._prose(at, indented=first > at)
        line = _lines.classify(text, first, final=self._final)
        return _WAIT if line is None else self._structure(line, text, at, first)

    def _structure(self, line: _lines.Line, text: str, at: int, first: int) -> int:
        here = self._may_call(text[at:first], fence=line.kind == "fence")
        if here and (line.kind in ("fence", "prose") or text[first] in self._table.literals):
            after = self._ask(text, at, first)
            if after is not None:
                return after
        if line.fence:
            self._in_list = self._in_list or line.kind == "list"
            self._open(text[at : line.end], line.fence)
            return line.end
        if line.kind in ("quote", "table"):
            self._not_here = True
        if line.kind == "list":
            self._in_list = True
            self._mode = _PROSE
            return at
        return self._prose(at, indented=first > at)

    def _may_call(self, indent: str, *, fence: bool) -> bool:
        """Whether a call may stand behind this indentation. A fence ends a table or the quotation of a line before."""
        if self._inline.open or (self._not_here and not fence):
            return False
        if self._fresh:
            return True
        return not indent if self._in_list else _lines.width(indent) <= _MAX_INDENT

    def _ask(self, text: str, at: int, first: int) -> int | None:
        """What stands at a place for calls: how far it goes, that it must wait, or None where it is nothing special."""
        known = self._table
        if not self._final and known.cut_opener(text, first):
            return _WAIT
        opener = known.opener(text, first)
        if opener is None:
            return self._end_turn(text, at, first) if self._open_fences else None
        closing = known.blocks.get(opener[0])
        if closing is not None:
            return self._enter(text, at, opener.end(), closing)
        if opener[0] in known.frame.markers and (self._fresh or opener[0] not in known.frame.first):
            self._found(_FRAME, text[at : opener.end()], "", last=False)
            return opener.end()
        if opener[0] not in known.dialects:
            return None
        return self._hear(known.dialects[opener[0]], text, at, first, opener.end())

    def _end_turn(self, text: str, at: int, first: int) -> int | None:
        """Behind a token that ends the turn, which is as good as nothing behind what counts only if nothing follows."""
        token = _ending.token(text, first, final=self._final)
        if token is None:
            return _WAIT
        if not token:
            return None
        self._open_fences.append((text[at : first + len(token)], (), ""))
        return first + len(token)

    def _hear(self, dialects: tuple[Dialect, ...], text: str, at: int, first: int, end: int) -> int | None:
        """What these dialects say of the opener from `first` to `end`. Up to `at` everything was given out."""
        known = self._table
        rest = text[first : first + HOLD]
        whole = self._final and len(rest) == len(text) - first
        failed = ""
        for dialect in dialects:
            verdict = dialect.recognise(rest, known.tools, final=whole)
            if isinstance(verdict, More):
                if not whole and len(text) - first <= HOLD:
                    self._until = verdict.until
                    return _WAIT
            elif isinstance(verdict, No):
                failed = failed or verdict.until
            elif verdict.named and dialect.name not in self._named and dialect is not self._opened_by:
                continue
            elif dialect.marked or all(fits(c, known.tools) for c in verdict.calls):
                aside = self._mode == _LINE and self._aside
                last = (
                    verdict.last
                    or aside
                    or (self._mode == _PROSE and self._is_doubtful(verdict, dialect, text[first:end]))
                )
                if dialect.marked:
                    verdict = coerced(verdict, known.tools)
                if verdict.opens and not last:
                    self._open_text(dialect)
                self._found(verdict, text[at : first + verdict.end], dialect.name, last=last)
                return first + verdict.end
        if whole and self._leaves_out(dialects, rest):
            return len(text)
        return self._enter(text, at, end, failed) if failed else None

    def _leaves_out(self, dialects: tuple[Dialect, ...], rest: str) -> bool:
        """Whether this is left out: a call between markers that the end of the answer cut off, as more of it was to come."""
        tools = self._table.tools
        if any(d.marked and isinstance(d.recognise(rest, tools, final=False), More) for d in dialects):
            self.broken = rest
        return bool(self.broken) and not self._show_broken

    def _open_text(self, dialect: Dialect) -> None:
        """This dialect's markup opens the answer's text: what waited as markup without calls was its own."""
        self._opened_by = dialect
        if not any(name for _, _, name in self._open_fences):
            self._open_fences = []

    def _is_doubtful(self, found: Found, dialect: Dialect, opener: str) -> bool:
        """Whether what was found behind prose might be quoted."""
        if dialect is self._opened_by:
            return bool(found.calls) and (self._in_list or self._not_here or self._aside)
        return dialect.name not in self._named or _thoughts.is_printable(opener)

    def _enter(self, text: str, at: int, end: int, closing: str) -> int:
        """Passes by a block up to its closing marker."""
        self._say(text[at:end])
        self._mode, self._closed_by, self._tail = _BLOCK, closing, ""
        self._behind = _WORDS
        return end

    def _prose(self, at: int, *, indented: bool) -> int:
        """The line is prose: it is given out from `at` on."""
        self._in_list = self._in_list and indented
        self._mode = _PROSE
        return at

    def _open(self, text: str, fence: str) -> None:
        """A code fence begins with this line."""
        self._say(text)
        self._inline.clear()
        self._mode, self._fence = _FENCE, fence
        self._start_of_line = text.endswith("\n")

    # Inside.

    def _in_prose(self, text: str, at: int) -> int:
        end = self._inline.scan(text, at, in_brackets=bool(self._named))
        if end > at:
            self._hold_in_mind(text[at:end])
        if end == len(text):
            self._say(text[at:end])
            return end
        if text[end] == "\n":
            self._say(text[at : end + 1])
            fence = self._inline.end_line()
            self._mode = _LINE
            if fence:
                self._open("", "`" * fence)
                self._start_of_line = True
            return end + 1
        if end > at:
            self._say(text[at:end])
            return end
        for ask in (self._token, self._quoted):
            after = ask(text, at)
            if after is not None:
                return after
        return self._angle(text, at)

    def _hold_in_mind(self, text: str) -> None:
        """What this text leaves to stand before what follows it on its line."""
        said = text.rstrip(_inline.CLOSERS)
        if text[-1] == "'":
            self._behind = _QUOTE
        elif said:
            self._behind = _SENTENCE if said[-1] in _inline.ENDS else _WORDS
        elif self._behind == _QUOTE or (self._behind == _NOTHING and not text.isspace()):
            self._behind = _WORDS

    def _token(self, text: str, at: int) -> int | None:
        """At what may be a control token in prose: how far it goes, that it must wait, or None where it is none."""
        known = self._table
        if not self._final and known.cut_token(text, at):
            return _WAIT
        opener = known.control.match(text, at) if known.control else None
        if opener is None or not self._may_token(opener[0]):
            return None
        return self._hear(known.tokens[opener[0]], text, at, at, opener.end())

    def _quoted(self, text: str, at: int) -> int | None:
        """At a call where none may stand: behind it, so that none of its lines is taken for another."""
        known = self._table
        if not self._final and known.cut_opener(text, at):
            return _WAIT
        opener = known.opener(text, at)
        rest = text[at : at + HOLD]
        whole = self._final and len(rest) == len(text) - at
        failed = ""
        for dialect in known.dialects.get(opener[0], ()) if opener else ():
            verdict = dialect.recognise(rest, known.tools, final=whole) if dialect.marked else None
            if isinstance(verdict, More) and not whole and len(text) - at <= HOLD:
                self._until = verdict.until
                return _WAIT
            if isinstance(verdict, Found) and verdict.calls:
                self._behind = _WORDS
                self._say(text[at : at + verdict.end])
                return at + verdict.end
            failed = failed or (verdict.until if isinstance(verdict, No) else "")
        # An attempt that went wrong, rather than a tag that is spoken of: what is in it is not for calling either.
        if failed and opener and opener[0][0] == "<" and text[opener.end() :].lstrip()[:1] in _BRACKETS:
            return self._enter(text, at, opener.end(), failed)
        return None

    def _may_token(self, token: str) -> bool:
        """Whether this control token may stand here, behind what is on its line."""
        if self._is_framing(token):
            return True
        if self._in_list or self._not_here or self._aside:
            return False
        trusted = self._named and not _thoughts.is_printable(token) and self._is_named(token)
        return self._behind >= (_WORDS if trusted else _SENTENCE)

    def _is_named(self, token: str) -> bool:
        return any(d.name in self._named for d in self._table.tokens.get(token, ()))

    def _is_framing(self, token: str) -> bool:
        return self._opened_by is not None and self._opened_by in self._table.tokens.get(token, ())

    def _angle(self, text: str, at: int) -> int:
        """At a tag in prose. One that ends the line begins a block, a dialect's own if what follows looks like its call."""
        cut = None if self._final else _cut_tag.fullmatch(text, at)
        if cut and any(t.startswith(cut[1] or cut[2]) for t in self._table.tags):
            return _WAIT
        tag = _tag.match(text, at)
        end = tag.end() if tag else at + 1
        thought = _thought_end(text, at)
        if thought:
            end = at + len(thought)
            if thought not in TOKENS_OF_THOUGHT:
                self._say(text[at:end])
            self._begin_anew()
        elif tag and tag[2] and tag[1] in self._table.tags and (tag[1] in BLOCKS or text[end : end + 1] in _BRACKETS):
            self._enter(text, at, end, self._table.tags[tag[1]])
        else:
            end = at + 1
            if text[at] == "[":
                self._inline.enter_bracket()
            self._behind = _WORDS
            self._say(text[at:end])
        return end

    def _begin_anew(self) -> None:
        self._mode = _LINE
        self._fresh, self._after_call = True, False
        self._in_list = self._not_here = False
        self._inline.clear()

    def _in_fence(self, text: str, at: int) -> int:
        if self._start_of_line:
            run = _closing_run.match(text, at)
            end = run.end() if run else at
            if end == len(text) and not self._final and end - at <= _lines.HEAD:
                return _WAIT
            if end - at <= _lines.HEAD and run and run[1].startswith(self._fence) and text[end : end + 1] in ("", "\n"):
                self._say(text[at : end + 1])
                self._mode = _LINE
                return min(end + 1, len(text))
            if run and run[1].startswith(self._fence) and self._opened_by:
                if not self._final and self._table.cut_token(text, end):
                    return _WAIT
                token = self._table.control.match(text, end) if self._table.control else None
                if token and self._is_framing(token[0]):
                    self._say(text[at:end])
                    self._mode, self._behind = _PROSE, _WORDS
                    return end
        # The next line that may end the fence, or else the last one that is whole.
        closing = _fence_line.search(text, at)
        end = closing.start() + 1 if closing else text.rfind("\n", at) + 1 or len(text)
        self._start_of_line = text[end - 1] == "\n"
        self._say(text[at:end])
        return end

    def _in_thought(self, text: str, at: int) -> int | None:
        """At the first token in what is left of a thought: how far it goes, or that it must wait; None where none stands."""
        known = self._table
        for mark in _mark(text, at):
            place = mark.start()
            is_token = bool(_thoughts.token(text, place, known))
            if text.startswith(self._closed_by, place):
                return None
            if not is_token and (self._final or not known.cut_token(text, place)):
                continue
            if place > at:
                return self._think(text, at, place)
            found = _thoughts.last_calls(text, at, known, most=HOLD, final=self._final) if is_token else _WAIT
            if isinstance(found, int):
                return _WAIT if found == _WAIT else self._think(text, at, found)
            for each, name in found:
                if each.calls:
                    self._call(each, name)
            self._mode = _LINE
            return len(text)
        return None

    def _think(self, text: str, at: int, end: int) -> int:
        self._tail = ""
        self._say(text[at:end])
        return end

    def _behind_end(self, text: str, _at: int) -> int:
        """What follows the end is dropped."""
        return len(text)

    def _in_block(self, text: str, at: int) -> int:
        after = self._in_thought(text, at) if self._closed_by in THOUGHTS.values() else None
        if after is not None:
            return after
        seen = self._tail + text[at:]
        found = seen.find(self._closed_by)
        if found < 0:
            self._tail = _beginning(seen, self._closed_by)
            self._say(text[at:])
            return len(text)
        end = at + found + len(self._closed_by) - len(self._tail)
        self._say(text[at:end])
        self._tail = ""
        if self._closed_by in THOUGHTS.values():
            self._begin_anew()
        else:
            self._mode = _PROSE
        return end


_mark = re.compile(r"[<\[\]]").finditer
_thought_end_at = re.compile("|".join(map(re.escape, THOUGHT_ENDS))).match


def _thought_end(text: str, at: int) -> str:
    """The end of a thought that stands at `at`; "" where none does."""
    found = _thought_end_at(text, at)
    return found[0] if found else ""


def _beginning(text: str, marker: str) -> str:
    """The longest end of `text` that `marker` begins with, and goes on after."""
    for size in range(min(len(marker) - 1, len(text)), 0, -1):
        if text.endswith(marker[:size]):
            return marker[:size]
    return ""


_searches: dict[str, Callable[[str], object]] = {}


def _first_of(marker: str) -> Callable[[str], object]:
    """The search for a marker's first character, or that of a token which ends the answer."""
    if marker[0] not in _searches:
        _searches[marker[0]] = re.compile(f"[<{re.escape(marker[0])}]").search
    return _searches[marker[0]]


def is_prose(text: str, tools: Sequence[ToolDefinition | HasDefinition], dialect: str = "auto") -> bool:
    """Whether a whole answer is nothing but lines in which no call can begin: a parser would give it back as it is.

    Quick, and never wrong in its yes; a no may be one only because of what looks like something special.
    """
    if "<" in text:  # which may begin a token that ends the turn, and is not shown
        return False
    known, _ = _known(tools, dialect, alone=False)
    found = known.bulk.match(text if text[-1:] == "\n" else text + "\n")
    return found is not None and found.end() >= len(text)


_KEPT = 32
_knowns: dict[tuple[int, str, bool], tuple[object, tuple[Table, frozenset[str]]]] = {}


def _known(
    tools: Sequence[ToolDefinition | HasDefinition], dialect: str, *, alone: bool
) -> tuple[Table, frozenset[str]]:
    """The table for these arguments of a parser's, and the names of the dialects that `dialect` means."""
    key = (id(tools), dialect, alone)
    kept = _knowns.get(key)
    if kept is not None:
        return kept[1]
    chosen = () if dialect == "auto" else named(dialect)
    found = (
        table(tools, chosen if chosen and alone else _all_after(chosen), frame_of(dialect)),
        frozenset([d.name for d in chosen]),
    )
    if type(tools) is tuple:  # a list may be another one the next time
        if len(_knowns) >= _KEPT:
            _knowns.clear()
        _knowns[key] = (tools, found)  # the tools are kept, so that no others can come to have their id
    return found


def _all_after(first: tuple[Dialect, ...]) -> tuple[Dialect, ...]:
    """Every dialect, those first."""
    every = tuple(DIALECTS.values())
    return (*first, *[d for d in every if all(d is not f for f in first)]) if first else every
