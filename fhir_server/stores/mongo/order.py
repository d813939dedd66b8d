"""What a document is sorted by: expressions that compute the values of sort keys from its index fields.

Which value of each kind counts, ``search.sorting`` says.
Source: FHIR R4 search.html#sort; MongoDB manual, aggregation operators.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from fhir_server.errors import InvalidSearch
from fhir_server.search.parameters import SearchParameter
from fhir_server.search.query import SortKey
from fhir_server.search.sorting import EDGES
from fhir_server.stores.mongo.fields import AFTER, arm, system_stem

Expression = Any

COLUMNS: Final[Mapping[str, str]] = {"id": "$i", "updated": "$u"}
"""``SearchParameter.column`` → the field that has it."""
_CHOICE: Final = {False: "$min", True: "$max"}
_ITEM: Final = "$$this"


def sort_expression(key: SortKey) -> Expression:
    """The value of a document under ``key``, null when it has none. Raises InvalidSearch for what has no order."""
    parameter = key.parameter
    if parameter.column in COLUMNS:
        return COLUMNS[str(parameter.column)]
    values = _VALUES.get(parameter.kind)
    if parameter.column or values is None:
        raise InvalidSearch(
            f"sorting by {parameter.code}, a {parameter.kind} parameter, is not supported",
            code="not-supported",
            expression="http._sort",
        )
    return {_CHOICE[key.descending]: values(parameter, key.descending)}


def _edges(field: str) -> Callable[[SearchParameter, bool], Expression]:
    """Of the items of ``field`` those that are an edge of their arm: where they begin."""

    def values(parameter: SearchParameter, descending: bool) -> Expression:
        counts = [
            {"$in": [f"{_ITEM}.k", list(parameter.keys)]},
            {"$in": [f"{_ITEM}.o", list(EDGES[descending])]},
        ]
        return _mapped(f"${field}", {"$and": counts}, f"{_ITEM}.l")

    return values


def _strings(parameter: SearchParameter, descending: bool) -> Expression:
    """Texts as they are written, without pinyin."""
    stems = [arm(key) for key in parameter.keys]
    written = {"$gt": [{"$indexOfBytes": [_ITEM, "\n="]}, 0]}
    return _mapped("$x", {"$and": [_begins(stems), written]}, _rest(_line(0), len(stems[0])))


def _tokens(parameter: SearchParameter, descending: bool) -> Expression:
    """Codes, whatever their system unless the parameter is restricted to one."""
    if parameter.system is None:
        stems = [f"{arm(key)}:" for key in parameter.keys]
    else:
        stems = [system_stem(key, parameter.system) for key in parameter.keys]
    return _mapped("$k", _begins(stems), _rest(_ITEM, len(stems[0].encode())))


def _references(parameter: SearchParameter, descending: bool) -> Expression:
    """Ids and URLs."""
    stems = [f"{arm(key)}@" for key in parameter.keys]
    counts = [_begins(stems)]
    if parameter.target is not None:
        counts.append({"$eq": [_line(1), parameter.target]})
    return _mapped("$k", {"$and": counts}, _rest(_line(0), len(stems[0])))


def _mapped(field: str, counts: Expression, value: Expression) -> Expression:
    items = {"$filter": {"input": {"$ifNull": [field, []]}, "cond": counts}}
    return {"$map": {"input": items, "in": value}}


def _begins(stems: list[str]) -> Expression:
    """``$$this`` begins with one of ``stems``."""
    return {"$or": [{"$and": [{"$gte": [_ITEM, stem]}, {"$lt": [_ITEM, stem + AFTER]}]} for stem in stems]}


def _line(number: int) -> Expression:
    return {"$arrayElemAt": [{"$split": [_ITEM, "\n"]}, number]}


def _rest(text: Expression, start: int) -> Expression:
    return {"$substrBytes": [text, start, -1]}


_VALUES: Final[Mapping[str, Callable[[SearchParameter, bool], Expression]]] = {
    "date": _edges("e"),
    "number": _edges("q"),
    "quantity": _edges("q"),
    "string": _strings,
    "token": _tokens,
    "reference": _references,
    "uri": _tokens,
}
"""Kind of parameter → its values in a document, one of which counts."""
