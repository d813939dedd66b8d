"""The closures that walk a resource along a tree of branches.

Source: our own; measured against a plain interpretation of the tree (stack.md §3).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fhir_server.search.branches import Branch, Edge, Test
from fhir_server.search.types import string
from fhir_server.search.types.base import Emit, Rows

FEW = 4
"""Up to so many members it is faster to look for each than to go through all that an object has."""


def walker(branch: Branch) -> Emit:
    """One closure for everything that is to be done with a value at ``branch``."""
    actions = list(branch.emits)
    if branch.names:
        actions.append(string.of_name(branch.names))
    if branch.edges:
        actions.append(_object(branch.edges))
    actions += [_guarded(test, walker(inside)) for test, inside in branch.doors.values()]
    return _sequence(actions)


def _sequence(actions: Sequence[Emit]) -> Emit:
    if len(actions) == 1:
        return actions[0]

    def run(value: Any, rows: Rows) -> None:
        for action in actions:
            action(value, rows)

    return run


def _object(edges: Mapping[tuple[str, int | None], Edge]) -> Emit:
    """The closure for an object: each of its members that leads on is looked up once."""
    actions: dict[str, list[Emit]] = {}
    for (name, index), edge in edges.items():
        actions.setdefault(name, []).append(_edge(edge, index))
    table = {name: _sequence(found) for name, found in actions.items()}
    return _few(table) if len(table) <= FEW else _many(table)


def _few(table: Mapping[str, Emit]) -> Emit:
    """Ask the object for each name: it may have many others."""
    wanted = tuple(table.items())

    def run(value: dict[str, Any], rows: Rows) -> None:
        for name, action in wanted:
            if name in value:
                action(value[name], rows)

    return run


def _many(table: Mapping[str, Emit]) -> Emit:
    """Ask the table for each member: the object has few of the names."""
    find = table.get

    def run(value: dict[str, Any], rows: Rows) -> None:
        for name, item in value.items():
            action = find(name)
            if action is not None:
                action(item, rows)

    return run


def _edge(edge: Edge, index: int | None) -> Emit:
    inside = walker(edge.branch)
    if not edge.is_list:
        return inside
    if index is None:
        return _each(inside)

    def run(value: list[Any], rows: Rows) -> None:
        if index < len(value):
            inside(value[index], rows)

    return run


def _each(inside: Emit) -> Emit:
    def run(value: list[Any], rows: Rows) -> None:
        for item in value:
            if item is not None:
                inside(item, rows)

    return run


def _guarded(test: Test, inside: Emit) -> Emit:
    def run(value: Any, rows: Rows) -> None:
        if test(value):
            inside(value, rows)

    return run
