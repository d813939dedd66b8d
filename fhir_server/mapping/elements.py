"""Whether what a map sets exists in FHIR: every target against the definitions."""

from __future__ import annotations

from collections.abc import Iterator

from fhir_server.definitions import Definitions
from fhir_server.mapping.origins import Refs
from fhir_server.mapping.target import Target, element_path
from fhir_server.mapping.types import Block, Map, Part


def element_faults(map: Map, definitions: Definitions) -> Iterator[str]:
    """A fault for every target that is no element, or that is a list without a position (or the other way round)."""
    for rule in map.rules:
        if rule.resource not in definitions.resource_types:
            yield f"{rule.place.file}: {rule.place.path}: {rule.resource} is no resource type"
        else:
            yield from _part_faults(rule.parts, rule.resource, definitions)


def _part_faults(parts: tuple[Part, ...], path: str, definitions: Definitions) -> Iterator[str]:
    for part in parts:
        is_whole_list = not isinstance(part, Block) and isinstance(part.origin, Refs)
        inner, fault = _follow(part.target, path, definitions, is_whole_list=is_whole_list)
        if fault:
            yield f"{part.place.file}: {part.place.path}: {fault}"
        elif isinstance(part, Block):
            yield from _part_faults(part.parts, inner, definitions)


def _follow(
    target: Target, path: str, definitions: Definitions, *, is_whole_list: bool
) -> tuple[str, str | None]:
    """The path of what is inside ``target``, or the fault."""
    for at, (name, key) in enumerate(target):
        if not path:
            return "", f"nothing can stand in {element_path(target[:at])}: its type is primitive"
        members = definitions.members(path)
        member = members.get(name.removeprefix("_"))
        if member is None:
            return "", f"{path} has no element {name}"
        is_last = at == len(target) - 1
        if member.element.is_list and key is None and not (is_last and is_whole_list):
            return "", f"{path}.{name} is a list: name the position, as in {name}[0]"
        if not member.element.is_list and key is not None:
            return "", f"{path}.{name} is no list: leave out [{key}]"
        path = "Element" if name.startswith("_") else member.path
    return path, None
