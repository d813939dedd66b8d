"""Transactions that share one commit: what their members wrote, gathered, and brought into the database together.

A database transaction cannot be undone in part. So a member's writes stay in memory until its end, or until it asks
for something that only the database can answer; when it fails after that, the transaction is begun anew and gets
what the others wrote once more. That is right as long as nobody has written in between; if somebody has, members
that had read something fail, and those that had not are checked again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from pymongo.errors import PyMongoError

from fhir_server.errors import Conflict, FhirError, StoreUnavailable
from fhir_server.store import Commits, Record
from fhir_server.stores.mongo.batch import STORED, Counters, Key, Stored, Write, documents_of
from fhir_server.stores.mongo.faults import SOON, unavailable
from fhir_server.stores.mongo.heeding import Heeding
from fhir_server.stores.mongo.known import Known, Reached
from fhir_server.stores.mongo.session import Session, is_duplicate, may_succeed
from fhir_server.stores.mongo.view import View

ATTEMPTS: Final = 8
"""How often a group is begun anew before its members fail."""

AT_ONCE: Final = 1_000
"""Writes brought into the database by one call."""

Waiting = asyncio.Future[FhirError | None]
"""Done with None when the commit succeeded."""


@dataclass(slots=True)
class Member:
    """What one transaction wrote: ``fresh`` is not in the database yet, ``sent`` is.

    ``records`` are its current versions by (type, id), None for what it erased. ``acted``: it changed the database
    past its writes. ``noticed``: see ``heeding.Heeding``, when it began.
    """

    fresh: list[Write] = field(default_factory=list)
    sent: list[Write] = field(default_factory=list)
    records: dict[Key, Record | None] = field(default_factory=dict)
    newest: dict[Key, Write] = field(default_factory=dict)
    has_read: bool = False
    acted: bool = False
    noticed: int = 0
    waiting: Waiting | None = None

    @property
    def writes(self) -> list[Write]:
        """All of them, in their order."""
        return self.sent + self.fresh

    def gather(self, write: Write) -> None:
        """One write more."""
        self.fresh.append(write)
        self.newest[write.key] = write
        self.records[write.key] = write.record

    def tell(self, error: FhirError | None) -> None:
        """How the commit went."""
        if self.waiting is not None and not self.waiting.done():
            self.waiting.set_result(error)


class Group:
    """Members in the order of their ends, and the database transaction that they share, once one is needed.

    ``known`` are current versions as the open transaction sees them. ``index``: the fingerprint that the store's
    index must have, None for any.
    """

    def __init__(
        self, session: Session, known: Known, index: str | None, commits: Commits, heeding: Heeding
    ) -> None:
        self.ended: list[Member] = []
        self.records: dict[Key, Record | None] = {}
        self.newest: dict[Key, Write] = {}
        self.known = known
        self.erased = 0
        self.view = View(session.ask, is_committed=False)
        self.session = session
        self.heeding = heeding
        self._index = index
        self._commits = commits
        self._counters = Counters(0, 0, 0)
        self._base: Reached | None = None
        self._touched: set[Key] = set()

    # ── while members are at work ─────────────────────────────────────────────

    async def open(self) -> None:
        """Begin the database transaction, unless it is. Raises StoreUnavailable, PyMongoError."""
        if not self.session.is_open:
            await self._begin()

    @property
    def reached(self) -> Counters:
        """The greatest numbers given out, once it is open and everything is flushed."""
        return self._counters

    def reserve(self, sequence: int, number: int) -> None:
        """Give out no numbers up to these."""
        reached = self._counters
        self._counters = Counters(
            max(reached.sequence, sequence), max(reached.number, number), reached.latest
        )

    async def flush(self, member: Member) -> None:
        """Bring into the database what has been written so far, that of ``member`` last.

        Raises Conflict when something that it created is there already, StoreUnavailable, PyMongoError.
        """
        await self.open()
        try:
            await self._send(self.ended)
        except (PyMongoError, Conflict) as error:
            if not (isinstance(error, Conflict) or is_duplicate(error)):
                raise
            await self._restart_for(member)
        if member.fresh:
            await self.look([write.key for write in member.fresh if write.is_blind])
            await self._send([member])
        await self.session.keep(self._counters)

    async def _restart_for(self, member: Member) -> None:
        """Begin anew because another member has failed while ``member`` is at work."""
        base = self._base
        member.fresh, member.sent = member.writes, []
        await self.restart()
        if member.acted or (self._base is not None and self._base != base):
            raise _repeated_too_late()

    async def look(self, keys: Iterable[Key]) -> None:
        """Know the current versions of ``keys``."""
        unknown = {f"{type}/{id}": (type, id) for type, id in keys if (type, id) not in self.known}
        if unknown:
            wanted = {"_id": {"$in": list(unknown)}}
            found = await self.view.find("resource", wanted, projection={**STORED, "_id": 1})
            self.known.update(dict.fromkeys(unknown.values()))
            self.known.update((unknown[each["_id"]], Stored.of(each)) for each in found)
            self._touched.update(unknown.values())

    def end(self, member: Member) -> None:
        """``member`` has ended without an error."""
        self.ended.append(member)
        self.records.update(member.records)
        self.newest.update(member.newest)

    async def undo(self, member: Member, *, broken: bool) -> None:
        """``member`` has failed; ``broken``: the database has, under it. When the others cannot be saved, they fail."""
        if not (member.sent or member.acted or broken):
            return
        try:
            await self.restart()
        except (PyMongoError, StoreUnavailable) as error:
            await self.session.abort()
            self._tell(error if isinstance(error, StoreUnavailable) else unavailable(error))

    # ── the end ───────────────────────────────────────────────────────────────

    async def commit(self) -> None:
        """Make durable what the members wrote, and tell them."""
        error: FhirError | None = StoreUnavailable("the commit was cut off: send again", headers=SOON)
        try:
            error = await self._commit()
        finally:
            self._tell(error)
            if error is not None:
                self.known.clear()
                await self.session.abort()

    def _tell(self, error: FhirError | None) -> None:
        """Tell all members how it went."""
        for member in self.ended:
            member.tell(error)
        self.ended = []

    async def _commit(self) -> FhirError | None:
        again = False
        for _ in range(ATTEMPTS):
            try:
                if again:
                    await self.restart()
                await self._send(self.ended)
                if self.session.is_open:
                    heeded = int(any(map(self.heeding.is_heeded, self._types())))
                    await self.session.keep(self._counters, self.erased, heeded)
                    await self.session.commit()
                    self.heeding.count(heeded)
                    self._commits.note(len(self.ended))
                    self._keep_known()
                return None
            except StoreUnavailable as error:
                return error
            except (PyMongoError, Conflict) as error:
                failure = error if isinstance(error, Conflict) else unavailable(error)
                again = isinstance(error, Conflict) or is_duplicate(error) or may_succeed(error)
                if not again:
                    break
        return failure

    def _types(self) -> set[str]:
        """The types of what its members changed."""
        return {type for member in self.ended for type, _ in member.records}

    def _keep_known(self) -> None:
        assert self._base is not None
        self.known.end((self._counters.sequence, self._base[1] + self.erased), self._touched)

    async def restart(self) -> None:
        """Begin the database transaction anew, with what the members that have ended wrote."""
        base = self._base
        await self.session.abort()
        self.known.clear()
        self.erased = 0
        if not self.ended:
            self._base = None
            return
        await self._begin()
        keys = [write.key for member in self.ended for write in member.writes]
        await self.look(keys)
        moved = base is not None and base != self._base
        for member in self.ended:
            member.fresh, member.sent = member.writes, []
        self._dismiss(moved)
        await self._send(self.ended)

    def _dismiss(self, moved: bool) -> None:
        """Let go of members that cannot be repeated; ``moved``: somebody has written in between."""
        kept, versions = [], {key: stored.version if stored else 0 for key, stored in self.known.items()}
        for member in self.ended:
            is_late = (moved and member.has_read) or member.acted
            error = _repeated_too_late() if is_late else _follow(member.fresh, versions)
            if error is None:
                kept.append(member)
            else:
                member.tell(error)
        self.ended = kept
        self.records = {key: record for member in kept for key, record in member.records.items()}
        self.newest = {key: write for member in kept for key, write in member.newest.items()}

    # ── the database ──────────────────────────────────────────────────────────

    async def _begin(self, writes: int = 0, creations: int = 0, latest: int = 0) -> None:
        state = await self.session.begin({"s": writes, "n": creations}, latest)
        if self._index is not None and state["index"] != self._index:
            await self.session.abort()
            raise StoreUnavailable(
                "the store is being indexed by the rules of another version, zone or base address of the server: "
                "give all servers of this store the same, and restart this one",
                headers=SOON,
            )
        self._counters = Counters(state["s"], state["n"], state["w"])
        self._base = (state["s"], state["g"])
        self.known.begin(self._base)
        try:
            await self.heeding.notice(state.get("h", 0), self.view)
        except BaseException:
            await self.session.abort()
            raise

    async def _send(self, members: Sequence[Member]) -> None:
        """Bring what ``members`` wrote, and is not there yet, into the database.

        Raises Conflict when something that one of them created is known to be there already.
        """
        writes = [write for member in members for write in member.fresh]
        if not writes:
            return
        if not self.session.is_open:
            created = {write.key for write in writes}
            await self._begin(len(writes), len(created), max(write.record.updated for write in writes))
        for member in members:
            if member.noticed != self.heeding.noticed:
                self.heeding.index_again(member.fresh)
        self._check(writes)
        self._touched.update(write.key for write in writes)
        for start in range(0, len(writes), AT_ONCE):
            some = writes[start : start + AT_ONCE]
            documents, self._counters = documents_of(some, self.known, self._counters)
            await self.session.write(documents)
        for member in members:
            member.sent, member.fresh = member.writes, []

    def _check(self, writes: Sequence[Write]) -> None:
        for write in writes:
            if write.is_blind:
                stored = self.known.get(write.key)
                write.require_follows(stored.version if stored else 0)


def _follow(writes: Sequence[Write], versions: dict[Key, int]) -> FhirError | None:
    """Count ``writes`` into ``versions``; a Conflict, and nothing counted, when one does not follow."""
    counted = dict(versions)
    try:
        for write in writes:
            write.require_follows(counted[write.key])
            counted[write.key] = write.record.version
    except Conflict as conflict:
        return conflict
    versions.update(counted)
    return None


def _repeated_too_late() -> FhirError:
    return StoreUnavailable(
        "the database was interrupted, and what this request looked at may have changed: send again",
        headers=SOON,
    )
