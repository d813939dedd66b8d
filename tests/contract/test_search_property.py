"""Every store finds what the slow matcher finds: random resources, random searches.

The resources are made from the definitions; the searches are texts, so that parsing takes part, and their values come
mostly from what the resources say. ``search.match`` decides literally, on one resource at a time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import pairwise
from typing import Any

import orjson
import pytest
from hypothesis import event, given, note
from hypothesis import strategies as st
from property import new_examples, same_examples
from random_resources import TYPES, definitions, stocks
from search_cases import BASE_URL, NOW, ZONE

from fhir_server.errors import InvalidSearch, StoreUnavailable
from fhir_server.search.extract import Extractor
from fhir_server.search.index import (
    DateRow,
    IndexValues,
    NumberRow,
    ReferenceRow,
    StringRow,
    TokenRow,
    UriRow,
)
from fhir_server.search.match import Indexed, matches, rows_of
from fhir_server.search.modifiers import modifiers_of
from fhir_server.search.parameters import SearchParameter
from fhir_server.search.query import Query, parse_query
from fhir_server.search.registry import Registry
from fhir_server.search.related import related_among
from fhir_server.search.sorting import VALUES, sort_value
from fhir_server.store import Page, Record, Store

Opener = Callable[[Callable[[str, bytes], IndexValues]], Awaitable[Store]]
Stock = dict[tuple[str, str], dict[str, Any]]
START = int(NOW.timestamp() * 1_000_000)


@cache
def registry() -> Registry:
    return Registry(definitions())


@cache
def extractor() -> Extractor:
    return Extractor(registry(), definitions(), ZONE, BASE_URL)


def extract(type: str, content: bytes) -> IndexValues:
    return extractor()(orjson.loads(content))


# ── the store holds a stock, and nothing of the one before ────────────────────


@dataclass
class Shelf:
    """The resources of the example under way, in a store and as the matcher sees them.

    One store serves all examples: each leaves its versions to the next, so what it put must also go.
    """

    store: Store
    records: dict[tuple[str, str], Record] = field(default_factory=dict)

    async def hold(self, stock: Stock) -> list[Indexed]:
        """Put ``stock``, delete everything else."""
        kept = [
            self._next(key, "PUT", orjson.dumps(data), START + place % 3)
            for place, (key, data) in enumerate(stock.items())
        ]
        others = [key for key, before in self.records.items() if key not in stock and not before.deleted]
        gone = [self._next(key, "DELETE", b"", START) for key in others]
        indexed = [
            Indexed(each.type, each.id, each.updated, extract(each.type, each.content)) for each in kept
        ]
        async with self.store.transaction() as transaction:
            for record in gone:
                await transaction.delete(record)
            for record, each in zip(kept, indexed, strict=True):
                await transaction.put(record, each.values)
        self.records |= {(each.type, each.id): each for each in (*kept, *gone)}
        return indexed

    def _next(self, key: tuple[str, str], method: str, content: bytes, updated: int) -> Record:
        before = self.records.get(key)
        return Record(*key, before.version + 1 if before else 1, updated, method, content)


@pytest.fixture
async def shelf(open_engine: Opener) -> Any:
    store = await open_engine(extract)
    yield Shelf(store)
    await store.close()


# ── searches ──────────────────────────────────────────────────────────────────

PREFIXES = ("", "eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap")
MISSES: Mapping[str, tuple[str, ...]] = {
    "token": ("a", "http://s.example/1|a", "|final", "http://s.example/2|"),
    "string": ("张", "zhang", "zsf", "zoe", "an", "wei", "ZOË", "𠮷"),
    "reference": ("Patient/r0", "r1", "http://other.example/fhir/Patient/r1"),
    "date": ("2020", "2020-02", "2020-02-03", "2020-02-03T10:30", "1969-12-31", "2020-02-03T23:59:59Z"),
    "number": ("0", "5.4", "5", "100", "1e2"),
    "quantity": ("5.4", "5.4|http://unitsofmeasure.org|mg", "0.0054|http://unitsofmeasure.org|g", "1||次"),
    "uri": ("http://u.example/x", "urn:oid:1.2.3"),
}
"""Kind → values that are asked for besides those that the resources have."""

ESCAPED = str.maketrans({"\\": r"\\", ",": r"\,", "|": r"\|", "$": r"\$"})


def escaped(text: str) -> str:
    return text.translate(ESCAPED)


def said(row: Any) -> list[str]:
    """Texts of values that mean ``row``."""
    match row:
        case TokenRow(_, code, system):
            return [escaped(code), f"{escaped(system)}|{escaped(code)}", f"{escaped(system)}|"]
        case ReferenceRow(_, id, type):
            return [escaped(f"{type}/{id}"), escaped(id)] if type else [escaped(id)]
        case UriRow(_, uri):
            return [escaped(uri)]
        case StringRow(_, text, exact, _):
            return [escaped(each) for each in (exact, exact[:1], text, text[:2], text[1:]) if each.strip()]
        case NumberRow(_, low, _, system, code, _):
            number = f"{low:.10g}" if abs(low) < 1e300 else "0"
            return [number, f"{number}|{escaped(system)}|{escaped(code)}", f"{number}||{escaped(code)}"]
        case DateRow():
            return list(MISSES["date"])
    return []


def values_of(parameter: SearchParameter, resources: list[Indexed]) -> list[str]:
    """What may be asked of ``parameter``, as texts."""
    rows = [
        row for each in resources if each.type == parameter.type for row in rows_of(parameter, each.values)
    ]
    if parameter.kind == "composite":
        pairs = [[said(part) for part in row.parts] for row in rows]
        return ["$".join(texts[0] for texts in parts) for parts in pairs if all(parts)]
    found = [text for row in rows for text in said(row) if text not in {"", "|"}]
    if parameter.kind == "number":
        found = [text for text in found if "|" not in text]
    return list(dict.fromkeys([*found, *found, *MISSES.get(parameter.kind, ())]))


@dataclass(frozen=True)
class Searches:
    """Random searches about ``resources``."""

    resources: list[Indexed]
    draw: st.DrawFn

    def one(self) -> tuple[str, list[tuple[str, str]]]:
        """The type and the pairs of a search."""
        type = self.draw(st.sampled_from(sorted({each.type for each in self.resources})))
        pairs = [self._criterion(type, depth=2) for _ in range(self.draw(st.integers(0, 3)))]
        return type, [*filter(None, pairs), *self._sort(type)]

    def _criterion(self, type: str, depth: int) -> tuple[str, str] | None:
        kind = self.draw(st.sampled_from(("leaf", "leaf", "leaf", "chain", "has"))) if depth else "leaf"
        if kind == "chain":
            return self._chain(type, depth)
        if kind == "has":
            return self._has(type, depth)
        return self._leaf(type)

    def _leaf(self, type: str) -> tuple[str, str] | None:
        parameters = [each for each in registry().parameters(type).values() if self._has_values(each)]
        if not parameters:
            return None
        parameter = self.draw(st.sampled_from(parameters))
        if parameter.column == "id":
            return parameter.code, self.draw(st.sampled_from(("r0", "r1,r2", "r9")))
        if parameter.column:
            return (
                parameter.code,
                f"{self.draw(st.sampled_from(PREFIXES))}{NOW.isoformat().replace('+00:00', 'Z')}",
            )
        modifier = self.draw(st.sampled_from(("", "", *modifiers_of(parameter))))
        return self._name(parameter, modifier), self._values(parameter, modifier)

    def _has_values(self, parameter: SearchParameter) -> bool:
        if parameter.column:
            return parameter.column in {"id", "updated"}
        return any(rows_of(parameter, each.values) for each in self.resources if each.type == parameter.type)

    def _name(self, parameter: SearchParameter, modifier: str) -> str:
        if modifier == "[type]":
            modifier = self.draw(st.sampled_from(TYPES))
        return f"{parameter.code}:{modifier}" if modifier else parameter.code

    def _values(self, parameter: SearchParameter, modifier: str) -> str:
        if modifier == "missing":
            return self.draw(st.sampled_from(("true", "false")))
        known = values_of(parameter, self.resources) or ["x"]
        texts = self.draw(st.lists(st.sampled_from(known), min_size=1, max_size=2))
        if parameter.kind in {"date", "number", "quantity"}:
            texts = [self.draw(st.sampled_from(PREFIXES)) + text for text in texts]
        if modifier == "of-type":
            return f"http://s.example/1|a|{self.draw(st.sampled_from(('a', 'B', 'final')))}"
        return ",".join(texts)

    def _chain(self, type: str, depth: int) -> tuple[str, str] | None:
        links = [
            (parameter.code, target)
            for parameter in registry().parameters(type).values()
            if parameter.kind == "reference" and self._has_values(parameter)
            for target in TYPES
            if target in (parameter.targets or TYPES)
        ]
        if not links:
            return None
        code, target = self.draw(st.sampled_from(links))
        inner = self._criterion(target, depth - 1)
        return (f"{code}:{target}.{inner[0]}", inner[1]) if inner else None

    def _has(self, type: str, depth: int) -> tuple[str, str] | None:
        links = [
            (source, parameter.code)
            for source in TYPES
            for parameter in registry().parameters(source).values()
            if parameter.kind == "reference" and type in parameter.targets and self._has_values(parameter)
        ]
        if not links:
            return None
        source, code = self.draw(st.sampled_from(links))
        inner = self._criterion(source, depth - 1)
        return (f"_has:{source}:{code}:{inner[0]}", inner[1]) if inner else None

    def _sort(self, type: str) -> Iterator[tuple[str, str]]:
        able = [each.code for each in registry().parameters(type).values() if each.kind in VALUES]
        able = [code for code in able if not code.startswith("_") or code in {"_id", "_lastUpdated"}]
        keys = self.draw(st.lists(st.sampled_from(able), unique=True, max_size=2))
        if keys:
            ways = [self.draw(st.sampled_from(("", "-"))) for _ in keys]
            yield "_sort", ",".join(way + key for way, key in zip(ways, keys, strict=True))


# ── the property ──────────────────────────────────────────────────────────────


async def _the_store_finds_what_the_matcher_finds(shelf: Shelf, stock: Stock, data: st.DataObject) -> None:
    resources = await shelf.hold(stock)
    for _ in range(5):
        type, pairs = Searches(resources, data.draw).one()
        note(f"{type} {pairs}")
        try:
            query = read(type, pairs)
        except InvalidSearch as error:
            event(f"refused: {error.issues[0].code}")
            continue
        found = await _agree(shelf.store, resources, query)
        event("finds something" if found else "finds nothing")


def read(type: str, pairs: list[tuple[str, str]]) -> Query:
    return parse_query(registry(), type, [*pairs, ("_count", "3")], zone=ZONE, base_url=BASE_URL, now=NOW)


async def _agree(store: Any, resources: list[Indexed], query: Query) -> list[str]:
    """Raises AssertionError unless the store answers ``query`` as the matcher does, in the right order."""
    related = related_among(resources)
    expected = {
        each.id: each
        for each in resources
        if each.type == query.type and matches(query, each.values, each.id, each.updated, related)
    }
    found = [record.id for record in await _all(store, query)]
    assert sorted(found) == sorted(expected)
    assert await _patiently(lambda: store.count(query)) == len(expected)
    for one, other in pairwise(found):
        assert _in_order(query, expected[one], expected[other]), found
    return found


async def _all(store: Any, query: Query) -> list[Record]:
    found: list[Record] = []
    while True:
        page = await _patiently(lambda asked=query: store.search(asked))
        found += page.records
        if page.next is None:
            return found
        query = replace(query, cursor=page.next)


async def _patiently(ask: Callable[[], Awaitable[Any]]) -> Any:
    """Ask again while the index of texts, which earlier examples left behind, is being built."""
    for _ in range(100):
        try:
            return await ask()
        except StoreUnavailable:
            await asyncio.sleep(0.2)
    return await ask()


def _in_order(query: Query, one: Indexed, other: Indexed) -> bool:
    """Whether ``other`` may follow ``one``; equal ones may stand either way."""
    for key in query.sort:
        first, second = sort_value(key, one), sort_value(key, other)
        if first == second:
            continue
        if first is None or second is None:
            return second is None
        return bool(first > second if key.descending else first < second)
    return bool(query.sort) or one.values.date >= other.values.date


EXAMPLES = {"stock": stocks(), "data": st.data()}


@same_examples(150)
@given(**EXAMPLES)
async def test_the_store_finds_what_the_matcher_finds(
    shelf: Shelf, stock: Stock, data: st.DataObject
) -> None:
    await _the_store_finds_what_the_matcher_finds(shelf, stock, data)


@pytest.mark.long
@new_examples(3_000)
@given(**EXAMPLES)
async def test_the_store_finds_what_the_matcher_finds_long(
    shelf: Shelf, stock: Stock, data: st.DataObject
) -> None:
    await _the_store_finds_what_the_matcher_finds(shelf, stock, data)


class Wrong:
    """A store that errs: in what it finds, in its order, or in its total."""

    def __init__(
        self, store: Store, change: Callable[[tuple[Record, ...]], tuple[Record, ...]], more: int
    ) -> None:
        self._store, self._change, self._more = store, change, more

    async def search(self, query: Query) -> Page:
        page = await self._store.search(query)
        return Page(self._change(page.records), page.next)

    async def count(self, query: Query) -> int:
        return await self._store.count(query) + self._more


@pytest.mark.parametrize(
    ("change", "more"),
    [(lambda found: found[1:], 0), (lambda found: (*found, *found[:1]), 0), (lambda found: found[::-1], 0),
     (lambda found: found, 1)],
    ids=["loses one", "finds one twice", "turns the order", "miscounts"],
)  # fmt: skip
async def test_errors_of_a_store_are_noticed(shelf: Shelf, change: Any, more: int) -> None:
    people = {("Patient", id): {"resourceType": "Patient", "id": id, "active": True} for id in ("r0", "r1")}
    resources = await shelf.hold(people)
    query = read("Patient", [("active", "true"), ("_sort", "_id")])
    assert await _agree(shelf.store, resources, query) == ["r0", "r1"]
    with pytest.raises(AssertionError):
        await _agree(Wrong(shelf.store, change, more), resources, query)
