"""Several server processes on one listening socket, and the one that looks after them.

The first worker opens the store alone (making tables, loading the demo county, indexing); when it listens, the
others follow. A worker that dies is started again. The supervisor serves nothing itself. Each worker is told its
place on its standard input, which stays open: when it ends, the supervisor is gone and the worker stops too.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import sys
import tempfile
from asyncio.subprocess import PIPE, Process
from collections.abc import Coroutine
from pathlib import Path
from time import monotonic
from typing import Any, Final

import msgspec
import structlog

from fhir_server.ending import end
from fhir_server.settings import Settings

READY: Final = "\x06"
"""The line by which a worker tells that it listens; all its other lines are for the person who started the server."""
BACKLOG: Final = 2048
CLOSING: Final = 40.0
"""Seconds that workers get to finish what is under way."""
SHORT_LIFE: Final = 10.0
LONGEST_PAUSE: Final = 30.0
"""A worker that died within SHORT_LIFE seconds is started again after a pause, which doubles each time."""


class Place(msgspec.Struct, frozen=True):
    """What a worker is told: its number, the socket's file descriptor, a folder that all share, the settings."""

    number: int
    descriptor: int
    folder: str
    demo: bool
    settings: dict[str, Any]


class Supervisor:
    """Runs ``settings.workers`` workers until it is told to stop."""

    def __init__(self, settings: Settings, listening: socket.socket, folder: Path, *, demo: bool) -> None:
        self._settings = settings
        self._listening = listening
        self._folder = folder
        self._demo = demo
        self._processes: dict[int, Process] = {}
        self._ready: dict[int, asyncio.Event] = {n: asyncio.Event() for n in range(settings.workers)}
        self._stopping = asyncio.Event()
        self._failed = False
        self._log = structlog.get_logger("fhir_server.workers")

    async def run(self) -> bool:
        """Until SIGTERM or SIGINT; False when a worker could not even start."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stopping.set)
        tasks = [asyncio.create_task(self._keep(number)) for number in range(self._settings.workers)]
        await asyncio.gather(*tasks)
        return not self._failed

    async def _keep(self, number: int) -> None:
        """Keep worker ``number`` running."""
        if number > 0:
            await self._either(self._ready[0].wait())
        pause = 0.0
        while not self._stopping.is_set():
            began = monotonic()
            status = await self._live(number)
            if self._stopping.is_set():
                return
            if not self._ready[number].is_set():
                self._failed = True
                self._stopping.set()
                return
            self._log.error("a worker died and is started again", worker=number, status=status)
            pause = 0.0 if monotonic() - began > SHORT_LIFE else min(max(1.0, pause * 2), LONGEST_PAUSE)
            await self._either(asyncio.sleep(pause))

    async def _live(self, number: int) -> int:
        """One life of a worker, from its start to its end; its exit status."""
        descriptor = self._listening.fileno()
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "fhir_server.cli.worker",
            stdin=PIPE, stdout=PIPE, pass_fds=(descriptor,), start_new_session=True,
        )  # fmt: skip
        assert process.stdin is not None and process.stdout is not None
        place = Place(
            number, descriptor, str(self._folder), self._demo, self._settings.model_dump(mode="json")
        )
        process.stdin.write(msgspec.json.encode(place) + b"\n")
        listening = asyncio.create_task(self._listen(number, process.stdout))
        await self._either(process.wait())
        if process.returncode is None:
            await _end(process)
        await listening
        process.stdin.close()
        assert process.returncode is not None
        return process.returncode

    async def _listen(self, number: int, lines: asyncio.StreamReader) -> None:
        async for line in lines:
            text = line.decode("utf-8", "replace").rstrip("\n")
            if text == READY:
                self._ready[number].set()
            else:
                print(text, flush=True)

    async def _either(self, awaited: Coroutine[Any, Any, Any]) -> None:
        """Wait for ``awaited``, or for the end."""
        loop = asyncio.get_running_loop()
        waiting = {loop.create_task(awaited), loop.create_task(self._stopping.wait())}
        _, left = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for each in left:
            await end(each)


async def _end(process: Process) -> None:
    """Have ``process`` finish what is under way; kill it when that takes too long."""
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    try:
        async with asyncio.timeout(CLOSING):
            await process.wait()
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


def supervise(settings: Settings, *, demo: bool) -> bool:
    """Run the workers until the end; False when they could not start. Raises OSError when the port is taken."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    with (
        socket.create_server((settings.host, settings.port), family=family, backlog=BACKLOG) as listening,
        tempfile.TemporaryDirectory(prefix="fhir-workers-") as folder,
    ):
        port = listening.getsockname()[1]
        told = settings.model_copy(update={"port": port})

        async def run() -> bool:
            return await Supervisor(told, listening, Path(folder), demo=demo).run()

        return asyncio.run(run())
