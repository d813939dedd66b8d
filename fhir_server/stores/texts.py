"""An index of texts that is built when it is first needed, and brought up to date before each search that needs it.

Writes do nothing for it. The engine says how many writes its index does not know yet, and goes on with it in
transactions; when and how often is decided here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from math import ceil
from typing import Final, Protocol

from fhir_server.errors import StoreUnavailable

SOON: Final = 4_000
"""More writes than this take longer than about a second to be indexed: the search is refused meanwhile."""
LITTLE: Final = 50
"""So few are indexed by the search itself."""
SLICE: Final = 0.04
"""Seconds that the builder keeps the writer's turn."""
PAUSE: Final = 0.01
RATE: Final = 3_000
"""Writes a second that the advice to come back later counts on."""


class TextsBehind(Exception):
    """There are writes that the index of texts does not know yet."""


class Indexing(Protocol):
    """A transaction of the store, as far as the builder uses it."""

    async def index_texts(self, seconds: float) -> int:
        """Index for so long, at least one write; how many writes are left."""


class TextIndex:
    """Brings the index up to date in the background, one slice in each of many transactions.

    ``behind`` says how many writes the index does not know yet.
    """

    def __init__(
        self,
        behind: Callable[[], Awaitable[int]],
        transaction: Callable[[], AbstractAsyncContextManager[Indexing]],
    ) -> None:
        self._behind = behind
        self._transaction = transaction
        self._task: asyncio.Task[None] | None = None
        self._closed = False

    async def catch_up(self) -> None:
        """Wait until little is left to be indexed. Raises StoreUnavailable when that takes longer than a second."""
        left = await self._behind()
        if left <= LITTLE:
            return
        task = self._build()
        if left > SOON:
            raise too_far_behind(left)
        await asyncio.shield(task)

    async def close(self) -> None:
        """Finish the slice that is under way."""
        self._closed = True
        if self._task is not None:
            await asyncio.wait([self._task])

    def _build(self) -> asyncio.Task[None]:
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._run())
            self._task.add_done_callback(lambda task: task.cancelled() or task.exception())
        return self._task

    async def _run(self) -> None:
        left = LITTLE + 1
        while left > LITTLE and not self._closed:
            async with self._transaction() as transaction:
                left = await transaction.index_texts(SLICE)
            await asyncio.sleep(PAUSE)


async def finish(left: int, transaction: Indexing) -> None:
    """Have the ``left`` writes indexed by an open transaction. Raises StoreUnavailable when they are too many."""
    if left > SOON:
        raise too_far_behind(left)
    while left > 0:
        left = await transaction.index_texts(SLICE)


def too_far_behind(left: int) -> StoreUnavailable:
    """What a search is told that would have to wait for ``left`` writes to be indexed."""
    seconds = min(ceil(left / RATE) + 1, 60)
    return StoreUnavailable(
        f"the index of texts is being built: {left} writes are not in it yet; repeat this search in {seconds} s",
        headers={"Retry-After": str(seconds)},
    )
