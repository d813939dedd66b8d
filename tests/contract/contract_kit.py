"""A small vocabulary for the contract: records, their index values and queries, made by hand.

The content of a record is JSON whose members are what is indexed, so that ``extract`` can find the rows of an
old version again, as every engine may ask for::

    record("Observation", "1", code=[["http://loinc.org", "718-7"]], subject=[["Patient", "p"]], date=[day(3)])
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from typing import Any

from fhir_server.search.index import (
    CompositeRow,
    DateRow,
    IndexValues,
    NumberRow,
    PositionRow,
    ReferenceRow,
    StringRow,
    TokenRow,
    UriRow,
)
from fhir_server.search.query import Clause, Query, SortKey
from fhir_server.search.registry import SearchParameter, arm_key
from fhir_server.search.types.string import normalise
from fhir_server.search.values import (
    CompositeValue,
    DateValue,
    NearValue,
    NumberValue,
    QuantityValue,
    ReferenceValue,
    StringValue,
    TokenValue,
    UriValue,
)
from fhir_server.store import Record, Store

DAY = 86_400_000_000
START = 1_700_000_000_000_000

KINDS = {
    "code": "token",
    "status": "token",
    "subject": "reference",
    "url": "uri",
    "name": "string",
    "alias": "string",
    "date": "date",
    "issued": "date",
    "probability": "number",
    "value": "quantity",
    "code-value": "composite",
    "near": "special",
}
"""The members of a content that are indexed, and the kind of parameter that reads each."""


def day(number: int, days: int = 1) -> list[int]:
    """``[low, high)`` of whole days."""
    return [START + number * DAY, START + (number + days) * DAY]


def key(type: str, member: str) -> int:
    return arm_key(type, member, KINDS[member])


def extract(type: str, content: bytes) -> IndexValues:
    """The index values of a record made by ``record``. The primary date is the start of the first ``date``."""
    data = json.loads(content)
    values = IndexValues(date=min((low for low, _ in data.get("date", ())), default=0))
    for member in KINDS.keys() & data.keys():
        FILL[KINDS[member]](values, key(type, member), data[member])
    return values


def _edged(items: Sequence[Any], low: Any, high: Any) -> list[int]:
    edges = [0] * len(items)
    edges[min(range(len(items)), key=lambda place: low(items[place]))] += 1
    edges[max(range(len(items)), key=lambda place: high(items[place]))] += 2
    return edges


def _strings(values: IndexValues, key: int, texts: list[str]) -> None:
    plain = [text for text in texts if not text.startswith("pinyin:")]
    values.strings += [
        StringRow(key, normalise(text), text, edge)
        for text, edge in zip(plain, _edged(plain, normalise, normalise), strict=True)
    ]
    values.strings += [StringRow(key, text[7:], "", 0) for text in texts if text.startswith("pinyin:")]


def _dates(values: IndexValues, key: int, periods: list[list[int]]) -> None:
    edges = _edged(periods, lambda period: period[0], lambda period: period[1])
    values.dates += [DateRow(key, low, high, edge) for (low, high), edge in zip(periods, edges, strict=True)]


def _numbers(values: IndexValues, key: int, items: list[Any]) -> None:
    """A number, [number, system, code], or [low, high, system, code]."""
    rows = [_number(item) for item in items]
    edges = _edged(rows, lambda row: row[0], lambda row: row[1])
    values.numbers += [NumberRow(key, *row, edge) for row, edge in zip(rows, edges, strict=True)]


def _number(item: Any) -> tuple[float, float, str, str]:
    if not isinstance(item, list):
        return item, item, "", ""
    if len(item) == 3:
        return item[0], item[0], item[1], item[2]
    return item[0], item[1], item[2], item[3]


def _composites(values: IndexValues, key: int, items: list[Any]) -> None:
    for (system, code), amount in items:
        low, high, unit_system, unit = _number(amount)
        parts = (TokenRow(0, code, system), NumberRow(0, low, high, unit_system, unit, 3))
        values.composites.append(CompositeRow(key, parts))


FILL: dict[str, Any] = {
    "token": lambda values, key, items: values.tokens.extend(
        TokenRow(key, code, system) for system, code in items
    ),
    "reference": lambda values, key, items: values.references.extend(
        ReferenceRow(key, id, type) for type, id in items
    ),
    "uri": lambda values, key, items: values.uris.extend(UriRow(key, uri) for uri in items),
    "string": _strings,
    "date": _dates,
    "number": _numbers,
    "quantity": _numbers,
    "composite": _composites,
    "special": lambda values, key, items: values.positions.extend(PositionRow(key, *item) for item in items),
}


def record(
    type: str, id: str, version: int = 1, *, updated: int | None = None, method: str = "PUT", **members: Any
) -> Record:
    content = json.dumps({"resourceType": type, "id": id, **members}, ensure_ascii=False).encode()
    return Record(type, id, version, START + version if updated is None else updated, method, content)


def deletion(type: str, id: str, version: int, updated: int | None = None) -> Record:
    return Record(type, id, version, START + version if updated is None else updated, "DELETE", b"")


async def put(store: Store, *records: Record) -> None:
    """All of them in one transaction."""
    async with store.transaction() as transaction:
        for each in records:
            if each.deleted:
                await transaction.delete(each)
            else:
                await transaction.put(each, extract(each.type, each.content))


# ── queries ───────────────────────────────────────────────────────────────────


def parameter(type: str, *members: str, **more: Any) -> SearchParameter:
    """A parameter that reads the rows of ``members``."""
    kind = KINDS[members[0]]
    return SearchParameter(
        type, members[0], kind, "", "", tuple(key(type, member) for member in members), **more
    )


def column(type: str, name: str) -> SearchParameter:
    """``_id`` (column id) or ``_lastUpdated`` (column updated)."""
    return SearchParameter(type, name, "token" if name == "id" else "date", "", "", (), column=name)


def composite(type: str) -> SearchParameter:
    return parameter(type, "code-value", components=(parameter(type, "code"), parameter(type, "value")))


def clause(which: SearchParameter, *values: Any, modifier: str | None = None) -> Clause:
    return Clause(which, modifier, values)


def query(
    type: str, *clauses: Clause, sort: Sequence[tuple[SearchParameter, bool]] = (), **more: Any
) -> Query:
    return Query(type, clauses, tuple(SortKey(which, down) for which, down in sort), **more)


def token(code: str | None, system: str | None = None) -> TokenValue:
    return TokenValue(system, code)


def reference(id: str, type: str | None = None) -> ReferenceValue:
    return ReferenceValue(type, id)


def string(text: str) -> StringValue:
    return StringValue(normalise(text), text)


def date(prefix: str, low: int, high: int) -> DateValue:
    return DateValue(prefix, low, high)


def number(prefix: str, value: float, half: float = 0.5) -> NumberValue:
    return NumberValue(prefix, value, value - half, value + half)


def quantity(prefix: str, value: float, system: str | None = None, code: str | None = None) -> QuantityValue:
    return QuantityValue(number(prefix, value), system, code)


def pair(*parts: Any) -> CompositeValue:
    return CompositeValue(parts)


uri, near = UriValue, NearValue


async def ids(store: Any, wanted: Query) -> list[str]:
    """The ids of the first page."""
    return [found.id for found in (await store.search(wanted)).records]


async def pages(store: Any, wanted: Query) -> AsyncIterator[list[str]]:
    """The ids page by page to the end."""
    from dataclasses import replace

    while True:
        page = await store.search(wanted)
        yield [found.id for found in page.records]
        if page.next is None:
            return
        wanted = replace(wanted, cursor=page.next)


async def all_ids(store: Any, wanted: Query) -> list[str]:
    """The ids of all pages."""
    return [id async for page in pages(store, wanted) for id in page]
