"""The end of what runs in the background."""

from __future__ import annotations

import asyncio
from typing import Any, Final

AGAIN: Final = 1.0
"""Seconds after which a task that goes on is cancelled again."""


async def end(task: asyncio.Task[Any]) -> None:
    """Cancel ``task`` and wait for its end; raises what it failed with.

    Once is not always enough: until Python 3.12 ``asyncio.wait_for``, which database drivers use, loses a cancellation
    that comes together with what it waits for.
    """
    while not task.done():
        task.cancel()
        await asyncio.wait({task}, timeout=AGAIN)
    if not task.cancelled():
        task.result()
