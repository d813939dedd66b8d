"""``fhir-server demo``: one referral, told with the messages that two hospitals' HIS really send.

It is a client like any other: HL7 v2 over MLLP, CSV and FHIR over HTTP, logged in as the two hospitals.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import httpx
import orjson
import typer

from fhir_server.cli.failures import UsageFault
from fhir_server.cli.story import Story, Teller


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("demo")(demo)


def demo(
    base: Annotated[str, typer.Option(help="the running server")] = "http://127.0.0.1:8080/fhir",
    mllp: Annotated[
        str | None, typer.Option(help="its HL7 v2 door; default: port 2575 of the same host")
    ] = None,
    clients: Annotated[
        Path, typer.Option(help="the demo clients' secrets, as the first start wrote them")
    ] = Path("data/demo-clients.json"),
) -> None:
    """Walk one referral through a running server, printing every step with a link."""
    asyncio.run(_tell(base.rstrip("/"), mllp, clients))


async def _tell(base: str, mllp: str | None, clients: Path) -> None:
    door = urlsplit(mllp or f"mllp://{urlsplit(base).hostname}:2575")
    async with httpx.AsyncClient(timeout=60, trust_env=False) as http:
        teller = Teller(http, base, (door.hostname or "127.0.0.1", door.port or 2575), _secrets(clients))
        story = Story(teller)
        chapters: tuple[Callable[[], Awaitable[None]], ...] = (
            story.township_refers,
            story.township_sends_its_table,
            story.county_looks_into_its_inbox,
            story.county_asks_and_accepts,
            story.patient_is_admitted,
            story.results_arrive,
            story.patient_is_discharged,
            story.county_replies,
            story.township_reads_the_reply,
        )
        for chapter in chapters:
            await chapter()


def _secrets(file: Path) -> dict[str, str]:
    try:
        secrets: dict[str, str] = orjson.loads(file.read_bytes())
    except (FileNotFoundError, orjson.JSONDecodeError) as error:
        raise UsageFault(
            f"{file}: the demo clients' secrets are not there ({error}). A server started with scripts/serve on an "
            "empty store writes them; name the file with --clients"
        ) from error
    return secrets
