"""What a resource is sorted by: the value of a sort key, from its index rows.

Ascending goes by the least value, descending by the greatest (of dates and ranges: the start of the one that ends
last); a resource without a value has None and comes last either way. Strings are compared folded, tokens by their code,
references by the id or URL, uris as they stand, all character by character; quantities by their number, whatever the
unit.
Source: FHIR R4 search.html#sort.
"""

from __future__ import annotations

from typing import Any, Final

from fhir_server.search.clauses import SortKey
from fhir_server.search.match import Indexed, rows_of

EDGES: Final = {False: (1, 3), True: (2, 3)}
CHOICE: Final = {False: min, True: max}
VALUES: Final = {
    "string": "text",
    "date": "low",
    "number": "low",
    "quantity": "low",
    "token": "code",
    "reference": "id",
    "uri": "uri",
}
"""Kind of parameter → the field of its rows that orders."""
UNMARKED: Final = frozenset({"token", "reference", "uri"})
"""Kinds whose rows have no edge: all of them are looked at."""


def sort_value(key: SortKey, resource: Indexed) -> Any:
    """The value of ``resource`` under ``key``, None when it has none."""
    parameter = key.parameter
    if parameter.column is not None:
        return getattr(resource, parameter.column)
    edges, name, all_count = EDGES[key.descending], VALUES[parameter.kind], parameter.kind in UNMARKED
    rows = rows_of(parameter, resource.values)
    found = [getattr(row, name) for row in rows if all_count or row.edge in edges]
    return CHOICE[key.descending](found) if found else None
