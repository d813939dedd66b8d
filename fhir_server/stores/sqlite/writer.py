"""The one write connection: transactions take turns on it and share commits (group commit).

A turn begins the group when there is none; the task that commits the group queues for its turn
behind everybody who is waiting already, so these join the group. While the commit waits for the
disk in a thread of its own, the next group queues up. No timers: the busier, the larger the groups.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from fhir_server.errors import StoreUnavailable
from fhir_server.store import Commits, Record
from fhir_server.stores.sqlite.checkpoint import Checkpoints
from fhir_server.stores.sqlite.faults import is_busy, unavailable
from fhir_server.stores.sqlite.queue import Queue
from fhir_server.stores.sqlite.symbols import Symbols
from fhir_server.stores.sqlite.turn import Turn

T = TypeVar("T")

PATIENCE = 10.0
"""Seconds to wait for another program that holds the database."""

MOST_WAITING = 2_000
"""Transactions that may wait for their turn; more are refused, so that a slow disk cannot fill the memory."""
LONGEST_WAIT = 60.0
"""Seconds that one waits for its turn, or for the disk."""

ERASED = "SELECT name, CAST(value AS INTEGER) FROM meta WHERE name IN ('rid', 'sequence')"
"""The greatest numbers that what was erased had: they are never given out again."""

NEWEST = "SELECT ifnull(max(sequence), 0) FROM log WHERE tid = ?"

Waiting = asyncio.Future[sqlite3.Error | None]
"""Done with None when the commit succeeded."""


class Pending(Protocol):
    """What finished members of a group have gathered: the records by (type, id), and how to write them."""

    records: dict[tuple[str, str], Record]

    def write(self) -> None:
        """Bring it into the tables."""


@dataclass(slots=True)
class Group:
    """Transactions that share one commit; ``written`` when one of them has changed something.

    ``pending`` are the writes of members that ended without needing the tables: written table by table for all
    of them, at the commit or when a later member wants to search.
    """

    written: bool = False
    waiting: list[Waiting] = field(default_factory=list)
    pending: Pending | None = None

    def flush(self) -> None:
        """Write what is pending. Raises sqlite3.Error, upon which the whole group is undone."""
        if self.pending is not None:
            pending, self.pending = self.pending, None
            try:
                pending.write()
            except sqlite3.Error:
                raise
            except Exception as error:  # half of it is written: no member may be told that all went well
                raise sqlite3.DataError(str(error)) from error

    def finish(self, error: sqlite3.Error | None) -> None:
        """Tell every member how the commit went."""
        for future in self.waiting:
            if not future.done():
                future.set_result(error)


class Writer:
    """Owns the write connection and hands out turns on it. The counters are the greatest numbers in use."""

    def __init__(
        self, connect: Callable[[], sqlite3.Connection], checkpoints: Checkpoints, *, wait_for_disk: bool
    ) -> None:
        self.turn = Turn()
        self.commits = Commits()
        self.connection = connect()
        self.symbols = Symbols(self.connection)
        self.rid = self.sequence = self.latest = 0
        self.shapes: dict[tuple[int, ...], int] = {}
        self.secondary: set[int] = set()
        self._connect = connect
        self._checkpoints = checkpoints
        self._wait_for_disk = wait_for_disk
        self._group: Group | None = None
        self._committing: set[asyncio.Task[None]] = set()
        self._half = 1
        self._thread = ThreadPoolExecutor(1, "fhir-commit")
        self._waiting = 0
        self._seen = -1
        self._queue: Queue | None = None
        self._watched: tuple[str, ...] = ()
        self._newest: tuple[int, ...] = ()
        self._act: Callable[[Any], Awaitable[None]] | None = None
        self.has_news = False
        self._look()

    def share(self, queue: Queue) -> None:
        """From now on other processes write too: stand in ``queue`` with them."""
        self._queue = queue

    def heed(self, types: Sequence[str], act: Callable[[Any], Awaitable[None]]) -> None:
        """See ``store.SqliteStore.heed``."""
        self._watched, self._act = tuple(types), act
        self._seen = -1
        self._look()
        self.has_news = False

    async def enter(self) -> None:
        """Take the turn. Raises StoreUnavailable when too many wait for it already, or after LONGEST_WAIT."""
        if not self.turn.locked():
            await self.turn.acquire()
            return
        if self._waiting >= MOST_WAITING:
            raise StoreUnavailable(
                f"{self._waiting:,} writes wait already: send again", headers={"Retry-After": "2"}
            )
        self._waiting += 1
        try:
            async with asyncio.timeout(LONGEST_WAIT):
                await self.turn.acquire()
        except TimeoutError as error:
            raise StoreUnavailable(
                f"writing takes longer than {LONGEST_WAIT:.0f} s for now; nothing was written: send again",
                headers={"Retry-After": "5"},
            ) from error
        finally:
            self._waiting -= 1

    async def tell(self, transaction: object) -> None:
        """Have what others wrote taken notice of, in ``transaction``, which has just begun."""
        if self._act is not None:
            await self._act(transaction)
        self.has_news = False

    async def join(self) -> Group:
        """The group that is open, or a new one. The caller holds the turn. Raises StoreUnavailable."""
        if self._group is None:
            await self._begin()
            self._group = group = Group()
            self._in_background(self._commit(group))
            return group
        return self._group

    def leave(self, group: Group) -> None:
        """End the turn of a member of ``group``. When half of all who write are in it, it is committed before others
        come: these get ready, and are answered, while the disk works for the first half."""
        if group is self._group and len(group.waiting) >= self._half:
            self._in_background(self._commit_in_turn(group))
        else:
            self.turn.release()

    def _in_background(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._committing.add(task)
        task.add_done_callback(self._committing.discard)

    def join_commit(self, group: Group) -> Waiting:
        """To be called in the turn: what to wait for after it."""
        future: Waiting = asyncio.get_running_loop().create_future()
        group.waiting.append(future)
        return future

    async def committed(self, waiting: Waiting) -> None:
        """Wait until the group is durable. Raises StoreUnavailable when its commit failed."""
        error = await waiting
        if error is not None:
            raise unavailable(error) from error

    async def in_thread(self, work: Callable[[], T]) -> T:
        """Run ``work``, which may take long, beside the event loop. The caller holds the turn, and keeps it until the
        work is done, even when it is cancelled."""
        future = asyncio.get_running_loop().run_in_executor(self._thread, work)
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            await asyncio.wait([future])
            raise

    def fail(self, error: sqlite3.Error) -> None:
        """The database failed under a member that holds the turn: undo the whole group."""
        group, self._group = self._group, None
        self.reset()
        if group is not None:
            group.finish(error)

    def forget(self) -> None:
        """After a rollback: numbers given out in it are free again."""
        self._seen = -1
        self.symbols.clear()
        self.shapes.clear()
        self.secondary.clear()
        self._look()

    def reset(self) -> None:
        """Undo what is open; take a new connection when the old one cannot even do that."""
        try:
            if self.connection.in_transaction:
                self.connection.execute("ROLLBACK")
            self._leave()
            self.forget()
        except sqlite3.Error:
            self.connection.close()
            self._leave()
            self.connection = self._connect()
            self.symbols.connection = self.connection
            self.forget()

    async def close(self) -> None:
        """Commit what is open and let go."""
        async with self.turn:
            if self._group is not None:
                await self._finish(self._group)
            self._thread.shutdown()
            self.connection.close()
            if self._queue is not None:
                self._queue.close()

    async def _begin(self) -> None:
        deadline = asyncio.get_running_loop().time() + PATIENCE
        if self._queue is not None:
            try:
                await self._queue.enter(PATIENCE)
            except TimeoutError as error:
                raise unavailable(_named("SQLITE_BUSY")) from error
        while True:
            try:
                self.connection.execute("BEGIN IMMEDIATE")
                return self._look()
            except sqlite3.Error as error:
                if not is_busy(error) or asyncio.get_running_loop().time() > deadline:
                    self._leave()
                    self.reset()
                    raise unavailable(error) from error
            try:
                await asyncio.sleep(0.005)
            except asyncio.CancelledError:
                self._leave()
                raise

    def _leave(self) -> None:
        if self._queue is not None:
            self._queue.leave()

    def _look(self) -> None:
        """Read the counters again when another program has written since."""
        seen = self.connection.execute("PRAGMA data_version").fetchone()[0]
        if seen == self._seen:
            return
        self._seen = seen
        (self.rid,) = self.connection.execute("SELECT ifnull(max(rid), 0) FROM resource").fetchone()
        self.sequence, self.latest = self.connection.execute(
            "SELECT ifnull(max(sequence), 0), ifnull(max(latest), 0) FROM log "
            "WHERE sequence = (SELECT max(sequence) FROM log)"
        ).fetchone()
        erased = dict(self.connection.execute(ERASED))
        self.rid = max(self.rid, erased.get("rid", 0))
        self.sequence = max(self.sequence, erased.get("sequence", 0))
        self.secondary.clear()
        self.secondary.update(key for (key,) in self.connection.execute("SELECT key FROM secondary_date"))
        if self._watched:
            newest = tuple(self._newest_of(type) for type in self._watched)
            self.has_news, self._newest = self.has_news or newest != self._newest, newest

    def _newest_of(self, type: str) -> int:
        tid = self.symbols.find(self.connection, type)
        found: int = self.connection.execute(NEWEST, (tid,)).fetchone()[0]
        return found

    async def _commit(self, group: Group) -> None:
        await self.turn.acquire()
        await self._commit_in_turn(group)

    async def _commit_in_turn(self, group: Group) -> None:
        try:
            if group is self._group:
                await self._finish(group)
        finally:
            self.turn.release()

    async def _finish(self, group: Group) -> None:
        self._group = None
        error: sqlite3.Error | None = sqlite3.OperationalError("the commit was cut off")
        try:
            error = await self._end(group)
        finally:
            self._half = (len(group.waiting) + self._waiting + 1) // 2
            group.finish(error)
        if group.written:
            self._checkpoints.dirty()
            if error is None:
                self.commits.note(len(group.waiting))

    async def _end(self, group: Group) -> sqlite3.Error | None:
        try:
            group.flush()
            if group.written and (self._wait_for_disk or self._checkpoints.crowded):
                await self._wait_for_disk_of(group)
            else:
                self.connection.execute("COMMIT")
        except Exception as error:
            self.reset()
            return error if isinstance(error, sqlite3.Error) else sqlite3.DataError(str(error))
        self._leave()
        return None

    async def _wait_for_disk_of(self, group: Group) -> None:
        """Commit in the thread. When that takes too long the members are told so; the turn is kept to the end."""
        writing = asyncio.get_running_loop().run_in_executor(self._thread, self._write_out)
        done, _ = await asyncio.wait((writing,), timeout=LONGEST_WAIT)
        if not done:
            group.finish(_named("SLOW_DISK"))
        await writing

    def _write_out(self) -> None:
        self.connection.execute("COMMIT")
        if self._checkpoints.crowded:
            self._checkpoints.crowded = False
            with contextlib.suppress(sqlite3.Error):  # the commit is done; the next checkpoint tries again
                self.connection.execute("PRAGMA wal_checkpoint(RESTART)")


def _named(name: str) -> sqlite3.OperationalError:
    """An error of ours that is told like one of SQLite's."""
    error = sqlite3.OperationalError(name)
    error.sqlite_errorname = name
    return error
