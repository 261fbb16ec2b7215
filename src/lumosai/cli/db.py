"""`lumosai db …`: the database, looked after."""

from __future__ import annotations

import contextlib
import datetime as dt
import sys
from pathlib import Path  # noqa: TC003  # typer reads it
from typing import IO, TYPE_CHECKING, Annotated, Any, TypeVar, cast

import typer

from lumosai.cli.guard import guarded
from lumosai.cli.options import (
    AgentName,
    Config,
    DatabaseUrl,
    Debug,
    Json,
    Owner,
    Tenant,
    check_there,
    choose_agent,
    configured,
    default_database,
)
from lumosai.cli.terminal import is_terminal, one_line, style_for, tell, write_json, write_line
from lumosai.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

    from lumosai.records import Retention
    from lumosai.storage.base import Storage
    from lumosai.storage.upkeep import DatabaseInfo, Removable

T = TypeVar("T")

_MIB = 2**20


def make() -> typer.Typer:
    """The `db` commands."""
    tree = typer.Typer(
        help="Look after a database: its state, its size, copies, transfer, erasure, schema.", no_args_is_help=True
    )
    tree.rich_markup_mode = None
    tree.callback()(lambda: None)
    for name, command in (
        ("info", info),
        ("gc", gc),
        ("backup", backup),
        ("export", export),
        ("import", import_),
        ("erase", erase),
        ("migrate", migrate),
    ):
        tree.command(name)(guarded(command))
    return tree


