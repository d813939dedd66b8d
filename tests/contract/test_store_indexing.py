"""Rows made anew arm by arm, while the store is used; and searches of what is not complete."""

from __future__ import annotations

from typing import Any

import pytest
from contract_kit import (
    all_ids,
    clause,
    composite,
    date,
    day,
    deletion,
    ids,
    key,
    near,
    pair,
    parameter,
    put,
    quantity,
    query,
    record,
    reference,
    string,
    token,
    uri,
)

from fhir_server.errors import NotReady
from fhir_server.search.query import AllOf, Chain, Has, Not
from fhir_server.search.unfinished import Progress
from fhir_server.store import Step, Store

T = "Observation"
CLAUSES = {
    "code": clause(parameter(T, "code"), token("c", "s")),
    "subject": clause(parameter(T, "subject"), reference("p", "Patient")),
    "url": clause(parameter(T, "url"), uri("urn:x")),
    "name": clause(parameter(T, "name"), string("zhang")),
    "date": clause(parameter(T, "date"), date("ge", *day(1))),
    "value": clause(parameter(T, "value"), quantity("gt", 1)),
    "code-value": clause(composite(T), pair(token("c", "s"), quantity("gt", 1))),
    "near": clause(parameter(T, "near"), near(30.0, 118.0, 10.0)),
}
MEMBERS: dict[str, Any] = {
    "code": [["s", "c"]],
    "subject": [["Patient", "p"]],
    "url": ["urn:x"],
    "name": ["Zhang", "张伟"],
    "date": [day(1), day(3)],
    "value": [[5, "", "mg"]],
    "code-value": [[["s", "c"], [5, "", "mg"]]],
    "near": [[30.0, 118.0]],
}


async def unindex(store: Store, keys: set[int], at_once: int = 3) -> int:
    """Remove all rows of ``keys``; how many there were."""
    removed = 0
    while True:
        async with store.transaction() as transaction:
            step = await transaction.unindex(keys, at_once)
        removed += step
        if step < at_once:
            return removed


async def index(store: Store, type: str, keys: set[int], at_once: int = 2) -> int:
    """Add the rows of ``keys``; how many resources were looked at."""
    after: str | None = ""
    count = 0
    while after is not None:
        async with store.transaction() as transaction:
            step = await transaction.index(type, keys, after, at_once)
        after, count = step.position, count + step.count
    return count


@pytest.mark.parametrize("member", CLAUSES)
async def test_the_rows_of_an_arm_are_removed_and_made_again(store: Store, member: str) -> None:
    await put(store, *(record(T, f"o{number}", **MEMBERS) for number in range(5)), record(T, "without"))
    await put(store, record("Patient", "p"), record(T, "gone", **MEMBERS), deletion(T, "gone", 2))
    everything = {name: await all_ids(store, query(T, wanted)) for name, wanted in CLAUSES.items()}
    assert [len(found) for found in everything.values()] == [5] * len(CLAUSES)
    assert await unindex(store, {key(T, member)}) >= 5
    assert await unindex(store, {key(T, member)}) == 0
    left = {name: await all_ids(store, query(T, wanted)) for name, wanted in CLAUSES.items()}
    assert left == everything | {member: []}
    assert await index(store, T, {key(T, member)}) == 6
    assert {name: await all_ids(store, query(T, wanted)) for name, wanted in CLAUSES.items()} == everything


async def test_missing_and_relations_are_right_after_indexing(store: Store) -> None:
    await put(store, record(T, "with", **MEMBERS), record(T, "without"), record("Patient", "p", name=["A"]))
    keys = {key(T, "subject"), key(T, "code")}
    await unindex(store, keys)
    await index(store, T, keys)
    subject = parameter(T, "subject")
    named = clause(parameter("Patient", "name"), string("a"))
    rows = [
        (query(T, clause(parameter(T, "code"), True, modifier="missing")), ["without"]),
        (query(T, clause(subject, False, modifier="missing")), ["with"]),
        (query(T, Chain(subject, "Patient", named)), ["with"]),
        (query("Patient", Has(T, subject, CLAUSES["code"])), ["p"]),
    ]
    for wanted, expected in rows:
        assert await ids(store, wanted) == expected


async def test_a_step_says_where_the_next_one_begins(store: Store) -> None:
    await put(store, *(record(T, f"o{number}", **MEMBERS) for number in range(4)))
    async with store.transaction() as transaction:
        first = await transaction.index(T, {key(T, "code")}, "", 3)
        assert (first.position, first.count) == ("o2", 3)
        last = await transaction.index(T, {key(T, "code")}, "o2", 3)
        assert (last.position, last.count) == (None, 1)
        assert await transaction.unindex({key(T, "code")}, 3) == 3


async def test_a_step_ends_when_its_time_has_passed(store: Store) -> None:
    await put(store, *(record(T, f"o{number}", **MEMBERS) for number in range(4)))
    async with store.transaction() as transaction:
        step = await transaction.index(T, {key(T, "code")}, "", 3, 0.0)
        assert (step.position, step.count) == ("o0", 1)
        step = await transaction.index(T, {key(T, "code")}, "o0", 3, 60.0)
        assert (step.position, step.count) == ("o3", 3)
        assert await transaction.index(T, {key(T, "code")}, "o3", 3, 60.0) == Step(None, 0)


async def test_a_step_that_fails_changes_nothing(store: Store) -> None:
    await put(store, record(T, "o", **MEMBERS))
    with pytest.raises(ZeroDivisionError):
        async with store.transaction() as transaction:
            await transaction.unindex({key(T, "code")}, 10)
            raise ZeroDivisionError
    assert await ids(store, query(T, CLAUSES["code"])) == ["o"]


# ── what is not complete ──────────────────────────────────────────────────────

CODE = CLAUSES["code"]
ASKING = [
    query(T, CODE),
    query(T, Not(CODE)),
    query(T, AllOf((CLAUSES["name"], CODE))),
    query(T, CLAUSES["name"], sort=[(parameter(T, "code"), False)]),
    query("Patient", Has(T, parameter(T, "subject"), CODE)),
    query("Encounter", Chain(parameter("Encounter", "subject"), T, CODE)),
]


@pytest.mark.parametrize("wanted", ASKING)
async def test_who_asks_for_what_is_not_complete_is_told_how_far_it_is(store: Store, wanted: Any) -> None:
    await put(store, record(T, "o", **MEMBERS))
    store.unfinished.hold({key(T, "code")}, Progress(T, 30, 1200))
    with pytest.raises(NotReady, match="30 of 1,200 resources of type Observation") as caught:
        await store.search(wanted)
    assert caught.value.headers == {"Retry-After": "5"}
    with pytest.raises(NotReady):
        await store.count(wanted)
    async with store.transaction() as transaction:
        with pytest.raises(NotReady):
            await transaction.search(wanted)
        with pytest.raises(NotReady):
            await transaction.count(wanted)
    store.unfinished.release({key(T, "code")})
    if not wanted.sort:
        await store.search(wanted)


async def test_other_searches_are_answered_meanwhile(store: Store) -> None:
    await put(store, record(T, "o", **MEMBERS))
    store.unfinished.hold({key(T, "code")}, Progress(T))
    assert await ids(store, query(T, CLAUSES["name"])) == ["o"]
    with pytest.raises(NotReady):
        await store.terms(key(T, "code"), 10)
