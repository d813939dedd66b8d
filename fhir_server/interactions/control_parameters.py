"""The parameters of searches that no SearchParameter defines, as a CapabilityStatement declares them.

R4 gives their types in the text of search.html and no definitions; what each does here says ``documentation``. A test
holds the table to what the parser reads.
Source: FHIR R4 capabilitystatement.html (rest.searchParam), search.html#table.
"""

from __future__ import annotations

from typing import Final

from fhir_server.model.resource import Json
from fhir_server.search.control import (
    CONTAINED,
    CONTAINED_TYPES,
    LARGEST_PAGE,
    MOST_SORT_KEYS,
    SUMMARIES,
    TOTALS,
)

CONTROLS: Final = {
    "_contained": ("string", f"whether resources that stand inside others are meant: {', '.join(CONTAINED)}"),
    "_containedType": ("string", f"what is shown of a contained resource: {', '.join(CONTAINED_TYPES)}"),
    "_count": ("number", f"entries of a page, at most {LARGEST_PAGE}; 0 for the number of matches alone"),
    "_elements": ("string", "names of the top-level elements to give, separated by commas"),
    "_explain": ("string", "true: tell how the search was carried out; for administrators"),
    "_filter": ("special", "criteria as an expression: the whole grammar of search_filter.html"),
    "_has": (
        "string",
        "_has:Type:reference:parameter, what refers to the resource; also nested and in chains",
    ),
    "_include": (
        "string",
        "Type:parameter[:Target], Type:*, *:* or *; with :iterate from what was included too",
    ),
    "_list": ("string", "the id of a List whose items are meant; no functional lists"),
    "_revinclude": (
        "string",
        "Type:parameter[:Target], Type:*, *:* or *; with :iterate from what was included too",
    ),
    "_sort": (
        "string",
        f"up to {MOST_SORT_KEYS} search parameters separated by commas, - before one that descends",
    ),
    "_summary": ("string", f"a part of each resource, or only their number: {', '.join(SUMMARIES)}"),
    "_total": ("string", f"whether all matches are counted: {', '.join(TOTALS)}"),
}
"""Name → type and what is to be said of it; all types of resources have them."""
ON_SYSTEM: Final = {"_type": ("string", "the types that are searched, separated by commas")}
"""Those of a search of several types."""


def declared_controls() -> list[Json]:
    """The ``searchParam`` members of all of them."""
    return [
        {"name": name, "type": type, "documentation": text}
        for name, (type, text) in sorted({**CONTROLS, **ON_SYSTEM}.items())
    ]
