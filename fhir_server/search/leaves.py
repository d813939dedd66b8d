"""Where a path ends: the data types that a search parameter's values have.

Source: FHIR R4 search.html#table (which data types each parameter type can hold).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from fhir_server.definitions.types import Member
from fhir_server.fhirpath import ExpressionError, Model, compile_tree
from fhir_server.fhirpath.node import ANY_RESOURCE
from fhir_server.search.arms import Cast, Compute, Name, Path, Step, Where

QUANTITIES = frozenset({"Quantity", "Age", "Count", "Distance", "Duration"})
TEXTS = frozenset({"string", "markdown", "code", "id", "uri", "url", "canonical", "oid", "uuid"})

HOLDS: Mapping[str, frozenset[str]] = {
    "token": TEXTS
    | {
        "boolean",
        "Coding",
        "CodeableConcept",
        "Identifier",
        "ContactPoint",
        "integer",
        "positiveInt",
        "unsignedInt",
    },
    "reference": frozenset({"Reference", "canonical", "uri", "url", "oid", "uuid", "Resource"}),
    "uri": frozenset({"uri", "url", "canonical", "oid", "uuid"}),
    "string": TEXTS | {"HumanName", "Address"},
    "date": frozenset({"date", "dateTime", "instant", "Period", "Timing"}),
    "number": QUANTITIES
    | {"Money", "Range", "SampledData", "decimal", "integer", "positiveInt", "unsignedInt"},
    "identifier": frozenset({"Reference"}),
    "position": frozenset({"BackboneElement"}),
}
"""Kind of rows → the data types it can hold."""

DECOMPOSED: Mapping[str, tuple[str, ...]] = {
    "HumanName": ("text", "family", "given", "prefix", "suffix"),
    "Address": ("text", "line", "city", "district", "state", "postalCode", "country"),
}
"""Data type → its text members: ``name`` reads them all, ``family`` one."""


def leaves(model: Model, type: str, path: Path, kind: str) -> list[str]:
    """The data types at the ends of ``path`` that rows of ``kind`` can hold; of a computed value "computed".

    Raises ExpressionError for a name that R4 does not have and for a predicate that cannot be compiled.
    """
    allowed = HOLDS[kind]
    if path.steps and isinstance(path.steps[0], Compute):
        compile_tree(path.steps[0].tree, model)
        return ["computed"]
    for step in path.steps:
        if isinstance(step, Where):
            compile_tree(step.criterion, model)
    return [end for end in _ends(model, type, path) if end in allowed]


def _ends(model: Model, type: str, path: Path) -> Iterator[str]:
    for member in ends(model, type, path):
        if member.type == "Extension":
            yield from (inner.type for inner in _values(model))
        else:
            yield member.type


def _values(model: Model) -> Iterator[Member]:
    return _named(model, "Extension", "value")


def ends(model: Model, type: str, path: Path) -> list[Member]:
    """The members that ``path`` leads to, one per type of a choice."""
    found: Sequence[Member] | None = None
    for step in path.steps:
        found = _follow(model, type, path, found, step)
    return list(found or ())


def _follow(
    model: Model, type: str, path: Path, found: Sequence[Member] | None, step: Step
) -> Sequence[Member]:
    if isinstance(step, Cast):
        return [_cast(member, step.type) for member in found or () if fits(model, member.type, step.type)]
    if not isinstance(step, Name):
        return found or ()
    starts = [type] if found is None else [member.path or "Element" for member in found]
    after = [member for start in starts for member in _named(model, start, step.name)]
    if not after:
        raise ExpressionError(str(path), 0, f"{type} has no element {step.name} there")
    return after


def fits(model: Model, type: str, wanted: str) -> bool:
    """True when a value of ``type`` is or may be a ``wanted``: any resource may stand where a Resource does."""
    may_be = type in ANY_RESOURCE and wanted in model.definitions.resource_types
    return may_be or model.is_kind_of(type, wanted)


def _cast(member: Member, type: str) -> Member:
    return Member(member.json_name, member.element, type, type) if member.type in ANY_RESOURCE else member


def _named(model: Model, path: str, name: str) -> Iterator[Member]:
    for member in model.definitions.members(path).values():
        if member.json_name == name or member.element.name == f"{name}[x]":
            yield member


def reference_targets(model: Model, type: str, path: Path) -> frozenset[str]:
    """The resource types that the elements at the end of ``path`` may point to; empty: any."""
    found: set[str] = set()
    for member in ends(model, type, path):
        for kind in member.element.types:
            if kind.code == member.type:
                if not kind.targets:
                    return frozenset()
                found |= set(kind.targets)
    return frozenset() if "Resource" in found else frozenset(found)


def implicit_systems(model: Model, type: str, found: Sequence[Path]) -> tuple[str, ...]:
    """The value sets that the ``code`` elements at the ends of ``found`` are bound to, ("boolean",) for booleans.

    Empty when values of other types are there as well: those have systems of their own.
    """
    members = [member for path in found for member in ends(model, type, path)]
    kinds = {member.type for member in members}
    if kinds == {"boolean"}:
        return ("boolean",)
    if kinds != {"code"}:
        return ()
    bindings = [member.element.binding for member in members]
    return tuple(dict.fromkeys(binding.value_set for binding in bindings if binding and binding.value_set))
