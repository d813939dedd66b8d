"""Transactions take turns in a process and share commits (group commit); the groups of processes take turns, too.

A turn begins a group when there is none; the task that commits the group queues for its turn behind everybody who is
waiting already, so these join the group. No timers: the busier, the larger the groups.
"""

from __future__ import annotations

import asyncio

from fhir_server.store import Commits
from fhir_server.stores.mongo.batch import Extract
from fhir_server.stores.mongo.connection import Connection
from fhir_server.stores.mongo.group import Group, Member
from fhir_server.stores.mongo.heeding import Heeding
from fhir_server.stores.mongo.known import Known
from fhir_server.stores.mongo.session import Session


class Writer:
    """Hands out turns. ``index`` is the fingerprint that the store's index must have, None for any."""

    def __init__(self, connection: Connection, extract: Extract) -> None:
        self.turn = asyncio.Lock()
        self.commits = Commits()
        self.index: str | None = None
        self.heeding = Heeding(extract)
        self._session = Session(connection)
        self._known = Known()
        self._group: Group | None = None
        self._committing: asyncio.Task[None] | None = None

    def join(self) -> Group:
        """The group that is open, or a new one. The caller holds the turn."""
        if self._group is None:
            self._group = group = Group(self._session, self._known, self.index, self.commits, self.heeding)
            self._committing = asyncio.get_running_loop().create_task(self._commit(group))
        return self._group

    async def end(self, group: Group, member: Member) -> None:
        """``member`` ended without an error. The caller holds the turn; afterwards it waits for ``committed``."""
        member.waiting = asyncio.get_running_loop().create_future()
        group.end(member)
        if member.acted:
            await self._finish(group)

    async def committed(self, member: Member) -> None:
        """Wait until the group is durable. Raises StoreUnavailable when its commit failed."""
        assert member.waiting is not None
        error = await member.waiting
        if error is not None:
            raise error

    async def close(self) -> None:
        """Commit what is open and let go."""
        async with self.turn:
            if self._group is not None:
                await self._finish(self._group)
            await self._session.close()

    async def _commit(self, group: Group) -> None:
        async with self.turn:
            if group is self._group:
                await self._finish(group)

    async def _finish(self, group: Group) -> None:
        self._group = None
        await group.commit()
