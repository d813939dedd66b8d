"""Which codes a value set has, computed from code systems: enumeration, whole systems, is-a filters.

Works on the JSON of CodeSystem and ValueSet; shared by the build script and the running server.
Source: FHIR R4 valueset.html#compositions, codesystem.html#filters.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property
from typing import Any, NamedTuple

Json = Mapping[str, Any]
Find = Callable[[str], Json | None]

CHILD_PROPERTIES = frozenset({"child"})
PARENT_PROPERTIES = frozenset({"parent", "subsumedBy"})


class Concept(NamedTuple):
    """A code of a system; ``display`` is "" when it has none, ``abstract`` true when it may not be chosen."""

    system: str
    code: str
    display: str
    abstract: bool = False


class OpenValueSet(LookupError):
    """The codes cannot be listed from what is here; the text says why."""


class Hierarchy:
    """The concepts of one code system and who is below whom.

    Polyhierarchies count: besides nesting, the properties child, parent and subsumedBy.
    """

    def __init__(self, system: Json) -> None:
        self.concepts: dict[str, Json] = {}
        self.children: dict[str, list[str]] = {}
        self._read(system.get("concept", ()), None)

    def _read(self, concepts: Iterable[Json], parent: str | None) -> None:
        for concept in concepts:
            code = concept["code"]
            self.concepts[code] = concept
            if parent is not None:
                self.children.setdefault(parent, []).append(code)
            self._read_properties(concept, code)
            self._read(concept.get("concept", ()), code)

    def _read_properties(self, concept: Json, code: str) -> None:
        for item in concept.get("property", ()):
            other = item.get("valueCode")
            if other and item["code"] in CHILD_PROPERTIES:
                self.children.setdefault(code, []).append(other)
            elif other and item["code"] in PARENT_PROPERTIES:
                self.children.setdefault(other, []).append(code)

    def descendants(self, code: str) -> set[str]:
        """All codes below ``code``, without itself."""
        found: set[str] = set()
        waiting = list(self.children.get(code, ()))
        while waiting:
            below = waiting.pop()
            if below not in found:
                found.add(below)
                waiting.extend(self.children.get(below, ()))
        return found & self.concepts.keys()

    def ancestors(self, code: str) -> set[str]:
        """All codes above ``code``, without itself."""
        found: set[str] = set()
        waiting = list(self._parents.get(code, ()))
        while waiting:
            above = waiting.pop()
            if above not in found:
                found.add(above)
                waiting.extend(self._parents.get(above, ()))
        return found & self.concepts.keys()

    @cached_property
    def _parents(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for parent, below in self.children.items():
            for code in below:
                found.setdefault(code, []).append(parent)
        return found


def is_abstract(concept: Json) -> bool:
    """True for a concept whose property says that it is only a heading."""
    return any(
        item.get("code") in {"notSelectable", "abstract"} and item.get("valueBoolean") is True
        for item in concept.get("property", ())
    )


def _is_a(tree: Hierarchy, value: str) -> set[str]:
    return tree.descendants(value) | ({value} & tree.concepts.keys())


FILTERS: Mapping[str, Callable[[Hierarchy, str], set[str]]] = {
    "is-a": _is_a,
    "descendent-of": lambda tree, value: tree.descendants(value),
    "is-not-a": lambda tree, value: tree.concepts.keys() - _is_a(tree, value),
    "generalizes": lambda tree, value: tree.ancestors(value) | ({value} & tree.concepts.keys()),
    "in": lambda tree, value: tree.concepts.keys() & set(value.split(",")),
    "not-in": lambda tree, value: tree.concepts.keys() - set(value.split(",")),
}


def _by_property(tree: Hierarchy, name: str, value: str) -> set[str]:
    return {
        code
        for code, concept in tree.concepts.items()
        for item in concept.get("property", ())
        if item["code"] == name and _text(item) == value
    }


def _listed(op: str, value: str) -> list[str]:
    return value.split(",") if op == "in" else [value]


def _has(concept: Json, name: str) -> bool:
    return any(item["code"] == name for item in concept.get("property", ()))


def _text(item: Json) -> str | None:
    for name, value in item.items():
        if name.startswith("value"):
            return str(value).lower() if isinstance(value, bool) else str(value)
    return None


def _filtered(tree: Hierarchy, rule: Json) -> set[str]:
    name, op, value = rule["property"], rule["op"], rule["value"]
    if name == "concept" and op in FILTERS:
        return FILTERS[op](tree, value)
    if name == "code" and op == "regex":
        return {code for code in tree.concepts if re.fullmatch(value, code)}
    if op in {"=", "in"}:
        return set().union(*(_by_property(tree, name, each) for each in _listed(op, value)))
    if op == "exists":
        having = {code for code, concept in tree.concepts.items() if _has(concept, name)}
        return having if value == "true" else tree.concepts.keys() - having
    raise OpenValueSet(f"the filter {name} {op} is not supported")


def expand(value_set: Json, system: Find, other: Find) -> tuple[Concept, ...]:
    """The codes of ``value_set`` in the order of its definition.

    ``system`` and ``other`` find CodeSystems and ValueSets by URL, which may end in ``|version`` (None: not here).
    A value set that cannot be computed but carries a whole expansion is what the expansion says. Raises
    OpenValueSet when a part cannot be listed: the system is not here or not complete.
    """
    return tuple(_expand(value_set, system, other, frozenset()).values())


def _expand(
    value_set: Json, system: Find, other: Find, seen: frozenset[str]
) -> dict[tuple[str, str], Concept]:
    url = value_set.get("url", "")
    if url in seen:
        raise OpenValueSet(f"{url} includes itself")
    try:
        return _composed(value_set, system, other, seen | {url})
    except OpenValueSet:
        ready = _expanded(value_set.get("expansion") or {})
        if ready is None:
            raise
        return ready


def _expanded(expansion: Json) -> dict[tuple[str, str], Concept] | None:
    """What an expansion lists, None when it is a part only or there is none."""
    found: dict[tuple[str, str], Concept] = {}
    waiting = list(expansion.get("contains", ()))
    while waiting:
        item = waiting.pop()
        waiting += item.get("contains", ())
        if "code" in item and "system" in item:
            concept = Concept(
                item["system"], item["code"], item.get("display", ""), item.get("abstract", False)
            )
            found[concept.system, concept.code] = concept
    is_part = expansion.get("offset", 0) > 0 or expansion.get("total", 0) > len(found)
    return None if is_part or not found else found


def _composed(
    value_set: Json, system: Find, other: Find, seen: frozenset[str]
) -> dict[tuple[str, str], Concept]:
    compose = value_set.get("compose") or {}
    if not compose.get("include"):
        raise OpenValueSet(f"{value_set.get('url', 'it')} has no definition of its content")
    found: dict[tuple[str, str], Concept] = {}
    for part in compose["include"]:
        found.update(
            (key, item) for key, item in _part(part, system, other, seen).items() if key not in found
        )
    for part in compose.get("exclude", ()):
        for key in _part(part, system, other, seen):
            found.pop(key, None)
    return found


def _part(part: Json, system: Find, other: Find, seen: frozenset[str]) -> dict[tuple[str, str], Concept]:
    """One include or exclude: what is in its system part and in every value set it names."""
    sides = [_from_system(part, system)] if "system" in part else []
    for reference in part.get("valueSet", ()):
        referred = other(reference)
        if referred is None:
            raise OpenValueSet(f"{reference} is not here")
        sides.append(_expand(referred, system, other, seen))
    if not sides:
        return {}
    first, *rest = sides
    return {key: item for key, item in first.items() if all(key in side for side in rest)}


def _from_system(part: Json, find: Find) -> dict[tuple[str, str], Concept]:
    url = part["system"]
    system = find(f"{url}|{part['version']}" if "version" in part else url)
    if "concept" in part:
        return {(url, item.code): item for item in _enumerated(url, part["concept"], system)}
    if system is None or system.get("content") != "complete":
        raise OpenValueSet(f"the code system {url} is not here in full")
    tree = Hierarchy(system)
    codes: Iterable[str] = tree.concepts
    for rule in part.get("filter", ()):
        chosen = _filtered(tree, rule)
        codes = [code for code in codes if code in chosen]
    return {(url, code): _concept(url, tree.concepts[code]) for code in codes}


def _concept(url: str, concept: Json) -> Concept:
    return Concept(url, concept["code"], concept.get("display", ""), is_abstract(concept))


def _enumerated(url: str, concepts: Iterable[Json], system: Json | None) -> Iterator[Concept]:
    known = Hierarchy(system).concepts if system else {}
    for item in concepts:
        concept = known.get(item["code"], item)
        display = item.get("display") or concept.get("display", "")
        yield Concept(url, item["code"], display, is_abstract(concept))
