"""Whose turn it is to use the write connection."""

from __future__ import annotations

import asyncio
from collections import deque
from types import TracebackType
from typing import Final

WOKEN: Final = 32
"""Who waits is woken so many at a time."""


class _Place:
    """A place in the line; ``called`` is done when it is worth looking whether it is the first."""

    __slots__ = ("called",)

    def __init__(self) -> None:
        self.called: asyncio.Future[None] = asyncio.get_running_loop().create_future()


class Turn:
    """One at a time, first come first served.

    Who ends its turn wakes several of those who wait. Most turns wait for nothing, so in one round of the event loop
    all of these take theirs, and their commit begins before the loop reads what is new: it is read while the
    disk works. Woken one by one, each would come after everything that was new in the meantime.
    """

    def __init__(self) -> None:
        self._is_taken = False
        self._line: deque[_Place] = deque()

    def locked(self) -> bool:
        """True when one would have to wait."""
        return self._is_taken or bool(self._line)

    async def acquire(self) -> None:
        """Wait for the turn and take it."""
        if not self.locked():
            self._is_taken = True
            return
        place = _Place()
        self._line.append(place)
        try:
            await place.called
            while self._is_taken or self._line[0] is not place:
                place.called = asyncio.get_running_loop().create_future()
                await place.called
        except asyncio.CancelledError:
            self._line.remove(place)
            self._wake()
            raise
        self._line.popleft()
        self._is_taken = True

    def release(self) -> None:
        """End the turn."""
        self._is_taken = False
        self._wake()

    def _wake(self) -> None:
        """See that the first in the line looks; if it is about to, it wakes the others itself by ending its turn."""
        if self._is_taken or not self._line or self._line[0].called.done():
            return
        for _, place in zip(range(WOKEN), self._line, strict=False):
            if not place.called.done():
                place.called.set_result(None)

    async def __aenter__(self) -> None:
        await self.acquire()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()
