"""What is at work in the current task, and log records that tell it.

A run, a model call and a tool call say here what they are, each in the task that does it. From the first run on, every
log record that is made there has `run_id`, `trace_id`, `span_id`, `thread_id` and `agent` as attributes: ours, and those
that the code of a tool writes to loggers of its own. So any handler, formatter or library that looks at a record's
attributes sees them. What a record says under such a name itself (`extra=`) stands. Nothing is done where nobody logs.
"""

from __future__ import annotations

import contextlib
import logging
import sys
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final

import msgspec

if TYPE_CHECKING:
    from contextvars import Token

FIELDS: Final = ("run_id", "trace_id", "span_id", "thread_id", "agent")
"""What a record says of where it was made; `thread_id` is a conversation's, and missing where there is none."""
_FACTORIES: Final = 8
"""How many record factories may lie around this one for what a record says itself still to be seen."""


class AtWork(msgspec.Struct, eq=False, gc=False):
    """A run, a model call or a tool call at work.

    Attributes:
        run_id: the run's.
        trace_id: its trace's.
        span_id: the innermost span's; another one where a call is tried again.
        thread_id: the conversation's, None for none.
        agent: the agent's name.
    """

    run_id: str
    trace_id: str
    span_id: str
    thread_id: str | None
    agent: str

    def told(self) -> dict[str, str]:
        """The fields that say something."""
        return {name: value for name in FIELDS if (value := getattr(self, name))}


AT_WORK: ContextVar[AtWork | None] = ContextVar("lumosai_at_work", default=None)


def leave(token: Token[AtWork | None]) -> None:
    """What was set is so no more."""
    try:  # noqa: SIM105  # `suppress` costs ten times as much
        AT_WORK.reset(token)
    except ValueError:  # the event loop is gone: it ends in another context than it began in
        pass


_before: Final = logging.getLogRecordFactory()
_make: Final = logging.Logger.makeRecord.__code__


def _record(*args: Any, **kwargs: Any) -> logging.LogRecord:
    record = _before(*args, **kwargs)
    if str(record.name).startswith("lumosai"):  # `makeLogRecord` begins with None for a name
        _hide(record)
    at_work = AT_WORK.get()
    if at_work is not None:
        said = record.__dict__.keys() | _extra()
        for name, value in at_work.told().items():
            if name not in said:
                setattr(record, name, value)
    return record


def _extra() -> set[str]:
    """The names that whoever logs gives as `extra`, which logging does not let anybody have set before."""
    frame = sys._getframe(2)  # noqa: SLF001  # the one way to see them
    for _ in range(_FACTORIES):
        if frame.f_code is _make:
            return {*(frame.f_locals.get("extra") or ())}
        if frame.f_back is None:
            break
        frame = frame.f_back
    return set()


def _hide(record: logging.LogRecord) -> None:
    """Takes what looks like a secret out of a record of ours: out of its text, and of the error that it tells of."""
    from lumosai._secrets import redact

    with contextlib.suppress(Exception):  # what cannot be made text is the handler's to say
        text = record.getMessage()
        safe = redact(text)
        if safe != text:
            record.msg, record.args = safe, None
        if record.exc_info and record.exc_info[0] is not None:
            traced = logging.Formatter().formatException(record.exc_info)
            safe = redact(traced)
            if safe != traced:
                record.exc_text, record.exc_info = safe, None


logging.setLogRecordFactory(_record)
