"""Several servers on one MongoDB database, each as if it were alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from contract_kit import clause, extract, ids, parameter, put, query, record, string, token

from fhir_server.errors import Conflict, StoreUnavailable
from fhir_server.search.index import IndexValues
from fhir_server.stores.mongo.session import Session
from fhir_server.stores.mongo.store import MongoStore

NAME = parameter("Patient", "name")


@pytest.fixture
async def servers(mongo_url: str) -> AsyncIterator[list[MongoStore]]:
    stores = [MongoStore.open(mongo_url, extract=extract) for _ in range(3)]
    yield stores
    for store in stores:
        await store.close()


async def test_the_order_of_sequences_is_one_for_all(servers: list[MongoStore]) -> None:
    names = [f"p{number}" for number in range(60)]
    await asyncio.gather(*(put(servers[place % 3], record("Patient", id)) for place, id in enumerate(names)))
    changes = await servers[0].changes(0)
    assert {each.id for each in changes} == set(names)
    assert [each.sequence for each in changes] == list(range(1, 61))
    assert sorted(each.number for each in changes) == list(range(1, 61))
    assert await servers[1].changes(0) == await servers[2].changes(0) == changes


async def test_parallel_conditional_creates_make_one(servers: list[MongoStore]) -> None:
    by_code = query("Patient", clause(parameter("Patient", "code"), token("7", "urn:id")))

    async def create(number: int) -> bool:
        async with servers[number % 3].transaction() as transaction:
            if (await transaction.search(by_code)).records:
                return False
            made = record("Patient", f"p{number}", code=[["urn:id", "7"]])
            await transaction.put(made, extract("Patient", made.content))
            return True

    assert sum(await asyncio.gather(*(create(number) for number in range(45)))) == 1
    assert await servers[0].count(query("Patient")) == 1


async def _count_up(store: MongoStore) -> None:
    async with store.transaction() as transaction:
        before = await transaction.read("Patient", "counter")
        assert before is not None
        made = record("Patient", "counter", before.version + 1, name=[f"v{before.version + 1}"])
        await transaction.put(made, extract("Patient", made.content))


async def test_what_another_server_wrote_is_not_overwritten(servers: list[MongoStore]) -> None:
    """Each remembers the version that it wrote last, and each time somebody else has been faster."""
    await put(servers[0], record("Patient", "counter"))
    for turn in range(9):
        await _count_up(servers[turn % 3])
    await asyncio.gather(*(_count_up(servers[number % 3]) for number in range(30)))
    found = await servers[0].read("Patient", "counter")
    assert found is not None
    assert found.version == 40
    history = await servers[1].history("Patient", "counter", count=100)
    assert [each.version for each in history.records] == list(range(40, 0, -1))


async def test_an_id_that_another_server_took_is_a_conflict_for_who_wants_it_alone(
    servers: list[MongoStore],
) -> None:
    await put(servers[0], record("Patient", "taken"))
    wanted = [record("Patient", id) for id in ("a", "taken", "b")]
    answers = await asyncio.gather(*(put(servers[1], each) for each in wanted), return_exceptions=True)
    assert [type(answer) for answer in answers] == [type(None), Conflict, type(None)]
    assert set(await ids(servers[2], query("Patient"))) == {"a", "b", "taken"}


async def test_the_id_is_a_conflict_too_when_the_next_member_searches(servers: list[MongoStore]) -> None:
    await put(servers[0], record("Patient", "taken"))

    async def search() -> list[str]:
        async with servers[1].transaction() as transaction:
            return await ids(transaction, query("Patient"))

    refused, found = await asyncio.gather(
        put(servers[1], record("Patient", "taken")), search(), return_exceptions=True
    )
    assert isinstance(refused, Conflict)
    assert found == ["taken"]


async def test_who_is_undone_while_others_write_takes_nobody_along(
    servers: list[MongoStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The group begins anew for the one that failed; meanwhile another server writes. Who had only written is written
    again, who had looked at something is told to come back."""
    first, other, _ = servers
    abort = Session.abort

    async def overtaken(session: Session) -> None:
        await abort(session)
        if session.connection is first._connection:
            monkeypatch.setattr(Session, "abort", abort)
            await put(other, record("Patient", "other"))

    async def look_and_write() -> None:
        async with first.transaction() as transaction:
            assert await transaction.read("Patient", "other") is None
            await transaction.put(record("Patient", "looked"), extract("Patient", b"{}"))

    async def fail() -> None:
        async with first.transaction() as transaction:
            await transaction.put(record("Patient", "failed"), extract("Patient", b"{}"))
            await transaction.count(query("Patient"))
            monkeypatch.setattr(Session, "abort", overtaken)
            raise LookupError

    answers = await asyncio.gather(
        put(first, record("Patient", "blind")), look_and_write(), fail(), return_exceptions=True
    )
    assert [type(answer) for answer in answers] == [type(None), StoreUnavailable, LookupError]
    assert set(await ids(other, query("Patient"))) == {"blind", "other"}
    assert [each.sequence for each in await other.changes(0)] == [1, 2]


