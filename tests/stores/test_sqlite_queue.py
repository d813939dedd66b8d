"""Several processes on one file: who waits comes before who has just written, and news is taken notice of in time."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from fhir_server.stores.sqlite.queue import Queue


@pytest.fixture
def queues(tmp_path: Path) -> Iterator[tuple[Queue, Queue]]:
    one, two = Queue(tmp_path), Queue(tmp_path)
    yield one, two
    one.close()
    two.close()


async def test_one_writes_at_a_time(queues: tuple[Queue, Queue]) -> None:
    one, two = queues
    await one.enter(1)
    waiting = asyncio.create_task(two.enter(5))
    await asyncio.sleep(0.05)
    assert not waiting.done()
    one.leave()
    await waiting
    two.leave()
    await one.enter(1)


async def test_who_has_just_written_comes_after_who_waits(queues: tuple[Queue, Queue]) -> None:
    one, two = queues
    order = []

    async def write(queue: Queue, name: str) -> None:
        await queue.enter(5)
        order.append(name)
        await asyncio.sleep(0.01)
        queue.leave()

    async def write_all_the_time(queue: Queue, name: str) -> None:
        for _ in range(10):
            await write(queue, name)

    await asyncio.gather(write_all_the_time(one, "one"), write_all_the_time(two, "two"))
    middle = order[2:-2]
    assert all(first != second for first, second in pairwise(middle)), order


async def test_who_gave_up_leaves_the_place_to_others(queues: tuple[Queue, Queue]) -> None:
    one, two = queues
    await one.enter(1)
    for _ in range(2):
        with pytest.raises(TimeoutError):
            await two.enter(0.02)
    one.leave()
    await asyncio.sleep(0.05)
    await one.enter(1)
    one.leave()
    await two.enter(1)
