"""StructureDefinitions as rows: what ``scripts/build_definitions.py`` keeps of a snapshot.

Source: FHIR R4 structuredefinition.html, elementdefinition.html.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from fhir_server.definitions import corrections
from fhir_server.definitions.types import Binding, Constraint, Element, ElementType, TypeDefinition

STRUCTURE = "http://hl7.org/fhir/StructureDefinition/"
FHIR_TYPE = STRUCTURE + "structuredefinition-fhir-type"
REGEX = STRUCTURE + "regex"
SYSTEM_TYPES = "http://hl7.org/fhirpath/"

NO_KEYS: frozenset[str] = frozenset()

Json = Mapping[str, Any]


def type_definitions(structures: Iterable[Json]) -> dict[str, TypeDefinition]:
    """Every type among ``structures`` by name; profiles and logical models are passed over."""
    wanted = [
        item for item in structures if item.get("derivation") != "constraint" and item["kind"] != "logical"
    ]
    roots = {item["type"]: keys_of(item["snapshot"]["element"][0]) for item in wanted}
    return {
        item["type"]: type_definition(item, roots)
        for item in sorted(wanted, key=lambda item: str(item["type"]))
    }


def keys_of(element: Json) -> frozenset[str]:
    """The keys of an element's invariants."""
    return frozenset(item["key"] for item in element.get("constraint", ()))


def type_definition(structure: Json, roots: Mapping[str, frozenset[str]]) -> TypeDefinition:
    """One StructureDefinition's snapshot as rows. ``roots`` are the invariant keys each type has anyway."""
    name, elements = structure["type"], structure["snapshot"]["element"]
    keys = {item["path"]: keys_of(item) for item in elements}
    rows = [element_row(item, roots, keys) for item in elements]
    return TypeDefinition(
        name,
        structure["kind"],
        structure["abstract"],
        structure.get("baseDefinition", "").removeprefix(STRUCTURE) or None,
        {row.path: row for row in rows},
        pattern(name, elements),
    )


def pattern(name: str, elements: list[Json]) -> str | None:
    """The regular expression of a primitive's value, made safe for every engine."""
    for element in elements:
        for kind in element.get("type", ()) if element["path"] == f"{name}.value" else ():
            for extension in kind.get("extension", ()):
                if extension["url"] == REGEX:
                    return corrections.engine_safe(name, extension["valueString"])
    return None


def element_row(
    element: Json, roots: Mapping[str, frozenset[str]], keys: Mapping[str, frozenset[str]]
) -> Element:
    """One ElementDefinition as a row."""
    path = element["path"]
    types = element_types(element["base"]["path"], element.get("type", ()))
    reference = element.get("contentReference", "").removeprefix("#") or None
    known = keys[reference] if reference else _common(roots.get(item.code, NO_KEYS) for item in types)
    return Element(
        path=path,
        name=path.rpartition(".")[2],
        min=element["min"],
        max=None if element["max"] == "*" else int(element["max"]),
        types=types,
        content_reference=reference,
        binding=binding(element),
        is_modifier=element.get("isModifier", False),
        is_summary=element.get("isSummary", False),
        constraints=tuple(
            constraint(item) for item in element.get("constraint", ()) if item["key"] not in known
        ),
        short=element.get("short", ""),
    )


def _common(sets: Iterable[frozenset[str]]) -> frozenset[str]:
    first, *rest = [*sets] or [NO_KEYS]
    return first.intersection(*rest)


def element_types(base: str, types: Iterable[Json]) -> tuple[ElementType, ...]:
    """The types of an element first defined at ``base``, with FHIR's names for those written as FHIRPath's."""
    return tuple(
        ElementType(
            corrections.ELEMENT_TYPES.get(base) or type_code(item),
            tuple(name for name in _names(item, "targetProfile") if name != "Resource"),
            tuple(_names(item, "profile")),
        )
        for item in types
    )


def _names(item: Json, member: str) -> list[str]:
    return [str(url).removeprefix(STRUCTURE) for url in item.get(member, ())]


def type_code(item: Json) -> str:
    """The name of a type; ``System.String`` is left only where FHIR has no name of its own."""
    for extension in item.get("extension", ()):
        if extension["url"] == FHIR_TYPE and item["code"].startswith(SYSTEM_TYPES):
            return str(extension["valueUrl"])
    return str(item["code"]).removeprefix(SYSTEM_TYPES)


def binding(element: Json) -> Binding | None:
    """The binding, without the version of the value set (there is one version of R4)."""
    item = element.get("binding")
    return Binding(item["strength"], item.get("valueSet", "").partition("|")[0]) if item else None


def constraint(item: Json) -> Constraint:
    """An invariant, corrected where R4's own expression is wrong."""
    expression = corrections.EXPRESSIONS.get(item["key"], item["expression"])
    return Constraint(item["key"], item["severity"], item["human"], expression)
