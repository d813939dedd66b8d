"""The end of what runs in the background."""

from __future__ import annotations

import asyncio
from typing import Any, Final

AGAIN: Final = 10.0


async def end(task: asyncio.Task[Any], again: float = AGAIN) -> None:
    """Cancel ``task`` and wait for its end; raises what it failed with. One that goes on is cancelled once more after
    ``again`` seconds, in which it must have been able to clean up.

    Once is not always enough: until Python 3.12 ``asyncio.wait_for``, which database drivers use, loses a cancellation
    that comes together with what it waits for.
    """
    while not task.done():
        task.cancel()
        await asyncio.wait({task}, timeout=again)
    if not task.cancelled():
        task.result()
