"""The search parameters that this server knows, by resource type and code.

A parameter's expression is taken apart into arms (``search.arms``). Each distinct arm of a type is
indexed once, under ``arm_key``; a parameter reads one or several arms.
Source: FHIR R4 searchparameter.html, search.html#ptypes.
"""

from __future__ import annotations

from collections.abc import Mapping

from fhir_server.definitions import Definitions
from fhir_server.definitions.types import SearchParameterDefinition
from fhir_server.errors import Unprocessable
from fhir_server.fhirpath import Model
from fhir_server.search.clauses import Query
from fhir_server.search.corrections import NOT_INDEXED, PRIMARY_DATES, USUAL_PRIMARY_DATE
from fhir_server.search.parameters import TEXTS, Arm, SearchParameter, TypeParameters, arm_key
from fhir_server.search.remembered import Remembered
from fhir_server.search.translate import Translator


class Registry:
    """All parameters of R4 and of the profiles folder, compiled per type when a type is first asked for.

    Raises ExpressionError or Unprocessable when one of the profiles folder cannot be used.

    ``revision`` counts the changes by ``add``, so that what was compiled from it can be made again.
    """

    def __init__(self, definitions: Definitions) -> None:
        self.definitions = definitions
        self.model = Model(definitions)
        self.revision = 0
        self.remembered: Remembered[Query] = Remembered()
        self._by_url: dict[str, SearchParameterDefinition] = {}
        self._by_base: dict[str, dict[str, SearchParameterDefinition]] = {}
        self._compiled: dict[str, TypeParameters] = {}
        self._translator = Translator(self.model, self._by_url)
        own = {item["url"] for item in definitions.vocabulary if item["resourceType"] == "SearchParameter"}
        for definition in definitions.search_parameters:
            self.add(definition) if definition.url in own else self._enter(definition)

    # ── asking ────────────────────────────────────────────────────────────────

    def parameter(self, type: str, code: str) -> SearchParameter:
        """The parameter ``code`` of ``type``. Raises KeyError when there is none."""
        return self.of_type(type).parameters[code]

    def parameters(self, type: str) -> Mapping[str, SearchParameter]:
        """All parameters of ``type`` by code, those of every resource among them."""
        return self.of_type(type).parameters

    def arms(self, type: str) -> Mapping[int, Arm]:
        """All arms of ``type`` by key."""
        return self.of_type(type).arms

    def of_type(self, type: str) -> TypeParameters:
        """What is known of ``type``. Raises KeyError when R4 has no such resource."""
        known = self._compiled.get(type)
        if known is None:
            known = self._compiled[type] = self._compile(type)
        return known

    def primary_dates(self, type: str) -> tuple[tuple[int, ...], ...]:
        """The keys of the parameters that hold the primary clinical date of ``type``, in order of preference."""
        known = self.of_type(type).parameters
        codes = PRIMARY_DATES.get(type, USUAL_PRIMARY_DATE)
        return tuple(known[code].keys for code in codes if code in known)

    # ── changing ──────────────────────────────────────────────────────────────

    def add(self, definition: SearchParameterDefinition) -> None:
        """Add a custom parameter, or put another definition in the place of the one with its URL.

        Raises ExpressionError or Unprocessable when it cannot be used; nothing is changed then.
        """
        for base in definition.base:
            taken = self._by_base.get(base, {}).get(definition.code)
            if taken is not None and taken.url != definition.url:
                raise Unprocessable(f"{base} already has a parameter {definition.code}: {taken.url}")
            self._translator.translate(TypeParameters(), self._example(base), definition)
        self._enter(definition)
        self._compiled.clear()
        self.revision += 1
        self.remembered.forget()

    def _example(self, base: str) -> str:
        """A type to try a definition for ``base`` on."""
        if base in {"Resource", "DomainResource"}:
            return "Patient"
        if base not in self.definitions.resource_types:
            raise Unprocessable(f"{base} is not a resource type of R4")
        return base

    def _enter(self, definition: SearchParameterDefinition) -> None:
        before = self._by_url.get(definition.url)
        if before is not None:
            for base in before.base:
                del self._by_base[base][before.code]
        self._by_url[definition.url] = definition
        for base in definition.base:
            self._by_base.setdefault(base, {})[definition.code] = definition

    # ── compiling ─────────────────────────────────────────────────────────────

    def _compile(self, type: str) -> TypeParameters:
        if type not in self.definitions.resource_types:
            raise KeyError(type)
        known = TypeParameters()
        for definition in self._applicable(type):
            if definition.code in TEXTS or (definition.expression and definition.code not in NOT_INDEXED):
                known.parameters[definition.code] = self._translator.translate(known, type, definition)
        return known

    def _applicable(self, type: str) -> list[SearchParameterDefinition]:
        """The definitions for ``type``; one of its own wins over one of every resource."""
        merged: dict[str, SearchParameterDefinition] = {}
        for base in self._translator.lineage(type):
            merged |= self._by_base.get(base, {})
        return list(merged.values())


__all__ = ["Arm", "Registry", "SearchParameter", "arm_key"]
