"""Contained resources on their way into the store and out of it.

Each is kept once more, by itself, as a record of an internal type: what is found is then the record, and its id names
the container. The records follow their container in the same transaction.
Source: FHIR R4 references.html#contained, search.html#contained.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

import msgspec
import orjson

from fhir_server.interactions.paging import all_pages
from fhir_server.model.resource import Json
from fhir_server.search.contained import contained_id, contained_type, contained_values
from fhir_server.search.index import IndexValues
from fhir_server.search.query import Query
from fhir_server.store import Record, Store, Transaction

Extract = Callable[[Json], IndexValues]
Key = tuple[str, str]

MARK: Final = b'"contained"'
"""Stands in the content of every container, and in hardly any other."""


STEP: Final = 500
"""Resources that are looked at together when a whole store is."""


class _Container(msgspec.Struct):
    contained: list[msgspec.Raw] = []


class _Head(msgspec.Struct):
    resource_type: str = msgspec.field(name="resourceType")
    id: str = ""


_containers: Final = msgspec.json.Decoder(_Container)
_heads: Final = msgspec.json.Decoder(_Head)


def contained_in(record: Record) -> dict[Key, bytes]:
    """The contained resources of ``record`` by the internal type and id they are kept under, as bytes."""
    if MARK not in record.content:
        return {}
    return dict(_each(record))


def _each(record: Record) -> Iterator[tuple[Key, bytes]]:
    for raw in _containers.decode(record.content).contained:
        head = _heads.decode(raw)
        if head.id:
            key = contained_type(head.resource_type), contained_id(record.type, record.id, head.id)
            yield key, bytes(raw)


def container_of(record: Record) -> Key:
    """Type and id of the resource that contains what ``record`` holds."""
    type, _, id = record.id.partition("#")[0].partition("/")
    return type, id


async def keep_contained(
    transaction: Transaction, extract: Extract, record: Record, before: Record | None
) -> None:
    """Have the store hold exactly what ``record`` contains, where it held what ``before`` contained."""
    old = contained_in(before) if before is not None and not before.deleted else {}
    new = {} if record.deleted else contained_in(record)
    for (type, id), raw in new.items():
        known = await transaction.read(type, id) if before is not None else None
        version = known.version + 1 if known else 1
        data = orjson.loads(raw)
        kept = Record(type, id, version, record.updated, "PUT", raw)
        await transaction.put(kept, contained_values(extract(data), data["resourceType"], data["id"]))
    for type, id in old.keys() - new.keys():
        known = await transaction.read(type, id)
        if known is not None and not known.deleted:
            await transaction.delete(Record(type, id, known.version + 1, record.updated, "DELETE", b""))


async def forget_contained(transaction: Transaction, current: Record, *, all: bool) -> None:
    """Remove for good what past versions of ``current`` contained; ``all``: and what it contains itself."""
    kept: Mapping[Key, bytes] = {} if all or current.deleted else contained_in(current)
    for version in range(1, current.version + 1):
        record = await transaction.read_version(current.type, current.id, version)
        for type, id in contained_in(record) if record else ():
            if (type, id) in kept:
                await transaction.forget(type, id)
            else:
                await transaction.erase(type, id)


async def keep_all_contained(store: Store, extract: Extract, types: Iterable[str]) -> int:
    """Keep what the resources of ``types`` contain, in a store of a time when it was not kept: how many contain any."""
    count = 0
    for type in types:
        async for page in all_pages(store, Query(type, count=STEP)):
            containers = [record for record in page.records if contained_in(record)]
            async with store.transaction() as transaction:
                for record in containers:
                    await keep_contained(transaction, extract, record, record)
            count += len(containers)
    return count
