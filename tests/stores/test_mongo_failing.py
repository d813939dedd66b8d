"""Calls that fail: what is repeated in silence, what its sender has to repeat, and what is never done twice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from os import urandom
from typing import Any

import pytest
from contract_kit import deletion, extract, ids, put, query, record
from failing import failing
from pymongo import MongoClient

from fhir_server.errors import InsufficientStorage, StoreUnavailable, TooLarge
from fhir_server.store import Record
from fhir_server.stores.mongo import session as sessions
from fhir_server.stores.mongo.store import MongoStore

PASSING = ["TransientTransactionError"]
UNKNOWN = ["UnknownTransactionCommitResult"]


@pytest.fixture
async def mongo(mongo_url: str) -> AsyncIterator[MongoStore]:
    store = MongoStore.open(mongo_url, extract=extract)
    yield store
    await store.close()


# ── commits ───────────────────────────────────────────────────────────────────

REPEATED = {
    "a begin that another server's group forestalls": (["findAndModify"], {"errorCode": 112}),
    "a write that lost its primary": (["insert"], {"errorCode": 251, "errorLabels": PASSING}),
    "a commit that was not kept": (["commitTransaction"], {"errorCode": 251, "errorLabels": PASSING}),
    "a commit whose answer was lost": (["commitTransaction"], {"closeConnection": True}),
    "a commit that nobody knows of": (["commitTransaction"], {"errorCode": 91, "errorLabels": UNKNOWN}),
}


@pytest.mark.parametrize("what", REPEATED)
@pytest.mark.parametrize("times", [1, 3])
async def test_what_passes_is_repeated_and_done_once(
    mongo: MongoStore, mongo_url: str, what: str, times: int
) -> None:
    commands, how = REPEATED[what]
    await put(mongo, record("Patient", "before"))
    with failing(mongo_url, *commands, times=times, **how):
        await asyncio.gather(*(put(mongo, record("Patient", f"p{number}")) for number in range(5)))
    changes = await mongo.changes(0)
    assert [each.sequence for each in changes] == list(range(1, 7))
    assert {each.id for each in changes} == {"before", *(f"p{number}" for number in range(5))}


async def test_a_group_that_is_repeated_keeps_what_its_members_saw(mongo: MongoStore, mongo_url: str) -> None:
    """Nobody else has written, so what was read is still so."""
    await put(mongo, record("Patient", "p"))

    async def update() -> None:
        async with mongo.transaction() as transaction:
            before = await transaction.read("Patient", "p")
            assert before is not None
            await transaction.put(record("Patient", "p", before.version + 1), extract("Patient", b"{}"))

    with failing(mongo_url, "commitTransaction", errorCode=251, errorLabels=PASSING):
        await asyncio.gather(*(update() for _ in range(6)))
    assert [each.version for each in (await mongo.history("Patient", "p")).records] == list(range(7, 0, -1))


async def test_a_commit_without_end_is_told_as_unknown(
    mongo: MongoStore, mongo_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "PATIENCE", 0.1)
    with (
        failing(mongo_url, "commitTransaction", times=10_000, errorCode=91, errorLabels=UNKNOWN),
        pytest.raises(StoreUnavailable, match="not known: look before"),
    ):
        await put(mongo, record("Patient", "p"))
    await put(mongo, record("Patient", "next"))


async def test_other_servers_that_never_end_are_not_waited_for_for_ever(
    mongo: MongoStore, mongo_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "PATIENCE", 0.1)
    with (
        failing(mongo_url, "findAndModify", times=10_000, errorCode=112),
        pytest.raises(StoreUnavailable, match="other servers keep writing") as caught,
    ):
        await put(mongo, record("Patient", "p"))
    assert caught.value.headers == {"Retry-After": "2"}
    await put(mongo, record("Patient", "p"))


# ── members ───────────────────────────────────────────────────────────────────


async def test_a_member_whose_question_fails_takes_nobody_along(mongo: MongoStore, mongo_url: str) -> None:
    async def ask() -> None:
        async with mongo.transaction() as transaction:
            await transaction.put(record("Patient", "asked"), extract("Patient", b"{}"))
            await transaction.count(query("Patient"))

    await put(mongo, record("Patient", "before"))
    with failing(mongo_url, "find", "aggregate", times=1, errorCode=251, errorLabels=PASSING):
        answers = await asyncio.gather(
            put(mongo, record("Patient", "a")),
            ask(),
            put(mongo, record("Patient", "b")),
            return_exceptions=True,
        )
    assert [type(answer) for answer in answers] == [type(None), StoreUnavailable, type(None)]
    assert set(await ids(mongo, query("Patient"))) == {"before", "a", "b"}


async def test_nothing_more_can_be_done_after_a_failure(mongo: MongoStore, mongo_url: str) -> None:
    await put(mongo, record("Patient", "p"))
    with failing(mongo_url, "find", "aggregate", times=1, errorCode=8000), pytest.raises(StoreUnavailable):
        async with mongo.transaction() as transaction:
            with pytest.raises(StoreUnavailable):
                await transaction.count(query("Patient"))
            with pytest.raises(StoreUnavailable):
                await transaction.put(record("Patient", "q"), extract("Patient", b"{}"))
    assert await ids(mongo, query("Patient")) == ["p"]
    await put(mongo, deletion("Patient", "p", 2))


async def test_a_resource_that_is_too_large_is_refused_alone(mongo: MongoStore) -> None:
    large = Record("Binary", "large", 1, 1, "PUT", b'{"data":"' + urandom(9 * 2**20).hex().encode() + b'"}')
    huge = Record("Binary", "huge", 1, 1, "PUT", b'{"data":"' + urandom(18 * 2**20).hex().encode() + b'"}')
    answers = await asyncio.gather(
        put(mongo, large), put(mongo, huge), put(mongo, record("Patient", "p")), return_exceptions=True
    )
    assert [type(answer) for answer in answers] == [type(None), TooLarge, type(None)]
    found = await mongo.read("Binary", "large")
    assert found is not None
    assert found.content == large.content


# ── reads ─────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("how", [{"closeConnection": True}, {"errorCode": 10107}, {"errorCode": 189}])
async def test_a_read_that_met_a_change_of_the_primary_is_asked_again(
    mongo: MongoStore, mongo_url: str, how: dict[str, Any]
) -> None:
    await put(mongo, record("Patient", "p"))
    with failing(mongo_url, "find", "aggregate", **how):
        assert await mongo.read("Patient", "p") is not None
    with failing(mongo_url, "find", "aggregate", **how):
        assert await ids(mongo, query("Patient")) == ["p"]


async def test_a_read_that_takes_too_long_is_given_up(mongo: MongoStore, mongo_url: str) -> None:
    with (
        failing(mongo_url, "find", errorCode=50),
        pytest.raises(StoreUnavailable, match="took too long") as caught,
    ):
        await asyncio.gather(mongo.read("Patient", "p"), mongo.read("Patient", "q"))
    assert caught.value.headers == {"Retry-After": "2"}


async def test_a_database_that_is_away_is_told_within_the_patience_of_the_url(mongo_url: str) -> None:
    away = "mongodb://user:secret@127.0.0.1:1/county?serverSelectionTimeoutMS=100&replicaSet=tests"
    with pytest.raises(StoreUnavailable, match="no primary") as caught:
        MongoStore.open(away, extract=extract)
    assert "secret" not in str(caught.value.outcome())


async def test_a_database_that_was_emptied_takes_no_writes(mongo: MongoStore, mongo_url: str) -> None:
    with MongoClient(mongo_url) as client:
        client.get_default_database().state.delete_many({})
    with pytest.raises(StoreUnavailable, match="emptied"):
        await put(mongo, record("Patient", "p"))


async def test_the_check_writes(mongo: MongoStore, mongo_url: str) -> None:
    await mongo.check()
    with (
        failing(mongo_url, "findAndModify", errorCode=14031),
        pytest.raises(InsufficientStorage, match="full"),
    ):
        await mongo.check()
    assert await mongo.changes(0) == []
