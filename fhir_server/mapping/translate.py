"""A recognised message to a transaction Bundle: every fault at once, every value explained.

Two passes: first which rules make a resource, and under which address; then the resources, so that a reference may
point forward. Nothing is read from a store and nothing is written.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from fhir_server.errors import Issue
from fhir_server.mapping.bundle import merge_same, transaction
from fhir_server.mapping.faults import COLLISION, MISSING_REQUIRED, StepFault, Untranslatable
from fhir_server.mapping.origins import Reading
from fhir_server.mapping.source import Scope
from fhir_server.mapping.target import Target, element_path, finish, put
from fhir_server.mapping.types import Block, Condition, Field, Place, Recognised, Rule, TraceItem, Translation
from fhir_server.model.exact import dumps_exact
from fhir_server.model.resource import Resource

NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "http://cmc.example.org/fhir/mapping")


@dataclass(slots=True)
class Instance:
    """One resource that a rule makes: where in the message, under which address, found again by which search."""

    rule: Rule
    scope: Scope
    url: str
    criteria: str | None
    data: dict[str, Any] = field(default_factory=dict)


class _Failed(Exception):
    """The value is at fault; the fault is noted already."""


@dataclass(slots=True)
class Run:
    """One translation under way."""

    recognised: Recognised
    instances: list[Instance] = field(default_factory=list)
    issues: list[Issue] = field(default_factory=list)
    trace: list[TraceItem] = field(default_factory=list)
    defaults: list[str] = field(default_factory=list)
    used: set[str] = field(default_factory=set)
    values: dict[tuple[str, Any], Reading | _Failed | None] = field(default_factory=dict)

    def note(
        self, fault: StepFault, place: Place, target: str, at: tuple[str, ...], severity: str = "error"
    ) -> None:
        """Add an issue: what, where in the resource, and by which rule from which place of the message."""
        source = f" source={','.join(at)}" if at else ""
        diagnostics = f"map={self.recognised.map.label} rule={place.path}{source}"
        text = f"{place.path}: {fault.text}"
        self.issues.append(
            Issue(severity, fault.code, text, target or (at[0] if at else None), fault.rule, diagnostics)
        )


def translate(recognised: Recognised) -> Translation:
    """The Bundle that ``recognised`` becomes. Raises Untranslatable with every reason."""
    run = Run(recognised)
    for rule in recognised.map.rules:
        run.instances.extend(_instances(run, rule))
    for instance in run.instances:
        instance.data = _build(run, instance)
    merged = _merge(run)
    frame = RuleFrame(run, recognised.message.whole(), "")
    sent = frame.value("sent")
    if sent is None and not run.issues:
        _require(run, recognised.map.values["sent"].place, "", "when the message was sent")
    errors = [issue for issue in run.issues if issue.is_error]
    if errors or sent is None:
        raise Untranslatable(issues=run.issues)
    raw = dumps_exact(transaction(recognised, merged, sent.text))
    return Translation(
        bundle=Resource.parse(raw),
        trace=tuple(run.trace),
        unread=_unread(run),
        defaults=tuple(run.defaults),
        issues=tuple(run.issues),
        control_id=recognised.control_id,
        sender=recognised.sender,
        map=recognised.map.label,
    )


class RuleFrame:
    """What the origins of one rule see of the message (see ``origins.Frame``)."""

    def __init__(self, run: Run, scope: Scope, prefix: str) -> None:
        self.run = run
        self.scope = scope
        self.prefix = prefix

    def source(self, path: Any) -> Reading | None:
        """The text at ``path``; the place counts as used."""
        found = self.run.recognised.message.find(path, self.scope)
        if found is None:
            return None
        self.run.used.add(found.at)
        return Reading(found.text, (found.at,))

    def value(self, name: str) -> Reading | None:
        """The named value here, worked out once per place. Raises _Failed when it is at fault."""
        key = (name, self.scope.key)
        if key not in self.run.values:
            self.run.values[key] = self._work_out(self.run.recognised.map.values[name])
        value = self.run.values[key]
        if isinstance(value, _Failed):
            raise value
        return value

    def fact(self, name: str) -> str | None:
        """A fact of the HIS."""
        return self.run.recognised.his.facts.get(name)

    def reference(self, rule: str) -> str | None:
        """The resource of ``rule`` that is nearest around this place, else the only one there is."""
        made = [instance for instance in self.run.instances if instance.rule.name == rule]
        around = [item for item in made if item.scope.key == self.scope.key[: len(item.scope.key)]]
        nearest = max(around, key=lambda item: len(item.scope.key), default=None)
        return nearest.url if nearest else made[0].url if len(made) == 1 else None

    def references(self, rule: str) -> list[str]:
        """The resources of ``rule`` made inside this place."""
        key = self.scope.key
        made = (
            item
            for item in self.run.instances
            if item.rule.name == rule and item.scope.key[: len(key)] == key
        )
        return list(dict.fromkeys(item.url for item in made))

    def holds(self, condition: Condition | None) -> bool:
        """True when there is no condition or the message meets it."""
        return condition is None or condition.test(self._text)

    def inner(self, scope: Scope, target: Target) -> RuleFrame:
        """The frame of a part of the resource."""
        return RuleFrame(self.run, scope, f"{self.prefix}.{element_path(target)}")

    def scopes(self, for_each: tuple[str, ...]) -> list[Scope]:
        """The places a rule or block is repeated for; this place alone when it is not repeated."""
        scopes = [self.scope]
        for name in for_each:
            scopes = [inner for scope in scopes for inner in self.run.recognised.message.each(name, scope)]
        return scopes

    def _text(self, origin: Any) -> str | None:
        try:
            found = origin.read(self)
        except _Failed:
            return None
        return found.text if found else None

    def _work_out(self, field: Field) -> Reading | _Failed | None:
        try:
            value, at = _evaluate(self, field)
        except _Failed as failed:
            return failed
        return None if value is None else Reading(str(value), at)


def _instances(run: Run, rule: Rule) -> Iterator[Instance]:
    whole = RuleFrame(run, run.recognised.message.whole(), rule.resource)
    for scope in whole.scopes(rule.for_each):
        frame = RuleFrame(run, scope, rule.resource)
        if frame.holds(rule.when):
            try:
                yield _identify(frame, rule)
            except _Failed:
                continue


def _identify(frame: RuleFrame, rule: Rule) -> Instance:
    """What finds the resource again also makes its address, so that one thing met twice is one resource."""
    criteria = _criteria(frame, rule)
    if criteria is not None:
        name = f"{rule.resource}?{criteria}"
    elif rule.id_from:
        found = [origin.read(frame) for origin in rule.id_from]
        name = "\x1f".join([rule.name, *(item.text if item else "" for item in found)])
    else:
        name = f"{rule.name}\x1f{frame.run.recognised.sender}\x1f{frame.run.recognised.control_id}\x1f{frame.scope.key}"
    url = uuid.uuid5(NAMESPACE, f"{frame.run.recognised.map.name}\x1f{name}").urn
    return Instance(rule, frame.scope, url, criteria)


def _criteria(frame: RuleFrame, rule: Rule) -> str | None:
    if rule.upsert is None:
        return None
    for template in rule.upsert.by:
        found = template.read(frame)
        if found is not None:
            return str(found.text)
    _require(frame.run, rule.place, rule.resource, "nothing in the message identifies this resource")
    raise _Failed


def _require(run: Run, place: Place, target: str, text: str, at: tuple[str, ...] = ()) -> None:
    run.note(StepFault(MISSING_REQUIRED, "required", text), place, target, at)


def _build(run: Run, instance: Instance) -> dict[str, Any]:
    tree: dict[str, Any] = {"resourceType": instance.rule.resource}
    frame = RuleFrame(run, instance.scope, instance.rule.resource)
    _fill(frame, instance.rule.parts, tree)
    data: dict[str, Any] = finish(tree)
    return data


def _fill(frame: RuleFrame, parts: tuple[Field | Block, ...], tree: dict[str, Any]) -> bool:
    """Put ``parts`` into ``tree``; True when one of them read something, or none of them reads."""
    read = [
        _fill_block(frame, part, tree) if isinstance(part, Block) else _fill_field(frame, part, tree)
        for part in parts
    ]
    return any(read) or not any(_reads(part) for part in parts)


def _reads(part: Field | Block) -> bool:
    return part.reading if isinstance(part, Field) else any(_reads(inner) for inner in part.parts)


def _fill_block(frame: RuleFrame, block: Block, tree: dict[str, Any]) -> bool:
    if not frame.holds(block.when):
        return False
    kept = False
    for number, scope in enumerate(frame.scopes(block.for_each)):
        inner: dict[str, Any] = {}
        if _fill(frame.inner(scope, block.target), block.parts, inner) and inner:
            put(tree, _numbered(block.target, number) if block.for_each else block.target, inner)
            kept = True
    if block.required and not kept:
        _require(
            frame.run,
            block.place,
            f"{frame.prefix}.{element_path(block.target)}",
            "required, but nothing fills it",
        )
    return kept and _reads(block)


def _numbered(target: Target, number: int) -> Target:
    name, key = target[-1]
    return (*target[:-1], (name, f"{key or ''}{number}"))


def _fill_field(frame: RuleFrame, field: Field, tree: dict[str, Any]) -> bool:
    try:
        value, at = _evaluate(frame, field) if frame.holds(field.when) else _otherwise(frame, field)
    except _Failed:
        return False
    if value is None:
        return False
    put(tree, field.target, value)
    return field.reading and bool(at or not field.default)


def _evaluate(frame: RuleFrame, field: Field) -> tuple[Any, tuple[str, ...]]:
    """The value of ``field`` and where it stood; (None, ()) when there is none. Raises _Failed."""
    target = f"{frame.prefix}.{element_path(field.target)}" if field.target else ""
    if hasattr(field.origin, "resolve"):
        return _resolve(frame, field, target)
    found = field.origin.read(frame)
    value, steps, fault = _treat(field, found.text) if found else (None, (), None)
    at = found.at if found else ()
    if fault is not None and not isinstance(fault, _Warning):
        frame.run.note(fault, field.place, target, at)
        raise _Failed
    if fault is not None:
        frame.run.note(fault, field.place, target, at, "warning")
    if value is None:
        return _default(frame, field, target, at)
    raw = found.text if found else ""
    frame.run.trace.append(TraceItem(target, ",".join(at), raw, field.place.path, steps))
    return value, at


class _Warning(StepFault):
    """A fault that the mapping tolerates."""


def _resolve(frame: RuleFrame, field: Field, target: str) -> tuple[Any, tuple[str, ...]]:
    value = field.origin.resolve(frame)
    if value is None and field.required:
        _require(frame.run, field.place, target, "required, but nothing to refer to")
        raise _Failed
    if value is not None and field.finish is not None:
        value = field.finish(value).value
    return value, (field.place.path,) if value is not None and field.reading else ()


def _treat(field: Field, text: str) -> tuple[Any, tuple[str, ...], StepFault | None]:
    notes = []
    for step in field.steps:
        treated = step.apply(text)
        notes.append(step.name)
        if treated is None:
            return None, tuple(notes), None
        text = treated
    if field.finish is None:
        return text, tuple(notes), None
    try:
        done = field.finish(text)
    except StepFault as fault:
        return None, tuple(notes), fault
    warning = _Warning(done.warning.rule, done.warning.code, done.warning.text) if done.warning else None
    return done.value, (*notes, done.note) if done.note else tuple(notes), warning


def _default(frame: RuleFrame, field: Field, target: str, at: tuple[str, ...]) -> tuple[Any, tuple[str, ...]]:
    if field.default is not None:
        frame.run.defaults.append(target)
        return field.default, ()
    if field.required:
        _require(frame.run, field.place, target, f"required, but the message has none ({_wanted(field)})", at)
        raise _Failed
    return None, ()


def _otherwise(frame: RuleFrame, field: Field) -> tuple[Any, tuple[str, ...]]:
    """What a field whose condition is not met says: its default, if it has one."""
    return field.default, ()


def _wanted(field: Field) -> str:
    path = getattr(field.origin, "path", None)
    return str(getattr(path, "text", path) or getattr(field.origin, "name", "") or "all its parts are empty")


def _merge(run: Run) -> list[Instance]:
    """One instance per address; two that say different things are a fault, never an overwrite."""
    merged: dict[str, Instance] = {}
    for instance in run.instances:
        earlier = merged.setdefault(instance.url, instance)
        if earlier is instance:
            continue
        same = merge_same(earlier.data, instance.data)
        if same is None:
            text = f"the message says different things about one {instance.rule.resource} (rule {earlier.rule.name} too)"
            run.note(StepFault(COLLISION, "conflict", text), instance.rule.place, instance.rule.resource, ())
        else:
            earlier.data = same
    return list(merged.values())


def _unread(run: Run) -> tuple[str, ...]:
    ignored = run.recognised.map.source.ignore
    left = (at for at in run.recognised.message.leaves() if not _is_used(at, run.used))
    return tuple(at for at in left if not any(_covers(prefix, at) for prefix in ignored))


def _is_used(at: str, used: set[str]) -> bool:
    """Used itself, or as part of a whole field (``OBX[1]-5``)."""
    return at in used or at.split("-")[0] + "-" + at.partition("-")[2].split("[")[0] in used


def _covers(prefix: str, at: str) -> bool:
    """True when ``prefix`` (``MSH``, ``PID-1``, ``DG1-3.3``, a column) names the place ``at`` whatever its numbers."""
    plain = _plain(at)
    return plain == prefix or plain.startswith((f"{prefix}-", f"{prefix}."))


def _plain(at: str) -> str:
    segment, dash, rest = at.partition("-")
    return segment.split("[")[0] + dash + rest.split("[")[0] + (rest.partition("]")[2] if "]" in rest else "")
