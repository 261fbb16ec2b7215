"""The error tree: every exception that Lumosai raises on purpose, and when.

    LumosaiError
    ├── ConfigurationError            a setting, file or combination that cannot work
    │   ├── MissingExtraError         an optional part is not installed
    │   ├── MissingKeyError           a provider needs a key and no variable holds one
    │   ├── UnknownModelError         no such provider or model name
    │   └── ToolDefinitionError       a tool that cannot be described, found at its declaration
    ├── InvalidInputError             empty input, an unanswered call in the messages, a wrong state
    │   └── CursorError               a cursor beyond a run's history; `last` is the last good one
    ├── ModelError                    what a provider, its server or the way there answered
    │   ├── ModelConnectionError      unreachable, refused, name not found, TLS
    │   │   ├── ModelTimeoutError     connect, read or total time-out
    │   │   └── StreamInterruptedError  the connection was cut before the answer's end
    │   ├── AuthenticationError       401
    │   ├── PermissionDeniedError     403
    │   ├── ModelNotFoundError        404: wrong model name or base URL
    │   ├── BadRequestError           400, 409, 413, 422
    │   │   ├── ToolsUnsupportedError     the server rejects `tools`
    │   │   ├── SchemaUnsupportedError    the server rejects `response_format`
    │   │   ├── MediaUnsupportedError     an image, audio or file part that the model does not take
    │   │   └── ContextLengthError        the prompt is longer than the model's window
    │   ├── RateLimitError            429
    │   │   └── QuotaExceededError    429 that waiting does not cure: no credit left
    │   ├── ServerError               5xx, or an error in mid-stream
    │   ├── MalformedAnswerError      not the wire format: HTML, broken JSON or SSE
    │   └── AnswerTooLargeError       more bytes than allowed
    ├── ToolError                     raised by a tool: its text is told to the model
    ├── RunError                      a run that could not reach an answer
    │   ├── ThreadBusyError           another run is at work on the thread
    │   ├── OutputInvalidError        `output_type` not met after every re-ask
    │   └── ToolFailuresError         the same call failed again and again
    ├── StorageError                  what a database answered, or that it did not
    │   ├── NotFoundError             no such thread, branch, message or run in this scope
    │   ├── ConflictError             it is there already, was changed meanwhile, or has ended
    │   │   └── UnreadInboxError      a message was sent into a run in the moment it ended
    │   ├── LeaseLostError            another process has taken the run over
    │   ├── StorageUnavailableError   locked, unreachable, or the connection was lost
    │   ├── StorageFullError          the disk or its quota is full
    │   └── StorageBrokenError        read-only, corrupt, no database, or of a newer version
    └── WeightsError                  a weights file: missing, truncated, wrong digest, no source

Every error can carry the run's partial result in `result`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence


class LumosaiError(Exception):
    """The root: `except LumosaiError` catches everything the platform raises on purpose.

    Attributes:
        result: the partial `AgentResult` of the run that ended with this error, else None.
        retryable: whether the same call may succeed later without a change.
    """

    result: Any = None
    retryable: bool = False


class ConfigurationError(LumosaiError):
    """A setting, a file or a combination of arguments that cannot work. Change it; a retry cannot help."""


class MissingExtraError(ConfigurationError):
    """An optional part is not installed. The message holds the exact install command."""

    def __init__(self, what: str, *, extra: str) -> None:
        self.extra = extra
        super().__init__(f"{what} needs an optional part that is not installed: pip install 'lumosai[{extra}]'")


class MissingKeyError(ConfigurationError):
    """A provider needs an API key, and neither the argument nor any of its variables holds one."""

    def __init__(self, provider: str, *, variables: Sequence[str], url: str = "") -> None:
        self.provider = provider
        self.variables = tuple(variables)
        self.url = url
        where = f"; get one at {url}" if url else ""
        super().__init__(
            f"no API key for {provider!r}: set {' or '.join(self.variables)}, or pass api_key=…{where}. "
            "A model on this machine needs none: model='local'"
        )


class UnknownModelError(ConfigurationError):
    """A provider or model name that nobody knows. `near` lists names that look like it."""

    def __init__(self, message: str, *, near: Sequence[str] = ()) -> None:
        self.near = tuple(near)
        hint = f" Did you mean {' or '.join(repr(n) for n in self.near)}?" if self.near else ""
        super().__init__(message + hint)


class ToolDefinitionError(ConfigurationError):
    """A tool that cannot be described to a model. Raised where the tool is declared, never in a run."""

    def __init__(self, message: str, *, tool: str = "", parameter: str | None = None) -> None:
        self.tool = tool
        self.parameter = parameter
        super().__init__(message)


class InvalidInputError(LumosaiError, ValueError):
    """The input of a call cannot be used: empty, of a wrong type, or ending in an unanswered tool call."""


class CursorError(InvalidInputError):
    """A cursor that lies beyond what is kept of a run, as behind a power cut or a restored backup: read on from `last`.

    Attributes:
        last: the last good cursor before it, written `epoch.seq`.
    """

    def __init__(self, message: str, *, last: str = "") -> None:
        self.last = last
        super().__init__(message)


class ModelError(LumosaiError):
    """What a provider, its server or the way there answered instead of an answer.

    Attributes:
        provider: the provider's name, such as "openai".
        model: the model's name.
        status: the HTTP status, None where none was received.
        code: the provider's own error code, None where it gave none.
        retry_after_s: seconds the provider asks to wait, None where it did not say.
        wrote: what the model wrote, where the provider refuses that; else None.
    """

    wrote: str | None = None

    def __init__(
        self,
        message: str,
        *,
        provider: str = "",
        model: str = "",
        status: int | None = None,
        code: str | None = None,
        retry_after_s: float | None = None,
        retryable: bool | None = None,
    ) -> None:
        self.provider = provider
        self.model = model
        self.status = status
        self.code = code
        self.retry_after_s = retry_after_s
        if retryable is not None:
            self.retryable = retryable
        super().__init__(message)


class ModelConnectionError(ModelError):
    """The server could not be reached: refused, name not found, TLS, reset. Check the base URL and the network."""

    retryable = True


class ModelTimeoutError(ModelConnectionError):
    """No answer, or no further byte of one, within the time allowed. Raise `timeout_s` for a slow model."""


class StreamInterruptedError(ModelConnectionError):
    """The connection ended before the answer did. A cut answer is never passed off as a finished one."""


class AuthenticationError(ModelError):
    """401: the key is wrong, revoked, or for another service."""


class PermissionDeniedError(ModelError):
    """403: the key is right but may not do this (region, model access, organisation policy)."""


class ModelNotFoundError(ModelError):
    """404: no such model at this server, or the base URL lacks its path (often `/v1`)."""


class BadRequestError(ModelError):
    """400, 409, 413 or 422: the server understood the request and refuses it as it is."""


class ToolsUnsupportedError(BadRequestError):
    """The server rejects the `tools` parameter. `tool_calling="auto"` switches to another mode by itself."""


class SchemaUnsupportedError(BadRequestError):
    """The server rejects `response_format`. Structured output falls back to another way by itself."""


class MediaUnsupportedError(BadRequestError):
    """An image, audio or file part that the model does not take, found before the request. The message says what it takes.

    Attributes:
        part: "image", "audio" or "file".
        message_index, part_index: where it stands, from 0.
    """

    def __init__(self, message: str, *, part: str, message_index: int, part_index: int, **named: Any) -> None:
        self.part = part
        self.message_index = message_index
        self.part_index = part_index
        super().__init__(message, **named)


class ContextLengthError(BadRequestError):
    """The prompt is longer than the model's window. Send fewer messages or a model with a larger one."""


