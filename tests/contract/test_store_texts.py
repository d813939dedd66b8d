"""What the port promises of full text search: never partial, whatever is written, undone or cut off meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
from collections.abc import Awaitable, Callable
from functools import partial

import pytest
from contract_kit import (
    DAY,
    START,
    all_ids,
    clause,
    date,
    deletion,
    extract,
    ids,
    parameter,
    query,
    record,
    token,
)

from fhir_server.errors import StoreUnavailable
from fhir_server.search.index import NARRATIVE, IndexValues, TextRow
from fhir_server.search.parameters import SearchParameter
from fhir_server.search.query import Clause, Query, TextValue
from fhir_server.search.types.fulltext import admits
from fhir_server.search.types.words import words
from fhir_server.store import Record, Store
from fhir_server.stores import texts as building

T = "Observation"
CODE = parameter(T, "code")
TEXT = SearchParameter(T, "_text", "string", "", "", (NARRATIVE,), column="text")


def _extract(type: str, content: bytes) -> IndexValues:
    """As the kit's; the member ``said`` is the narrative, ``display`` what stands beside the code."""
    values = extract(type, content)
    values.texts = partial(_texts, json.loads(content))
    return values


def _texts(data: dict[str, str]) -> list[TextRow]:
    keys = {"said": NARRATIVE, "display": CODE.keys[0]}
    return [TextRow(key, words(data[member])) for member, key in keys.items() if member in data]


@pytest.fixture
async def texts(open_engine: Callable[..., Awaitable[Store]]) -> Store:
    return await open_engine(_extract)


def said(text: str, which: SearchParameter = TEXT, **more: object) -> Query:
    """The search for a phrase."""
    return query(T, _phrase(text, which), **more)


def _phrase(text: str, which: SearchParameter = TEXT) -> Clause:
    return Clause(which, "text", (TextValue(words(text), text.endswith("*")),))


async def put(store: Store, *records: Record) -> None:
    async with store.transaction() as transaction:
        for each in records:
            if each.deleted:
                await transaction.delete(each)
            else:
                await transaction.put(each, _extract(each.type, each.content))


async def test_nothing_at_all_is_found_in_an_empty_store(texts: Store) -> None:
    assert await ids(texts, said("血")) == []
    assert await texts.count(said("血")) == 0
    await texts.close()


async def test_updates_and_deletions_are_followed(texts: Store) -> None:
    await put(
        texts,
        record(T, "1", said="高血压病"),
        record(T, "2", said="blood pressure"),
        record("Task", "3", said="高血压"),
    )
    assert await ids(texts, said("高血压")) == ["1"]
    await put(texts, record(T, "1", 2, said="糖尿病"), record(T, "2", 2, said="高血压 blood"))
    assert (await ids(texts, said("高血压")), await ids(texts, said("糖尿"))) == (["2"], ["1"])
    await put(texts, deletion(T, "2", 3))
    assert await ids(texts, said("高血压")) == []
    await put(texts, record(T, "2", 4, said="回来 高血压"))
    assert await ids(texts, said("高血压")) == ["2"]
    assert await texts.count(said("病")) == 1
    await texts.close()


async def test_a_display_is_found_under_its_parameter_and_together_with_other_clauses(texts: Store) -> None:
    day = [START, START + DAY]
    await put(
        texts,
        record(T, "1", display="血糖 glucose", code=[["", "glu"]], date=[day]),
        record(T, "2", display="glucose", code=[["", "x"]]),
        record(T, "3", said="glucose", code=[["", "glu"]]),
    )
    assert sorted(await ids(texts, said("gluc*", CODE))) == ["1", "2"]
    assert await ids(texts, said("gluc", CODE)) == []
    assert await ids(texts, query(T, _phrase("glucose", CODE), clause(CODE, token("glu")))) == ["1"]
    after = clause(parameter(T, "date"), date("ge", START, START + DAY))
    assert await ids(texts, query(T, _phrase("glucose", CODE), after)) == ["1"]
    assert await ids(texts, said("glucose")) == ["3"]
    await texts.close()


async def test_phrases_do_not_reach_from_one_text_into_the_next(texts: Store) -> None:
    await put(texts, record(T, "1", said="bone", display="liver"), record(T, "2", said="bone liver"))
    assert await ids(texts, said("bone liver")) == ["2"]
    await texts.close()


