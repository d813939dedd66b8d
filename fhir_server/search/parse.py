"""The parameters of a URL or a form → ``Query``, every fault told at once.

GET and POST, conditional references, ``_include`` of a later page: whatever is a search comes through here,
with names and values already percent-decoded.
Source: FHIR R4 search.html.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, tzinfo

from fhir_server.errors import InvalidSearch, Issue
from fhir_server.search.clauses import Criterion, Query
from fhir_server.search.compartments import Compartment, belongs
from fhir_server.search.control import Controls
from fhir_server.search.cost import MOST_CRITERIA, cost, require_few, require_modest
from fhir_server.search.criteria import Criteria
from fhir_server.search.faults import Refusal, Unknown
from fhir_server.search.lookups import Lookups
from fhir_server.search.registry import Registry
from fhir_server.search.remembered import is_lasting
from fhir_server.search.several import TYPE, named_types
from fhir_server.search.types.base import Reading


def parse_query(
    registry: Registry,
    type: str | None,
    pairs: Sequence[tuple[str, str]],
    *,
    compartment: Compartment | None = None,
    lenient: bool = False,
    zone: tzinfo,
    base_url: str | None = None,
    now: datetime | None = None,
    lookups: Lookups | None = None,
    stored: bool = False,
) -> Query:
    """The search of ``type`` (None: of the types that ``_type`` names, else of all) that ``pairs`` ask for, in
    ``compartment`` only when there is one.

    ``zone`` is that of dates without one, ``base_url`` this server's address, ``now`` what ``ap`` measures
    dates from (None: the clock), ``lookups`` what other resources say (None: what definitions and profiles say, and
    ``stored`` ones when they are fetched).
    Raises InvalidSearch with an issue for every fault, and NotFetched. ``lenient`` leaves out parameters that are
    unknown or not supported, and lists them in ``ignored``; a wrong modifier or value is a fault all the same,
    because without it the answer would say something else than was asked.
    """
    key = (type, compartment, tuple(pairs), lenient, zone, base_url)
    query = registry.remembered.recall(key)
    if query is None:
        require_few(pairs)
        moment = time.time() if now is None else now.timestamp()
        lookups = lookups or Lookups(registry.definitions.terminology(), stored=stored)
        reading = Reading(registry.definitions, zone, base_url, int(moment * 1_000_000), lookups)
        types = (type,) if type is not None else named_types(registry, pairs, compartment)
        parser = _Parser(registry, types, reading, lenient)
        if compartment is not None:
            parser.keep_to(compartment)
        for name, value in pairs:
            if type is None and name == TYPE:
                parser.applied.append((name, value))
            else:
                parser.take(name, value)
        query = parser.query()
        if is_lasting(pairs) and not lookups.used:
            registry.remembered.keep(key, query)
    return query


@dataclass(slots=True)
class _Parser:
    """One search on its way from pairs to a Query."""

    registry: Registry
    types: tuple[str, ...]
    reading: Reading
    lenient: bool
    clauses: dict[str, list[Criterion]] = field(init=False)
    issues: list[Issue] = field(default_factory=list)
    applied: list[tuple[str, str]] = field(default_factory=list)
    ignored: list[tuple[str, str]] = field(default_factory=list)
    spent: int = 0
    controls: Controls = field(init=False)
    criteria: Criteria = field(init=False)

    def __post_init__(self) -> None:
        self.clauses = {type: [] for type in self.types}
        self.controls = Controls(self.registry, self.types)
        self.criteria = Criteria(self.registry, self.reading)

    def keep_to(self, compartment: Compartment) -> None:
        """Ask for what is in ``compartment`` only."""
        for type, criteria in self.clauses.items():
            criteria.append(belongs(self.registry, compartment, type))

    def query(self) -> Query:
        """The finished query. Raises InvalidSearch when anything was wrong."""
        self.issues += self.controls.conflicts()
        if self.issues:
            raise InvalidSearch(issues=self.issues)
        settings, sorts = self.controls.settings, self.controls.sorts
        one = self.types[0]
        whole = Query(
            one,
            tuple(self.clauses[one]),
            sorts.get(one, ()),
            applied=tuple(self.applied),
            ignored=tuple(self.ignored),
            includes=tuple(self.controls.includes),
            **settings,
        )
        if len(self.types) == 1:
            return whole
        parts = tuple(
            Query(type, tuple(self.clauses[type]), sorts.get(type, ()), whole.count) for type in self.types
        )
        return replace(whole, type="", clauses=(), parts=parts)

    def take(self, name: str, value: str) -> None:
        """Read one pair; a fault becomes an issue."""
        try:
            if self.controls.knows(name.partition(":")[0]):
                self._control(name, value)
            else:
                self._criterion(name, value)
        except Refusal as error:
            if self.lenient and isinstance(error, Unknown):
                self.ignored.append((name, value))
            else:
                self.issues.append(Issue("error", error.code, f"{name}: {error}", f"http.{name}"))
        except ValueError as error:
            self.issues.append(Issue("error", "invalid", f"{name}: {error}", f"http.{name}"))

    def _control(self, name: str, value: str) -> None:
        code, _, modifier = name.partition(":")
        effective = self.controls.take(code, modifier, value)
        if effective is not None:
            self.applied.append((name, effective))

    def _criterion(self, name: str, value: str) -> None:
        """Read it for every type before it counts for any."""
        try:
            found = [self.criteria.criterion(type, name, value) for type in self.types]
        except Unknown as error:
            if len(self.types) == 1:
                raise
            raise Unknown(f"{error} (several types are searched by what all of them have)") from error
        self.spent += sum(map(cost, found))
        require_modest(self.spent)
        if len(self.clauses[self.types[0]]) >= MOST_CRITERIA:
            raise Refusal(f"a search has at most {MOST_CRITERIA} criteria", "too-costly")
        for type, criterion in zip(self.types, found, strict=True):
            self.clauses[type].append(criterion)
        self.applied.append((name, value))
