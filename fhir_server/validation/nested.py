"""Where a resource type can hold further resources: ``Bundle.entry.resource``, ``Parameters.parameter.resource`` …"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from fhir_server.definitions import Definitions
from fhir_server.definitions.types import Member


class Branch(NamedTuple):
    """A member on the way to a resource: ``path`` is where it leads to, None when it is the resource itself."""

    name: str
    path: str | None


Nested = Mapping[str, tuple[Branch, ...]]


def nested_branches(definitions: Definitions, type: str) -> Nested:
    """The branches of ``type`` that end at a resource, by path; ``contained`` is not among them."""
    inner = _inner(definitions, type)
    leading: set[str] = set()
    while more := {path for path, found in inner.items() if any(_leads(m, leading) for m in found)} - leading:
        leading |= more
    return {
        path: tuple(
            Branch(member.json_name, None if member.type == "Resource" else member.path)
            for member in inner[path]
            if _leads(member, leading)
        )
        for path in leading
    }


def _inner(definitions: Definitions, type: str) -> dict[str, list[Member]]:
    """The members of ``type`` and of every element inside it, by path."""
    found: dict[str, list[Member]] = {}
    pending = [type]
    while pending:
        path = pending.pop()
        if path not in found:
            found[path] = [m for m in definitions.members(path).values() if m.json_name != "contained"]
            pending.extend(m.path for m in found[path] if m.path.startswith(f"{type}."))
    return found


def _leads(member: Member, leading: set[str]) -> bool:
    return member.type == "Resource" or member.path in leading


def nested_resources(
    branches: Nested, type: str, data: Mapping[str, Any], expression: str
) -> Iterator[tuple[str, Any]]:
    """The resources inside ``data`` in document order, each with its FHIRPath below ``expression``."""
    pending: list[tuple[str, str | None, Any]] = [(expression, type, data)]
    while pending:
        place, path, node = pending.pop()
        if path is None:
            yield place, node
        elif isinstance(node, dict):
            below = [item for branch in branches[path] for item in _items(place, branch, node)]
            pending.extend(reversed(below))


def _items(expression: str, branch: Branch, node: Mapping[str, Any]) -> Iterator[tuple[str, str | None, Any]]:
    value = node.get(branch.name)
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield f"{expression}.{branch.name}[{index}]", branch.path, item
    elif value is not None:
        yield f"{expression}.{branch.name}", branch.path, value
