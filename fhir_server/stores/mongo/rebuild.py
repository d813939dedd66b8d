"""Makes index values anew: all at once before a store is used, or arm by arm in small steps while it is.

All at once when the rules have changed that every value is made by (another time zone, a new program). The state says
so first and last, so that a server which is killed in between, or another one, begins again; meanwhile no server with
the old rules writes, and each document has either its old values or its new ones.
Source: our own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from math import inf
from time import monotonic
from typing import Any, Final

from pymongo import UpdateOne

from fhir_server.search.index import IndexValues
from fhir_server.store import Step
from fhir_server.stores.blobs import Blobs
from fhir_server.stores.mongo.batch import Extract
from fhir_server.stores.mongo.conditions.parts import begins
from fhir_server.stores.mongo.connection import Document
from fhir_server.stores.mongo.fields import AFTER, Fields, arm, index_fields
from fhir_server.stores.mongo.fulltext import forget_texts
from fhir_server.stores.mongo.session import Session
from fhir_server.stores.mongo.shards import shard_key

AT_ONCE: Final = 500
ARRAYS: Final = ("k", "x", "e", "q", "c", "g", "a")
"""The index fields."""
_TEXTS: Final = frozenset({"k", "x"})
"""Those whose items are texts that begin with their arm; those of ``a`` are arms, those of the others have one."""
_TYPES: Final = frozenset("_ABCDEFGHIJKLMNOPQRSTUVWXYZ")
"""What the name of a type begins with, and no arm."""
_CONTENT: Final = {"t": 1, "i": 1, "s": 1, "p": 1, "z": 1}


# ── all at once ───────────────────────────────────────────────────────────────


def rebuild(database: Any, blobs: Blobs, extract: Extract, fingerprint: str) -> int:
    """Index every resource of ``database`` (of a client that is not asynchronous) again; returns how many there are.

    Raises PyMongoError.
    """
    database.state.update_one(
        {"_id": "store"}, {"$set": {"index": ""}, "$inc": {"g": 1}, "$unset": {"x": ""}}
    )
    count = 0
    for rows in _in_steps(database):
        database.resource.bulk_write([indexed_anew(row, blobs, extract) for row in rows], ordered=False)
        count += len(rows)
    database.state.update_one({"_id": "store"}, {"$set": {"index": fingerprint}, "$inc": {"g": 1}})
    return count


def _in_steps(database: Any) -> Iterator[list[Document]]:
    after = ""
    while True:
        wanted = {"_id": {"$gt": after}, "m": {"$gt": 0}}
        rows = list(database.resource.find(wanted, _CONTENT, sort=[("_id", 1)], limit=AT_ONCE))
        if not rows:
            return
        yield rows
        after = rows[-1]["_id"]


def indexed_anew(row: Document, blobs: Blobs, extract: Extract) -> UpdateOne:
    """What gives the resource of ``row`` (t, i, s, p, z) the values of its content, unless it has been changed."""
    values = extract(row["t"], blobs.decompress(row["z"]))
    fields = index_fields(row["t"], values)
    given = {**fields, "d": values.date, "p": shard_key(row["t"], row["i"], values)}
    gone = {name: "" for name in ARRAYS if name not in fields}
    return UpdateOne(_same(row), {"$set": given, **({"$unset": gone} if gone else {})})


def _same(row: Document) -> Document:
    """Finds the document of ``row`` unless it has been changed since."""
    return {"_id": row["_id"], "p": row["p"], "s": row["s"]}


# ── in steps ──────────────────────────────────────────────────────────────────


async def index_some(
    session: Session,
    blobs: Blobs,
    extract: Extract,
    type: str,
    keys: Set[int],
    after: str,
    limit: int,
    seconds: float = inf,
) -> Step:
    """See ``store.Transaction.index``. Half of the time is for the database."""
    deadline = monotonic() + seconds / 2
    if not after:
        await forget_texts(session)
    wanted = {"_id": {"$gt": f"{type}/{after}", "$lt": f"{type}/{AFTER}"}, "m": {"$gt": 0}}
    command = {
        "find": "resource",
        "filter": wanted,
        "projection": _CONTENT,
        "sort": {"_id": 1},
        "limit": limit,
    }
    rows = await session.ask({**command, "batchSize": limit})
    added: list[tuple[Document, Document]] = []
    for row in rows:
        added.append((row, of_arms(index_fields(type, _values(row, blobs, extract)), keys)))
        if monotonic() > deadline:
            break
    changes = [
        UpdateOne(_same(row), {"$addToSet": {name: {"$each": items} for name, items in fields.items()}})
        for row, fields in added
        if fields
    ]
    if changes:
        await session.change("resource", changes)
    more = len(added) < len(rows) or len(rows) == limit
    return Step(added[-1][0]["i"] if more else None, len(added))


def _values(row: Document, blobs: Blobs, extract: Extract) -> IndexValues:
    return extract(row["t"], blobs.decompress(row["z"]))


async def unindex_some(session: Session, keys: Set[int], limit: int) -> int:
    """See ``store.Transaction.unindex``; a row is here what one resource has of the arms."""
    wanted = {"$or": [query for key in sorted(keys) for query in _having(key)]}
    command = {"find": "resource", "filter": wanted, "limit": limit, "batchSize": limit}
    rows = await session.ask({**command, "projection": {"p": 1, "s": 1, **dict.fromkeys(ARRAYS, 1)}})
    changes = [UpdateOne(_same(row), {"$set": without_arms(row, keys)}) for row in rows]
    if changes:
        await session.change("resource", changes)
    return len(rows)


def _having(key: int) -> list[Document]:
    """What finds the resources that have an entry of an arm, each by an index."""
    texts: list[Document] = [{name: begins(arm(key))} for name in sorted(_TEXTS)]
    return texts + [{f"{name}.k": key} for name in ("e", "q", "c", "g")]


def of_arms(fields: Mapping[str, Any], keys: Set[int]) -> Fields:
    """The entries of the arms ``keys`` among index fields; a kind that has none is left out."""
    kept = {name: [item for item in items if _arm_of(name, item) in keys] for name, items in fields.items()}
    return {name: items for name, items in kept.items() if items}


def without_arms(row: Mapping[str, Any], keys: Set[int]) -> Fields:
    """The index fields of ``row`` without the entries of the arms ``keys``."""
    return {
        name: [item for item in row[name] if _arm_of(name, item) not in keys]
        for name in ARRAYS
        if name in row
    }


def _arm_of(name: str, item: Any) -> int | None:
    """The arm of one item of an index field; None for the name of the type."""
    if name not in _TEXTS:
        key: int = item if name == "a" else item["k"]
        return key
    return None if item[0] in _TYPES else int(item[:8], 16)
