"""A mapping in memory: what a HIS is, what its maps say, and what a translation gives back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from fhir_server.errors import Issue
from fhir_server.mapping.faults import StepFault
from fhir_server.mapping.source import Message
from fhir_server.mapping.target import Target
from fhir_server.model.resource import Resource


@dataclass(frozen=True, slots=True)
class His:
    """One outside system: who runs it, how it writes, and by what it is recognised.

    ``facts`` are the words that templates may use as ``{his.…}`` (``uscc``, ``code``, ``organisation`` and the
    folder's own constants). ``peers`` are the networks that may send over MLLP, ``ignored`` the message types
    that are left aside on purpose.
    """

    key: str
    name: str
    organisation: str
    facts: Mapping[str, str]
    codec: str
    zone: ZoneInfo
    null_words: frozenset[str]
    peers: tuple[IPv4Network | IPv6Network, ...]
    applications: tuple[str, ...]
    facilities: tuple[str, ...]
    formats: tuple[str, ...]
    folder: Path
    ignored: frozenset[str] = frozenset()

    @property
    def uscc(self) -> str:
        """The organisation's 统一社会信用代码."""
        return self.facts["uscc"]


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a local code means: a code of a shared system, its ``display`` there, and the local ``text``."""

    system: str | None
    code: str
    display: str | None = None
    text: str | None = None

    def as_coding(self) -> dict[str, str]:
        """The FHIR Coding."""
        parts = {"system": self.system, "code": self.code, "display": self.display}
        return {name: value for name, value in parts.items() if value}


@dataclass(frozen=True, slots=True)
class CodeTable:
    """Local codes and their meaning; ``source`` is the system of the local codes, if they have one."""

    name: str
    version: str
    source: str | None
    codes: Mapping[str, Meaning]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a piece of a mapping stands: ``file:line`` and the path inside it (``rules/patient/set/gender``)."""

    file: str
    path: str


@dataclass(frozen=True, slots=True)
class Finished:
    """A value as it goes into the resource, with the trace's words and a warning if it is not what was wanted."""

    value: Any
    note: str
    warning: StepFault | None = None


Finish = Callable[[str], Finished]


@dataclass(frozen=True, slots=True)
class Step:
    """One treatment of a text: its name for the trace, and the function (None: there is no value)."""

    name: str
    apply: Callable[[str], str | None]


Condition = Callable[[Callable[[Any], str | None]], bool]
"""A claim about the message: it is given a function that reads an origin's text."""


@dataclass(frozen=True, slots=True)
class Field:
    """One element of a resource: where it comes from (an ``Origin``), how it is treated, what it becomes.

    ``reading`` tells that the value depends on the message: only such values keep the object around them alive.
    ``undo`` turns the finished value back into the source's text; ``reverse``: the way back is wanted.
    """

    place: Place
    target: Target
    origin: Any
    steps: tuple[Step, ...]
    finish: Finish | None
    when: Condition | None = None
    default: str | None = None
    required: bool = False
    reading: bool = True
    undo: Callable[[Any], str | None] | None = None
    reverse: bool = False


@dataclass(frozen=True, slots=True)
class Block:
    """Fields that belong to one object, kept only when one of them read something; repeated with ``for_each``."""

    place: Place
    target: Target
    parts: tuple[Field | Block, ...]
    when: Condition | None = None
    for_each: tuple[str, ...] = ()
    required: bool = False


Part = Field | Block


@dataclass(frozen=True, slots=True)
class Upsert:
    """How a resource finds its earlier self: the first of ``by`` that can be filled; ``mode`` is create or update."""

    mode: str
    by: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Rule:
    """One resource (or several, with ``for_each``) made from the message."""

    place: Place
    name: str
    resource: str
    parts: tuple[Part, ...]
    id_from: tuple[Any, ...]
    upsert: Upsert | None
    when: Condition | None = None
    for_each: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Case:
    """A test written in the map: changes to an example, and what must come of it."""

    place: Place
    name: str
    example: str
    change: Mapping[str, str]
    expect: Mapping[str, str]
    expect_issue: str | None


@dataclass(frozen=True, slots=True)
class SourceKind:
    """What a map reads: the format, the messages or columns it is for, and the parts it leaves aside on purpose."""

    format: str
    messages: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    required_columns: tuple[str, ...] = ()
    key: tuple[str, ...] = ()
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    ignore: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Map:
    """One ``*.map.yaml``: from one kind of message to a transaction Bundle."""

    name: str
    version: str
    title: str
    file: Path
    source: SourceKind
    values: Mapping[str, Field]
    rules: tuple[Rule, ...]
    cases: tuple[Case, ...]

    @property
    def label(self) -> str:
        """``name@version``, as every resource it made carries it in ``meta.tag``."""
        return f"{self.name}@{self.version}"


@dataclass(frozen=True, slots=True)
class Mappings:
    """All folders that could be read, and what was wrong with the others (``faults``, by folder)."""

    folder: Path
    his: Mapping[str, His]
    maps: Mapping[str, tuple[Map, ...]]
    faults: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Recognised:
    """A message with the mapping that is for it. ``raw`` is kept as it came."""

    his: His
    map: Map
    message: Message
    raw: bytes

    @property
    def control_id(self) -> str:
        """The sender's number of this message."""
        return self.message.control_id

    @property
    def sender(self) -> str:
        """``facility/application``: with ``control_id`` it names the message once and for all."""
        return self.message.sender

    @property
    def kind(self) -> str:
        """``REF^I12`` or the name of the view."""
        return self.message.kind


@dataclass(frozen=True, slots=True)
class TraceItem:
    """Why one element has its value: ``target`` element, ``source`` place, ``raw`` text, ``rule``, ``steps``."""

    target: str
    source: str
    raw: str
    rule: str
    steps: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Translation:
    """What came of a message.

    ``bundle`` is the transaction Bundle as JSON bytes, every decimal as it was sent; ``resource`` the same with its
    parsed form. ``unread`` are the places of the message that no rule used; ``defaults`` the elements filled without
    a source; ``issues`` the warnings (errors raise Untranslatable); ``map`` is ``name@version``.
    """

    bundle: bytes
    trace: tuple[TraceItem, ...]
    unread: tuple[str, ...]
    defaults: tuple[str, ...]
    issues: tuple[Issue, ...]
    control_id: str
    sender: str
    map: str

    @property
    def resource(self) -> Resource:
        """The Bundle as the interactions take it."""
        return Resource.parse(self.bundle)
