"""The two hospitals, their messages and their doors, on a whole server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from fhir_server.inbound.frames import Limits, frame_of
from fhir_server.inbound.mllp import serve_mllp
from fhir_server.inbound.receive import Receipt, receive
from fhir_server.interactions.context import Server
from fhir_server.interactions.update import update
from fhir_server.mapping import Mappings
from fhir_server.model.resource import Resource
from fhir_server.security.caller import SYSTEM

Json = dict[str, Any]
ROOT = Path(__file__).parents[2]
COUNTY, TOWNSHIP = "chenxi-county", "yunqi-township"
USCC = {"h1": "12999001MB0000019A", "h2": "12999001MB00000275"}


def example(name: str) -> bytes:
    """One of the mapping folders' example messages: ``ref_i12``, ``adt_a01``, ``oul_r21``…, GB18030."""
    (file,) = (ROOT / "mappings").glob(f"*/examples/{name}.in.*")
    return file.read_bytes()


def changed(raw: bytes, *pairs: tuple[str, str]) -> bytes:
    """``raw`` (GB18030) with texts replaced; each must be there."""
    text = raw.decode("gb18030")
    for old, new in pairs:
        assert old in text, old
        text = text.replace(old, new)
    return text.encode("gb18030")


async def load_organizations(server: Server) -> None:
    for id, uscc in USCC.items():
        data = {
            "resourceType": "Organization",
            "id": id,
            "name": id,
            "identifier": [
                {"system": "http://cmc.example.org/sid/uscc", "value": uscc},
                {"system": "http://cmc.example.org/sid/organization-code", "value": uscc[8:17]},
            ],
        }
        await update(server, SYSTEM, Resource.of(data), id=id)


@dataclass(slots=True)
class Scene:
    server: Server
    mappings: Mappings

    async def receive(self, raw: bytes, his: str | None = None, content_type: str | None = None) -> Receipt:
        return await receive(self.server, self.mappings, his, raw, peer="test", content_type=content_type)

    async def all(self, type: str) -> list[Json]:
        """The current, not deleted resources of one type, in the order of their creation."""
        records = await self.server.store.changes(0, 10_000)
        latest = {record.id: record for record in records if record.type == type}
        return [orjson.loads(record.content) for record in latest.values() if not record.deleted]

    async def clinical(self) -> list[tuple[str, str, int]]:
        """Everything in the store but the journal: what a refused message must leave as it was."""
        records = await self.server.store.changes(0, 10_000)
        return [(r.type, r.id, r.version) for r in records if not r.type.startswith("_")]


class Line:
    """A HIS at the other end of a TCP connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def answer(self) -> list[list[str]]:
        """The segments of the next acknowledgement, split at ``|``; an empty list when the line was closed."""
        async with asyncio.timeout(5):
            try:
                frame = await self.reader.readuntil(b"\x1c\r")
            except asyncio.IncompleteReadError:
                return []
        assert frame[:1] == b"\x0b"
        text = frame[1:-2].decode("gb18030")
        return [segment.split("|") for segment in text.split("\r") if segment]

    async def ask(self, message: bytes) -> list[list[str]]:
        await self.send(frame_of(message))
        return await self.answer()

    async def is_closed(self) -> bool:
        async with asyncio.timeout(5):
            return await self.reader.read(1) == b""


@asynccontextmanager
async def line_to(scene: Scene, limits: Limits | None = None) -> AsyncIterator[Line]:
    """An open MLLP door and a connection to it."""
    async with (
        serve_mllp(scene.server, lambda: scene.mappings, host="127.0.0.1", port=0, limits=limits) as port,
        connection(port) as line,
    ):
        yield line


@asynccontextmanager
async def connection(port: int) -> AsyncIterator[Line]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield Line(reader, writer)
    finally:
        writer.close()
        try:
            await writer.wait_closed()
        except ConnectionError:
            return
