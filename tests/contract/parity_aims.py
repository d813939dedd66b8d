"""Searches that surely find something of a stock: each asks, in its own way, for what one resource of it says.

A random search seldom meets anything as soon as it has two parts, so that an engine could lose what is behind a chain
and nobody would see it. Here the resource is taken first and the search is made of it: of its rows, and of the
references that lead from it and to it inside of the stock.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from urllib.parse import quote, urlencode

import parity_relations
import parity_values
from hypothesis import strategies as st
from parity_facts import ENDS, EQUAL, ORDER, OTHER, Aim, Facts, Pairs
from parity_kit import Request

from fhir_server.search.match import Indexed


@st.composite
def aims(draw: st.DrawFn, resources: list[Indexed]) -> dict[str, Request]:
    """One search of each kind that ``resources`` allow, by its kind."""
    about = Facts(resources, draw)
    found = {kind: aim(about) for kind, aim in KINDS.items()}
    return {kind: _request(about, *aim) for kind, aim in found.items() if aim is not None}


def _request(about: Facts, path: str, pairs: Pairs) -> Request:
    """Some in small pages, in an order or counted."""
    given = {name for name, _ in pairs}
    if "_history" not in path and "$" not in path:
        pairs = [*pairs, *(pair for pair in about.choose(MANNERS) if pair[0] not in given)]
    return Request("GET", f"{path}?{urlencode(pairs, quote_via=quote)}".rstrip("?"))


KINDS: Mapping[str, Callable[[Facts], Aim | None]] = {
    "values": parity_values.values,
    "several": parity_values.several,
    "token": lambda about: parity_values.of_kind(about, "token"),
    "reference": lambda about: parity_values.of_kind(about, "reference"),
    "string": lambda about: parity_values.of_kind(about, "string"),
    "date": lambda about: parity_values.of_kind(about, "date"),
    "quantity": lambda about: parity_values.of_kind(about, "quantity", "number"),
    "uri": lambda about: parity_values.of_kind(about, "uri"),
    "near": lambda about: parity_values.of_kind(about, "special"),
    "composite": parity_values.composite,
    "contains": parity_values.contains,
    "exact": parity_values.exact,
    "below": parity_values.below,
    "present": parity_values.present,
    "missing": parity_values.missing,
    "not": parity_values.other,
    "of-type": parity_values.typed,
    "identifier": parity_values.identified,
    "chain": parity_relations.chain,
    "long chain": parity_relations.long_chain,
    "has": parity_relations.has,
    "long has": parity_relations.long_has,
    "sibling": parity_relations.sibling,
    "list": parity_relations.listed,
    "compartment": parity_relations.compartment,
    "include": parity_relations.include,
    "revinclude": parity_relations.revinclude,
    "filter equal": lambda about: parity_values.filtered(about, EQUAL),
    "filter either": lambda about: parity_values.filtered(
        about, EQUAL, ("{} or _id eq r9", "_id eq r9 or {}")
    ),
    "filter not": lambda about: parity_values.filtered(
        about, EQUAL, ("not (not ({}))", "not (_id eq r9 or not ({}))")
    ),
    "filter ends": lambda about: parity_values.filtered(about, ENDS),
    "filter order": lambda about: parity_values.filtered(about, ORDER),
    "filter other": lambda about: parity_values.filtered(about, OTHER),
    "filter along": parity_values.filtered_along,
    "words": parity_values.words,
    "sort": parity_relations.in_order,
    "total": parity_relations.counted,
    "updated": parity_relations.updated,
    "types": parity_relations.of_several_types,
    "history": parity_relations.history,
    "history again": parity_relations.history,
    "everything": parity_relations.everything,
}
"""What it asks for → what makes such a search, None where the resources do not allow it."""

MANNERS: list[Pairs] = [
    [], [], [], [], [("_count", "1")], [("_sort", "-_lastUpdated,_id")], [("_total", "accurate")],
]  # fmt: skip
"""How the answer is wanted."""
