"""``_explain=true``: how a search was carried out, as an OperationOutcome entry of its Bundle. For administrators.

Source: our own; the entry is R4's (search.html#3.1.1.5.5, Bundle.entry.search.mode outcome).
"""

from __future__ import annotations

from collections.abc import Iterator

import orjson

from fhir_server.errors import InvalidSearch, Issue, outcome
from fhir_server.interactions.context import Server
from fhir_server.search.query import Query
from fhir_server.store import Explaining, Explanation


async def explanation(server: Server, query: Query) -> bytes:
    """The OperationOutcome that tells how ``query`` is carried out. Raises InvalidSearch where nobody can tell."""
    store = server.store
    if not isinstance(store, Explaining):
        raise InvalidSearch(
            "searches are not explained here: not by this store, and not in a transaction",
            code="not-supported",
            expression="http._explain",
        )
    issues = [issue for each in await store.explain(query) for issue in _issues(each)]
    nothing = Issue(
        "information", "informational", "nothing of these types was ever kept: nothing was searched"
    )
    return orjson.dumps(outcome(issues or [nothing]))


def _issues(told: Explanation) -> Iterator[Issue]:
    driver = "all of the type" if told.driver is None else told.costs[told.driver].name
    yield Issue(
        "information",
        "informational",
        f"{told.type}: {driver} drives, along the index {told.source}: {told.visited:,} rows visited, "
        f"{told.found:,} resources found, {told.seconds * 1000:.2f} ms",
        diagnostics="\n".join(told.steps),
    )
    for place, cost in enumerate(told.costs):
        rows = "can only test" if cost.rows is None else f"has {cost.rows:,} rows of the index {cost.source}"
        role = "drives" if place == told.driver else "tests what the driver finds"
        yield Issue("information", "informational", f"{told.type}: {cost.name} {rows}; it {role}")
