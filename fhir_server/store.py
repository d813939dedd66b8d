"""The port: all that the server asks of a database.

``tests/contract/test_store.py`` states every promise; an engine is done when it passes.
``type`` is opaque to a store: besides FHIR's types the server keeps its own records
(``_Message``, ``_Client``) in it, which no door serves.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence, Set
from contextlib import AbstractAsyncContextManager
from typing import Protocol, runtime_checkable

import msgspec

from fhir_server.search.index import IndexValues
from fhir_server.search.query import Query
from fhir_server.search.unfinished import Unfinished


class Record(msgspec.Struct, frozen=True):
    """One version of one resource.

    ``version`` counts from 1 without gaps; ``updated`` is in microseconds since 1970 UTC;
    ``method`` is POST, PUT, PATCH or DELETE; ``content`` is the JSON as served, b"" when deleted.
    ``sequence`` is the store's own order of all writes (0 until stored), ``number`` its order of resources by their
    creation (told by ``changes`` only).
    """

    type: str
    id: str
    version: int
    updated: int
    method: str
    content: bytes
    sequence: int = 0
    number: int = 0

    @property
    def deleted(self) -> bool:
        """True for the version that a delete made."""
        return self.method == "DELETE"


class Page(msgspec.Struct, frozen=True):
    """A page of records, the cursor of the next page (None on the last) and the total (None when not asked for)."""

    records: tuple[Record, ...]
    next: str | None = None
    total: int | None = None


class Version(msgspec.Struct, frozen=True):
    """One version of one resource, without its content. ``number`` is the store's own order of resources by their
    creation; the rest is as in Record."""

    number: int
    type: str
    id: str
    version: int
    updated: int
    sequence: int


class Referring(msgspec.Struct, frozen=True):
    """What refers to something, the resource that was created first at the beginning, as it was at ``moment``."""

    versions: tuple[Version, ...]
    moment: tuple[int, int]


class Cost(msgspec.Struct, frozen=True):
    """One criterion of a search by its name: ``source`` is the index that finds what satisfies it, with ``rows`` rows
    (None: it only tests what others find)."""

    name: str
    source: str
    rows: int | None


class Explanation(msgspec.Struct, frozen=True):
    """How the first page of a search of one type is found.

    ``driver`` is the place in ``costs`` of the criterion that finds candidates, None: all resources of the type are
    gone through; the others test them. ``source`` is the index it goes through, ``visited`` the rows of it that were
    gone through for ``found`` resources in so many ``seconds``; ``steps`` what the database itself says.
    """

    type: str
    costs: tuple[Cost, ...]
    driver: int | None
    source: str
    visited: int
    found: int
    seconds: float
    steps: tuple[str, ...]


class Step(msgspec.Struct, frozen=True):
    """How far one step of indexing came: ``count`` resources, the last of them ``position``; None: that was all."""

    position: str | None
    count: int


class Finding(msgspec.Struct, frozen=True):
    """Something that is wrong in a store: where, for people, and what."""

    place: str
    text: str


class Examination(msgspec.Struct, frozen=True):
    """How many resources were looked at and what is wrong; what could be repaired was, when that was asked for."""

    resources: int
    findings: tuple[Finding, ...]
    repaired: tuple[Finding, ...] = ()


class Commits(msgspec.Struct):
    """How much this process has made durable: ``groups`` of transactions, each by one commit of the database, and the
    ``transactions`` that shared them."""

    groups: int = 0
    transactions: int = 0

    def note(self, transactions: int) -> None:
        """One group of so many."""
        self.groups += 1
        self.transactions += transactions

    def add(self, other: Commits) -> None:
        """What another process has counted."""
        self.groups += other.groups
        self.transactions += other.transactions


class Reading(Protocol):
    """What can be read, inside a transaction (with its own writes) or outside (committed only)."""

    async def read(self, type: str, id: str) -> Record | None:
        """The current version, a deleted one included; None when the id was never used."""

    async def read_many(self, keys: Sequence[tuple[str, str]]) -> list[Record]:
        """The current, not deleted versions of ``(type, id)`` pairs, in that order, unknown ones left out."""

    async def read_version(self, type: str, id: str, version: int) -> Record | None:
        """One version, current or past."""

    async def search(self, query: Query) -> Page:
        """The matching, not deleted resources in the query's order; without ``sort``: newest primary date first,
        then newest created."""

    async def count(self, query: Query) -> int:
        """How many resources match, pages and counts aside."""

    async def history(
        self,
        type: str | None = None,
        id: str | None = None,
        *,
        count: int = 20,
        since: int | None = None,
        at: tuple[int, int] | None = None,
        cursor: str | None = None,
        total: bool = True,
    ) -> Page:
        """Versions, newest first, of one resource, of one type or of all FHIR types (a type that begins with ``_``
        only when named). ``since``: updated at or after; ``at`` ``[low, high)``: the versions that were current at some
        time in it."""

    async def referring(self, queries: Sequence[Query], moment: tuple[int, int] | None = None) -> Referring:
        """The not deleted versions that match one of ``queries``, each of another type and with one clause of a
        reference parameter whose values have a type. ``moment``: as it was then (from an earlier answer); None: now."""

    async def terms(self, key: int, limit: int) -> list[tuple[str, str]]:
        """The different (code, system) of a token arm, or (uri, "") of a uri arm; at most ``limit``."""


class Transaction(Reading, Protocol):
    """All or nothing. Leaving the block with an exception undoes everything done in it."""

    async def put(self, record: Record, values: IndexValues) -> None:
        """Keep a new version. Raises Conflict unless ``record.version`` is the current one plus one."""

    async def delete(self, record: Record) -> None:
        """Keep a deletion as a version of its own. Raises Conflict as ``put`` does."""

    async def forget(self, type: str, id: str, version: int | None = None) -> int:
        """Remove past versions for good, ``version`` or all of them, never the current one; how many there were."""

    async def erase(self, type: str, id: str) -> int:
        """Remove a resource with all its versions for good, as if its id had never been used; how many there were.

        A page that is asked for afterwards leaves out what was removed. A sequence is never used again.
        """

    async def index(
        self, type: str, keys: Set[int], after: str, limit: int, seconds: float | None = None
    ) -> Step:
        """Add the rows of the arms ``keys`` of the next ``limit`` resources of ``type`` whose id is greater than
        ``after``, as far as they are not there; ``seconds``: of fewer (one at least) when these have passed.

        What has been written since the rules changed has them already.
        """

    async def restore(self, record: Record) -> None:
        """Keep a version as another store had it, with its ``version``, ``sequence`` and ``number``; versions before
        it may be missing. Raises Conflict unless its sequence is greater than all that were given out here, and its
        version greater than the current one."""

    async def reserve(self, sequence: int, number: int) -> None:
        """Never give out numbers up to these: another store had them, before it erased what they belonged to."""

    async def unindex(self, keys: Set[int], limit: int) -> int:
        """Remove up to ``limit`` rows of the arms ``keys``; fewer than ``limit`` removed means that none are left."""


class Store(Reading, Protocol):
    """A database of records.

    Arms that are ``unfinished`` have not all their rows: a question that needs one raises NotReady.
    """

    unfinished: Unfinished
    commits: Commits

    def transaction(self) -> AbstractAsyncContextManager[Transaction]:
        """Open a transaction. When the block has been left without an exception, everything is durable
        (as ``FHIR_DURABILITY`` says) and visible to every later read. Transactions are serialisable:
        what one has read cannot be changed by another before it ends."""

    async def changes(self, after: int, limit: int = 1000) -> list[Record]:
        """Writes in the order they were made, with a ``sequence`` greater than ``after``, and their ``number``."""

    async def wait(self, after: int, seconds: float) -> int:
        """Wait until something has been written after the sequence ``after``, by whichever server, but not longer than
        ``seconds``: the greatest sequence that is known to have been given out. ``changes`` then has everything up to
        it; when it has nothing, that was erased."""

    async def reached(self) -> tuple[int, int]:
        """The greatest sequence and the greatest number that were given out, to what was erased too."""

    async def size(self) -> int:
        """Bytes on disk, indexes included."""

    async def check(self) -> None:
        """Raise StoreUnavailable unless reads and writes can be served now."""

    async def examine(self, rules: str, *, fix: bool, told: Callable[[int], None]) -> Examination:
        """Look at everything that is kept, for long: is the database whole, can every version be read, are the index
        values those that the contents give by the ``rules`` (a fingerprint) in force. ``fix``: repair index values.
        ``told`` is called with a count now and then."""

    async def close(self) -> None:
        """Finish what is under way and let go of the database."""


@runtime_checkable
class Explaining(Protocol):
    """A store that can tell how it finds things; not every one can."""

    async def explain(self, query: Query) -> tuple[Explanation, ...]:
        """How the first page of ``query`` is found, in each of its types. Values are not told, asked or kept."""


async def put_alone(
    transaction: Transaction, before: Record | None, type: str, id: str, content: bytes, now: int
) -> None:
    """Keep ``content`` as the only version of a record of the server's own, after ``before``; ``now`` in
    microseconds."""
    version, method = (before.version + 1, "PUT") if before else (1, "POST")
    await transaction.put(Record(type, id, version, now, method, content), IndexValues())
    await transaction.forget(type, id)
