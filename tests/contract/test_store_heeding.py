"""What a store that several servers use promises of what they put in force: who writes knows it already."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from contract_kit import clause, extract, ids, parameter, put, query, record, string

from fhir_server.errors import StoreUnavailable
from fhir_server.search.index import IndexValues
from fhir_server.store import Reading, Store
from fhir_server.stores.opening import Heeding

HEEDED = ("SearchParameter", "_Index")
NAMED_A = query("Patient", clause(parameter("Patient", "name"), string("a")))


class Rules:
    """Names are indexed once they are ``in_force``."""

    def __init__(self) -> None:
        self.in_force = self.is_failing = False
        self.noticed: list[str] = []

    def extract(self, type: str, content: bytes) -> IndexValues:
        values = extract(type, content)
        if not self.in_force:
            values.strings.clear()
        return values

    async def notice(self, reading: Reading) -> None:
        if self.is_failing:
            raise LookupError
        found = await reading.read("SearchParameter", "p")
        searched = await reading.search(query("SearchParameter"))
        assert [each.id for each in searched.records] == (["p"] if found else [])
        self.noticed.append(f"version {found.version}" if found else "nothing")
        self.in_force = found is not None

    async def put(self, store: Store, id: str) -> None:
        async with store.transaction() as transaction:
            made = record("Patient", id, name=["a"])
            await transaction.put(made, self.extract("Patient", made.content))


@pytest.fixture
def rules() -> Rules:
    return Rules()


@pytest.fixture
async def heeding(
    store: Store, open_engine: Callable[..., Awaitable[Any]], rules: Rules
) -> AsyncIterator[Any]:
    """Another server on the database of ``store``, which goes by ``rules``."""
    opened = await open_engine(rules.extract)
    assert isinstance(opened, Heeding)
    opened.heed(HEEDED, rules.notice)
    yield opened
    await opened.close()


async def test_notice_is_taken_once_of_each_change_and_of_nothing_else(
    store: Store, heeding: Any, rules: Rules
) -> None:
    assert isinstance(store, Heeding)
    store.heed(HEEDED, Rules().notice)
    await put(store, record("Patient", "a"))
    await put(heeding, record("Patient", "b"))
    assert rules.noticed == []
    await put(store, record("SearchParameter", "p"))
    await put(heeding, record("Patient", "c"))
    await put(heeding, record("Patient", "d"))
    assert rules.noticed == ["version 1"]
    await put(store, record("SearchParameter", "p", 2), record("Patient", "e"))
    async with heeding.transaction() as transaction:
        assert await transaction.read("Patient", "e") is not None
    assert rules.noticed == ["version 1", "version 2"]


async def test_what_is_written_after_a_rule_is_indexed_by_it(
    store: Store, heeding: Any, rules: Rules
) -> None:
    await rules.put(heeding, "before")
    await put(store, record("SearchParameter", "p"))
    await rules.put(heeding, "after")
    await rules.put(heeding, "later")
    assert sorted(await ids(heeding, NAMED_A)) == ["after", "later"]


async def test_a_program_that_was_not_told_what_is_heeded_is_heeded_too(
    store: Store, heeding: Any, rules: Rules
) -> None:
    """``store`` has not been told."""
    await put(store, record("Patient", "x"), record("SearchParameter", "p"))
    await rules.put(heeding, "after")
    assert rules.noticed[-1] == "version 1"
    assert await ids(heeding, NAMED_A) == ["after"]


async def test_notice_that_failed_is_taken_again(store: Store, heeding: Any, rules: Rules) -> None:
    rules.is_failing = True
    await put(store, record("SearchParameter", "p"))
    with pytest.raises((LookupError, StoreUnavailable)):
        await rules.put(heeding, "refused")
    rules.is_failing = False
    await rules.put(heeding, "after")
    assert await ids(heeding, NAMED_A) == ["after"]
    assert await heeding.read("Patient", "refused") is None
