"""Long work on the store in short turns of the writer, so that nobody waits noticeably."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from time import perf_counter
from typing import Final, TypeVar

from fhir_server.store import Store, Transaction

T = TypeVar("T")

TURN: Final = 0.01
"""Seconds of work that a turn aims at."""
FIRST: Final = 20
MOST: Final = 2_000
"""Pieces of work in a turn: in the first one, and in any."""


class Steps:
    """Takes turns. ``idle``: how long the others have for themselves after each, as a multiple of the turn."""

    def __init__(self, store: Store) -> None:
        self.idle = 1.0
        self._store = store
        self._pieces = FIRST

    async def take(self, act: Callable[[Transaction, int], Awaitable[T]]) -> T:
        """Call ``act`` with a transaction and how many pieces of work it may do; what it returned, committed."""
        async with self._store.transaction() as transaction:
            started = perf_counter()
            result = await act(transaction, min(MOST, self._pieces))
            spent = perf_counter() - started
        faster = TURN / max(spent, TURN / MOST)
        self._pieces = max(1, int(min(MOST, self._pieces) * min(2.0, faster)))
        await asyncio.sleep(spent * self.idle)
        return result
