"""The database file: what is refused, what damage looks like, what a full or busy disk does."""

from __future__ import annotations

import asyncio
import random
import sqlite3
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from contract_kit import (
    all_ids,
    clause,
    day,
    deletion,
    extract,
    ids,
    parameter,
    put,
    query,
    record,
    string,
    token,
)

from fhir_server.errors import StoreUnavailable
from fhir_server.search.index import IndexValues
from fhir_server.stores.sqlite import checkpoint, faults, reader, writer
from fhir_server.stores.sqlite import store as store_module
from fhir_server.stores.sqlite.store import SqliteStore


def _open(path: Path, **more: Any) -> SqliteStore:
    return SqliteStore.open(path, **({"extract": extract} | more))


def _noise(seed: int, size: int) -> str:
    """Text that does not compress below ``size`` bytes."""
    return random.Random(seed).randbytes(size).hex()


# ── opening ───────────────────────────────────────────────────────────────────


def test_a_database_of_another_program_is_refused(path: Path) -> None:
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE theirs (x)")
    other.close()
    with pytest.raises(StoreUnavailable, match="another program"):
        _open(path)


async def test_a_file_of_a_newer_program_is_refused(path: Path) -> None:
    await _open(path).close()
    with sqlite3.connect(path) as newer:
        newer.execute("PRAGMA user_version = 999")
    newer.close()
    with pytest.raises(StoreUnavailable, match="newer version"):
        _open(path)


def test_a_file_that_is_no_database_is_refused_and_left_alone(path: Path) -> None:
    path.write_text("no database at all, but long enough to look at. " * 100)
    before = path.read_bytes()
    with pytest.raises(StoreUnavailable, match="not a database"):
        _open(path)
    assert path.read_bytes() == before


def test_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match="cannot be opened"):
        _open(tmp_path)


async def test_folders_are_made(tmp_path: Path) -> None:
    store = _open(tmp_path / "a" / "b" / "fhir.db")
    await store.check()
    await store.close()
    assert (tmp_path / "a" / "b" / "fhir.db").exists()


def by_code(type: str, content: bytes) -> IndexValues:
    """Other rules: only the code, under another key, and no date."""
    known = extract(type, content)
    return IndexValues(tokens=[row._replace(key=row.key + 1) for row in known.tokens])


async def test_other_rules_index_everything_again(path: Path) -> None:
    store = _open(path)
    assert store.index_by("one") == 0
    await put(store, *(record("Observation", f"o{n}", code=[["s", "c"]], date=[day(n)]) for n in range(3)))
    await put(store, record("Observation", "o1", 2, code=[["s", "other"]]), deletion("Observation", "o2", 2))
    await store.close()
    code = parameter("Observation", "code")
    moved = replace(code, keys=tuple(key + 1 for key in code.keys))
    rows = [("one", extract, None, code), ("two", by_code, 2, moved), ("two", by_code, None, moved)]
    for fingerprint, rules, again, found_by in rows:
        store = _open(path, extract=rules)
        assert store.index_by(fingerprint) == again
        assert await ids(store, query("Observation", clause(found_by, token("c", "s")))) == ["o0"]
        assert len(await ids(store, query("Observation"))) == 2
        await store.close()


async def test_an_interrupted_indexing_begins_again(path: Path) -> None:
    store = _open(path)
    store.index_by("one")
    await put(store, *(record("Observation", f"o{n}", code=[["s", "c"]]) for n in range(3)))
    await store.close()

    def fails(type: str, content: bytes) -> IndexValues:
        raise sqlite3.OperationalError("the disk is full")

    store = _open(path, extract=fails)
    with pytest.raises(StoreUnavailable):
        store.index_by("two")
    await store.close()
    store = _open(path)
    wanted = query("Observation", clause(parameter("Observation", "code"), token("c", "s")))
    assert (store.index_by("one"), len(await ids(store, wanted))) == (None, 3)
    await store.close()
    store = _open(path)
    assert (store.index_by("two"), len(await ids(store, wanted))) == (3, 3)
    await store.close()


