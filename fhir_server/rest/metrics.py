"""Counts and times of requests, kept as plain numbers and given to Prometheus when it asks."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)


class RequestMetrics:
    """A Prometheus collector: requests by interaction and status, durations by interaction, gauges.

    ``gauges`` holds values such as the store's size, by name; it is set anew before each scrape.
    """

    def __init__(self) -> None:
        self.gauges: Mapping[str, float] = {}
        self._counts: dict[tuple[str, int], int] = {}
        self._durations: dict[str, list[int]] = {}
        self._sums: dict[str, float] = {}

    def observe(self, interaction: str, status: int, seconds: float) -> None:
        """Note one answered request."""
        key = (interaction, status)
        self._counts[key] = self._counts.get(key, 0) + 1
        durations = self._durations.get(interaction)
        if durations is None:
            durations = self._durations[interaction] = [0] * (len(BUCKETS) + 1)
            self._sums[interaction] = 0.0
        durations[bisect_left(BUCKETS, seconds)] += 1
        self._sums[interaction] += seconds

    def collect(self) -> Iterator[Metric]:
        """The metric families, as ``prometheus_client`` wants them."""
        yield self._requests()
        yield self._histogram()
        for name, value in self.gauges.items():
            yield GaugeMetricFamily(f"fhir_{name}", name.replace("_", " "), value=value)

    def _requests(self) -> Metric:
        family = CounterMetricFamily("fhir_requests", "answered requests", labels=("interaction", "status"))
        for (interaction, status), count in self._counts.items():
            family.add_metric((interaction, str(status)), count)
        return family

    def _histogram(self) -> Metric:
        family = HistogramMetricFamily(
            "fhir_request_seconds", "time to answer a request", labels=("interaction",)
        )
        for interaction, durations in self._durations.items():
            buckets, seen = [], 0
            for bound, count in zip((*map(str, BUCKETS), "+Inf"), durations, strict=True):
                seen += count
                buckets.append((bound, float(seen)))
            family.add_metric((interaction,), buckets, self._sums[interaction])
        return family
