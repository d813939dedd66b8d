"""What the port promises of the order of results and of paging through them."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from contract_kit import (
    START,
    all_ids,
    clause,
    column,
    date,
    day,
    deletion,
    ids,
    parameter,
    put,
    query,
    record,
    token,
)
from msgspec.structs import replace as change

from fhir_server.errors import InvalidSearch
from fhir_server.search.query import Query
from fhir_server.search.types.string import normalise
from fhir_server.store import Record, Store

T = "Observation"
FINAL = clause(parameter(T, "status"), token("final"))


async def test_newest_primary_date_first_then_newest_created(store: Store) -> None:
    await put(
        store,
        record(T, "old", date=[day(1)], status=[["", "final"]]),
        record(T, "none", status=[["", "final"]]),
        record(T, "new", date=[day(9)], status=[["", "final"]]),
        record(T, "new too", date=[day(9)], status=[["", "final"]]),
        record(T, "middle", date=[day(5)], status=[["", "final"]]),
    )
    expected = ["new too", "new", "middle", "old", "none"]
    assert await ids(store, query(T)) == expected
    assert await ids(store, query(T, FINAL)) == expected
    assert await all_ids(store, query(T, FINAL, count=2)) == expected
    since = clause(parameter(T, "date"), date("ge", START, START + 1))
    assert await ids(store, query(T, since)) == expected[:-1]


async def test_an_update_keeps_the_place_of_creation_and_follows_the_date(store: Store) -> None:
    await put(store, *(record(T, id, date=[day(1)]) for id in "abc"))
    await put(store, record(T, "a", 2, date=[day(1)], status=[["", "final"]]))
    assert await ids(store, query(T)) == ["c", "b", "a"]
    await put(store, record(T, "a", 3, date=[day(2)]))
    assert await ids(store, query(T)) == ["a", "c", "b"]


def _stock(count: int) -> list[Record]:
    """Records with few distinct values and some missing ones, so that there are ties everywhere."""
    chance = random.Random(7)

    def some(make: Callable[[], Any]) -> list[Any]:
        return [make() for _ in range(chance.choice((0, 1, 1, 1, 2)))]

    records = []
    for number in range(count):
        members = {
            "date": some(lambda: day(chance.randint(0, 6), chance.choice((1, 1, 40, 900)))),
            "issued": some(lambda: day(chance.randint(0, 6))),
            "name": some(lambda: chance.choice(["Zoë", "anna", "Anna", "张伟", "pinyin:zhangwei", "李"])),
            "alias": some(lambda: chance.choice(["b", "é"])),
            "value": some(lambda: [chance.randint(-1, 3), "", chance.choice(["", "mg"])]),
            "status": [["", chance.choice(["final", "amended"])]],
            "code": some(lambda: [chance.choice(["", "urn:s"]), chance.choice(["b", "é", "10", "9"])]),
            "subject": some(
                lambda: [chance.choice(["Patient", "Group", ""]), chance.choice(["p", "g", "q"])]
            ),
            "url": some(lambda: chance.choice(["http://a", "http://a/b", "urn:x"])),
        }
        plain = {member: found for member, found in members.items() if _plain(found)}
        updated = START + chance.randint(0, 5)
        records.append(record(T, f"r{number:03}", updated=updated, **plain))
    return records


def _plain(found: list[Any]) -> bool:
    return any(not str(text).startswith("pinyin:") for text in found)


SORTS = [
    ("date",), ("-date",), ("issued",), ("-issued",), ("name",), ("-name",), ("value",), ("-value",), ("name+alias",),
    ("-name+alias",), ("_id",), ("-_id",),
    ("_lastUpdated",), ("-_lastUpdated",), ("-date", "name"), ("value", "-issued"),
    ("code",), ("-code",), ("code+status",), ("-code+status",), ("subject",), ("-subject",), ("url",), ("-url",),
    ("patient",), ("-patient",), ("coded",), ("-coded",), ("-status", "code", "-date"), ("name", "-subject"),
    ("-name+alias", "value", "_id"), ("_lastUpdated", "-date"), ("-alias", "_lastUpdated"),
]  # fmt: skip
COLUMNS = {"_id": "id", "_lastUpdated": "updated"}
LOWEST = {"date": lambda item: item[0], "value": lambda item: item[0], "name": normalise}


RESTRICTED = {"patient": ("subject", {"target": "Patient"}), "coded": ("code", {"system": "urn:s"})}
"""Parameters that read a part of the rows of a member: those of a type, those of a system."""


def _sort_parameter(name: str) -> Any:
    if name in RESTRICTED:
        member, restriction = RESTRICTED[name]
        return parameter(T, member, **restriction)
    return column(T, COLUMNS[name]) if name in COLUMNS else parameter(T, *name.split("+"))


def _value(each: Record, name: str, down: bool) -> Any:
    """What a record is sorted by: computed from its content, without the store."""
    import json

    if name in COLUMNS:
        return each.id if name == "_id" else each.updated
    content = json.loads(each.content)
    found = []
    members, restriction = RESTRICTED.get(name, (name, {}))
    for member in members.split("+"):
        items = [item for item in content.get(member, []) if not str(item).startswith("pinyin:")]
        if restriction:
            items = [item for item in items if item[0] in restriction.values()]
        if not items:
            continue
        if member in {"date", "issued"}:
            low, high = (min(items, key=lambda item: item[0]), max(items, key=lambda item: item[1]))
            found.append(high[0] if down else low[0])
        elif member == "value":
            numbers = [item[0] for item in items]
            found.append(max(numbers) if down else min(numbers))
        else:
            texts = [_text(member, item) for item in items]
            found.append(max(texts) if down else min(texts))
    return None if not found else max(found) if down else min(found)


def _text(member: str, item: Any) -> str:
    if member in {"code", "status", "subject"}:
        return str(item[1])
    return str(item) if member == "url" else normalise(item)


@pytest.mark.parametrize("sort", SORTS, ids=[",".join(sort) for sort in SORTS])
async def test_sort(store: Store, sort: tuple[str, ...]) -> None:
    stock = _stock(120)
    await put(store, *stock)
    keys = [(_sort_parameter(name.lstrip("-")), name.startswith("-")) for name in sort]
    for clauses, kept in (((), stock), ((FINAL,), [each for each in stock if b"final" in each.content])):
        wanted = query(T, *clauses, sort=keys, count=1000)
        found = await ids(store, wanted)
        by_id = {each.id: each for each in kept}
        assert sorted(found) == sorted(by_id)
        for first, second in pairwise(found):
            assert _in_order(by_id[first], by_id[second], sort)
        assert await all_ids(store, replace(wanted, count=7)) == found


def _in_order(first: Record, second: Record, sort: tuple[str, ...]) -> bool:
    """Whether ``second`` may follow ``first``; equal ones may stand either way."""
    for name in sort:
        down = name.startswith("-")
        one, two = _value(first, name.lstrip("-"), down), _value(second, name.lstrip("-"), down)
        if one == two:
            continue
        if one is None or two is None:
            return two is None
        return bool(one > two if down else one < two)
    return True


@pytest.mark.parametrize("member", ["code-value", "near"])
async def test_sorting_by_what_has_no_order_is_refused(store: Store, member: str) -> None:
    with pytest.raises(InvalidSearch):
        await store.search(query(T, sort=[(parameter(T, member), False)]))


PAGED: list[tuple[str, Query]] = [
    ("default order", query(T, count=5)),
    ("one clause", query(T, FINAL, count=5)),
    ("sorted by the date", query(T, FINAL, sort=[(parameter(T, "date"), True)], count=5)),
    ("sorted by a name", query(T, sort=[(parameter(T, "name"), False)], count=5)),
]


@pytest.mark.parametrize("wanted", [row[1] for row in PAGED], ids=[row[0] for row in PAGED])
async def test_pages_lose_and_repeat_nothing_while_others_write(store: Store, wanted: Query) -> None:
    steady = [
        record(T, f"s{number:02}", date=[day(number % 7)], name=[f"n{number % 5}"], status=[["", "final"]])
        for number in range(40)
    ]
    changing = [change(each, id=f"c{number:02}") for number, each in enumerate(steady)]
    await put(store, *(each for both in zip(steady, changing, strict=True) for each in both))
    done = asyncio.Event()

    async def write() -> None:
        for number, each in enumerate(changing):
            moved = record(T, each.id, 2, date=[day(6 - number % 7)], name=["a"], status=[["", "final"]])
            await put(store, moved if number % 2 else deletion(T, each.id, 2))
            await put(
                store, record(T, f"x{number:02}", date=[day(number % 7)], name=["m"], status=[["", "final"]])
            )
        done.set()

    async def read() -> list[str]:
        found: list[str] = []
        current = wanted
        while True:
            page = await store.search(current)
            found += [each.id for each in page.records]
            await asyncio.sleep(0.002)
            if page.next is None:
                return found
            current = replace(wanted, cursor=page.next)

    found, _ = await asyncio.gather(read(), write())
    assert done.is_set()
    unchanged = [id for id in found if id.startswith("s")]
    assert sorted(unchanged) == [each.id for each in steady]
