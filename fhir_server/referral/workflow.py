"""The shapes of the referral workflow: states, moves, what each needs, and how to find them.

The facts stand in ``transitions.yaml``; ``table.py`` reads and checks it. Model: Task is the state
machine, ServiceRequest the authorisation (FHIR R4 workflow.html, task.html).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

PRIORITIES = ("routine", "urgent", "asap", "stat")


@dataclass(frozen=True, slots=True)
class State:
    """One state. ``status`` and ``business`` are what the Task says (None: not written yet).

    ``service_request`` and ``encounter`` are the statuses that belong to it (None: left as they are),
    ``child`` the Task that the sender is given on entering it.
    """

    name: str
    status: str | None
    business: str | None
    label: str
    plain: bool
    terminal: bool
    service_request: str | None
    encounter: str | None
    child: str | None


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The codes that a coded datum may have; ``other`` needs a text."""

    system: str
    codes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Datum:
    """Something a move needs or takes: where it stands, and its name as a parameter of the operation."""

    name: str
    resource: str
    elements: tuple[str, ...]
    io: str | None
    parameter: str | None
    value: str | None
    targets: tuple[str, ...]
    vocabulary: Vocabulary | None
    fresh: bool
    text: str

    @property
    def expression(self) -> str:
        """The FHIRPath of the element that is missing when this datum is."""
        path = f"{self.resource}.{self.elements[0]}"
        return f"{path}.where(type.coding.code = '{self.io}')" if self.io else path


@dataclass(frozen=True, slots=True)
class Move:
    """One edge of the table: ``op`` leads from any of ``sources`` to ``target``."""

    op: str
    sources: tuple[str, ...]
    target: str
    who: frozenset[str]
    priorities: tuple[str, ...]
    requires: tuple[Datum, ...]
    takes: tuple[Datum, ...]
    children_done: bool


@dataclass(frozen=True, slots=True)
class Child:
    """A child Task of the referral's: ``closes`` when its completion completes the ServiceRequest."""

    code: str
    label: str
    closes: bool


@dataclass(frozen=True, slots=True)
class Edits:
    """Which members of the Task may change without a move; see the head of the table."""

    fixed: frozenset[str]
    sender: frozenset[str]
    growing: frozenset[str]
    closed: frozenset[str]


@dataclass(frozen=True, slots=True)
class Workflow:
    """The whole table, in the order of the file."""

    states: Mapping[str, State]
    data: Mapping[str, Datum]
    moves: tuple[Move, ...]
    children: Mapping[str, Child]
    edits: Edits

    @property
    def operations(self) -> tuple[str, ...]:
        """Every operation that can be called on a Task, in the order of the table (not ``create``)."""
        return tuple(dict.fromkeys(move.op for move in self.moves if move.op != "create"))

    def named(self, op: str) -> tuple[Move, ...]:
        """The moves of one operation."""
        return tuple(move for move in self.moves if move.op == op)

    def leaving(self, state: str) -> tuple[Move, ...]:
        """The moves that are possible from ``state``."""
        return tuple(move for move in self.moves if state in move.sources)

    def find(self, op: str, source: str) -> Move | None:
        """The move that ``op`` makes from ``source``; None when there is none."""
        return next((move for move in self.named(op) if source in move.sources), None)

    def between(self, source: str, target: str) -> Move | None:
        """The move that leads from ``source`` to ``target``; None when there is none."""
        return next((move for move in self.leaving(source) if move.target == target), None)

    def state(self, status: str | None, business: str | None) -> State | None:
        """The state that a status and a business status name; without the latter, the status's plain one."""
        candidates = [state for state in self.states.values() if state.status == status]
        if business is None:
            return next((state for state in candidates if state.plain or len(candidates) == 1), None)
        return next((state for state in candidates if state.business == business), None)
