"""SearchParameter resources: what one must be to be put in force, and which are in force.

Only an active one is used, and only an administrator puts one in force, changes or ends it. Drafts and retired ones
are resources like all others.
Source: FHIR R4 searchparameter.html.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fhir_server.definitions.types import SearchParameterDefinition
from fhir_server.errors import Issue
from fhir_server.interactions.context import Change
from fhir_server.interactions.indexing.in_force import TYPE, definitions_of, read_stored
from fhir_server.model.resource import Json
from fhir_server.search.custom import faults, is_in_force
from fhir_server.security.access import check_access


async def check_search_parameter(change: Change) -> Sequence[Issue]:
    """The rule for every write of a SearchParameter. When it is done, what is in force is looked up anew.

    Raises Forbidden for who is no administrator.
    """
    before, after = (_if_in_force(each) for each in (change.before, change.after))
    if before is None and after is None:
        return ()
    check_access(change.caller, "define-search", TYPE)
    if change.server.indexer is not None:
        change.afterwards(change.server.indexer.changed)
    own = (change.after or change.before or {}).get("id")
    beside = [each for id, each in (await _beside(change)).items() if id != own and is_in_force(each)]
    registry = change.server.parameters
    others = [each for each in definitions_of(beside) if not registry.is_fixed(each.url)]
    issues = faults(registry, after, others) if after else []
    if before and (after is None or before["url"] != after["url"]):
        issues += _still_used(before["url"], others)
    return issues


def _if_in_force(resource: Json | None) -> Json | None:
    return resource if resource is not None and is_in_force(resource) else None


async def _beside(change: Change) -> Mapping[str, Json]:
    """The SearchParameters as they will be after the Bundle that this write belongs to, by id."""
    stored = await read_stored(change.transaction)
    coming = {id: each for (type, id), each in change.pending.items() if type == TYPE}
    return {**stored, **coming}


def _still_used(url: str, others: Sequence[SearchParameterDefinition]) -> list[Issue]:
    """A component cannot go while a composite is made of it."""
    return [
        Issue("error", "conflict", f"{url} is a component of {each.url}, which is in force", f"{TYPE}.url")
        for each in others
        if any(url == component for component, _ in each.components)
    ]


RULES = {TYPE: (check_search_parameter,)}
"""What happens on a write, by type."""
