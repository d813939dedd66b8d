"""Chains and ``_has``: what other resources decide.

The criterion on the other side is looked at first. When it holds for few resources, these are named: a chain becomes a
search for references to them, ``_has`` a list of what they refer to. When it holds for many, each candidate is tested
by looking at what it refers to, or at what refers to it, through an index (``$lookup``).
Source: FHIR R4 search.html#chaining, search.html#has.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from fhir_server.errors import InvalidSearch
from fhir_server.search.query import Chain, Has
from fhir_server.stores.mongo.conditions.column import listed
from fhir_server.stores.mongo.conditions.parts import NEVER, Filter, Test, any_of, term_filter
from fhir_server.stores.mongo.fields import AFTER, arm, reference_term
from fhir_server.stores.mongo.plan import Plan
from fhir_server.stores.mongo.view import View

NAMED: Final = 2_000
"""Related resources that are named one by one; more are tested."""

DEEPEST: Final = 3
"""Looks inside looks; what is deeper is listed first, because MongoDB bounds how deep a pipeline may nest."""

MOST_LISTED: Final = 100_000
"""Related resources that a list can hold, which goes to the database as one document."""


async def chain(view: View, relation: Chain, inner: Plan, old: Sequence[str], names: Iterator[int]) -> Test:
    """``subject:Patient.name=…``; ``inner`` finds the resources referred to, ``old`` are the ids of more of them."""
    found = await _named(view, inner, {"i": 1})
    if found is not None:
        return _to(relation, [*(row["i"] for row in found), *old])
    now = _along_own_references(relation, inner, f"r{next(names)}")
    return any_of([now, _to(relation, old)]) if old else now


def _to(relation: Chain, ids: Sequence[str]) -> Test:
    """What refers to one of ``ids``."""
    if not ids:
        return NEVER
    keys, type = relation.parameter.keys, relation.type
    return Test(term_filter([reference_term(key, id, type) for key in keys for id in ids]), is_typed=True)


async def has(
    view: View, type: str, relation: Has, inner: Plan, old: Sequence[str], names: Iterator[int]
) -> Test:
    """``_has:Observation:patient:code=…``; ``inner`` finds the resources that refer to one of ``type``, ``old`` are the
    ids of more that are referred to."""
    found = await _named(view, inner, {"k": 1})
    if found is not None:
        targets = [id for row in found for id in _targets(relation.parameter.keys, type, row["k"])]
        return listed(type, [*targets, *old]) if targets or old else NEVER
    now = _along_references_to_it(type, relation, inner, f"r{next(names)}")
    return any_of([now, listed(type, list(old))]) if old else now


async def _named(view: View, inner: Plan, projection: dict[str, Any]) -> list[dict[str, Any]] | None:
    """What satisfies ``inner``; None when that is too many to be named."""
    if inner.depth < DEEPEST:
        found = await inner.find(view, projection, limit=NAMED + 1)
        return found if len(found) <= NAMED else None
    found = await inner.find(view, projection, limit=MOST_LISTED + 1)
    if len(found) > MOST_LISTED:
        raise InvalidSearch(
            f"more than {MOST_LISTED:,} resources of type {inner.type} decide this; narrow the inner criterion",
            code="too-costly",
        )
    return found


def _targets(keys: Sequence[int], type: str, terms: Sequence[str]) -> Iterator[str]:
    """The ids of the resources of ``type`` to which the references among ``terms`` point."""
    stems, ends = tuple(f"{arm(key)}@" for key in keys), f"\n{type}"
    for term in terms:
        if term.startswith(stems) and term.endswith(ends):
            yield term[len(stems[0]) : -len(ends)]


# ── one look per candidate ────────────────────────────────────────────────────


def _along_own_references(relation: Chain, inner: Plan, name: str) -> Test:
    """What it refers to is looked up by the key of the document."""
    parts = {"$split": ["$$this", "\n"]}
    id = {"$arrayElemAt": [parts, 0]}
    stem = len(arm(0)) + 1
    names = {
        "$map": {
            "input": {"$filter": {"input": "$k", "cond": _is_reference(relation)}},
            "in": {"$concat": [f"{relation.type}/", {"$substrBytes": [id, stem, -1]}]},
        }
    }
    return _looked_up(name, names, "_id", inner)


def _is_reference(relation: Chain) -> Filter:
    """``$$this`` is a term of the parameter's references to the chain's type."""
    stems = [f"{arm(key)}@" for key in relation.parameter.keys]
    within = [{"$and": [{"$gte": ["$$this", stem]}, {"$lt": ["$$this", stem + AFTER]}]} for stem in stems]
    type = {"$arrayElemAt": [{"$split": ["$$this", "\n"]}, 1]}
    return {"$and": [{"$or": within}, {"$eq": [type, relation.type]}]}


def _along_references_to_it(type: str, relation: Has, inner: Plan, name: str) -> Test:
    """What refers to it is looked up by the terms of such references."""
    keys = relation.parameter.keys
    terms = [{"$concat": [f"{arm(key)}@", "$i", f"\n{type}"]} for key in keys]
    return _looked_up(name, terms, "k", inner)


def _looked_up(name: str, wanted: Any, field: str, inner: Plan) -> Test:
    look = {
        "from": "resource",
        "localField": name,
        "foreignField": field,
        "pipeline": [*inner.pipeline, {"$limit": 1}, {"$project": {"_id": 1}}],
        "as": name,
    }
    stages = ({"$set": {name: wanted}}, {"$lookup": look})
    return Test({name: {"$ne": []}}, stages=stages, depth=inner.depth + 1)
