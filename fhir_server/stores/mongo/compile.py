"""A query becomes a plan: each of its criteria becomes a test."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import count
from typing import NamedTuple

from fhir_server.search.query import AllOf, AnyOf, Chain, Clause, Criterion, Has, Not, Query
from fhir_server.search.types import fulltext
from fhir_server.stores.mongo import relations
from fhir_server.stores.mongo.conditions import compile_clause
from fhir_server.stores.mongo.conditions.parts import (
    MOST_SHARDS,
    Filter,
    Test,
    all_filter,
    all_of,
    any_of,
    negated,
)
from fhir_server.stores.mongo.conditions.words import compile_words
from fhir_server.stores.mongo.moment import Then
from fhir_server.stores.mongo.plan import Plan
from fhir_server.stores.mongo.view import View


class Scope(NamedTuple):
    """Where a criterion is compiled: the view it will run in, the type searched, and how many looks at other documents
    have been named. ``then``: only what was there at that moment and has not changed since is asked for."""

    view: View
    type: str
    names: count[int]
    then: Then | None = None


async def plan_of(scope: Scope, criteria: Iterable[Criterion]) -> Plan:
    """The plan of all ``criteria``. Raises InvalidSearch for what this store does not know, TextsBehind."""
    tests = [await compile_criterion(scope, each) for each in flat(criteria)]
    if scope.then is not None:
        tests.append(scope.then.moment.unchanged)
    whole = all_of(tests)
    plain = [test.where for test in tests if not test.stages]
    if not any(test.is_typed for test in tests if not test.stages):
        plain.insert(0, {"k": scope.type})
    if whole.shards is not None and len(whole.shards) <= MOST_SHARDS:
        plain.append(_of_shards(sorted(whole.shards)))
    late = [test.where for test in tests if test.stages]
    return Plan(scope.type, all_filter(plain), whole.stages, all_filter(late), whole.depth)


async def compile_criterion(scope: Scope, criterion: Criterion) -> Test:
    """The test of ``criterion``. Raises as ``plan_of``."""
    match criterion:
        case Clause():
            found = await _clause(scope, criterion)
        case Chain() | Has():
            found = await _relation(scope, criterion)
        case AnyOf():
            found = any_of([await compile_criterion(scope, each) for each in criterion.criteria])
        case AllOf():
            found = all_of([await compile_criterion(scope, each) for each in flat(criterion.criteria)])
        case Not():
            found = negated(await compile_criterion(scope, criterion.criterion))
    return found


async def _clause(scope: Scope, clause: Clause) -> Test:
    if clause.modifier == fulltext.MODIFIER:
        return await compile_words(scope.view, scope.type, clause, scope.names)
    return compile_clause(scope.type, clause)


async def _relation(scope: Scope, relation: Chain | Has) -> Test:
    inner = await plan_of(scope._replace(type=relation.type), (relation.criterion,))
    if isinstance(relation, Chain):
        old = await scope.then.ids(relation) if scope.then else ()
        return await relations.chain(scope.view, relation, inner, old, scope.names)
    old = await scope.then.targets(relation, scope.type) if scope.then else ()
    return await relations.has(scope.view, scope.type, relation, inner, old, scope.names)


def flat(criteria: Iterable[Criterion]) -> list[Criterion]:
    """``criteria`` with what stands in an AllOf among them."""
    found: list[Criterion] = []
    for each in criteria:
        if isinstance(each, AllOf):
            found += flat(each.criteria)
        else:
            found.append(each)
    return found


def _of_shards(shards: Sequence[str]) -> Filter:
    return {"p": shards[0] if len(shards) == 1 else {"$in": list(shards)}}


def scope_of(view: View, query: Query, then: Then | None = None) -> Scope:
    """The scope of ``query``."""
    return Scope(view, query.type, count(), then)
