"""Where in a resource a fault is: the JSON path followed along the definitions, and its FHIRPath."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fhir_server.definitions import Definitions
from fhir_server.definitions.types import Element, Member

Step = str | int
NAME_LIKE = re.compile(r"_?[A-Za-z][A-Za-z0-9_]{0,63}", re.ASCII)
"""What is surely a name and no text about a person."""


@dataclass(frozen=True, slots=True)
class Place:
    """One spot in a resource.

    ``expression`` is its FHIRPath (``Observation.value`` for a choice); ``path`` what
    ``Definitions.members`` takes for what is below it, "" below a primitive; ``value`` what stands there.
    ``member`` defines it (None for the resource itself and for members that are not known). ``name`` is its
    JSON name and ``index`` its position in an array, None outside arrays.
    """

    expression: str
    path: str
    value: Any
    member: Member | None = None
    name: str = ""
    index: int | None = None
    owner: Place | None = None

    @property
    def label(self) -> str:
        """The name a person knows it by: ``given``, or the type at the root."""
        return self.name or self.path

    @property
    def is_companion(self) -> bool:
        """True for ``_birthDate``: the id and extensions of a primitive."""
        return self.name.startswith("_")

    @property
    def element(self) -> Element | None:
        """The definition's element, if known."""
        return self.member.element if self.member else None


def locate(definitions: Definitions, root: Place, steps: Sequence[Step]) -> Place:
    """The place that ``steps`` (member names and array positions) lead to from ``root``."""
    place = root
    for step in steps:
        place = _item(place, step) if isinstance(step, int) else _below(definitions, place, step)
    return place


def _item(place: Place, index: int) -> Place:
    return Place(
        f"{place.expression}[{index}]",
        place.path,
        place.value[index],
        place.member,
        place.name,
        index,
        place.owner,
    )


def _below(definitions: Definitions, place: Place, name: str) -> Place:
    members = definitions.members(place.path) if place.path else {}
    member = members.get(name.removeprefix("_"))
    value = place.value.get(name) if isinstance(place.value, dict) else None
    if member is None:
        known = NAME_LIKE.fullmatch(name)
        return Place(
            f"{place.expression}.{name}" if known else place.expression, "", value, None, name, None, place
        )
    path = "Element" if name.startswith("_") else _path_of(definitions, member, value)
    return Place(f"{place.expression}.{plain_name(member.element)}", path, value, member, name, None, place)


def _path_of(definitions: Definitions, member: Member, value: Any) -> str:
    """A resource inside a resource has the members of its own type."""
    return resource_type(definitions, value) or member.path if member.type == "Resource" else member.path


def resource_type(definitions: Definitions, value: Any) -> str:
    """The resource type that ``value`` says it is, if R4 has it; otherwise ""."""
    type = value.get("resourceType") if isinstance(value, dict) else None
    return type if isinstance(type, str) and type in definitions.resource_types else ""


def plain_name(element: Element) -> str:
    """The element's name in FHIRPath: ``value[x]`` → ``value``."""
    return element.name.removesuffix("[x]")
