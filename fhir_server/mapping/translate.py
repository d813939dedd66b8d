"""A recognised message to a transaction Bundle: every fault at once, every value explained.

Two passes: first which rules make a resource, and under which address; then the resources, so that a reference may
point forward. Nothing is read from a store and nothing is written.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

from fhir_server.mapping.bundle import merge_same, transaction
from fhir_server.mapping.faults import COLLISION, StepFault, Untranslatable
from fhir_server.mapping.fields import evaluate, work_out
from fhir_server.mapping.run import Failed, Instance, RuleFrame, Run
from fhir_server.mapping.target import Target, element_path, finish, put
from fhir_server.mapping.types import Block, Field, Part, Recognised, Rule, Translation
from fhir_server.mapping.unread import unread
from fhir_server.model.exact import dumps_exact

NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "http://cmc.example.org/fhir/mapping")


def translate(recognised: Recognised) -> Translation:
    """The Bundle that ``recognised`` becomes. Raises Untranslatable with every reason."""
    run = Run(recognised, work_out)
    sent = _sent(run)
    for rule in recognised.map.rules:
        run.instances[rule.name] = {instance.scope.key: instance for instance in _instances(run, rule)}
    made = [instance for instances in run.instances.values() for instance in instances.values()]
    for instance in made:
        instance.data = _build(run, instance)
    merged = _merge(run, made)
    if any(issue.is_error for issue in run.issues):
        raise Untranslatable(issues=tuple(run.issues))
    return Translation(
        bundle=dumps_exact(transaction(recognised, merged, sent)),
        trace=tuple(run.trace),
        unread=unread(run),
        defaults=tuple(run.defaults),
        issues=tuple(run.issues),
        control_id=recognised.control_id,
        sender=recognised.sender,
        map=recognised.map.label,
    )


def _sent(run: Run) -> str:
    """When the message was sent; '' when that is at fault, which is noted."""
    try:
        found = RuleFrame(run, run.recognised.message.whole(), "").value("sent")
        if found is None:
            raise run.require(
                run.recognised.map.values["sent"].place, "", "when the message was sent is missing"
            )
    except Failed:
        return ""
    return found.text


def _instances(run: Run, rule: Rule) -> Iterator[Instance]:
    whole = RuleFrame(run, run.recognised.message.whole(), rule.resource)
    for scope in whole.scopes(rule.for_each):
        frame = RuleFrame(run, scope, rule.resource)
        if frame.holds(rule.when):
            yield _identify(frame, rule)


def _identify(frame: RuleFrame, rule: Rule) -> Instance:
    """What finds the resource again also makes its address, so that one thing met twice is one resource."""
    recognised = frame.run.recognised
    criteria = _criteria(frame, rule)
    if criteria is not None:
        name = f"{rule.resource}?{criteria}"
    elif rule.id_from:
        name = "\x1f".join([rule.name, *_id_texts(frame, rule)])
    else:
        name = f"{rule.name}\x1f{recognised.sender}\x1f{recognised.control_id}\x1f{frame.scope.key}"
    url = uuid.uuid5(NAMESPACE, f"{recognised.map.name}\x1f{name}").urn
    return Instance(rule, frame.scope, url, criteria)


def _id_texts(frame: RuleFrame, rule: Rule) -> list[str]:
    texts = []
    for origin in rule.id_from:
        try:
            found = origin.read(frame)
        except Failed:
            found = None
        texts.append(found.text if found else "")
    return texts


def _criteria(frame: RuleFrame, rule: Rule) -> str | None:
    """The search that finds the resource again; None when the rule wants none, or it is at fault (noted)."""
    if rule.upsert is None:
        return None
    try:
        for template in rule.upsert.by:
            found = template.read(frame)
            if found is not None:
                return str(found.text)
        raise frame.run.require(rule.place, rule.resource, "nothing in the message identifies this resource")
    except Failed:
        return None


def _build(run: Run, instance: Instance) -> dict[str, Any]:
    tree: dict[str, Any] = {"resourceType": instance.rule.resource}
    _fill(RuleFrame(run, instance.scope, instance.rule.resource), instance.rule.parts, tree)
    data: dict[str, Any] = finish(tree)
    return data


def _fill(frame: RuleFrame, parts: tuple[Part, ...], tree: dict[str, Any]) -> bool:
    """Put ``parts`` into ``tree``; True when one of them read something, or none of them reads."""
    filled = [
        _fill_block(frame, part, tree) if isinstance(part, Block) else _fill_field(frame, part, tree)
        for part in parts
    ]
    return any(filled) or not any(map(_reads, parts))


def _reads(part: Part) -> bool:
    return part.reading if isinstance(part, Field) else any(map(_reads, part.parts))


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
        frame.run.require(
            block.place, f"{frame.prefix}.{element_path(block.target)}", "required, but nothing fills it"
        )
    return kept and _reads(block)


def _numbered(target: Target, number: int) -> Target:
    name, key = target[-1]
    return (*target[:-1], (name, f"{key or ''}{number}"))


def _fill_field(frame: RuleFrame, field: Field, tree: dict[str, Any]) -> bool:
    try:
        value, read = evaluate(frame, field)
    except Failed:
        return True
    if value is not None:
        put(tree, field.target, value)
    return read


def _merge(run: Run, made: list[Instance]) -> list[Instance]:
    """One instance per address; two that say different things are a fault, never an overwrite."""
    merged: dict[str, Instance] = {}
    for instance in made:
        earlier = merged.setdefault(instance.url, instance)
        if earlier is instance:
            continue
        same = merge_same(earlier.data, instance.data)
        if same is None:
            text = f"the message says two things about one {instance.rule.resource} (also by rule {earlier.rule.name})"
            run.note(StepFault(COLLISION, "conflict", text), instance.rule.place, instance.rule.resource)
        else:
            earlier.data = same
    return list(merged.values())
