"""R4's own invariants on R4's own examples: each can be evaluated, and none is broken but by a known defect."""

from __future__ import annotations

import tarfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fhir_server.definitions import load_definitions
from fhir_server.definitions.types import Constraint
from fhir_server.fhirpath import Expression, Model, Node, compile_expression
from fhir_server.fhirpath.scope import Scope, Services
from fhir_server.model.exact import loads_exact

LARGEST = 60_000
"""Bytes of an example; with ``--long`` all are looked at."""
DEFECTIVE = {
    "que-7": (
        1,
        "the invariant tests for System.Boolean what is a FHIR boolean (N1 §6.3, R4 fhirpath.html#types)",
    ),
    "txt-1": (3, "three narratives say nothing"),
    "txt-2": (3, "three narratives say nothing"),
}
"""Invariant → in how many examples at most it is broken, and why."""
QUIET = Services(trace=lambda name, items: None)


class Invariants:
    """Evaluates what the definitions demand of each element of a resource."""

    def __init__(self) -> None:
        self.definitions = load_definitions()
        self.model = Model(self.definitions)
        self.compiled: dict[str, Expression] = {}
        self.evaluated = 0

    def broken(self, resource: dict[str, Any]) -> set[str]:
        """The keys of the errors that ``resource`` has."""
        root = Node.of(resource)
        return {key for node, inside in self.nodes(root, root) for key in self.faults(node, inside, root)}

    def nodes(self, node: Node, resource: Node) -> Iterator[tuple[Node, Node]]:
        yield node, resource
        for child in self.model.children(node):
            yield from self.nodes(child, child if child.type in self.definitions.resource_types else resource)

    def faults(self, node: Node, resource: Node, root: Node) -> Iterator[str]:
        for constraint in self.constraints(node):
            run = self.compiled.get(constraint.expression)
            if run is None:
                run = compile_expression(constraint.expression, self.model)
                self.compiled[constraint.expression] = run
            self.evaluated += 1
            variables = {"%resource": [resource], "%rootResource": [root], "%context": [node]}
            found = run(node, Scope(variables, services=QUIET))
            if [getattr(item, "value", item) for item in found] == [False]:
                yield constraint.key

    def constraints(self, node: Node) -> Iterator[Constraint]:
        own = () if node.element is None else node.element.constraints
        yield from (item for item in own if item.severity == "error")
        kind = self.definitions.types.get(node.type)
        while kind is not None:
            yield from (item for item in kind.root.constraints if item.severity == "error")
            kind = self.definitions.types.get(kind.base) if kind.base else None


def examples(archive: Path, largest: float) -> Iterator[tuple[str, dict[str, Any]]]:
    with tarfile.open(archive, "r:xz") as members:
        for member in members:
            content = members.extractfile(member) if member.name.endswith(".json") else None
            if content is None or member.size > largest:
                continue
            resource = loads_exact(content.read())
            if isinstance(resource, dict) and "resourceType" in resource:
                yield member.name, resource


def test_the_examples_keep_the_invariants(shared: Path, request: pytest.FixtureRequest) -> None:
    archive = shared / "data" / "r4-examples.tar.xz"
    if not archive.is_file():
        pytest.skip(f"the pack {archive} is not here")
    invariants = Invariants()
    largest = float("inf") if request.config.getoption("--long") else LARGEST
    broken = Counter(key for _, example in examples(archive, largest) for key in invariants.broken(example))
    assert invariants.evaluated > 20_000
    assert all(key in DEFECTIVE and often <= DEFECTIVE[key][0] for key, often in broken.items()), broken


def test_a_planted_error_is_seen() -> None:
    group = {"contact": [{"gender": "female"}], "text": {"status": "generated", "div": "<div>x</div>"}}
    assert Invariants().broken({"resourceType": "Patient", **group}) == {"pat-1", "txt-1", "txt-2"}


def test_every_invariant_compiles() -> None:
    invariants = Invariants()
    texts = {
        constraint.expression
        for kind in invariants.definitions.types.values()
        for element in kind.elements.values()
        for constraint in element.constraints
    }
    assert len(texts) > 150
    assert all(compile_expression(text, invariants.model) for text in texts)
