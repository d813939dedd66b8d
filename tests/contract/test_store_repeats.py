"""The same Query object asked again, as polling clients do, sees every write and undoing in between."""

from __future__ import annotations

from dataclasses import replace

import pytest
from contract_kit import clause, day, deletion, extract, ids, parameter, put, query, record, reference, token

from fhir_server.store import Store

T = "Task"


def inbox(system: str | None = None):
    clauses = [
        clause(parameter(T, "subject", targets=("Organization",)), reference("h1", "Patient")),
        clause(parameter(T, "status"), token("requested", system)),
    ]
    return query(T, *clauses)


def task(id: str, number: int, *, system: str = "", status: str = "requested", version: int = 1):
    return record(
        T, id, version=version, subject=[["Patient", "h1"]], status=[[system, status]], date=[day(number)]
    )


async def test_a_repeated_search_sees_what_was_written_since(store: Store) -> None:
    same = inbox()
    seen = [await ids(store, same)]
    for write in (
        task("a", 1),
        task("b", 2),
        task("a", 1, status="completed", version=2),
        deletion(T, "b", 2),
    ):
        await put(store, write)
        seen.append(await ids(store, same))
    assert seen == [[], ["a"], ["b", "a"], ["b"], []]


async def test_a_system_first_named_in_a_search_is_found_once_it_is_kept(store: Store) -> None:
    same = inbox("urn:new")
    assert await ids(store, same) == []
    await put(store, task("a", 1, system="urn:new"))
    assert await ids(store, same) == ["a"]


async def test_texts_of_an_undone_transaction_do_not_linger(store: Store) -> None:
    undone, kept = inbox("urn:undone"), inbox("urn:kept")
    with pytest.raises(RuntimeError):
        async with store.transaction() as transaction:
            written = task("x", 1, system="urn:undone")
            await transaction.put(written, extract(T, written.content))
            assert await ids(transaction, undone) == ["x"]
            assert await ids(store, undone) == []
            raise RuntimeError
    await put(store, task("y", 2, system="urn:kept"))
    assert await ids(store, undone) == []
    assert await ids(store, kept) == ["y"]


async def test_pages_of_a_repeated_search_go_on_where_they_end(store: Store) -> None:
    await put(store, *(task(f"t{number}", number) for number in range(5)))
    same = replace(inbox(), count=2)
    for _ in range(2):
        first = await store.search(same)
        assert [one.id for one in first.records] == ["t4", "t3"]
        second = await store.search(replace(same, cursor=first.next))
        assert [one.id for one in second.records] == ["t2", "t1"]
