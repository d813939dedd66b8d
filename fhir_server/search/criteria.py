"""``name=value`` → what a resource of a type must satisfy: chains, ``_has``, ``_list`` and the plain ones.

What canonical URLs lead to is looked up while this is read, so that stores know nothing of it.
Source: FHIR R4 search.html#chaining, search.html#has, search.html#list.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, NamedTuple

from fhir_server.search.canonicals import canonical_types, is_canonical
from fhir_server.search.clauses import AnyOf, Chain, Clause, Criterion, Has
from fhir_server.search.contained import inside_too
from fhir_server.search.faults import Refusal, Unknown
from fhir_server.search.filter import Place, parse_filter
from fhir_server.search.modifiers import checked_target, read_clause
from fhir_server.search.registry import Registry, SearchParameter
from fhir_server.search.related import listed_parameter
from fhir_server.search.types.base import Reading
from fhir_server.search.types.reference import named_by
from fhir_server.search.values import Looked, ReferenceValue, TokenValue

DEEPEST = 32
"""Links of a chain, ``_has`` among them."""
WIDEST = 1000
"""Relations that one parameter may come to, through all types that its references may lead to."""


class Criteria:
    """Reads criteria for resources of any type."""

    def __init__(self, registry: Registry, reading: Reading) -> None:
        self.registry = registry
        self.reading = reading
        self._relations = 0
        self._asked = ""

    def criterion(self, type: str, name: str, value: str) -> Criterion:
        """What ``name=value`` asks of a resource of ``type``. Raises Unknown, Refusal and ValueError."""
        if name.count(".") + name.count("_has:") > DEEPEST:
            raise Refusal(f"a chain has at most {DEEPEST} links", "too-costly")
        self._relations = 0
        self._asked = f"{name}={value}"
        return self._read(type, name, value)

    def _read(self, type: str, name: str, value: str) -> Criterion:
        if name.startswith("_has:"):
            return self._has(type, name, value)
        head, dot, rest = name.partition(".")
        if dot:
            return self.through(type, head, _first(rest), lambda target: self._read(target, rest, value))
        code, _, modifier = name.partition(":")
        special = SPECIAL.get(code)
        if special is not None:
            return special(self, type, modifier, value)
        return read_clause(self.parameter(type, code), modifier, value, self.reading)

    # ── chains ────────────────────────────────────────────────────────────────

    def through(self, type: str, head: str, wanted: str, read: Callable[[str], Criterion]) -> Criterion:
        """``subject:Patient.name``, ``subject.name``: what ``read`` asks of the types that ``head`` leads to.

        ``wanted`` is the parameter that is asked for there. Raises Unknown, Refusal and ValueError.
        """
        code, _, target = head.partition(":")
        parameter = self._reference(type, code)
        if target:
            return self._link(parameter, self._target(parameter, target), read)
        types: Sequence[str] = parameter.targets or sorted(self.registry.definitions.resource_types)
        if is_canonical(self.registry, parameter):
            types = canonical_types(self.registry, parameter)
        if len(types) == 1:
            return self._link(parameter, types[0], read)
        links = list(self._links(parameter, types, wanted, read))
        if not links:
            raise Unknown(f"nothing that {code} refers to has a search parameter {wanted}")
        return links[0] if len(links) == 1 else AnyOf(tuple(links))

    def _links(
        self, parameter: SearchParameter, types: Iterable[str], wanted: str, read: Callable[[str], Criterion]
    ) -> Iterable[Criterion]:
        """A chain to each of ``types`` that has ``wanted``."""
        for type in types:
            try:
                yield self._link(parameter, type, read)
            except Unknown:
                continue
            except ValueError as error:
                raise ValueError(f"{parameter.code}:{type}.{wanted}: {error}") from error

    def _link(self, parameter: SearchParameter, type: str, read: Callable[[str], Criterion]) -> Criterion:
        self._count()
        chain = Chain(parameter, type, read(type))
        if not is_canonical(self.registry, parameter):
            return inside_too(chain)
        self._require_url(parameter, type)
        base = self.reading.base_url
        values = [each for one in self.reading.lookups.identities(chain) for each in named_by(*one, base)]
        return self._listed(parameter, type, values or [ReferenceValue("", "")])

    def _require_url(self, parameter: SearchParameter, type: str) -> None:
        if type not in canonical_types(self.registry, parameter):
            raise Refusal(f"{parameter.code} holds canonical URLs, and a {type} has none", "invalid")

    def _target(self, parameter: SearchParameter, type: str) -> str:
        if type not in self.registry.definitions.resource_types:
            raise Refusal(f"there is no resource type {type[:64]}", "invalid")
        return checked_target(parameter, type)

    # ── _has and _list ────────────────────────────────────────────────────────

    def _has(self, type: str, name: str, value: str) -> Criterion:
        """``_has:Observation:patient:code``."""
        _, source, code, rest = (*name.split(":", 3), "", "", "")[:4]
        if not rest:
            raise Refusal(
                "the form is _has:Type:reference:parameter, as in _has:Observation:patient:code", "invalid"
            )
        if source not in self.registry.definitions.resource_types:
            raise Refusal(f"there is no resource type {source[:64]}", "invalid")
        parameter = self._reference(source, code)
        if parameter.targets and type not in parameter.targets:
            raise Refusal(
                f"{source}.{code} refers to {', '.join(parameter.targets)}, not to {type}", "invalid"
            )
        self._count()
        has = Has(source, parameter, self._read(source, rest, value))
        if not is_canonical(self.registry, parameter):
            return has
        self._require_url(parameter, type)
        ids = self.reading.lookups.referred(has, type)
        return self._listed(listed_parameter(type), type, [TokenValue(None, id) for id in ids or [""]])

    def _listed(self, parameter: SearchParameter, type: str, values: Iterable[Any]) -> Clause:
        """Any of ``values``, which were looked up for ``type``; there is always one, if one that nothing has."""
        return Clause(parameter, None, Looked.of(f"{type} {self._asked}", dict.fromkeys(values)))

    def list(self, type: str, modifier: str, value: str) -> Criterion:
        """``_list=42``: what stands in the List with this id."""
        if modifier:
            raise Refusal(f"_list has no modifier :{modifier}", "invalid")
        if value.startswith("$"):
            raise Refusal("functional lists as $current-allergies are not supported; name the id of a List")
        return self._has(type, "_has:List:item:_id", value)

    def filter(self, type: str, modifier: str, value: str) -> Criterion:
        """``_filter=name co "pet"``."""
        if modifier:
            raise Refusal(f"_filter has no modifier :{modifier}", "invalid")
        return parse_filter(value, _Place(self, type))

    # ── what there is ─────────────────────────────────────────────────────────

    def _reference(self, type: str, code: str) -> SearchParameter:
        parameter = self.parameter(type, code)
        if parameter.kind != "reference":
            raise Unknown(
                f"{type}.{code} is a {parameter.kind} parameter; only a reference leads to another resource",
                "invalid",
            )
        return parameter

    def parameter(self, type: str, code: str) -> SearchParameter:
        """The parameter ``code`` of ``type``. Raises Unknown."""
        known = self.registry.parameters(type)
        parameter = known.get(code)
        if parameter is None:
            raise Unknown(_unknown_text(type, code, known))
        return parameter

    def _count(self) -> None:
        self._relations += 1
        if self._relations > WIDEST:
            raise Refusal(
                "it leads to too many types of resources; name them, as in subject:Patient.name", "too-costly"
            )


def _refuse_query(criteria: Criteria, type: str, modifier: str, value: str) -> Criterion:
    raise Refusal("the parameter _query is not supported: this server has no named queries")


def _refuse_types(criteria: Criteria, type: str, modifier: str, value: str) -> Criterion:
    raise Refusal("_type belongs to a search of the whole system: GET [base]?_type=…", "invalid")


class _Place(NamedTuple):
    """A type that a filter is about: see ``filter.Place``."""

    criteria: Criteria
    type: str

    @property
    def reading(self) -> Reading:
        return self.criteria.reading

    def parameter(self, code: str) -> SearchParameter:
        return self.criteria.parameter(self.type, code)

    def through(self, reference: str, wanted: str, inner: Callable[[Place], Criterion]) -> Criterion:
        def read(type: str) -> Criterion:
            return inner(_Place(self.criteria, type))

        return self.criteria.through(self.type, reference, wanted, read)


SPECIAL: Mapping[str, Callable[[Criteria, str, str, str], Criterion]] = {
    "_filter": Criteria.filter,
    "_list": Criteria.list,
    "_query": _refuse_query,
    "_type": _refuse_types,
}
"""Criteria that are no search parameters of a type: code → what reads (type, modifier, value)."""


def _first(name: str) -> str:
    return name.partition(".")[0].partition(":")[0]


def _unknown_text(type: str, code: str, known: Mapping[str, SearchParameter]) -> str:
    near = get_close_matches(code, known, n=1)
    hint = f"did you mean {near[0]}?" if near else "those it has are in the CapabilityStatement at metadata"
    return f"{type} has no search parameter {code or '(without a name)'}; {hint}"
