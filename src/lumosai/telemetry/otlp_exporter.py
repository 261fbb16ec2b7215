"""Our own way out: spans by OTLP over HTTP, with our ids and nothing to install.

    from lumosai.telemetry.otlp_exporter import OtlpExporter

    agent = Agent("assistant", observers=[OtlpExporter("http://localhost:4318")])

What records into a database sends here: a bounded queue, batches from the background loop, tries again while the receiver
is away. For a program that has an OpenTelemetry SDK there is `telemetry.otel`, whose spans have the SDK's ids.
"""

from __future__ import annotations

import gzip
import os
from typing import TYPE_CHECKING, Any, Final, Self, cast
from urllib.parse import unquote

import msgspec

from lumosai import _http
from lumosai._loggers import logger_of
from lumosai.errors import InvalidInputError, LumosaiError, StorageUnavailableError
from lumosai.spans import step_of
from lumosai.telemetry._outgoing import as_protobuf
from lumosai.telemetry.export import resource_spans
from lumosai.telemetry.recorder import Recorder

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lumosai.events import EmbeddingCall, Event
    from lumosai.records import Scope
    from lumosai.storage.base import Storage
    from lumosai.telemetry.trace import Content
    from lumosai.traces import Recorded

logger = logger_of("lumosai.telemetry")

ENDPOINT_VARIABLE: Final = "OTEL_EXPORTER_OTLP_ENDPOINT"
TRACES_VARIABLE: Final = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
HEADERS_VARIABLE: Final = "OTEL_EXPORTER_OTLP_HEADERS"
PROTOCOL_VARIABLE: Final = "OTEL_EXPORTER_OTLP_PROTOCOL"
TRACES_PROTOCOL_VARIABLE: Final = "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"
_JSON, _PROTOBUF = "http/json", "http/protobuf"
_KINDS: Final = {True: "application/json", False: "application/x-protobuf"}
_NOT_THAT: Final = 415
_USUAL: Final = "http://localhost:4318"
_PATH: Final = "/v1/traces"
_AGAIN: Final = frozenset({429, 502, 503, 504})
"""Statuses that the protocol has tried again; what gets another one is given up."""
_PACKED: Final = 2048
"""Bytes from which a request is compressed."""
_encode = msgspec.json.Encoder(enc_hook=str).encode


class OtlpExporter:
    """Sends the spans of the runs that it observes to an OTLP receiver over HTTP, as JSON, or as protobuf where that is all it reads.

    Of a run that goes on here and began in another process, which sent what ended there, the rest is sent. Nothing is sent
    before an agent that has it runs.

    Args:
        endpoint: the receiver, such as "http://localhost:4318"; `/v1/traces` is added. None for what
            `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT` or `OTEL_EXPORTER_OTLP_ENDPOINT` says, else that one.
        headers: to send with each request, such as a key; None for those of `OTEL_EXPORTER_OTLP_HEADERS`.
        content: as of `Telemetry`: "off", "metadata" or "full". What looks like a secret is left out in any case.
        service: the name of this program.
        timeout_s: for one request.

    Raises:
        InvalidInputError: no such content, or an endpoint that is no URL; `OTEL_EXPORTER_OTLP_PROTOCOL` says neither
            "http/json" nor "http/protobuf".
    """

    deltas = False
    """It has no use for deltas, so no answer is streamed for its sake."""

    measured = True
    """What it costs is known: where it seems slow the machine is busy, and nobody is warned."""

    def __init__(
        self,
        endpoint: str | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        content: Content = "off",
        service: str = "lumosai",
        timeout_s: float = 10.0,
    ) -> None:
        if content not in ("off", "metadata", "full"):
            raise InvalidInputError(f"content={content!r}: it is 'off', 'metadata' or 'full'")
        url = _url(endpoint)
        self._same = (url, content, service)
        known = _headers(os.environ.get(HEADERS_VARIABLE, "")) if headers is None else dict(headers)
        receiver = _Receiver(url, known, content, service, timeout_s)
        self._recorder = _Sending(cast("Storage", receiver), content=content)

    def __repr__(self) -> str:
        return f"<OtlpExporter to {self._same[0]}>"

    def __eq__(self, other: object) -> bool:
        """Whether both send the same to one receiver: a tree of runs is then sent by its root's alone."""
        return self._same == other._same if isinstance(other, OtlpExporter) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._same)

    def __call__(self, event: Event) -> None:
        """Takes a run's next event; what makes it an observer."""
        self._recorder.add(event)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def earlier(self, events: Sequence[Event], run_id: str) -> None:
        """Takes what a run that goes on here had said in other processes."""
        self._recorder.earlier(events, run_id)

    def embedded(self, call: EmbeddingCall, trace_id: str, scope: Scope) -> None:
        """Takes an embedding call of no run, such as those that index messages."""
        self._recorder.embedded(call, trace_id, scope)

    @property
    def dropped(self) -> int:
        """Spans that were not sent, since there were more than the receiver took."""
        return self._recorder.dropped

    async def flush(self) -> None:
        """Waits until all that has ended is sent.

        Raises:
            StorageUnavailableError: the receiver is away.
        """
        await self._recorder.flush()

    async def close(self) -> None:
        """Sends what waits.

        Raises:
            StorageUnavailableError: the receiver is away.
        """
        await self._recorder.close()