@pytest.mark.parametrize(("durability", "synchronous"), [("full", 2), ("normal", 1)])
async def test_durability_is_sqlites(path: Path, durability: str, synchronous: int) -> None:
    store = _open(path, durability=durability)
    connection = store._writer.connection
    assert connection.execute("PRAGMA synchronous").fetchone() == (synchronous,)
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    await store.close()


# ── damage ────────────────────────────────────────────────────────────────────


async def test_a_damaged_page_is_told_with_advice(path: Path) -> None:
    store = _open(path)
    await put(store, *(record("Patient", str(number), name=[f"n{number}"]) for number in range(300)))
    await store.close()
    damaged = bytearray(path.read_bytes())
    damaged[4096 * 3 :] = b"\xa5" * len(damaged[4096 * 3 :])
    path.write_bytes(damaged)
    with pytest.raises(StoreUnavailable, match=r"damaged.*backup"):
        store = _open(path)
        await store.read("Patient", "1")


async def test_a_damaged_resource_is_told_with_advice(path: Path, sqlite: SqliteStore) -> None:
    await put(sqlite, record("Patient", "1"), record("Patient", "2"))
    with sqlite3.connect(path) as tool:
        tool.execute("UPDATE resource SET content = substr(content, 1, length(content) - 5) WHERE id = '1'")
    tool.close()
    with pytest.raises(StoreUnavailable, match=r"damaged.*backup"):
        await sqlite.read("Patient", "1")
    with pytest.raises(StoreUnavailable, match=r"damaged.*backup"):
        await sqlite.search(query("Patient"))
    assert await sqlite.read("Patient", "2") is not None


# ── a disk that fails ─────────────────────────────────────────────────────────


async def test_a_full_disk_fails_the_whole_group_and_nothing_else(sqlite: SqliteStore) -> None:
    await put(sqlite, record("Patient", "before"))
    connection = sqlite._writer.connection
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    connection.execute(f"PRAGMA max_page_count = {pages + 2}")
    noise = [record("Binary", f"b{number}", data=_noise(number, 20_000)) for number in range(6)]
    answers = await asyncio.gather(*(put(sqlite, each) for each in noise), return_exceptions=True)
    assert all(isinstance(answer, StoreUnavailable) for answer in answers)
    assert "disk is full" in str(answers[0])
    connection.execute("PRAGMA max_page_count = 1000000")
    assert await sqlite.count(query("Binary")) == 0
    await asyncio.gather(*(put(sqlite, each) for each in noise))
    assert await sqlite.count(query("Binary")) == 6
    assert len(await sqlite.changes(0)) == 7


