"""The search tables of ``tests/cases/search``, row by row, for every runner that must agree with them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

import yaml

FOLDER = Path(__file__).parent / "cases" / "search"
ZONE = timezone(timedelta(hours=8))
BASE_URL = "http://localhost/fhir"
ID = "Case-1"
NOW = datetime(2026, 3, 2, 1, 12, tzinfo=UTC)
UPDATED = int(NOW.timestamp()) * 1_000_000


class SearchCase(NamedTuple):
    """One row: a resource, a query, whether they match, and where the standard says so.

    The resource is kept as ``ID`` and was last updated at ``UPDATED``; queries are read with ``ZONE``,
    ``BASE_URL`` and ``NOW``.
    """

    kind: str
    resource: dict[str, Any]
    query: str
    matches: bool
    spec: str

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """The decoded parameters; a ``+`` must be written %2B, as in a URL."""
        return parse_qsl(self.query, keep_blank_values=True, separator="&")

    @property
    def name(self) -> str:
        """What a test report shows."""
        return f"{self.kind}: {self.resource['resourceType']}?{self.query} {'yes' if self.matches else 'no'}"


def load_search_cases() -> list[SearchCase]:
    """Every row of every table. The ids of the resources are set."""
    return [case for path in sorted(FOLDER.glob("*.yaml")) for case in _cases(path)]


def _cases(path: Path) -> Iterator[SearchCase]:
    table = yaml.safe_load(path.read_text(encoding="utf-8"))
    for group in table["groups"]:
        resource = {**group["resource"], "id": ID}
        for query in group["matches"]:
            yield SearchCase(table["type"], resource, query, True, group["spec"])
        for query in group["misses"]:
            yield SearchCase(table["type"], resource, query, False, group["spec"])
