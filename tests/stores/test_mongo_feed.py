"""Following the writes on MongoDB: the stream breaks, its token is too old, the primary changes; nothing is missed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any

import mongod
import pytest
from contract_kit import extract, put, record
from failing import failing

from fhir_server.errors import Conflict, StoreUnavailable
from fhir_server.stores.mongo.connection import Clock, Connection, Document
from fhir_server.stores.mongo.store import MongoStore

LONG = 30.0


@pytest.fixture
async def servers(mongo_url: str) -> AsyncIterator[list[MongoStore]]:
    """One that follows and one that writes."""
    stores = [MongoStore.open(mongo_url, extract=extract) for _ in range(2)]
    yield stores
    for store in stores:
        await store.close()


async def follow(store: MongoStore, until: int) -> list[int]:
    """The sequences as somebody learns of them who reads on whenever something was written."""
    seen: list[int] = []
    while len(seen) < until:
        after = seen[-1] if seen else 0
        await store.wait(after, LONG)
        seen += [each.sequence for each in await store.changes(after)]
    return seen


BREAKS: Mapping[str, Mapping[str, Any]] = {
    "a connection that breaks": {"closeConnection": True},
    "a primary that steps down": {"errorCode": 189, "errorLabels": ["ResumableChangeStreamError"]},
    "a token that is too old": {"errorCode": 286},
    "a cursor that is gone": {"errorCode": 43},
}


@pytest.mark.parametrize("what", BREAKS)
async def test_what_is_written_while_the_stream_is_broken_is_told(
    servers: list[MongoStore], mongo_url: str, what: str
) -> None:
    follower, writer = servers
    following = asyncio.create_task(follow(follower, 6))
    await put(writer, record("Patient", "p0"))
    with failing(mongo_url, "getMore", times=3, **BREAKS[what]):
        for number in range(1, 6):
            await put(writer, record("Patient", f"p{number}"))
        assert await following == list(range(1, 7))


async def test_what_is_written_while_there_is_no_stream_is_told(
    servers: list[MongoStore], mongo_url: str
) -> None:
    follower, writer = servers
    await put(writer, record("Patient", "p0"))
    assert await follower.wait(0, LONG) == 1
    with failing(mongo_url, "aggregate", "getMore", times=1_000, errorCode=286):
        await put(writer, record("Patient", "p1"), record("Patient", "p2"))
        assert await follower.wait(2, 0.5) < 3
    assert await follower.wait(2, LONG) == 3


async def test_changes_have_no_gap_where_others_write_while_they_are_read(
    servers: list[MongoStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the two looks that ``changes`` takes, one resource is made and another is changed twice."""
    follower, writer = servers
    await put(writer, record("Patient", "p"))
    ask = Connection._ask

    async def overtaken(
        connection: Connection, command: Mapping[str, Any], clock: Clock | None
    ) -> list[Document]:
        found = await ask(connection, command, clock)
        if command.get("find") == "resource" and connection is follower._connection:
            monkeypatch.setattr(Connection, "_ask", ask)
            await put(writer, record("Patient", "new"))
            await put(writer, record("Patient", "p", 2))
            await put(writer, record("Patient", "p", 3))
        return found

    monkeypatch.setattr(Connection, "_ask", overtaken)
    seen = [each.sequence for each in await follower.changes(0)]
    seen += [each.sequence for each in await follower.changes(seen[-1])]
    assert seen == [1, 2, 3, 4]


@pytest.fixture
def three() -> Iterator[mongod.ReplicaSet]:
    try:
        with mongod.replica_set(3) as running:
            yield running
    except mongod.NotHere as error:
        pytest.skip(f"no MongoDB server can be run here: {error}")


async def test_a_follower_misses_nothing_when_the_primary_changes(three: mongod.ReplicaSet) -> None:
    url = mongod.with_database(three.uri, "followed")
    stores = [MongoStore.open(url, extract=extract) for _ in range(2)]
    writes = 60
    following = asyncio.create_task(follow(stores[0], writes))
    for number in range(writes):
        if number == 20:
            await asyncio.to_thread(three.step_down)
        if number == 40:
            await asyncio.to_thread(three.primary().kill)
        await put_at_last(stores[1], number)
    assert await asyncio.wait_for(following, LONG) == list(range(1, writes + 1))
    for store in stores:
        await store.close()


async def put_at_last(store: MongoStore, number: int) -> None:
    """Send it until it is there."""
    while True:
        try:
            if await store.read("Patient", f"p{number}") is not None:
                return
            await put(store, record("Patient", f"p{number}"))
        except (StoreUnavailable, Conflict):
            await asyncio.sleep(0.1)
