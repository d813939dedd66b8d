"""Counts and times of requests, kept as plain numbers and given to Prometheus when it asks."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping

import msgspec
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from fhir_server.store import Commits

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)

COMMITS = "groups of writes made durable, each by one commit of the database"
TRANSACTIONS = "transactions that shared these commits"


class Counted(msgspec.Struct):
    """How many requests by (interaction, status); by interaction how many in each of BUCKETS, and their seconds; what
    was made durable."""

    counts: dict[tuple[str, int], int] = msgspec.field(default_factory=dict)
    durations: dict[str, list[int]] = msgspec.field(default_factory=dict)
    sums: dict[str, float] = msgspec.field(default_factory=dict)
    commits: Commits = msgspec.field(default_factory=Commits)

    def add(self, other: Counted) -> None:
        """Add what another process has counted."""
        for key, count in other.counts.items():
            self.counts[key] = self.counts.get(key, 0) + count
        for interaction, counted in other.durations.items():
            known = self.durations.get(interaction, [0] * len(counted))
            self.durations[interaction] = [one + two for one, two in zip(known, counted, strict=True)]
            self.sums[interaction] = self.sums.get(interaction, 0.0) + other.sums[interaction]
        self.commits.add(other.commits)


class RequestMetrics:
    """A Prometheus collector: requests by interaction and status, durations by interaction, commits, gauges.

    ``commits`` is what the store counts in. ``gauges`` holds values such as the store's size, by name; it is set anew
    before each scrape.
    """

    def __init__(self, commits: Commits) -> None:
        self.gauges: Mapping[str, float] = {}
        self.counted = Counted(commits=commits)

    def observe(self, interaction: str, status: int, seconds: float) -> None:
        """Note one answered request."""
        counted, key = self.counted, (interaction, status)
        counted.counts[key] = counted.counts.get(key, 0) + 1
        durations = counted.durations.get(interaction)
        if durations is None:
            durations = counted.durations[interaction] = [0] * (len(BUCKETS) + 1)
            counted.sums[interaction] = 0.0
        durations[bisect_left(BUCKETS, seconds)] += 1
        counted.sums[interaction] += seconds

    def total(self) -> Counted:
        """What is told: all that was counted."""
        return self.counted

    def collect(self) -> Iterator[Metric]:
        """The metric families, as ``prometheus_client`` wants them."""
        total = self.total()
        yield _requests(total)
        yield _histogram(total)
        yield CounterMetricFamily("fhir_store_commits", COMMITS, value=total.commits.groups)
        yield CounterMetricFamily("fhir_store_transactions", TRANSACTIONS, value=total.commits.transactions)
        for name, value in self.gauges.items():
            yield GaugeMetricFamily(f"fhir_{name}", name.replace("_", " "), value=value)


def _requests(total: Counted) -> Metric:
    family = CounterMetricFamily("fhir_requests", "answered requests", labels=("interaction", "status"))
    for (interaction, status), count in total.counts.items():
        family.add_metric((interaction, str(status)), count)
    return family


def _histogram(total: Counted) -> Metric:
    family = HistogramMetricFamily(
        "fhir_request_seconds", "time to answer a request", labels=("interaction",)
    )
    for interaction, durations in total.durations.items():
        buckets, seen = [], 0
        for bound, count in zip((*map(str, BUCKETS), "+Inf"), durations, strict=True):
            seen += count
            buckets.append((bound, float(seen)))
        family.add_metric((interaction,), buckets, total.sums[interaction])
    return family
