"""Special: ``Location.near``, a circle on the Earth.

Source: FHIR R4 location.html#search.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from fhir_server.search.index import PositionRow
from fhir_server.search.parameters import SearchParameter
from fhir_server.search.types.base import Emit, Reading, Rows
from fhir_server.search.types.escapes import split
from fhir_server.search.values import NearValue

EARTH = 6371.0088
"""Mean radius in kilometres."""
UNITS: Mapping[str, float] = {"km": 1.0, "m": 0.001, "[mi_us]": 1.609347219, "[mi_i]": 1.609344}
DISTANCE = 50.0
"""Kilometres when a search names no distance."""


def parse(parameter: SearchParameter, text: str, reading: Reading) -> NearValue:
    """``latitude|longitude[|distance[|unit]]``; without a unit kilometres, without a distance 50 km."""
    parts = split(text, "|")
    if parameter.code != "near" or not 2 <= len(parts) <= 4:
        raise ValueError("allowed is latitude|longitude|distance|unit, for example 30.27|120.15|10|km")
    unit = parts[3] if len(parts) > 3 and parts[3] else "km"
    if unit not in UNITS:
        raise ValueError(f"the unit {unit!r} is not known; allowed are {', '.join(UNITS)}")
    latitude, longitude = _degrees(parts[0], 90), _degrees(parts[1], 180)
    distance = _number(parts[2]) if len(parts) > 2 and parts[2] else DISTANCE
    if distance < 0:
        raise ValueError("a distance is not negative")
    return NearValue(latitude, longitude, distance * UNITS[unit])


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError as error:
        raise ValueError(f"{text[:40]!r} is not a number") from error
    if not math.isfinite(value):
        raise ValueError("a finite number is needed")
    return value


def _degrees(text: str, most: int) -> float:
    value = _number(text)
    if abs(value) > most:
        raise ValueError(f"degrees are between -{most} and {most}")
    return value


def _position(key: int) -> Emit:
    def emit(value: dict[str, Any], rows: Rows) -> None:
        if "latitude" in value and "longitude" in value:
            rows.positions.append(PositionRow(key, float(value["latitude"]), float(value["longitude"])))

    return emit


EMITTERS: Mapping[str, Callable[[int], Emit]] = {"BackboneElement": _position}


def kilometres(latitude: float, longitude: float, other_latitude: float, other_longitude: float) -> float:
    """The distance of two points in degrees along a great circle (haversine)."""
    here, there = math.radians(latitude), math.radians(other_latitude)
    rise, turn = (there - here) / 2, math.radians(other_longitude - longitude) / 2
    chord = math.sin(rise) ** 2 + math.cos(here) * math.cos(there) * math.sin(turn) ** 2
    return 2 * EARTH * math.asin(min(1.0, math.sqrt(chord)))


def admits(value: NearValue, modifier: str | None, row: PositionRow) -> bool:
    """Whether the row lies in the circle."""
    return kilometres(value.latitude, value.longitude, row.latitude, row.longitude) <= value.kilometres
