"""Several processes on one file: who waits comes before who has just written, and news is taken notice of in time."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from contract_kit import extract, put, record

from fhir_server.store import Transaction
from fhir_server.stores.sqlite.queue import Queue
from fhir_server.stores.sqlite.store import SqliteStore


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


async def test_a_transaction_takes_notice_of_what_another_process_wrote(path: Path) -> None:
    one, two = (SqliteStore.open(path, extract=extract) for _ in range(2))
    noticed: list[str] = []

    async def act(transaction: Transaction) -> None:
        found = await transaction.read("SearchParameter", "p")
        noticed.append(f"version {found.version}" if found else "nothing")

    two.heed(("SearchParameter",), act)
    await put(one, record("Patient", "a"))
    await put(two, record("Patient", "b"))
    assert noticed == []
    await put(one, record("SearchParameter", "p"))
    await put(two, record("Patient", "c"))
    await put(two, record("Patient", "d"))
    assert noticed == ["version 1"]
    await put(one, record("SearchParameter", "p", 2))
    async with two.transaction():
        assert noticed == ["version 1", "version 2"]
    await one.close()
    await two.close()


async def test_notice_that_failed_is_taken_again(path: Path) -> None:
    one, two = (SqliteStore.open(path, extract=extract) for _ in range(2))
    calls = []

    async def act(transaction: Transaction) -> None:
        calls.append(1)
        if len(calls) == 1:
            raise LookupError

    two.heed(("SearchParameter",), act)
    await put(one, record("SearchParameter", "p"))
    with pytest.raises(LookupError):
        await put(two, record("Patient", "c"))
    await put(two, record("Patient", "c"))
    assert len(calls) == 2
    await one.close()
    await two.close()