async def test_a_commit_that_fails_fails_every_member(
    sqlite: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    await put(sqlite, record("Patient", "before"))

    def fail() -> None:
        raise sqlite3.OperationalError("disk I/O error")

    with monkeypatch.context() as broken:
        broken.setattr(sqlite._writer, "_write_out", fail)
        answers = await asyncio.gather(
            *(put(sqlite, record("Patient", f"p{number}")) for number in range(9)), return_exceptions=True
        )
    assert all(isinstance(answer, StoreUnavailable) for answer in answers)
    assert await ids(sqlite, query("Patient")) == ["before"]
    await asyncio.gather(*(put(sqlite, record("Patient", f"p{number}")) for number in range(9)))
    assert await sqlite.count(query("Patient")) == 10


async def test_a_lost_connection_is_replaced(sqlite: SqliteStore) -> None:
    await put(sqlite, record("Patient", "before"))
    sqlite._writer.connection.close()
    with pytest.raises(StoreUnavailable):
        await put(sqlite, record("Patient", "lost"))
    await put(sqlite, record("Patient", "after"))
    assert await ids(sqlite, query("Patient")) == ["after", "before"]


async def test_a_transaction_whose_database_failed_cannot_go_on(sqlite: SqliteStore) -> None:
    connection = sqlite._writer.connection
    connection.execute("PRAGMA max_page_count = 30")
    large = record("Binary", "b", data=_noise(1, 200_000))
    with pytest.raises(StoreUnavailable):
        async with sqlite.transaction() as transaction:
            await transaction.put(large, extract("Binary", large.content))
            for _ in range(2):
                with pytest.raises(StoreUnavailable):
                    await transaction.count(query("Binary"))
            with pytest.raises(StoreUnavailable):
                await transaction.put(record("Patient", "p"), extract("Patient", b"{}"))
    connection.execute("PRAGMA max_page_count = 1000000")
    assert await sqlite.changes(0) == []
    await put(sqlite, record("Patient", "p"))


# ── other programs ────────────────────────────────────────────────────────────


async def test_a_writer_waits_for_another_program(path: Path, sqlite: SqliteStore) -> None:
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    waiting = asyncio.create_task(put(sqlite, record("Patient", "1")))
    await asyncio.sleep(0.05)
    assert not waiting.done()
    assert await sqlite.read("Patient", "1") is None
    other.execute("COMMIT")
    other.close()
    await asyncio.wait_for(waiting, 2)
    assert await sqlite.read("Patient", "1") is not None


async def test_a_writer_does_not_wait_for_ever(
    path: Path, sqlite: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "PATIENCE", 0.03)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreUnavailable, match="another program"):
        await put(sqlite, record("Patient", "1"))
    with pytest.raises(StoreUnavailable):
        await sqlite.check()
    other.execute("COMMIT")
    other.close()
    await sqlite.check()


async def test_two_servers_can_share_a_file(path: Path, sqlite: SqliteStore) -> None:
    second = _open(path)
    for number in range(20):
        one, two = (sqlite, second) if number % 2 else (second, sqlite)
        await put(one, record("Patient", f"p{number}", name=[f"n{number}"], code=[[f"urn:{number}", "1"]]))
        by_name = query("Patient", clause(parameter("Patient", "name"), string(f"n{number}")))
        assert f"p{number}" in await ids(two, by_name)
    assert [each.id for each in await sqlite.changes(0)] == [f"p{number}" for number in range(20)]
    await second.close()


# ── checkpoints and long searches ─────────────────────────────────────────────


async def test_the_log_of_writes_does_not_grow_for_ever(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint, "INTERVAL", 0.01)
    monkeypatch.setattr(checkpoint, "CROWDED", 50)
    store = _open(path)
    largest = 0
    for number in range(150):
        await put(store, record("Binary", f"b{number}", data=_noise(number, 3_000)))
        largest = max(largest, path.with_name("fhir.db-wal").stat().st_size)
        await asyncio.sleep(0.002)
    (written,) = store._writer.connection.execute("SELECT count(*) FROM resource").fetchone()
    assert written == 150
    assert largest < 150 * 10 * 4096
    await store.close()


async def test_a_long_search_runs_beside_the_event_loop(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "STEPS", 1)
    monkeypatch.setattr(store_module, "PATIENCE", 1e-9)
    store = _open(path)
    await put(store, *(record("Patient", f"p{number}", name=["x"]) for number in range(30)))
    wanted = query("Patient", clause(parameter("Patient", "name"), string("x")), count=7, total="accurate")
    assert store._slow._reader is None
    page, count = await asyncio.gather(store.search(wanted), store.count(wanted))
    assert (len(page.records), page.total, count) == (7, 30, 30)
    assert len(await all_ids(store, wanted)) == 30
    assert store._slow._reader is not None
    assert await store.read("Patient", "p1") is not None
    await store.close()


def test_every_advice_says_what_to_do() -> None:
    class Faked(sqlite3.OperationalError):
        sqlite_errorname = "SQLITE_IOERR_WRITE"

    assert "check the disk" in str(faults.unavailable(Faked()))
    assert "send again" in str(faults.unavailable(sqlite3.OperationalError()))
