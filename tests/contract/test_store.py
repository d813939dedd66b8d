"""What the port promises of records, versions, transactions, history and changes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from copy import copy
from typing import Any

import pytest
from contract_kit import (
    START,
    clause,
    column,
    day,
    deletion,
    extract,
    ids,
    parameter,
    put,
    query,
    record,
    string,
    token,
)
from msgspec.structs import replace

from fhir_server.errors import Conflict, InvalidSearch
from fhir_server.store import Record, Store

# ── reading ───────────────────────────────────────────────────────────────────


async def test_an_id_never_used_reads_as_none(store: Store) -> None:
    assert await store.read("Patient", "1") is None
    assert await store.read_version("Patient", "1", 1) is None
    await put(store, record("Patient", "1"))
    assert await store.read("Practitioner", "1") is None


async def test_a_record_comes_back_byte_for_byte(store: Store) -> None:
    content = '{"resourceType":"Patient","id":"1","x":1.00,"名":"张伟","y":"\\u00e9"}'.encode()
    kept = Record("Patient", "1", 1, START, "POST", content)
    await put(store, kept)
    found = await store.read("Patient", "1")
    assert found is not None
    assert replace(found, sequence=0) == kept
    assert found.sequence > 0


async def test_a_large_record_comes_back(store: Store) -> None:
    await put(store, large := record("Binary", "1", data="ä张" * 700_000))
    found = await store.read("Binary", "1")
    assert found is not None
    assert found.content == large.content


async def test_every_version_stays_readable(store: Store) -> None:
    versions = [record("Patient", "1", number, name=[f"v{number}"]) for number in (1, 2, 3)]
    for each in versions:
        await put(store, each)
    for each in versions:
        found = await store.read_version("Patient", "1", each.version)
        assert found is not None
        assert (found.content, found.version) == (each.content, each.version)
    assert await store.read_version("Patient", "1", 4) is None
    assert await store.read_version("Patient", "1", 0) is None


async def test_a_deleted_record_reads_as_its_deletion_and_older_versions_stay(store: Store) -> None:
    await put(store, record("Patient", "1"))
    await put(store, deletion("Patient", "1", 2))
    found = await store.read("Patient", "1")
    assert found is not None
    assert (found.deleted, found.version, found.content, found.method) == (True, 2, b"", "DELETE")
    first = await store.read_version("Patient", "1", 1)
    assert first is not None
    assert not first.deleted


async def test_a_deleted_record_can_come_back_with_the_next_version(store: Store) -> None:
    await put(store, record("Patient", "1", name=["a"]))
    await put(store, deletion("Patient", "1", 2))
    await put(store, record("Patient", "1", 3, name=["b"]))
    assert await ids(store, query("Patient", clause(parameter("Patient", "name"), string("b")))) == ["1"]
    assert await ids(store, query("Patient", clause(parameter("Patient", "name"), string("a")))) == []


async def test_read_many_keeps_the_order_and_leaves_out_what_is_unknown_or_deleted(store: Store) -> None:
    await put(store, record("Patient", "1"), record("Organization", "1"), record("Patient", "2"))
    await put(store, deletion("Patient", "2", 2))
    wanted = [("Organization", "1"), ("Patient", "2"), ("Patient", "9"), ("Device", "1"), ("Patient", "1")]
    found = await store.read_many(wanted)
    assert [(each.type, each.id) for each in found] == [("Organization", "1"), ("Patient", "1")]


# ── versions ──────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("version", [0, 2, 5])
async def test_the_first_version_is_one(store: Store, version: int) -> None:
    with pytest.raises(Conflict):
        await put(store, record("Patient", "1", version))
    assert await store.read("Patient", "1") is None


@pytest.mark.parametrize("version", [1, 2, 4])
async def test_a_version_follows_the_current_one(store: Store, version: int) -> None:
    await put(store, record("Patient", "1"))
    await put(store, record("Patient", "1", 2))
    with pytest.raises(Conflict):
        await put(store, record("Patient", "1", version))
    with pytest.raises(Conflict):
        await put(store, deletion("Patient", "1", version))
    found = await store.read("Patient", "1")
    assert found is not None
    assert found.version == 2


# ── transactions ──────────────────────────────────────────────────────────────


async def test_an_exception_undoes_everything(store: Store) -> None:
    await put(store, record("Patient", "1", name=["old"]))
    with pytest.raises(KeyError):
        async with store.transaction() as transaction:
            for each in (record("Patient", "1", 2, name=["new"]), record("Patient", "2", name=["new"])):
                await transaction.put(each, extract(each.type, each.content))
            assert len((await transaction.search(query("Patient"))).records) == 2
            raise KeyError
    assert await store.read("Patient", "2") is None
    assert await ids(store, query("Patient", clause(parameter("Patient", "name"), string("old")))) == ["1"]
    assert await ids(store, query("Patient", clause(parameter("Patient", "name"), string("new")))) == []
    assert len(await store.changes(0)) == 1
    await put(store, record("Patient", "1", 2), record("Patient", "2"))


async def test_values_that_cannot_be_kept_undo_everything(store: Store) -> None:
    spoiled = extract("Patient", b'{"date": [[1, 2]]}')
    spoiled.dates = [spoiled.dates[0]._replace(low=2**70)]
    with pytest.raises(OverflowError):
        async with store.transaction() as transaction:
            await transaction.put(record("Patient", "1"), extract("Patient", b"{}"))
            await transaction.put(record("Patient", "2"), spoiled)
    assert await store.read("Patient", "1") is None
    await put(store, record("Patient", "1"))
    assert await ids(store, query("Patient")) == ["1"]


async def test_a_transaction_sees_its_own_writes(store: Store) -> None:
    await put(store, record("Patient", "1", name=["old"]))
    by_name = clause(parameter("Patient", "name"), string("new"))
    async with store.transaction() as transaction:
        changed = record("Patient", "1", 2, name=["new"])
        await transaction.put(changed, extract("Patient", changed.content))
        found = await transaction.read("Patient", "1")
        assert found is not None
        assert (found.version, found.content) == (2, changed.content)
        assert [each.version for each in await transaction.read_many([("Patient", "1")])] == [2]
        first = await transaction.read_version("Patient", "1", 1)
        assert first is not None
        assert await transaction.count(query("Patient", by_name)) == 1
        assert await ids(transaction, query("Patient", by_name)) == ["1"]
        await transaction.delete(deletion("Patient", "1", 3))
        gone = await transaction.read("Patient", "1")
        assert gone is not None
        assert gone.deleted
        assert await transaction.read_many([("Patient", "1")]) == []
        assert await transaction.count(query("Patient")) == 0
    history = await store.history("Patient", "1")
    assert [each.version for each in history.records] == [3, 2, 1]


async def test_nobody_sees_a_transaction_before_its_end(store: Store) -> None:
    async with store.transaction() as transaction:
        await transaction.put(record("Patient", "1"), extract("Patient", b"{}"))
        assert await transaction.count(query("Patient")) == 1
        assert await store.read("Patient", "1") is None
        assert await store.count(query("Patient")) == 0
        assert await store.changes(0) == []
    assert await store.read("Patient", "1") is not None


async def test_readers_are_served_while_a_transaction_is_open(store: Store) -> None:
    await put(store, record("Patient", "1"))
    async with store.transaction() as transaction:
        await transaction.put(record("Patient", "2"), extract("Patient", b"{}"))
        await transaction.count(query("Patient"))
        assert await asyncio.wait_for(store.read("Patient", "1"), 1) is not None
        assert await asyncio.wait_for(ids(store, query("Patient")), 1) == ["1"]


async def test_the_same_id_can_be_written_twice_in_one_transaction(store: Store) -> None:
    await put(
        store,
        record("Patient", "1", name=["a"]),
        record("Patient", "1", 2, name=["b"]),
        record("Patient", "2"),
    )
    found = await store.read("Patient", "1")
    assert found is not None
    assert found.version == 2
    assert await ids(store, query("Patient", clause(parameter("Patient", "name"), string("a")))) == []
    assert (await store.history("Patient", "1")).total == 2


async def test_a_large_transaction_is_whole(store: Store) -> None:
    async with store.transaction() as transaction:
        for number in range(2_500):
            each = record("Observation", str(number), status=[["", "final"]])
            await transaction.put(each, extract(each.type, each.content))
    assert (
        await store.count(query("Observation", clause(parameter("Observation", "status"), token("final"))))
        == 2_500
    )


async def test_a_large_transaction_is_undone_whole(store: Store) -> None:
    with pytest.raises(Conflict):
        async with store.transaction() as transaction:
            for number in [*range(1_500), 0]:
                await transaction.put(record("Observation", str(number)), extract("Observation", b"{}"))
    assert await store.count(query("Observation")) == 0


async def test_what_is_acknowledged_is_there_after_opening_again(
    open_store: Callable[[], Awaitable[Store]],
) -> None:
    store = await open_store()
    await put(store, record("Patient", "1", name=["张伟"]), record("Patient", "2"))
    await put(store, deletion("Patient", "2", 2))
    await store.close()
    store = await open_store()
    assert await ids(store, query("Patient", clause(parameter("Patient", "name"), string("张")))) == ["1"]
    await put(store, record("Patient", "1", 2))
    changes = await store.changes(0)
    assert [(each.id, each.version) for each in changes] == [("1", 1), ("2", 1), ("2", 2), ("1", 2)]
    assert sorted({each.sequence for each in changes}) == [each.sequence for each in changes]
    await store.close()


# ── together ──────────────────────────────────────────────────────────────────


async def test_a_hundred_conditional_creates_make_one(store: Store) -> None:
    by_code = query("Patient", clause(parameter("Patient", "code"), token("7", "urn:id")))

    async def create(number: int) -> bool:
        async with store.transaction() as transaction:
            if (await transaction.search(by_code)).records:
                return False
            await asyncio.sleep(0)
            each = record("Patient", f"p{number}", code=[["urn:id", "7"]])
            await transaction.put(each, extract("Patient", each.content))
            return True

    made = await asyncio.gather(*(create(number) for number in range(100)))
    assert sum(made) == 1
    assert await store.count(query("Patient")) == 1


async def test_of_writers_with_the_same_version_one_wins(store: Store) -> None:
    await put(store, record("Patient", "1"))
    answers = await asyncio.gather(
        *(put(store, record("Patient", "1", 2)) for _ in range(30)), return_exceptions=True
    )
    assert answers.count(None) == 1
    assert sum(isinstance(answer, Conflict) for answer in answers) == 29
    assert [each.version for each in (await store.history("Patient", "1")).records] == [2, 1]


async def test_one_failure_does_not_touch_its_neighbours(store: Store) -> None:
    async def write(number: int) -> None:
        async with store.transaction() as transaction:
            each = record("Patient", f"p{number}", name=["x"])
            await transaction.put(each, extract("Patient", each.content))
            if number % 3 == 0:
                await transaction.count(query("Patient"))
            if number % 2:
                raise LookupError

    answers = await asyncio.gather(*(write(number) for number in range(40)), return_exceptions=True)
    assert sum(isinstance(answer, LookupError) for answer in answers) == 20
    found = await ids(store, query("Patient", clause(parameter("Patient", "name"), string("x")), count=100))
    assert set(found) == {f"p{number}" for number in range(0, 40, 2)}


async def test_a_cancelled_writer_does_not_touch_its_neighbours(store: Store) -> None:
    async def write(number: int) -> None:
        async with store.transaction() as transaction:
            each = record("Patient", f"p{number}")
            await transaction.put(each, extract("Patient", each.content))
            await asyncio.sleep(0)

    tasks = [asyncio.create_task(write(number)) for number in range(60)]
    for turn in range(12):
        await asyncio.sleep(0)
        tasks[turn * 5].cancel()
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    acknowledged = {f"p{number}" for number, answer in enumerate(answers) if answer is None}
    assert len(acknowledged) >= 48
    found = set(await ids(store, query("Patient", count=100)))
    assert acknowledged <= found
    await put(store, record("Patient", "afterwards"))


async def test_a_transaction_without_writes_ends(store: Store) -> None:
    async with store.transaction() as transaction:
        assert await transaction.read("Patient", "1") is None
    await store.check()


async def test_commits_are_counted_and_the_transactions_that_share_them(store: Store) -> None:
    async def write(number: int) -> None:
        async with store.transaction() as transaction:
            each = record("Patient", f"p{number}")
            await transaction.put(each, extract("Patient", each.content))
            if number % 4 == 0:
                raise LookupError

    before = copy(store.commits)
    await asyncio.gather(*(write(number) for number in range(40)), return_exceptions=True)
    assert store.commits.transactions - before.transactions == 30
    assert 1 <= store.commits.groups - before.groups <= 10
    after = copy(store.commits)
    await put(store, record("Patient", "alone"))
    assert (store.commits.groups, store.commits.transactions) == (after.groups + 1, after.transactions + 1)


# ── history ───────────────────────────────────────────────────────────────────


async def _story(store: Store) -> None:
    """Three resources of two types, and an internal one; updated one second apart."""
    steps = [
        record("Patient", "a", updated=START),
        record("Organization", "o", updated=START + 1_000_000),
        record("_Message", "m", updated=START + 2_000_000),
        record("Patient", "a", 2, updated=START + 3_000_000),
        record("Patient", "b", updated=START + 4_000_000),
        deletion("Patient", "a", 3, updated=START + 5_000_000),
    ]
    for each in steps:
        await put(store, each)


HISTORIES = [
    ("everything", (None, None), {}, ["a/3", "b/1", "a/2", "o/1", "a/1"]),
    ("a type", ("Patient", None), {}, ["a/3", "b/1", "a/2", "a/1"]),
    ("an internal type", ("_Message", None), {}, ["m/1"]),
    ("a resource", ("Patient", "a"), {}, ["a/3", "a/2", "a/1"]),
    ("an unknown resource", ("Patient", "z"), {}, []),
    ("an unknown type", ("Device", None), {}, []),
    ("since, everything", (None, None), {"since": 3}, ["a/3", "b/1", "a/2"]),
    ("since, a type", ("Patient", None), {"since": 4}, ["a/3", "b/1"]),
    ("since, a resource", ("Patient", "a"), {"since": 3}, ["a/3", "a/2"]),
    ("since, in the future", (None, None), {"since": 60}, []),
    ("at, everything", (None, None), {"at": (3, 4)}, ["a/2", "o/1"]),
    ("at, a type", ("Patient", None), {"at": (4, 5)}, ["b/1", "a/2"]),
    ("at, a resource", ("Patient", "a"), {"at": (2, 3)}, ["a/1"]),
    ("at, a resource, while it changed", ("Patient", "a"), {"at": (2, 6)}, ["a/3", "a/2", "a/1"]),
    ("at, a version ends as the time begins", ("Patient", "a"), {"at": (3, 5)}, ["a/2"]),
    ("at, a type, some time", ("Patient", None), {"at": (2, 5)}, ["b/1", "a/2", "a/1"]),
    ("at, a resource, now", ("Patient", "a"), {"at": (60, 61)}, ["a/3"]),
    ("at, before the first", (None, None), {"at": (-9, 0)}, []),
    ("since and at", ("Patient", None), {"since": 3, "at": (4, 5)}, ["b/1", "a/2"]),
]


def _moment(seconds: int | tuple[int, int]) -> int | tuple[int, int]:
    if isinstance(seconds, int):
        return START + seconds * 1_000_000
    return START + seconds[0] * 1_000_000, START + seconds[1] * 1_000_000


@pytest.mark.parametrize(
    ("scope", "limits", "expected"), [row[1:] for row in HISTORIES], ids=[row[0] for row in HISTORIES]
)
async def test_history(
    store: Store, scope: tuple[str | None, str | None], limits: dict[str, Any], expected: list[str]
) -> None:
    await _story(store)
    moments = {name: _moment(seconds) for name, seconds in limits.items()}
    page = await store.history(*scope, **moments)
    assert [f"{each.id}/{each.version}" for each in page.records] == expected
    assert (page.total, page.next) == (len(expected), None)
    for count in (1, 2):
        found, cursor = [], None
        while True:
            part = await store.history(*scope, **moments, count=count, cursor=cursor, total=False)
            assert part.total is None
            found += [f"{each.id}/{each.version}" for each in part.records]
            if (cursor := part.next) is None:
                break
        assert found == expected


async def test_a_history_inside_a_transaction_has_its_own_writes(store: Store) -> None:
    await put(store, record("Patient", "a"))
    async with store.transaction() as transaction:
        await transaction.put(record("Patient", "a", 2), extract("Patient", b"{}"))
        page = await transaction.history("Patient", "a")
        assert [each.version for each in page.records] == [2, 1]
        assert [each.version for each in (await store.history("Patient", "a")).records] == [1]


async def test_history_without_records_still_counts(store: Store) -> None:
    await _story(store)
    page = await store.history("Patient", count=0)
    assert (page.records, page.next, page.total) == ((), None, 4)


async def test_history_tells_methods_and_contents(store: Store) -> None:
    await put(store, record("Patient", "a", method="POST", name=["1"]))
    await put(store, record("Patient", "a", 2, method="PATCH", name=["2"]))
    await put(store, deletion("Patient", "a", 3))
    found = (await store.history("Patient", "a")).records
    assert [each.method for each in found] == ["DELETE", "PATCH", "POST"]
    assert [b'"1"' in each.content for each in found] == [False, False, True]


async def test_history_finds_since_when_the_clock_went_back(store: Store) -> None:
    for id, second in (("a", 10), ("b", 3), ("c", 11)):
        await put(store, record("Patient", id, updated=START + second * 1_000_000))
    found = await store.history("Patient", since=START + 5_000_000)
    assert [each.id for each in found.records] == ["c", "a"]
    found = await store.history("Patient", since=START + 3_000_000)
    assert [each.id for each in found.records] == ["c", "b", "a"]


async def test_history_pages_do_not_move_when_something_is_written(store: Store) -> None:
    await put(store, *(record("Patient", f"p{number}") for number in range(5)))
    first = await store.history("Patient", count=3)
    await put(store, record("Patient", "new"), record("Patient", "p0", 2))
    second = await store.history("Patient", count=3, cursor=first.next)
    assert [each.id for each in (*first.records, *second.records)] == ["p4", "p3", "p2", "p1", "p0"]


@pytest.mark.parametrize("cursor", ["x", "AAAA", "张", "!!!!", "AAAAAAAAAAAAAAAAAAAA"])
async def test_a_cursor_that_is_not_ours_is_refused(store: Store, cursor: str) -> None:
    await put(store, record("Patient", "1"))
    with pytest.raises(InvalidSearch):
        await store.history("Patient", cursor=cursor)
    with pytest.raises(InvalidSearch):
        await store.search(query("Patient", cursor=cursor))


async def test_a_cursor_of_another_search_is_refused(store: Store) -> None:
    await put(store, *(record("Patient", f"p{number}", date=[day(number)]) for number in range(5)))
    page = await store.search(query("Patient", count=2))
    by_id = [(column("Patient", "id"), False)]
    for other in (query("Observation", cursor=page.next), query("Patient", sort=by_id, cursor=page.next)):
        with pytest.raises(InvalidSearch):
            await store.search(other)
    with pytest.raises(InvalidSearch):
        await store.history("Patient", cursor=page.next)


# ── changes ───────────────────────────────────────────────────────────────────


async def test_changes_come_in_the_order_of_writing(store: Store) -> None:
    await _story(store)
    found = await store.changes(0)
    assert [f"{each.id}/{each.version}" for each in found] == ["a/1", "o/1", "m/1", "a/2", "b/1", "a/3"]
    assert [each.deleted for each in found] == [False] * 5 + [True]
    assert found[0].content == record("Patient", "a").content
    some = await store.changes(found[1].sequence, limit=2)
    assert [each.id for each in some] == ["m", "a"]
    assert await store.changes(found[-1].sequence) == []


async def test_a_sequence_never_appears_behind_one_already_read(store: Store) -> None:
    seen: list[int] = []

    async def follow() -> None:
        while len(seen) < 60:
            seen.extend(each.sequence for each in await store.changes(seen[-1] if seen else 0))
            await asyncio.sleep(0)

    follower = asyncio.create_task(follow())
    await asyncio.gather(*(put(store, record("Patient", f"p{number}")) for number in range(60)))
    await asyncio.wait_for(follower, 5)
    assert seen == sorted(set(seen))
    assert len(await store.changes(0)) == 60
