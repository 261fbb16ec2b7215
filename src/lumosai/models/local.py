"""A model on this machine: llama.cpp and a file of weights, no key and no account.

The runtime is the optional extra `local`. It runs in a process of its own (`_llama`), which speaks the protocol that
`OpenAIChatModel` speaks; what is here finds the weights, fetches them where they are missing, and starts it at the
first use. Tools are called by constrained calling (`models.calling`): small models write no native calls that a server
would recognise, but a grammar holds them to valid ones.
"""

from __future__ import annotations

import asyncio
import os
import threading
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from lumosai._loggers import logger_of
from lumosai.errors import ConfigurationError, MissingExtraError
from lumosai.models import _llama
from lumosai.models.profiles import Profile

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from lumosai.models._sources import Progress
    from lumosai.models.base import Chunk, ModelRequest
    from lumosai.models.openai_chat import OpenAIChatModel
    from lumosai.models.weights import Weights

T = TypeVar("T")

CONTEXT_TOKENS: Final = 4096
_READ_S: Final = 600.0
"""Seconds without a byte: a long prompt on a slow machine takes minutes before the first word."""
_log: Final = logger_of("lumosai.models")


class LocalModel:
    """A model on this machine.

    Cheap to make: nothing is looked at before the first use, which loads the weights (some seconds) and, where the
    catalogue's are missing, fetches them first. All models with the same weights and settings share one server, kept
    until the process ends.

    Args:
        name_or_path: a name of `models.weights`, or the path of any GGUF file.
        threads: how many compute; by default as many processors as this process may use, at most 8.
        context_tokens: the window: prompt and answer together must fit. An answer that is not limited by
            `max_output_tokens` ends after half of it, since small models that repeat themselves never end.
        parallel: answers made side by side, each with a window of its own; others wait.
        temperature: of requests that name none. Low, since small models wander off otherwise.
        cache_mb: memory that keeps the prompts of conversations which made room for others, in MiB.
        gpu_layers: how many layers a graphics card computes, where the runtime has one; None leaves it to the runtime.
        chat_template: a Jinja template instead of the one in the weights.
        profile: what the model can do, for those that can do more than is assumed.
        progress: told of a download: (bytes that are there, bytes there will be, what is being done).
        verbose: whether the runtime may write its log to the terminal.

    Attributes:
        provider: "local".
        name: the weights' name, or the file's.
        profile: what it can do.
        endpoint: which weights, as a stable text.
    """

    provider: Final = "local"

    def __init__(
        self,
        name_or_path: str | os.PathLike[str] = "default",
        *,
        threads: int | None = None,
        context_tokens: int = CONTEXT_TOKENS,
        parallel: int = 1,
        temperature: float = 0.0,
        cache_mb: int = 256,
        gpu_layers: int | None = None,
        chat_template: str | None = None,
        profile: Profile | None = None,
        progress: Progress | None = None,
        verbose: bool = False,
    ) -> None:
        for what, value in (("threads", threads), ("context_tokens", context_tokens), ("parallel", parallel)):
            if value is not None and (type(value) is not int or value < 1):
                raise ConfigurationError(f"{what}={value!r} of a local model must be a whole number from 1")
        self._weights, self._path = _which(name_or_path)
        self.name = self._weights.name if self._weights else self._path.stem
        self.profile = profile or Profile(
            native_tools=False,
            json_schema=True,
            tool_mode="constrained",
            answers_after_tools=True,
            parallel_tools=False,
            images=False,
            audio=False,
            files=False,
            local=True,
            context_tokens=context_tokens,
        )
        self._progress = progress
        self._options: dict[str, Any] = {
            "threads": threads or _llama.threads_here(),
            "context_tokens": context_tokens,
            "parallel": parallel,
            "temperature": temperature,
            "cache_mb": cache_mb,
            "gpu_layers": gpu_layers,
            "chat_template": chat_template,
            "verbose": verbose,
            "slots": verbose,
        }
        self._server: _llama.Server | None = None
        self._inner: OpenAIChatModel | None = None

    def __repr__(self) -> str:
        return f"LocalModel({self.name!r}, context_tokens={self.profile.context_tokens!r})"

    @property
    def endpoint(self) -> str:
        """Which weights these are: what was learned about them is kept under it."""
        return f"sha256:{self._weights.sha256}" if self._weights else self._path.absolute().as_uri()

    @property
    def path(self) -> Path:
        """Where the weights are, or will be."""
        return self._weights.path if self._weights else self._path

    async def stream(self, request: ModelRequest) -> AsyncGenerator[Chunk, None]:
        """The answer's chunks, token by token. Closing the generator stops the computing.

        Raises:
            WeightsError: the weights cannot be had, are broken, or cannot be loaded.
            MissingExtraError: the runtime is not installed.
            ModelError: the runtime cannot answer this request, such as one that is longer than the window.
        """
        inner = await self._ready()
        async with aclosing(inner.stream(request)) as chunks:
            async for chunk in chunks:
                yield chunk

    async def load(self) -> None:
        """Fetches and loads the weights now, so that the first answer does not wait for it.

        Raises:
            WeightsError: as `stream`.
            MissingExtraError: as `stream`.
        """
        await self._ready()

    def unload(self) -> None:
        """Gives the memory back. Every model with the same weights and settings loads them again at its next use."""
        if self._server is not None:
            _llama.stop(self._settings())
        self._server = self._inner = None

    async def _ready(self) -> OpenAIChatModel:
        if self._inner is None or self._server is None or not self._server.alive:
            self._server = await _aside(self._start)
            self._inner = self._client(self._server)
        return self._inner

    def _client(self, server: _llama.Server) -> OpenAIChatModel:
        from lumosai._http import Timeouts
        from lumosai.models.openai_chat import OpenAIChatModel

        return OpenAIChatModel(
            self.name,
            base_url=f"{server.url}/v1",
            api_key=server.key,
            timeout_s=Timeouts(read_s=_READ_S),
            profile=self.profile,
            provider=self.provider,
        )

    def _start(self, given_up: threading.Event) -> _llama.Server:
        """The server, after what it needs was fetched and looked at. Blocks."""
        from importlib.util import find_spec

        from lumosai.models import _gguf

        if find_spec("xllamacpp") is None:  # before 490 MB are fetched for nothing
            raise MissingExtraError("a model on this machine", extra="local")
        if self._weights is not None:
            self._fetch(self._weights, given_up)
        settings = self._settings()
        running = _llama.running(settings)
        if running is not None:
            return running
        _gguf.check(Path(settings.path))
        return _llama.share(settings)

    def _settings(self) -> _llama.Settings:
        return _llama.Settings(path=str(self.path.resolve()), name=self.name, **self._options)

    def _fetch(self, weights: Weights, given_up: threading.Event) -> None:
        from lumosai.models.weights import pull

        if weights.path.exists():
            return
        _log.info("fetching the weights %s, %d MB", weights.name, weights.size // 1_000_000)
        progress = self._progress

        def report(done: int, total: int, what: str) -> None:
            if given_up.is_set():
                raise asyncio.CancelledError
            if progress is not None:
                progress(done, total, what)

        pull(weights.name, report)


def _which(name_or_path: str | os.PathLike[str]) -> tuple[Weights | None, Path]:
    """The weights of that name, or None and the path that it is.

    Raises:
        UnknownModelError: it is neither a known name nor looks like a path.
    """
    text = os.fspath(name_or_path)
    path = Path(text).expanduser()
    looks_like_path = not isinstance(name_or_path, str) or text.lower().endswith(".gguf") or len(path.parts) > 1
    if looks_like_path or path.is_file():
        return None, path
    from lumosai.models.weights import find

    weights = find(text)
    return weights, weights.path


async def _aside(job: Callable[[threading.Event], T]) -> T:
    """What `job` gives, in a thread that nothing waits for: a cancelled download must not hold up the program's end.

    The job is handed an event that is set when nobody waits for it any more.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()
    given_up = threading.Event()

    def settle(result: T | None, error: BaseException | None) -> None:
        if not done.done():
            if error is not None:
                done.set_exception(error)
            else:
                done.set_result(result)  # type: ignore[arg-type]  # no error, so there is one

    def run() -> None:
        result, error = None, None
        try:
            result = job(given_up)
        except BaseException as raised:  # noqa: BLE001  # handed to whoever waits
            error = raised
        if not given_up.is_set():
            loop.call_soon_threadsafe(settle, result, error)

    threading.Thread(target=run, name="lumosai-local-model", daemon=True).start()
    try:
        return await done
    finally:
        given_up.set()
