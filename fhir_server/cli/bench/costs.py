"""What a row cost the server besides time: its processes' CPU, and commits."""

from __future__ import annotations

import time
from dataclasses import dataclass

import httpx

from fhir_server.cli.bench.process import Running
from fhir_server.rest.metrics_sharing import EVERY

COMMITS = "fhir_store_commits_total"


@dataclass(slots=True)
class Costs:
    """CPU seconds of each of the server's processes by its id, and commits, since it was started."""

    cpu_s: dict[int, float]
    commits: float

    def since(self, before: Costs) -> Costs:
        """What was added."""
        added = {pid: seconds - before.cpu_s.get(pid, 0.0) for pid, seconds in self.cpu_s.items()}
        return Costs(added, self.commits - before.commits)

    def cpu_us_per(self, answers: float) -> float:
        """CPU microseconds of all processes for one of so many answers."""
        return sum(self.cpu_s.values()) / answers * 1e6 if answers else 0.0

    def busiest(self) -> float:
        """The share of the busiest process in the CPU of all: what keeps several from doing as much as they could."""
        total = sum(self.cpu_s.values())
        return max(self.cpu_s.values()) / total if total else 0.0

    def per_commit(self, acknowledged: float) -> float:
        """So many acknowledged writes for each commit; 0 when nothing was written."""
        return acknowledged / self.commits if self.commits else 0.0


def costs(server: Running, workers: int) -> Costs:
    """As of now. With several workers, whoever is asked knows of the others what they told up to a second ago: wait."""
    spent = server.cpu_s()
    if workers > 1:
        time.sleep(EVERY * 1.2)
    return Costs(spent, _commits(server.port))


def _commits(port: int) -> float:
    text = httpx.get(f"http://127.0.0.1:{port}/metrics", trust_env=False, timeout=30).text
    return float(next(line.split()[1] for line in text.splitlines() if line.startswith(f"{COMMITS} ")))
