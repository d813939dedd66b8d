"""The JSON members that may stand under an element: choices by type, shared content, types entered.

Source: FHIR R4 json.html, elementdefinition.html#contentReference.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from fhir_server.definitions.types import Element, Member, TypeDefinition

INLINE_TYPES = frozenset({"BackboneElement", "Element"})
"""Types whose further elements stand under the element that has them."""


def members(path: str, types: Mapping[str, TypeDefinition]) -> dict[str, Member]:
    """The members under ``path`` by JSON name. Raises KeyError for a path that is no element.

    ``path`` may also lead into a data type (``Patient.name.given``) or to shared content
    (``Questionnaire.item.item``); the members of a primitive are those of its ``_name`` twin.
    """
    home = home_of(path, types)
    elements = types[home.partition(".")[0]].elements
    return {
        member.json_name: member
        for child in _children(home, elements)
        for member in _spelled(child, elements, types)
    }


def home_of(path: str, types: Mapping[str, TypeDefinition]) -> str:
    """The path under which the elements of ``path`` are defined: a type or an inline element of one."""
    name, _, rest = path.partition(".")
    home = "Element" if types[name].kind == "primitive-type" else name
    for part in rest.split(".") if rest else ():
        home = _step(home, part, path, types)
    return home


def _step(home: str, part: str, path: str, types: Mapping[str, TypeDefinition]) -> str:
    elements = types[home.partition(".")[0]].elements
    element = elements.get(f"{home}.{part}")
    if element is not None and not element.is_choice:
        return _inside(element, elements, types) or "Element"
    member = members(home, types).get(part)
    if member is None:
        raise KeyError(path)
    return member.path or "Element"


def _children(home: str, elements: Mapping[str, Element]) -> Iterator[Element]:
    depth = home.count(".") + 1
    prefix = home + "."
    return (item for path, item in elements.items() if path.startswith(prefix) and path.count(".") == depth)


def _spelled(
    element: Element, elements: Mapping[str, Element], types: Mapping[str, TypeDefinition]
) -> Iterator[Member]:
    if element.is_choice:
        stem = element.name.removesuffix("[x]")
        for kind in element.types:
            yield Member(
                stem + kind.code[0].upper() + kind.code[1:], element, kind.code, _entry(kind.code, types)
            )
    elif element.max != 0:
        path = _inside(element, elements, types)
        yield Member(element.name, element, _type(element, elements), path)


def _type(element: Element, elements: Mapping[str, Element]) -> str:
    source = elements[element.content_reference] if element.content_reference else element
    return source.types[0].code


def _inside(element: Element, elements: Mapping[str, Element], types: Mapping[str, TypeDefinition]) -> str:
    if element.content_reference:
        return element.content_reference
    code = element.types[0].code
    return element.path if code in INLINE_TYPES else _entry(code, types)


def _entry(code: str, types: Mapping[str, TypeDefinition]) -> str:
    known = types.get(code)
    return code if known is not None and known.kind != "primitive-type" else ""
