"""``$this``, ``$index``, ``$total``, ``%name`` and the names that stand for a text.

Source: FHIRPath N1 §5.2 (iteration), §9 (environment variables); FHIR R4 fhirpath.html#variables.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fhir_server.fhirpath.scope import Items, Scope

if TYPE_CHECKING:
    from fhir_server.fhirpath.ast import Variable
    from fhir_server.fhirpath.compiler import Closure, Compiler

CONSTANTS = {
    "%sct": "http://snomed.info/sct",
    "%loinc": "http://loinc.org",
    "%ucum": "http://unitsofmeasure.org",
}
NAMED = {
    "%vs-": "http://hl7.org/fhir/ValueSet/",
    "%ext-": "http://hl7.org/fhir/StructureDefinition/",
}


def variable(compiler: Compiler, tree: Variable) -> Closure:
    """The closure of a variable."""
    if tree.name == "$this":
        return lambda focus, scope: focus
    if tree.name == "$index":
        return lambda focus, scope: [] if scope.index is None else [scope.index]
    if tree.name == "$total":
        return _total(compiler, tree)
    constant = _constant(tree.name)
    if constant is not None:
        return lambda focus, scope: [constant]

    def run(focus: Items, scope: Scope) -> Items:
        if tree.name not in scope.variables:
            raise compiler.fault(tree, f"{tree.name} is not known here")
        return scope.variables[tree.name]

    return run


def _total(compiler: Compiler, tree: Variable) -> Closure:
    def run(focus: Items, scope: Scope) -> Items:
        if scope.total is None:
            raise compiler.fault(tree, "$total has a meaning in aggregate() only")
        return scope.total

    return run


def _constant(name: str) -> str | None:
    """The text that FHIR R4 fhirpath.html#variables gives a name; None for one that depends on the data."""
    for prefix, stem in NAMED.items():
        if name.startswith(prefix):
            return stem + name.removeprefix(prefix)
    return CONSTANTS.get(name)
