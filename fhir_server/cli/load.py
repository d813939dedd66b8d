"""``fhir-server load``: Bundles, resources, NDJSON and folders into a running server or straight into a store."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from fhir_server.cli.failures import UsageFault
from fhir_server.cli.sources import Item, find_files, read_file
from fhir_server.cli.targets import HttpTarget, StoreTarget, Target

BATCH = 100


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("load")(load)


def load(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH…", show_default=False)],
    base: Annotated[
        str | None, typer.Option(help="address of a running server: http://127.0.0.1:8080/fhir")
    ] = None,
    store: Annotated[str | None, typer.Option(help="load straight into this store, no server needed")] = None,
    client: Annotated[str, typer.Option(envvar="FHIR_CLIENT", help="client id, with --base")] = "",
    secret: Annotated[str, typer.Option(envvar="FHIR_CLIENT_SECRET", help="its secret, with --base")] = "",
) -> None:
    """Load Bundles, single resources, NDJSON (.gz too) and folders; exit 1 when anything was rejected."""
    if base and store:
        raise UsageFault("--base and --store exclude each other: a running server, or a store of its own")
    files = find_files(paths)
    target = HttpTarget.open(base, client, secret) if base else StoreTarget.open(store)
    tally = asyncio.run(load_files(files, target, progress=True))
    typer.echo(f"loaded {tally.loaded}, rejected {len(tally.rejected)}")
    for name, reason in tally.rejected:
        typer.echo(f"rejected {name}: {reason}", err=True)
    raise typer.Exit(1 if tally.rejected else 0)


@dataclass(slots=True)
class Tally:
    """What became of the resources: how many were loaded, and (name, reason) of each rejected one."""

    loaded: int = 0
    rejected: list[tuple[str, str]] = field(default_factory=list)


async def load_files(
    files: list[Path], target: AbstractAsyncContextManager[Target], *, progress: bool
) -> Tally:
    """Load ``files`` in order into ``target``."""
    tally = Tally()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), disable=not progress, transient=True) as bar:
        shown = bar.add_task("files", total=len(files))
        async with target as opened:
            for file in files:
                async for loaded, rejected in _load_file(file, opened):
                    tally.loaded += loaded
                    tally.rejected += rejected
                bar.update(shown, advance=1, description=f"{tally.loaded} resources")
    return tally


Report = tuple[int, list[tuple[str, str]]]


async def _load_file(file: Path, target: Target) -> AsyncIterator[Report]:
    for group in _groups(read_file(file)):
        yield await _load_group(group, target)


def _groups(items: Iterable[Item]) -> Iterator[list[Item]]:
    """Runs of single resources up to BATCH long; a Bundle to be carried out stands alone."""
    group: list[Item] = []
    for item in items:
        if item.head().runs:
            yield [item]
            continue
        group.append(item)
        if len(group) == BATCH:
            yield group
            group = []
    if group:
        yield group


async def _load_group(group: list[Item], target: Target) -> Report:
    """Load a group as one transaction; when that is refused, its items one by one, to name each faulty one."""
    if group[0].head().runs:
        return await _attempt(group[0].name, group[0].raw, target)
    whole = await _attempt("", as_transaction(group), target) if len(group) > 1 else (0, [("", "")])
    if not whole[1]:
        return whole
    reports = [await _attempt(item.name, as_transaction([item]), target) for item in group]
    return sum(loaded for loaded, _ in reports), [fault for _, faults in reports for fault in faults]


async def _attempt(name: str, bundle: bytes, target: Target) -> Report:
    result = await target.run(bundle)
    faults = [
        (f"{name} entry {number}" if number is not None else name, reason) for number, reason in result.faults
    ]
    return result.loaded, faults


def as_transaction(items: list[Item]) -> bytes:
    """A transaction Bundle around the items' own bytes: PUT where there is an id, else POST."""
    return b'{"resourceType":"Bundle","type":"transaction","entry":[%b]}' % b",".join(map(_entry, items))


def _entry(item: Item) -> bytes:
    head = item.head()
    kind = head.resource_type or "Unknown"
    method, url = ("PUT", f"{kind}/{head.id}") if head.id else ("POST", kind)
    return b'{"request":{"method":"%b","url":"%b"},"resource":%b}' % (method.encode(), url.encode(), item.raw)
