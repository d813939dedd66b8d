"""That ``test_parity`` can fail: few of its examples find an engine that errs in one kind of search only."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar
from uuid import uuid4

import mongod
import pytest
import pytest_asyncio
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from parity_aims import KINDS, aims
from parity_answers import DIFFERENCES, spoiled
from parity_examples import Example, ask_aims, examples, examples_of, hold, indexed, play, searching
from parity_kit import Pair, Request, running_pair
from parity_sample import SAMPLE
from parity_spoilings import MONGO, SQLITE, Spoiling
from property import same_examples
from pymongo import MongoClient

T = TypeVar("T")

pytestmark = pytest.mark.asyncio(loop_scope="module")

SEARCHES = 12
"""Of each kind; so many find what may be wrong with it."""
EXAMPLES = 4
"""So many find what is wrong after writes."""
ASKED = (
    Request("GET", "Patient?identifier=b&_sort=_id&_count=2&_total=accurate"),
    Request("GET", "Patient/r0"),
)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pair(tmp_path_factory: pytest.TempPathFactory, mongo_server: str) -> AsyncIterator[Pair]:
    """It serves all of these tests and holds the sample, as long as nobody writes."""
    name = f"fhir_test_{uuid4().hex}"
    url = f"{mongod.with_database(mongo_server, name)}&serverMonitoringMode=poll"
    async with running_pair(tmp_path_factory.mktemp("parity"), url) as found:
        yield found
    with MongoClient(mongo_server) as client:
        client.drop_database(name)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def sampled(pair: Pair) -> Pair:
    """It holds the sample."""
    await hold(pair, SAMPLE)
    return pair


@pytest.fixture(scope="module")
def drawn() -> list[Mapping[str, Request]]:
    """The first searches that are made of the sample."""
    return first(SEARCHES, aims(indexed(SAMPLE)))


@pytest.fixture(scope="module")
def played() -> list[Example]:
    """The first examples that begin with the sample."""
    return first(EXAMPLES, examples_of(SAMPLE))


def first(count: int, strategy: st.SearchStrategy[T]) -> list[T]:
    """The first values that ``strategy`` gives, the same ones in every run."""
    found: list[T] = []

    @settings(same_examples(count), phases=[Phase.generate])
    @given(value=strategy)
    def keep(value: T) -> None:
        found.append(value)

    keep()
    return found


# ── answers ───────────────────────────────────────────────────────────────────


async def test_the_engines_agree_on_what_is_changed_below(sampled: Pair) -> None:
    pages = [await sampled.pages(request) for request in ASKED]
    assert [len(each) for each in pages] == [2, 1]
    assert [entry["resource"]["id"] for entry in pages[0][0].resource["entry"]] == ["r0", "r1"]
    assert pages[0][1].resource["total"] == 3


@pytest.mark.parametrize("difference", DIFFERENCES)
async def test_another_answer_is_noticed(sampled: Pair, difference: str) -> None:
    async with spoiled(sampled.sides[1], difference) as other:
        unlike = Pair((sampled.sides[0], other), sampled.clock, sampled.number)
        with pytest.raises(AssertionError):
            for request in ASKED:
                await unlike.pages(request)


async def test_a_lost_write_is_noticed(tmp_path: Path, mongo_url: str) -> None:
    """Each answer to a write may be right and yet one of the engines not have it."""
    async with running_pair(tmp_path, mongo_url) as pair:
        await hold(pair, SAMPLE)
        await pair.sides[1].ask(Request("DELETE", "Patient/r2"), 1_000)
        with pytest.raises(AssertionError):
            await pair.pages(ASKED[0])


# ── engines ───────────────────────────────────────────────────────────────────


def cases(*, by_writes: bool) -> list[object]:
    """The ways to spoil an engine."""
    return [
        pytest.param(spoiling, id=f"{engine}: {name}")
        for engine, spoilings in (("SQLite", SQLITE), ("MongoDB", MONGO))
        for name, spoiling in spoilings.items()
        if spoiling.by_writes is by_writes
    ]


async def ask(pair: Pair, drawn: Sequence[Mapping[str, Request]], *, is_large: bool) -> None:
    with searching(pair, is_large=is_large):
        for each in drawn:
            await ask_aims(pair, each, [pair.held], surely=True)


def of_kinds(drawn: Sequence[Mapping[str, Request]], kinds: Sequence[str]) -> list[dict[str, Request]]:
    """Of what was ``drawn`` what asks in this way."""
    return [{kind: each[kind] for kind in kinds if kind in each} for each in drawn]


@pytest.mark.parametrize("is_large", [False, True])
async def test_engines_agree_that_are_not_spoiled(
    sampled: Pair, drawn: list[Mapping[str, Request]], is_large: bool
) -> None:
    await ask(sampled, drawn[:3], is_large=is_large)


@pytest.mark.parametrize("spoiling", cases(by_writes=False))
async def test_what_errs_in_one_kind_of_search_is_noticed(
    sampled: Pair,
    drawn: list[Mapping[str, Request]],
    spoiling: Spoiling,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    spoiling.spoil(monkeypatch)
    with pytest.raises(AssertionError):
        await ask(sampled, of_kinds(drawn, spoiling.kinds), is_large=spoiling.is_large)


@pytest.mark.parametrize("spoiling", cases(by_writes=True))
async def test_what_errs_after_writes_is_noticed(
    pair: Pair, played: list[Example], spoiling: Spoiling, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To be run after those above: the sample is changed."""
    spoiling.spoil(monkeypatch)
    with pytest.raises(AssertionError):
        for example in played:
            aims = of_kinds([example.aims], spoiling.kinds)[0]
            await play(pair, replace(example, aims=aims, others=()))


async def test_random_examples_ask_in_every_way() -> None:
    found = first(10, examples())
    asked = {kind: sum(kind in example.aims for example in found) for kind in KINDS}
    assert {kind: count for kind, count in asked.items() if count < 5} == {}
