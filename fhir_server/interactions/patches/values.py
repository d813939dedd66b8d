"""The value that an operation of a FHIRPath Patch carries, as the JSON of the element it is meant for.

A value comes as ``value[x]``, as a ``resource``, or, for elements whose type has no name, as parts.
Source: FHIR R4 fhirpatch.html, parameters.html.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from fhir_server.fhirpath.node import ANY_RESOURCE, Model, Step
from fhir_server.interactions.patches.elements import Content, contents, keep
from fhir_server.model.resource import Json


class Misfit(Exception):
    """Why an operation cannot be done on this resource; the text is for the person who sent it."""

    def __init__(self, text: str, code: str = "value") -> None:
        super().__init__(text)
        self.code = code


class Built(NamedTuple):
    """The spelling of the element that takes the value, and the value."""

    step: Step
    content: Content


def value_of(part: Json) -> tuple[str, Content] | None:
    """The type and the content of a ``value[x]``; None when ``part`` has none."""
    for member in part:
        name = member.removeprefix("_")
        if name.startswith("value") and len(name) > 5:
            return name[5:], Content(part.get(name), part.get(f"_{name}"))
    return None


def build(model: Model, choices: Sequence[Step], part: Json) -> Built:
    """The value in ``part`` for an element that ``choices`` spell. Raises Misfit when it is none for it."""
    given = value_of(part)
    if given is not None:
        return Built(_spelling(choices, *given), given[1])
    if "resource" in part:
        return Built(_holder_of_resources(choices), Content(part["resource"]))
    step = choices[0]
    if len(choices) > 1 or step.is_primitive:
        raise Misfit(f"{step.json_name} takes a value[x], not parts")
    return Built(step, Content(_assembled(model, step.path, part.get("part", ()))))


def _spelling(choices: Sequence[Step], type: str, content: Content) -> Step:
    """The choice that takes a value of ``type``. A lone primitive takes any: its text is checked afterwards."""
    for step in choices:
        if step.type[0].upper() + step.type[1:] == type:
            return step
    first = choices[0]
    if len(choices) == 1 and first.is_primitive and not isinstance(content.value, dict):
        return first
    types = ", ".join(step.type for step in choices)
    raise Misfit(f"{first.json_name} takes {types}, not value{type}")


def _holder_of_resources(choices: Sequence[Step]) -> Step:
    if choices[0].type not in ANY_RESOURCE:
        raise Misfit(f"{choices[0].json_name} holds no resource")
    return choices[0]


def _assembled(model: Model, path: str, parts: Sequence[Any]) -> Json:
    """An object with the members that ``parts`` name."""
    found: Json = {}
    for part in parts:
        name = part.get("name", "")
        choices = model.steps(path, name)
        if not choices:
            raise Misfit(f"{path} has no element {name[:64]}", "not-found")
        append(found, build(model, choices, part))
    return found


def append(holder: Json, built: Built) -> None:
    """Put the value behind those of a list, or as the only one. Raises Misfit when there is one already."""
    step, items = built.step, contents(holder, built.step.json_name)
    if items and not step.is_list:
        raise Misfit(f"{step.json_name} is there already; replace it", "duplicate")
    keep(holder, step.json_name, [*items, built.content], step.is_list)
