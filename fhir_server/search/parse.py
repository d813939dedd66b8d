"""The parameters of a URL or a form → ``Query``, every fault told at once.

GET and POST, conditional references, ``_include`` of a later page: whatever is a search comes through here,
with names and values already percent-decoded.
Source: FHIR R4 search.html.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, tzinfo
from difflib import get_close_matches
from typing import Any

from fhir_server.errors import InvalidSearch, Issue
from fhir_server.search.clauses import Clause, Query
from fhir_server.search.control import ControlError, Controls
from fhir_server.search.registry import Registry, SearchParameter
from fhir_server.search.remembered import is_lasting
from fhir_server.search.types import composite
from fhir_server.search.types.base import Reading
from fhir_server.search.types.escapes import split
from fhir_server.search.types.simple import SIMPLE

LATER_PARAMETERS = frozenset(
    {"_text", "_content", "_filter", "_query", "_list", "_has", "_type", "_contained", "_containedType"}
)
LATER_MODIFIERS = frozenset(
    {"text", "in", "not-in", "above", "below", "of-type", "ofType", "identifier", "iterate"}
)
TRUTH = {"true": True, "false": False}


def parse_query(
    registry: Registry,
    type: str,
    pairs: Sequence[tuple[str, str]],
    *,
    lenient: bool = False,
    zone: tzinfo,
    base_url: str | None = None,
    now: datetime | None = None,
) -> Query:
    """The search of ``type`` that ``pairs`` ask for.

    ``zone`` is that of dates without one, ``base_url`` this server's address, ``now`` what ``ap`` measures
    dates from (None: the clock). Raises InvalidSearch with an issue for every fault. ``lenient`` leaves out
    parameters that are unknown or not supported, and lists them in ``ignored``; a wrong modifier or value is a
    fault all the same, because without it the answer would say something else than was asked.
    """
    key = (type, tuple(pairs), lenient, zone, base_url)
    query = registry.remembered.recall(key)
    if query is None:
        moment = time.time() if now is None else now.timestamp()
        reading = Reading(registry.definitions, zone, base_url, int(moment * 1_000_000))
        query = _parse(registry, type, pairs, reading, lenient)
        if is_lasting(pairs):
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
    clauses: list[Clause] = field(default_factory=list)
    issues: list[Issue] = field(default_factory=list)
    applied: list[tuple[str, str]] = field(default_factory=list)
    ignored: list[tuple[str, str]] = field(default_factory=list)
    controls: Controls = field(init=False)

    def __post_init__(self) -> None:
        self.controls = Controls(self.registry, self.type)

    def query(self) -> Query:
        """The finished query. Raises InvalidSearch when anything was wrong."""
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
        code, _, modifier = name.partition(":")
        try:
            if self.controls.knows(code):
                self._control(code, modifier, value)
            else:
                self._criterion(name, code, modifier, value)
        except ControlError as error:
            self.issues.append(Issue("error", error.code, f"{name}: {error}", f"http.{name}"))
        except ValueError as error:
            self.issues.append(Issue("error", "invalid", f"{name}: {error}", f"http.{name}"))

    def _control(self, code: str, modifier: str, value: str) -> None:
        effective = self.controls.take(code, modifier, value)
        if effective is not None:
            self.applied.append((code, effective))

    # ── criteria ──────────────────────────────────────────────────────────────

    def _criterion(self, name: str, code: str, modifier: str, value: str) -> None:
        parameter = self.registry.parameters(self.type).get(code)
        if parameter is None or "." in modifier:
            self._unknown(name, code, value)
            return
        self.clauses.append(self._clause(parameter, modifier, value))
        self.applied.append((name, value))

    def _unknown(self, name: str, code: str, value: str) -> None:
        known = self.registry.parameters(self.type)
        if self.lenient:
            self.ignored.append((name, value))
        elif code in LATER_PARAMETERS:
            raise ControlError(f"the parameter {code} is not supported")
        elif "." in name and code.partition(".")[0] in known:
            raise ControlError("a chain through another resource is not supported")
        else:
            raise ControlError(_unknown_text(self.type, code, known))

    def _clause(self, parameter: SearchParameter, modifier: str, value: str) -> Clause:
        if modifier == "missing" and parameter.column is None:
            return Clause(parameter, "missing", (_truth(value),))
        narrowed = self._modified(parameter, modifier)
        texts = split(value, ",")
        if "" in texts:
            raise ValueError("a value is missing; leave the parameter out, or ask for :missing=true")
        values = tuple(self._value(narrowed, text) for text in texts)
        is_type = narrowed is not parameter
        return Clause(parameter, None if is_type else modifier or None, values)

    def _value(self, parameter: SearchParameter, text: str) -> Any:
        if parameter.kind == "composite":
            return composite.parse(parameter, text, self.reading)
        return SIMPLE[parameter.kind].parse(parameter, text, self.reading)

    # ── modifiers ─────────────────────────────────────────────────────────────

    def _modified(self, parameter: SearchParameter, modifier: str) -> SearchParameter:
        """The parameter as its values are to be read. Raises ControlError for a modifier it does not have."""
        if not modifier or modifier in self._modifiers(parameter):
            return parameter
        if parameter.kind == "reference" and modifier in self.registry.definitions.resource_types:
            return _narrowed(parameter, modifier)
        raise ControlError(*self._refusal(parameter, modifier))

    def _modifiers(self, parameter: SearchParameter) -> frozenset[str]:
        if parameter.column or parameter.kind == "composite":
            return frozenset()
        return SIMPLE[parameter.kind].modifiers

    def _refusal(self, parameter: SearchParameter, modifier: str) -> tuple[str, str]:
        if modifier in LATER_MODIFIERS:
            return f"the modifier :{modifier} is not supported", "not-supported"
        names = [] if parameter.column else ["missing", *sorted(self._modifiers(parameter))]
        names += ["[type]"] if parameter.kind == "reference" else []
        allowed = ", ".join(f":{name}" for name in names) or "none"
        return f"a {parameter.kind} parameter has no modifier :{modifier}; allowed: {allowed}", "invalid"


def _narrowed(parameter: SearchParameter, type: str) -> SearchParameter:
    if parameter.targets and type not in parameter.targets:
        raise ControlError(f"it refers to {', '.join(parameter.targets)}, not to {type}", "invalid")
    return replace(parameter, targets=(type,))


def _truth(value: str) -> bool:
    if value not in TRUTH:
        raise ValueError(":missing is true or false")
    return TRUTH[value]


def _unknown_text(type: str, code: str, known: Mapping[str, SearchParameter]) -> str:
    near = get_close_matches(code, known, n=1)
    hint = f"did you mean {near[0]}?" if near else "those it has are in the CapabilityStatement at metadata"
    return f"{type} has no search parameter {code or '(without a name)'}; {hint}"
