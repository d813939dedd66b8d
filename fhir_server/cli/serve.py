"""``fhir-server serve``: runs the server; on an empty default store it loads the demo county first."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer

from fhir_server.interactions.context import Server
from fhir_server.settings import Settings


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("serve")(serve)


def serve(
    store: Annotated[str | None, typer.Option(help="sqlite:///path or mongodb://…/database")] = None,
    host: Annotated[str | None, typer.Option(help="address to listen on")] = None,
    port: Annotated[int | None, typer.Option(help="HTTP port")] = None,
    workers: Annotated[int | None, typer.Option(help="how many processes serve; one per core")] = None,
    auth: Annotated[str | None, typer.Option(help="on, or off on a loopback host", metavar="on|off")] = None,
    demo: Annotated[
        bool | None,
        typer.Option(
            "--demo/--no-demo",
            help="load the demo county into an empty store; default: only the default store",
        ),
    ] = None,
) -> None:
    """Run the server."""
    options: dict[str, Any] = {
        "store": store,
        "host": host,
        "port": port,
        "workers": workers,
        "auth": auth,
    }
    settings = Settings(**{name: value for name, value in options.items() if value is not None})
    wanted = demo if demo is not None else settings.store == Settings.model_fields["store"].default
    _say(f"opening {settings.shown_store}")
    if not (_run(settings, demo=wanted) if settings.workers == 1 else _supervise(settings, demo=wanted)):
        sys.exit(3)


def _run(settings: Settings, *, demo: bool) -> bool:
    from fhir_server.app import build
    from fhir_server.cli.serving import Serving

    app = build(settings, prepare=load_demo if demo else None)
    server = Serving(app, lambda: announce(settings))
    server.run()
    return server.succeeded


def _supervise(settings: Settings, *, demo: bool) -> bool:
    from fhir_server.cli.workers import supervise

    return supervise(settings, demo=demo)


async def load_demo(server: Server) -> None:
    """Load the demo county and its clients, unless the store has anything in it."""
    from fhir_server.cli.county import CLIENTS, load_county
    from fhir_server.security.clients import Clients

    if (await server.store.history(count=1, total=False)).records:
        return
    _say("the store is empty: loading the demo county 晨溪县")
    _say(f"loaded {await load_county(server)} resources of the county (invented people and numbers)")
    clients = Clients(server.store, server.now, server.new_id)
    _say("demo clients, each bound to its organisation; the secrets are shown only now:")
    secrets = {}
    for id, (organization, name) in CLIENTS.items():
        _, secrets[id] = await clients.add(f"Organization/{organization}", name, id=id)
        _say(f"  {id:<28} {secrets[id]}  {name}")
    _keep(secrets, Path("data/demo-clients.json"))


def _keep(secrets: dict[str, str], file: Path) -> None:
    """Write the demo clients' secrets where ``fhir-server demo`` looks, readable by this user only."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.unlink(missing_ok=True)
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
        out.write(orjson.dumps(secrets, option=orjson.OPT_INDENT_2) + b"\n")
    _say(f"kept in {file} for fhir-server demo")


def announce(settings: Settings) -> None:
    """Say where everything can be reached."""
    root = (
        settings.base_url.removesuffix("/fhir")
        if settings.base_url
        else f"http://{settings.host}:{settings.port}"
    )
    _say(f"FHIR R4    {root}/fhir")
    _say(f"Swagger    {root}/docs")
    _say(f"health     {root}/health/ready")
    _say(
        f"HL7 v2     mllp://{settings.host}:{settings.mllp_port}"
        if settings.mllp_port
        else "HL7 v2     closed"
    )
    _say(f"tokens     {root}/auth/token" if settings.auth == "on" else "tokens     not needed: FHIR_AUTH=off")


def _say(line: str) -> None:
    print(line, flush=True)
