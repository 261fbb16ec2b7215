"""The one choke point that every tool call passes, whichever model, mode or dialect it came from.

Declared in this very request → repaired → coerced and validated → within the limits → approved → run → clamped. Whatever
goes wrong becomes data for the model: a result marked as an error that says what was wrong and what would be right. Only
the end of the run itself (a cancel, Ctrl-C) comes out as an exception.

Limits, approvals and the journal belong to the run; it hands them in as a `Gate`.
"""

from __future__ import annotations

import inspect
import json
import time
from typing import TYPE_CHECKING, Any, NoReturn

import msgspec

from lumosai._loggers import logger_of
from lumosai._schema import InvalidArguments
from lumosai.ids import content_hash
from lumosai.messages import ToolCallPart, ToolResultPart
from lumosai.tools._results import clean, whole
from lumosai.tools._running import Gate, Outcome, Running, outcome_of, since
from lumosai.tools.base import near

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lumosai.tools.base import Tool, ToolContext

__all__ = ["Gate", "Outcome", "execute", "outcome_of", "read_arguments"]

logger = logger_of("lumosai.tools")

_SHOWN = 200
_DEEPEST = 200
"""How deeply arguments may be nested; what Python's readers take besides differs from version to version."""


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_decode = json.JSONDecoder(parse_constant=_no_constant).decode
_quickly = msgspec.json.Decoder().decode


def read_arguments(raw: str) -> dict[str, Any] | None:
    """The arguments that a model's text means: strict JSON, else repaired; `{}` for no text; None where it is no object.

    Nothing is invented: see `lumosai._repair`.
    """
    try:  # nearly always; whatever it refuses, such as half a character, is read as below, and what it takes means the same
        found = _quickly(raw)
        if type(found) is dict:
            return None if _is_deep(found, raw) else found
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        pass
    text = raw.strip()
    if not text:
        return {}
    try:
        found = _decode(text)
    except (ValueError, RecursionError):
        found = text
    if isinstance(found, str | list):  # broken, or an object packed into a string or a list
        from lumosai._repair import repair_object

        found = repair_object(text)
    if not isinstance(found, dict) or _is_deep(found, text):
        return None
    try:
        return found if text.isascii() and "\\u" not in text else _whole(found)
    except RecursionError:
        return None


def _is_deep(value: Any, raw: str) -> bool:
    """Whether a value is nested deeper than anybody's arguments are, looked at level by level."""
    if raw.count("{") + raw.count("[") <= _DEEPEST:
        return False
    level, depth = [value], 0
    while level and depth <= _DEEPEST:
        depth += 1
        inner = (each for value in level for each in (value.values() if type(value) is dict else value))
        level = [each for each in inner if type(each) in (dict, list)]
    return depth > _DEEPEST


