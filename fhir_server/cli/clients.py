"""``fhir-server client``: API clients, each bound to one organisation."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated, Any

import typer

from fhir_server.security.clients import Clients

Store = Annotated[str | None, typer.Option(help="the store; default: the setting's")]
Id = Annotated[str, typer.Argument(show_default=False)]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    family = typer.Typer(
        no_args_is_help=True, help="API clients: add, list, rotate, remove. A secret is shown once."
    )
    family.command("add")(add)
    family.command("list")(list_clients)
    family.command("rotate")(rotate)
    family.command("remove")(remove)
    app.add_typer(family, name="client")


def add(
    organization: Annotated[str, typer.Option(help="the organisation it acts for: Organization/h1")],
    name: Annotated[str, typer.Option(help="what software it is, for people")] = "",
    id: Annotated[str | None, typer.Option(help="a client id of your own; default: a new one")] = None,
    administrator: Annotated[
        bool,
        typer.Option(help="let it also define search parameters, index again, explain searches and purge"),
    ] = False,
    store: Store = None,
) -> None:
    """Add a client; its secret is printed once and kept only as a hash."""
    client, secret = _with_clients(
        store, lambda clients: clients.add(organization, name, id=id, administrator=administrator)
    )
    typer.echo(f"client id      {client.id}\nclient secret  {secret}\norganisation   {client.organization}")


def list_clients(store: Store = None) -> None:
    """List the clients."""
    for client in _with_clients(store, lambda clients: clients.list()):
        state = "active" if client.active else "suspended"
        state += ", administrator" if client.administrator else ""
        typer.echo(f"{client.id}\t{client.organization}\t{state}\t{client.created}\t{client.name}")


def rotate(id: Id, store: Store = None) -> None:
    """Give a client a new secret; the old one and its tokens end."""
    typer.echo(f"client secret  {_with_clients(store, lambda clients: clients.rotate(id))}")


def remove(id: Id, store: Store = None) -> None:
    """Remove a client; its tokens end."""
    _with_clients(store, lambda clients: clients.remove(id))
    typer.echo(f"removed {id}")


def _with_clients(store: str | None, use: Callable[[Clients], Awaitable[Any]]) -> Any:
    from fhir_server.app import opened
    from fhir_server.settings import Settings

    async def run() -> Any:
        async with opened(Settings(store=store) if store else Settings(), reindex=False) as server:
            return await use(Clients(server.store, server.now, server.new_id))

    return asyncio.run(run())
