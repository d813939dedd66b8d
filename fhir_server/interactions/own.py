"""The definitions that the server itself runs on, readable and searchable beside what clients keep.

They are made from the tables that answer (operations, search parameters, compartments), so they cannot disagree with
them, and they are never stored: an upgrade needs no migration, and nobody can change or delete one. In a search they
follow what is stored.
Source: FHIR R4 capabilitystatement.html, operationdefinition.html, searchparameter.html, compartmentdefinition.html.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from functools import cmp_to_key
from typing import TYPE_CHECKING, Any, Final

import msgspec

from fhir_server.definitions.types import SearchParameterDefinition
from fhir_server.errors import InvalidSearch, Issue
from fhir_server.model.dates import parse_interval
from fhir_server.model.resource import Json, Resource
from fhir_server.search.clauses import AllOf, Chain, Has, Query, SortKey
from fhir_server.search.match import Indexed, holds
from fhir_server.search.sorting import sort_value
from fhir_server.store import Page, Record

if TYPE_CHECKING:
    from fhir_server.interactions.context import Change, Server

R4_PUBLISHED: Final = parse_interval("2019-11-01T09:29:23+11:00")[0]
"""``meta.lastUpdated`` of them all: they say what R4 4.0.1 says, or what a release of this server does."""
CURSOR: Final = "own."
"""How the cursor of a page begins that holds nothing but own definitions; the number of those given follows."""


class Own:
    """The own definitions of one server, made when they are first asked for, and again when parameters are added."""

    def __init__(self) -> None:
        self._revision = -1
        self._records: dict[str, dict[str, Record]] = {}
        self._indexed: dict[str, list[tuple[Record, Indexed]]] = {}

    def read(self, server: Server, type: str, id: str) -> Record | None:
        """The definition ``type``/``id``, if the server has it."""
        return self._of_type(server, type).get(id) if type in MAKERS else None

    def matching(self, server: Server, query: Query) -> list[Record]:
        """Those that match ``query``, in its order, else in that of their ids."""
        records = self._of_type(server, query.type)
        if query.type not in self._indexed:
            self._indexed[query.type] = [
                (
                    each,
                    Indexed(
                        each.type, each.id, each.updated, server.extract(msgspec.json.decode(each.content))
                    ),
                )
                for each in records.values()
            ]
        criterion = AllOf(query.clauses)
        found = [pair for pair in self._indexed[query.type] if holds(criterion, pair[1], _unrelated)]
        for key in reversed(query.sort):
            found.sort(key=_order(key))
        return [record for record, _ in found]

    def _of_type(self, server: Server, type: str) -> Mapping[str, Record]:
        if self._revision != server.parameters.revision:
            self._revision = server.parameters.revision
            self._records.clear()
            self._indexed.clear()
        if type not in self._records:
            made = sorted(MAKERS[type](server), key=lambda data: str(data["id"]))
            self._records[type] = {data["id"]: _record(data) for data in made}
        return self._records[type]


def _unrelated(relation: Chain | Has, resource: Indexed) -> bool:
    """They refer to nothing that could be looked at, and nothing refers to them."""
    return False


def _order(key: SortKey) -> Callable[[tuple[Record, Indexed]], Any]:
    """What sorts by ``key``: missing values last, whichever way."""

    def compare(one: tuple[Record, Indexed], other: tuple[Record, Indexed]) -> int:
        a, b = sort_value(key, one[1]), sort_value(key, other[1])
        if a is None or b is None:
            return (a is None) - (b is None)
        return int((a > b) - (a < b)) * (-1 if key.descending else 1)

    return cmp_to_key(compare)


def _record(data: Json) -> Record:
    kept = Resource.of(data).stamped(data["id"], 1, R4_PUBLISHED)
    return Record(kept.type, data["id"], 1, R4_PUBLISHED, "PUT", kept.raw)


# ── making ────────────────────────────────────────────────────────────────────


def _operations(server: Server) -> Iterator[Json]:
    found = {
        each.definition["id"]: each.definition for several in server.operations.values() for each in several
    }
    yield from found.values()


def _search_parameters(server: Server) -> Iterator[Json]:
    written = {item["url"]: item for item in server.definitions.vocabulary if item["resourceType"] == SEARCH}
    for item in server.definitions.search_parameters:
        data = written.get(item.url) or _search_parameter(item)
        yield {"resourceType": SEARCH, "id": item.url.rpartition("/")[2], **data}


SEARCH: Final = "SearchParameter"


def _search_parameter(item: SearchParameterDefinition) -> Json:
    places = ", ".join(item.base)
    data: Json = {
        "url": item.url,
        "version": "4.0.1",
        "name": item.code,
        "status": "active",
        "description": item.description or f"{item.code} of {places} (FHIR R4)",
        "code": item.code,
        "base": list(item.base),
        "type": item.kind,
    }
    if item.expression:
        data["expression"] = item.expression
    if item.target:
        data["target"] = list(item.target)
    if item.components:
        data["component"] = [{"definition": url, "expression": text} for url, text in item.components]
    return data


def _compartments(server: Server) -> Iterator[Json]:
    for code, members in server.definitions.compartments.items():
        yield {
            "resourceType": "CompartmentDefinition",
            "id": code.lower(),
            "url": f"http://hl7.org/fhir/CompartmentDefinition/{code.lower()}",
            "version": "4.0.1",
            "name": f"{code}Compartment",
            "status": "active",
            "code": code,
            "search": True,
            "resource": [{"code": type, "param": list(codes)} for type, codes in members.items()],
        }


MAKERS: Final[Mapping[str, Callable[[Server], Iterator[Json]]]] = {
    "CompartmentDefinition": _compartments,
    "OperationDefinition": _operations,
    SEARCH: _search_parameters,
}
"""Type → what makes the definitions of it; each has an id."""
TYPES: Final = frozenset(MAKERS)
"""The types of which the server has definitions of its own."""

# ── searching ─────────────────────────────────────────────────────────────────


async def page_with_own(server: Server, query: Query, stored: Callable[[], Awaitable[Page]]) -> Page:
    """A page of ``query``: what is ``stored``, and after the last of it the own definitions that match."""
    own = server.own.matching(server, query)
    if query.cursor and query.cursor.startswith(CURSOR):
        return _cut(Page(()), own, _given(query.cursor), query.count)
    page = await stored()
    if page.total is not None:
        page = msgspec.structs.replace(page, total=page.total + len(own))
    if page.next is not None or query.summary == "count" or query.count == 0:
        return page
    return _cut(page, own, 0, query.count)


def _cut(page: Page, own: Sequence[Record], given: int, count: int) -> Page:
    """``page`` filled up with own definitions from the one number ``given`` on."""
    end = given + count - len(page.records)
    follows = f"{CURSOR}{end}" if end < len(own) else None
    return Page((*page.records, *own[given:end]), follows, page.total)


def _given(cursor: str) -> int:
    number = cursor.removeprefix(CURSOR)
    if not (number.isascii() and number.isdigit() and len(number) < 9):
        raise InvalidSearch(
            "the page link is damaged: start again from the first page", expression="http._cursor"
        )
    return int(number)


# ── writing ───────────────────────────────────────────────────────────────────


async def refuse_own(change: Change) -> list[Issue]:
    """The rule that nobody keeps a resource under the address of an own definition."""
    data = change.after or {}
    type, id = str(data.get("resourceType")), str(data.get("id"))
    if change.server.own.read(change.server, type, id) is None:
        return []
    text = f"{type}/{id} is a definition of this server and cannot be changed: choose another id"
    return [Issue("error", "conflict", text, f"{type}.id")]


RULES = dict.fromkeys(MAKERS, (refuse_own,))
