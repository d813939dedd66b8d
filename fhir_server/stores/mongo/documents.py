"""The collections of the MongoDB store: fields, indexes, validators and shard keys.

Declared as mongoengine documents, which administration commands use; requests go past them (see ``fields``).
Names in the database are short because every document repeats them.

========== ==========================================================================================
resource   the current version of every resource, a deleted one included, with its index values
history    past versions
text       the words of current versions, made when somebody searches by them
state      one document: the counters of the store, the rules its index was made by, its schema
========== ==========================================================================================

A write takes the next ``sequence`` from ``state``, so the order of sequences is the order of commits. ``number`` is
the order of creation. Both start at 1 and are never given out again.
"""

from __future__ import annotations

from typing import Any, Final

from mongoengine import (
    BinaryField,
    Document,
    DynamicField,
    EmbeddedDocument,
    EmbeddedDocumentField,
    FloatField,
    IntField,
    ListField,
    LongField,
    StringField,
)

SCHEMA: Final = 1
"""The number of what is declared here; raised with every change that a migration has to make."""

METHODS: Final = ("DELETE", "POST", "PUT", "PATCH")
"""``method`` is the place in this tuple: 0 means deleted."""


class Period(EmbeddedDocument):  # type: ignore[misc]
    """``[low, high)`` of a date arm."""

    arm = LongField(db_field="k", required=True)
    low = LongField(db_field="l", required=True)
    high = LongField(db_field="h", required=True)
    edge = IntField(db_field="o")
    """1 = of all periods of its arm the one that begins first, 2 = that ends last, 3 = both; a sort goes by it."""


class Number(EmbeddedDocument):  # type: ignore[misc]
    """A number (system and code "") or a quantity; ``low`` = ``high`` for a plain value."""

    arm = LongField(db_field="k", required=True)
    low = FloatField(db_field="l", required=True)
    high = FloatField(db_field="h", required=True)
    edge = IntField(db_field="o")
    """As in Period."""
    system = StringField(db_field="s", required=True)
    code = StringField(db_field="c", required=True)


class Combination(EmbeddedDocument):  # type: ignore[misc]
    """A composite: the columns of its first part, and of the second and the third with a 2 and a 3 at their names."""

    arm = LongField(db_field="k", required=True)
    text = StringField(db_field="t")
    extra = StringField(db_field="s")
    low = DynamicField(db_field="l")
    high = DynamicField(db_field="h")


class Position(EmbeddedDocument):  # type: ignore[misc]
    """Degrees."""

    arm = LongField(db_field="k", required=True)
    latitude = FloatField(db_field="y", required=True)
    longitude = FloatField(db_field="x", required=True)


class Resource(Document):  # type: ignore[misc]
    """The current version of one resource. The index fields (from ``terms`` on) are empty when it is deleted.

    What their items look like is said in ``fields``. ``number`` and ``date`` give the default order: newest date
    first, then newest number. The index ``term`` answers whatever is exact, in that order: a code, a reference, a uri
    and, by the bare name of the type, "all of them".
    """

    key = StringField(primary_key=True)
    """``Type/id``."""
    type = StringField(db_field="t", required=True)
    id = StringField(db_field="i", required=True)
    number = LongField(db_field="n", required=True)
    version = LongField(db_field="v", required=True)
    updated = LongField(db_field="u", required=True)
    """Microseconds since 1970 UTC, as every moment here."""
    method = IntField(db_field="m", required=True)
    sequence = LongField(db_field="s", required=True)
    latest = LongField(db_field="w", required=True)
    """The greatest ``updated`` of all writes so far: it never falls as ``sequence`` grows."""
    date = LongField(db_field="d", required=True)
    """The primary clinical date, 0 when there is none."""
    patient = StringField(db_field="p", required=True)
    """The shard key: see ``shards``."""
    content = BinaryField(db_field="z", required=True)
    """The JSON, compressed (``stores.blobs``); empty when deleted."""
    terms = ListField(StringField(), db_field="k")
    strings = ListField(StringField(), db_field="x")
    periods = ListField(EmbeddedDocumentField(Period), db_field="e")
    numbers = ListField(EmbeddedDocumentField(Number), db_field="q")
    composites = ListField(EmbeddedDocumentField(Combination), db_field="c")
    positions = ListField(EmbeddedDocumentField(Position), db_field="g")
    arms = ListField(LongField(), db_field="a")
    """The keys of the arms that have a value, for ``:missing``."""

    meta: Final = {
        "collection": "resource",
        "auto_create_index": False,
        "shard_key": ("patient",),
        "indexes": [
            {"name": "term", "fields": ["terms", "-date", "-number"]},
            {"name": "string", "fields": ["strings"], "sparse": True},
            {"name": "period", "fields": ["periods.arm", "periods.low", "periods.high"], "sparse": True},
            {"name": "number", "fields": ["numbers.arm", "numbers.low", "numbers.high"], "sparse": True},
            {"name": "composite", "fields": ["composites.arm", "composites.text"], "sparse": True},
            {"name": "position", "fields": ["positions.arm", "positions.latitude"], "sparse": True},
            {"name": "change", "fields": ["sequence"]},
            {"name": "type_change", "fields": ["type", "sequence"]},
            {"name": "type_updated", "fields": ["type", "updated", "date", "number"]},
        ],
    }


