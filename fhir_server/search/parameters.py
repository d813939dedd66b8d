"""A search parameter of one resource type, and the arms whose rows it reads.

Source: FHIR R4 searchparameter.html.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import blake2b

from fhir_server.errors import Unprocessable
from fhir_server.search.arms import Path
from fhir_server.search.index import CONTENT, NARRATIVE


def arm_key(type: str, path: str, kind: str) -> int:
    """The stable 31-bit number under which the values of one arm are kept."""
    digest = blake2b(f"{type}|{path}|{kind}".encode(), digest_size=4).digest()
    return int.from_bytes(digest, "big") >> 1


@dataclass(frozen=True, slots=True)
class SearchParameter:
    """A search parameter as it applies to one resource type.

    ``kind`` is number | date | string | token | reference | composite | quantity | uri | special.
    ``keys`` are the arms whose rows hold its values. ``target`` restricts a reference parameter
    that shares an arm (``patient`` reads ``subject``'s rows of type Patient, no URL of another server);
    ``system`` a token parameter that does (``phone`` reads ``telecom``'s rows of system phone).
    ``targets`` are the types a reference may point to. ``column`` is "id", "updated", "text", "content" or None: the
    parameters ``_id``, ``_lastUpdated``, ``_text`` and ``_content`` are about every record. ``identifier_keys`` are the
    token rows of a reference parameter's logical references (``Reference.identifier``). ``implicit`` are the
    value sets of a token parameter that reads ``code`` elements only (("boolean",) for booleans): their
    systems may be named in a search.
    """

    type: str
    code: str
    kind: str
    url: str
    expression: str
    keys: tuple[int, ...]
    target: str | None = None
    system: str | None = None
    targets: tuple[str, ...] = ()
    components: tuple[SearchParameter, ...] = ()
    column: str | None = None
    identifier_keys: tuple[int, ...] = ()
    implicit: tuple[str, ...] = ()
    description: str = ""


@dataclass(frozen=True, slots=True)
class Arm:
    """One path of one type whose values are kept under ``key``.

    ``kind`` says which rows: token, reference, uri, string, date, number, composite, position.
    ``components`` (composites only) are the paths and kinds of each component's alternatives.
    """

    key: int
    type: str
    path: Path
    kind: str
    components: tuple[tuple[Arm, ...], ...] = ()

    @property
    def name(self) -> str:
        """What the key is the number of."""
        inside = ",".join("|".join(f"{arm.path}:{arm.kind}" for arm in part) for part in self.components)
        return f"{self.path}${inside}" if inside else str(self.path)


COLUMNS: Mapping[str, str] = {
    "_id": "id",
    "_lastUpdated": "updated",
    "_text": "text",
    "_content": "content",
}
TEXTS: Mapping[str, int] = {"_text": NARRATIVE, "_content": CONTENT}
"""Parameters of full text → the key of their rows."""
LISTED = "_listed"
"""The code of the parameter that ids are asked by which a search has found before."""
ROWS: Mapping[str, str] = {"quantity": "number", "special": "position"}
"""Parameter kind → kind of rows, where the names differ."""


@dataclass(slots=True)
class TypeParameters:
    """What is known of one resource type: its parameters by code and its arms by key."""

    parameters: dict[str, SearchParameter] = field(default_factory=dict)
    arms: dict[int, Arm] = field(default_factory=dict)

    def keep(self, arm: Arm) -> int:
        """Remember ``arm``. Raises Unprocessable when another arm of the type has its number."""
        known = self.arms.setdefault(arm.key, arm)
        if (known.name, known.kind) != (arm.name, arm.kind):
            raise Unprocessable(
                f"the paths {known.name} and {arm.name} of {arm.type} have the same index number"
            )
        return arm.key
