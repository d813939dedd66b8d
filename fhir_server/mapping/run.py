"""One translation under way: what was made, read, noted; and the frame through which a rule sees the message."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from fhir_server.errors import Issue
from fhir_server.mapping.faults import MISSING_REQUIRED, StepFault
from fhir_server.mapping.origins import Reading
from fhir_server.mapping.source import Key, Scope
from fhir_server.mapping.target import Target, element_path
from fhir_server.mapping.types import Condition, Place, Recognised, Rule, TraceItem


@dataclass(slots=True)
class Instance:
    """One resource that a rule makes: where in the message, under which address, found again by which search."""

    rule: Rule
    scope: Scope
    url: str
    criteria: str | None
    data: dict[str, Any] = field(default_factory=dict)


class Failed(Exception):
    """The value is at fault, and the fault is noted already."""


@dataclass(slots=True)
class Run:
    """The state of one translation: ``instances`` by rule, and ``values`` as ``work_out`` made them, by place."""

    recognised: Recognised
    work_out: Callable[[RuleFrame, str], Reading | Failed | None]
    instances: dict[str, dict[Key, Instance]] = field(default_factory=dict)
    issues: dict[Issue, None] = field(default_factory=dict)
    trace: list[TraceItem] = field(default_factory=list)
    defaults: list[str] = field(default_factory=list)
    used: set[str] = field(default_factory=set)
    values: dict[tuple[str, Key], Reading | Failed | None] = field(default_factory=dict)

    def note(
        self, fault: StepFault, place: Place, target: str, at: tuple[str, ...] = (), severity: str = "error"
    ) -> None:
        """Add an issue, once: what, where in the resource, by which rule, from which place of the message."""
        source = f" source={','.join(at)}" if at else ""
        diagnostics = f"map={self.recognised.map.label} rule={place.path}{source}"
        text = f"{place.path}: {fault.text}"
        issue = Issue(severity, fault.code, text, target or (at[0] if at else None), fault.rule, diagnostics)
        self.issues.setdefault(issue)

    def require(self, place: Place, target: str, text: str) -> Failed:
        """Note that something required is missing; returns the exception to raise."""
        self.note(StepFault(MISSING_REQUIRED, "required", text), place, target)
        return Failed()


class RuleFrame:
    """What one rule sees of the message at one place (see ``origins.Frame``); ``prefix`` is the element it fills."""

    def __init__(self, run: Run, scope: Scope, prefix: str) -> None:
        self.run = run
        self.scope = scope
        self.prefix = prefix

    def source(self, path: Any) -> Reading | None:
        """The text at ``path``; the place, and what chose it, count as used."""
        found = self.run.recognised.message.find(path, self.scope)
        if found is None:
            return None
        self.run.used.update((found.at, *found.chosen_by))
        return Reading(found.text, (found.at,))

    def value(self, name: str) -> Reading | None:
        """The named value here, worked out once per place. Raises Failed when it is at fault."""
        key = (name, self.scope.key)
        if key not in self.run.values:
            self.run.values[key] = self.run.work_out(self, name)
        value = self.run.values[key]
        if isinstance(value, Failed):
            raise value
        return value

    def fact(self, name: str) -> str:
        """A fact of the HIS."""
        return self.run.recognised.his.facts[name]

    def reference(self, rule: str) -> str | None:
        """The resource of ``rule`` that is nearest around this place, else the only one there is."""
        made = self.run.instances.get(rule, {})
        key = self.scope.key
        around = (made[key[:length]] for length in range(len(key), -1, -1) if key[:length] in made)
        nearest = next(around, None)
        urls = {item.url for item in made.values()} if nearest is None else {nearest.url}
        return urls.pop() if len(urls) == 1 else None

    def references(self, rule: str) -> list[str]:
        """The resources of ``rule`` made inside this place."""
        key = self.scope.key
        made = self.run.instances.get(rule, {}).values()
        return list(dict.fromkeys(item.url for item in made if item.scope.key[: len(key)] == key))

    def holds(self, condition: Condition | None) -> bool:
        """True when there is no condition or the message meets it."""
        return condition is None or condition(self._text)

    def inner(self, scope: Scope, target: Target) -> RuleFrame:
        """The frame of a part of the resource."""
        return RuleFrame(self.run, scope, self.element(target))

    def element(self, target: Target) -> str:
        """The element at ``target``, as FHIRPath without positions."""
        return f"{self.prefix}.{element_path(target)}" if target else ""

    def scopes(self, for_each: tuple[str, ...]) -> list[Scope]:
        """The places a rule or block is repeated for; this place alone when it is not repeated."""
        scopes = [self.scope]
        for name in for_each:
            scopes = [inner for scope in scopes for inner in self.run.recognised.message.each(name, scope)]
        return scopes

    def _text(self, origin: Any) -> str | None:
        try:
            found = origin.read(self)
        except Failed:
            return None
        return found.text if found else None
