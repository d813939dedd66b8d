"""The two server processes of a run: the yardstick and ours."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

START_LIMIT_S = 60.0


@dataclass(frozen=True, slots=True)
class Running:
    """A server that answers.

    Its port, its process id (the supervisor's when there are workers), and how long it took to the first answer.
    """

    port: int
    pid: int
    started_in_s: float

    def memory_mb(self) -> float:
        """Resident memory of the process and its workers now."""
        return self._status_mb("VmRSS:")

    def peak_mb(self) -> float:
        """The most that it was since ``forget_peak``."""
        return self._status_mb("VmHWM:")

    def cpu_s(self) -> dict[int, float]:
        """CPU seconds that the process and its workers have used, each by its id."""
        return {pid: _cpu_s(pid) for pid in self._processes()}

    def forget_peak(self) -> None:
        """Begin anew with what it is now."""
        for pid in self._processes():
            Path(f"/proc/{pid}/clear_refs").write_text("5")

    def _status_mb(self, name: str) -> float:
        return sum(_status_kb(pid, name) for pid in self._processes()) / 1024

    def _processes(self) -> list[int]:
        """The process and its workers."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text()
        return [self.pid, *map(int, children.split())]


def _status_kb(pid: int, name: str) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith(name))
    return int(line.split()[1])


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")  # in user mode, in the system


def free_port() -> int:
    """A port of the loopback address that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(
    command: list[str], port: int, path: str, environment: Mapping[str, str], log: Path
) -> Iterator[Running]:
    """Run ``command`` until the block ends; entered when ``path`` on ``port`` answers 200."""
    began = time.perf_counter()
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, *command], env={**os.environ, **environment}, stdout=out, stderr=out
        )
        try:
            _wait(process, f"http://127.0.0.1:{port}{path}", began, log)
            yield Running(port, process.pid, time.perf_counter() - began)
        finally:
            process.terminate()
            process.wait(30)


def _wait(process: subprocess.Popen[bytes], url: str, began: float, log: Path) -> None:
    with httpx.Client(trust_env=False) as http:
        while time.perf_counter() - began < START_LIMIT_S:
            if process.poll() is not None:
                raise OSError(f"the server ended at once; it said: {log.read_text(errors='replace')[-2000:]}")
            try:
                if http.get(url).status_code == 200:
                    return
            except httpx.HTTPError:
                time.sleep(0.01)
    raise OSError(f"no answer from {url} within {START_LIMIT_S:.0f} s")
