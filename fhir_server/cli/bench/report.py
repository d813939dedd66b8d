"""The figures of one run, as a table and as JSON."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from rich.console import Console
from rich.table import Table

WIDTH = 120
COLUMNS = (
    "row",
    "per second",
    "ratio",
    "p50 ms",
    "p99 ms",
    "wrong answers",
    "CPU µs",
    "at most",
    "per commit",
)


@dataclass(slots=True)
class Row:
    """One row: requests (for import: resources) per second, milliseconds, wrong answers, ratio to the yardstick.

    ``cpu_us`` is the CPU time of all the server's processes for one answer, ``busiest`` the share of the busiest of
    them, ``limit_rps`` what so many workers could do if each had a core of its own and the same share; ``per_commit``
    are acknowledged writes for each commit. 0: not measured. ``more`` are figures that only this row has, by name.
    """

    name: str
    rps: float
    p50_ms: float
    p99_ms: float
    errors: int
    ratio: float = 0.0
    cpu_us: float = 0.0
    busiest: float = 0.0
    limit_rps: float = 0.0
    per_commit: float = 0.0
    more: dict[str, float] = field(default_factory=dict)


@dataclass(slots=True)
class Figures:
    """All figures of one run."""

    yardstick_rps: float = 0.0
    store: str = "sqlite"
    workers: int = 1
    generator: str = "wrk"
    cold_start_s: float = 0.0
    memory_start_mb: float = 0.0
    memory_end_mb: float = 0.0
    rows: list[Row] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """The figures as plain data."""
        return asdict(self)


def print_figures(figures: Figures) -> None:
    """Print the table."""
    table = Table(*COLUMNS, box=None, pad_edge=False)
    table.add_row("bare ASGI reply (yardstick)", f"{figures.yardstick_rps:,.0f}", "1.000")
    for row in figures.rows:
        table.add_row(
            row.name,
            f"{row.rps:,.0f}",
            f"{row.ratio:.3f}",
            f"{row.p50_ms:.2f}",
            f"{row.p99_ms:.2f}",
            str(row.errors),
            f"{row.cpu_us:,.0f}" if row.cpu_us else "",
            f"{row.limit_rps:,.0f}" if row.limit_rps else "",
            f"{row.per_commit:.1f}" if row.per_commit else "",
        )
    console = Console(soft_wrap=True)
    console.width = max(console.width, WIDTH)
    console.print(table)
    for row in figures.rows:
        if row.more:
            console.print(
                f"{row.name}: " + ", ".join(f"{name} {value:,.1f}" for name, value in row.more.items())
            )
    console.print(
        f"cold start {figures.cold_start_s:.2f} s · memory after start {figures.memory_start_mb:.0f} MB, "
        f"after the run {figures.memory_end_mb:.0f} MB · store {figures.store}, {figures.workers} worker"
    )
    if figures.generator != "wrk":
        console.print("wrk is not installed: the built-in load generator is the limit of these figures")
