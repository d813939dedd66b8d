"""However writers interleave with the pages of a search, the pages together are the answer at the time of the first.

Records are put, changed and deleted between pages at random, related ones too, and the store is reopened in between.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any

import pytest
from contract_kit import (
    START,
    clause,
    column,
    date,
    day,
    deletion,
    parameter,
    put,
    query,
    record,
    string,
    token,
)
from hypothesis import given
from hypothesis import strategies as st
from property import new_examples, same_examples

from fhir_server.search.query import AllOf, AnyOf, Chain, Criterion, Has, Not, Query
from fhir_server.store import Page, Record, Store

OPEN = Callable[[], Awaitable[Store]]
NUMBERS = count(1)
MOMENTS = count(START)

# ── writes ────────────────────────────────────────────────────────────────────

STATUS = st.sampled_from([[["", "final"]], [["", "amended"]], [["", "final"], ["", "amended"]]])
MEMBERS = st.fixed_dictionaries(
    {"status": STATUS},
    optional={
        "date": st.lists(
            st.builds(day, st.integers(0, 4), st.sampled_from((1, 1, 40))), min_size=1, max_size=2
        ),
        "name": st.lists(st.sampled_from(["张伟", "张三", "anna", "Zoë"]), min_size=1, max_size=2),
        "value": st.lists(st.integers(-1, 2), min_size=1, max_size=2),
        "target": st.integers(0, 3),
    },
)


@dataclass(frozen=True)
class Write:
    """One write to the main type (observations that may refer to a subject) or to the other one (subjects)."""

    main: bool
    number: int
    members: dict[str, Any] | None


CONTENT = st.one_of(MEMBERS, MEMBERS, MEMBERS, st.none())
WRITE = st.one_of(
    st.builds(Write, st.just(True), st.integers(0, 9), CONTENT),
    st.builds(Write, st.just(False), st.integers(0, 3), CONTENT),
)
WRITES = st.lists(WRITE, min_size=3, max_size=8)


@st.composite
def stocks(draw: st.DrawFn) -> list[Write]:
    """What is there before: eight of the main type, most of them about one of three of the other type."""
    main = [Write(True, number, {"target": number % 3, **draw(MEMBERS)}) for number in range(8)]
    return [*main, *(Write(False, number, draw(MEMBERS)) for number in range(3))]


@dataclass
class Scene:
    """The records of one example, under types of its own: all examples of a test share a store."""

    number: int = field(default_factory=lambda: next(NUMBERS))
    versions: dict[tuple[str, str], tuple[int, bool]] = field(default_factory=dict)

    @property
    def main(self) -> str:
        return f"Observation{self.number}"

    @property
    def other(self) -> str:
        return f"Patient{self.number}"

    async def write(self, store: Store, writes: list[Write]) -> None:
        """Each in a transaction of its own, so that a version lasts as long as in real life."""
        for write in writes:
            made = self._record(write)
            if made is not None:
                await put(store, made)

    def _record(self, write: Write) -> Record | None:
        key = (self.main if write.main else self.other, f"r{write.number}")
        version, deleted = self.versions.get(key, (0, True))
        if write.members is None and deleted:
            return None
        self.versions[key] = (version + 1, write.members is None)
        if write.members is None:
            return deletion(*key, version + 1, updated=next(MOMENTS))
        members = dict(write.members)
        target = members.pop("target", None)
        if write.main and target is not None:
            members["subject"] = [[self.other, f"r{target}"]]
        return record(*key, version + 1, updated=next(MOMENTS), **members)


# ── questions ─────────────────────────────────────────────────────────────────

LEAVES = (
    lambda type: clause(parameter(type, "status"), token("final")),
    lambda type: clause(parameter(type, "status"), token("final"), modifier="not"),
    lambda type: clause(parameter(type, "name"), string("张")),
    lambda type: clause(parameter(type, "name"), True, modifier="missing"),
    lambda type: clause(parameter(type, "date"), date("ge", *day(2))),
    lambda type: clause(column(type, "id"), *(token(f"r{n}") for n in (0, 2, 3, 5, 7))),
)
LEAF = st.sampled_from(LEAVES)
FEW = st.sampled_from(LEAVES[:3])
Make = Callable[[Scene], Criterion]


def _chain(leaf: Any) -> Make:
    return lambda scene: Chain(parameter(scene.main, "subject"), scene.other, leaf(scene.other))


def _has(leaf: Any) -> Make:
    return lambda scene: Has(scene.main, parameter(scene.main, "subject"), leaf(scene.main))


def _around(leaf: Any) -> Make:
    """From a resource to its subject and back: another resource of the same subject."""
    return lambda scene: Chain(
        parameter(scene.main, "subject"),
        scene.other,
        Has(scene.main, parameter(scene.main, "subject"), leaf(scene.main)),
    )


def _several(kind: type[AnyOf] | type[AllOf], makes: list[Make]) -> Make:
    return lambda scene: kind(tuple(make(scene) for make in makes))


def _criteria(is_main: bool) -> st.SearchStrategy[Make]:
    plain = LEAF.map(lambda leaf: lambda scene: leaf(scene.main if is_main else scene.other))
    related = st.one_of(st.builds(_chain, FEW), st.builds(_around, FEW)) if is_main else st.builds(_has, FEW)
    one = st.one_of(plain, related)
    return st.one_of(
        plain,
        related,
        one.map(lambda make: lambda scene: Not(make(scene))),
        st.builds(_several, st.sampled_from((AnyOf, AllOf)), st.lists(one, min_size=1, max_size=2)),
    )


SORTS = (
    (),
    ("date",),
    ("-date",),
    ("name",),
    ("-value", "name"),
    ("_id",),
    ("-_lastUpdated",),
    ("value", "-date"),
)


@dataclass(frozen=True)
class Question:
    is_main: bool
    criteria: list[Make]
    sort: tuple[str, ...]
    count: int

    def query(self, scene: Scene) -> Query:
        """The search; without criteria of its own type, one of both types."""
        if not self.criteria:
            parts = (self._part(scene, True), self._part(scene, False))
            return Query("", sort=parts[0].sort, count=self.count, parts=parts)
        return self._part(scene, self.is_main)

    def _part(self, scene: Scene, is_main: bool) -> Query:
        type = scene.main if is_main else scene.other
        keys = [(_sort_parameter(type, name.lstrip("-")), name.startswith("-")) for name in self.sort]
        made = query(type, sort=keys, count=self.count)
        return replace(made, clauses=tuple(make(scene) for make in self.criteria))


def _sort_parameter(type: str, name: str) -> Any:
    columns = {"_id": "id", "_lastUpdated": "updated"}
    return column(type, columns[name]) if name in columns else parameter(type, name)


QUESTIONS = st.booleans().flatmap(
    lambda main: st.builds(
        Question,
        st.just(main),
        st.lists(_criteria(main), max_size=2),
        st.sampled_from(SORTS),
        st.integers(1, 3),
    )
)

# ── the property ──────────────────────────────────────────────────────────────


async def _pages_are_the_answer_of_the_first(
    store: Any, scene: Scene, question: Question, before: list[Write], between: list[list[Write]]
) -> None:
    await scene.write(store, before)
    asked = question.query(scene)
    expected = (await store.search(replace(asked, count=1000))).records
    shown: list[Record] = []
    batches = iter(between)
    while True:
        page = await store.search(replace(asked, total="accurate"))
        assert len(page.records) <= asked.count
        assert page.total == len(expected)
        shown += page.records
        if page.next is None:
            break
        assert len(page.records) == asked.count
        asked = replace(asked, cursor=page.next)
        await scene.write(store, next(batches, []))
    assert shown == list(expected)


EXAMPLES = {
    "question": QUESTIONS,
    "stock": stocks(),
    "more": st.lists(WRITE, max_size=4),
    "between": st.lists(WRITES, min_size=1, max_size=3),
}


@same_examples(120)
@given(**EXAMPLES)
async def test_pages_are_the_answer_of_the_first(
    store: Store, question: Question, stock: list[Write], more: list[Write], between: list[list[Write]]
) -> None:
    await _pages_are_the_answer_of_the_first(store, Scene(), question, stock + more, between)


@pytest.mark.long
@new_examples(5_000)
@given(**EXAMPLES)
async def test_pages_are_the_answer_of_the_first_long(
    store: Store, question: Question, stock: list[Write], more: list[Write], between: list[list[Write]]
) -> None:
    await _pages_are_the_answer_of_the_first(store, Scene(), question, stock + more, between)


RELATED = {"chain": (_chain, True), "chain and back": (_around, True), "has": (_has, False)}
CHANGES = {
    "deleted subjects": [Write(False, 0, None)],
    "deleted sources": [Write(True, number, None) for number in range(6)],
    "another subject": [Write(True, 0, {"target": 1})],
    "another status": [Write(False, number, {"status": [["", "amended"]]}) for number in range(2)],
    "a new source": [Write(True, 9, {"target": 2, "status": [["", "final"]]})],
}


@pytest.mark.parametrize("relation", RELATED)
@pytest.mark.parametrize("change", CHANGES)
async def test_related_resources_count_as_they_were(store: Store, relation: str, change: str) -> None:
    make, is_main = RELATED[relation]
    final = {"status": [["", "final"]]}
    stock = [Write(True, number, {"target": number % 2, **final}) for number in range(6)]
    stock += [Write(False, number, final) for number in range(3)]
    question = Question(is_main, [make(LEAVES[0])], (), 1)
    await _pages_are_the_answer_of_the_first(store, Scene(), question, stock, [CHANGES[change]])


HISTORIES = ("a type", "a resource", "everything")
LIMITS = ("none", "since", "at", "at some day to come")


@same_examples(60)
@given(
    stock=stocks(),
    between=st.lists(WRITES, min_size=1, max_size=4),
    scope=st.sampled_from(HISTORIES),
    limit=st.sampled_from(LIMITS),
    size=st.integers(1, 3),
)
async def test_pages_of_a_history_are_the_answer_of_the_first(
    store: Store, stock: list[Write], between: list[list[Write]], scope: str, limit: str, size: int
) -> None:
    scene, began = Scene(), next(MOMENTS)
    await scene.write(store, stock)
    middle = next(MOMENTS)
    await scene.write(store, stock[::2])
    where = {"a type": (scene.main,), "a resource": (scene.main, "r2"), "everything": ()}[scope]
    limits: dict[str, Any] = {
        "none": {"since": began} if scope == "everything" else {},
        "since": {"since": middle},
        "at": {"since": began, "at": (middle, middle + 1)},
        "at some day to come": {"since": began, "at": (began * 2, began * 2 + 1)},
    }[limit]
    expected = await store.history(*where, **limits, count=1000)
    shown: list[Record] = []
    cursor, batches = None, iter(between)
    while True:
        page = await store.history(*where, **limits, count=size, cursor=cursor)
        assert page.total == len(expected.records)
        shown += page.records
        if (cursor := page.next) is None:
            break
        await scene.write(store, next(batches, []))
    assert shown == list(expected.records)


class ByOffset:
    """Pages counted off from what matches now, as many servers make them."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.transaction = store.transaction

    async def search(self, asked: Query) -> Page:
        start = int(asked.cursor or 0)
        found = (await self._store.search(replace(asked, cursor=None, count=1000))).records
        end = start + asked.count
        return Page(found[start:end], str(end) if end < len(found) else None, len(found))


