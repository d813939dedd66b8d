"""The parameters of a URL or a form → ``Query``, every fault told at once.

GET and POST, conditional references, ``_include`` of a later page: whatever is a search comes through here,
with names and values already percent-decoded.
Source: FHIR R4 search.html.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, tzinfo

from fhir_server.errors import InvalidSearch, Issue
from fhir_server.search.clauses import Criterion, Query
from fhir_server.search.control import Controls
from fhir_server.search.criteria import Criteria
from fhir_server.search.faults import Refusal, Unknown
from fhir_server.search.lookups import Lookups
from fhir_server.search.registry import Registry
from fhir_server.search.remembered import is_lasting
from fhir_server.search.types.base import Reading


def parse_query(
    registry: Registry,
    type: str,
    pairs: Sequence[tuple[str, str]],
    *,
    lenient: bool = False,
    zone: tzinfo,
    base_url: str | None = None,
    now: datetime | None = None,
    lookups: Lookups | None = None,
) -> Query:
    """The search of ``type`` that ``pairs`` ask for.

    ``zone`` is that of dates without one, ``base_url`` this server's address, ``now`` what ``ap`` measures
    dates from (None: the clock), ``lookups`` what other resources say (None: what definitions and profiles say).
    Raises InvalidSearch with an issue for every fault, and NotFetched. ``lenient`` leaves out parameters that are
    unknown or not supported, and lists them in ``ignored``; a wrong modifier or value is a fault all the same,
    because without it the answer would say something else than was asked.
    """
    key = (type, tuple(pairs), lenient, zone, base_url)
    query = registry.remembered.recall(key)
    if query is None:
        moment = time.time() if now is None else now.timestamp()
        lookups = lookups or Lookups(registry.definitions.terminology())
        reading = Reading(registry.definitions, zone, base_url, int(moment * 1_000_000), lookups)
        query = _parse(registry, type, pairs, reading, lenient)
        if is_lasting(pairs) and not lookups.used:
            registry.remembered.keep(key, query)
    return query


def _parse(
    registry: Registry, type: str, pairs: Sequence[tuple[str, str]], reading: Reading, lenient: bool
) -> Query:
    parser = _Parser(registry, type, reading, lenient)
    for name, value in pairs:
        parser.take(name, value)
    return parser.query()


@dataclass(slots=True)
class _Parser:
    """One search on its way from pairs to a Query."""

    registry: Registry
    type: str
    reading: Reading
    lenient: bool
    clauses: list[Criterion] = field(default_factory=list)
    issues: list[Issue] = field(default_factory=list)
    applied: list[tuple[str, str]] = field(default_factory=list)
    ignored: list[tuple[str, str]] = field(default_factory=list)
    controls: Controls = field(init=False)
    criteria: Criteria = field(init=False)

    def __post_init__(self) -> None:
        self.controls = Controls(self.registry, self.type)
        self.criteria = Criteria(self.registry, self.reading)

    def query(self) -> Query:
        """The finished query. Raises InvalidSearch when anything was wrong."""
        self.issues += self.controls.conflicts()
        if self.issues:
            raise InvalidSearch(issues=self.issues)
        settings = self.controls.settings
        return Query(
            self.type,
            tuple(self.clauses),
            applied=tuple(self.applied),
            ignored=tuple(self.ignored),
            includes=tuple(self.controls.includes),
            **settings,
        )

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
        self.clauses.append(self.criteria.criterion(self.type, name, value))
        self.applied.append((name, value))
