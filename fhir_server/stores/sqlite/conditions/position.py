"""``near``: a box first, then the distance on the sphere.

Source: FHIR R4 location.html#positional.
"""

from __future__ import annotations

from math import degrees
from typing import Final

from fhir_server.search.query import Clause, NearValue
from fhir_server.search.types.special import EARTH
from fhir_server.stores.sqlite.conditions.parts import Arm, Condition, Probe, Scope, Values, any_of

_BOX: Final = (
    "{0}.key = ? AND {0}.latitude >= ? AND {0}.latitude <= ? "
    "AND kilometres({0}.latitude, {0}.longitude, ?, ?) <= ?"
)


def compile(scope: Scope, clause: Clause) -> Condition:
    """Positions within the circle of a value."""
    bound = [_values(key, value) for key in clause.parameter.keys for value in clause.values]
    arms = tuple(Arm("position t", _BOX.format("t"), values, ordered=False, unique=False) for values in bound)
    inside = f"t.rid IN (SELECT rid FROM position p WHERE {_BOX.format('p')})"  # noqa: S608
    return Condition(arms, any_of([Probe(inside, values) for values in bound]))


def _values(key: int, value: NearValue) -> Values:
    reach = degrees(value.kilometres / EARTH)
    latitude, longitude = value.latitude, value.longitude
    return key, latitude - reach, latitude + reach, latitude, longitude, value.kilometres
