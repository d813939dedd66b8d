"""``fhir-server store``: a store copied, backed up, restored and checked, as a whole and with its history."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from fhir_server.cli.failures import UsageFault
from fhir_server.errors import NotFound
from fhir_server.interactions.context import Server
from fhir_server.keeping import restoring
from fhir_server.keeping.backup import back_up
from fhir_server.keeping.comparing import Tally
from fhir_server.keeping.copying import copy as copy_store
from fhir_server.keeping.filling import Told, complete_arms
from fhir_server.store import Examination, Finding

Url = Annotated[str | None, typer.Option(help="the store; default: the setting's")]
To = Annotated[
    str, typer.Option("--to", help="the store to fill, empty or begun: sqlite:///path", show_default=False)
]

SHOWN = 100
"""Findings that are told one by one."""


def register(app: typer.Typer) -> None:
    """Add the commands."""
    family = typer.Typer(no_args_is_help=True, help="A whole store: copy, backup, restore, check.")
    family.command("copy")(copy)
    family.command("backup")(backup)
    family.command("restore")(restore)
    family.command("check")(check)
    app.add_typer(family, name="store")


def copy(
    to: To,
    source: Annotated[
        str | None,
        typer.Option("--from", help="the store to copy, which may be in use; default: the setting's"),
    ] = None,
) -> None:
    """Copy a store with its history into another one, of the same engine or another; run again, it goes on."""

    async def run() -> Tally:
        async with reading(source) as origin, filling(to) as (target, complete):
            sequence, _ = await origin.store.reached()
            with _progress("copying", sequence) as told:
                return await copy_store(origin.store, target.store, complete, told)

    if source == to:
        raise UsageFault("--from and --to are the same store")
    _tell("copied", asyncio.run(run()))


def backup(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", show_default=False)], store: Url = None
) -> None:
    """Add to the backup in FOLDER what was written since (all, when it is new); the store may be in use."""

    async def run() -> int:
        async with reading(store) as server:
            sequence, _ = await server.store.reached()
            with _progress("backing up", sequence) as told:
                return await back_up(server.store, folder, server.now(), told)

    typer.echo(f"backed up {asyncio.run(run())} versions")


def restore(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", show_default=False)],
    to: To,
    until: Annotated[
        str | None,
        typer.Option(help="as of this moment: 2026-11-25T10:00:00+08:00; default: all of the backup"),
    ] = None,
) -> None:
    """Fill an empty store from the backup in FOLDER; run again after a kill, it goes on."""
    moment = _microseconds(until) if until else None

    async def run() -> Tally:
        async with filling(to) as (target, complete):
            with _progress("restoring", restoring.through(folder)) as told:
                return await restoring.restore(folder, target.store, moment, complete, told)

    _tell("restored", asyncio.run(run()))


def check(
    store: Url = None,
    fix: Annotated[bool, typer.Option("--fix", help="repair index rows by what the resources say")] = False,
) -> None:
    """Look at everything that is kept: the database, every version, every index row; exit 1 when something is wrong."""

    async def run() -> Examination:
        from fhir_server.app import put_in_force

        async with reading(store) as server:
            await put_in_force(server)
            sequence, _ = await server.store.reached()
            with _progress("checking", sequence) as told:
                return await server.store.examine(server.extract.fingerprint(), fix=fix, told=told)

    found = asyncio.run(run())
    _list("repaired", found.repaired)
    _list("wrong", found.findings)
    typer.echo(
        f"checked {found.resources} resources: {len(found.repaired)} repaired, {len(found.findings)} things wrong"
    )
    raise typer.Exit(1 if found.findings else 0)


# ── stores ────────────────────────────────────────────────────────────────────


@asynccontextmanager
async def reading(url: str | None) -> AsyncIterator[Server]:
    """A store as it is, for reading. Raises NotFound for one that has nothing: a wrong address opens a new store."""
    from fhir_server.app import opened
    from fhir_server.settings import Settings

    settings = Settings(store=url) if url else Settings()
    async with opened(settings, reindex=False) as server:
        if await server.store.reached() == (0, 0):
            raise NotFound(f"there is nothing in {settings.shown_store}: is the address right?")
        yield server


@asynccontextmanager
async def filling(url: str) -> AsyncIterator[tuple[Server, Callable[[], Awaitable[None]]]]:
    """A store to be filled, and what completes its index."""
    from fhir_server.app import opened_to_fill, put_in_force
    from fhir_server.settings import Settings

    async with opened_to_fill(Settings(store=url)) as server:

        async def complete() -> None:
            await put_in_force(server)
            await complete_arms(server.store, server.parameters.custom_arms())

        yield server, complete


# ── people ────────────────────────────────────────────────────────────────────


@contextmanager
def _progress(what: str, total: int) -> Iterator[Told]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        shown = bar.add_task(what, total=total)
        yield lambda sequence: bar.update(shown, completed=sequence)


def _microseconds(text: str) -> int:
    """Raises UsageFault unless ``text`` is a moment with a zone."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise UsageFault(f"--until {text}: a moment with its zone is needed, as 2026-11-25T10:00:00+08:00")
    return round(moment.timestamp() * 1_000_000)


def _list(what: str, findings: Sequence[Finding]) -> None:
    for finding in findings[:SHOWN]:
        typer.echo(f"{what} {finding.place}: {finding.text}")
    if len(findings) > SHOWN:
        typer.echo(f"{what} … and {len(findings) - SHOWN} more")


def _tell(done: str, tally: Tally) -> None:
    """Counts and hash of what is there now; the server's own records are one number."""
    own = sum(count for type, count in tally.types.items() if type[0] == "_")
    typer.echo(f"{done} {tally.versions} versions, verified: sha256 {tally.sha256}")
    for type, count in sorted(tally.types.items()):
        if type[0] != "_":
            typer.echo(f"{count:>12} {type}")
    typer.echo(f"{own:>12} records of the server itself")
