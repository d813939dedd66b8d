"""The search parameters that this server knows, by resource type and code.

A parameter's expression is taken apart into arms (``search.arms``). Each distinct arm of a type is
indexed once, under ``arm_key``; a parameter reads one or several arms.
Source: FHIR R4 searchparameter.html, search.html#ptypes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import blake2b

from fhir_server.definitions import Definitions
from fhir_server.definitions.types import SearchParameterDefinition
from fhir_server.errors import Unprocessable
from fhir_server.fhirpath import ExpressionError, Model, parse
from fhir_server.search.arms import Path, paths
from fhir_server.search.corrections import EXPRESSIONS, NOT_INDEXED, PRIMARY_DATES, USUAL_PRIMARY_DATE
from fhir_server.search.leaves import DECOMPOSED, implicit_systems, leaves, reference_targets


def arm_key(type: str, path: str, kind: str) -> int:
    """The stable 31-bit number under which the values of one arm are kept."""
    digest = blake2b(f"{type}|{path}|{kind}".encode(), digest_size=4).digest()
    return int.from_bytes(digest, "big") >> 1


@dataclass(frozen=True, slots=True)
class SearchParameter:
    """A search parameter as it applies to one resource type.

    ``kind`` is number | date | string | token | reference | composite | quantity | uri | special.
    ``keys`` are the arms whose rows hold its values. ``target`` restricts a reference parameter
    that shares an arm (``patient`` reads ``subject``'s rows of type Patient, no URL of another server);
    ``system`` a token parameter that does (``phone`` reads ``telecom``'s rows of system phone).
    ``targets`` are the types a reference may point to. ``column`` is "id", "updated" or None: the
    parameters ``_id`` and ``_lastUpdated`` are columns of every record. ``identifier_keys`` are the
    token rows of a reference parameter's logical references (``Reference.identifier``). ``implicit`` are the
    value sets of a token parameter that reads ``code`` elements only (("boolean",) for booleans): their
    systems may be named in a search.
    """

    type: str
    code: str
    kind: str
    url: str
    expression: str
    keys: tuple[int, ...]
    target: str | None = None
    system: str | None = None
    targets: tuple[str, ...] = ()
    components: tuple[SearchParameter, ...] = ()
    column: str | None = None
    identifier_keys: tuple[int, ...] = ()
    implicit: tuple[str, ...] = ()
    description: str = ""


@dataclass(frozen=True, slots=True)
class Arm:
    """One path of one type whose values are kept under ``key``.

    ``kind`` says which rows: token, reference, uri, string, date, number, composite, position.
    ``components`` (composites only) are the paths and kinds of each component's alternatives.
    """

    key: int
    type: str
    path: Path
    kind: str
    components: tuple[tuple[Arm, ...], ...] = ()

    @property
    def name(self) -> str:
        """What the key is the number of."""
        inside = ",".join("|".join(f"{arm.path}:{arm.kind}" for arm in part) for part in self.components)
        return f"{self.path}${inside}" if inside else str(self.path)


COLUMNS: Mapping[str, str] = {"_id": "id", "_lastUpdated": "updated"}
ROWS: Mapping[str, str] = {"quantity": "number", "special": "position"}
"""Parameter kind → kind of rows, where the names differ."""


@dataclass(slots=True)
class TypeParameters:
    """What is known of one resource type: its parameters by code and its arms by key."""

    parameters: dict[str, SearchParameter] = field(default_factory=dict)
    arms: dict[int, Arm] = field(default_factory=dict)

    def keep(self, arm: Arm) -> int:
        """Remember ``arm``. Raises Unprocessable when another arm of the type has its number."""
        known = self.arms.setdefault(arm.key, arm)
        if (known.name, known.kind) != (arm.name, arm.kind):
            raise Unprocessable(
                f"the paths {known.name} and {arm.name} of {arm.type} have the same index number"
            )
        return arm.key


class Registry:
    """All parameters of R4 and of the profiles folder, compiled per type when a type is first asked for.

    ``revision`` counts the changes by ``add``, so that what was compiled from it can be made again.
    """

    def __init__(self, definitions: Definitions) -> None:
        self.definitions = definitions
        self.model = Model(definitions)
        self.revision = 0
        self._by_url: dict[str, SearchParameterDefinition] = {}
        self._by_base: dict[str, dict[str, SearchParameterDefinition]] = {}
        self._compiled: dict[str, TypeParameters] = {}
        for definition in definitions.search_parameters:
            self._enter(definition)

    # ── asking ────────────────────────────────────────────────────────────────

    def parameter(self, type: str, code: str) -> SearchParameter:
        """The parameter ``code`` of ``type``. Raises KeyError when there is none."""
        return self.of_type(type).parameters[code]

    def parameters(self, type: str) -> Mapping[str, SearchParameter]:
        """All parameters of ``type`` by code, those of every resource among them."""
        return self.of_type(type).parameters

    def arms(self, type: str) -> Mapping[int, Arm]:
        """All arms of ``type`` by key."""
        return self.of_type(type).arms

    def of_type(self, type: str) -> TypeParameters:
        """What is known of ``type``. Raises KeyError when R4 has no such resource."""
        known = self._compiled.get(type)
        if known is None:
            known = self._compiled[type] = self._compile(type)
        return known

    def primary_dates(self, type: str) -> tuple[tuple[int, ...], ...]:
        """The keys of the parameters that hold the primary clinical date of ``type``, in order of preference."""
        known = self.of_type(type).parameters
        codes = PRIMARY_DATES.get(type, USUAL_PRIMARY_DATE)
        return tuple(known[code].keys for code in codes if code in known)

    # ── changing ──────────────────────────────────────────────────────────────

    def add(self, definition: SearchParameterDefinition) -> None:
        """Add a custom parameter, or put another definition in the place of the one with its URL.

        Raises ExpressionError or Unprocessable when it cannot be used; nothing is changed then.
        """
        for base in definition.base:
            taken = self._by_base.get(base, {}).get(definition.code)
            if taken is not None and taken.url != definition.url:
                raise Unprocessable(f"{base} already has a parameter {definition.code}: {taken.url}")
            self._translate(TypeParameters(), self._example(base), definition)
        self._enter(definition)
        self._compiled.clear()
        self.revision += 1

    def _example(self, base: str) -> str:
        """A type to try a definition for ``base`` on."""
        if base in {"Resource", "DomainResource"}:
            return "Patient"
        if base not in self.definitions.resource_types:
            raise Unprocessable(f"{base} is not a resource type of R4")
        return base

    def _enter(self, definition: SearchParameterDefinition) -> None:
        self._by_url[definition.url] = definition
        for base in definition.base:
            self._by_base.setdefault(base, {})[definition.code] = definition

    # ── compiling ─────────────────────────────────────────────────────────────

    def _compile(self, type: str) -> TypeParameters:
        if type not in self.definitions.resource_types:
            raise KeyError(type)
        known = TypeParameters()
        for definition in self._applicable(type):
            if definition.expression and definition.code not in NOT_INDEXED:
                known.parameters[definition.code] = self._translate(known, type, definition)
        return known

    def _lineage(self, type: str) -> list[str]:
        """``type`` and what it specialises, the most general first."""
        found: list[str] = []
        name: str | None = type
        while name is not None:
            found.insert(0, name)
            name = self.definitions.type(name).base
        return found

    def _applicable(self, type: str) -> Iterator[SearchParameterDefinition]:
        merged: dict[str, SearchParameterDefinition] = {}
        for base in self._lineage(type):
            merged |= self._by_base.get(base, {})
        return iter(merged.values())

    def _translate(
        self, known: TypeParameters, type: str, definition: SearchParameterDefinition
    ) -> SearchParameter:
        """The definition as it applies to ``type``; its arms are kept in ``known``."""
        parameter = SearchParameter(
            type,
            definition.code,
            definition.kind,
            definition.url,
            definition.expression,
            (),
            description=definition.description,
        )
        if definition.code in COLUMNS:
            return replace(parameter, column=COLUMNS[definition.code])
        found = self._paths(type, definition.url, definition.expression)
        if definition.kind == "composite":
            return self._composite(known, parameter, definition, found)
        return self._plain(known, parameter, definition, found)

    def _paths(self, type: str, url: str, expression: str) -> list[Path]:
        text = EXPRESSIONS.get((url, expression), expression)
        found = paths(parse(text), frozenset(self._lineage(type)), frozenset(self.definitions.types))
        if not found:
            raise ExpressionError(text, 0, f"no part of it is about {type}")
        return found

    def _plain(
        self,
        known: TypeParameters,
        parameter: SearchParameter,
        definition: SearchParameterDefinition,
        found: Sequence[Path],
    ) -> SearchParameter:
        found, target, system = _shared_restrictions(found)
        kind = ROWS.get(parameter.kind, parameter.kind)
        arms = [arm for path in found for arm in self._decomposed(parameter.type, path, kind)]
        keys = tuple(dict.fromkeys(map(known.keep, arms)))
        if kind != "reference":
            implicit = implicit_systems(self.model, parameter.type, found) if kind == "token" else ()
            return replace(parameter, keys=keys, system=system, implicit=implicit)
        identifiers = [
            known.keep(_arm(parameter.type, path, "identifier"))
            for path in found
            if leaves(self.model, parameter.type, path, "identifier")
        ]
        return replace(
            parameter,
            keys=keys,
            target=target,
            targets=self._targets(parameter.type, found, target, definition.target),
            identifier_keys=tuple(dict.fromkeys(identifiers)),
        )

    def _decomposed(self, type: str, path: Path, kind: str) -> Iterator[Arm]:
        """The arms of one path: a name or an address is kept by its parts."""
        ends = leaves(self.model, type, path, kind)
        if not ends:
            raise ExpressionError(
                str(path), 0, f"in {type} it leads to nothing that a {kind} parameter can hold"
            )
        parts = DECOMPOSED.get(ends[0], ()) if kind == "string" else ()
        if not parts:
            yield _arm(type, path, kind)
        for part in parts:
            yield _arm(type, path.joined(part), kind)

    def _targets(
        self, type: str, found: Sequence[Path], target: str | None, declared: tuple[str, ...]
    ) -> tuple[str, ...]:
        if target:
            return (target,)
        allowed = frozenset.union(*(reference_targets(self.model, type, path) for path in found))
        both = allowed & frozenset(declared) if allowed and declared else allowed or frozenset(declared)
        return tuple(sorted(both & self.definitions.resource_types))

    # ── composites ────────────────────────────────────────────────────────────

    def _composite(
        self,
        known: TypeParameters,
        parameter: SearchParameter,
        definition: SearchParameterDefinition,
        bases: Sequence[Path],
    ) -> SearchParameter:
        components = tuple(self._component(parameter.type, url) for url, _ in definition.components)
        if len(components) < 2:
            raise Unprocessable(f"the composite {definition.url} needs at least two components")
        keys = []
        for base in bases:
            parts = tuple(
                self._component_arms(parameter.type, definition.url, base, component.kind, expression)
                for component, (_, expression) in zip(components, definition.components, strict=True)
            )
            arm = Arm(0, parameter.type, base, "composite", parts)
            keys.append(known.keep(replace(arm, key=arm_key(parameter.type, arm.name, "composite"))))
        return replace(parameter, keys=tuple(keys), components=components)

    def _component(self, type: str, url: str) -> SearchParameter:
        """The parameter that a component refers to, as far as its values' form goes."""
        definition = self._by_url.get(url)
        if definition is None:
            raise Unprocessable(f"the composite's component {url} is not a known SearchParameter")
        return SearchParameter(type, definition.code, definition.kind, url, definition.expression, ())

    def _component_arms(self, type: str, url: str, base: Path, kind: str, expression: str) -> tuple[Arm, ...]:
        rows = ROWS.get(kind, kind)
        found = paths(parse(EXPRESSIONS.get((url, expression), expression)), frozenset(), frozenset())
        if len({path.from_resource for path in found}) > 1:
            raise ExpressionError(
                expression, 0, "a component reads either its element or %resource, not both"
            )
        arms = tuple(Arm(0, type, path, rows) for path in found)
        whole = (path if path.from_resource else Path((*base.steps, *path.steps)) for path in found)
        if not any(leaves(self.model, type, path, rows) for path in whole):
            raise ExpressionError(
                expression, 0, f"in {type} it leads to nothing that a {kind} component can hold"
            )
        return arms


def _arm(type: str, path: Path, kind: str) -> Arm:
    return Arm(arm_key(type, str(path), kind), type, path, kind)


def _shared_restrictions(found: Sequence[Path]) -> tuple[Sequence[Path], str | None, str | None]:
    """The paths and the restriction that all of them have; one that only some have stays in the path."""
    restrictions = {(path.target, path.system) for path in found}
    if len(restrictions) > 1:
        return [path.kept_whole() for path in found], None, None
    target, system = restrictions.pop()
    return [replace(path, target=None, system=None) for path in found], target, system


__all__ = ["Arm", "Registry", "SearchParameter", "TypeParameters", "arm_key"]