def _whole(value: Any) -> Any:
    """JSON values without lone surrogates."""
    if isinstance(value, str):
        return whole(value)
    if isinstance(value, dict):
        return {whole(key): _whole(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_whole(each) for each in value]
    return value


async def execute(
    call: ToolCallPart,
    tools: Mapping[str, Tool],
    context: ToolContext,
    gate: Gate,
    *,
    timeout_s: float | None,
    max_result_chars: int | None,
    grace_s: float = 1.0,
) -> Outcome:
    """Take one call through every check and run it.

    Args:
        call: as the model made it.
        tools: exactly those declared in the request that the call answers.
        context: what the run tells its tools. An empty `idempotency_key` becomes "run id:call id".
        gate: the run's limits, approvals and journal.
        timeout_s: for tools that do not say otherwise; None is none.
        max_result_chars: likewise.
        grace_s: seconds that a cancelled sync tool is given to stop.

    Returns:
        How it ended; without a result where the call waits for an approval that nobody could give.

    Raises:
        asyncio.CancelledError: the awaiting task was cancelled; `outcome_of` tells how the call ended.
        KeyboardInterrupt: raised in the tool.
    """
    begun = time.perf_counter()
    tool = tools.get(call.name)
    if tool is None:
        return _failed(call, "undeclared", _undeclared(call.name, tools), begun)
    arguments = call.arguments if call.arguments is not None else read_arguments(call.raw or "")
    if arguments is None:
        return _failed(call, "invalid_arguments", _unreadable(call.raw or "", tool), begun)
    try:
        shown, kwargs = tool.accept(arguments)
    except InvalidArguments as error:
        return _failed(call, "invalid_arguments", clean(f"Invalid arguments for {call.name!r}.\n{error}"), begun)
    call = ToolCallPart(call.id, call.name, shown, None, call.signature)
    refusal = gate.admit(call)
    if refusal is not None:
        return _failed(call, "limit", refusal, begun)
    key = context.idempotency_key or f"{context.run_id}:{call.id}"
    running = Running(call, tool, context, key, gate)
    if tool.approval is not False:
        refused = await _approved(call, tool, running.context, gate, begun)
        if refused is not None:
            return refused
    await gate.started(call, key, (time.perf_counter() - begun) * 1e3)
    if tool.context_parameter is not None:
        kwargs[tool.context_parameter] = running.context
    return await running.run(
        kwargs,
        timeout_s=timeout_s if tool.timeout_s is None else tool.timeout_s,
        most=max_result_chars if tool.max_result_chars is None else tool.max_result_chars,
        grace_s=grace_s,
    )


async def _approved(call: ToolCallPart, tool: Tool, context: ToolContext, gate: Gate, begun: float) -> Outcome | None:
    """None where the call may run: no approval is needed, or one was given for exactly this call."""
    if not await _needs_approval(call, tool, context):
        return None
    digest = content_hash(call.arguments)
    approval = await gate.approve(call, digest)
    if approval is None:
        return Outcome(call, None, None, since(begun))
    if not approval.granted:
        return _failed(call, "denied", f"Denied{f': {approval.reason}' if approval.reason else '.'}", begun)
    if approval.call_id != call.id or approval.arguments_hash != digest or content_hash(call.arguments) != digest:
        return _failed(call, "denied", "Denied: the approval was given for another call or for other arguments.", begun)
    return None


async def _needs_approval(call: ToolCallPart, tool: Tool, context: ToolContext) -> bool:
    if not callable(tool.approval):
        return tool.approval
    try:
        answer = tool.approval({**tool.defaults, **(call.arguments or {})}, context)
        return bool(await answer) if inspect.isawaitable(answer) else bool(answer)
    except Exception:  # the user's predicate may raise anything, and what cannot be judged is not let through
        logger.warning("the approval predicate of tool %r raised: a person must approve", tool.name, exc_info=True)
        return True


def _undeclared(name: str, tools: Mapping[str, Tool]) -> str:
    if not tools:
        return f"There is no tool {name!r}: none may be called now."
    close = near(name, tools)
    hint = f"Did you mean {' or '.join(map(repr, close))}?" if close else f"There are: {', '.join(list(tools)[:20])}."
    return clean(f"There is no tool {name!r}. {hint}")


def _unreadable(raw: str, tool: Tool) -> str:
    shown = raw if len(raw) <= _SHOWN else f"{raw[: _SHOWN // 2]} … {raw[-_SHOWN // 2 :]}"
    names = ", ".join(tool.parameters.get("properties", {})) or "none"
    return clean(
        f"The arguments of {tool.name!r} are not a JSON object{_position(raw)}: {shown}\n"
        f"Write one complete JSON object with the arguments: {names}."
    )


def _position(raw: str) -> str:
    try:
        _decode(raw.strip())
    except json.JSONDecodeError as error:
        return f" ({error.msg} at character {error.pos})"
    except (ValueError, RecursionError):
        pass
    return ""


def _failed(call: ToolCallPart, error_type: str, text: str, begun: float) -> Outcome:
    return Outcome(call, ToolResultPart(call.id, call.name, text, True), error_type, since(begun))
