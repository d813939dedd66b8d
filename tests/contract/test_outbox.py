"""Readers of the outbox on both engines: each write is dealt with once and in order, whatever happens to who reads."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest
from contract_kit import put, record

from fhir_server.interactions.lease import LeaseLost
from fhir_server.interactions.outbox import Outbox
from fhir_server.search.index import IndexValues
from fhir_server.store import Record, Store

LONG = 20.0


class Clock:
    def __init__(self) -> None:
        self.moment = datetime(2026, 3, 2, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.moment


@pytest.fixture
async def open_engine(open_engine: Callable[..., Awaitable[Store]]) -> Callable[..., Awaitable[Store]]:
    """The server's own records, which the outbox keeps, have no index values."""
    return lambda extract: open_engine(
        lambda type, content: IndexValues() if type.startswith("_") else extract(type, content)
    )


@pytest.fixture
async def servers(open_store: Callable[[], Awaitable[Store]]) -> AsyncIterator[list[Store]]:
    opened = [await open_store() for _ in range(2)]
    yield opened
    for each in opened:
        await each.close()


@pytest.fixture
def clock() -> Clock:
    return Clock()


def outboxes(servers: list[Store], clock: Clock) -> tuple[Outbox, Outbox]:
    one, two = (Outbox(store, clock, "tests", f"server-{place}") for place, store in enumerate(servers))
    return one, two


async def deal_with(store: Store, outbox: Outbox, writes: list[Record]) -> None:
    """Each write becomes a note, in the transaction that moves the place."""
    async with store.transaction() as transaction:
        await outbox.done(transaction, writes[-1].sequence)
        for each in writes:
            note = Record("_Note", f"{each.sequence}", 1, 1, "POST", b"{}")
            await transaction.put(note, IndexValues())


def names(writes: list[Record]) -> list[str]:
    return [f"{each.id}/{each.version}" for each in writes]


async def test_writes_come_in_order_and_do_not_come_again(servers: list[Store], clock: Clock) -> None:
    outbox, other = outboxes(servers, clock)
    assert await outbox.take()
    assert await outbox.following(0.05) == []
    await put(servers[1], record("Patient", "a"), record("Patient", "b"))
    await put(servers[0], record("Patient", "a", 2))
    writes = await outbox.following(LONG)
    assert names(writes) == ["a/1", "b/1", "a/2"]
    assert names(await outbox.following(LONG)) == names(writes)
    await deal_with(servers[0], outbox, writes[:2])
    assert names(await outbox.following(LONG)) == ["a/2"]
    await deal_with(servers[0], outbox, writes[2:])
    assert await outbox.following(0.3) == []
    await outbox.give_up()
    assert await other.take()
    assert await other.following(0.05) == []
    await put(servers[0], record("Patient", "c"))
    assert names(await other.following(LONG)) == ["c/1"]


async def test_who_waits_is_woken_by_another_server(servers: list[Store], clock: Clock) -> None:
    outbox, _ = outboxes(servers, clock)
    waiting = asyncio.create_task(outbox.following(LONG))
    await asyncio.sleep(0.1)
    assert not waiting.done()
    await put(servers[1], record("Patient", "a"))
    assert names(await waiting) == ["a/1"]


async def test_one_server_reads_at_a_time(servers: list[Store], clock: Clock) -> None:
    one, two = outboxes(servers, clock)
    await put(servers[0], record("Patient", "a"))
    assert await one.take()
    assert not await two.take()
    writes = await one.following(LONG)
    clock.moment += timedelta(seconds=11)
    assert await two.take()
    with pytest.raises(LeaseLost):
        await deal_with(servers[0], one, writes)
    assert await servers[0].read("_Note", "1") is None
    assert names(await two.following(LONG)) == ["a/1"]


async def test_a_place_never_moves_back(servers: list[Store], clock: Clock) -> None:
    outbox, _ = outboxes(servers, clock)
    await put(servers[0], record("Patient", "a"), record("Patient", "b"))
    assert await outbox.take()
    async with servers[0].transaction() as transaction:
        await outbox.done(transaction, 2)
    async with servers[0].transaction() as transaction:
        await outbox.done(transaction, 1)
    assert await outbox.following(0.05) == []


async def test_what_was_erased_is_passed_over(servers: list[Store], clock: Clock) -> None:
    outbox, _ = outboxes(servers, clock)
    await put(servers[0], record("Patient", "a"))
    async with servers[0].transaction() as transaction:
        await transaction.erase("Patient", "a")
    assert await outbox.following(0.2) == []
    await put(servers[0], record("Patient", "b"))
    assert names(await outbox.following(LONG)) == ["b/1"]


async def test_each_write_is_dealt_with_once_whoever_is_interrupted(
    servers: list[Store], clock: Clock
) -> None:
    """Both servers write and read; who reads fails at random, in the transaction, or stops and leaves the lease."""
    chance, made = Random(7), 60
    dealt: list[int] = []

    async def write(store: Store, prefix: str) -> None:
        for number in range(made // 2):
            await put(store, record("Patient", f"{prefix}{number}"))

    async def read(store: Store, outbox: Outbox) -> None:
        while len(dealt) < made:
            clock.moment += timedelta(seconds=3)
            if not await outbox.take():
                await asyncio.sleep(0.01)
                continue
            writes = (await outbox.following(0.2))[: chance.randint(1, 9)]
            if writes and not await interrupted(store, outbox, writes):
                dealt.extend(each.sequence for each in writes)
            if chance.random() < 0.3:
                await outbox.give_up()

    async def interrupted(store: Store, outbox: Outbox, writes: list[Record]) -> bool:
        fails = chance.random() < 0.3
        try:
            async with store.transaction() as transaction:
                await outbox.done(transaction, writes[-1].sequence)
                note = Record("_Note", f"{writes[0].sequence}", 1, 1, "POST", b"{}")
                await transaction.put(note, IndexValues())
                if fails:
                    raise InterruptedError
        except (InterruptedError, LeaseLost):
            return True
        return False

    one, two = outboxes(servers, clock)
    work: list[Any] = [
        write(servers[0], "a"),
        write(servers[1], "b"),
        read(servers[0], one),
        read(servers[1], two),
    ]
    await asyncio.gather(*work)
    patients = [each.sequence for each in await servers[0].changes(0) if each.type == "Patient"]
    assert dealt == patients
    assert len(set(dealt)) == made
