"""What the port promises to whoever follows the writes: to be woken by every server's, and to miss nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from time import monotonic

import pytest
from contract_kit import extract, put, record

from fhir_server.store import Store, Transaction

LONG = 20.0
"""Seconds: nobody waits so long, unless something is wrong."""


@pytest.fixture
async def other(store: Store, open_store: Callable[[], Awaitable[Store]]) -> AsyncIterator[Store]:
    """Another server on the database of ``store``."""
    opened = await open_store()
    yield opened
    await opened.close()


async def test_what_is_there_already_is_told_at_once(store: Store) -> None:
    await put(store, record("Patient", "a"), record("Patient", "b"))
    assert await store.wait(0, LONG) == 2
    assert await store.wait(1, LONG) == 2


async def test_who_waits_in_vain_is_told_so_in_time(store: Store) -> None:
    assert await store.wait(0, 0.05) == 0
    await put(store, record("Patient", "a"))
    assert await store.wait(0, LONG) == 1
    began = monotonic()
    assert await store.wait(1, 0.1) == 1
    assert 0.1 <= monotonic() - began < LONG


@pytest.mark.parametrize("by_another", [False, True])
async def test_all_who_wait_are_woken(store: Store, other: Store, by_another: bool) -> None:
    waiting = [asyncio.create_task(store.wait(after, LONG)) for after in (0, 0, 1)]
    await asyncio.sleep(0.2)
    assert not any(each.done() for each in waiting)
    writer = other if by_another else store
    await put(writer, record("Patient", "a"))
    assert await asyncio.gather(*waiting[:2]) == [1, 1]
    assert not waiting[2].done()
    await put(writer, record("Patient", "a", 2))
    assert await waiting[2] == 2
    assert [(each.id, each.version) for each in await store.changes(0)] == [("a", 1), ("a", 2)]


async def test_who_stops_waiting_stops_nobody_else(store: Store) -> None:
    one, two = (asyncio.create_task(store.wait(0, LONG)) for _ in range(2))
    await asyncio.sleep(0.1)
    one.cancel()
    with pytest.raises(asyncio.CancelledError):
        await one
    await put(store, record("Patient", "a"))
    assert await two == 1


async def test_what_was_erased_is_told_and_gone(store: Store) -> None:
    await put(store, record("Patient", "a"))
    async with store.transaction() as transaction:
        await transaction.erase("Patient", "a")
    assert await store.wait(0, LONG) == 1
    assert await store.changes(0) == []


async def test_who_follows_two_servers_writing_the_same_misses_nothing(store: Store, other: Store) -> None:
    """Versions are replaced all the time while they are read; what is read has no gaps."""
    writes = 120
    await put(store, record("Patient", "p"))

    async def update(server: Store) -> None:
        for _ in range(writes // 2):
            async with server.transaction() as transaction:
                before = await transaction.read("Patient", "p")
                assert before is not None
                await put_next(transaction, before.version + 1)

    async def follow() -> list[int]:
        seen: list[int] = []
        while len(seen) <= writes:
            after = seen[-1] if seen else 0
            assert await store.wait(after, LONG) > after
            seen += [each.sequence for each in await store.changes(after, 7)]
        return seen

    seen, *_ = await asyncio.gather(follow(), update(store), update(other))
    assert seen == list(range(1, writes + 2))


async def put_next(transaction: Transaction, version: int) -> None:
    made = record("Patient", "p", version)
    await transaction.put(made, extract("Patient", made.content))
