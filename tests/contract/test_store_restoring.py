"""Versions that another store had, kept as they were: for copies and backups."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import pytest
from contract_kit import all_ids, clause, day, deletion, extract, ids, parameter, put, query, record, token

from fhir_server.errors import Conflict
from fhir_server.store import Record, Store
from fhir_server.stores.sqlite.store import SqliteStore

Open = Callable[[], Awaitable[Store]]


async def _lived(folder: Path) -> tuple[list[Record], tuple[int, int], Store]:
    """A store with updates, a deletion, internal records, and numbers that were erased; what it tells of itself."""
    store = SqliteStore.open(folder / "lived.db", extract=extract, durability="normal")
    await put(store, *(record("Patient", name, date=[day(1)], code=[["s", "old"]]) for name in "abcd"))
    await put(store, record("_Client", "x"), record("Patient", "a", 2, code=[["s", "new"]], date=[day(1)]))
    await put(store, deletion("Patient", "b", 2), record("Patient", "last"))
    async with store.transaction() as transaction:
        await transaction.forget("Patient", "a")
        await transaction.erase("Patient", "d")
        await transaction.erase("Patient", "last")
    return await store.changes(0), await store.reached(), store


async def _restore(store: Store, records: Sequence[Record], reached: tuple[int, int] | None = None) -> None:
    async with store.transaction() as transaction:
        for each in records:
            await transaction.restore(each)
        if reached:
            await transaction.reserve(*reached)


async def test_what_is_restored_is_what_was_there(open_store: Open, tmp_path: Path) -> None:
    records, reached, origin = await _lived(tmp_path)
    assert [f"{each.type}/{each.id}/{each.version}" for each in records] == [
        "Patient/b/1", "Patient/c/1", "_Client/x/1", "Patient/a/2", "Patient/b/2",
    ]  # fmt: skip
    assert [each.number for each in records] == [2, 3, 5, 1, 2]
    store = await open_store()
    await _restore(store, records[:2])
    await _restore(store, records[2:], reached)
    assert await store.changes(0) == records
    assert await store.reached() == reached == (8, 6)
    assert await store.read("Patient", "a") == await origin.read("Patient", "a")
    assert (await store.history("Patient")).records == (await origin.history("Patient")).records
    for code, found in [("old", ["c"]), ("new", ["a"])]:
        wanted = query("Patient", clause(parameter("Patient", "code"), token(code)))
        assert await ids(store, wanted) == await ids(origin, wanted) == found
    assert await all_ids(store, query("Patient")) == await all_ids(origin, query("Patient")) == ["c", "a"]
    await origin.close()
    await store.close()


async def test_numbers_go_on_where_the_other_store_was(open_store: Open, tmp_path: Path) -> None:
    records, reached, origin = await _lived(tmp_path)
    await origin.close()
    store = await open_store()
    await _restore(store, records, reached)
    await store.close()
    store = await open_store()
    await put(store, record("Patient", "new"), record("Patient", "a", 3, date=[day(9)]))
    new, changed = await store.changes(reached[0])
    assert (new.sequence, new.number) == (9, 7)
    assert (changed.sequence, changed.number) == (10, 1)
    assert await ids(store, query("Patient", clause(parameter("Patient", "code"), token("new")))) == []
    await store.close()


async def test_a_version_that_does_not_follow_is_refused(store: Store) -> None:
    await put(store, record("Patient", "a"), record("Patient", "a", 2))
    good = record("Patient", "a", 3)
    for version, sequence, number in [(3, 2, 1), (2, 3, 1), (1, 9, 1), (3, 3, 0)]:
        wrong = Record("Patient", "a", version, good.updated, "PUT", good.content, sequence, number)
        with pytest.raises(Conflict, match="does not follow"):
            await _restore(store, [wrong])
    assert [each.version for each in await store.changes(0)] == [1, 2]
    assert await store.reached() == (2, 1)
