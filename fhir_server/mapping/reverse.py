"""From resources back to the local message: the fields of a map that say ``reverse: true``, and only those.

A resource belongs to a rule when its type and everything the rule sets as a constant agree; a list item belongs to
a field in the same way.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from fhir_server.mapping.origins import Const, Named
from fhir_server.mapping.target import Target
from fhir_server.mapping.types import Block, Field, Map, Part, Rule
from fhir_server.model.exact import loads_exact
from fhir_server.model.resource import Json

Flat = tuple[Target, Field]


def reverse(map: Map, bundle: bytes) -> dict[str, str]:
    """Source place → text, for every reversible field that the resources of ``bundle`` fill.

    Where a rule is repeated for a segment, the segment is numbered as its resources follow each other
    (``DG1[2]-3``). Rules repeated for parts of parts are not reversed.
    """
    resources = [entry["resource"] for entry in loads_exact(bundle)["entry"]]
    texts: dict[str, str] = {}
    for rule in map.rules:
        if len(rule.for_each) <= 1:
            texts.update(_rule_texts(map, rule, resources))
    return texts


def reversible(map: Map) -> list[tuple[Rule, Field]]:
    """The fields that ``reverse`` fills."""
    rules = [rule for rule in map.rules if len(rule.for_each) <= 1]
    return [(rule, field) for rule in rules for _, field in _flat(rule.parts, ()) if field.reverse]


def source_text(map: Map, field: Field) -> str | None:
    """The place in the message that ``field`` reads, None when a named value puts it together from several."""
    origin = map.values[field.origin.name].origin if isinstance(field.origin, Named) else field.origin
    path = getattr(origin, "path", None)
    return None if path is None else str(getattr(path, "text", path))


def _rule_texts(map: Map, rule: Rule, resources: Iterable[Json]) -> Iterator[tuple[str, str]]:
    flat = list(_flat(rule.parts, ()))
    constants = _constants(flat)
    own = [item for item in resources if item["resourceType"] == rule.resource and _agrees(item, constants)]
    for number, resource in enumerate(own, 1):
        for target, field in flat:
            source = source_text(map, field) if field.reverse else None
            text = _undone(map, field, _value(resource, target, constants)) if source else None
            if source and text is not None:
                yield _numbered(source, rule.for_each, number), text


def _flat(parts: tuple[Part, ...], prefix: Target) -> Iterator[Flat]:
    """The fields of ``parts`` with their whole target; those of repeated blocks are left out."""
    for part in parts:
        if isinstance(part, Field):
            yield (*prefix, *part.target), part
        elif isinstance(part, Block) and not part.for_each:
            yield from _flat(part.parts, (*prefix, *part.target))


def _constants(flat: list[Flat]) -> list[tuple[Target, Any]]:
    return [
        (target, field.origin.value)
        for target, field in flat
        if isinstance(field.origin, Const) and isinstance(field.origin.value, str) and not field.when
    ]


def _agrees(resource: Json, constants: list[tuple[Target, Any]]) -> bool:
    """True when every constant outside a list is in the resource (an item of a list may be absent)."""
    plain = [(target, value) for target, value in constants if all(key is None for _, key in target)]
    return all(
        str(_value(resource, target, [])).lower() in {value.lower(), "none"} for target, value in plain
    )


def _value(resource: Any, target: Target, constants: list[tuple[Target, Any]]) -> Any:
    node = resource
    for at, (name, key) in enumerate(target):
        node = node.get(name) if isinstance(node, dict) else None
        if key is not None and node is not None:
            node = _item(node, target[: at + 1], constants)
    return node


def _item(items: list[Any], target: Target, constants: list[tuple[Target, Any]]) -> Any:
    """The list item that agrees with all constants set under ``target``."""
    under = [(inner[len(target) :], value) for inner, value in constants if inner[: len(target)] == target]
    for item in items:
        if all(_value(item, rest, _below(target, constants)) == value for rest, value in under):
            return item
    return None


def _below(target: Target, constants: list[tuple[Target, Any]]) -> list[tuple[Target, Any]]:
    return [(inner[len(target) :], value) for inner, value in constants if inner[: len(target)] == target]


def _undone(map: Map, field: Field, value: Any) -> str | None:
    """The source's text for ``value``: first the field's own finish undone, then that of the value it names."""
    if value is None or field.undo is None:
        return None
    text = field.undo(value)
    if text is None or not isinstance(field.origin, Named):
        return text
    undo = map.values[field.origin.name].undo
    return undo(text) if undo else None


def _numbered(source: str, for_each: tuple[str, ...], number: int) -> str:
    name = for_each[0] if for_each else None
    return f"{name}[{number}]{source[len(name) :]}" if name and source.startswith(f"{name}-") else source


__all__ = ["reverse", "reversible", "source_text"]
