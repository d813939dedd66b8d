"""Chains and ``_has`` decided literally: among resources in memory, or as a question to a store.

Source: FHIR R4 search.html#chaining, search.html#has.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from fhir_server.search.clauses import Chain, Clause, Has, Query
from fhir_server.search.match import Indexed, Related, holds, rows_of
from fhir_server.search.parameters import LISTED, SearchParameter
from fhir_server.search.values import ReferenceValue, TokenValue


def related_among(resources: Iterable[Indexed]) -> Related:
    """A ``Related`` that knows ``resources`` and no others: the slow and literal reading."""
    known = {(each.type, each.id): each for each in resources}

    def related(relation: Chain | Has, resource: Indexed) -> bool:
        found = _targets(relation, resource, known) if isinstance(relation, Chain) else known.values()
        return any(
            other.type == relation.type
            and (isinstance(relation, Chain) or _refers(relation.parameter, other, resource))
            and holds(relation.criterion, other, related)
            for other in found
        )

    return related


def question(relation: Chain | Has, resource: Indexed) -> Query:
    """The search that finds something exactly when ``relation`` holds for ``resource``."""
    if isinstance(relation, Has):
        which = Clause(relation.parameter, None, (ReferenceValue(resource.type, resource.id),))
    else:
        ids = _ids(relation, resource)
        which = Clause(id_parameter(relation.type), None, tuple(TokenValue(None, id) for id in ids))
    return Query(relation.type, (which, relation.criterion))


def id_parameter(type: str) -> SearchParameter:
    """The parameter ``_id`` of ``type``."""
    return SearchParameter(type, "_id", "token", "", "", (), column="id")


def listed_parameter(type: str) -> SearchParameter:
    """The ids of resources of ``type`` that were found before: not those that contained ones have in containers."""
    return SearchParameter(type, LISTED, "token", "", "", (), column="id")


def _targets(chain: Chain, resource: Indexed, known: Mapping[tuple[str, str], Indexed]) -> Iterable[Indexed]:
    pairs = ((chain.type, id) for id in _ids(chain, resource))
    return (known[pair] for pair in pairs if pair in known)


def _ids(chain: Chain, resource: Indexed) -> list[str]:
    rows = rows_of(chain.parameter, resource.values)
    return [row.id for row in rows if row.type == chain.type]


def _refers(parameter: SearchParameter, source: Indexed, target: Indexed) -> bool:
    return any((row.type, row.id) == (target.type, target.id) for row in rows_of(parameter, source.values))
