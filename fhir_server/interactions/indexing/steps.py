"""Long work on the store in short turns of the writer, so that nobody waits noticeably."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from time import perf_counter
from typing import Final, TypeVar

from fhir_server.interactions.lease import Lease
from fhir_server.store import Store, Transaction

T = TypeVar("T")

TURN: Final = 0.01
"""Seconds of work in a turn."""
MOST: Final = 1_000
"""Rows that are removed in a turn, and resources that are indexed at most."""


class Steps:
    """Takes turns. ``idle``: how long the others have for themselves after each, as a multiple of the turn.

    ``lease``: several servers might do the work, and this one does it only while it has the lease.
    """

    def __init__(self, store: Store) -> None:
        self.idle = 1.0
        self.lease: Lease | None = None
        self._store = store

    async def take(self, act: Callable[[Transaction], Awaitable[T]]) -> T:
        """Call ``act`` with a transaction; what it returned, committed."""
        async with self._store.transaction() as transaction:
            started = perf_counter()
            if self.lease is not None:
                await self.lease.require(transaction)
            result = await act(transaction)
            spent = perf_counter() - started
        await asyncio.sleep(spent * self.idle)
        return result
