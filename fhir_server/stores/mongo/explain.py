"""How a search is carried out, as MongoDB tells it: which criterion's bounds the index is gone through in.

MongoDB chooses among indexes by trying, so a criterion drives when the bounds of the index that was chosen are its
own. Nothing of what is kept is told, and of what was asked only names.
Source: MongoDB manual, Explain Results.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from time import perf_counter
from typing import Any, Final, NamedTuple

from fhir_server.search.contained import outside_only
from fhir_server.search.query import AllOf, AnyOf, Chain, Clause, Criterion, Not, Query
from fhir_server.search.types import fulltext
from fhir_server.store import Cost, Explanation
from fhir_server.stores.labels import MOST, label
from fhir_server.stores.mongo.compile import flat, plan_of, scope_of
from fhir_server.stores.mongo.connection import Document
from fhir_server.stores.mongo.fields import arm
from fhir_server.stores.mongo.pages import Part, parts_of
from fhir_server.stores.mongo.past import newest_write
from fhir_server.stores.mongo.sorting import rows_of
from fhir_server.stores.mongo.view import Command, View

Explain = Callable[[Command], Awaitable[Document]]
"""Has the database explain a command that reads."""

_COLUMNS: Final[Mapping[str | None, str]] = {"id": "_id", "updated": "t"}
"""``SearchParameter.column`` → the first field of the index that has it."""
_HIDDEN: Final = frozenset({"rejectedPlans", "slotBasedPlan", "command"})
"""Parts of an explanation that tell of something else, or twice."""


class Scan(NamedTuple):
    """What candidates are found by: an index in ``bounds`` of its first ``field`` ("": the whole collection)."""

    name: str
    field: str
    bounds: str
    visited: int


async def explain(view: View, told_by: Explain, query: Query) -> tuple[Explanation, ...]:
    """Carry out the first page of ``query`` in each of its types of which anything was ever kept, and tell how."""
    parts = await parts_of(view, query)
    return tuple(
        [await _one(view, told_by, part) for part in parts if await newest_write(view, part.query.type)]
    )


async def _one(view: View, told_by: Explain, part: Part) -> Explanation:
    query, plan = part
    commands: list[Command] = []

    async def ask(command: Command) -> list[Document]:
        commands.append(command)
        return await view.ask(command)

    started = perf_counter()
    rows = await rows_of(View(ask, is_committed=False), plan, query.sort, None, query.count + 1)
    spent = perf_counter() - started
    told = [await told_by(command) for command in commands]
    scan, criteria = _scan(told[0]), flat(query.clauses)
    return Explanation(
        type=query.type,
        costs=tuple([await _cost(view, told_by, query, each) for each in criteria]),
        driver=next((place for place, each in enumerate(criteria) if _drives(each, scan)), None),
        source=scan.name,
        visited=scan.visited,
        found=min(len(rows), query.count),
        seconds=spent,
        steps=tuple(step for each in told for step in _steps(each)),
    )


async def _cost(view: View, told_by: Explain, query: Query, criterion: Criterion) -> Cost:
    """What an index gives for ``criterion`` alone."""
    name = label(outside_only(criterion))
    plan = await plan_of(scope_of(view, query), (criterion,))
    if plan.stages:
        return Cost(name, "", None)
    alone = {"find": "resource", "filter": plan.first, "projection": {"_id": 1}, "limit": MOST}
    scan = _scan(await told_by(alone))
    return (
        Cost(name, scan.name, min(scan.visited, MOST)) if _drives(criterion, scan) else Cost(name, "", None)
    )


def _drives(criterion: Criterion, scan: Scan) -> bool:
    """Whether the bounds of ``scan`` are those of ``criterion``."""
    match criterion:
        case Not():
            return False
        case AnyOf() | AllOf():
            return any(_drives(each, scan) for each in criterion.criteria)
        case Clause() | Chain() if keys := _keys(criterion):
            return any(_key(key, scan.field) in scan.bounds for key in keys)
        case Clause():
            is_text = criterion.modifier == fulltext.MODIFIER
            return scan.field == ("s" if is_text else _COLUMNS.get(criterion.parameter.column))
        case _:
            return scan.field == "_id"


def _keys(criterion: Clause | Chain) -> tuple[int, ...]:
    """The arms that an index is gone through by; none for what goes by columns or texts."""
    if isinstance(criterion, Clause) and criterion.modifier == fulltext.MODIFIER:
        return ()
    return (*criterion.parameter.keys, *criterion.parameter.identifier_keys)


def _key(key: int, field: str) -> str:
    """How an arm is written in the index of ``field``."""
    return str(key) if field.endswith(".k") else arm(key)


# ── what MongoDB says ─────────────────────────────────────────────────────────


def _scan(told: Mapping[str, Any]) -> Scan:
    visited = sum(each["totalKeysExamined"] for each in _named(told, "executionStats"))
    for plan in _named(told, "winningPlan"):
        for stage in _stages(plan):
            if "indexName" in stage:
                field, bounds = next(iter(stage["indexBounds"].items()))
                return Scan(stage["indexName"], field, " ".join(bounds), visited)
    return Scan(
        "of nothing", "", "", sum(each["totalDocsExamined"] for each in _named(told, "executionStats"))
    )


def _steps(told: Mapping[str, Any]) -> Iterator[str]:
    """The stages, the last one first as MongoDB has them; then those of a pipeline."""
    for plan in _named(told, "winningPlan"):
        for stage in _stages(plan):
            index = f" USING INDEX {stage['indexName']}" if "indexName" in stage else ""
            yield f"{stage['stage']}{index}"
    for stats in _named(told, "executionStats"):
        yield f"{stats['totalKeysExamined']} keys and {stats['totalDocsExamined']} documents examined"
    yield from (
        name for stage in told.get("stages", ()) for name in stage if name[0] == "$" and name != "$cursor"
    )


def _named(told: Any, name: str) -> Iterator[Mapping[str, Any]]:
    """The outermost members called ``name``."""
    for each in _parts(told):
        if name in each:
            yield each[name]
        else:
            for part in each.values():
                yield from _named(part, name)


def _stages(plan: Any) -> Iterator[Mapping[str, Any]]:
    """``plan`` and what it is fed by."""
    for each in _parts(plan):
        if "stage" in each:
            yield each
        for name, part in each.items():
            if name != "indexBounds":
                yield from _stages(part)


def _parts(told: Any) -> Sequence[dict[str, Any]]:
    """The documents that ``told`` consists of: itself, or its items."""
    items = told if isinstance(told, list) else [told]
    return [
        {name: part for name, part in each.items() if name not in _HIDDEN}
        for each in items
        if isinstance(each, dict)
    ]
