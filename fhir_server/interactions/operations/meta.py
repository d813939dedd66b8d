"""``$meta``: profiles, tags and security labels, of one resource or in use on a type or the whole system.

What is in use is read from the index: each different label is searched for once, so that nobody learns of
a label that stands only on resources he may not see.
Source: FHIR R4 operation-resource-meta.html.
"""

from __future__ import annotations

from collections.abc import Iterable

import orjson

from fhir_server.errors import InvalidSearch
from fhir_server.interactions.context import Invocation, Operation, Outcome, Server
from fhir_server.interactions.operations.definition import definition, giving, operations_of
from fhir_server.interactions.operations.labels import Labels, meta_answer
from fhir_server.interactions.parameters import read_inputs
from fhir_server.interactions.read import read
from fhir_server.search.query import Clause, Query, TokenValue, UriValue
from fhir_server.search.registry import SearchParameter
from fhir_server.security.access import check_access, narrow
from fhir_server.security.caller import Caller

MOST_LABELS = 1000
"""Different labels of one kind on one type that are listed."""

PARAMETERS = ("_profile", "_security", "_tag")


async def run(server: Server, caller: Caller, invocation: Invocation) -> Outcome:
    """Parameters with the Meta in ``return``. Raises NotFound, Gone, and InvalidSearch for too many labels."""
    read_inputs(OPERATION, invocation.parameters)
    if invocation.type and invocation.id:
        record = (await read(server, caller, invocation.type, invocation.id)).record
        assert record is not None
        return meta_answer(orjson.loads(record.content).get("meta", {}))
    types = [invocation.type] if invocation.type else sorted(server.definitions.resource_types)
    return meta_answer(await _in_use(server, caller, types))


async def _in_use(server: Server, caller: Caller, types: Iterable[str]) -> dict[str, object]:
    labels = Labels()
    for type in types:
        check_access(caller, "search", type)
        for code in PARAMETERS:
            await _gather(server, caller, server.parameters.parameter(type, code), labels)
    return labels.as_json()


async def _gather(server: Server, caller: Caller, parameter: SearchParameter, labels: Labels) -> None:
    """Add what resources of the parameter's type have under it."""
    for key in parameter.keys:
        terms = await server.store.terms(key, MOST_LABELS + 1)
        if len(terms) > MOST_LABELS:
            raise InvalidSearch(
                f"{parameter.type} has more than {MOST_LABELS} different values of {parameter.code}: "
                "they are not listed; search for those you need",
                code="too-costly",
            )
        for text, system in terms:
            value = TokenValue(system, text) if parameter.kind == "token" else UriValue(text)
            query = Query(parameter.type, (Clause(parameter, None, (value,)),), count=1)
            for record in (await server.store.search(narrow(query, caller))).records:
                labels.add(orjson.loads(record.content)["meta"])


OPERATIONS: tuple[Operation, ...] = operations_of(
    definition(
        "Resource-meta",
        "meta",
        "The profiles, tags and security labels of a resource, or those in use on a type or on the whole system.",
        [giving("Meta", "the Meta of the resource, or one with every label in use")],
        levels=("system", "type", "instance"),
    ),
    run,
)
OPERATION = OPERATIONS[0]
