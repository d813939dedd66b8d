"""A SearchParameter as published → the parameter of one type and its arms.

Source: FHIR R4 searchparameter.html, search.html#ptypes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from fhir_server.definitions.types import SearchParameterDefinition
from fhir_server.errors import Unprocessable
from fhir_server.fhirpath import ExpressionError, Model, parse
from fhir_server.search.arms import Path, paths
from fhir_server.search.corrections import EXPRESSIONS
from fhir_server.search.leaves import DECOMPOSED, implicit_systems, leaves, reference_targets
from fhir_server.search.parameters import COLUMNS, ROWS, TEXTS, Arm, SearchParameter, TypeParameters, arm_key


class Translator:
    """Takes expressions apart. ``by_url`` are the definitions that a composite's components may refer to."""

    def __init__(self, model: Model, by_url: Mapping[str, SearchParameterDefinition]) -> None:
        self.model = model
        self.definitions = model.definitions
        self._by_url = by_url

    def lineage(self, type: str) -> list[str]:
        """``type`` and what it specialises, the most general first."""
        found: list[str] = []
        name: str | None = type
        while name is not None:
            found.insert(0, name)
            name = self.definitions.type(name).base
        return found

    def translate(
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
            keys = (TEXTS[definition.code],) if definition.code in TEXTS else ()
            return replace(parameter, column=COLUMNS[definition.code], keys=keys)
        found = self._paths(type, definition.url, definition.expression)
        if definition.kind == "composite":
            return self._composite(known, parameter, definition, found)
        return self._plain(known, parameter, definition, found)

    def faults(self, type: str, definition: SearchParameterDefinition) -> list[str]:
        """Why the definition cannot be used for ``type``: of a plain parameter what is wrong with each path."""
        try:
            if definition.kind == "composite":
                self.translate(TypeParameters(), type, definition)
                return []
            found = self._paths(type, definition.url, definition.expression)
        except Unprocessable as error:
            return [str(error)]
        kind = ROWS.get(definition.kind, definition.kind)
        return [text for path in found for text in self._path_faults(type, path, kind)]

    def _path_faults(self, type: str, path: Path, kind: str) -> list[str]:
        try:
            list(self._decomposed(type, path, kind))
        except Unprocessable as error:
            return [str(error)]
        return []

    def _paths(self, type: str, url: str, expression: str) -> list[Path]:
        text = EXPRESSIONS.get((url, expression), expression)
        found = paths(parse(text), frozenset(self.lineage(type)), frozenset(self.definitions.types))
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
        components = tuple(
            self._component(parameter.type, definition.url, bases, *item) for item in definition.components
        )
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

    def _component(
        self, type: str, composite: str, bases: Sequence[Path], url: str, expression: str
    ) -> SearchParameter:
        """The parameter that a component refers to, as far as its values' form goes."""
        definition = self._by_url.get(url)
        if definition is None:
            raise Unprocessable(f"the composite's component {url} is not a known SearchParameter")
        found = SearchParameter(type, definition.code, definition.kind, url, definition.expression, ())
        if definition.kind != "token":
            return found
        inside = _component_paths(composite, expression)
        whole = [_whole(base, path) for base in bases for path in inside]
        return replace(found, implicit=implicit_systems(self.model, type, whole))

    def _component_arms(self, type: str, url: str, base: Path, kind: str, expression: str) -> tuple[Arm, ...]:
        rows = ROWS.get(kind, kind)
        found = _component_paths(url, expression)
        if len({path.from_resource for path in found}) > 1:
            raise ExpressionError(
                expression, 0, "a component reads either its element or %resource, not both"
            )
        arms = tuple(Arm(0, type, path, rows) for path in found)
        if not any(leaves(self.model, type, _whole(base, path), rows) for path in found):
            raise ExpressionError(
                expression, 0, f"in {type} it leads to nothing that a {kind} component can hold"
            )
        return arms


def _component_paths(composite: str, expression: str) -> list[Path]:
    """Where a component of ``composite`` has its value, seen from the base or from the resource."""
    text = EXPRESSIONS.get((composite, expression), expression)
    return paths(parse(text), frozenset(), frozenset())


def _whole(base: Path, path: Path) -> Path:
    """The path of a component from the resource on."""
    return path if path.from_resource else Path((*base.steps, *path.steps))


def _arm(type: str, path: Path, kind: str) -> Arm:
    return Arm(arm_key(type, str(path), kind), type, path, kind)


def _shared_restrictions(found: Sequence[Path]) -> tuple[Sequence[Path], str | None, str | None]:
    """The paths and the restriction that all of them have; one that only some have stays in the path."""
    restrictions = {(path.target, path.system) for path in found}
    if len(restrictions) > 1:
        return [path.kept_whole() for path in found], None, None
    target, system = restrictions.pop()
    return [replace(path, target=None, system=None) for path in found], target, system
