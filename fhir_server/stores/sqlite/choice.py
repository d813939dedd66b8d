"""Which of several conditions drives, and which only test what it finds.

One condition finds candidates (its *arms*), the others test each of them with a probe of an exact key. A
condition that is known to be narrow drives at once; otherwise they are counted, but no further
than to FEW and then to MANY, so that no combination costs more than walking the type once.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import isqrt
from typing import Final

from fhir_server.stores.sqlite.conditions.parts import (
    GREATEST,
    LEAST,
    TOGETHER,
    Arm,
    Condition,
    Probe,
    Scope,
    Values,
    count_upto,
)

FEW: Final = 200
MANY: Final = 5_000
PAGE: Final = 50
"""Matches of a page, and how much dearer a test is than a row."""
_GREATEST: Final = "SELECT ifnull(max(rid), 0) FROM resource"


class Choice:
    """Conditions that a resource of one type must all satisfy, on one connection."""

    def __init__(self, scope: Scope, conditions: Sequence[Condition]) -> None:
        self.connection = scope.connection
        self.scope = scope
        self.conditions = conditions
        self._able = [condition for condition in conditions if condition.arms]
        if len(self._able) > 1:
            self._able.sort(key=_rank)

    @property
    def probes(self) -> list[Probe]:
        """The tests of all conditions."""
        return [condition.probe for condition in self.conditions]

    @property
    def is_settled(self) -> bool:
        """True when a narrow condition drives, whatever else there is and however much of it."""
        return bool(self._able) and _is_narrow(self._able[0])

    def in_order(self) -> tuple[Sequence[Arm], list[Probe]]:
        """What drives, and what tests, when a page in default order is wanted: arms in that order are worth more."""
        able = self._able
        if not able or _is_narrow(able[0]):
            return self._driven_by(able[0] if able else None)
        others = [each for each in able if not each.dense]
        if not others:
            bounded = any(each.earliest is not None and each.earliest > LEAST for each in able)
            return self._along_dates(None if bounded else self._smallest(FEW))
        if len(others) == 1 and _is_ordered(others[0]):
            return self._along_dates(others[0])
        smallest = self._smallest(self._most())
        if smallest is None:
            smallest = next((each for each in able if _is_ordered(each)), None)
        elif smallest.dense:
            smallest = None
        return self._along_dates(smallest)

    def complete(self) -> tuple[Sequence[Arm], list[Probe]]:
        """What drives, and what tests, when every match is wanted."""
        able = self._able
        if len(able) < 2 or _is_narrow(able[0]):
            return self._driven_by(able[0] if able else None)
        return self._driven_by(self._smallest(MANY) or able[0])

    def walk(self) -> Arm:
        """All of the type, newest first, as far as it can match."""
        return self._between(Arm("live t", "t.tid = ?", (self.scope.tid,), ordered=True, unique=True))

    def _along_dates(self, driver: Condition | None) -> tuple[Sequence[Arm], list[Probe]]:
        """As ``_driven_by``; arms in order of the date are followed only where the others can match."""
        arms, probes = self._driven_by(driver)
        if driver is None:
            return arms, probes
        return [self._between(arm) if arm.ordered else arm for arm in arms], probes

    def _between(self, arm: Arm) -> Arm:
        earliest = [each.earliest for each in self.conditions if each.earliest is not None]
        latest = [each.latest for each in self.conditions if each.latest is not None]
        where, values = arm.where, arm.values
        if earliest and max(earliest) > LEAST:
            where, values = f"{where} AND t.date >= ?", (*values, max(earliest))
        if latest and min(latest) < GREATEST:
            where, values = f"{where} AND t.date <= ?", (*values, min(latest))
        return arm._replace(where=where, values=values)

    def is_small(self, limit: int) -> bool:
        """True when there are certainly fewer matches than ``limit``."""
        sources: list[Sequence[Arm]] = [condition.arms for condition in self._able] or [[self.walk()]]
        return any(count_upto(self.connection, arms, limit) < limit for arms in sources)

    def _driven_by(self, driver: Condition | None) -> tuple[Sequence[Arm], list[Probe]]:
        probes = [condition.probe for condition in self.conditions if condition is not driver]
        return (driver.arms if driver else [self.walk()]), probes

    def _most(self) -> int:
        """So many rows cost as much to be sorted as it costs to find a page among all of the type, one by one."""
        greatest: int = self.connection.execute(_GREATEST).fetchone()[0]
        return min(MANY, max(FEW, isqrt(PAGE * greatest)))

    def _smallest(self, most: int) -> Condition | None:
        """The condition with the fewest rows; None when all have ``most``."""
        for limit in dict.fromkeys((FEW, most)):
            smallest, least = None, limit
            for condition in self._able:
                found = count_upto(self.connection, condition.arms, least)
                if found < least:
                    smallest, least = condition, found
            if smallest is not None:
                return smallest
        return None


def select(columns: str, arm: Arm, probes: Sequence[Probe], before: Values = ()) -> tuple[str, Values]:
    """The statement that tests what ``arm`` finds; ``before`` are the values that ``columns`` need."""
    where, values = arm.where, before + arm.values
    for probe in probes:
        where = f"{where} AND {probe.where}"
        values += probe.values
    return f"SELECT {columns} FROM {arm.table} WHERE {where}", values  # noqa: S608


def candidates(arms: Sequence[Arm], probes: Sequence[Probe]) -> tuple[str, Values]:
    """A SELECT of ``date`` and ``rid``, each resource once; an ORDER BY of both may follow."""
    if len(arms) == 1:
        choice = "" if arms[0].unique else "DISTINCT "
        return select(f"{choice}t.date AS date, t.rid AS rid", arms[0], probes)
    if len(arms) > TOGETHER:
        some = [candidates(arms[at : at + TOGETHER], probes) for at in range(0, len(arms), TOGETHER)]
        parts = [(f"SELECT date, rid FROM ({text})", values) for text, values in some]  # noqa: S608
    else:
        parts = [select("t.date AS date, t.rid AS rid", arm, probes) for arm in arms]
    text = " UNION ".join(text for text, _ in parts)
    return text, tuple(value for _, values in parts for value in values)


def _rank(condition: Condition) -> tuple[int, bool]:
    return condition.rank, not _is_ordered(condition)


def _is_narrow(condition: Condition) -> bool:
    return condition.rank < 2


def _is_ordered(condition: Condition) -> bool:
    return all(arm.ordered for arm in condition.arms)