def info(
    *,
    check: Annotated[
        bool, typer.Option("--check", help="Look through all of it for damage; that may take long.")
    ] = False,
    database: DatabaseUrl = None,
    agent: AgentName = None,
    config: Config = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Show what a database holds, how large and how sound it is, and what retention would remove."""
    _ = debug

    async def work(storage: Storage, retention: Retention) -> DatabaseInfo:
        return await storage.system().info(check=check, retention=retention)

    told = _with(work, database=database, agent=agent, config=config)
    if json:
        import msgspec

        write_json(msgspec.to_builtins(told))
    else:
        _show(told)
    if told.problems:
        raise typer.Exit(1)


def gc(
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be removed.")] = False,
    database: DatabaseUrl = None,
    agent: AgentName = None,
    config: Config = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Remove what was kept long enough, and give the room back to the disk. An open application does so by itself."""
    _ = debug
    import msgspec

    async def work(storage: Storage, retention: Retention) -> dict[str, Any]:
        system = storage.system()
        if dry_run:
            told = (await system.info(retention=retention)).removable
            return cast("dict[str, Any]", msgspec.to_builtins(told))
        before = (await system.info()).bytes
        done = await system.collect(retention, pause_s=0.005, thorough=True)
        return {**msgspec.to_builtins(done), "freed_bytes": max(0, before - (await system.info()).bytes)}

    done = _with(work, database=database, agent=agent, config=config)
    if json:
        write_json(done)
        return
    verb = "would go" if dry_run else "removed"
    size = f"{done['bytes'] / _MIB:.1f} MiB in them" if dry_run else f"{done['freed_bytes'] / _MIB:.1f} MiB freed"
    write_line(f"{done['runs']} runs, {done['threads']} threads and {done['traces']} traces {verb}; {size}")
    if done["over"]:
        write_line(
            f"it is {done['over'] / _MIB:.1f} MiB larger than retention.max_mib all the same: threads and runs that may go "
            "on are never removed for size"
        )


def backup(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A file that is not there yet.")],
    *,
    database: DatabaseUrl = None,
    agent: AgentName = None,
    config: Config = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Write a checked copy of an SQLite database while others use it; of PostgreSQL, an export of one state of it."""
    _ = debug

    async def work(storage: Storage, _retention: Retention) -> tuple[int, str]:
        if storage.url.startswith("sqlite"):
            return await storage.system().backup(str(file)), "a database, checked"
        await _write_out(storage, file, None)
        return file.stat().st_size, "an export of one state, for lumosai db import"

    size, what = _with(work, database=database, agent=agent, config=config)
    if json:
        write_json({"file": str(file), "bytes": size})
    else:
        write_line(f"{file}: {what}, {size / _MIB:.1f} MiB")


def export(
    file: Annotated[
        Path | None,
        typer.Argument(
            metavar="FILE", help="A file that is not there yet, packed where it ends in .gz; by default the output."
        ),
    ] = None,
    *,
    tenant: Tenant = None,
    owner: Owner = None,
    database: DatabaseUrl = None,
    agent: AgentName = None,
    config: Config = None,
    debug: Debug = False,
) -> None:
    """Write a database, or what one tenant or owner has in it, as lines of JSON that any other database takes in."""
    _ = debug
    from lumosai.records import Scope

    if owner is not None and tenant is None:
        tenant = Scope().tenant
    scope = Scope(tenant, owner) if tenant is not None else None

    async def work(storage: Storage, _retention: Retention) -> int:
        return await _write_out(storage, file, scope)

    lines = _with(work, database=database, agent=agent, config=config)
    tell(f"{lines} lines were written")


def import_(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What export wrote; - for the input.")],
    *,
    database: DatabaseUrl = None,
    agent: AgentName = None,
    config: Config = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Take an export in. What is here stays as it is; an import that was cut is gone on with by doing it again."""
    _ = debug
    import msgspec

    async def work(storage: Storage, _retention: Retention) -> dict[str, Any]:
        with _lines_of(file) as lines:
            return cast("dict[str, Any]", msgspec.to_builtins(await storage.system().load(_steady(lines))))

    done = _with(work, database=database, agent=agent, config=config, new=True)
    if json:
        write_json(done)
    else:
        for word, counts in (("new", done["taken"]), ("here already", done["there"])):
            write_line(f"{word}: {', '.join(f'{n} {kind}' for kind, n in counts.items()) or 'nothing'}")
    for kind, count in done["unknown"].items():
        tell(
            style_for(sys.stderr).yellow(
                f"{count} lines of the kind {kind!r}, which this version does not know, were passed by"
            )
        )
    for conflict in done["conflicts"]:
        tell(style_for(sys.stderr).yellow(f"stays as it is here: {one_line(conflict, 200)}"))
    if done["conflicting"]:
        tell(f"{done['conflicting']} conflicts")
        raise typer.Exit(1)


def erase(
    *,
    resource: Annotated[str, typer.Option("--resource", metavar="ID", help="Whom or what it is about.")],
    tenant: Annotated[str, typer.Option("--tenant", metavar="NAME", help="Of which tenant.")] = "default",
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    database: DatabaseUrl = None,
    agent: AgentName = None,
    config: Config = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Erase all that is about a resource, for good: threads, what was forked from them, media, runs, journals, traces."""
    _ = debug
    import msgspec

    if not yes:
        if not is_terminal(sys.stdin):
            raise ConfigurationError("erasing cannot be undone: --yes says that it is meant")
        typer.confirm(
            f"Erase all that is about {resource!r} of tenant {tenant!r}? It cannot be undone.", abort=True, err=True
        )

    async def work(storage: Storage, _retention: Retention) -> dict[str, Any]:
        return cast("dict[str, Any]", msgspec.to_builtins(await storage.system().erase(resource, tenant=tenant)))

    done = _with(work, database=database, agent=agent, config=config)
    if json:
        write_json(done)
    else:
        write_line(", ".join(f"{count} {kind}" for kind, count in done.items()) + " erased")


def migrate(
    *,
    database: DatabaseUrl = None,
    agent: AgentName = None,
    config: Config = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Bring a database's schema up to date. SQLite does so by itself when it is opened, behind a copy of the file."""
    _ = debug

    async def work(storage: Storage, _retention: Retention) -> int:
        return await storage.system().migrate()

    steps = _with(work, database=database, agent=agent, config=config)
    if json:
        write_json({"steps": steps})
    else:
        write_line(
            f"{steps} {'step' if steps == 1 else 'steps'} made: it is up to date" if steps else "it is up to date"
        )


def _with(
    work: Callable[[Storage, Retention], Awaitable[T]],
    *,
    database: str | None,
    agent: str | None,
    config: str | None,
    new: bool = False,
) -> T:
    """Does something with the storage that the options, the configuration or the user's own database are.

    Raises:
        ConfigurationError: there is no database.
    """
    import asyncio

    from lumosai.agent.config import memory_url
    from lumosai.storage.base import open_storage

    settings = configured(choose_agent(config=config, agent=agent))
    url = database if database is not None else memory_url(settings)
    if database is None and not url:
        own = default_database()
        if new:
            own.parent.mkdir(parents=True, exist_ok=True)
        url = f"sqlite:///{own}"
    storage = open_storage(url or "")
    if not new:
        check_there(getattr(storage, "path", ""))

    async def main() -> T:
        try:
            return await work(storage, settings.retention)
        finally:
            await storage.close()

    return asyncio.run(main())


async def _write_out(storage: Storage, file: Path | None, scope: Any) -> int:
    """Writes an export, to a file whole or not at all; how many lines."""
    count = 0
    with _output(file) as out:
        async for line in storage.system().export(scope):
            out.write(line)
            count += 1
    return count


@contextlib.contextmanager
def _output(file: Path | None) -> Iterator[IO[bytes]]:
    if file is None or str(file) == "-":
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    if file.exists():
        raise ConfigurationError(f"{str(file)!r} is there already: name a new file")
    from lumosai.storage import _whole as whole

    unfinished = whole.beside(file)
    try:
        with _opened(unfinished, "wb", packed=file.suffix == ".gz") as out:
            yield out
        whole.give_name(unfinished, file)
    except FileExistsError:
        raise ConfigurationError(f"{str(file)!r} is there already: name a new file") from None
    finally:
        unfinished.unlink(missing_ok=True)


@contextlib.contextmanager
def _lines_of(file: Path) -> Iterator[IO[bytes]]:
    if str(file) == "-":
        yield sys.stdin.buffer
        return
    if not file.exists() or file.is_dir():
        raise ConfigurationError(f"there is no file {str(file)!r}")
    with _opened(file, "rb", packed=file.suffix == ".gz") as lines:
        yield lines


def _opened(file: Path, mode: str, *, packed: bool) -> IO[bytes]:
    import gzip

    return cast("IO[bytes]", gzip.open(file, mode) if packed else file.open(mode))


async def _steady(lines: IO[bytes]) -> AsyncIterator[bytes]:
    for line in lines:
        yield line


def _show(told: DatabaseInfo) -> None:
    style = style_for(sys.stdout)
    write_line(style.bold(told.url))
    free = f", {told.free_bytes / _MIB:.1f} MiB of it free" if told.free_bytes is not None else ""
    write_line(f"schema {told.schema} (this program: {told.newest}); {told.bytes / _MIB:.1f} MiB{free}")
    if told.free_bytes and not told.shrinks:
        write_line("free room is used again, but not given back to the disk: lumosai db gc writes the file anew, once")
    write_line(f"{told.threads} threads, {told.messages} messages, {told.blobs} media and other contents")
    write_line("runs: " + (", ".join(f"{n} {status}" for status, n in told.runs.items()) or "none"))
    for name, at in told.oldest.items():
        when = dt.datetime.fromtimestamp(at, tz=dt.UTC).astimezone().strftime("%Y-%m-%d %H:%M")
        write_line(f"oldest {name}: {when}")
    for kind in told.kinds:
        size = f"{kind.bytes / _MIB:>10.2f} MiB" if kind.bytes is not None else ""
        write_line(f"  {kind.name:<20} {kind.rows:>10} rows {size}")
    if told.removable is not None:
        _show_removable(told.removable)
    if told.problems is not None:
        for problem in told.problems:
            write_line(style.red(f"not sound: {one_line(problem, 300)}"))
        if not told.problems:
            write_line(style.green("sound"))


def _show_removable(told: Removable) -> None:
    write_line(
        f"retention would remove {told.runs} runs, {told.threads} threads and {told.traces} traces "
        f"({told.bytes / _MIB:.1f} MiB)"
    )
    if told.over:
        write_line(
            f"it is {told.over / _MIB:.1f} MiB larger than retention.max_mib, which nothing that may go makes up for"
        )
