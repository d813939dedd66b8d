"""``near``: a band of latitudes first, then the distance on the sphere.

Source: FHIR R4 location.html#positional.
"""

from __future__ import annotations

from math import degrees
from typing import Any, Final

from fhir_server.search.query import Clause, NearValue
from fhir_server.search.types.special import EARTH
from fhir_server.stores.mongo.conditions.parts import Filter, Test, any_of
from fhir_server.stores.mongo.conditions.period import item_of

_PLACES: Final = {"$ifNull": ["$g", []]}


def compile(type: str, clause: Clause) -> Test:
    """Positions within the circle of a value."""
    return any_of([_inside(key, value) for key in clause.parameter.keys for value in clause.values])


def _inside(key: int, value: NearValue) -> Test:
    reach = degrees(value.kilometres / EARTH)
    band: Filter = {"y": {"$gte": value.latitude - reach, "$lte": value.latitude + reach}}
    near = [{"$eq": ["$$this.k", key]}, {"$lte": [_kilometres(value), value.kilometres]}]
    circle = {"$expr": {"$anyElementTrue": {"$map": {"input": _PLACES, "in": {"$and": near}}}}}
    return item_of(key, "g", band)._replace(where={"$and": [item_of(key, "g", band).where, circle]})


def _kilometres(value: NearValue) -> Any:
    """The distance of ``$$this`` along a great circle (haversine), as ``search.types.special`` has it."""
    here, there = _radians(value.latitude), _radians("$$this.y")
    rise = {"$divide": [{"$subtract": [there, here]}, 2]}
    turn = {"$divide": [_radians({"$subtract": ["$$this.x", value.longitude]}), 2]}
    across = {"$multiply": [{"$cos": here}, {"$cos": there}, _squared({"$sin": turn})]}
    chord = {"$add": [_squared({"$sin": rise}), across]}
    return {"$multiply": [2 * EARTH, {"$asin": {"$min": [1.0, {"$sqrt": chord}]}}]}


def _radians(angle: Any) -> Any:
    return {"$degreesToRadians": angle}


def _squared(number: Any) -> Any:
    return {"$pow": [number, 2]}
