"""Which worker takes a connection: the one that has the fewest.

Clients keep their connections for hours. Left to itself, an event loop takes all that wait at once, so one worker
would do everything while the others look on. Here a worker takes one at a time, and when another one has fewer it
leaves the connection to that one for a moment. Each tells how many it has in a file that all of them map.
"""

from __future__ import annotations

import asyncio
import mmap
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Final

import structlog

from fhir_server.app import App
from fhir_server.cli.serving import Serving

LEFT_FOR: Final = 0.002
"""Seconds that a connection is left to workers that have fewer. Who is busy for longer does not get it."""
NO_DESCRIPTORS: Final = 1.0
"""Seconds until the next attempt when the system refuses to give a connection: no more files may be open."""
_SIZE: Final = 4


class Loads:
    """How many connections each of ``count`` workers has; this one is ``number``, and has none yet."""

    def __init__(self, folder: Path, number: int, count: int) -> None:
        descriptor = os.open(folder / "connections", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.ftruncate(descriptor, count * _SIZE)
            self._numbers = memoryview(mmap.mmap(descriptor, count * _SIZE)).cast("I")
        finally:
            os.close(descriptor)
        self._number = number
        self.tell(0)

    def tell(self, connections: int) -> None:
        """This one has so many now."""
        self._numbers[self._number] = connections

    def is_least(self) -> bool:
        """Nobody has fewer. One that is being started again counts with what it had before, until it tells."""
        return self._numbers[self._number] <= min(self._numbers)


class Acceptor:
    """Takes connections from the socket ``listening``, which all workers have, and gives each to a new protocol.

    ``connections``: how many this worker has that are set up. It closes as asyncio's servers do.
    """

    def __init__(
        self,
        listening: socket.socket,
        protocol: Callable[[], asyncio.Protocol],
        connections: Callable[[], int],
        loads: Loads,
    ) -> None:
        self._listening = listening
        self._protocol = protocol
        self._connections = connections
        self._loads = loads
        self._loop = asyncio.get_running_loop()
        self._coming: set[asyncio.Task[object]] = set()
        self._pause: asyncio.TimerHandle | None = None
        listening.setblocking(False)
        self._watch()

    def tell(self) -> None:
        """Have the others know how many there are."""
        self._loads.tell(self._connections() + len(self._coming))

    def close(self) -> None:
        """Take no more."""
        if self._pause is not None:
            self._pause.cancel()
        self._loop.remove_reader(self._listening)
        self._listening.close()

    async def wait_closed(self) -> None:
        """Nothing is left to wait for."""

    def _watch(self) -> None:
        self._pause = None
        self._loop.add_reader(self._listening, self._look)

    def _look(self) -> None:
        """Somebody knocks; so do the others hear."""
        self.tell()
        if self._loads.is_least():
            self._take()
        else:
            self._rest(LEFT_FOR, self._insist)

    def _insist(self) -> None:
        """Whoever has fewer had the time to take it."""
        self._watch()
        self._take()

    def _rest(self, seconds: float, then: Callable[[], None]) -> None:
        self._loop.remove_reader(self._listening)
        self._pause = self._loop.call_later(seconds, then)

    def _take(self) -> None:
        try:
            connection, _ = self._listening.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return  # another one was faster, or the client has gone
        except OSError as error:
            structlog.get_logger("fhir_server.workers").error("no connection can be taken", error=str(error))
            self._rest(NO_DESCRIPTORS, self._watch)
            return
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        task = self._loop.create_task(self._serve(connection))
        self._coming.add(task)
        task.add_done_callback(self._coming.discard)
        self.tell()

    async def _serve(self, connection: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(self._protocol, connection)
        except OSError:  # the client has gone
            connection.close()


class SharingServing(Serving):
    """Serves on a listening socket that it shares with other workers."""

    def __init__(self, app: App, tell: Callable[[], None], listening: socket.socket, loads: Loads) -> None:
        super().__init__(app, tell)
        self._shared = listening
        self._loads = loads
        self._acceptor: Acceptor | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start the application, then take connections."""
        await super().startup([])
        self._acceptor = Acceptor(
            self._shared, self._make, lambda: len(self.server_state.connections), self._loads
        )
        self.servers = [self._acceptor]  # type: ignore[list-item]

    async def on_tick(self, counter: int) -> bool:
        """See uvicorn: called ten times a second."""
        if self._acceptor is not None:
            self._acceptor.tell()
        return await super().on_tick(counter)

    def _make(self) -> asyncio.Protocol:
        made: asyncio.Protocol = self.config.http_protocol_class(  # type: ignore[call-arg]
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )
        return made
