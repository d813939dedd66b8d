"""Types in expressions: ``is``, ``as``, ``ofType``.

``as`` on several items keeps those of the type, like ``ofType``: R4's search parameters and its invariant dom-3
rely on it.
Source: FHIRPath N1 §6.3; FHIR R4 fhirpath.html#types.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from fhir_server.fhirpath.node import Node
from fhir_server.fhirpath.values import type_name

if TYPE_CHECKING:
    from fhir_server.fhirpath.ast import Tree
    from fhir_server.fhirpath.compiler import Compiler

SYSTEM = frozenset({"Boolean", "String", "Integer", "Decimal", "Date", "DateTime", "Time", "Quantity"})


def type_test(compiler: Compiler, tree: Tree, name: str) -> Callable[[Any], bool]:
    """The test whether an item is of type ``name`` (``Patient``, ``FHIR.Patient``, ``System.String``)."""
    space, _, short = name.rpartition(".")
    known = short in compiler.model.definitions.types
    fhir = known and space in {"", "FHIR"}
    if not fhir and not (short in SYSTEM and space in {"", "System"}) and not (known and space == "System"):
        raise compiler.fault(tree, f"there is no type {name}")
    is_kind_of = compiler.model.is_kind_of

    def fits(item: Any) -> bool:
        if isinstance(item, Node):
            return fhir and is_kind_of(item.type, short)
        return space != "FHIR" and type_name(item) == short

    return fits
