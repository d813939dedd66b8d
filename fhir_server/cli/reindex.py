"""``fhir-server reindex``: the index rows of a running server, or of a store that nobody serves, made anew."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Annotated, Any, Protocol

import httpx
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from fhir_server.cli.failures import UsageFault
from fhir_server.cli.targets import HttpTarget
from fhir_server.ending import end
from fhir_server.errors import StoreUnavailable
from fhir_server.interactions.indexing.indexer import Indexer
from fhir_server.interactions.indexing.report import report
from fhir_server.model.resource import Json

OFTEN, SELDOM = 0.1, 1.0
"""Seconds between two looks at a store of our own and at a server."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("reindex")(reindex)


def reindex(
    type: Annotated[
        list[str] | None, typer.Option(help="only this resource type; several are allowed")
    ] = None,
    parameter: Annotated[
        list[str] | None, typer.Option(help="only the search parameter with this URL; several are allowed")
    ] = None,
    base: Annotated[
        str | None, typer.Option(help="address of a running server: http://127.0.0.1:8080/fhir")
    ] = None,
    store: Annotated[
        str | None, typer.Option(help="a store that nobody serves; default: the setting's")
    ] = None,
    client: Annotated[str, typer.Option(envvar="FHIR_CLIENT", help="an administrator, with --base")] = "",
    secret: Annotated[str, typer.Option(envvar="FHIR_CLIENT_SECRET", help="its secret, with --base")] = "",
) -> None:
    """Make the index anew. Interrupted, it is taken up by the next start of the server or of this command."""
    if base and store:
        raise UsageFault("--base and --store exclude each other: a running server, or a store of its own")
    where = Remote.open(base, client, secret) if base else Local.open(store)
    told = asyncio.run(_follow(where, type or (), parameter or ()))
    done = sum(_number(part, "done") for part in _types(told))
    typer.echo(f"indexed {done} resources")


class Place(Protocol):
    """Where the work is done."""

    often: float

    async def ask(self, types: Sequence[str], urls: Sequence[str]) -> Json:
        """Ask for the job; what is told of it."""

    async def look(self, job: str) -> Json:
        """What is told of the job."""


class Local:
    """A store in this process."""

    often = OFTEN

    def __init__(self, indexer: Indexer) -> None:
        self._indexer = indexer

    @staticmethod
    @asynccontextmanager
    async def open(url: str | None) -> AsyncIterator[Place]:
        """Open the store and work in the block. Raises StoreUnavailable when somebody else has it open."""
        from fhir_server.app import is_in_use, opened
        from fhir_server.settings import Settings

        settings = Settings(store=url) if url else Settings()
        if is_in_use(settings):
            raise StoreUnavailable(
                f"{settings.shown_store} is served by another program: use --base, or stop it first"
            )
        async with opened(settings) as server:
            assert server.indexer is not None
            server.indexer.hurry()
            work = asyncio.get_running_loop().create_task(server.indexer.run())
            try:
                yield Local(server.indexer)
            finally:
                await end(work)

    async def ask(self, types: Sequence[str], urls: Sequence[str]) -> Json:
        """See Place. Raises UsageFault for what is not known."""
        registry = self._indexer.registry
        unknown = [type for type in types if type not in registry.definitions.resource_types]
        unknown += [url for url in urls if registry.definition(url) is None]
        if unknown:
            raise UsageFault(f"not known here: {', '.join(unknown)}")
        return report(registry, [await self._indexer.request(types, urls, "server")])

    async def look(self, job: str) -> Json:
        """See Place."""
        return report(self._indexer.registry, [await self._indexer.ledger.job(job)])


class Remote:
    """A running server."""

    often = SELDOM

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http

    @staticmethod
    @asynccontextmanager
    async def open(base: str, client: str, secret: str) -> AsyncIterator[Place]:
        """Log in for the length of the block."""
        async with HttpTarget.open(base, client, secret) as target:
            yield Remote(target.http)

    async def ask(self, types: Sequence[str], urls: Sequence[str]) -> Json:
        """See Place. Raises UsageFault with what the server said."""
        told = [{"name": "type", "valueCode": type} for type in types]
        told += [{"name": "url", "valueUri": url} for url in urls]
        body = {"resourceType": "Parameters", **({"parameter": told} if told else {})}
        return _answered(await self._http.post("$reindex", json=body, headers=FHIR_JSON))

    async def look(self, job: str) -> Json:
        """See Place."""
        return _answered(await self._http.get("$reindex-status", params={"job": job}))


FHIR_JSON = {"Content-Type": "application/fhir+json"}


def _answered(answer: httpx.Response) -> Json:
    body: Json = answer.json()
    if not answer.is_success:
        texts = [issue.get("details", {}).get("text", "") for issue in body.get("issue", ())]
        raise UsageFault(f"the server answered {answer.status_code}: {'; '.join(texts)}")
    return body


async def _follow(
    where: AbstractAsyncContextManager[Place], types: Sequence[str], urls: Sequence[str]
) -> Json:
    """Ask, and show how far it is until it is done."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        shown = bar.add_task("", total=None)
        async with where as place:
            told = await place.ask(types, urls)
            while _text(_job(told), "status") == "active":
                await asyncio.sleep(place.often)
                told = await place.look(_text(_job(told), "id"))
                parts = _types(told)
                running = [part for part in parts if _text(part, "status") == "running"]
                description = _text(running[0], "code") if running else "waiting"
                finished = sum(_text(part, "status") == "completed" for part in parts)
                bar.update(shown, description=description, completed=finished, total=len(parts))
    return told


# ── reading the Parameters ────────────────────────────────────────────────────


def _job(told: Json) -> list[Json]:
    jobs: list[list[Json]] = [entry["part"] for entry in told["parameter"] if entry["name"] == "job"]
    return jobs[0]


def _types(told: Json) -> list[list[Json]]:
    return [entry["part"] for entry in _job(told) if entry["name"] == "type"]


def _value(part: list[Json], name: str) -> Any:
    entry = next(entry for entry in part if entry["name"] == name)
    return next(value for member, value in entry.items() if member != "name")


def _text(part: list[Json], name: str) -> str:
    return str(_value(part, name))


def _number(part: list[Json], name: str) -> int:
    return int(_value(part, name))
