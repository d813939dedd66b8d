"""The shapes in which R4's definitions are held: types, elements, search parameters, operations.

All are immutable and written as JSON arrays in the compact files (fields in the order given here),
so a change of a field's place means running ``scripts/build_definitions.py`` again.
Source: FHIR R4 structuredefinition.html, elementdefinition.html, searchparameter.html.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec


class _Row(msgspec.Struct, frozen=True, array_like=True, omit_defaults=True, gc=False):
    """An immutable value without a dictionary, kept as a JSON array."""


class ElementType(_Row, frozen=True):
    """One type an element may have: ``string``, ``Reference``, ``HumanName``, ``Resource`` …

    ``targets`` are the type names a Reference or canonical may point to, () = any. ``profiles`` are
    the names of data type profiles that apply (``SimpleQuantity`` is the only one in R4).
    """

    code: str
    targets: tuple[str, ...] = ()
    profiles: tuple[str, ...] = ()


class Constraint(_Row, frozen=True):
    """An invariant: ``severity`` is error or warning, ``expression`` FHIRPath."""

    key: str
    severity: str
    human: str
    expression: str


class Binding(_Row, frozen=True):
    """``strength`` is required | extensible | preferred | example; ``value_set`` a URL without version, or ""."""

    strength: str
    value_set: str


class Element(_Row, frozen=True):
    """One element. ``max`` None means ``*``; ``name`` is the path's last part (``value[x]`` for a choice).

    ``content_reference`` is the path of the element whose content this one shares. ``constraints`` are
    its own invariants; those that every element of its type has stand at the root of that type.
    """

    path: str
    name: str
    min: int
    max: int | None
    types: tuple[ElementType, ...] = ()
    content_reference: str | None = None
    binding: Binding | None = None
    is_modifier: bool = False
    is_summary: bool = False
    constraints: tuple[Constraint, ...] = ()
    short: str = ""

    @property
    def is_choice(self) -> bool:
        """True for an element such as ``value[x]``, whose JSON name carries its type."""
        return self.name.endswith("[x]")

    @property
    def is_list(self) -> bool:
        """True when it is an array in JSON."""
        return self.max is None or self.max > 1


class TypeDefinition(_Row, frozen=True):
    """A resource or data type with its elements by path, in the standard's order; the first is its root.

    ``kind`` is resource | complex-type | primitive-type; ``base`` the name of the type it specialises.
    ``pattern`` (primitives only) is an unanchored regular expression for the whole value that means the
    same in every engine: use it with ``fullmatch`` or as ``^(?:pattern)$``.
    """

    name: str
    kind: str
    abstract: bool
    base: str | None
    elements: Mapping[str, Element]
    pattern: str | None = None

    @property
    def root(self) -> Element:
        """The element that stands for the type itself; its constraints hold for every instance."""
        return self.elements[self.name]


class Member(_Row, frozen=True):
    """A JSON member that may stand under some element: ``valueQuantity`` of type ``Quantity``.

    ``path`` leads to its own members (``Definitions.members``): a type's name, a path such as
    ``Patient.contact``, or "" for a primitive (whose ``_name`` twin has the members of ``Element``).
    A member of type ``Resource`` holds any resource; its resourceType says which.
    """

    json_name: str
    element: Element
    type: str
    path: str


class SearchParameterDefinition(_Row, frozen=True):
    """A SearchParameter as published: ``kind`` is its type, ``components`` are (definition URL, expression)."""

    url: str
    code: str
    base: tuple[str, ...]
    kind: str
    expression: str = ""
    target: tuple[str, ...] = ()
    components: tuple[tuple[str, str], ...] = ()
    description: str = ""


class OperationParameter(_Row, frozen=True):
    """One parameter of an operation: ``use`` in or out, ``max`` None for ``*``, ``type`` None when it has parts."""

    name: str
    use: str
    min: int
    max: int | None
    type: str | None = None
    parts: tuple[OperationParameter, ...] = ()


class OperationDefinition(_Row, frozen=True):
    """A published $operation: where it may be called and with what."""

    url: str
    code: str
    name: str
    types: tuple[str, ...]
    on_system: bool
    on_type: bool
    on_instance: bool
    parameters: tuple[OperationParameter, ...] = ()
