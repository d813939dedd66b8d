"""``_sort``: what a resource is sorted by, and where the next page begins.

Ascending goes by the least value of a resource, descending by the greatest; a resource without a value comes
last either way. Equal ones are told apart by (date, rid), in the direction of the first key. Which value of each kind
counts, ``search.sorting`` says.
Source: FHIR R4 search.html#sort.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from fhir_server.errors import InvalidSearch
from fhir_server.search.query import SortKey
from fhir_server.stores.sqlite.conditions import absence
from fhir_server.stores.sqlite.conditions.parts import Arm, Condition, Probe, Scope, Values
from fhir_server.stores.sqlite.sort_values import describe

DIRECTION: Final = {False: "ASC", True: "DESC"}
_EDGES: Final = {False: "IN (1, 3)", True: "IN (2, 3)"}
_CHOICE: Final = {False: "min", True: "max"}
_BEFORE: Final = {False: "<", True: ">"}


class Kept(NamedTuple):
    """Where the values of a kind of parameter are: table, column, and the classes of width before the column."""

    table: str
    column: str
    spans: tuple[int, ...] = ()


TERMS: Final = frozenset({"token", "reference", "uri"})
"""Kinds that are kept in ``term``: in order, but not by resource."""

KEPT: Final = {
    "string": Kept("string", "text"),
    "date": Kept("period", "low", (0, 1, 2)),
    "number": Kept("number", "low", (0, 1)),
    "quantity": Kept("number", "low", (0, 1)),
}
COLUMNS: Final = {"id": "resource_id", "updated": "resource_updated"}
"""``SearchParameter.column`` → the index that has it in order."""


class Term(NamedTuple):
    """One expression of an ORDER BY, and its value in the last row of the page before."""

    expression: str
    values: Values
    descending: bool
    position: Any = None


class SortColumn(NamedTuple):
    """One key of ``_sort``: SQL for a resource's value (None: it has none), and the rows in order of the value.

    ``missing`` is true of a resource that has no value, ``counts`` of a row that is the one of its resource which
    counts. ``is_costly``: the value is taken from the content.
    """

    descending: bool
    value: str
    values: Values
    walked: str
    arms: tuple[Arm, ...]
    missing: Probe
    counts: Probe = Probe("1", ())
    is_costly: bool = False


def sort_column(scope: Scope, key: SortKey) -> SortColumn:
    """How to sort the type of ``scope`` by ``key``. Raises InvalidSearch for a kind that has no order."""
    parameter = key.parameter
    if parameter.column in COLUMNS:
        return _of_resource(scope.tid, str(parameter.column), key.descending)
    if parameter.kind in TERMS:
        return _of_terms(scope, key)
    if parameter.column or parameter.kind not in KEPT:
        raise InvalidSearch(
            f"sorting by {parameter.code}, a {parameter.kind} parameter, is not supported",
            code="not-supported",
            expression="http._sort",
        )
    return _of_values(KEPT[parameter.kind], parameter.keys, key.descending)


def after(terms: Sequence[Term], last: Probe) -> Probe:
    """True of a row that comes after the positions of ``terms``, or has them and passes ``last``."""
    if not terms:
        return last
    term, rest = terms[0], after(terms[1:], last)
    expression, values, position = term.expression, term.values, term.position
    if position is None:
        return Probe(f"({expression} IS NULL AND {rest.where})", values + rest.values)
    sign = "<" if term.descending else ">"
    where = f"({expression} {sign} ? OR {expression} IS NULL OR ({expression} = ? AND {rest.where}))"
    return Probe(where, (*values, position, *values, *values, position, *rest.values))


def _of_resource(tid: int, column: str, descending: bool) -> SortColumn:
    where = "t.tid = ? AND t.method > 0"
    arm = Arm(f"resource t INDEXED BY {COLUMNS[column]}", where, (tid,), ordered=False, unique=True)
    value = f"(SELECT p.{column} FROM resource p WHERE p.rid = t.rid)"  # noqa: S608
    return SortColumn(descending, value, (), f"t.{column}", (arm,), Probe("0", ()))


def _of_terms(scope: Scope, key: SortKey) -> SortColumn:
    """Rows in order come from ``term``; which of a resource's rows counts, its content says."""
    parameter, described = key.parameter, (describe(key),)
    value = "(SELECT sort_value(p.content, ?) FROM resource p WHERE p.rid = t.rid)"
    shared = parameter.target or parameter.system
    own: Values = () if shared is None else (scope.number(shared),)
    arms = tuple(
        Arm(
            "term t",
            f"t.key = ?{' AND t.extra = ?' if own else ''}",
            (each, *own),
            ordered=False,
            unique=False,
        )
        for each in parameter.keys
    )
    keys = ", ".join("?" * len(parameter.keys))
    first = (
        f"NOT EXISTS (SELECT 1 FROM term p WHERE p.key IN ({keys}) AND p.text = t.text AND p.date = t.date "  # noqa: S608
        f"AND p.rid = t.rid AND (p.key, p.extra) < (t.key, t.extra){' AND p.extra = ?' if own else ''})"
    )
    counts = Probe(f"{first} AND t.text = {value}", (*parameter.keys, *own, *described))
    missing = absence.negated(Condition((), absence.present(scope, parameter))).probe
    return SortColumn(key.descending, value, described, "t.text", arms, missing, counts, is_costly=True)


def _of_values(kept: Kept, keys: tuple[int, ...], descending: bool) -> SortColumn:
    marks = ", ".join("?" * len(keys))
    rows = (
        f"FROM {kept.table} p INDEXED BY {kept.table}_of_resource "
        f"WHERE p.rid = t.rid AND p.key IN ({marks}) AND p.edge {_EDGES[descending]}"
    )
    value = f"(SELECT {_CHOICE[descending]}(p.{kept.column}) {rows})"
    where = f"t.key = ? AND t.edge {_EDGES[descending]}"
    better = f"(p.{kept.column}, p.key) {_BEFORE[descending]} (t.{kept.column}, t.key)"
    only: Values = ()
    if len(keys) > 1:
        where, only = f"{where} AND NOT EXISTS (SELECT 1 {rows} AND {better})", keys
    arms = [
        Arm(f"{kept.table} t", where + span, (key, *only), ordered=False, unique=False)
        for key in keys
        for span in [f" AND t.span = {number:d}" for number in kept.spans] or [""]
    ]
    missing = Probe(f"{value} IS NULL", keys)
    return SortColumn(descending, value, keys, f"t.{kept.column}", tuple(arms), missing)
