"""The MLLP door: HL7 v2 over TCP, one message under way per connection, a bounded number over all.

Who may connect stands in the mapping folders (``his.yaml``: mllp.peers); everybody else is cut off before a
byte is read. While a message is being processed its connection is not read: the sender waits.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import partial

import structlog

from fhir_server.errors import Forbidden
from fhir_server.inbound.ack import acknowledge
from fhir_server.inbound.frames import BrokenFrame, Limits, LongFrame, frame_of, read_frame
from fhir_server.inbound.identity import Identity
from fhir_server.inbound.receive import Receipt, receive
from fhir_server.interactions.context import Server
from fhir_server.mapping import His, Mappings

MAX_CONNECTIONS = 64
MAX_UNDER_WAY = 16
HEAD = 4096
"""Bytes of a broken frame that are looked at for its acknowledgement."""
CLOSING = 5.0
"""Seconds that messages under way get to finish when the door closes."""


class MllpDoor:
    """The connections of one listening socket. ``mappings`` is asked anew for each message, so it can be reloaded."""

    def __init__(self, server: Server, mappings: Callable[[], Mappings], limits: Limits) -> None:
        self._server = server
        self._mappings = mappings
        self._limits = limits
        self._under_way = asyncio.Semaphore(MAX_UNDER_WAY)
        self._connections: set[asyncio.Task[None]] = set()
        self._busy: set[asyncio.Task[None]] = set()
        self._closing = False
        self._log = structlog.get_logger("fhir_server.inbound.mllp")

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, from its first byte to its last."""
        peer = str(writer.get_extra_info("peername")[0])
        try:
            if len(self._connections) < MAX_CONNECTIONS and self._may_connect(peer):
                await self._converse(reader, writer, peer)
            else:
                self._log.warning("refused", peer=peer, connections=len(self._connections))
        except (ConnectionError, asyncio.CancelledError):
            self._log.info("cut off", peer=peer)
        finally:
            writer.close()
            with suppress(ConnectionError, asyncio.CancelledError):
                await writer.wait_closed()

    async def close(self) -> None:
        """Let what is under way finish and be acknowledged, then cut the connections."""
        self._closing = True
        for connection in self._connections - self._busy:
            connection.cancel()
        if self._connections:
            _, late = await asyncio.wait(self._connections, timeout=CLOSING)
            for connection in late:
                connection.cancel()

    def _may_connect(self, peer: str) -> bool:
        return any(is_peer(his, peer) for his in self._mappings().his.values())

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, peer: str) -> None:
        with _member(self._connections):
            while not self._closing:
                raw = await self._next(reader, writer)
                if raw is None:
                    return
                with _member(self._busy):
                    async with self._under_way:
                        receipt = await self._receive(raw, peer)
                    await self._answer(writer, raw, receipt)

    async def _next(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes | None:
        """The next message; None when the connection is to be closed (a broken frame has been answered then)."""
        try:
            return await read_frame(reader, self._limits)
        except (BrokenFrame, LongFrame) as error:
            await self._answer(writer, error.head[:HEAD], Receipt(error.ack, error.status, error.issues))
            return None

    async def _receive(self, raw: bytes, peer: str) -> Receipt:
        mappings = self._mappings()
        admit = partial(require_peer, mappings, peer)
        return await receive(self._server, mappings, None, raw, peer=peer, admit=admit)

    async def _answer(self, writer: asyncio.StreamWriter, raw: bytes, receipt: Receipt) -> None:
        now = self._server.now().astimezone(self._server.timezone)
        writer.write(frame_of(acknowledge(raw, receipt, now=now, new_id=self._server.new_id)))
        await writer.drain()


@contextmanager
def _member(group: set[asyncio.Task[None]]) -> Iterator[None]:
    """The current task is one of ``group`` inside the block."""
    this = asyncio.current_task()
    assert this is not None
    group.add(this)
    try:
        yield
    finally:
        group.discard(this)


def is_peer(his: His, address: str) -> bool:
    """True when the HIS may send from ``address``."""
    place = ipaddress.ip_address(address.partition("%")[0])
    mapped = place.ipv4_mapped if isinstance(place, ipaddress.IPv6Address) else None
    return any((mapped or place) in network for network in his.peers)


def require_peer(mappings: Mappings, address: str, identity: Identity) -> None:
    """Raises Forbidden when the HIS that the message names may not send from ``address``."""
    his = mappings.his.get(identity.his)
    if his is not None and not is_peer(his, address):
        raise Forbidden(f"{his.key} may not send from this address", rule="PEER_NOT_ALLOWED")


@asynccontextmanager
async def serve_mllp(
    server: Server,
    mappings: Callable[[], Mappings],
    *,
    host: str,
    port: int,
    limits: Limits | None = None,
) -> AsyncIterator[int]:
    """The door, open inside the block; the value is its port (``port`` 0: any free one).

    Raises OSError when the port is taken.
    """
    chosen = limits or Limits()
    door = MllpDoor(server, mappings, chosen)
    listening = await asyncio.start_server(door.serve, host, port, limit=chosen.message)
    try:
        yield listening.sockets[0].getsockname()[1]
    finally:
        listening.close()
        await door.close()
