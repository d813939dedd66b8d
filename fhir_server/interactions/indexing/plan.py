"""From what is in force and what is complete to what is to be done."""

from __future__ import annotations

from collections.abc import Iterator

from fhir_server.interactions.indexing.jobs import PARAMETERS, Arms, Unit
from fhir_server.interactions.indexing.ledger import Ledger
from fhir_server.search.contained import contained_key, contained_type, with_inside


def plan(wanted: Arms, ledger: Ledger) -> list[Unit]:
    """The units for what is in force (``wanted``) and not complete, and for what is complete and not in force.

    What is no more in force is complete no more; what is being built and is no more in force is only removed.
    """
    _forget_unwanted(wanted, ledger)
    units: list[Unit] = []
    for type in sorted(wanted.keys() | ledger.complete.arms.keys()):
        goal, there = wanted.get(type, frozenset()), ledger.complete.of(type)
        build, drop = goal - there - _being_built(type, ledger), there - goal
        if build or drop:
            ledger.complete.remove(type, drop)
            units += units_of(type, build | drop, build)
    return units


def units_of(type: str, drop: frozenset[int], build: frozenset[int]) -> list[Unit]:
    """For resources of ``type``, and for those contained in others."""
    return [
        Unit(type, drop=with_inside(drop), build=with_inside(build)),
        Unit(contained_type(type), drop=_contained(drop), build=_contained(build)),
    ]


def _open_units(ledger: Ledger) -> Iterator[Unit]:
    for job in ledger.jobs:
        if job.reason == PARAMETERS:
            yield from (unit for unit in job.units if unit.is_open)


def _being_built(type: str, ledger: Ledger) -> frozenset[int]:
    return frozenset().union(*(unit.build for unit in _open_units(ledger) if unit.type == type))


def _forget_unwanted(wanted: Arms, ledger: Ledger) -> None:
    goals = {type: with_inside(keys) for type, keys in wanted.items()}
    goals |= {contained_type(type): _contained(keys) for type, keys in wanted.items()}
    for unit in _open_units(ledger):
        gone = unit.build - goals.get(unit.type, frozenset())
        if gone:
            unit.drop = gone if unit.dropped else unit.drop | gone
            unit.build, unit.dropped = unit.build - gone, False


def _contained(keys: frozenset[int]) -> frozenset[int]:
    return frozenset(map(contained_key, keys))
