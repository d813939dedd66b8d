"""uvicorn, as this program runs it: it says when the application works, and stops when it never will."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

import uvicorn

from fhir_server.app import App
from fhir_server.rest.protocol import GatheringProtocol


class Serving(uvicorn.Server):
    """Serves ``app``; ``tell`` is called once when it listens and its store is there."""

    def __init__(self, app: App, tell: Callable[[], None]) -> None:
        super().__init__(_config(app))
        self._app = app
        self._tell = tell
        self._telling: asyncio.Task[None] | None = None

    @property
    def succeeded(self) -> bool:
        """It worked, or was stopped before it could."""
        return self.started and self._app.failure is None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start the application, and listen."""
        await super().startup(sockets)
        self._telling = asyncio.create_task(self._tell_when_settled())

    async def _tell_when_settled(self) -> None:
        await self._app.settled.wait()
        if self._app.failure is None:
            self._tell()
        else:
            self.should_exit = True


def _config(app: App) -> uvicorn.Config:
    return uvicorn.Config(
        app.asgi,
        host=app.settings.host,
        port=app.settings.port,
        loop="uvloop",
        http=GatheringProtocol,
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        interface="asgi3",
        proxy_headers=False,
        lifespan="on",
        timeout_graceful_shutdown=30,
    )
