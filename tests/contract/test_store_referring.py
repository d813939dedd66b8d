"""What the port promises of ``referring`` and ``terms``: what refers to something, then and now, and the labels."""

from __future__ import annotations

import pytest
from contract_kit import clause, deletion, key, parameter, put, query, record, reference

from fhir_server.store import Store

P = [["Patient", "p"]]
TYPES = ("Observation", "Condition", "Device")
QUERIES = [query(type, clause(parameter(type, "subject"), reference("p", "Patient"))) for type in TYPES]


async def names(store: Store, moment: tuple[int, int] | None = None) -> list[tuple[str, str, int]]:
    found = await store.referring(QUERIES, moment)
    return [(each.type, each.id, each.version) for each in found.versions]


@pytest.fixture
async def kept(store: Store) -> Store:
    await put(
        store,
        record("Observation", "o1", subject=P, date=[[20, 30]]),
        record("Condition", "c1", subject=P),
        record("Observation", "other", subject=[["Patient", "q"]]),
        record("Observation", "o2", subject=P, date=[[10, 20]]),
        record("Observation", "group", subject=[["Group", "p"]]),
        record("Encounter", "e1", subject=P),
    )
    return store


async def test_all_types_that_are_asked_for_in_the_order_of_creation(kept: Store) -> None:
    assert await names(kept) == [("Observation", "o1", 1), ("Condition", "c1", 1), ("Observation", "o2", 1)]


async def test_a_resource_that_refers_twice_comes_once(store: Store) -> None:
    await put(store, record("Observation", "o", subject=[*P, ["Patient", "p2"]]))
    several = clause(
        parameter("Observation", "subject"), reference("p", "Patient"), reference("p2", "Patient")
    )
    found = await store.referring([query("Observation", several)])
    assert [each.id for each in found.versions] == ["o"]


async def test_what_changed_since_a_moment_is_as_it_was(kept: Store) -> None:
    before = await names(kept)
    moment = (await kept.referring(QUERIES)).moment
    await put(
        kept,
        record("Observation", "o1", 2, subject=[["Patient", "q"]]),
        deletion("Condition", "c1", 2),
        record("Observation", "o2", 2, subject=P),
        record("Observation", "other", 2, subject=P),
        record("Device", "new", subject=P),
    )
    await put(kept, record("Observation", "o2", 3, subject=[]))
    assert await names(kept, moment) == before
    assert await names(kept) == [("Observation", "other", 2), ("Device", "new", 1)]


async def test_versions_can_be_read_one_by_one(kept: Store) -> None:
    moment = (await kept.referring(QUERIES)).moment
    await put(kept, record("Observation", "o1", 2, subject=P, status=[["", "amended"]]))
    old, *_ = (await kept.referring(QUERIES, moment)).versions
    read = await kept.read_version(old.type, old.id, old.version)
    assert read is not None
    assert (read.sequence, read.updated) == (old.sequence, old.updated)
    assert b"amended" not in read.content


async def test_nobody_refers_to_what_nothing_refers_to(store: Store) -> None:
    assert (await store.referring(QUERIES)).versions == ()
    assert (await store.referring([])).versions == ()


async def test_terms_are_the_different_codes_with_their_systems(store: Store) -> None:
    codes = {"1": [["s", "a"]], "2": [["s", "a"], ["t", "a"]], "3": [["", "b"]], "4": [["s", "c"]]}
    await put(store, *(record("Observation", id, code=code) for id, code in codes.items()))
    arm = key("Observation", "code")
    assert sorted(await store.terms(arm, 10)) == [("a", "s"), ("a", "t"), ("b", ""), ("c", "s")]
    assert len(await store.terms(arm, 2)) == 2
    await put(store, deletion("Observation", "3", 2))
    assert ("b", "") not in await store.terms(arm, 10)
    assert await store.terms(key("Condition", "code"), 10) == []
