"""What runs in the background ends, whatever it does with being cancelled."""

from __future__ import annotations

import asyncio

import pytest

from fhir_server.ending import end


async def _deaf(times: int) -> str:
    """Lose the first cancellations, as a driver may."""
    while True:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            times -= 1
            if times < 0:
                raise


@pytest.mark.parametrize("times", [0, 1, 3])
async def test_a_task_that_loses_cancellations_ends(times: int) -> None:
    task = asyncio.get_running_loop().create_task(_deaf(times))
    await asyncio.sleep(0)
    async with asyncio.timeout(5):
        await end(task, again=0.01)
    assert task.cancelled()


async def test_what_failed_is_told() -> None:
    async def fail() -> None:
        raise ValueError("not again")

    task = asyncio.get_running_loop().create_task(fail())
    await asyncio.sleep(0)
    with pytest.raises(ValueError, match="not again"):
        await end(task)


async def test_what_has_ended_stays_as_it_is() -> None:
    async def work() -> int:
        return 7

    task = asyncio.get_running_loop().create_task(work())
    await task
    await end(task)
    assert task.result() == 7
