"""Second looks in Python at shapes that a JSON Schema cannot weigh: choices, twins of primitives, references.

Each function gives the faults it finds; none means that the schema's refusal does not stand.
Source: FHIR R4 json.html#primitive, formats.html#choice, references.html#contained.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from jsonschema_rs import ValidationError

from fhir_server.definitions import Definitions
from fhir_server.errors import Issue
from fhir_server.validation.place import Place, plain_name
from fhir_server.validation.schema import choices, reference_targets


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a judgement may need beyond its place.

    ``contained`` has the types of the contained resources by id; ``errors_of(type, value)`` are the
    engine's errors of a value by its data type's own schema.
    """

    definitions: Definitions
    errors_of: Callable[[str, Any], Iterable[ValidationError]]
    contained: Mapping[str, str] = field(default_factory=dict)


def fault(code: str, text: str, place: Place, below: str = "") -> Issue:
    """An error issue at ``place``, or at the member ``below`` it."""
    return Issue("error", code, text, f"{place.expression}.{below}" if below else place.expression)


def judge_choices(around: Surroundings, place: Place) -> Iterator[Issue]:
    """Of each choice under ``place`` at most one type may be there, and one must be when it is required."""
    for element, names in choices(around.definitions, place.path).values():
        present = [name for name in names if name in place.value or f"_{name}" in place.value]
        if len(present) > 1:
            both = ", ".join(present)
            yield fault(
                "structure",
                f"only one type of {element.name} may be given, not {both}",
                place,
                plain_name(element),
            )
        if element.min and not present:
            text = f"{element.name} is required (at least 1), as one of: {', '.join(names)}"
            yield fault("required", text, place, plain_name(element))


def judge_companions(around: Surroundings, place: Place) -> Iterator[Issue]:
    """``_given`` must be as long as ``given``, and no position may be null in both. ``place`` is ``_given``."""
    assert place.owner is not None
    name, companions = place.name.removeprefix("_"), place.value
    values = place.owner.value.get(name)
    if not isinstance(companions, list) or not (values is None or isinstance(values, list)):
        return
    if values is not None and len(values) != len(companions):
        text = f"{name} and _{name} must have the same number of entries; null stands for a missing one"
        yield fault("structure", text, place)
        return
    for index, companion in enumerate(companions):
        if companion is None and (values is None or values[index] is None):
            text = f"{name} and _{name} may not both be missing at the same position"
            yield Issue("error", "structure", text, f"{place.expression}[{index}]")


def judge_null(around: Surroundings, place: Place) -> Iterator[Issue]:
    """Null may stand only in an array of primitives, where the extension in ``_member`` gives the value."""
    if place.index is None or place.owner is None or place.is_companion or place.path:
        yield fault("structure", f"{place.label} may not be null: leave the member out", place)
        return
    companions = place.owner.value.get(f"_{place.name}")
    if not (isinstance(companions, list) and place.index < len(companions) and companions[place.index]):
        text = f"null in {place.name} needs an extension at the same position of _{place.name}"
        yield fault("structure", text, place)


def judge_reference(around: Surroundings, place: Place) -> Iterator[Issue]:
    """``Reference.reference``: the right kind of address, an allowed type, and a contained resource that exists."""
    text: str = place.value
    targets = _targets(place)
    if text.startswith("#"):
        yield from _judge_local(around, place, text[1:], targets)
        return
    type = text.partition("?")[0].partition("/")[0]
    if type not in around.definitions.resource_types:
        shapes = "Type/id, Type/id/_history/version, #id of a contained resource, an absolute URL or a URN"
        yield fault("value", f"reference must be one of: {shapes}", place)
    elif targets and type not in targets:
        yield fault("value", f"reference must point to {_any_of(targets)}, not to {type}", place)
    else:
        yield fault(
            "value", f"reference must be Type/id with an id of letters, digits, - and .: {type}/…", place
        )


def _judge_local(around: Surroundings, place: Place, id: str, targets: tuple[str, ...]) -> Iterator[Issue]:
    if not id:
        return
    type = around.contained.get(id)
    if type is None:
        yield fault(
            "invariant",
            "reference points to no contained resource: there is none with this id (ref-1)",
            place,
        )
    elif targets and type not in targets and type in around.definitions.resource_types:
        yield fault("value", f"reference must point to {_any_of(targets)}, not to a contained {type}", place)


def _targets(place: Place) -> tuple[str, ...]:
    holder = place.owner.element if place.owner else None
    return reference_targets(holder) if holder else ()


def _any_of(names: tuple[str, ...]) -> str:
    return names[0] if len(names) == 1 else f"one of {', '.join(names)}"


def contained_types(resource: Mapping[str, Any]) -> dict[str, str]:
    """The contained resources' types by id, as far as they are well formed."""
    contained = resource.get("contained")
    entries = contained if isinstance(contained, list) else []
    return {
        entry["id"]: str(entry.get("resourceType"))
        for entry in entries
        if isinstance(entry, dict) and isinstance(entry.get("id"), str)
    }
