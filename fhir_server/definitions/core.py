"""R4's facts and the project's own vocabulary, behind one object that every floor above reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path

from fhir_server.definitions.compact import (
    CoreFile,
    Json,
    Lazy,
    decode_operations,
    decode_search_parameters,
    decode_type,
    read_core,
)
from fhir_server.definitions.members import members
from fhir_server.definitions.packages import read_packages, search_parameter
from fhir_server.definitions.terminology import Terminology
from fhir_server.definitions.types import (
    Member,
    OperationDefinition,
    SearchParameterDefinition,
    TypeDefinition,
)

ABSTRACT_RESOURCES = frozenset({"Resource", "DomainResource"})


class Definitions:
    """The definitions of R4 4.0.1, and ``vocabulary``: the conformance resources of the profiles folder.

    ``types`` holds all 209 types by name; ``compartments`` maps a compartment's type to the types in it
    and the search parameters that put them there.
    """

    def __init__(self, core: CoreFile, vocabulary: Sequence[Json] = ()) -> None:
        self._core = core
        self._members: dict[str, Mapping[str, Member]] = {}
        self._required: dict[str, frozenset[str] | None] = {}
        self._terminology = Terminology(vocabulary)
        self.version = core.version
        self.vocabulary: list[Json] = list(vocabulary)
        self.types: Mapping[str, TypeDefinition] = Lazy(core.types, decode_type)
        self.compartments: Mapping[str, Mapping[str, tuple[str, ...]]] = core.compartments
        self.resource_types = frozenset(core.resource_types) - ABSTRACT_RESOURCES

    def type(self, name: str) -> TypeDefinition:
        """The type called ``name``. Raises KeyError when R4 has none."""
        return self.types[name]

    def members(self, path: str) -> Mapping[str, Member]:
        """The JSON members that may stand under ``path``, by name.

        ``path`` is a type or an element: ``Patient``, ``Patient.contact``, ``HumanName``. Choices are spelled out,
        shared content is followed, data types are entered; elements that the type inherits are among them.
        Raises KeyError for a path that is no element.
        """
        known = self._members.get(path)
        if known is None:
            known = self._members[path] = members(path, self.types)
        return known

    @cached_property
    def search_parameters(self) -> tuple[SearchParameterDefinition, ...]:
        """R4's 1,375 parameters and those of the profiles folder."""
        return (*self.standard_search_parameters, *self.own_search_parameters)

    @cached_property
    def standard_search_parameters(self) -> tuple[SearchParameterDefinition, ...]:
        """R4's parameters."""
        return decode_search_parameters(self._core.search_parameters)

    @cached_property
    def own_search_parameters(self) -> tuple[SearchParameterDefinition, ...]:
        """Those of the profiles folder."""
        return tuple(
            search_parameter(item) for item in self.vocabulary if item["resourceType"] == "SearchParameter"
        )

    @cached_property
    def operations(self) -> tuple[OperationDefinition, ...]:
        """The operations that R4 itself defines."""
        return decode_operations(self._core.operations)

    def required_codes(self, value_set_url: str) -> frozenset[str] | None:
        """The codes that may be chosen from a value set, headings left out; None when it is open.

        Open are those that no list can hold (mime types, currencies, UCUM) and those that are not here.
        """
        url = value_set_url.partition("|")[0]
        if url not in self._required:
            codes = self._core.required_codes.get(url)
            self._required[url] = frozenset(codes) if codes is not None else self._open(url)
        return self._required[url]

    def _open(self, url: str) -> frozenset[str] | None:
        return None if url in self._core.required_codes else self._terminology.codes(url)

    def terminology(self) -> Terminology:
        """R4's code systems and value sets and the profiles folder's; read from disk at the first look-up."""
        return self._terminology


def load_definitions(profiles: Path | None = None) -> Definitions:
    """R4's definitions, with the conformance resources found below ``profiles``.

    Raises InvalidContent with one issue for each faulty file.
    """
    return Definitions(read_core(), read_packages(profiles) if profiles else ())
