"""Long work in small steps, so that other requests are answered in between."""

from __future__ import annotations

import asyncio
from time import perf_counter

STEP = 0.005
"""Seconds of work after which the event loop gets its turn."""


class Pace:
    """Call ``await pace()`` after each small piece of a long piece of work."""

    __slots__ = ("_since",)

    def __init__(self) -> None:
        self._since = perf_counter()

    async def __call__(self) -> None:
        """Let others work when this one has had its time."""
        if perf_counter() - self._since > STEP:
            await asyncio.sleep(0)
            self._since = perf_counter()
