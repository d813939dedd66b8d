"""Whose turn it is to write, among processes that share a database file.

SQLite lets one connection write and tells the others that they are too late; who asks again by the clock may lose
again and again to a busy neighbour. Here they stand in line: who wants to write goes through a door, waits behind
it for the writer's place, and only then lets the next one in. So whoever has just written comes after those that
wait. The operating system ends both locks with the process that holds them.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

_AT_ONCE: Final = fcntl.LOCK_EX | fcntl.LOCK_NB


class Queue:
    """The line in ``folder``, which all these processes know. One event loop uses it, one turn at a time."""

    def __init__(self, folder: Path) -> None:
        self._door = os.open(folder / "door", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._place = os.open(folder / "place", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._thread = ThreadPoolExecutor(1, "fhir-turn")
        self._left: asyncio.Future[None] | None = None

    async def enter(self, patience: float) -> None:
        """Wait for the place. Raises TimeoutError after ``patience`` seconds."""
        waiting, self._left = self._left, None
        if waiting is None:
            if self._enter_at_once():
                return
            waiting = asyncio.get_running_loop().run_in_executor(self._thread, self._wait)
        try:
            async with asyncio.timeout(patience):
                await asyncio.shield(waiting)
        except BaseException:
            self._leave_to_itself(waiting)
            raise

    def leave(self) -> None:
        """Let the next one write."""
        fcntl.flock(self._place, fcntl.LOCK_UN)

    def close(self) -> None:
        """Give up both locks."""
        self._thread.shutdown(wait=False, cancel_futures=True)
        os.close(self._place)
        os.close(self._door)

    def _enter_at_once(self) -> bool:
        try:
            fcntl.flock(self._door, _AT_ONCE)
        except BlockingIOError:
            return False
        try:
            fcntl.flock(self._place, _AT_ONCE)
        except BlockingIOError:
            return False
        finally:
            fcntl.flock(self._door, fcntl.LOCK_UN)
        return True

    def _wait(self) -> None:
        fcntl.flock(self._door, fcntl.LOCK_EX)
        fcntl.flock(self._place, fcntl.LOCK_EX)
        fcntl.flock(self._door, fcntl.LOCK_UN)

    def _leave_to_itself(self, waiting: asyncio.Future[None]) -> None:
        """Nobody waits for ``waiting`` any more: the next one may take it over, else the place is given back."""

        def give_back(_: asyncio.Future[None]) -> None:
            if self._left is waiting:
                self._left = None
                self.leave()

        self._left = waiting
        waiting.add_done_callback(give_back)
