"""The five operations of a FHIRPath Patch, done on a tree in place.

Source: FHIR R4 fhirpatch.html.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from fhir_server.fhirpath import Expression
from fhir_server.fhirpath.node import Step
from fhir_server.interactions.patches.elements import Content, Place, PlaceModel, contents, keep
from fhir_server.interactions.patches.values import Misfit, append, build
from fhir_server.model.resource import Json


@dataclass(frozen=True, slots=True)
class Target:
    """Where: ``path``; for a list also ``holder``, which finds the element that has it (None: the resource),
    and its ``name`` there."""

    path: Expression
    holder: Expression | None = None
    name: str = ""


@dataclass(frozen=True, slots=True)
class Edit:
    """With what: the ``name`` of a new element, the part that holds its ``value``, places in a list."""

    name: str
    value: Json
    index: int | None = None
    source: int | None = None
    destination: int | None = None


def _add(model: PlaceModel, root: Place, target: Target, edit: Edit) -> None:
    place = _the_one(_found(root, target.path))
    choices = model.steps(place.path or "Element", edit.name)
    if not choices:
        raise Misfit(f"{place.path or place.type} has no element {edit.name[:64]}", "not-found")
    _refuse_second(model, place, choices[0])
    append(place.members, build(model, choices, edit.value))
    _keep_twin(place)


def _refuse_second(model: PlaceModel, place: Place, step: Step) -> None:
    """Of a choice, one type at a time."""
    element = model.definitions.members(place.path or "Element")[step.json_name].element
    spellings = model.steps(place.path or "Element", element.name.removesuffix("[x]"))
    for other in spellings if element.is_choice else ():
        if contents(place.members, other.json_name):
            raise Misfit(f"{other.json_name} is there already; replace it", "duplicate")


def _insert(model: PlaceModel, root: Place, target: Target, edit: Edit) -> None:
    place, step = _list(model, root, target)
    items = contents(place.members, step.json_name)
    index = _within(edit.index, len(items), "index")
    content = build(model, (step,), edit.value).content
    keep(place.members, step.json_name, [*items[:index], content, *items[index:]], True)
    _keep_twin(place)


def _delete(model: PlaceModel, root: Place, target: Target, edit: Edit) -> None:
    """Nothing there: nothing to do. What is left empty around it goes too, as FHIR has no empty elements."""
    found = _found(root, target.path)
    place: Place | None = _the_one(found) if found else None
    while place is not None:
        _write(place, None)
        parent = place.parent
        place = parent if parent is not None and parent.parent is not None and _is_bare(parent) else None


def _is_bare(place: Place) -> bool:
    return Content(place.value, place.extra).is_empty


def _replace(model: PlaceModel, root: Place, target: Target, edit: Edit) -> None:
    place = _the_one(_found(root, target.path))
    _require_inside(place)
    built = build(model, model.choices(place), edit.value)
    if built.step.json_name != place.name:
        _rename(place, built.step.json_name)
    _write(place, built.content)


def _rename(place: Place, name: str) -> None:
    """Give the member that holds ``place`` another name, where it stands."""
    assert place.parent is not None
    holder = place.parent.members
    members = [(name if member == place.name else member, value) for member, value in holder.items()]
    holder.clear()
    holder.update(item for item in members if item[0] != f"_{place.name}")
    place.name = name


def _move(model: PlaceModel, root: Place, target: Target, edit: Edit) -> None:
    place, step = _list(model, root, target)
    items = contents(place.members, step.json_name)
    item = items.pop(_within(edit.source, len(items) - 1, "source"))
    items.insert(_within(edit.destination, len(items), "destination"), item)
    keep(place.members, step.json_name, items, True)


# ── finding and writing ───────────────────────────────────────────────────────


def _found(root: Place, path: Expression) -> list[Place]:
    found: list[Any] = path(root)
    if not all(isinstance(item, Place) for item in found):
        raise Misfit("the path must select elements of the resource, not computed values")
    return found


def _the_one(found: list[Place]) -> Place:
    if not found:
        raise Misfit("the path selects nothing in this resource", "not-found")
    if len(found) > 1:
        raise Misfit(f"the path selects {len(found)} elements; it must select one", "multiple-matches")
    return found[0]


def _list(model: PlaceModel, root: Place, target: Target) -> tuple[Place, Step]:
    """The element that has the list, and how the list is spelled there."""
    place = _the_one(_found(root, target.holder)) if target.holder is not None else root
    steps = model.steps(place.path or "Element", target.name)
    if len(steps) != 1 or not steps[0].is_list:
        raise Misfit(f"{target.name[:64]} is not a list of {place.path or place.type}")
    return place, steps[0]


def _within(number: int | None, most: int, name: str) -> int:
    if number is None or not 0 <= number <= most:
        raise Misfit(f"{name} must be between 0 and {most}" if most >= 0 else "the list is empty")
    return number


def _require_inside(place: Place) -> None:
    if place.parent is None:
        raise Misfit("the whole resource cannot be deleted or replaced; name an element of it")


def _write(place: Place, content: Content | None) -> None:
    """Put ``content`` where ``place`` is; None: remove the element."""
    _require_inside(place)
    assert place.parent is not None
    holder = place.parent.members
    items = contents(holder, place.name)
    items[place.index : place.index + 1] = [] if content is None else [content]
    keep(holder, place.name, items, place.is_list)
    _keep_twin(place.parent)


def _keep_twin(place: Place) -> None:
    """The members of a primitive stand in its twin, which may be new, or empty now."""
    if place.path or place.parent is None or _is_bare(place):
        return
    _write(place, Content(place.value, place.extra or None))


@dataclass(frozen=True, slots=True)
class Kind:
    """What an operation does and the parts it needs besides ``type``; ``on_list``: its path is that of a list."""

    run: Callable[[PlaceModel, Place, Target, Edit], None]
    needs: Mapping[str, type]
    on_list: bool = False


EDITS: Mapping[str, Kind] = {
    "add": Kind(_add, {"path": str, "name": str, "value": dict}),
    "insert": Kind(_insert, {"path": str, "value": dict, "index": int}, on_list=True),
    "delete": Kind(_delete, {"path": str}),
    "replace": Kind(_replace, {"path": str, "value": dict}),
    "move": Kind(_move, {"path": str, "source": int, "destination": int}, on_list=True),
}
