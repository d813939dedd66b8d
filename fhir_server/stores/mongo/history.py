"""Past versions and changes: the current versions and the past ones together, in the order of their writes.

Source: FHIR R4 http.html#history.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from fhir_server.store import Page
from fhir_server.stores.blobs import Blobs
from fhir_server.stores.cursor import Before, read_cursor, write_cursor
from fhir_server.stores.mongo.connection import Document
from fhir_server.stores.mongo.reader import RECORD, Reader
from fhir_server.stores.mongo.view import View

Filter = dict[str, Any]

_INTERNAL: Final = "_"
"""What the internal types begin with; FHIR's are less."""


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose history: everybody's (both None), a type's, or one resource's; ``since`` and ``at`` as it is asked."""

    type: str | None = None
    id: str | None = None
    since: int | None = None
    at: tuple[int, int] | None = None

    @property
    def context(self) -> bytes:
        """What a cursor belongs to."""
        return f"history {self.type} {self.id} {self.since} {self.at}".encode()

    def current(self) -> Filter:
        """The versions in scope among the current ones."""
        named = {"_id": f"{self.type}/{self.id}"} if self.id is not None else self._of_type()
        return {**named, **self._updated()}

    def past(self, newest: int) -> Filter:
        """The versions in scope among the past ones, as the write ``newest`` left them."""
        named = {"r": f"{self.type}/{self.id}"} if self.id is not None else self._of_type()
        ended = {} if self.at is None else {"$or": [{"f": {"$gt": self.at[0]}}, {"o": {"$gt": newest}}]}
        return {**named, **self._updated(), **ended}

    def _of_type(self) -> Filter:
        return {"t": {"$lt": _INTERNAL} if self.type is None else self.type}

    def _updated(self) -> Filter:
        bounds = {} if self.since is None else {"$gte": self.since}
        if self.at is not None:
            bounds["$lt"] = self.at[1]
        return {"u": bounds} if bounds else {}


class Cut(NamedTuple):
    """A page: documents with the fields of RECORD, the cursor of the next page, the total when it was asked for."""

    rows: Sequence[Document]
    next: str | None
    total: int | None


async def history_page(view: View, scope: Scope, count: int, cursor: str | None, *, total: bool) -> Cut:
    """``count`` versions, newest first, the cursor of what follows, and how many there are on all pages.

    The pages after the first one show, and have the total of, the moment of the first.
    """
    before = read_cursor(scope.context, cursor, Before) if cursor else await _start(view)
    first = 0 if scope.since is None or scope.id is not None else await _first_since(view, scope.since)
    if total and not cursor:
        counted = await _count(view, scope, _between(first, before.sequence + 1), before.sequence)
        before = Before(before.sequence, counted, before.last)
    span = _between(first, before.last)
    rows = await _rows(view, scope.current(), scope.past(before.sequence), span, count + 1, down=True)
    if not len(rows) > count > 0:
        return Cut(rows[:count], None, before.total)
    following = Before(before.sequence, before.total, _sequence(rows[count - 1]))
    return Cut(rows[:count], write_cursor(scope.context, following), before.total)


async def read_history(
    view: View, blobs: Blobs, scope: Scope, count: int, cursor: str | None, *, total: bool
) -> Page:
    """See ``store.Reading.history``."""
    cut = await history_page(view, scope, count, cursor, total=total)
    return Page(tuple(Reader(view, blobs).records(cut.rows)), cut.next, cut.total)


async def reached(view: View) -> tuple[int, int]:
    """See ``store.Store.reached``."""
    state = await view.find("state", {"_id": "store"}, projection={"s": 1, "n": 1})
    return state[0]["s"], state[0]["n"]


async def read_changes(view: View, after: int, limit: int) -> list[Document]:
    """Writes with a sequence greater than ``after``, oldest first. All calls of ``view`` see one state: else a version
    that was replaced between two of them would be found, and one before it, written meanwhile, would not."""
    return await _rows(view, {}, {}, {"$gt": after}, limit, down=False, fields={**RECORD, "n": 1})


async def _start(view: View) -> Before:
    """Where the first page begins."""
    newest, _ = await reached(view)
    return Before(newest, None, newest + 1)


def _between(first: int, last: int) -> Filter:
    return {"$gte": first, "$lt": last}


def _sequence(row: Document) -> int:
    sequence: int = row.get("s") or row["_id"]
    return sequence


async def _rows(
    view: View,
    current: Filter,
    past: Filter,
    span: Mapping[str, int],
    limit: int,
    *,
    down: bool,
    fields: Mapping[str, int] = RECORD,
) -> list[Document]:
    """Versions whose sequence is in ``span``, in order.

    The current ones are asked for first: what is replaced meanwhile is then found twice, and not missed.
    """
    if limit <= 0:
        return []
    way = -1 if down else 1
    current, past = {**current, "s": span}, {**past, "_id": span}
    found = await view.find("resource", current, projection=fields, sort={"s": way}, limit=limit)
    found += await view.find("history", past, projection=fields, sort={"_id": way}, limit=limit)
    once = {_sequence(row): row for row in found}
    return [once[sequence] for sequence in sorted(once, reverse=down)[:limit]]


async def _count(view: View, scope: Scope, span: Mapping[str, int], newest: int) -> int:
    """How many versions there are, as the write ``newest`` left them."""
    current, past = {**scope.current(), "s": span}, {**scope.past(newest), "_id": span}
    if not view.is_committed:
        return await view.count("resource", current) + await view.count("history", past)
    found = await view.steady().aggregate(
        "resource",
        [
            {"$match": current},
            {"$project": {"_id": "$s"}},
            {"$unionWith": {"coll": "history", "pipeline": [{"$match": past}, {"$project": {"_id": 1}}]}},
            {"$count": "count"},
        ],
    )
    count: int = found[0]["count"] if found else 0
    return count


async def _first_since(view: View, since: int) -> int:
    """The first write that can be as late as ``since``. ``latest`` never falls, so halving finds it."""
    low, high = 0, (await _start(view)).last
    while low < high:
        middle = (low + high) // 2
        row = await _oldest(view, middle)
        if row is None or row["w"] >= since:
            high = middle
        else:
            low = _sequence(row) + 1
    return low


async def _oldest(view: View, sequence: int) -> Document | None:
    """The first write from ``sequence`` on."""
    wanted, fields = {"$gte": sequence}, {"s": 1, "w": 1}
    found = await view.find("resource", {"s": wanted}, projection=fields, sort={"s": 1}, limit=1)
    found += await view.find("history", {"_id": wanted}, projection=fields, sort={"_id": 1}, limit=1)
    return min(found, key=_sequence, default=None)