class _Sending(Recorder):
    """A recorder whose storage keeps nothing of what the process uses."""

    @property
    def storage(self) -> Storage | None:
        """None: there is nowhere to keep that."""
        return None


class _Receiver:
    """What the recorder takes for a storage."""

    def __init__(self, url: str, headers: dict[str, str], content: Content, service: str, timeout_s: float) -> None:
        self.telemetry = self
        self._url = url
        self._json = _protocol() == _JSON
        self._headers = {"Content-Type": _KINDS[self._json], **headers}
        self._content: Content = content
        self._service = service
        self._timeouts = _http.Timeouts(connect_s=timeout_s, read_s=timeout_s, total_s=timeout_s)
        self._refused = False

    async def record(self, batch: Sequence[Recorded]) -> None:
        """Sends spans.

        Raises:
            StorageUnavailableError: the receiver is away, or asks to be tried again.
        """
        told = [self._told(r) for r in batch if r.spans or r.rows]
        if not told:
            return
        status = await self._sent(told)
        if status == _NOT_THAT and self._json:
            self._json = False
            self._headers["Content-Type"] = _KINDS[False]
            status = await self._sent(told)
        if status in _AGAIN:
            raise StorageUnavailableError(f"the receiver of spans at {self._url} answers {status}")
        if status // 100 != 2 and not self._refused:  # noqa: PLR2004  # a status
            self._refused = True
            logger.warning("the receiver of spans at %s refuses them with status %d: they are lost", self._url, status)

    async def _sent(self, told: list[dict[str, Any]]) -> int:
        """Sends them; the status that comes back."""
        body = _encode({"resourceSpans": told}) if self._json else as_protobuf(told)
        headers = self._headers
        if len(body) > _PACKED:
            body, headers = gzip.compress(body, 1), {**headers, "Content-Encoding": "gzip"}
        try:
            answer = await _http.request("POST", self._url, headers=headers, body=body, timeouts=self._timeouts)
        except LumosaiError as error:
            raise StorageUnavailableError(f"the receiver of spans at {self._url} is away: {error}") from error
        return answer.status

    def _told(self, recorded: Recorded) -> dict[str, Any]:
        header = msgspec.structs.replace(recorded.header, source=self._service)
        steps = [*[n.step for n in recorded.spans], *[step_of(row, header.run_id) for row in recorded.rows]]
        return resource_spans(header, tuple(steps), content=self._content, whole=False)

    async def stored(self, *_: object) -> frozenset[int]:
        """Nobody knows; a span that comes twice has the same ids."""
        return frozenset()

    async def scope_of(self, _: str) -> None:
        """What another process has seen is not known here."""

    async def unfinished(self) -> tuple[()]:
        """Nothing is made anew."""
        return ()

    async def put_together(self) -> bool:
        """Nothing is counted."""
        return False


def _protocol() -> str:
    """What the variables say, JSON where they say nothing.

    Raises:
        InvalidInputError: they name what this does not speak.
    """
    told = os.environ.get(TRACES_PROTOCOL_VARIABLE) or os.environ.get(PROTOCOL_VARIABLE) or _JSON
    if told not in (_JSON, _PROTOBUF):
        raise InvalidInputError(f"{PROTOCOL_VARIABLE}={told!r}: spans go out by {_PROTOBUF} or {_JSON}")
    return told


def _url(endpoint: str | None) -> str:
    given = endpoint or os.environ.get(TRACES_VARIABLE) or ""
    url = given or os.environ.get(ENDPOINT_VARIABLE) or _USUAL
    if not url.startswith(("http://", "https://")):
        raise InvalidInputError(f"endpoint={url!r}: it begins with http:// or https://")
    if url.rstrip("/").endswith(_PATH) or (given and not endpoint):  # the variable of traces names the whole address
        return url
    return url.rstrip("/") + _PATH


def _headers(text: str) -> dict[str, str]:
    """`name=value` with commas between, percent-encoded, as the variable has them."""
    pairs = [each.partition("=") for each in text.split(",") if "=" in each]
    return {unquote(name.strip()): unquote(value.strip()) for name, _, value in pairs}
