"""A page in the order of a query.

Without ``_sort``, by ``_id`` and by ``_lastUpdated`` an index may have the order. Otherwise the values of the sort keys
are computed for all that matches, and MongoDB keeps the best of them. What has no value comes last either way; equal
ones are told apart by (date, number), in the direction of the first key.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from fhir_server.search.query import SortKey
from fhir_server.stores.mongo.conditions.parts import Filter, all_filter
from fhir_server.stores.mongo.connection import Document
from fhir_server.stores.mongo.fields import AFTER
from fhir_server.stores.mongo.order import sort_expression
from fhir_server.stores.mongo.plan import Plan
from fhir_server.stores.mongo.reader import RECORD
from fhir_server.stores.mongo.view import View

Row = tuple[Any, ...]
"""A document with the fields of RECORD, the values of the sort keys, its date and its number."""

FIELDS: Final[Mapping[str, Any]] = {**RECORD, "d": 1, "n": 1}


async def rows_of(
    view: View, plan: Plan, sort: Sequence[SortKey], position: Sequence[Any] | None, limit: int
) -> list[Row]:
    """At most ``limit`` rows after ``position`` (the last columns of a row; None: from the beginning), in order."""
    if not sort:
        return await _in_default_order(view, plan, position, limit)
    if len(sort) == 1 and sort[0].parameter.column:
        return await _by_column(view, plan, sort[0], position, limit)
    return await _computed(view, plan, sort, position, limit)


async def _in_default_order(view: View, plan: Plan, position: Sequence[Any] | None, limit: int) -> list[Row]:
    if position is not None:
        plan = plan._replace(first=all_filter([plan.first, *_beyond(position, down=True)]))
    found = await plan.find(view, FIELDS, sort={"d": -1, "n": -1}, limit=limit)
    return [(each, each["d"], each["n"]) for each in found]


def _beyond(position: Sequence[Any], *, down: bool) -> list[Filter]:
    """What comes after the date and number of ``position``; the first part bounds an index."""
    date, number = position
    sign = "$lt" if down else "$gt"
    return [{"d": {f"{sign}e": date}}, {"$or": [{"d": {sign: date}}, {"n": {sign: number}}]}]


async def _by_column(
    view: View, plan: Plan, key: SortKey, position: Sequence[Any] | None, limit: int
) -> list[Row]:
    """Sorted by the id alone or by ``updated``."""
    way = -1 if key.descending else 1
    if key.parameter.column == "id":
        bound: Filter = {"_id": {"$gte": f"{plan.type}/", "$lt": f"{plan.type}/{AFTER}"}}
        order, field = {"_id": way}, "i"
    else:
        bound, field = {"t": plan.type}, "u"
        order = {"u": way, "d": way, "n": way}
    filters = [plan.first, bound]
    if position is not None:
        filters += _after_column(plan.type, field, position, down=key.descending)
    found = await plan._replace(first=all_filter(filters)).find(view, FIELDS, sort=order, limit=limit)
    return [(each, each[field], each["d"], each["n"]) for each in found]


def _after_column(type: str, field: str, position: Sequence[Any], *, down: bool) -> list[Filter]:
    """A resource of another type may have the same id, or the same moment."""
    sign = "$lt" if down else "$gt"
    value, date, number = position
    if field == "i":
        field, value = "_id", f"{type}/{value}"
    later = [{field: {sign: value}}, {"d": {sign: date}}, {"d": date, "n": {sign: number}}]
    return [{field: {f"{sign}e": value}}, {"$or": later}]


# ── computed ──────────────────────────────────────────────────────────────────


async def _computed(
    view: View, plan: Plan, sort: Sequence[SortKey], position: Sequence[Any] | None, limit: int
) -> list[Row]:
    names = [f"k{place}" for place in range(len(sort))]
    values = {name: {"$ifNull": [sort_expression(key), None]} for name, key in zip(names, sort, strict=True)}
    missing = {f"m{name}": {"$eq": [f"${name}", None]} for name in names}
    pipeline = [*plan.pipeline, {"$project": {**FIELDS, **values}}]
    if position is not None:
        pipeline.append({"$match": _after(sort, names, position)})
    pipeline += [{"$set": missing}, {"$sort": _order(sort, names)}, {"$limit": limit}]
    found = await view.aggregate("resource", pipeline)
    return [_row(each, names) for each in found]


def _order(sort: Sequence[SortKey], names: Sequence[str]) -> dict[str, int]:
    order: dict[str, int] = {}
    for name, key in zip(names, sort, strict=True):
        order.update({f"m{name}": 1, name: -1 if key.descending else 1})
    way = -1 if sort[0].descending else 1
    return {**order, "d": way, "n": way}


def _after(sort: Sequence[SortKey], names: Sequence[str], position: Sequence[Any]) -> Filter:
    """What comes after ``position``."""
    *values, date, number = position
    sign = "$lt" if sort[0].descending else "$gt"
    last: Filter = {"$or": [{"d": {sign: date}}, {"d": date, "n": {sign: number}}]}
    for name, key, value in reversed(list(zip(names, sort, values, strict=True))):
        if value is None:
            last = {"$and": [{name: None}, last]}
        else:
            beyond = {name: {"$lt" if key.descending else "$gt": value}}
            last = {"$or": [beyond, {name: None}, {"$and": [{name: value}, last]}]}
    return last


def _row(found: Document, names: Sequence[str]) -> Row:
    return (found, *(found[name] for name in names), found["d"], found["n"])
