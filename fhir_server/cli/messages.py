"""For integrators: ``map``, ``check-mapping`` and ``send``."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlsplit

import httpx
import msgspec
import orjson
import typer

from fhir_server.cli.failures import INPUT, UsageFault
from fhir_server.cli.targets import fetch_token

if TYPE_CHECKING:
    from fhir_server.mapping import Translation

CONTENT_TYPES = {".hl7": "x-application/hl7-v2+er7", ".csv": "text/csv", ".json": "application/json"}
START, END = b"\x0b", b"\x1c\x0d"
TIMEOUT_S = 60.0

Client = Annotated[str, typer.Option(envvar="FHIR_CLIENT", help="client id, for an http address")]
Secret = Annotated[str, typer.Option(envvar="FHIR_CLIENT_SECRET", help="its secret")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("map")(map_message)
    app.command("check-mapping")(check_mapping)
    app.command("send")(send)


def map_message(
    his: Annotated[str, typer.Argument(help="name of a folder in mappings/", show_default=False)],
    file: Annotated[Path, typer.Argument(metavar="FILE", show_default=False)],
    trace: Annotated[bool, typer.Option("--trace", help="say where every element came from")] = False,
) -> None:
    """Print the Bundle a local message becomes; nothing is written. Exit 1 when it cannot be translated."""
    from fhir_server.mapping import load_mappings, recognise, split, translate
    from fhir_server.settings import Settings

    mappings, kind = load_mappings(Settings().mappings), content_type(file)
    for raw in split(mappings, his, file.read_bytes(), kind):
        _show(translate(recognise(mappings, his, raw, kind)), trace=trace)


def _show(translation: Translation, *, trace: bool) -> None:
    typer.echo(msgspec.json.format(translation.bundle, indent=2).decode())
    for issue in translation.issues:
        typer.echo(f"{issue.severity}: {issue.expression or ''} {issue.text}", err=True)
    if trace:
        for item in translation.trace:
            steps = f" ({', '.join(item.steps)})" if item.steps else ""
            typer.echo(f"{item.target} ← {item.source} {item.raw!r}{steps} by {item.rule}", err=True)
        for path in translation.unread:
            typer.echo(f"not read: {path}", err=True)


def check_mapping(his: Annotated[str | None, typer.Argument(help="one folder; default: all")] = None) -> None:
    """Check mapping folders: schema, code maps, examples; exit 1 when anything is wrong."""
    from fhir_server.mapping import check
    from fhir_server.settings import Settings

    root = Settings().mappings
    folders = [root / his] if his else sorted(path.parent for path in root.glob("*/his.yaml"))
    faults = {folder: check(folder) for folder in folders}
    for folder, errors in faults.items():
        typer.echo(f"{folder.name}: {'fine' if not errors else f'{len(errors)} errors'}")
        for error in errors:
            typer.echo(f"  {error}")
    raise typer.Exit(INPUT if any(faults.values()) else 0)


def send(
    files: Annotated[list[Path], typer.Argument(metavar="FILE…", show_default=False)],
    to: Annotated[str, typer.Option(help="mllp://host:port or http://host:port/inbound/<his>")],
    client: Client = "",
    secret: Secret = "",
) -> None:
    """Play the HIS: send messages and print what was answered; exit 1 unless all were accepted."""
    accepted = [
        asyncio.run(send_file(file.read_bytes(), content_type(file), to, client, secret)) for file in files
    ]
    for file, (text, good) in zip(files, accepted, strict=True):
        typer.echo(f"{file}: {text}")
        if not good:
            typer.echo(f"{file} was not accepted", err=True)
    raise typer.Exit(0 if all(good for _, good in accepted) else INPUT)


async def send_file(raw: bytes, kind: str, to: str, client: str, secret: str) -> tuple[str, bool]:
    """Send one message; returns the answer as text, and whether it was accepted."""
    address = urlsplit(to)
    if address.scheme == "mllp":
        answer = await send_mllp(raw, address.hostname or "127.0.0.1", address.port or 2575)
        return answer.decode("gb18030", "replace").replace("\r", "\n").strip(), b"|AA|" in answer
    if address.scheme in {"http", "https"}:
        return await _send_http(raw, kind, to, client, secret)
    raise UsageFault("--to is mllp://host:port or http://host:port/inbound/<his>")


async def send_mllp(raw: bytes, host: str, port: int) -> bytes:
    """Send one framed message and return the unframed acknowledgement. Raises OSError."""
    async with asyncio.timeout(TIMEOUT_S):
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(START + raw + END)
        await writer.drain()
        answer = await reader.readuntil(END)
        writer.close()
        await writer.wait_closed()
    return answer.removeprefix(START).removesuffix(END)


async def _send_http(raw: bytes, kind: str, to: str, client: str, secret: str) -> tuple[str, bool]:
    async with httpx.AsyncClient(timeout=TIMEOUT_S, trust_env=False) as http:
        headers = {"Content-Type": kind}
        if client:
            headers["Authorization"] = f"Bearer {await fetch_token(http, to, client, secret)}"
        answer = await http.post(to, content=raw, headers=headers)
    return f"{answer.status_code} {_readable(answer)}", answer.is_success


def _readable(answer: httpx.Response) -> str:
    if "json" not in answer.headers.get("content-type", ""):
        return answer.content.decode("gb18030", "replace").replace("\r", "\n").strip()
    body: Any = orjson.loads(answer.content)
    return orjson.dumps(body, option=orjson.OPT_INDENT_2).decode()


def content_type(file: Path) -> str:
    """The media type that belongs to the file's name. Raises UsageFault for an unknown ending."""
    try:
        return CONTENT_TYPES[file.suffix.lower()]
    except KeyError:
        raise UsageFault(f"{file}: a message file ends in {', '.join(CONTENT_TYPES)}") from None
