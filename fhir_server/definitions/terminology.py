"""Code systems and value sets that are here: R4's own and those of the profiles folder."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property, lru_cache
from typing import Any

from fhir_server.definitions.compact import Lazy, TerminologyFile, decode_json, read_terminology
from fhir_server.definitions.expansion import Concept, Hierarchy, OpenValueSet, expand

Json = Mapping[str, Any]


class Terminology:
    """Everything is looked up by canonical URL, with or without ``|version``; ours wins over R4's."""

    def __init__(self, vocabulary: Iterable[Json] = ()) -> None:
        self._own: dict[str, dict[str, Json]] = {"CodeSystem": {}, "ValueSet": {}}
        for item in vocabulary:
            if item["resourceType"] in self._own and "url" in item:
                self._own[item["resourceType"]][item["url"]] = item
        self.hierarchy = lru_cache(maxsize=64)(self._hierarchy)
        self.expand = lru_cache(maxsize=256)(self._expand)

    @cached_property
    def _file(self) -> TerminologyFile:
        return read_terminology()

    @cached_property
    def _code_systems(self) -> Lazy[Json]:
        return Lazy(self._file.code_systems, decode_json)

    @cached_property
    def _value_sets(self) -> Lazy[Json]:
        return Lazy(self._file.value_sets, decode_json)

    def code_system(self, url: str) -> Json | None:
        """The CodeSystem, when it is here."""
        url = url.partition("|")[0]
        return self._own["CodeSystem"].get(url) or self._code_systems.get(url)

    def value_set(self, url: str) -> Json | None:
        """The ValueSet, when it is here."""
        url = url.partition("|")[0]
        return self._own["ValueSet"].get(url) or self._value_sets.get(url)

    def concept(self, system: str, code: str) -> Json | None:
        """One concept of a code system as it is defined (code, display, definition, …)."""
        tree = self.hierarchy(system)
        return tree.concepts.get(code) if tree else None

    def display(self, system: str, code: str) -> str | None:
        """The display of a code, when system, code and display are known."""
        concept = self.concept(system, code)
        return concept.get("display") if concept else None

    def codes(self, value_set: str) -> frozenset[str] | None:
        """The codes that may be chosen from a value set; None when they cannot be listed."""
        concepts = self.expand(value_set)
        return None if concepts is None else frozenset(item.code for item in concepts if not item.abstract)

    def contains(self, value_set: str, system: str, code: str) -> bool | None:
        """Whether the value set has this code of this system; None when its codes cannot be listed."""
        concepts = self.expand(value_set)
        if concepts is None:
            return None
        return any(item.system == system and item.code == code and not item.abstract for item in concepts)

    def _hierarchy(self, url: str) -> Hierarchy | None:
        system = self.code_system(url)
        return Hierarchy(system) if system else None

    def _expand(self, url: str) -> tuple[Concept, ...] | None:
        value_set = self.value_set(url)
        if value_set is None:
            return None
        try:
            return expand(value_set, self.code_system, self.value_set)
        except OpenValueSet:
            return None
