"""One field of a rule: from its origin through its steps to the finished value, noting what was done or wrong."""

from __future__ import annotations

from typing import Any

from fhir_server.mapping.faults import StepFault
from fhir_server.mapping.origins import Reading
from fhir_server.mapping.run import Failed, RuleFrame
from fhir_server.mapping.types import Field, Finished, TraceItem


def evaluate(frame: RuleFrame, field: Field) -> tuple[Any, bool]:
    """The value of ``field`` (None: there is none), and whether the message had a part in it. Raises Failed."""
    if not frame.holds(field.when):
        return field.default, False
    if hasattr(field.origin, "resolve"):
        return _resolve(frame, field)
    found = field.origin.read(frame)
    value = _treat(frame, field, found) if found else None
    if value is not None:
        return value, field.reading
    return _otherwise(frame, field), False


def work_out(frame: RuleFrame, name: str) -> Reading | Failed | None:
    """The named value of the map at this place of the message."""
    field = frame.run.recognised.map.values[name]
    bare = RuleFrame(frame.run, frame.scope, "")
    try:
        if not bare.holds(field.when):
            return Reading(field.default) if field.default is not None else None
        found = (
            field.origin.read(bare)
            if hasattr(field.origin, "read")
            else Reading(str(field.origin.resolve(bare)))
        )
        text, steps = _steps(field, found) if found else (None, ())
        done = _finish(bare, field, found, text) if text is not None and found else None
        if done is not None and done.value is not None and found is not None:
            return Reading(str(done.value), found.at, (*steps, *([done.note] if done.note else [])))
        text = _otherwise(bare, field)
        return None if text is None else Reading(text)
    except Failed as failed:
        return failed


def _resolve(frame: RuleFrame, field: Field) -> tuple[Any, bool]:
    value = field.origin.resolve(frame)
    if value is None and field.required:
        raise frame.run.require(field.place, frame.element(field.target), "required, but nothing to refer to")
    if value is not None and field.finish is not None:
        value = field.finish(value).value
    return value, field.reading and value is not None


def _treat(frame: RuleFrame, field: Field, found: Reading) -> Any:
    """The finished value, traced; None when there is none."""
    text, steps = _steps(field, found)
    done = _finish(frame, field, found, text) if text is not None else None
    if done is None or done.value is None:
        return None
    steps += (done.note,) if done.note else ()
    target = frame.element(field.target)
    frame.run.trace.append(TraceItem(target, ",".join(found.at), found.text, field.place.path, steps))
    return done.value


def _steps(field: Field, found: Reading) -> tuple[str | None, tuple[str, ...]]:
    text: str | None = found.text
    names = found.steps
    for step in field.steps:
        text = step.apply(text) if text is not None else None
        names += (step.name,)
    return text, names


def _finish(frame: RuleFrame, field: Field, found: Reading, text: str) -> Finished:
    """The finished value. Raises Failed when the text cannot be finished; notes a warning when it is tolerated."""
    if field.finish is None:
        return Finished(text, "")
    target = frame.element(field.target)
    try:
        done = field.finish(text)
    except StepFault as fault:
        frame.run.note(fault, field.place, target, found.at)
        raise Failed from fault
    if done.warning is not None:
        frame.run.note(done.warning, field.place, target, found.at, "warning")
    return done


def _otherwise(frame: RuleFrame, field: Field) -> str | None:
    """The default of a field without a value. Raises Failed when the field is required."""
    target = frame.element(field.target)
    if field.default is not None:
        frame.run.defaults.append(target or field.place.path)
        return field.default
    if field.required:
        raise frame.run.require(field.place, target, f"required, but the message has none: {_wanted(field)}")
    return None


def _wanted(field: Field) -> str:
    """The place or value that should have had something."""
    path = getattr(field.origin, "path", None)
    return str(
        getattr(path, "text", path) or getattr(field.origin, "name", None) or "all its parts are empty"
    )
