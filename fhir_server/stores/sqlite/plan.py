"""A query, compiled: each of its criteria becomes a condition, and the plan chooses which of them drives."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence

from fhir_server.search.query import AllOf, AnyOf, Chain, Clause, Criterion, Has, Not, Query
from fhir_server.stores.sqlite import relations
from fhir_server.stores.sqlite.choice import MANY, Choice, candidates, select
from fhir_server.stores.sqlite.conditions import compile_clause
from fhir_server.stores.sqlite.conditions.absence import negated
from fhir_server.stores.sqlite.conditions.parts import Arm, Condition, Probe, Scope, all_of, any_of
from fhir_server.stores.sqlite.moment import Then
from fhir_server.stores.sqlite.symbols import Symbols


class Plan(Choice):
    """The compiled criteria of one query on one connection; ``then``: as of that moment (see Scope)."""

    def __init__(
        self, connection: sqlite3.Connection, symbols: Symbols, query: Query, then: Then | None = None
    ) -> None:
        scope = Scope(connection, symbols, symbols.find(connection, query.type), then)
        conditions = [compile_criterion(scope, each) for each in flat(query.clauses)]
        if then is not None:
            conditions.append(Condition((), Probe(*then.moment.unchanged)))
        super().__init__(scope, conditions)


def compile_criterion(scope: Scope, criterion: Criterion) -> Condition:
    """The condition of ``criterion``. Raises InvalidSearch for a modifier that this store does not know."""
    match criterion:
        case Clause():
            return compile_clause(scope, criterion)
        case Chain():
            return relations.chain(scope, criterion, _inner(scope, criterion))
        case Has():
            return relations.has(scope, criterion, _inner(scope, criterion))
        case AnyOf():
            return _any([compile_criterion(scope, each) for each in criterion.criteria])
        case AllOf():
            return _all(scope, [compile_criterion(scope, each) for each in flat(criterion.criteria)])
        case Not():
            return negated(compile_criterion(scope, criterion.criterion))


def _inner(scope: Scope, relation: Chain | Has) -> Choice:
    return Plan(scope.connection, scope.symbols, Query(relation.type, (relation.criterion,)), scope.then)


def flat(criteria: Iterable[Criterion]) -> list[Criterion]:
    """``criteria`` with what stands in an AllOf among them."""
    found: list[Criterion] = []
    for each in criteria:
        if isinstance(each, AllOf):
            found += flat(each.criteria)
        else:
            found.append(each)
    return found


def _any(conditions: Sequence[Condition]) -> Condition:
    """One of ``conditions`` holds. It finds when each of them can."""
    conditions = [condition for condition in conditions if condition is not relations.NOTHING]
    if len(conditions) < 2:
        return conditions[0] if conditions else relations.NOTHING
    latest = [condition.latest for condition in conditions if condition.latest is not None]
    earliest = [condition.earliest for condition in conditions if condition.earliest is not None]
    return Condition(
        [arm for condition in conditions for arm in condition.arms]
        if all(condition.arms for condition in conditions)
        else (),
        any_of([condition.probe for condition in conditions]),
        max(condition.rank for condition in conditions),
        max(latest) if len(latest) == len(conditions) else None,
        min(earliest) if len(earliest) == len(conditions) else None,
    )


def _all(scope: Scope, conditions: Sequence[Condition]) -> Condition:
    """All of ``conditions`` hold. One of those that can find does, tested by the others."""
    latest = [condition.latest for condition in conditions if condition.latest is not None]
    earliest = [condition.earliest for condition in conditions if condition.earliest is not None]
    choice = Choice(scope, conditions)
    arms: Sequence[Arm] = ()
    if any(condition.arms for condition in conditions):
        drivers, probes = choice.complete()
        arms = [_tested(arm, probes) for arm in drivers]
    return Condition(
        arms,
        all_of(choice.probes),
        min((condition.rank for condition in conditions), default=2),
        min(latest, default=None),
        max(earliest, default=None),
    )


def _tested(arm: Arm, probes: Sequence[Probe]) -> Arm:
    test = all_of([Probe(arm.where, arm.values), *probes])
    return arm._replace(where=test.where, values=test.values)


__all__ = ["MANY", "Plan", "candidates", "compile_criterion", "select"]
