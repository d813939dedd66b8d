"""Which of several conditions drives, and which only test what it finds.

One condition finds candidates (its *arms*), the others test each of them with a probe of an exact key. A
condition that is known to be narrow drives at once; otherwise they are counted, but no further
than to FEW and then to MANY, so that no combination costs more than walking the type once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from fhir_server.stores.sqlite.conditions.parts import (
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
        if not able or _is_narrow(able[0]) or (len(able) == 1 and _is_ordered(able[0])):
            return self._driven_by(able[0] if able else None)
        smallest = self._smallest()
        if smallest is None:
            smallest = next((each for each in able if _is_ordered(each)), None)
        return self._driven_by(smallest)

    def complete(self) -> tuple[Sequence[Arm], list[Probe]]:
        """What drives, and what tests, when every match is wanted."""
        able = self._able
        if len(able) < 2 or _is_narrow(able[0]):
            return self._driven_by(able[0] if able else None)
        return self._driven_by(self._smallest() or able[0])

    def walk(self) -> Arm:
        """All of the type, newest first, from the first that can match."""
        latest = [condition.latest for condition in self.conditions if condition.latest is not None]
        if not latest:
            return Arm("live t", "t.tid = ?", (self.scope.tid,), ordered=True, unique=True)
        return Arm(
            "live t", "t.tid = ? AND t.date <= ?", (self.scope.tid, min(latest)), ordered=True, unique=True
        )

    def is_small(self, limit: int) -> bool:
        """True when there are certainly fewer matches than ``limit``."""
        sources: list[Sequence[Arm]] = [condition.arms for condition in self._able] or [[self.walk()]]
        return any(count_upto(self.connection, arms, limit) < limit for arms in sources)

    def _driven_by(self, driver: Condition | None) -> tuple[Sequence[Arm], list[Probe]]:
        probes = [condition.probe for condition in self.conditions if condition is not driver]
        return (driver.arms if driver else [self.walk()]), probes

    def _smallest(self) -> Condition | None:
        """The condition with the fewest rows; None when all have MANY."""
        for limit in (FEW, MANY):
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
