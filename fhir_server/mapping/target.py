"""Places in a resource (``identifier[resident].value``) and the tree that fields are put into.

A list position is named by a number or a word; the words of one list keep the order in which the mapping first
uses them, and a position that got nothing leaves no hole.
"""

from __future__ import annotations

import re
from typing import Any

_PART = re.compile(r"(?P<name>_?[A-Za-z][A-Za-z0-9]*)(?:\[(?P<key>[A-Za-z0-9_-]+)\])?", re.ASCII)

Part = tuple[str, str | None]
Target = tuple[Part, ...]


def parse_target(text: str) -> Target:
    """``name[0].text`` as ``(("name", "0"), ("text", None))``. Raises ValueError."""
    parts = []
    for piece in text.split("."):
        match = _PART.fullmatch(piece)
        if not match:
            raise ValueError(
                f"{text!r} is not a place in a resource; examples: gender, name[0].text, identifier[card].value"
            )
        parts.append((match["name"], match["key"]))
    return tuple(parts)


def element_path(target: Target) -> str:
    """The element without list positions: ``identifier.value``, as definitions name it."""
    return ".".join(name for name, _ in target)


class Keyed(dict[str, Any]):
    """A list in the making: position name -> value."""


def put(tree: dict[str, Any], target: Target, value: Any) -> None:
    """Set ``value`` at ``target``; an object that is there already is added to, not replaced."""
    node: dict[str, Any] = tree
    for name, key in target[:-1]:
        node = _enter(node, name, key)
    name, key = target[-1]
    if key is not None:
        node, name = node.setdefault(name, Keyed()), key
    present = node.get(name)
    if isinstance(present, dict) and isinstance(value, dict):
        present.update(value)
    else:
        node[name] = value


def finish(tree: Any) -> Any:
    """``tree`` as JSON: ``Keyed`` becomes a list, what is empty is left out."""
    if isinstance(tree, Keyed):
        return [item for item in map(finish, tree.values()) if not _is_empty(item)]
    if isinstance(tree, dict):
        done = {name: finish(value) for name, value in tree.items()}
        return {name: value for name, value in done.items() if not _is_empty(value)}
    if isinstance(tree, list):
        return [item for item in map(finish, tree) if not _is_empty(item)]
    return tree


def _enter(node: dict[str, Any], name: str, key: str | None) -> dict[str, Any]:
    if key is None:
        inner: dict[str, Any] = node.setdefault(name, {})
        return inner
    keyed: Keyed = node.setdefault(name, Keyed())
    item: dict[str, Any] = keyed.setdefault(key, {})
    return item


def _is_empty(value: Any) -> bool:
    return value is None or value in ({}, [])
