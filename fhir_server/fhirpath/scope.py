"""What an evaluation is given besides its focus, and what it may use up.

Source: FHIRPath N1 §9 (environment variables), FHIR R4 fhirpath.html#variables, #functions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Any

import structlog

from fhir_server.fhirpath.node import Node
from fhir_server.model.dates import CHINA

Items = list[Any]
Resolve = Callable[[Node], Node | None]

MOST_STEPS = 300_000
"""Items that one evaluation may look at or make."""
_log = structlog.get_logger("fhir_server.fhirpath")


def no_resolution(reference: Node) -> Node | None:
    """The resolver of who has no other resources: a reference is known only by what is in the resource itself."""
    return None


def log_trace(name: str, items: Items) -> None:
    """What ``trace()`` does by default: how many items there are, and never what they say."""
    _log.info("fhirpath.trace", name=name, count=len(items))


@dataclass(frozen=True, slots=True)
class Services:
    """What expressions may ask of others; None: not available here.

    ``member_of(item, value_set)``: whether a code, Coding or CodeableConcept is in the value set, None when that
    is not known. ``conforms(node, profile)`` and ``in_slice(node, profile, name)`` raise KeyError for a profile that
    they do not know.
    ``trace(name, items)`` is told what trace() sees; ``clock`` gives the time that now() means.
    """

    member_of: Callable[[Any, str], bool | None] | None = None
    conforms: Callable[[Node, str], bool] | None = None
    in_slice: Callable[[Node, str, str], bool] | None = None
    trace: Callable[[str, Items], None] = log_trace
    clock: Callable[[tzinfo], datetime] = datetime.now


DEFAULT = Services()


class Budget:
    """What is left to one evaluation, and the time at which it began (taken when it is first asked for)."""

    __slots__ = ("left", "started")

    def __init__(self, steps: int) -> None:
        self.left = steps
        self.started: datetime | None = None


class Scope:
    """``variables`` are the ``%name``s as collections; ``index`` and ``total`` are ``$index`` and ``$total``.

    ``resolve`` finds the resource that a Reference, canonical or uri node points to; ``zone`` is that of now() and
    today(). Treat it as read-only. Each call of an Expression begins a new budget.
    """

    __slots__ = ("budget", "index", "resolve", "services", "steps", "total", "variables", "zone")

    def __init__(
        self,
        variables: Mapping[str, Items] | None = None,
        resolve: Resolve = no_resolution,
        zone: tzinfo = CHINA,
        services: Services = DEFAULT,
        steps: int = MOST_STEPS,
    ) -> None:
        self.variables: Mapping[str, Items] = {} if variables is None else variables
        self.resolve = resolve
        self.zone = zone
        self.services = services
        self.steps = steps
        self.budget = Budget(steps)
        self.index: int | None = None
        self.total: Items | None = None

    def at(self, index: int | None, total: Items | None = None) -> Scope:
        """The same, inside an iteration."""
        inner = Scope.__new__(Scope)
        inner.variables, inner.resolve, inner.zone = self.variables, self.resolve, self.zone
        inner.services, inner.steps, inner.budget = self.services, self.steps, self.budget
        inner.index, inner.total = index, total
        return inner

    def now(self) -> datetime:
        """The time of the evaluation: the same wherever it is asked for."""
        if self.budget.started is None:
            self.budget.started = self.services.clock(self.zone)
        return self.budget.started