async def test_a_transaction_finds_what_it_wrote_and_nobody_what_was_undone(texts: Store) -> None:
    await put(texts, record(T, "1", said="alpha"))
    with contextlib.suppress(ZeroDivisionError):
        async with texts.transaction() as transaction:
            new = record(T, "2", said="alpha beta")
            await transaction.put(new, _extract(T, new.content))
            assert [each.id for each in (await transaction.search(said("alpha"))).records] == ["2", "1"]
            assert await transaction.count(said("beta")) == 1
            raise ZeroDivisionError
    assert await ids(texts, said("alpha")) == ["1"]
    await put(texts, record(T, "3", said="gamma"))
    assert (await ids(texts, said("beta")), await ids(texts, said("gamma"))) == ([], ["3"])
    await texts.close()


async def test_our_own_records_are_not_in_it(texts: Store) -> None:
    await put(texts, record("_Message", "1", said="secret"))
    assert await texts.count(Query("_Message", (_phrase("secret"),))) == 0
    await texts.close()


async def test_pages_show_the_moment_of_the_first(texts: Store) -> None:
    await put(texts, *(record(T, f"{number:02}", said="word") for number in range(9)))
    first = await texts.search(said("word", count=4))
    await put(texts, record(T, "00", 2, said="other"), record(T, "99", said="word"), deletion(T, "01", 2))
    second = await texts.search(said("word", count=100, cursor=first.next))
    found = [each.id for page in (first, second) for each in page.records]
    assert sorted(found) == [f"{number:02}" for number in range(9)]
    assert sorted(await all_ids(texts, said("word", count=3))) == [
        "02",
        "03",
        "04",
        "05",
        "06",
        "07",
        "08",
        "99",
    ]
    await texts.close()


async def test_a_search_sees_all_that_was_answered_before_it_while_others_write(texts: Store) -> None:
    done: list[str] = []

    async def write() -> None:
        for number in range(60):
            await put(texts, record(T, f"{number:03}", said="word"))
            done.append(f"{number:03}")

    async def read() -> None:
        while len(done) < 60:
            before = set(done)
            assert before <= set(await ids(texts, said("word", count=1000)))
            await asyncio.sleep(0)

    await asyncio.gather(write(), read(), read())
    assert await texts.count(said("word")) == 60
    await texts.close()


@pytest.mark.parametrize("seed", range(3))
async def test_random_texts_are_found_as_the_words_say(texts: Store, seed: int) -> None:
    chance = random.Random(seed)

    def some(most: int) -> str:
        return "".join(
            chance.choice(["血", "高", "压", "病", "𠮷", "ab ", "a ", "b1 ", "，"]) for _ in range(most)
        )

    stock = {f"{number:03}": some(chance.randint(0, 12)) for number in range(150)}
    await put(texts, *(record(T, id, said=text) for id, text in stock.items()))
    for _ in range(60):
        value = TextValue(words(some(chance.randint(1, 4))) or ("血",), chance.random() < 0.5)
        wanted = query(T, Clause(TEXT, "text", (value,)), count=1000)
        expected = [id for id, text in stock.items() if admits(value, None, TextRow(0, words(text)))]
        assert sorted(await ids(texts, wanted)) == expected, value
    await texts.close()


# ── how it is kept up to date ─────────────────────────────────────────────────


async def test_a_large_backlog_is_refused_until_it_is_done(
    texts: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("SOON", 20), ("LITTLE", 0), ("SLICE", 0.0)):
        monkeypatch.setattr(building, name, value)
    await put(texts, *(record(T, f"{number:03}", said="word") for number in range(50)))
    with pytest.raises(StoreUnavailable, match="50 writes are not in it yet") as caught:
        await texts.search(said("word"))
    assert int(caught.value.headers["Retry-After"]) >= 1
    with pytest.raises(StoreUnavailable):
        async with texts.transaction() as transaction:
            await transaction.search(said("word"))
    async with asyncio.timeout(20):
        while True:
            with contextlib.suppress(StoreUnavailable):
                assert await texts.count(said("word")) == 50
                break
            await asyncio.sleep(0.01)
    await texts.close()


async def test_building_goes_on_where_it_was_cut_off(
    open_engine: Callable[..., Awaitable[Store]], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("SOON", 10), ("LITTLE", 0), ("SLICE", 0.0)):
        monkeypatch.setattr(building, name, value)
    store = await open_engine(_extract)
    await put(store, *(record(T, f"{number:03}", said="word") for number in range(40)))
    with pytest.raises(StoreUnavailable):
        await store.search(said("word"))
    await asyncio.sleep(0.05)
    await store.close()
    monkeypatch.undo()
    again = await open_engine(_extract)
    await put(again, record(T, "000", 2, said="other"))
    assert await again.count(said("word")) == 39
    await again.close()