class RateLimitError(ModelError):
    """429: too many requests or tokens a minute. Retried with the wait that the server names."""

    retryable = True


class QuotaExceededError(RateLimitError):
    """429 that no waiting cures: the account has no credit left."""

    retryable = False


class ServerError(ModelError):
    """5xx, or an error event in mid-stream: the provider failed."""

    retryable = True


class MalformedAnswerError(ModelError):
    """The answer is not of the wire format (an HTML page, broken JSON, broken SSE). Often a wrong base URL."""


class AnswerTooLargeError(ModelError):
    """The answer has more bytes than is allowed; reading stopped there."""


class ToolError(LumosaiError):
    """Raise it in a tool: its text goes to the model as the call's result, marked as an error."""


class RunError(LumosaiError):
    """A run that could not reach an answer for a reason of its own, not of a provider's."""


class ThreadBusyError(RunError):
    """Another run is at work on the thread's branch, and this one does not wait for it, or not any longer."""

    retryable = True


class OutputInvalidError(RunError):
    """The model's answer did not fit `output_type`, however often it was asked again."""


class ToolFailuresError(RunError):
    """The same tool call failed again and again; going on would only repeat it."""


class StorageError(LumosaiError):
    """What a database answered, or that it did not. Nothing of the call was stored, unless the message says otherwise."""


class NotFoundError(StorageError, LookupError):
    """No such thread, branch, message or run in this scope; what another owner has does not exist here."""


class ConflictError(StorageError):
    """It is there already, or was changed since it was read. Read it again and decide anew."""


class UnreadInboxError(ConflictError):
    """A run cannot end yet: a message was sent into it that its owner has not seen. The owner takes it in, and ends.

    Attributes:
        items: the rows of its inbox.
    """

    def __init__(self, message: str, items: Sequence[Any] = ()) -> None:
        self.items = tuple(items)
        super().__init__(message)


class LeaseLostError(StorageError):
    """Another process has taken the run over, or holds it: this one may not write to it."""


class StorageUnavailableError(StorageError):
    """The database is locked by another program, cannot be reached, or the connection was lost. Trying again may help."""

    retryable = True


class StorageFullError(StorageError):
    """The disk, or the database's share of it, is full. Free some, or let `lumosai db gc` do so."""


class StorageBrokenError(StorageError):
    """The database cannot be used as it is: read-only, corrupt, another kind of file, or made by a newer version."""


class WeightsError(LumosaiError):
    """A weights file cannot be had or trusted: missing, truncated, of another digest, or no source answered."""
