"""``parameter operator value`` of ``_filter`` → a criterion: which operators a parameter type has, and what each means.

``eq`` of a string is the whole text, ``ne`` means that some value differs. What R4's table leaves open for a type (a
``uri``, ``eq`` of a reference) is the search without a modifier.
Source: FHIR R4 search_filter.html#ops.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

from fhir_server.search.clauses import Clause, Criterion, Not
from fhir_server.search.faults import Refusal
from fhir_server.search.modifiers import MODIFIERS, missing, parse_value
from fhir_server.search.parameters import SearchParameter
from fhir_server.search.types import date, string
from fhir_server.search.types.base import PREFIXES, Reading
from fhir_server.search.values import StringValue

Compare = Callable[[SearchParameter, str, str, Reading], Criterion]
"""From the parameter, the operator, the value as it stands. Raises ValueError for a bad value."""

TRUTH: Final = {"true": False, "false": True}
"""``pr``: true says that there is a value, ``:missing`` the opposite."""

SYSTEMS: Final = {
    "loinc": "http://loinc.org",
    "snomed": "http://snomed.info/sct",
    "rxnorm": "http://www.nlm.nih.gov/research/umls/rxnorm",
    "ucum": "http://unitsofmeasure.org",
}
"""Names that may stand for a code system in a token."""


def compared(parameter: SearchParameter, operator: str, value: str, reading: Reading) -> Criterion:
    """What ``parameter operator value`` asks. Raises Refusal for an operator it has not, ValueError, NotFetched."""
    own = {} if parameter.column in {"text", "content"} else OPERATORS[parameter.kind]
    compare = own.get(operator)
    if compare is None and operator == "pr" and not parameter.column:
        compare = _present
    if compare is None:
        allowed = ", ".join([*own, *([] if parameter.column else ["pr"])]) or "none"
        raise Refusal(
            f"{parameter.code} is a {parameter.kind} parameter, which has no operator {operator}; "
            f"allowed: {allowed}",
            "invalid",
        )
    return compare(parameter, operator, value, reading)


def _present(parameter: SearchParameter, operator: str, value: str, reading: Reading) -> Criterion:
    if value.lower() not in TRUTH:
        raise ValueError("pr is followed by true or false")
    return missing(parameter, TRUTH[value.lower()])


def _plain(parameter: SearchParameter, operator: str, value: str, reading: Reading) -> Criterion:
    return Clause(parameter, None, (parse_value(parameter, value, reading),))


# ── string ────────────────────────────────────────────────────────────────────

TEXTS: Mapping[str, str | None] = {
    "eq": "equals",
    "ne": "differs",
    "co": "contains",
    "sw": None,
    "ew": "ends",
    "gt": "gt",
    "ge": "ge",
    "lt": "lt",
    "le": "le",
}
"""Operator → modifier."""


def _said(parameter: SearchParameter, operator: str, value: str, reading: Reading) -> Criterion:
    normal = string.normalise(value)
    if not normal:
        raise ValueError("a text that is not blank is needed")
    return Clause(parameter, TEXTS[operator], (StringValue(normal, value),))


# ── number, quantity, date ────────────────────────────────────────────────────


def _prefixed(parameter: SearchParameter, operator: str, value: str, reading: Reading) -> Criterion:
    return _plain(parameter, operator, f"{operator}{value}", reading)


def _period(parameter: SearchParameter, operator: str, value: str, reading: Reading) -> Criterion:
    """``po``: the periods overlap; ``co``: the resource's period has the value's in it."""
    found = date.parse(parameter, f"eq{value}", reading)
    return Clause(parameter, None, (replace(found, prefix="ap" if operator == "po" else "co"),))


# ── token ─────────────────────────────────────────────────────────────────────

CONCEPTS: Mapping[str, str] = {"ss": "below", "sb": "above", "in": "in", "ni": "not-in"}
"""Operator → modifier: the value subsumes what ``:below`` finds."""


def _token(parameter: SearchParameter, operator: str, value: str, reading: Reading) -> Criterion:
    found: Any = parse_value(parameter, _expanded(value), reading)
    if operator == "eq":
        return Clause(parameter, None, (found,))
    return (
        Not(Clause(parameter, None, (found,))) if parameter.column else Clause(parameter, "differs", (found,))
    )


def _concept(parameter: SearchParameter, operator: str, value: str, reading: Reading) -> Criterion:
    if parameter.column:
        raise ValueError(f"{operator} asks about codes, and {parameter.code} holds none")
    name = CONCEPTS[operator]
    return MODIFIERS["token"][name](parameter, name, [_expanded(value)], reading)


def _expanded(value: str) -> str:
    system, bar, code = value.partition("|")
    return f"{SYSTEMS.get(system.lower(), system)}{bar}{code}"


ORDERED: Mapping[str, Compare] = dict.fromkeys(PREFIXES, _prefixed)
OPERATORS: Mapping[str, Mapping[str, Compare]] = {
    "string": dict.fromkeys(TEXTS, _said),
    "number": ORDERED,
    "quantity": ORDERED,
    "date": {**ORDERED, "co": _period, "po": _period},
    "token": {"eq": _token, "ne": _token, **dict.fromkeys(CONCEPTS, _concept)},
    "reference": {"re": _plain, "eq": _plain},
    "uri": {"eq": _plain},
    "composite": {"eq": _plain},
    "special": {"eq": _plain},
}
"""Parameter type → operator → how it is read; ``pr`` is for all."""
