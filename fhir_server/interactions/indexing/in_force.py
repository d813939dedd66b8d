"""Which stored SearchParameters are in force: the active ones that can be used."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import orjson
import structlog

from fhir_server.definitions.packages import search_parameter
from fhir_server.definitions.types import SearchParameterDefinition
from fhir_server.interactions.paging import all_pages
from fhir_server.model.resource import Json
from fhir_server.search.custom import faults, is_in_force
from fhir_server.search.query import Query
from fhir_server.search.registry import Registry
from fhir_server.store import Reading

TYPE: Final = "SearchParameter"


async def read_in_force(reading: Reading, registry: Registry) -> list[SearchParameterDefinition]:
    """The definitions that ``reading`` has in force besides the fixed ones; what cannot be used is logged."""
    resources = [each for each in (await read_stored(reading)).values() if is_in_force(each)]
    found: list[SearchParameterDefinition] = []
    for resource in sorted(resources, key=_components_first):
        if registry.is_fixed(resource["url"]):
            continue
        definition = definitions_of([resource])
        if not definition or (
            registry.definition(resource["url"]) not in definition and faults(registry, resource, found)
        ):
            structlog.get_logger("fhir_server.indexing").error(
                "an active SearchParameter cannot be used", url=resource["url"]
            )
            continue
        found += definition
    return found


async def read_stored(reading: Reading) -> dict[str, Json]:
    """All SearchParameters of the store by id, drafts among them."""
    found: dict[str, Json] = {}
    async for page in all_pages(reading, Query(TYPE, count=1000)):
        found.update((record.id, orjson.loads(record.content)) for record in page.records)
    return found


def definitions_of(resources: Iterable[Json]) -> list[SearchParameterDefinition]:
    """Those of ``resources`` that can be read at all; what is wrong with the others is told where they are written."""
    found = []
    for resource in resources:
        try:
            found.append(search_parameter(resource))
        except ValueError:
            continue
    return found


def _components_first(resource: Json) -> tuple[bool, str]:
    return resource.get("type") == "composite", resource["url"]