async def test_the_property_does_not_hold_for_pages_by_offset(store: Store) -> None:
    writes = [Write(True, number, {}) for number in range(6)]
    question = Question(True, [], ("_id",), 2)
    for between in ([Write(True, 0, None)], [Write(True, 2, {"name": ["anna"]})], [Write(True, 8, {})]):
        await _pages_are_the_answer_of_the_first(store, Scene(), question, writes, [between])
        with pytest.raises(AssertionError):
            await _pages_are_the_answer_of_the_first(ByOffset(store), Scene(), question, writes, [between])


# ── writers at the same time ──────────────────────────────────────────────────


@pytest.mark.parametrize("sort", [(), ("name",), ("-date", "_id")])
async def test_every_page_shows_one_moment_while_a_writer_runs(store: Store, sort: tuple[str, ...]) -> None:
    """The writer creates 0, 1, 2 … and deletes them forty steps later: what a reader sees must be one such state."""
    scene, ended = Scene(), asyncio.Event()
    written = 0

    async def write() -> None:
        nonlocal written
        for number in count():
            if ended.is_set():
                return
            name = ["anna", "Zoë", "张"][number % 3]
            await put(store, record(scene.main, f"{number}", name=[name], date=[day(number * 7 % 5)]))
            if number >= 40:
                await put(store, deletion(scene.main, f"{number - 40}", 2))
            written = number
            await asyncio.sleep(0)

    async def read() -> None:
        for turn in range(6):
            while written < 45 + 5 * turn:
                await asyncio.sleep(0.001)
            asked = Question(True, [], sort, 7).query(scene)
            shown, began = [], written
            while True:
                page = await store.search(asked)
                shown += [int(each.id) for each in page.records]
                if page.next is None:
                    break
                asked = replace(asked, cursor=page.next)
                await asyncio.sleep(0.001)
            assert sorted(shown) == list(range(min(shown), max(shown) + 1))
            assert 39 <= len(shown) <= 41
            assert written > began, "the writer did not run between the pages"

    writing = asyncio.create_task(write())
    try:
        await read()
    finally:
        ended.set()
        await writing


async def test_a_link_survives_a_restart(open_store: OPEN) -> None:
    store, scene = await open_store(), Scene()
    await scene.write(store, [Write(True, number, {"name": ["anna"]}) for number in range(6)])
    asked = query(scene.main, count=2)
    first = await store.search(asked)
    await store.close()
    store = await open_store()
    await scene.write(store, [Write(True, 0, {"name": ["Zoë"]}), Write(True, 1, None), Write(True, 8, {})])
    shown = [await store.search(replace(asked, cursor=first.next, count=20))]
    assert [each.id for page in (first, *shown) for each in page.records] == [
        "r5",
        "r4",
        "r3",
        "r2",
        "r1",
        "r0",
    ]
    assert [each.version for each in shown[0].records] == [1, 1, 1, 1]
    await store.close()
