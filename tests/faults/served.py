"""A real server, as users start it: ``fhir-server serve`` in a process of its own, with any number of workers."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

import httpx

ROOT = Path(__file__).parents[2]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Served:
    """One server on ``store``; it may be started, killed and started again, on the same port."""

    def __init__(
        self, folder: Path, store: str, workers: int = 1, settings: Mapping[str, str] | None = None
    ) -> None:
        self.port = free_port()
        self.log = folder / "server.log"
        self.process: subprocess.Popen[bytes] | None = None
        self._arguments = ["serve", "--no-demo", "--workers", str(workers)]
        self._settings = {
            "FHIR_STORE": store,
            "FHIR_AUTH": "off",
            "FHIR_MLLP_PORT": "0",
            "FHIR_PORT": str(self.port),
            "FHIR_PROFILES": str(folder / "profiles"),
            "FHIR_MAPPINGS": str(folder / "mappings"),
            "FHIR_LOG": "warning",
            **(settings or {}),
        }

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.port}/fhir/"

    def start(self, before: Callable[[], None] | None = None) -> None:
        """Begin to start; ``before`` runs in the new process."""
        with self.log.open("ab") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "fhir_server", *self._arguments],
                cwd=ROOT,
                env={**os.environ, **self._settings},
                stdout=out,
                stderr=out,
                preexec_fn=before,  # noqa: PLW1509
            )

    async def ready(self) -> None:
        """Wait until it answers."""
        url = f"http://127.0.0.1:{self.port}/health/ready"
        async with httpx.AsyncClient(trust_env=False, timeout=10) as http:
            for _ in range(1200):
                assert self.process is not None and self.process.poll() is None, self.log.read_text()
                try:
                    if (await http.get(url)).is_success:
                        return
                except httpx.TransportError:
                    pass
                await asyncio.sleep(0.025)
        raise AssertionError(f"the server did not start: {self.log.read_text()}")

    def kill(self) -> None:
        """SIGKILL, to the process that was started."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def kill_all(self) -> None:
        """SIGKILL, to all its processes at once."""
        workers = self.workers()
        self.kill()
        for each in workers:
            with suppress(ProcessLookupError):
                os.kill(each, signal.SIGKILL)

    def stop(self) -> int:
        """SIGTERM; the exit status."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.terminate()
        return self.process.wait(60)

    def workers(self) -> list[int]:
        """The processes that it has started."""
        assert self.process is not None
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return [int(each) for each in children.split()]

    def kill_worker(self) -> None:
        """SIGKILL one of them."""
        os.kill(self.workers()[-1], signal.SIGKILL)
