"""Estimates of totals: a sample of all resources when there are many matches."""

from __future__ import annotations

from dataclasses import replace

import pytest
from contract_kit import clause, parameter, put, query, record, token

from fhir_server.stores import cursor
from fhir_server.stores.sqlite import totals
from fhir_server.stores.sqlite.store import SqliteStore


async def test_many_are_estimated_by_a_sample(sqlite: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(totals, "EXACT", 50)
    codes = ["a", "b", "b", "b"]
    await put(sqlite, *[record("Observation", str(n), code=[["", codes[n % 4]]]) for n in range(4000)])
    await put(sqlite, *[record("Patient", str(n), code=[["", "a"]]) for n in range(1000)])
    for code, total in (("a", 1000), ("b", 3000), ("c", 0)):
        wanted = query("Observation", clause(parameter("Observation", "code"), token(code)))
        estimated = (await sqlite.search(replace(wanted, total="estimate"))).total
        assert estimated is not None
        assert abs(estimated - total) <= total / 5
        assert (await sqlite.search(replace(wanted, total="accurate"))).total == total


async def test_an_estimate_is_never_less_than_what_was_counted(
    sqlite: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(totals, "EXACT", 5)
    await put(sqlite, *[record("Patient", str(n)) for n in range(3000)])
    await put(sqlite, *[record("Observation", str(n), code=[["", "rare"]]) for n in range(8)])
    wanted = query("Observation", total="estimate")
    assert (await sqlite.search(wanted)).total in range(6, 25)


async def test_long_searches_are_answered_and_not_remembered(sqlite: SqliteStore) -> None:
    await put(sqlite, *[record("Observation", str(n), code=[["", "a"]]) for n in range(3)])
    prepared = sqlite._reader._prepared
    for many, is_kept in ((3, True), (2_000, False)):
        codes = [token(f"code {n}") for n in range(many)]
        wanted = query("Observation", clause(parameter("Observation", "code"), token("a"), *codes))
        for total in ("none", "accurate"):
            asked = replace(wanted, total=total)
            assert len((await sqlite.search(asked)).records) == 3
            assert await sqlite.count(asked) == 3
            assert (cursor._contexts.recall(id(asked)) is not None) is is_kept
            assert (id(asked) in sqlite._reader._totals._counted) is is_kept
        assert len(prepared._lasting) + len(prepared._stamped) == 2


def test_a_sample_is_spread_over_everything() -> None:
    for greatest in (1, 7, 5_000, 500_000, 10**9):
        found = totals._spread(greatest)
        assert len(found) == totals.SAMPLE
        assert min(found) >= 1
        assert max(found) <= greatest
    assert len(set(totals._spread(500_000))) > totals.SAMPLE * 0.99
