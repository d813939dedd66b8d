"""A rule that comes while members of a group are at work on MongoDB: what they gathered is indexed by it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from contract_kit import clause, deletion, extract, ids, parameter, put, query, record, string
from failing import failing

from fhir_server.search.index import IndexValues
from fhir_server.store import Reading
from fhir_server.stores.mongo.store import MongoStore

NAMED_A = query("Patient", clause(parameter("Patient", "name"), string("a")))
LATE = [record("Patient", "late", name=["a"])]


class Server:
    """One that indexes names once a SearchParameter is there."""

    def __init__(self, url: str) -> None:
        self.in_force = False
        self.store = MongoStore.open(url, extract=self.extract)
        self.store.heed(("SearchParameter",), self.notice)

    def extract(self, type: str, content: bytes) -> IndexValues:
        values = extract(type, content)
        if not self.in_force:
            values.strings.clear()
        return values

    async def notice(self, reading: Reading) -> None:
        self.in_force = bool((await reading.search(query("SearchParameter"))).records)


@pytest.fixture
async def servers(mongo_url: str) -> AsyncIterator[list[Server]]:
    opened = [Server(mongo_url) for _ in range(2)]
    yield opened
    for each in opened:
        await each.store.close()


async def overtaken(servers: list[Server], *, looks: bool) -> None:
    """The rule is committed by ``servers[1]`` while a transaction of ``servers[0]`` has written already."""
    first, other = servers
    async with first.store.transaction() as transaction:
        for id in ("one", "two"):
            made = record("Patient", id, name=["a"])
            await transaction.put(made, first.extract("Patient", made.content))
        await transaction.put(record("Patient", "gone"), IndexValues())
        await transaction.delete(deletion("Patient", "gone", 2))
        stale = first.extract("Patient", LATE[0].content)
        await put(other.store, record("SearchParameter", "p"))
        if looks:
            assert await transaction.count(query("Patient")) == 2
        await transaction.put(LATE[0], stale)


@pytest.mark.parametrize("looks", [False, True])
async def test_what_was_gathered_before_the_rule_is_indexed_by_it(servers: list[Server], looks: bool) -> None:
    await overtaken(servers, looks=looks)
    for each in servers:
        assert sorted(await ids(each.store, NAMED_A)) == ["late", "one", "two"]


async def test_so_it_is_when_the_group_is_begun_again(servers: list[Server], mongo_url: str) -> None:
    passing = {"errorCode": 251, "errorLabels": ["TransientTransactionError"]}
    with failing(mongo_url, "commitTransaction", times=1, **passing):
        await overtaken(servers, looks=False)
    assert sorted(await ids(servers[0].store, NAMED_A)) == ["late", "one", "two"]


async def test_what_was_removed_for_good_is_heeded(servers: list[Server]) -> None:
    first, other = servers
    await put(other.store, record("SearchParameter", "p"))
    async with other.store.transaction() as transaction:
        await transaction.erase("SearchParameter", "p")
    await put(first.store, record("Patient", "a"))
    assert not first.in_force
    await put(other.store, record("SearchParameter", "p", 1))
    await put(first.store, record("Patient", "b"))
    assert first.in_force
    async with other.store.transaction() as transaction:
        await transaction.erase("SearchParameter", "p")
    await put(first.store, record("Patient", "c"))
    assert not first.in_force
