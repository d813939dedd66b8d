"""Ways to spoil an engine so that it errs in one kind of search only: it loses what has the id ``r1``, or the like."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import msgspec
from pytest import MonkeyPatch
from test_search_property import registry

from fhir_server.interactions import includes
from fhir_server.search.query import AnyOf, Chain, Clause, Criterion, Has, Not, SortKey
from fhir_server.search.types import fulltext
from fhir_server.search.types.token import OF_TYPE
from fhir_server.stores.mongo import compile as mongo_compile
from fhir_server.stores.mongo import pages as mongo_pages
from fhir_server.stores.mongo import past as mongo_past
from fhir_server.stores.mongo import relations as mongo_relations
from fhir_server.stores.mongo import search as mongo_search
from fhir_server.stores.mongo import sorting as mongo_sorting
from fhir_server.stores.mongo import totals as mongo_totals
from fhir_server.stores.mongo.conditions import parts as mongo_parts
from fhir_server.stores.mongo.store import MongoStore
from fhir_server.stores.sqlite import past, plan, reader, relations, search, totals
from fhir_server.stores.sqlite.conditions.parts import Probe, all_of
from fhir_server.stores.sqlite.store import SqliteStore

Spoil = Callable[[MonkeyPatch], None]
Wanted = Callable[[Criterion], bool]


@dataclass(frozen=True)
class Spoiling:
    """``spoil`` spoils an engine, and searches of ``kinds`` (see ``parity_aims``) notice it: in what it does in a large
    database when ``is_large``, in what it answers after writes and between them when ``by_writes``."""

    kinds: tuple[str, ...]
    spoil: Spoil
    is_large: bool = False
    by_writes: bool = False


# ── criteria ──────────────────────────────────────────────────────────────────


def _clause(test: Callable[[Clause], bool]) -> Wanted:
    return lambda criterion: isinstance(criterion, Clause) and test(criterion)


def _of_kind(kind: str) -> Wanted:
    return _clause(lambda clause: (clause.parameter.kind, clause.modifier) == (kind, None))


def _modified(modifier: str, value: bool | None = None) -> Wanted:
    return _clause(lambda clause: clause.modifier == modifier and value in (None, clause.values[0]))


def _is_nested(outer: type, inner: type) -> Wanted:
    """An ``inner`` relation decides an ``outer`` one; beside it may stand the way through what is contained."""

    def test(criterion: Criterion) -> bool:
        found = criterion.criterion if isinstance(criterion, Chain | Has) else None
        return isinstance(criterion, outer) and isinstance(
            found.criteria[0] if isinstance(found, AnyOf) else found, inner
        )

    return test


def _any_has(clause: Clause, name: str) -> bool:
    return any(getattr(value, name, None) for value in clause.values)


def _is_typed(clause: Clause) -> bool:
    return any(str(getattr(value, "system", "")).startswith(OF_TYPE) for value in clause.values)


def _is_logical(clause: Clause) -> bool:
    parameter = clause.parameter
    known = registry().parameters(parameter.type).get(parameter.code)
    return known is not None and (known.kind, parameter.kind) == ("reference", "token")


def _is_compartment(criterion: Criterion) -> bool:
    return isinstance(criterion, AnyOf) and all(map(_of_kind("reference"), criterion.criteria))


ORDERS = frozenset({"gt", "ge", "lt", "le"})
CRITERIA: Mapping[str, tuple[tuple[str, ...], Wanted]] = {
    "chain": (("chain",), lambda criterion: isinstance(criterion, Chain)),
    "chain of chains": (("long chain",), _is_nested(Chain, Chain)),
    "chain to _has": (("sibling",), _is_nested(Chain, Has)),
    "_has": (("has",), lambda criterion: isinstance(criterion, Has) and criterion.type != "List"),
    "_has of _has": (("long has",), _is_nested(Has, Has)),
    "_list": (("list",), lambda criterion: isinstance(criterion, Has) and criterion.type == "List"),
    "compartment": (("compartment",), _is_compartment),
    "or": (("filter either",), lambda criterion: isinstance(criterion, AnyOf)),
    "not of _filter": (("filter not",), lambda criterion: isinstance(criterion, Not)),
    "chain of _filter": (("filter along",), lambda criterion: isinstance(criterion, Chain)),
    "ne of _filter": (("filter other",), _modified("differs")),
    "ew of _filter": (("filter ends",), _modified("ends")),
    "order of _filter": (("filter order",), _clause(lambda clause: clause.modifier in ORDERS)),
    "token": (("token",), _of_kind("token")),
    "reference": (("reference",), _of_kind("reference")),
    "string": (("string",), _of_kind("string")),
    "date": (("date",), _of_kind("date")),
    "quantity": (("quantity",), _of_kind("quantity")),
    "converted quantity": (("quantity",), _clause(lambda clause: _any_has(clause, "others"))),
    "composite": (("composite",), _of_kind("composite")),
    "uri": (("uri",), _of_kind("uri")),
    "near": (("near",), _of_kind("special")),
    "several values": (("several",), _clause(lambda clause: len(clause.values) > 1)),
    ":contains": (("contains",), _modified("contains")),
    ":exact": (("exact",), _modified("exact")),
    ":below": (("below",), _modified("below")),
    ":not": (("not",), _modified("not")),
    ":missing=true": (("missing",), _modified("missing", True)),
    ":missing=false": (("present",), _modified("missing", False)),
    ":of-type": (("of-type",), _clause(_is_typed)),
    ":identifier": (("identifier",), _clause(_is_logical)),
    "words": (("words",), _modified(fulltext.MODIFIER)),
    "_lastUpdated": (("updated",), _clause(lambda clause: clause.parameter.column == "updated")),
}
"""What is asked → the kinds of searches that ask it, and whether a criterion does."""

WITHOUT = Probe("t.rid NOT IN (SELECT rid FROM resource WHERE id = 'r1')", ())


def _in_sqlite(wanted: Wanted) -> Spoil:
    """SQLite loses r1 where ``wanted``."""
    whole = plan.compile_criterion

    def compiled(scope: Any, criterion: Criterion) -> Any:
        found = whole(scope, criterion)
        if not wanted(criterion) or found is relations.NOTHING:
            return found
        arms = [plan._tested(arm, [WITHOUT]) for arm in found.arms]
        return found._replace(arms=arms, probe=all_of([found.probe, WITHOUT]))

    return lambda patch: patch.setattr(plan, "compile_criterion", compiled)


def _in_mongo(wanted: Wanted) -> Spoil:
    """MongoDB loses r1 where ``wanted``."""
    whole = mongo_compile.compile_criterion

    async def compiled(scope: Any, criterion: Criterion) -> Any:
        found = await whole(scope, criterion)
        if not wanted(criterion):
            return found
        return mongo_parts.all_of([found, mongo_parts.Test({"i": {"$ne": "r1"}})])

    return lambda patch: patch.setattr(mongo_compile, "compile_criterion", compiled)


# ── anything else ─────────────────────────────────────────────────────────────


def _changed(place: Any, name: str, change: Callable[[Any], Any]) -> Spoil:
    """``place.name`` returns what ``change`` makes of it."""
    whole = getattr(place, name)
    return lambda patch: patch.setattr(place, name, lambda *given, **named: change(whole(*given, **named)))


def _changed_later(place: Any, name: str, change: Callable[..., Any]) -> Spoil:
    """What is awaited of ``place.name`` is what ``change`` makes of it and of the arguments."""
    whole = getattr(place, name)

    async def called(*given: Any, **named: Any) -> Any:
        return change(await whole(*given, **named), *given)

    return lambda patch: patch.setattr(place, name, called)


def _asked(place: Any, name: str, change: Callable[..., tuple[Any, ...]], **renamed: Any) -> Spoil:
    """``place.name`` is given what ``change`` makes of its arguments."""
    whole = getattr(place, name)
    return lambda patch: patch.setattr(
        place, name, lambda *given, **named: whole(*change(*given), **{**named, **renamed})
    )


def _turned(sort: tuple[SortKey, ...]) -> tuple[SortKey, ...]:
    """The last of several keys goes the other way."""
    if len(sort) < 2:
        return sort
    return (*sort[:-1], replace(sort[-1], descending=not sort[-1].descending))


def _all_but_last(found: Any, *given: Any) -> Any:
    return found[:-1]


def _lose_pointing(page: Any, store: Any, query: Any) -> Any:
    """The last of what is looked up to come along."""
    return msgspec.structs.replace(page, records=page.records[:-1]) if query.count == includes.STEP else page


def _lose_iterated(store: type) -> Spoil:
    """The last of what the second step of an inclusion finds."""

    def changed(found: list[Any], inclusion: Any, asked: Any, records: Any) -> list[Any]:
        is_second = isinstance(inclusion._server.store, store) and all(each.iterate for each in asked)
        return found[:-1] if is_second else found

    return _changed_later(includes._Inclusion, "step", changed)


def _limited(store: Any, limit: str, change: Callable[[Any], Any]) -> Spoil:
    """A history is asked for with another ``limit``."""
    whole = store.history

    async def history(self: Any, *given: Any, **named: Any) -> Any:
        if named.get(limit) is not None:
            named[limit] = change(named[limit])
        return await whole(self, *given, **named)

    return lambda patch: patch.setattr(store, "history", history)


def _in_both(store: type) -> dict[str, Spoiling]:
    """What goes by the port."""
    return {
        "_include": Spoiling(("include",), _changed_later(store, "read_many", _all_but_last)),
        "_include:iterate": Spoiling(("include",), _lose_iterated(store)),
        "_revinclude": Spoiling(("revinclude",), _changed_later(store, "search", _lose_pointing)),
        "$everything": Spoiling(
            ("everything",),
            _changed_later(
                store,
                "referring",
                lambda found, *_: msgspec.structs.replace(found, versions=found.versions[1:]),
            ),
        ),
        "_since": Spoiling(("history", "history again"), _limited(store, "since", lambda since: since + 1)),
        "_at": Spoiling(("history", "history again"), _limited(store, "at", lambda at: (at[0], at[0]))),
    }


SQLITE: Mapping[str, Spoiling] = {
    **{name: Spoiling(kinds, _in_sqlite(wanted)) for name, (kinds, wanted) in CRITERIA.items()},
    **_in_both(SqliteStore),
    "chains, one by one": Spoiling(
        ("chain",),
        _changed(relations, "_along_own_references", lambda probe: all_of([probe, WITHOUT])),
        is_large=True,
    ),
    "_has, one by one": Spoiling(
        ("has",),
        _changed(relations, "_along_references_to_it", lambda probe: all_of([probe, WITHOUT])),
        is_large=True,
    ),
    "second sort key": Spoiling(
        ("sort",), _asked(search, "Sorting", lambda plan, sort: (plan, _turned(sort)))
    ),
    "second sort key, walked": Spoiling(
        ("sort",), _asked(search, "Sorting", lambda plan, sort: (plan, _turned(sort))), is_large=True
    ),
    "total": Spoiling(("total",), _changed(search.Search, "total", lambda total: total - (total > 1))),
    "several types": Spoiling(
        ("types",), _changed(reader, "merged_page", lambda page: page._replace(rows=page.rows[:-1]))
    ),
    "what was changed between pages": Spoiling(
        ("sort", "types"), _changed(past.Past, "matching", lambda found: ()), by_writes=True
    ),
    "totals of before": Spoiling(("total",), _changed(totals, "stamp_of", lambda stamp: ()), by_writes=True),
}
"""What SQLite does wrong → how."""


def _without(test: mongo_parts.Test) -> mongo_parts.Test:
    return test._replace(where={"$and": [test.where, {"i": {"$ne": "r1"}}]})


MONGO: Mapping[str, Spoiling] = {
    **{name: Spoiling(kinds, _in_mongo(wanted)) for name, (kinds, wanted) in CRITERIA.items()},
    **_in_both(MongoStore),
    "chains, one by one": Spoiling(
        ("chain",), _changed(mongo_relations, "_along_own_references", _without), is_large=True
    ),
    "_has, one by one": Spoiling(
        ("has",), _changed(mongo_relations, "_along_references_to_it", _without), is_large=True
    ),
    "words, one by one": Spoiling(
        ("words",),
        _changed_later(mongo_compile, "compile_words", lambda test, *_: _without(test)),
        is_large=True,
    ),
    "second sort key": Spoiling(
        ("sort",),
        _asked(
            mongo_sorting, "_computed", lambda view, plan, sort, *rest: (view, plan, _turned(sort), *rest)
        ),
    ),
    "later pages of an order": Spoiling(
        ("sort",),
        _changed_later(
            mongo_pages,
            "rows_of",
            lambda rows, view, plan, sort, position, limit: rows[1:] if sort and position else rows,
        ),
    ),
    "total": Spoiling(
        ("total",), _changed_later(mongo_totals, "_count", lambda total, *_: total - (total > 1))
    ),
    "several types": Spoiling(
        ("types",),
        _changed_later(
            mongo_search,
            "first_rows",
            lambda rows, view, parts: rows[1:] if len(parts) > 1 else rows,
        ),
    ),
    "what was changed between pages": Spoiling(
        ("sort", "types"), _changed_later(mongo_past.Past, "matching", lambda *_: ()), by_writes=True
    ),
    "totals of before": Spoiling(
        ("total",), _changed_later(mongo_totals, "_stamp", lambda *_: ()), by_writes=True
    ),
}
"""The same of MongoDB."""
