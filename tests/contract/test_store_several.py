"""What the port promises of searches of several types: one order, one page, one total."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from contract_kit import column, day, deletion, parameter, put, query, record

from fhir_server.errors import InvalidSearch
from fhir_server.search.query import Query
from fhir_server.store import Store

TYPES = ("Patient", "Observation", "Encounter", "Never")
STOCK = [
    record("Patient", "p1", updated=1, name=["b"]),
    record("Patient", "p2", updated=5, name=["a"], date=[day(4)]),
    record("Observation", "o1", updated=2, date=[day(1)], name=["c"]),
    record("Observation", "o2", updated=6, date=[day(5)]),
    record("Encounter", "e1", updated=3, date=[day(3)], name=["a"]),
    record("Encounter", "e2", updated=4),
    record("Claim", "c1", updated=9, date=[day(9)]),
]


def several(*, sort: str = "", down: bool = False, **more) -> Query:
    parts = [query(type, sort=_sort(type, sort, down)) for type in TYPES]
    return Query("", sort=parts[0].sort, parts=tuple(parts), **more)


def _sort(type: str, member: str, down: bool):
    if not member:
        return ()
    return [(column(type, member) if member in {"id", "updated"} else parameter(type, member), down)]


async def pages(store: Store, wanted: Query) -> list[list[str]]:
    found = []
    while True:
        page = await store.search(wanted)
        found.append([f"{each.type}/{each.id}" for each in page.records])
        if page.next is None:
            return found
        wanted = replace(wanted, cursor=page.next)


ORDERS = [
    ("", False, "o2 p2 e1 o1 e2 p1"),
    ("id", False, "e1 e2 o1 o2 p1 p2"),
    ("id", True, "p2 p1 o2 o1 e2 e1"),
    ("updated", True, "o2 p2 e2 e1 o1 p1"),
    ("date", True, "o2 p2 e1 o1 e2 p1"),
    ("date", False, "o1 e1 p2 o2 p1 e2"),
    ("name", False, "e1 p2 p1 o1 e2 o2"),
]


@pytest.mark.parametrize(("sort", "down", "expected"), ORDERS)
@pytest.mark.parametrize("count", [1, 2, 6, 50])
async def test_one_order_across_the_types(
    store: Store, sort: str, down: bool, expected: str, count: int
) -> None:
    await put(store, *STOCK)
    found = await pages(store, several(sort=sort, down=down, count=count))
    assert [name.partition("/")[2] for page in found for name in page] == expected.split()
    assert all(len(page) == count for page in found[:-1])


async def test_counts_are_of_all_the_types(store: Store) -> None:
    await put(store, *STOCK)
    assert await store.count(several()) == 6
    first = await store.search(several(count=2, total="accurate"))
    assert first.total == 6
    second = await store.search(several(count=2, total="accurate", cursor=first.next))
    assert second.total == 6


async def test_pages_show_the_moment_of_the_first(store: Store) -> None:
    await put(store, *STOCK)
    first = await store.search(several(count=2))
    await put(
        store,
        record("Observation", "new", date=[day(2)]),
        deletion("Encounter", "e1", 2),
        record("Observation", "o1", version=2, date=[day(8)]),
        record("Patient", "p1", version=2, date=[day(9)]),
    )
    rest = await pages(store, several(count=2, cursor=first.next))
    assert [name.partition("/")[2] for page in rest for name in page] == ["e1", "o1", "e2", "p1"]


async def test_a_cursor_belongs_to_its_search(store: Store) -> None:
    await put(store, *STOCK)
    first = await store.search(several(count=2))
    with pytest.raises(InvalidSearch):
        await store.search(several(count=2, sort="id", cursor=first.next))
    with pytest.raises(InvalidSearch):
        await store.search(query("Patient", count=2, cursor=first.next))


async def test_nothing_of_types_that_were_never_kept(store: Store) -> None:
    page = await store.search(several())
    assert (page.records, page.next) == ((), None)
    assert await store.count(several()) == 0


async def test_random_pages_are_the_whole_sorted(store: Store) -> None:
    chance = random.Random(3)
    stock = [
        record(chance.choice(TYPES[:3]), f"r{number}", updated=number, date=[day(chance.randrange(9))])
        for number in range(80)
    ]
    await put(store, *stock)
    for count in (1, 7, 30):
        found = [name for page in await pages(store, several(count=count)) for name in page]
        whole = await pages(store, several(count=1000))
        assert found == whole[0]
        assert len(found) == 80