async def test_a_server_sees_at_once_what_it_wrote_and_soon_what_others_wrote(
    servers: list[MongoStore],
) -> None:
    for number in range(20):
        await put(servers[0], record("Patient", f"p{number}"))
        for store in servers:
            assert await store.read("Patient", f"p{number}") is not None


# ── the rules of the index ────────────────────────────────────────────────────


def _shouting(type: str, content: bytes) -> IndexValues:
    """Other rules: the names backwards."""
    values = extract(type, content)
    return replace(values, strings=[row._replace(text=row.text[::-1]) for row in values.strings])


async def test_other_rules_index_everything_anew_and_stop_who_has_the_old_ones(mongo_url: str) -> None:
    old = MongoStore.open(mongo_url, extract=extract)
    assert old.index_by("old") == 0
    await put(old, *(record("Patient", f"p{number}", name=["abc"]) for number in range(3)))
    new = MongoStore.open(mongo_url, extract=_shouting)
    assert new.index_by("new") == 3
    assert new.index_by("new") is None
    for store, text, found in [(new, "cba", 3), (new, "abc", 0)]:
        assert await store.count(query("Patient", clause(NAME, string(text)))) == found
    with pytest.raises(StoreUnavailable, match="rules of another version"):
        await put(old, record("Patient", "late"))
    await put(new, record("Patient", "p0", 2, name=["xyz"]))
    assert await ids(new, query("Patient", clause(NAME, string("x")))) == ["p0"]
    await old.close()
    await new.close()


async def test_indexing_that_was_cut_off_is_begun_again(mongo_url: str) -> None:
    store = MongoStore.open(mongo_url, extract=extract)
    store.index_by("old")
    await put(store, *(record("Patient", f"p{number}", name=["abc"]) for number in range(3)))
    await store.close()
    seen: list[bytes] = []

    def failing(type: str, content: bytes) -> Any:
        seen.append(content)
        if len(seen) == 2:
            raise KeyboardInterrupt
        return _shouting(type, content)

    broken = MongoStore.open(mongo_url, extract=failing)
    with pytest.raises(KeyboardInterrupt):
        broken.index_by("new")
    await broken.close()
    again = MongoStore.open(mongo_url, extract=extract)
    assert again.index_by("old") == 3
    await again.close()


# ── reads ─────────────────────────────────────────────────────────────────────


async def test_reads_of_one_moment_are_one_question(
    servers: list[MongoStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = servers[0]
    await put(store, *(record("Patient", f"p{number}") for number in range(50)))
    asked: list[Any] = []
    ask = store._view.ask

    async def counted(command: Any) -> Any:
        asked.append(command)
        return await ask(command)

    monkeypatch.setattr(store._view, "ask", counted)
    wanted = [f"p{number % 51}" for number in range(120)]
    found = await asyncio.gather(*(store.read("Patient", id) for id in wanted))
    assert [each.id if each else None for each in found] == [id if id != "p50" else None for id in wanted]
    assert len(asked) == 1


async def test_who_gives_up_a_read_takes_nobody_along(servers: list[MongoStore]) -> None:
    store = servers[0]
    await put(store, record("Patient", "p"))
    reads = [asyncio.create_task(store.read("Patient", "p")) for _ in range(4)]
    await asyncio.sleep(0)
    reads[0].cancel()
    answers = await asyncio.gather(*reads, return_exceptions=True)
    assert isinstance(answers[0], asyncio.CancelledError)
    assert all(getattr(answer, "id", None) == "p" for answer in answers[1:])
