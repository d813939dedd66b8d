"""Writes gathered in memory: as documents, but for what is known only when they are written (their sequence)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from struct import Struct
from typing import Any, Final, NamedTuple

import bson
from bson.raw_bson import RawBSONDocument

from fhir_server.errors import Conflict
from fhir_server.search.index import IndexValues
from fhir_server.store import Record
from fhir_server.stores.blobs import Blobs
from fhir_server.stores.mongo.documents import METHODS
from fhir_server.stores.mongo.faults import too_large
from fhir_server.stores.mongo.fields import index_fields
from fhir_server.stores.mongo.shards import shard_key

Extract = Callable[[str, bytes], IndexValues]
Key = tuple[str, str]

LARGEST: Final = 16 * 2**20 - 2**10
"""Bytes of the compressed content and the index fields together; the rest is for the other fields."""

STORED: Final = {"n": 1, "v": 1, "u": 1, "m": 1, "s": 1, "w": 1, "p": 1, "z": 1, "_id": 0}
"""The projection of a document that ``Stored`` is made of."""


class Stored(NamedTuple):
    """What the store has of a current version."""

    number: int
    version: int
    updated: int
    method: int
    sequence: int
    latest: int
    patient: str
    content: bytes

    @classmethod
    def of(cls, document: dict[str, Any]) -> Stored:
        """A document with the fields of STORED."""
        return cls(*[document[name] for name in ("n", "v", "u", "m", "s", "w", "p", "z")])


@dataclass(slots=True)
class Write:
    """One new version. ``body`` are its index fields as BSON. ``is_blind``: it creates the resource, unless that is
    there already, which nobody has looked at. ``is_restored``: it has its sequence and number already."""

    record: Record
    content: bytes
    body: bytes
    date: int
    patient: str
    is_blind: bool
    is_restored: bool = False

    @property
    def key(self) -> Key:
        """(type, id)."""
        return self.record.type, self.record.id

    def index(self, values: IndexValues) -> None:
        """Have it found by ``values``."""
        self.body = bson.encode(index_fields(self.record.type, values))
        self.date, self.patient = values.date, shard_key(*self.key, values)

    def require_follows(self, version: int) -> None:
        """Raises Conflict unless it may come after ``version`` (0: none)."""
        if self.is_restored:
            require_later(self.record, self.record.version > version)
        else:
            require_next(self.record, version)

    def stored(self, number: int, sequence: int, latest: int) -> Stored:
        """What the store has after it, with the numbers that it was given."""
        record = self.record
        method = METHODS.index(record.method)
        numbers = (number, record.version, record.updated, method, sequence, latest)
        return Stored(*numbers, self.patient, self.content)


def gather(
    record: Record,
    values: IndexValues | None,
    before: Stored | Write | None,
    blobs: Blobs,
    *,
    is_restored: bool = False,
) -> Write:
    """The write of ``record`` after ``before``; ``values`` None: a deletion. Raises TooLarge, and OverflowError for
    a moment that cannot be kept."""
    content = blobs.compress(record.content)
    body = bson.encode(index_fields(record.type, values)) if values is not None else _NO_FIELDS
    if len(content) + len(body) > LARGEST:
        raise too_large()
    patient = shard_key(record.type, record.id, values)
    if values is None and before is not None:
        patient = before.patient
    date = values.date if values is not None else 0
    return Write(record, content, body, date, patient, before is None, is_restored)


def require_next(record: Record, before: int) -> None:
    """Raises Conflict unless ``record`` follows the version ``before`` (0: none)."""
    if record.version != before + 1:
        raise Conflict(
            f"version {record.version} of {record.type}/{record.id} does not follow the current version "
            f"{before}: somebody else was faster; read it again and repeat the change"
        )


def require_later(record: Record, is_later: bool) -> None:
    """Raises Conflict unless what is restored ``is_later`` than all that is here."""
    if not is_later:
        raise Conflict(
            f"version {record.version} of {record.type}/{record.id} with the sequence {record.sequence} does not "
            "follow what is in this store: restore into an empty one, in the order of the sequences"
        )


# ── documents ─────────────────────────────────────────────────────────────────

_LENGTH: Final = Struct("<i")
_NO_FIELDS: Final = bson.encode({})


def resource_document(write: Write, after: Stored) -> RawBSONDocument:
    """The ``resource`` document of ``write``."""
    type, id = write.key
    head = bson.encode(
        {
            "_id": f"{type}/{id}",
            "t": type,
            "i": id,
            "n": after.number,
            "v": after.version,
            "u": after.updated,
            "m": after.method,
            "s": after.sequence,
            "w": after.latest,
            "d": write.date,
            "p": after.patient,
            "z": after.content,
        }
    )
    joined = head[4:-1] + write.body[4:]
    return RawBSONDocument(_LENGTH.pack(len(joined) + 4) + joined)


def history_document(key: Key, stored: Stored, ended: Stored) -> dict[str, Any]:
    """The ``history`` document of the version ``stored``, which ``ended`` replaces."""
    type, id = key
    return {
        "_id": stored.sequence,
        "r": f"{type}/{id}",
        "t": type,
        "i": id,
        "n": stored.number,
        "v": stored.version,
        "u": stored.updated,
        "m": stored.method,
        "w": stored.latest,
        "o": ended.sequence,
        "f": ended.updated,
        "p": stored.patient,
        "z": stored.content,
    }


class Documents(NamedTuple):
    """What a list of writes changes. A resource whose shard key changes is removed and created."""

    created: list[RawBSONDocument]
    replaced: list[tuple[dict[str, Any], RawBSONDocument]]
    removed: list[dict[str, Any]]
    history: list[dict[str, Any]]


class Counters(NamedTuple):
    """The greatest numbers given out: see ``documents.State``."""

    sequence: int
    number: int
    latest: int


def documents_of(
    writes: Iterable[Write], known: dict[Key, Stored | None], counters: Counters
) -> tuple[Documents, Counters]:
    """The documents of ``writes`` in their order, numbered on from ``counters``.

    ``known`` are the current versions as far as somebody looked, and afterwards those that the writes made.
    """
    sequence, number, latest = counters
    first: dict[Key, Stored | None] = {}
    last: dict[Key, tuple[Write, Stored]] = {}
    history = []
    for write in writes:
        record, key, before = write.record, write.key, known.get(write.key)
        sequence = record.sequence if write.is_restored else sequence + 1
        latest = max(latest, record.updated)
        if before is not None:
            own = before.number
        else:
            own = record.number if write.is_restored else number + 1
            number = max(number, own)
        after = write.stored(own, sequence, latest)
        if before is not None:
            history.append(history_document(key, before, after))
        first.setdefault(key, before)
        last[key] = write, after
        known[key] = after
    found = Documents([], [], [], history)
    for key, before in first.items():
        _sort_in(found, before, *last[key])
    return found, Counters(sequence, number, latest)


def _sort_in(found: Documents, before: Stored | None, write: Write, after: Stored) -> None:
    document = resource_document(write, after)
    if before is None:
        found.created.append(document)
        return
    type, id = write.key
    old = {"_id": f"{type}/{id}", "p": before.patient, "v": before.version}
    if before.patient == after.patient:
        found.replaced.append((old, document))
    else:
        found.removed.append(old)
        found.created.append(document)
