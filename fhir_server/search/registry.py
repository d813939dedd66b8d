"""The search parameters that this server knows, by resource type and code.

A parameter's expression is taken apart into arms (``search.arms``). Each distinct arm of a type is
indexed once, under ``arm_key``; a parameter reads one or several arms.
Source: FHIR R4 searchparameter.html, search.html#ptypes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from fhir_server.definitions import Definitions
from fhir_server.definitions.core import ABSTRACT_RESOURCES
from fhir_server.definitions.types import SearchParameterDefinition
from fhir_server.errors import Unprocessable
from fhir_server.fhirpath import Model
from fhir_server.search.clauses import Query
from fhir_server.search.corrections import NOT_INDEXED, PRIMARY_DATES, USUAL_PRIMARY_DATE
from fhir_server.search.parameters import TEXTS, Arm, SearchParameter, TypeParameters, arm_key
from fhir_server.search.remembered import Remembered
from fhir_server.search.translate import Translator
from fhir_server.search.unfinished import Unfinished

EXAMPLE = "Patient"
"""The type that definitions for every resource are tried on."""


class Registry:
    """All parameters of R4, of the profiles folder and of ``replace_stored``, compiled per type when a type is first
    asked for.

    Raises ExpressionError or Unprocessable when one of the profiles folder cannot be used.

    ``revision`` counts the changes, so that what was compiled from it can be made again. Arms that are
    ``unfinished`` cannot be searched yet. ``standard_only`` leaves out everything but R4's.
    """

    def __init__(self, definitions: Definitions, *, standard_only: bool = False) -> None:
        self.definitions = definitions
        self.model = Model(definitions)
        self.revision = 0
        self.remembered: Remembered[Query] = Remembered()
        self.unfinished = Unfinished()
        self._custom: dict[str, frozenset[int]] | None = None
        self._by_url: dict[str, SearchParameterDefinition] = {}
        self._by_base: dict[str, dict[str, SearchParameterDefinition]] = {}
        self._compiled: dict[str, TypeParameters] = {}
        self.translator = Translator(self.model, self._by_url)
        for definition in definitions.standard_search_parameters:
            self._enter(definition)
        self._standard = dict(self._by_url)
        self._fixed = self._standard
        for definition in () if standard_only else definitions.own_search_parameters:
            self.add(definition)
        self._fixed = dict(self._by_url)
        self._plain: Registry | None = None

    # ── asking ────────────────────────────────────────────────────────────────

    def parameter(self, type: str, code: str) -> SearchParameter:
        """The parameter ``code`` of ``type``. Raises KeyError when there is none."""
        return self.of_type(type).parameters[code]

    def parameters(self, type: str) -> Mapping[str, SearchParameter]:
        """All parameters of ``type`` by code, those of every resource among them."""
        return self.of_type(type).parameters

    def searchable(self, type: str) -> Mapping[str, SearchParameter]:
        """Those of ``type`` whose index is complete."""
        known = self.of_type(type).parameters
        if not self.unfinished:
            return known
        return {code: each for code, each in known.items() if self.unfinished.concerns(each) is None}

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
        codes = PRIMARY_DATES.get(type, USUAL_PRIMARY_DATE)
        known = [self.of_type(type).parameters.get(code) for code in codes]
        return tuple(each.keys for each in known if each is not None and each.url in self._standard)

    def defined(self, type: str, code: str) -> SearchParameterDefinition | None:
        """The definition that ``code`` of ``type`` has, if there is one."""
        found = [self._by_base.get(base, {}).get(code) for base in self.translator.lineage(type)]
        return next((each for each in reversed(found) if each is not None), None)

    def definition(self, url: str) -> SearchParameterDefinition | None:
        """The definition with this URL, if it is in force."""
        return self._by_url.get(url)

    def is_fixed(self, url: str) -> bool:
        """True for a parameter of R4 or of the profiles folder, which ``replace_stored`` does not touch."""
        return url in self._fixed

    def is_standard(self, url: str) -> bool:
        """True for a parameter as R4 defines it."""
        return url in self._standard and self._by_url.get(url) == self._standard[url]

    @property
    def custom_types(self) -> frozenset[str]:
        """The types that have parameters beyond R4's."""
        own = self._by_url.items() - self._standard.items()
        return self.types_of({base for _, definition in own for base in definition.base})

    def types_of(self, bases: Iterable[str]) -> frozenset[str]:
        """The resource types that ``bases`` stand for."""
        wanted = set(bases)
        lineage = self.translator.lineage
        return frozenset(
            type for type in self.definitions.resource_types if not wanted.isdisjoint(lineage(type))
        )

    # ── changing ──────────────────────────────────────────────────────────────

    def add(self, definition: SearchParameterDefinition) -> None:
        """Add a custom parameter, or put another definition in the place of the one with its URL.

        Raises ExpressionError or Unprocessable when it cannot be used; nothing is changed then.
        """
        for base in definition.base:
            taken = self._by_base.get(base, {}).get(definition.code)
            if taken is not None and taken.url != definition.url:
                raise Unprocessable(f"{base} already has a parameter {definition.code}: {taken.url}")
            self.translator.translate(TypeParameters(), self._example(base), definition)
        self._enter(definition)
        self._changed()

    def replace_stored(self, definitions: Sequence[SearchParameterDefinition]) -> None:
        """Have, besides the fixed ones, exactly ``definitions``, which ``search.custom`` has found usable."""
        if {each.url: each for each in definitions} == {
            url: each for url, each in self._by_url.items() if url not in self._fixed
        }:
            return
        self._by_url.clear()
        self._by_base.clear()
        for definition in (*self._fixed.values(), *definitions):
            self._enter(definition)
        self._changed()

    def _changed(self) -> None:
        self._compiled.clear()
        self._custom = None
        self.revision += 1
        self.remembered.forget()

    def _example(self, base: str) -> str:
        """A type to try a definition for ``base`` on."""
        if base in ABSTRACT_RESOURCES:
            return EXAMPLE
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

    # ── what differs from R4 ──────────────────────────────────────────────────

    def custom_arms(self) -> dict[str, frozenset[int]]:
        """type → the arms that it has beyond R4's, for the types that have any."""
        if self._custom is None:
            found = {type: self._added_arms(type) for type in sorted(self.custom_types)}
            self._custom = {type: arms for type, arms in found.items() if arms}
        return self._custom

    def _added_arms(self, type: str) -> frozenset[int]:
        if self._plain is None:
            self._plain = Registry(self.definitions, standard_only=True)
        return frozenset(self.arms(type).keys() - self._plain.arms(type).keys())

    # ── compiling ─────────────────────────────────────────────────────────────

    def _compile(self, type: str) -> TypeParameters:
        if type not in self.definitions.resource_types:
            raise KeyError(type)
        known = TypeParameters()
        for definition in self._applicable(type):
            if definition.code in TEXTS or (definition.expression and definition.code not in NOT_INDEXED):
                known.parameters[definition.code] = self.translator.translate(known, type, definition)
        return known

    def _applicable(self, type: str) -> list[SearchParameterDefinition]:
        """The definitions for ``type``; one of its own wins over one of every resource."""
        merged: dict[str, SearchParameterDefinition] = {}
        for base in self.translator.lineage(type):
            merged |= self._by_base.get(base, {})
        return list(merged.values())


__all__ = ["Arm", "Registry", "SearchParameter", "arm_key"]
