"""A resource's tree as FHIRPath walks it, with every element knowing where it stands.

JSON keeps a primitive in two members, ``name`` and ``_name``; here it is one element with a value and a twin.
Source: FHIR R4 json.html#primitive, fhirpath.html.
"""

from __future__ import annotations

from itertools import zip_longest
from typing import Any, NamedTuple

from fhir_server.fhirpath import Model, Node
from fhir_server.fhirpath.node import ANY_RESOURCE, Step
from fhir_server.model.resource import Json


class Content(NamedTuple):
    """What one element holds: its JSON value, and of a primitive the ``_name`` twin (id and extensions)."""

    value: Any
    twin: Any = None

    @property
    def is_empty(self) -> bool:
        """True when nothing of it would be written."""
        return self.value in (None, {}) and self.twin in (None, {})


class Place(Node):
    """A node that knows its parent and which member of it, and which item of that, it is.

    ``parent`` None: the resource itself.
    """

    __slots__ = ("index", "is_list", "name", "parent")

    def __init__(self, content: Content, type: str, path: str, parent: Place | None = None) -> None:
        super().__init__(content.value, type, path, content.twin)
        self.parent = parent
        self.name = ""
        self.is_list = False
        self.index = 0

    @classmethod
    def root(cls, resource: Json) -> Place:
        """The place of a whole resource."""
        return cls(Content(resource), resource["resourceType"], resource["resourceType"])

    def child(self, step: Step, content: Content, index: int) -> Place:
        """The place of item ``index`` of the member that ``step`` spells."""
        inner = content.value["resourceType"] if step.type in ANY_RESOURCE else None
        place = Place(content, inner or step.type, inner or step.path, self)
        place.name, place.is_list, place.index = step.json_name, step.is_list, index
        return place

    @property
    def members(self) -> Json:
        """The object that holds its members: itself, or the twin of a primitive (made when it has none yet)."""
        if self.path:
            object: Json = self.value
            return object
        if not isinstance(self.extra, dict):
            self.extra = {}
        return self.extra


class PlaceModel(Model):
    """The FHIRPath model whose members are places. Each primitive is found, wherever an expression leads."""

    def members(self, node: Node, name: str) -> list[Node]:
        """The elements called ``name`` in ``node``."""
        container = node.value if node.path else node.extra
        if not isinstance(container, dict) or not isinstance(node, Place):
            return super().members(node, name)
        return [
            node.child(step, content, index)
            for step in self.steps(node.path or "Element", name)
            for index, content in enumerate(contents(container, step.json_name))
            if not content.is_empty
        ]

    def choices(self, node: Place) -> tuple[Step, ...]:
        """All spellings of the element at ``node``: one for each type of a choice."""
        assert node.parent is not None
        path = node.parent.path or "Element"
        element = self.definitions.members(path)[node.name].element
        return self.steps(path, element.name.removesuffix("[x]"))


def contents(holder: Json, name: str) -> list[Content]:
    """What the element ``name`` of ``holder`` holds, item by item."""
    values, twins = _listed(holder.get(name)), _listed(holder.get(f"_{name}"))
    return [Content(*pair) for pair in zip_longest(values, twins)]


def _listed(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def keep(holder: Json, name: str, items: list[Content], is_list: bool) -> None:
    """Write ``items`` as the element ``name`` of ``holder``; empty ones leave no trace."""
    kept = [item for item in items if not item.is_empty]
    for member, column in ((name, [item.value for item in kept]), (f"_{name}", [item.twin for item in kept])):
        if any(value is not None for value in column):
            holder[member] = column if is_list else column[0]
        else:
            holder.pop(member, None)
