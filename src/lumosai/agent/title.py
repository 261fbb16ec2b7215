"""A thread's title by the model, inside the run that begins the thread, once its answer is there.

It is one more call of the run's model, with a purpose of its own: it shows no deltas, is counted and paid for, and is in
the trace. Whatever goes wrong with it, the run ends as it would have; the thread then keeps the first words as its title.
"""

from __future__ import annotations

import asyncio
import re
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal, cast

import msgspec

from lumosai._loggers import logger_of
from lumosai.agent.ask import Ask
from lumosai.errors import LeaseLostError
from lumosai.events import ModelCallComplete, ModelCallStarted
from lumosai.messages import Message
from lumosai.models.base import AttemptStarted, Finished, ModelRequest, TextChunk, UsageChunk

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from lumosai.agent.remember import Remember
    from lumosai.agent.state import RunState
    from lumosai.events import Event
    from lumosai.models.base import Chunk
    from lumosai.models.calling import CallingModel
    from lumosai.records import ModelSettings

logger = logger_of("lumosai.agent")

_MOST_S: Final = 20.0
"""How long a title may take at the most."""
_TOKENS: Final = 400
"""A model that thinks first needs most of these for that."""
_TOKENS_HERE: Final = 48
"""Of a model in this process, which has nothing to hide and goes on talking where nobody stops it."""
_SHOWN: Final = 1_200
"""Characters of the question, and of the answer, that the model is shown."""
_LONGEST: Final = 80
_RAMBLING: Final = 200
"""Characters of a line that is no title any more."""

_ASKED: Final = (
    "You name conversations. Reply with a title for the conversation below and nothing else: at most six words, in the "
    "language of the user, without quotation marks."
)
_ASKED_ZH: Final = "你为对话起标题。只回复下面这段对话的标题，不要回复别的内容：不超过十二个字，不要引号。"
_HAN: Final = re.compile(r"[\u3400-\u9fff]")
_KANA: Final = re.compile(r"[\u3040-\u30ff]")
_THOUGHT: Final = re.compile(r"<think(?:ing)?>.*?(?:</think(?:ing)?>|\Z)", re.DOTALL | re.IGNORECASE)
_MARKS: Final = " \t\"'`*#_-–—:：.。“”‘’«»「」『』《》"
_LABEL: Final = re.compile(r"^(?:title|标题|題名|题目)\s*\**\s*(?:[:：]|$)", re.IGNORECASE)


class TitleAsk(Ask):
    """Follows the request for a title, whose text shows nowhere but in the title."""

    __slots__ = ()
    purpose: ClassVar[Literal["answer", "title", "summary"]] = "title"

    async def _read(self, request: ModelRequest) -> None:
        async with aclosing(cast("Any", self.model.stream(request))) as chunks:
            async for chunk in chunks:
                if type(chunk) is AttemptStarted:
                    self._next_attempt(chunk)
                    await self.state.log.settled()
                else:
                    self._other(chunk)
        self._end_stream("")

    def _read_whole(self, chunks: Sequence[Chunk]) -> None:
        for chunk in chunks:
            self._other(chunk)
        self._end_stream("")

    def _other(self, chunk: Any) -> None:
        kind, answer = type(chunk), self.answer
        if kind is TextChunk:
            self._first()
            answer.open_text().pieces.append(chunk.delta)
        elif kind is Finished:
            answer.finished = chunk
        elif kind is UsageChunk:
            answer.usage = chunk.usage

    def _ended(self, message: Message | None, response_id: str | None, model: str, *fields: Any) -> None:  # noqa: ARG002  # see below
        """As of any call; the text is the thread's title, and no message of the run's."""
        super()._ended(None, response_id, model, *fields)


async def entitle(
    state: RunState, model: CallingModel, remember: Remember, settings: ModelSettings, said: Sequence[Message]
) -> None:
    """Gives the run's thread a title, where its memory wants one of the model and it has none. Raises nothing but a cancel.

    Args:
        state: the run's.
        model: is asked.
        remember: the run's turn on its thread.
        settings: how the model was to answer.
        said: the run's input and what it said.
    """
    if not remember.entitles or _was_asked(state) or state.budget.exhausted() is not None:
        return
    left_s = _MOST_S if state.left_s is None else min(_MOST_S, state.left_s)
    if left_s <= 0:
        return
    try:
        async with asyncio.timeout(left_s):
            if not await remember.wants_title():
                return
            state.step_span = state.span  # the last step has ended
            title = title_in((await TitleAsk(*_request(state, model, settings, said), 0).run()).text)
            if title:
                await remember.entitle(title)
    except LeaseLostError:
        raise
    except Exception as error:  # noqa: BLE001  # whatever it is: the answer is there, and a title is worth no run
        logger.warning("thread %r has no title by the model: %s: %s", state.thread_id, type(error).__name__, error)


def _request(
    state: RunState, model: CallingModel, settings: ModelSettings, said: Sequence[Message]
) -> tuple[RunState, CallingModel, ModelRequest, Any]:
    question = next((m.text for m in said if m.role == "user" and m.text.strip()), "")
    answer = next((m.text for m in reversed(said) if m.role == "assistant" and m.text.strip()), "")
    chinese = bool(_HAN.search(question)) and not _KANA.search(question)
    told = (
        f"用户：{question[:_SHOWN]}\n\n助手：{answer[:_SHOWN]}"
        if chinese
        else (f"User: {question[:_SHOWN]}\n\nAssistant: {answer[:_SHOWN]}")
    )
    end = "标题：" if chinese else "Title:"
    most = _TOKENS_HERE if model.provider == "local" else _TOKENS
    left = state.budget.output_left()
    request = ModelRequest(
        messages=(Message.system(_ASKED_ZH if chinese else _ASKED), Message.user(f"{told}\n\n{end}")),
        settings=msgspec.structs.replace(
            settings,
            max_output_tokens=most if left is None else min(most, left),
            tool_choice=None,
            parallel_tool_calls=None,
            stop=None,
        ),
        incremental=False,
    )
    return state, model, request, model.mode(request)


def _was_asked(state: RunState) -> bool:
    """Whether this run, in another process, was answered already: finished calls are not made again."""
    if state.past is None:
        return False
    return _titled(state.past.events, state.run_id)


def _titled(events: Iterable[Event], run_id: str) -> bool:
    asked: set[str] = set()
    for event in events:
        if type(event) is ModelCallStarted and event.purpose == "title" and event.run_id == run_id:
            asked.add(event.model_call_id)
        elif type(event) is ModelCallComplete and event.model_call_id in asked and event.error_type is None:
            return True
    return False


def title_in(text: str) -> str:
    """The title in what a model answered; "" where there is none."""
    for line in _THOUGHT.sub("", text).splitlines():
        words = " ".join(_LABEL.sub("", line.strip(_MARKS)).split()).strip(_MARKS)
        if words:
            break
    else:
        return ""
    if len(words) > _RAMBLING:
        return ""
    if len(words) <= _LONGEST:
        return words
    cut = words[:_LONGEST]
    return f"{cut.rpartition(' ')[0] or cut}…"
