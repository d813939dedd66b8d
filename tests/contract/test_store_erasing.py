"""What the port promises of versions and resources that are removed for good."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest
from contract_kit import (
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
    reference,
    string,
    token,
)

from fhir_server.store import Store

NAME = parameter("Patient", "name")


async def forget(store: Store, *arguments: object) -> int:
    async with store.transaction() as transaction:
        return await transaction.forget(*arguments)  # type: ignore[arg-type]


async def erase(store: Store, type: str, id: str) -> int:
    async with store.transaction() as transaction:
        return await transaction.erase(type, id)


@pytest.fixture
async def lived(store: Store) -> Store:
    """Patient/a in three versions, /b in two, the second a deletion, and /c."""
    for version in (1, 2, 3):
        await put(store, record("Patient", "a", version, name=[f"v{version}"], date=[day(version)]))
    await put(store, record("Patient", "b"), record("Patient", "c", name=["v3"], date=[day(9)]))
    await put(store, deletion("Patient", "b", 2))
    return store


async def versions(store: Store, *scope: str) -> list[str]:
    page = await store.history(*scope)
    assert page.total == len(page.records)
    return [f"{each.id}/{each.version}" for each in page.records]


# ── past versions ─────────────────────────────────────────────────────────────


async def test_past_versions_are_forgotten_and_the_current_one_stays(lived: Store) -> None:
    assert await forget(lived, "Patient", "a") == 2
    assert await lived.read_version("Patient", "a", 1) is None
    assert await versions(lived, "Patient", "a") == ["a/3"]
    assert await versions(lived, "Patient") == ["b/2", "c/1", "b/1", "a/3"]
    assert await versions(lived) == ["b/2", "c/1", "b/1", "a/3"]
    assert [f"{each.id}/{each.version}" for each in await lived.changes(0)] == ["a/3", "b/1", "c/1", "b/2"]
    assert await ids(lived, query("Patient", clause(NAME, string("v3")))) == ["c", "a"]
    await put(lived, record("Patient", "a", 4))
    assert await versions(lived, "Patient", "a") == ["a/4", "a/3"]


async def test_one_version_is_forgotten(lived: Store) -> None:
    assert await forget(lived, "Patient", "a", 2) == 1
    assert await forget(lived, "Patient", "a", 2) == 0
    assert await versions(lived, "Patient", "a") == ["a/3", "a/1"]
    assert (await lived.read_version("Patient", "a", 1)) is not None


@pytest.mark.parametrize("arguments", [("a", 3), ("a", 4), ("z", None), ("c", None), ("b", 2)])
async def test_what_is_no_past_version_stays(lived: Store, arguments: tuple[str, int | None]) -> None:
    before = await lived.changes(0)
    assert await forget(lived, "Patient", *arguments) == 0
    assert await forget(lived, "Device", *arguments) == 0
    assert await lived.changes(0) == before


# ── whole resources ───────────────────────────────────────────────────────────


async def test_an_erased_resource_was_never_here(lived: Store) -> None:
    assert await erase(lived, "Patient", "a") == 3
    assert await lived.read("Patient", "a") is None
    assert await lived.read_many([("Patient", "a"), ("Patient", "c")]) == [await lived.read("Patient", "c")]
    assert [await lived.read_version("Patient", "a", number) for number in (1, 2, 3)] == [None] * 3
    assert await versions(lived) == ["b/2", "c/1", "b/1"]
    assert await ids(lived, query("Patient", clause(NAME, string("v")))) == ["c"]
    assert await ids(lived, query("Patient")) == ["c"]
    by_id = [(column("Patient", "id"), False)]
    assert await ids(lived, query("Patient", sort=by_id)) == ["c"]
    assert await lived.count(query("Patient")) == 1


async def test_a_deleted_resource_can_be_erased(lived: Store) -> None:
    assert await erase(lived, "Patient", "b") == 2
    assert await lived.read("Patient", "b") is None
    assert await erase(lived, "Patient", "b") == 0
    assert await erase(lived, "Device", "b") == 0


async def test_its_id_begins_with_version_one_again(lived: Store) -> None:
    await erase(lived, "Patient", "a")
    await put(lived, record("Patient", "a", name=["again"]))
    assert await versions(lived, "Patient", "a") == ["a/1"]
    assert await ids(lived, query("Patient", clause(NAME, string("again")))) == ["a"]
    assert await ids(lived, query("Patient", clause(NAME, string("v3")))) == ["c"]


async def test_erasing_and_writing_again_in_one_transaction(lived: Store) -> None:
    async with lived.transaction() as transaction:
        made = record("Patient", "d", name=["d"])
        await transaction.put(made, extract("Patient", made.content))
        assert await transaction.erase("Patient", "d") == 1
        assert await transaction.read("Patient", "d") is None
        assert await transaction.erase("Patient", "a") == 3
        again = record("Patient", "a", name=["x"])
        await transaction.put(again, extract("Patient", again.content))
    assert await ids(lived, query("Patient", clause(NAME, string("x")))) == ["a"]
    assert await lived.read("Patient", "d") is None


async def test_an_exception_brings_all_back(lived: Store) -> None:
    before = await lived.changes(0)
    with pytest.raises(KeyError):
        async with lived.transaction() as transaction:
            await transaction.erase("Patient", "a")
            await transaction.forget("Patient", "b")
            raise KeyError
    assert await lived.changes(0) == before
    assert await ids(lived, query("Patient", clause(NAME, string("v3")))) == ["c", "a"]


async def test_references_to_it_lead_nowhere(store: Store) -> None:
    await put(store, record("Patient", "p"), record("Observation", "o", subject=[["Patient", "p"]]))
    await erase(store, "Patient", "p")
    subject = clause(parameter("Observation", "subject"), reference("p", "Patient"))
    assert await ids(store, query("Observation", subject)) == ["o"]


async def test_a_sequence_is_never_used_again(open_store: Callable[[], Awaitable[Store]]) -> None:
    store = await open_store()
    await put(store, record("Patient", "a"), record("Patient", "b"))
    last = (await store.changes(0))[-1].sequence
    await erase(store, "Patient", "b")
    await store.close()
    again = await open_store()
    await put(again, record("Patient", "c"))
    assert [each.id for each in await again.changes(last)] == ["c"]
    await again.close()


# ── pages under way ───────────────────────────────────────────────────────────


@pytest.mark.parametrize("is_sorted", [False, True])
async def test_a_page_under_way_leaves_out_what_was_removed(store: Store, is_sorted: bool) -> None:
    status = parameter("Patient", "status")
    for number in range(6):
        await put(store, record("Patient", f"p{number}", status=[["", "x"]], date=[day(number)]))
    sort = [(column("Patient", "id"), True)] if is_sorted else []
    asked = query("Patient", clause(status, token("x")), sort=sort, count=2)
    first = await store.search(asked)
    await put(store, record("Patient", "p2", 2, status=[["", "y"]]), record("Patient", "p1", 2))
    second = await store.search(replace(asked, cursor=first.next))
    assert [each.id for each in (*first.records, *second.records)] == ["p5", "p4", "p3", "p2"]
    await forget(store, "Patient", "p2")
    await erase(store, "Patient", "p3")
    await put(store, record("Patient", "p3", status=[["", "x"]]))
    after = await store.search(replace(asked, cursor=first.next))
    assert [each.id for each in after.records] == ["p1", "p0"]
    await forget(store, "Patient", "p1")
    last = await store.search(replace(asked, cursor=first.next))
    assert [each.id for each in last.records] == ["p0"]


async def test_a_page_of_a_history_leaves_out_what_was_removed(lived: Store) -> None:
    first = await lived.history("Patient", count=2)
    await erase(lived, "Patient", "a")
    second = await lived.history("Patient", count=9, cursor=first.next)
    assert [f"{each.id}/{each.version}" for each in second.records] == ["b/1"]
