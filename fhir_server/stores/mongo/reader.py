"""Records by their ids and versions, through a view."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import zstandard

from fhir_server.store import Record
from fhir_server.stores.blobs import Blobs
from fhir_server.stores.mongo.connection import Document
from fhir_server.stores.mongo.documents import METHODS
from fhir_server.stores.mongo.faults import unavailable
from fhir_server.stores.mongo.view import View

RECORD: Final[Mapping[str, Any]] = {"t": 1, "i": 1, "v": 1, "u": 1, "m": 1, "z": 1, "s": 1}
"""The projection of a ``resource`` document that a record is made of; of ``history`` it gives the same but for ``_id``,
which is the sequence."""

AT_ONCE: Final = 1_000
"""Ids looked up by one call."""


class Reader:
    """What can be read without a search. Raises StoreUnavailable."""

    def __init__(self, view: View, blobs: Blobs) -> None:
        self._view = view
        self._blobs = blobs

    async def read(self, type: str, id: str) -> Record | None:
        """See ``store.Reading.read``."""
        found = await self._view.find("resource", {"_id": f"{type}/{id}"}, projection=RECORD, limit=1)
        return self.record(found[0]) if found else None

    async def read_many(self, keys: Sequence[tuple[str, str]]) -> list[Record]:
        """See ``store.Reading.read_many``."""
        names = [f"{type}/{id}" for type, id in keys]
        found: dict[str, Document] = {}
        for start in range(0, len(names), AT_ONCE):
            wanted = {"_id": {"$in": names[start : start + AT_ONCE]}, "m": {"$gt": 0}}
            rows = await self._view.find("resource", wanted, projection=RECORD)
            found.update((row["_id"], row) for row in rows)
        return self.records(found[name] for name in names if name in found)

    async def read_version(self, type: str, id: str, version: int) -> Record | None:
        """See ``store.Reading.read_version``."""
        current = await self.read(type, id)
        if current is None or current.version == version:
            return current
        wanted = {"r": f"{type}/{id}", "v": version}
        found = await self._view.find("history", wanted, projection=RECORD, limit=1)
        return self.record(found[0]) if found else None

    def record(self, row: Document, number: int = 0) -> Record:
        """A document with the fields of RECORD; ``number`` is what ``changes`` tells of it."""
        try:
            content = self._blobs.decompress(row["z"])
        except zstandard.ZstdError as error:
            raise unavailable(error) from error
        sequence = row.get("s") or row["_id"]
        return Record(row["t"], row["i"], row["v"], row["u"], METHODS[row["m"]], content, sequence, number)

    def records(self, rows: Iterable[Document]) -> list[Record]:
        """Documents with the fields of RECORD."""
        return [self.record(row) for row in rows]
