"""``Observation/$lastn``: the last results of a subject, so many of each code.

Observations are of one code when they share a coding (system and code), directly or through others that share one
with both; without a coding when the text is the same. Those that were made at the same moment as the last one
that is given are given too.
Source: FHIR R4 observation-operation-lastn.html.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

import orjson

from fhir_server.errors import InvalidSearch, Issue
from fhir_server.interactions.bundles import Pairs, hit_entries, ignored_entry, page_links
from fhir_server.interactions.context import Invocation, Operation, Outcome, Server
from fhir_server.interactions.lookups import parse_search
from fhir_server.interactions.operations.definition import definition, giving, operations_of, taking
from fhir_server.interactions.pace import Pace
from fhir_server.interactions.paging import all_pages
from fhir_server.interactions.parameters import read_inputs
from fhir_server.interactions.subset import subset
from fhir_server.model.bundle import make_searchset
from fhir_server.model.resource import Json
from fhir_server.search.control import INCLUSIONS, READERS
from fhir_server.search.query import Query
from fhir_server.security.access import check_access, narrow
from fhir_server.security.caller import Caller
from fhir_server.store import Record

TYPE = "Observation"
SUBJECTS = frozenset({"patient", "subject"})
MEANINGLESS = frozenset({*READERS, *INCLUSIONS} - {"_summary", "_elements"})
"""What shapes the answer of a search and can shape nothing here: what is given and its order are fixed."""
STEP = 500
"""Observations that one search asks for; it goes on until it has seen all that match."""

Labels = frozenset[tuple[str, str]]


async def run(server: Server, caller: Caller, invocation: Invocation) -> Outcome:
    """A searchset, newest first. Raises InvalidSearch without a subject, without a code or category, and for what
    a search would refuse."""
    inputs = read_inputs(OPERATIONS[0], invocation.parameters)
    check_access(caller, "search", TYPE)
    query = await _question(server, caller, invocation, inputs.others)
    most = inputs.one("max", 1)
    groups = await _grouped(server, narrow(replace(query, count=STEP), caller), most)
    chosen = sorted((item for group in groups for item in group.last(most)), key=_newest_first)
    applied = [*query.applied, *([("max", str(most))] if "max" in inputs.values else [])]
    links = page_links(invocation.base, f"{TYPE}/$lastn", [*applied, *invocation.kept], None)
    entries = _entries(server, query, invocation.base, [item.record for item in chosen])
    return Outcome(200, resource=make_searchset(entries, links=links, total=len(chosen)))


def _entries(server: Server, query: Query, base: str, records: Iterable[Record]) -> list[bytes]:
    if query.summary == "count":
        records = ()
    shown = [subset(server.definitions, record, query.summary, query.elements) for record in records]
    ignored = [ignored_entry(query.ignored)] if query.ignored else []
    return [*hit_entries(base, shown, "match"), *ignored]


# ── what is asked for ─────────────────────────────────────────────────────────


async def _question(server: Server, caller: Caller, invocation: Invocation, pairs: Pairs) -> Query:
    """The search that ``pairs`` ask for. Raises InvalidSearch with everything that is wrong, missing, or has no meaning
    here."""
    faults = _faults(server, pairs)
    lenient = server.lenient if invocation.lenient is None else invocation.lenient
    try:
        query = await parse_search(
            server, caller, server.store, TYPE, pairs, base=invocation.base, lenient=lenient
        )
    except InvalidSearch as error:
        told = {issue.expression for issue in faults}
        raise InvalidSearch(
            issues=[*faults, *(each for each in error.issues if each.expression not in told)]
        ) from error
    if faults:
        raise InvalidSearch(issues=faults)
    return query


def _faults(server: Server, pairs: Pairs) -> list[Issue]:
    """What is missing, and what has no meaning here."""
    codes = [name.partition(":")[0].partition(".")[0] for name, _ in pairs]
    known = server.parameters.parameters(TYPE)
    faults = []
    if SUBJECTS.isdisjoint(codes):
        faults.append(Issue("error", "required", "a subject is needed: patient or subject", "http.patient"))
    if not any(code == "category" or (code in known and "code" in code) for code in codes):
        faults.append(Issue("error", "required", "a category or a code is needed", "http.category"))
    faults += [
        Issue("error", "invalid", f"{code} has no meaning for $lastn", f"http.{code}")
        for code in codes
        if code in MEANINGLESS
    ]
    return faults


# ── groups ────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Item:
    """An Observation and its effective time (microseconds since 1970 UTC; 0 when it has none)."""

    record: Record
    date: int


@dataclass(slots=True)
class Group:
    """Observations of one code: ``labels`` are all codings (or the text) that they have."""

    labels: Labels
    items: list[Item] = field(default_factory=list)

    def last(self, most: int) -> list[Item]:
        """The newest ``most`` items, and those that are as new as the last of them."""
        self.items.sort(key=_newest_first)
        if len(self.items) <= most:
            return self.items
        oldest = self.items[most - 1].date
        return [item for place, item in enumerate(self.items) if place < most or item.date == oldest]


def _newest_first(item: Item) -> tuple[int, int]:
    return -item.date, -item.record.sequence


async def _grouped(server: Server, query: Query, most: int) -> Iterable[Group]:
    """Everything that matches, by code; of a group no more is kept than can be among its last."""
    groups: dict[tuple[str, str], Group] = {}
    pace = Pace()
    async for page in all_pages(server.store, query):
        for record in page.records:
            data = orjson.loads(record.content)
            group = _joined(groups, frozenset(_labels(data.get("code", {}))))
            group.items.append(Item(record, server.extract(data).date))
            if len(group.items) > 2 * most + STEP:
                group.items = group.last(most)
            await pace()
    return {id(group): group for group in groups.values()}.values()


def _joined(groups: dict[tuple[str, str], Group], labels: Labels) -> Group:
    """The group of ``labels``, made of all groups that have one of them."""
    meant = list({id(groups[label]): groups[label] for label in labels if label in groups}.values())
    if len(meant) == 1 and labels <= meant[0].labels:
        return meant[0]
    joined = Group(
        labels.union(*(group.labels for group in meant)), [item for group in meant for item in group.items]
    )
    groups.update(dict.fromkeys(joined.labels, joined))
    return joined


def _labels(code: Json) -> Iterator[tuple[str, str]]:
    """What a code is known by; a text has a "system" that no coding can have, since a uri has no space."""
    codings = [(item.get("system", ""), item["code"]) for item in code.get("coding", ()) if "code" in item]
    yield from codings
    if not codings:
        yield "text only", code.get("text", "")


OPERATIONS: tuple[Operation, ...] = operations_of(
    definition(
        "Observation-lastn",
        "lastn",
        "The last results of a subject, so many of each code, newest first. It needs patient or subject, and category "
        "or a code; every other search parameter of Observation may be added.",
        [
            taking("max", "positiveInt", "how many of each code; without it the last one"),
            giving("Bundle", "a searchset"),
        ],
        resource=TYPE,
        levels=("type",),
    ),
    run,
    searches=True,
)
