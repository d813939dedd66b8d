"""What the port promises of totals: right after every write, however often they are asked for."""

from __future__ import annotations

from dataclasses import replace

import pytest
from contract_kit import clause, deletion, extract, parameter, put, query, record, reference, string, token

from fhir_server.search.query import Chain, Has, Query
from fhir_server.store import Store

T = "Observation"
CODED = query(T, clause(parameter(T, "code"), token("a")))
OF_MEN = query(
    T, Chain(parameter(T, "subject"), "Patient", clause(parameter("Patient", "name"), string("zhang")))
)
OBSERVED = query("Patient", Has(T, parameter(T, "subject"), clause(parameter(T, "code"), token("a"))))
BOTH = Query("", parts=(query(T), query("Patient")))
SAME = {"coded": CODED, "of men": OF_MEN, "observed": OBSERVED, "both": BOTH}


async def totals(store: Store) -> dict[str, int]:
    """Each asked twice, the second time of what may be remembered; and once with a page."""
    found = {name: await store.count(wanted) for name, wanted in SAME.items()}
    assert found == {name: await store.count(wanted) for name, wanted in SAME.items()}
    paged = {
        name: (await store.search(replace(wanted, total="accurate", count=1))).total
        for name, wanted in SAME.items()
    }
    assert found == paged
    return found


def observation(id: str, code: str, patient: str, version: int = 1):
    return record(T, id, version=version, code=[["", code]], subject=[["Patient", patient]])


async def test_totals_follow_every_write(store: Store) -> None:
    assert await totals(store) == {"coded": 0, "of men": 0, "observed": 0, "both": 0}
    await put(
        store, record("Patient", "p", name=["zhang"]), observation("1", "a", "p"), observation("2", "b", "p")
    )
    assert await totals(store) == {"coded": 1, "of men": 2, "observed": 1, "both": 3}
    await put(store, observation("2", "a", "q", version=2))
    assert await totals(store) == {"coded": 2, "of men": 1, "observed": 1, "both": 3}
    await put(store, record("Patient", "p", version=2, name=["li"]))
    assert await totals(store) == {"coded": 2, "of men": 0, "observed": 1, "both": 3}
    await put(store, record("Patient", "q", name=["zhang"]), deletion(T, "1", 2))
    assert await totals(store) == {"coded": 1, "of men": 1, "observed": 1, "both": 3}
    await put(store, record("Claim", "c"))
    assert await totals(store) == {"coded": 1, "of men": 1, "observed": 1, "both": 3}


async def test_totals_follow_erasing(store: Store) -> None:
    await put(store, *[observation(str(number), "a", "p") for number in range(3)])
    for left in (2, 1, 0):
        assert await store.count(CODED) == left + 1
        async with store.transaction() as transaction:
            await transaction.erase(T, str(left))
        assert await store.count(CODED) == left


async def test_what_is_undone_is_not_remembered(store: Store) -> None:
    await put(store, observation("1", "a", "p"))
    undone = observation("2", "a", "p")
    with pytest.raises(RuntimeError):
        async with store.transaction() as transaction:
            await transaction.put(undone, extract(T, undone.content))
            assert await transaction.count(CODED) == 2
            raise RuntimeError
    await put(store, observation("1", "b", "p", version=2))
    assert await store.count(CODED) == 0


async def test_an_estimate_of_few_is_exact(store: Store) -> None:
    await put(store, *[observation(str(number), "ab"[number % 2], "p") for number in range(7)])
    for wanted, total in (
        (CODED, 4),
        (query(T), 7),
        (query(T, clause(parameter(T, "subject"), reference("x"))), 0),
    ):
        assert (await store.search(replace(wanted, total="estimate"))).total == total
        assert (await store.search(replace(wanted, total="estimate", count=1))).total == total
