"""FHIRPath Patch: a Parameters whose operations name what they change by FHIRPath.

Source: FHIR R4 fhirpatch.html.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from fhir_server.definitions import Definitions
from fhir_server.errors import InvalidContent, Issue, Unprocessable
from fhir_server.fhirpath import ExpressionError, compile_expression, compile_tree
from fhir_server.fhirpath.ast import Member
from fhir_server.interactions.patches.edits import EDITS, Edit, Target
from fhir_server.interactions.patches.elements import Place, PlaceModel
from fhir_server.interactions.patches.values import Misfit, value_of
from fhir_server.interactions.write import require_valid
from fhir_server.model.exact import loads_exact
from fhir_server.model.resource import Json, Resource

MOST_OPERATIONS = 1_000
MOST_CHARACTERS = 4_000
Validate = Callable[[Json], list[Issue]]


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation: what it does, where, and with what. ``number`` counts from 0."""

    number: int
    kind: str
    target: Target
    edit: Edit

    @property
    def expression(self) -> str:
        """Where it stands."""
        return f"Parameters.parameter[{self.number}]"


def parse(definitions: Definitions, validate: Validate, body: bytes) -> Callable[[Any], Any]:
    """The change that the Parameters in ``body`` describes.

    Raises InvalidContent with the fault of every operation, Unprocessable when it is no valid Parameters.
    """
    resource = Resource.parse(body)
    if resource.type != "Parameters":
        raise InvalidContent(
            f"a FHIRPath Patch is a Parameters, not a {resource.type}",
            expression="resourceType",
            code="invalid",
        )
    require_valid(validate(resource.data))
    model = _model(definitions)
    parameters = loads_exact(resource.raw).get("parameter", [])
    if len(parameters) > MOST_OPERATIONS:
        raise InvalidContent(f"a patch has at most {MOST_OPERATIONS} operations", code="too-costly")
    reader = _Reader(model)
    operations = [reader.operation(number, item) for number, item in enumerate(parameters)]
    if reader.faults:
        raise InvalidContent(issues=reader.faults)
    return lambda tree: _apply(model, [item for item in operations if item is not None], tree)


@lru_cache(maxsize=4)
def _model(definitions: Definitions) -> PlaceModel:
    return PlaceModel(definitions)


def _apply(model: PlaceModel, operations: list[Operation], tree: Json) -> Json:
    for operation in operations:
        try:
            EDITS[operation.kind].run(model, Place.root(tree), operation.target, operation.edit)
        except Misfit as error:
            raise _unfit(operation, str(error), error.code) from error
        except ExpressionError as error:
            raise _unfit(operation, str(error), "value") from error
    return tree


def _unfit(operation: Operation, text: str, code: str) -> Unprocessable:
    return Unprocessable(
        f"the {operation.kind} cannot be done: {text}", expression=operation.expression, code=code
    )


class _Reader:
    """Reads operations and gathers what is wrong with them in ``faults``."""

    def __init__(self, model: PlaceModel) -> None:
        self.faults: list[Issue] = []
        self._model = model

    def operation(self, number: int, item: Json) -> Operation | None:
        """The operation in one parameter; None when it has faults."""
        place, before = f"Parameters.parameter[{number}]", len(self.faults)
        if item.get("name") != "operation":
            self._fault("each parameter of a patch is called operation", f"{place}.name")
            return None
        parts = {part.get("name"): (index, part) for index, part in enumerate(item.get("part", ()))}
        told = {name: part for name, (_, part) in parts.items()}
        kind = _simple(told, "type")
        if not isinstance(kind, str) or kind not in EDITS:
            self._fault(f"the type of an operation is one of {', '.join(EDITS)}", place)
            return None
        for name in self._missing(EDITS[kind].needs, told):
            self._fault(f"{kind} needs a part called {name}", place, "required")
        target = self._target(_simple(told, "path"), kind, f"{place}.part[{parts.get('path', (0,))[0]}]")
        if len(self.faults) > before or target is None:
            return None
        numbers = {name: _simple(told, name) for name in ("index", "source", "destination")}
        return Operation(
            number, kind, target, Edit(_simple(told, "name") or "", told.get("value", {}), **numbers)
        )

    def _missing(self, needs: Mapping[str, type], told: Mapping[str, Json]) -> Iterator[str]:
        for name, kind in needs.items():
            if name not in told if kind is dict else type(_simple(told, name)) is not kind:
                yield name

    def _target(self, path: Any, kind: str, place: str) -> Target | None:
        if not isinstance(path, str):
            return None
        if len(path) > MOST_CHARACTERS:
            self._fault(f"a path has at most {MOST_CHARACTERS} characters", place)
            return None
        try:
            return _target(path, EDITS[kind].on_list, self._model)
        except (ExpressionError, ValueError) as error:
            self._fault(f"the path cannot be used: {error}", place)
            return None

    def _fault(self, text: str, expression: str, code: str = "invalid") -> None:
        self.faults.append(Issue("error", code, text, expression))


def _simple(parts: Mapping[str, Json], name: str) -> Any:
    """The value of a part that holds a primitive; None when there is none."""
    given = value_of(parts[name]) if name in parts else None
    return given[1].value if given else None


@lru_cache(maxsize=1024)
def _target(path: str, on_list: bool, model: PlaceModel) -> Target:
    """Raises ExpressionError, and ValueError for a path that should be a list's and is not."""
    expression = compile_expression(path, model)
    if not on_list:
        return Target(expression)
    tree = expression.tree
    if not isinstance(tree, Member):
        raise ValueError("it must end with the name of a list: Patient.name")
    holder = compile_tree(tree.source, model, path) if tree.source is not None else None
    return Target(expression, holder, tree.name)
