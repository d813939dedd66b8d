"""``_filter`` → a criterion, built from the same leaves and chains as the parameters of a URL.

``subject.name co "pet"`` is a chain, ``subject[name co "pet"].birthdate gt 2000`` one whose end satisfies both. Two
names stand for composites: ``characteristic`` of Group and ``relatesTo`` of DocumentReference.
Source: FHIR R4 search_filter.html.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple, Protocol

from fhir_server.search.clauses import AllOf, AnyOf, Clause, Criterion, Not
from fhir_server.search.comparisons import compared
from fhir_server.search.faults import Refusal, Unknown
from fhir_server.search.filter_syntax import Comparison, Negation, Step, Tree, read_filter
from fhir_server.search.parameters import SearchParameter
from fhir_server.search.types.base import Reading
from fhir_server.search.values import CompositeValue


class Place(Protocol):
    """A type of resource that a filter, or a part of it, is about."""

    @property
    def type(self) -> str:
        """The type's name."""

    @property
    def reading(self) -> Reading:
        """What values are read with."""

    def parameter(self, code: str) -> SearchParameter:
        """A search parameter of the type. Raises Unknown."""

    def through(self, reference: str, wanted: str, inner: Callable[[Place], Criterion]) -> Criterion:
        """What ``inner`` asks of the resource that ``reference`` (``subject`` or ``subject:Patient``) leads to.

        ``wanted`` is the name that must be known there. Raises Unknown and Refusal.
        """


class Parts(NamedTuple):
    """A name that needs a filter and a further name: the composite it stands for, and the place of each child."""

    composite: str
    children: Mapping[str, int]


PARTS: Final[Mapping[tuple[str, str], Parts]] = {
    ("Group", "characteristic"): Parts("characteristic-value", {"code": 0, "value": 1}),
    ("DocumentReference", "relatesTo"): Parts("relationship", {"target": 0, "code": 1}),
}


def parse_filter(text: str, place: Place) -> Criterion:
    """What ``text`` asks of a resource of ``place``. Raises ValueError and Refusal that name the position."""
    try:
        return _criterion(read_filter(text), place)
    except Unknown as error:
        raise Refusal(str(error), error.code) from error


def _criterion(tree: Tree, place: Place) -> Criterion:
    if isinstance(tree, Comparison):
        return _placed(tree, place)
    if isinstance(tree, Negation):
        return Not(_criterion(tree.inner, place))
    both = (_criterion(tree.left, place), _criterion(tree.right, place))
    return AllOf(both) if tree.operator == "and" else AnyOf(both)


def _placed(comparison: Comparison, place: Place) -> Criterion:
    """The criterion of a comparison; its faults say where it stands."""
    where = f" (the comparison at position {comparison.position})"
    try:
        return _along(comparison.path, comparison, place)
    except Refusal as error:
        text = str(error)
        raise type(error)(text if "(the comparison at" in text else text + where, error.code) from error
    except ValueError as error:
        text = str(error)
        raise ValueError(text if "(the comparison at" in text else text + where) from error


def _along(path: Sequence[Step], comparison: Comparison, place: Place) -> Criterion:
    step, rest = path[0], path[1:]
    parts = PARTS.get((place.type, step.name))
    if parts is not None and rest:
        return _of_parts(parts, step, rest, comparison, place)
    if not rest:
        return compared(place.parameter(step.name), comparison.operator, comparison.value, place.reading)

    def inner(target: Place) -> Criterion:
        found = _along(rest, comparison, target)
        return found if step.filter is None else AllOf((_criterion(step.filter, target), found))

    return place.through(step.name, rest[0].name, inner)


def _of_parts(
    parts: Parts, step: Step, rest: Sequence[Step], comparison: Comparison, place: Place
) -> Criterion:
    """``characteristic[code eq x].value eq y``: one value of the composite."""
    condition, children = step.filter, " and ".join(parts.children)
    if (
        not isinstance(condition, Comparison)
        or condition.operator != "eq"
        or {_only(condition.path), _only(rest)} != set(parts.children)
    ):
        raise ValueError(
            f"{step.name} has the parts {children}: one is compared by eq in [ ], the other after it"
        )
    composite = place.parameter(parts.composite)
    found: dict[int, object] = {}
    for name, each in ((_only(condition.path), condition), (_only(rest), comparison)):
        component = composite.components[parts.children[name]]
        found[parts.children[name]] = _value(component, each, place.reading)
    return Clause(composite, None, (CompositeValue((found[0], found[1])),))


def _only(path: Sequence[Step]) -> str:
    return path[0].name if len(path) == 1 else ""


def _value(component: SearchParameter, comparison: Comparison, reading: Reading) -> object:
    leaf = compared(component, comparison.operator, comparison.value, reading)
    if not isinstance(leaf, Clause) or leaf.modifier is not None:
        raise ValueError(f"{comparison.operator} cannot be used inside a pair of values")
    return leaf.values[0]
