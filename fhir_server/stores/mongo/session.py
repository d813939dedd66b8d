"""One database transaction of one group: begin, ask, write, commit. Every failure leaves as PyMongoError.

It begins by changing the ``state`` document, so that of all servers' groups one is under way at a time: what is read in
it cannot be changed by another, and the order of sequences is the order of commits.
Source: MongoDB manual, Transactions; the driver specification of transactions (labels of errors).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from contextlib import suppress
from random import uniform
from typing import Any, Final, TypeVar

from pymongo import DeleteOne, ReplaceOne
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.errors import (
    ConnectionFailure,
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
)
from pymongo.read_concern import ReadConcern

from fhir_server.errors import StoreUnavailable
from fhir_server.stores.mongo.batch import Counters, Documents
from fhir_server.stores.mongo.connection import Connection, Document
from fhir_server.stores.mongo.faults import SOON, code_of, is_conflict
from fhir_server.stores.mongo.presence import Presence

T = TypeVar("T")

PATIENCE: Final = 10.0
"""Seconds to wait for the groups of other servers, and for the outcome of a commit."""
PAUSES: Final = (0.001, 0.03)
"""Seconds between two attempts, at first and at most."""

LOOKED_AFTER: Final = 1.0
"""Seconds of waiting after which one looks whether a server that is gone has left something open."""

_PASSING: Final = "TransientTransactionError"
_UNKNOWN: Final = "UnknownTransactionCommitResult"


class Session:
    """One transaction after another on one session of the driver.

    ``state`` is the document as the open one found it (None: none is open), ``kept`` the counters that it has now.
    """

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.state: Document | None = None
        self.kept = Counters(0, 0, 0)
        self._session: AsyncClientSession | None = None
        self._presence = Presence(connection)
        self._one_by_one = asyncio.Lock()

    @property
    def is_open(self) -> bool:
        """Whether a transaction has been begun."""
        return self.state is not None

    async def begin(self, numbers: Mapping[str, int], latest: int) -> Document:
        """Take the turn, adding ``numbers`` to the state's; returns the state before that.

        Waits for other servers' groups. Raises PyMongoError, StoreUnavailable when they take too long.
        """
        loop = asyncio.get_running_loop()
        deadline, pause = loop.time() + PATIENCE, PAUSES[0]
        look = loop.time() + LOOKED_AFTER
        while True:
            try:
                return await self._begin(numbers, latest)
            except PyMongoError as error:
                await self.abort()
                late = loop.time() > deadline
                if late and is_conflict(error):
                    raise StoreUnavailable("other servers keep writing: send again", headers=SOON) from error
                if late or isinstance(error, ServerSelectionTimeoutError) or not may_succeed(error):
                    raise
            if loop.time() > look:
                look = loop.time() + LOOKED_AFTER
                await self._presence.clear_away()
            await asyncio.sleep(uniform(0, pause))  # noqa: S311
            pause = min(pause * 2, PAUSES[1])

    async def _begin(self, numbers: Mapping[str, int], latest: int) -> Document:
        if self._session is None:
            session = self.connection.client.start_session()
            await self._presence.announce(session)
            self._session = session
        await self._session.start_transaction(ReadConcern("snapshot"), self.connection.concern)
        found = await self.run(
            {
                "findAndModify": "state",
                "query": {"_id": "store"},
                "update": {"$inc": {**numbers, "b": 1}, "$max": {"w": latest}},
            }
        )
        if found["value"] is None:
            raise StoreUnavailable("the database of this store has been emptied: restore it, then restart")
        self.state = state = dict(found["value"])
        sequence, number = (state[name] + numbers.get(name, 0) for name in ("s", "n"))
        self.kept = Counters(sequence, number, max(state["w"], latest))
        return state

    async def ask(self, command: Mapping[str, Any], *, snapshot: bool = True) -> list[Document]:
        """The documents that the reading ``command`` gives: all is one ``snapshot`` here."""
        async with self._one_by_one:
            return await undisturbed(self.connection.documents(dict(command), self._opened))

    async def run(self, command: Mapping[str, Any]) -> Document:
        """The answer of ``command``."""
        async with self._one_by_one:
            return await undisturbed(self.connection.database.command(dict(command), session=self._opened))

    async def write(self, documents: Documents) -> None:
        """Bring ``documents`` into the collections."""
        if documents.history:
            await self._insert("history", documents.history)
        requests = [DeleteOne(old) for old in documents.removed]
        changes = [*requests, *(ReplaceOne(old, new) for old, new in documents.replaced)]
        if changes:
            await self.change("resource", changes)
        if documents.created:
            await self._insert("resource", documents.created)

    async def _insert(self, collection: str, documents: Sequence[Any]) -> None:
        into = self.connection.database[collection]
        async with self._one_by_one:
            await undisturbed(into.insert_many(documents, session=self._opened))

    async def change(self, collection: str, requests: Sequence[Any]) -> None:
        """Run ``requests``, each of which has to find its document."""
        into = self.connection.database[collection]
        async with self._one_by_one:
            done = await undisturbed(into.bulk_write(requests, ordered=True, session=self._opened))
        if done.matched_count + done.deleted_count != len(requests):
            raise OperationFailure("a document was changed past its store", 112)

    async def keep(self, counters: Counters, erased: int = 0, heeded: int = 0) -> None:
        """Write the ``counters`` reached into the state, unless it has them, and add to its other counts."""
        if counters != self.kept or erased or heeded:
            numbers = {"s": counters.sequence, "n": counters.number, "w": counters.latest}
            change = {"$set": numbers, "$inc": {"g": erased, "h": heeded}}
            await self.run({"update": "state", "updates": [{"q": {"_id": "store"}, "u": change}]})
            self.kept = counters

    async def commit(self) -> None:
        """Make everything durable. Raises PyMongoError: ``is_transient`` when nothing has been kept for sure, and
        ``is_unknown`` when nobody can say."""
        session = self._opened
        deadline = asyncio.get_running_loop().time() + PATIENCE
        while True:
            try:
                await undisturbed(session.commit_transaction())
                break
            except PyMongoError as error:
                if not is_unknown(error) or asyncio.get_running_loop().time() > deadline:
                    await self._give_up()
                    raise
            await asyncio.sleep(PAUSES[1])
        self.state = None
        self.connection.note(session)

    async def abort(self) -> None:
        """Undo what is open."""
        session = self._session
        self.state = None
        if session is None or not session.in_transaction:
            return
        try:
            await undisturbed(session.abort_transaction())
        except PyMongoError:
            await self._give_up()

    async def close(self) -> None:
        """Undo what is open and let go."""
        await self.abort()
        await self._renew()
        await self._presence.close()

    async def _give_up(self) -> None:
        """What is open may still be so in the database, and would keep everybody from writing: end it there."""
        if self._session is not None:
            ended = {"killSessions": [self._session.session_id]}
            with suppress(PyMongoError):
                await undisturbed(self.connection.client.admin.command(ended))
        await self._renew()

    async def _renew(self) -> None:
        """After a failure: nothing of the old session is to meet what comes."""
        session, self._session, self.state = self._session, None, None
        if session is not None:
            await undisturbed(session.end_session())

    @property
    def _opened(self) -> AsyncClientSession:
        assert self._session is not None
        return self._session


def may_succeed(error: Exception) -> bool:
    """Nothing has been kept, and another attempt may succeed: another server was writing, or the primary changed."""
    return is_transient(error) or (isinstance(error, PyMongoError) and is_conflict(error))


def is_transient(error: Exception) -> bool:
    """Nothing of the transaction has been kept, and the same one may succeed."""
    return isinstance(error, PyMongoError) and (
        error.has_error_label(_PASSING) or (isinstance(error, ConnectionFailure) and not is_unknown(error))
    )


def is_duplicate(error: Exception) -> bool:
    """A document with this ``_id`` is there already."""
    return isinstance(error, PyMongoError) and code_of(error) == 11000


def is_unknown(error: Exception) -> bool:
    """Whether the transaction has been kept is not known."""
    return isinstance(error, PyMongoError) and error.has_error_label(_UNKNOWN)


async def undisturbed(work: Awaitable[T]) -> T:
    """Finish ``work`` even when who waits for it is cancelled: a half-done call would break the transaction."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise
