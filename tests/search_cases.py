"""The search tables of ``tests/cases/search``, row by row, for every runner that must agree with them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

import yaml

from fhir_server.search.lookups import Lookups, NotFetched, Wanted
from fhir_server.search.query import Query, parse_query
from fhir_server.search.registry import Registry

FOLDER = Path(__file__).parent / "cases" / "search"
ZONE = timezone(timedelta(hours=8))
BASE_URL = "http://localhost/fhir"
ID = "Case-1"
NOW = datetime(2026, 3, 2, 1, 12, tzinfo=UTC)
UPDATED = int(NOW.timestamp()) * 1_000_000


class SearchCase(NamedTuple):
    """One row: a resource, a query, whether they match, and where the standard says so.

    The resource is kept as ``ID`` and was last updated at ``UPDATED``; queries are read with ``ZONE``,
    ``BASE_URL`` and ``NOW``, and with ``others``, which are kept by the server too (value sets, hierarchies).
    """

    kind: str
    resource: dict[str, Any]
    query: str
    matches: bool
    spec: str
    others: tuple[dict[str, Any], ...] = ()

    @property
    def type(self) -> str:
        """The type that is searched."""
        return str(self.resource["resourceType"])

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """The decoded parameters; a ``+`` must be written %2B, as in a URL."""
        return parse_qsl(self.query, keep_blank_values=True, separator="&")

    @property
    def name(self) -> str:
        """What a test report shows."""
        return f"{self.kind}: {self.resource['resourceType']}?{self.query} {'yes' if self.matches else 'no'}"


def read_query(registry: Registry, case: SearchCase) -> Query:
    """The query of a row, with what it needs of ``others`` fetched."""
    lookups = Lookups(registry.definitions.terminology(), stored=True)
    while True:
        try:
            return parse_query(
                registry, case.type, case.pairs, zone=ZONE, base_url=BASE_URL, now=NOW, lookups=lookups
            )
        except NotFetched as missing:
            lookups.keep(missing.wanted, _fetched(missing.wanted, case.others))


def _fetched(wanted: Wanted, others: tuple[dict[str, Any], ...]) -> Any:
    url, _, version = wanted.name.partition("|")
    if not wanted.way:
        of_type = [each for each in others if each["resourceType"] == wanted.type and each.get("url") == url]
        return next((each for each in of_type if version in {"", each.get("version")}), None)
    parents = {each["id"]: each["partOf"]["reference"].split("/")[1] for each in others if "partOf" in each}
    found, last = [wanted.name], [wanted.name]
    while last:
        last = (
            [id for id, parent in parents.items() if parent in last]
            if wanted.way == "below"
            else [parents[id] for id in last if id in parents]
        )
        found += last
    return found


def load_search_cases() -> list[SearchCase]:
    """Every row of every table. The ids of the resources are set."""
    return [case for path in sorted(FOLDER.glob("*.yaml")) for case in _cases(path)]


def _cases(path: Path) -> Iterator[SearchCase]:
    table = yaml.safe_load(path.read_text(encoding="utf-8"))
    for group in table["groups"]:
        resource = {**group["resource"], "id": ID}
        others = tuple(group.get("others", ()))
        for query in group["matches"]:
            yield SearchCase(table["type"], resource, query, True, group["spec"], others)
        for query in group["misses"]:
            yield SearchCase(table["type"], resource, query, False, group["spec"], others)