class History(Document):  # type: ignore[misc]
    """A past version. ``ended`` is the ``sequence`` of the write that replaced it, ``until`` that one's ``updated``."""

    sequence = LongField(primary_key=True)
    key = StringField(db_field="r", required=True)
    """``Type/id``."""
    type = StringField(db_field="t", required=True)
    id = StringField(db_field="i", required=True)
    number = LongField(db_field="n", required=True)
    version = LongField(db_field="v", required=True)
    updated = LongField(db_field="u", required=True)
    method = IntField(db_field="m", required=True)
    latest = LongField(db_field="w", required=True)
    ended = LongField(db_field="o", required=True)
    until = LongField(db_field="f", required=True)
    patient = StringField(db_field="p", required=True)
    content = BinaryField(db_field="z", required=True)

    meta: Final = {
        "collection": "history",
        "auto_create_index": False,
        "shard_key": ("patient",),
        "indexes": [
            {"name": "version", "fields": ["key", "-version"]},
            {"name": "type_change", "fields": ["type", "sequence"]},
            {"name": "type_ended", "fields": ["type", "ended"]},
        ],
    }


class Text(Document):  # type: ignore[misc]
    """Words of the version ``sequence`` of a resource: see ``fulltext``. An older one is found by nobody, and goes with
    the next write that is indexed of its resource."""

    sequence = LongField(db_field="s", required=True)
    type = StringField(db_field="t", required=True)
    key = StringField(db_field="r", required=True)
    patient = StringField(db_field="p", required=True)
    words = ListField(StringField(), db_field="w")
    lines = ListField(StringField(), db_field="x")

    meta: Final = {
        "collection": "text",
        "auto_create_index": False,
        "shard_key": ("patient",),
        "indexes": [
            {"name": "word", "fields": ["words", "type"]},
            {"name": "version", "fields": ["sequence"]},
            {"name": "resource", "fields": ["key"]},
        ],
    }


class State(Document):  # type: ignore[misc]
    """The one document ``_id: "store"``. Every group of writes changes it first (``turn`` counts them), so the groups
    of all servers take turns.

    ``sequence``, ``number`` and ``latest`` are the greatest given out; ``erased`` counts removals and changes of index
    values, which are no writes.
    """

    key = StringField(primary_key=True)
    schema = LongField(required=True)
    index = StringField(required=True)
    """The fingerprint of the rules that the index values were made by, "" when they have to be made anew."""
    sequence = LongField(db_field="s", required=True)
    number = LongField(db_field="n", required=True)
    latest = LongField(db_field="w", required=True)
    erased = LongField(db_field="g", required=True)
    turn = LongField(db_field="b", required=True)
    heeded = LongField(db_field="h")
    """How many groups wrote something that other servers must know of before they write: see ``heeding``."""
    texts = LongField(db_field="x")
    """The sequence up to which ``text`` goes; nothing when it has to be made anew."""

    meta: Final = {"collection": "state", "auto_create_index": False, "indexes": []}


class Server(Document):  # type: ignore[misc]
    """A server that lives: when it ``told`` so last (milliseconds of the database), and the ``session`` of its
    transactions. See ``presence``."""

    key = StringField(primary_key=True)
    session = BinaryField(db_field="l", required=True)
    told = LongField(db_field="a", required=True)

    meta: Final = {"collection": "server", "auto_create_index": False, "indexes": []}


DOCUMENTS: Final[tuple[Any, ...]] = (Resource, History, Text, State, Server)
"""Every collection that the store has."""
