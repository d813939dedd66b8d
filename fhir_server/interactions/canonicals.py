"""Includes along canonical URLs: ``QuestionnaireResponse:questionnaire`` leads to the Questionnaire with that url.

Source: FHIR R4 search.html#include, references.html#canonical.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

import orjson

from fhir_server.interactions.context import Server
from fhir_server.model.reference import split_canonical
from fhir_server.search.canonicals import URL, canonical_types
from fhir_server.search.index import ReferenceRow
from fhir_server.search.query import Clause, Criterion, Include, UriValue
from fhir_server.search.types.reference import named_by
from fhir_server.store import Record

Versions = dict[str, set[str | None]]
"""URL → the business versions that are asked for; None: any."""


def urls_in(rows: Sequence[ReferenceRow]) -> Versions:
    """The canonical URLs in reference rows; one with a version has a row without it before."""
    found: Versions = defaultdict(set)
    for place, row in enumerate(rows):
        url, version = split_canonical(row.id)
        follower = rows[place + 1].id if place + 1 < len(rows) else ""
        if not row.type and (version or not follower.startswith(f"{url}|")):
            found[url].add(version)
    return found


def wanted_by(server: Server, include: Include, urls: Versions) -> Iterator[tuple[str, Criterion]]:
    """The types that ``include`` may lead to, each with what is true of its resources with one of ``urls``."""
    for type in canonical_types(server.parameters, include.parameter) if urls else ():
        if include.target in {None, type}:
            yield type, Clause(server.parameters.parameter(type, URL), None, tuple(map(UriValue, urls)))


def fitting(records: Iterable[Record], urls: Versions) -> Iterator[Record]:
    """Those of ``records`` that have a version that is asked for."""
    for record in records:
        data = orjson.loads(record.content)
        if not urls[data["url"]].isdisjoint({None, data.get("version")}):
            yield record


def pointing_by_url(server: Server, include: Include, records: Iterable[Record]) -> Criterion | None:
    """What is true of resources that refer to one of ``records`` by its url; None when none has one."""
    types = canonical_types(server.parameters, include.parameter)
    found = [orjson.loads(record.content) for record in records if record.type in types]
    values = [
        value for data in found if "url" in data for value in named_by(data["url"], data.get("version"), None)
    ]
    return Clause(include.parameter, None, tuple(dict.fromkeys(values))) if values else None
