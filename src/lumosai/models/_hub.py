"""Weights from a hub of models over HTTP, resumed by `Range`."""

from __future__ import annotations

import asyncio
import os
import re
import threading
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import msgspec

from lumosai.errors import ConfigurationError, LumosaiError, ModelError
from lumosai.models._sources import ANSWER_S, Partial, PassedByError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
    from pathlib import Path

STALL_S = 30.0
"""Seconds without a byte, once a download has begun."""
_TRIES = 5
_ENDPOINT = "https://huggingface.co"
_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")
_OK, _PARTIAL = 200, 206


class Hub(msgspec.Struct, frozen=True):
    """One file of a repository at the Hugging Face hub, or at the mirror of it that `HF_ENDPOINT` names.

    Attributes:
        repository: "owner/name".
        file: its path there.
        revision: a branch, tag or commit.
    """

    repository: str
    file: str
    revision: str = "main"

    @property
    def url(self) -> str:
        """Where the file is."""
        endpoint = os.environ.get("HF_ENDPOINT") or _ENDPOINT
        return f"{endpoint.rstrip('/')}/{self.repository}/resolve/{self.revision}/{self.file}"

    @property
    def label(self) -> str:
        """The host's name."""
        return urlsplit(self.url).hostname or self.url

    def fetch(self, partial: Partial, scratch: Path) -> None:  # noqa: ARG002  # the contract's
        """Appends what is missing, and goes on after a cut as long as each try brings something.

        Raises:
            PassedByError: no answer within 5 s, another answer than the file, or too many cuts.
        """
        for _ in range(_TRIES):
            had = partial.length
            try:
                run_apart(lambda: _download(self.url, partial, self.label))
            except ModelError as error:
                if partial.length == had:
                    raise PassedByError(_brief(error)) from error
            except ConfigurationError as error:
                raise PassedByError(_brief(error)) from error
            if partial.whole:
                return
        raise PassedByError(f"its connection was cut {_TRIES} times")


async def _download(url: str, partial: Partial, label: str) -> None:
    from lumosai import _http

    # As it is stored: a transfer encoding would make offsets meaningless.
    headers = {"Accept-Encoding": "identity"}
    if partial.length:
        headers["Range"] = f"bytes={partial.length}-"
    timeouts = _http.Timeouts(connect_s=ANSWER_S, read_s=STALL_S)
    opened = _http.stream_bytes("GET", url, headers=headers, timeouts=timeouts)
    try:
        try:
            async with asyncio.timeout(ANSWER_S):
                answer = await opened.__aenter__()
        except TimeoutError as error:
            raise PassedByError(f"did not answer within {ANSWER_S:g} s") from error
        try:
            await _append(answer.status, answer.headers, answer.chunks, partial, label)
        finally:
            await opened.__aexit__(None, None, None)
    finally:
        await _http.close()


async def _append(
    status: int, headers: Mapping[str, str], chunks: AsyncIterator[bytes], partial: Partial, label: str
) -> None:
    _begin(status, headers, partial)
    async for chunk in chunks:
        partial.append(chunk, label)


def _begin(status: int, headers: Mapping[str, str], partial: Partial) -> None:
    """Sees that what comes is the file from where the partial one ends, or begins anew where the server cannot do that.

    Raises:
        PassedByError: it is something else.
    """
    if status == _PARTIAL:
        found = _RANGE.fullmatch(headers.get("content-range", ""))
        if found is None or int(found[1]) != partial.length or found[2] not in ("*", str(partial.size)):
            raise PassedByError(f"answered with another range than was asked for: {headers.get('content-range')!r}")
        return
    if status != _OK:
        raise PassedByError(f"answered with status {status}")
    length = headers.get("content-length")
    if length is not None and int(length) != partial.size:
        raise PassedByError(f"has another file there: {int(length):,} bytes instead of {partial.size:,}")
    if partial.length:
        partial.restart()


def _brief(error: LumosaiError) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def run_apart(job: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Runs a coroutine to its end on a loop of its own, in this thread, or in one beside it where a loop runs here.

    Unlike `asyncio.run` it does not wait for a name look-up that was given up, which can take half a minute.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        _run(job)
        return
    failed: list[BaseException] = []

    def beside() -> None:
        try:
            _run(job)
        except BaseException as error:  # noqa: BLE001  # carried over to the thread that waits
            failed.append(error)

    thread = threading.Thread(target=beside, name="lumosai-download", daemon=True)
    thread.start()
    thread.join()
    if failed:
        raise failed[0]


def _run(job: Callable[[], Coroutine[Any, Any, None]]) -> None:
    loop = asyncio.new_event_loop()
    task = loop.create_task(job())
    try:
        loop.run_until_complete(task)
    finally:
        if not task.done():
            task.cancel()
            loop.run_until_complete(asyncio.gather(task, return_exceptions=True))
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()
