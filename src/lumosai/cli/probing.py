"""`lumosai models probe MODEL`: what a live endpoint really does, told and remembered."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lumosai.cli.options import Debug, Json  # noqa: TC001  # typer reads them at run time
from lumosai.cli.terminal import one_line, style_for, tell, write_json, write_line

if TYPE_CHECKING:
    from lumosai.models.base import Model
    from lumosai.models.probing import Report, Trial
    from lumosai.models.profiles import Profile

Asked = Annotated[str, typer.Argument(metavar="MODEL", help="provider:model, 'auto' or 'local'.")]
BaseUrl = Annotated[str | None, typer.Option("--base-url", metavar="URL", help="Where its API is, /v1 included.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what would be sent, and what it would cost.")]
NoStore = Annotated[bool, typer.Option("--no-store", help="Do not keep what is found.")]
_WIDTH = 300


def probe(
    model: Asked,
    *,
    base_url: BaseUrl = None,
    dry_run: DryRun = False,
    no_store: NoStore = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Test a live model: native and parallel calls, strict tools, JSON Schema, streaming, its textual format.

    A handful of tiny requests is sent; what they may cost is said first. What is found is kept for seven days in
    profiles.json of the cache directory, where `chat` and `run` look. Exit code: 0, 1 when the model could not be asked.
    """
    _ = debug
    import asyncio

    from lumosai.models._profile_file import FileProfiles
    from lumosai.models.calling import innermost
    from lumosai.models.probing import probe as ask

    options: dict[str, Any] = {"base_url": base_url} if base_url else {}
    asked = innermost(_make(model, options))
    name = f"{asked.provider}:{asked.name}"
    tell(style_for(sys.stderr).dim(_announcement(asked)))
    if dry_run:
        return
    store = None if no_store else FileProfiles()

    def remade(profile: Profile) -> Model:
        made: Model = _make(name, {**options, "profile": profile})
        return made

    async def run() -> Report:
        from lumosai.app import Lumosai

        async with Lumosai([]):  # closes the connections
            return await ask(
                asked, store=store, strict=None if asked.profile.local and asked.provider == "local" else remade
            )

    report = asyncio.run(run())
    kept = str(store.path) if store is not None and not report.error else None
    if json:
        write_json(_as_json(report, kept))
    else:
        _show(report, kept)
    if report.error:
        raise typer.Exit(1)


def _make(name: str, options: dict[str, Any]) -> Any:
    from lumosai.models.registry import model

    return model(name, **options)


def _announcement(asked: Any) -> str:
    """What will be sent, and the most that it may cost."""
    from lumosai.models.probing import INPUT_TOKENS, MAX_REQUESTS, MAX_TOKENS, most

    _, cost = most(asked)
    dear = (
        "no price of it is known"
        if cost is None
        else "on this machine, at no cost"
        if not cost
        else f"at most ${cost:.4f}"
    )
    where = getattr(asked, "endpoint", "") or "this machine"
    return (
        f"asking {asked.provider}:{asked.name} at {where}: up to {MAX_REQUESTS} requests of about {INPUT_TOKENS} tokens, each "
        f"answered with at most {MAX_TOKENS}; {dear}"
    )


def _show(report: Report, kept: str | None) -> None:
    style = style_for(sys.stdout)
    write_line(style.bold(report.model) + style.dim(f"  {report.endpoint}"))
    width = max((len(t.feature) for t in report.trials), default=0)
    for trial in report.trials:
        ms = f"{trial.duration_ms:,.0f} ms" if trial.duration_ms else ""
        write_line(f"  {_mark(trial, style)} {trial.feature:<{width}}  {ms:>9}  {one_line(trial.why, _WIDTH)}")
    if report.error:
        tell(style_for(sys.stderr).red(f"lumosai: {one_line(report.error, 2000)}"))
        return
    spent = f"{report.requests} requests, {report.usage.input_tokens} + {report.usage.output_tokens} tokens"
    dear = "" if report.cost_usd is None else f", ${report.cost_usd:.4f}"
    write_line(f"  tools are called by: {report.tool_mode}" + (f" ({report.dialect})" if report.dialect else ""))
    write_line(style.dim(f"  {spent}{dear}; " + (f"kept for seven days in {kept}" if kept else "not kept")))


def _mark(trial: Trial, style: Any) -> str:
    if trial.works is None:
        return str(style.dim("–"))
    return str(style.green("✓") if trial.works else style.yellow("✗"))


def _as_json(report: Report, kept: str | None) -> dict[str, Any]:
    import msgspec

    return {
        "model": report.model,
        "endpoint": report.endpoint,
        "features": {t.feature: {"works": t.works, "why": t.why, "duration_ms": t.duration_ms} for t in report.trials},
        "tool_mode": report.tool_mode,
        "dialect": report.dialect,
        "requests": report.requests,
        "usage": msgspec.to_builtins(report.usage),
        "cost_usd": None if report.cost_usd is None else str(report.cost_usd),
        "error": report.error,
        "kept": kept,
    }
