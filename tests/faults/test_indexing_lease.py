"""A lease: one has it at a time, it ends by itself, and who lost it does nothing more."""

from __future__ import annotations

from typing import Any

import pytest

from fhir_server.interactions.context import Server
from fhir_server.interactions.lease import TYPE, Lease, LeaseLost


@pytest.fixture
def leases(server: Server) -> tuple[Lease, Lease]:
    one, two = (Lease(server.store, server.now, "work", owner) for owner in ("one", "two"))
    return one, two


async def test_one_has_it_at_a_time(leases: tuple[Lease, Lease]) -> None:
    one, two = leases
    assert await one.take()
    assert await one.take()
    assert not await two.take()
    await two.give_up()
    assert not await two.take()
    await one.give_up()
    assert await two.take()


async def test_it_ends_by_itself_and_the_one_before_must_stop(
    server: Server, leases: tuple[Lease, Lease], clock: Any
) -> None:
    one, two = leases
    assert await one.take()
    clock.advance(seconds=11)
    assert await two.take()
    async with server.store.transaction() as transaction:
        with pytest.raises(LeaseLost):
            await one.require(transaction)
        await two.require(transaction)


async def test_work_renews_it_and_leaves_no_history(
    server: Server, leases: tuple[Lease, Lease], clock: Any
) -> None:
    one, two = leases
    assert await one.take()
    for _ in range(5):
        clock.advance(seconds=4)
        async with server.store.transaction() as transaction:
            await one.require(transaction)
    assert not await two.take()
    assert len((await server.store.history(TYPE, "work")).records) == 1
