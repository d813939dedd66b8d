"""``parameter:modifier=value,value``: a criterion that the resource itself decides.

Source: FHIR R4 search.html#ptypes, search.html#modifiers.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from fhir_server.search.clauses import Clause, Criterion
from fhir_server.search.faults import Refusal
from fhir_server.search.registry import Registry, SearchParameter
from fhir_server.search.types import composite
from fhir_server.search.types.base import Reading
from fhir_server.search.types.escapes import split
from fhir_server.search.types.simple import SIMPLE

LATER_MODIFIERS = frozenset({"text", "in", "not-in", "above", "below", "of-type", "ofType", "identifier"})
TRUTH = {"true": True, "false": False}


class Plain:
    """Reads modifiers and values."""

    def __init__(self, registry: Registry, reading: Reading) -> None:
        self.registry = registry
        self.reading = reading

    def criterion(self, parameter: SearchParameter, modifier: str, value: str) -> Criterion:
        """What ``parameter:modifier=value`` asks ("" for no modifier). Raises Refusal and ValueError."""
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
        """The parameter as its values are to be read. Raises Refusal for a modifier it does not have."""
        if not modifier or modifier in self._modifiers(parameter):
            return parameter
        if parameter.kind == "reference" and modifier in self.registry.definitions.resource_types:
            return replace(parameter, targets=(checked_target(parameter, modifier),))
        raise Refusal(*self._refusal(parameter, modifier))

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


def checked_target(parameter: SearchParameter, type: str) -> str:
    """``type``, when the reference ``parameter`` may lead there. Raises Refusal."""
    if parameter.targets and type not in parameter.targets:
        raise Refusal(f"it refers to {', '.join(parameter.targets)}, not to {type}", "invalid")
    return type


def _truth(value: str) -> bool:
    if value not in TRUTH:
        raise ValueError(":missing is true or false")
    return TRUTH[value]
