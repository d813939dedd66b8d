"""FHIR data as FHIRPath sees it: a value that knows its type and where its members are defined.

Source: FHIR R4 fhirpath.html#using, json.html#primitive.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import zip_longest
from typing import Any, NamedTuple

from fhir_server.definitions import Definitions
from fhir_server.definitions.types import Element

ANY_RESOURCE = frozenset({"Resource", "DomainResource"})


class Node:
    """One item of FHIR data.

    ``value`` is JSON (None for a primitive that has extensions only), ``type`` its FHIR type,
    ``path`` where its members are defined (``Definitions.members``; "" for a primitive), ``extra``
    the primitive's ``_name`` twin, and ``element`` the definition of the element that it is (None when
    it was not reached through one).
    """

    __slots__ = ("element", "extra", "path", "type", "value")

    def __init__(
        self,
        value: Any,
        type: str,
        path: str,
        extra: dict[str, Any] | None = None,
        element: Element | None = None,
    ) -> None:
        self.value = value
        self.type = type
        self.path = path
        self.extra = extra
        self.element = element

    @classmethod
    def of(cls, resource: dict[str, Any]) -> Node:
        """The node of a resource; its members are those of its resourceType."""
        kind = resource["resourceType"]
        return cls(resource, kind, kind)

    def __repr__(self) -> str:
        return f"Node({self.type})"


class Step(NamedTuple):
    """One JSON member that a FHIRPath name may mean: ``value`` → ``valueQuantity``, ``valueString`` …"""

    json_name: str
    type: str
    path: str
    is_list: bool
    element: Element

    @property
    def is_primitive(self) -> bool:
        """True when its values have no members of their own in JSON."""
        return not self.path

    @property
    def element_name(self) -> str:
        """The name in expressions: ``value``."""
        return self.element.name.removesuffix("[x]")


class Model:
    """What FHIRPath asks of the definitions: which members a name means, and which type is a kind of which."""

    def __init__(self, definitions: Definitions) -> None:
        self.definitions = definitions
        self._steps: dict[tuple[str, str], tuple[Step, ...]] = {}
        self._elements: dict[tuple[str, str], tuple[Step, ...]] = {}

    def steps(self, path: str, name: str) -> tuple[Step, ...]:
        """The JSON members that ``name`` means under ``path``: none, one, or one per type of a choice."""
        known = self._steps.get((path, name))
        if known is None:
            known = self._steps[path, name] = tuple(self._find(path, name))
        return known

    def _find(self, path: str, name: str) -> Iterator[Step]:
        for member in self.definitions.members(path).values():
            element = member.element
            if member.json_name == name or element.name == f"{name}[x]":
                yield Step(member.json_name, member.type, member.path, element.is_list, element)

    def elements(self, path: str, name: str) -> tuple[Step, ...]:
        """As ``steps``, by the element's own name only: ``value``, never ``valueQuantity``."""
        known = self._elements.get((path, name))
        if known is None:
            found = (step for step in self.steps(path, name) if step.element_name == name)
            known = self._elements[path, name] = tuple(found)
        return known

    def members(self, node: Node, name: str) -> list[Node]:
        """The items called ``name`` in ``node``."""
        container = node.value if node.path else node.extra
        if not isinstance(container, dict):
            return []
        found: list[Node] = []
        for step in self.elements(node.path or "Element", name):
            twin = container.get("_" + step.json_name) if step.is_primitive else None
            if step.json_name in container or twin is not None:
                found.extend(_items(step, container.get(step.json_name), twin))
        return found

    def children(self, node: Node) -> list[Node]:
        """All items directly inside ``node``, in the order of its JSON."""
        container = node.value if node.path else node.extra
        if not isinstance(container, dict):
            return []
        path = node.path or "Element"
        keys = dict.fromkeys(key.removeprefix("_") for key in container)
        names = dict.fromkeys(step.element_name for key in keys for step in self.steps(path, key))
        return [item for name in names for item in self.members(node, name)]

    def is_kind_of(self, type: str, other: str) -> bool:
        """True when ``type`` is ``other`` or specialises it."""
        name: str | None = type
        while name is not None:
            if name == other:
                return True
            known = self.definitions.types.get(name)
            name = known.base if known else None
        return False


def _items(step: Step, value: Any, twin: Any) -> Iterator[Node]:
    values = value if isinstance(value, list) else [value]
    if twin is None:
        for item in values:
            if item is not None:
                yield _item(step, item, None)
        return
    for item, extra in zip_longest(values, twin if isinstance(twin, list) else [twin]):
        if item is not None or extra is not None:
            yield _item(step, item, extra)


def _item(step: Step, value: Any, extra: Any) -> Node:
    if step.type in ANY_RESOURCE:
        node = Node.of(value)
        node.element = step.element
        return node
    return Node(value, step.type, step.path, extra, step.element)
