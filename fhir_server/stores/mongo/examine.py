"""Everything in the database looked at: its indexes, its documents, the versions, the index values. See
``store.Store.examine``. A document is looked at as a whole, so servers may go on writing.

MongoDB's own pages have checksums, which it compares as it reads them: reading everything is the check of the disk.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from itertools import groupby, islice
from typing import Any, Final

import zstandard

from fhir_server.store import Examination, Finding
from fhir_server.stores.blobs import Blobs
from fhir_server.stores.contents import RESTORE, content_fault, place_of
from fhir_server.stores.mongo.batch import Extract
from fhir_server.stores.mongo.connection import Document
from fhir_server.stores.mongo.documents import DOCUMENTS
from fhir_server.stores.mongo.fields import index_fields
from fhir_server.stores.mongo.rebuild import ARRAYS, indexed_anew, without_arms
from fhir_server.stores.mongo.setup import validator_of
from fhir_server.stores.mongo.shards import shard_key

Told = Callable[[int], None]

AT_ONCE: Final = 500
OTHER_RULES: Final = Finding(
    "the index",
    "it was made by other rules (another time zone, base address or program) than those of this command: it is made "
    "anew when a server starts with them; its values were not compared",
)


@dataclass
class Examiner:
    """Looks through ``database`` (of a client that is not asynchronous). Arms ``ignored`` are being built, so nothing
    is said of them. All calls raise PyMongoError."""

    database: Any
    extract: Extract
    ignored: Set[int]
    rules: str
    fix: bool
    told: Told
    blobs: Blobs = field(default_factory=Blobs)
    resources: int = 0
    findings: list[Finding] = field(default_factory=list)
    differing: list[Finding] = field(default_factory=list)

    def run(self, drift: Sequence[str]) -> Examination:
        """Look at everything; ``drift`` is what was found when the store was opened."""
        self.findings += [Finding("the database", line) for line in drift]
        self.findings += misshapen(self.database)
        self._count()
        state = self.database.state.find_one({"_id": "store"})
        is_comparable = state["index"] == self.rules
        if not is_comparable:
            self.findings.append(OTHER_RULES)
        for rows in _resources(self.database):
            self._look(rows, is_comparable=is_comparable)
            self.resources += sum(row["m"] > 0 for row in rows)
            self.told(self.resources)
        if self.fix:
            return Examination(self.resources, tuple(self.findings), tuple(self.differing))
        return Examination(self.resources, (*self.findings, *self.differing))

    def _count(self) -> None:
        """No number that was given out may be above the counters: it would be given out again."""
        for collection, name in (("resource", "s"), ("resource", "n"), ("history", "_id")):
            greatest = next(
                iter(self.database[collection].find({}, {name: 1}, sort=[(name, -1)], limit=1)), None
            )
            state = self.database.state.find_one({"_id": "store"})
            counter = state["n" if name == "n" else "s"]
            if greatest is not None and greatest[name] > counter:
                text = f"{greatest[name]} is beyond the counter of the store, {counter}: {RESTORE}"
                self.findings.append(Finding(f"collection {collection}", text))

    def _look(self, rows: list[Document], *, is_comparable: bool) -> None:
        past = self.database.history.find(
            {"r": {"$in": [row["_id"] for row in rows]}}, sort=[("r", 1), ("v", 1)]
        )
        versions = {key: list(some) for key, some in groupby(past, key=lambda each: each["r"])}
        wrong = []
        for row in rows:
            self.findings += self._versions(row, versions.get(row["_id"], []))
            difference = self._difference(row) if is_comparable and row["m"] else ""
            if difference:
                self.differing.append(Finding(place_of(row["t"], row["i"]), difference))
                wrong.append(row)
        if wrong and self.fix:
            changes = [indexed_anew(row, self.blobs, self.extract) for row in wrong]
            self.database.resource.bulk_write(changes, ordered=False)
            self.database.state.update_one({"_id": "store"}, {"$inc": {"g": 1}})

    def _versions(self, row: Document, past: list[Document]) -> Iterator[Finding]:
        """What is wrong with the versions of one resource; those that came after ``row`` was read are not looked at."""
        known = [each for each in past if each["_id"] < row["s"]]
        for each in (*known, row):
            sequence = each["_id"] if each is not row else row["s"]
            fault = content_fault(
                row["t"], row["i"], each["v"], each["z"], self.blobs, is_deleted=not each["m"]
            )
            if not fault and each is not row and each["v"] >= row["v"]:
                fault = "it is not older than the current version"
            if not fault and each["n"] != row["n"]:
                fault = "it has another number than its resource"
            if fault:
                place = f"{place_of(row['t'], row['i'])}, version {each['v']}, write {sequence}"
                yield Finding(place, f"{fault}: {RESTORE}")

    def _difference(self, row: Document) -> str:
        """In what the index values of ``row`` are not those of its content, "" when in nothing."""
        try:
            values = self.extract(row["t"], self.blobs.decompress(row["z"]))
        except (zstandard.ZstdError, ValueError):  # told with the version
            return ""
        wanted = without_arms(index_fields(row["t"], values), self.ignored)
        there = without_arms(row, self.ignored)
        missing = extra = 0
        for name in ARRAYS:
            one, other = _counted(wanted.get(name, ())), _counted(there.get(name, ()))
            missing += (one - other).total()
            extra += (other - one).total()
        key = shard_key(row["t"], row["i"], values)
        if not (missing or extra) and (row["d"], row["p"]) == (values.date, key):
            return ""
        return f"{missing} index values are missing and {extra} should not be there, or its date or shard key is wrong"


def misshapen(database: Any) -> Iterator[Finding]:
    """Documents that are not as ``documents`` declares them, and past versions of nothing."""
    for document in DOCUMENTS:
        name = document._get_collection_name()
        wrong = list(database[name].find({"$nor": [validator_of(document)]}, {"_id": 1}, limit=AT_ONCE))
        if wrong:
            yield Finding(
                f"collection {name}",
                f"{len(wrong)} documents lack a field or have one of another type: {RESTORE}",
            )
    lost = sum(1 for _ in _lost(database))
    if lost:
        yield Finding(
            "collection history", f"{lost} resources have past versions but no current one: {RESTORE}"
        )


def _lost(database: Any) -> Iterator[str]:
    keys = (
        key
        for key, _ in groupby(
            each["r"] for each in database.history.find({}, {"r": 1, "_id": 0}, sort=[("r", 1)])
        )
    )
    while some := list(islice(keys, AT_ONCE)):
        there = {each["_id"] for each in database.resource.find({"_id": {"$in": some}}, {"_id": 1})}
        yield from (key for key in some if key not in there)


def _resources(database: Any) -> Iterator[list[Document]]:
    after = ""
    while rows := list(database.resource.find({"_id": {"$gt": after}}, sort=[("_id", 1)], limit=AT_ONCE)):
        yield rows
        after = rows[-1]["_id"]


def _counted(items: Sequence[Any]) -> Counter[Hashable]:
    return Counter(_frozen(item) for item in items)


def _frozen(item: Any) -> Hashable:
    return tuple(sorted(item.items())) if isinstance(item, Mapping) else item
