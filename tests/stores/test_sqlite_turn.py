"""Turns on the write connection: first come first served, taken in one round, committed by halves."""

from __future__ import annotations

import asyncio

import pytest
from contract_kit import put, record

from fhir_server.stores.sqlite.store import SqliteStore
from fhir_server.stores.sqlite.turn import Turn

Log = list[str]


async def _take(turn: Turn, log: Log, name: str, rounds: int = 0) -> None:
    async with turn:
        log.append(f"{name} begins")
        for _ in range(rounds):
            await asyncio.sleep(0)
        log.append(f"{name} ends")


async def test_turns_are_taken_in_the_order_of_asking_one_at_a_time() -> None:
    turn, log = Turn(), Log()
    names = [str(number) for number in range(40)]
    await asyncio.gather(*[_take(turn, log, name, number % 3) for number, name in enumerate(names)])
    assert log == [f"{name} {what}" for name in names for what in ("begins", "ends")]
    assert not turn.locked()


async def test_who_waits_takes_its_turn_before_anything_new_is_heard_of() -> None:
    turn, log = Turn(), Log()
    await turn.acquire()
    waiting = [asyncio.create_task(_take(turn, log, name)) for name in "abc"]
    await asyncio.sleep(0)
    turn.release()
    asyncio.get_running_loop().call_soon(log.append, "something new")
    await asyncio.gather(*waiting)
    assert log[-1] == "something new"
    assert len(log) == 7


@pytest.mark.parametrize("gone", [(0,), (1,), (0, 1, 2), (2, 4)])
@pytest.mark.parametrize("woken", [False, True])
async def test_who_gives_up_holds_nobody_up(gone: tuple[int, ...], woken: bool) -> None:
    turn, log = Turn(), Log()
    await turn.acquire()
    waiting = [asyncio.create_task(_take(turn, log, str(number))) for number in range(5)]
    await asyncio.sleep(0)
    if woken:
        turn.release()
    for number in gone:
        waiting[number].cancel()
    if not woken:
        await asyncio.sleep(0)
        turn.release()
    await asyncio.gather(*waiting, return_exceptions=True)
    assert log == [f"{n} {what}" for n in range(5) if n not in gone for what in ("begins", "ends")]
    assert not turn.locked()


async def test_those_who_write_again_and_again_share_commits_by_halves(sqlite: SqliteStore) -> None:
    async def write(client: int) -> None:
        for number in range(12):
            await put(sqlite, record("Observation", f"{client}-{number}"))

    await asyncio.gather(*[write(client) for client in range(16)])
    assert sqlite.commits.transactions == 12 * 16
    assert 12 * 2 <= sqlite.commits.groups <= 12 * 2 + 6
