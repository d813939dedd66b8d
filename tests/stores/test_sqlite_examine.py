"""``store check`` on SQLite: damage of every kind is planted, found and, where content decides, repaired."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest
from contract_kit import clause, day, deletion, extract, ids, parameter, put, query, record, string, token

from fhir_server.search.unfinished import Progress
from fhir_server.store import Examination
from fhir_server.stores.blobs import Blobs
from fhir_server.stores.sqlite.store import SqliteStore

EVERYTHING = {
    "code": [["s", "c"]], "subject": [["Patient", "p"]], "url": ["urn:x"], "name": ["张伟", "pinyin:zhangwei"],
    "date": [day(1)], "issued": [day(2)], "value": [[1.5, "u", "mg"]], "code-value": [[["s", "c"], [1.5, "u", "mg"]]],
    "near": [[30.0, 120.0]],
}  # fmt: skip


async def filled(path: Path) -> SqliteStore:
    store = SqliteStore.open(path, extract=extract)
    store.index_by("rules")
    await put(store, *(record("Observation", f"o{number}", **EVERYTHING) for number in range(3)))
    await put(store, record("Observation", "o1", 2, **EVERYTHING | {"code": [["s", "other"]]}))
    await put(store, deletion("Observation", "o2", 2), record("_Client", "secret", code=[["s", "c"]]))
    return store


async def examined(store: SqliteStore, *, fix: bool = False) -> Examination:
    return await store.examine("rules", fix=fix, told=lambda count: None)


def plant(path: Path, *statements: str, values: Sequence[object] = ()) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement, values)


async def test_nothing_is_wrong_with_a_good_store(path: Path) -> None:
    store = await filled(path)
    for fix in (False, True):
        assert await examined(store, fix=fix) == Examination(3, ())
    await store.close()


INDEX = {
    "all terms lost": ["DELETE FROM term"],
    "a link lost": ["DELETE FROM link"],
    "strings lost": ["DELETE FROM string"],
    "periods lost": ["DELETE FROM period"],
    "numbers lost": ["DELETE FROM number"],
    "composites lost": ["DELETE FROM composite"],
    "positions lost": ["DELETE FROM position"],
    "default order lost": ["DELETE FROM live"],
    "a wrong code": ["UPDATE term SET text = 'wrong' WHERE text = 'c'"],
    "a wrong edge": ["UPDATE string SET edge = 0", "UPDATE period SET edge = 0"],
    "a wrong number": ["UPDATE number SET low = 7.0"],
    "a wrong part": ["UPDATE composite SET low2 = NULL"],
    "a wrong date": ["UPDATE resource SET date = date + 1 WHERE method > 0"],
    "arms mixed up": [
        "UPDATE live SET shape = (SELECT max(shape) FROM live)",
        "UPDATE shape SET keys = keys || x'00000000'",
    ],
    "arms unlisted": ["DELETE FROM shape_key"],
    "rows of a deleted resource": [
        "INSERT INTO term SELECT key, text, date, (SELECT rid FROM resource WHERE method = 0), extra FROM term "
        "WHERE rid = 1"
    ],
    "rows of nothing": ["INSERT INTO term SELECT key, text, date, 99, extra FROM term WHERE rid = 1"],
    "secondary dates forgotten": ["DELETE FROM secondary_date"],
}  # fmt: skip


@pytest.mark.parametrize("statements", INDEX.values(), ids=INDEX.keys())
async def test_what_is_wrong_with_index_rows_is_found_and_repaired(path: Path, statements: list[str]) -> None:
    store = await filled(path)
    await store.close()
    plant(path, *statements)
    store = SqliteStore.open(path, extract=extract)
    found = await examined(store)
    assert found.findings
    assert not found.repaired
    assert not any("secret" in f"{each.place}{each.text}" for each in found.findings)
    assert await examined(store) == found, "looking changes nothing"
    everything = query("Observation", clause(parameter("Observation", "code"), token(None, "s")))
    await store.count(everything)
    assert (await examined(store, fix=True)).repaired == found.findings
    assert await examined(store) == Examination(3, ())
    assert await store.count(everything) == 2, "what was counted before is forgotten"
    for code, name in [("c", "o0"), ("other", "o1")]:
        wanted = query("Observation", clause(parameter("Observation", "code"), token(code)))
        assert await ids(store, wanted) == [name]
    assert await ids(store, query("Observation", clause(parameter("Observation", "name"), string("张")))) == [
        "o1",
        "o0",
    ]
    await put(store, record("Observation", "o0", 2, **EVERYTHING), deletion("Observation", "o1", 3))
    assert await examined(store) == Examination(2, ())
    await store.close()


TABLES = {
    "history lost": (["DELETE FROM history"], "lost"),
    "log lost": (["DELETE FROM log WHERE version = 2"], "log does not know"),
    "past after present": (["UPDATE history SET version = 9"], "not older"),
    "no resource": (
        ["PRAGMA ignore_check_constraints = 1", "DELETE FROM resource WHERE rid = 2"],
        "no resource",
    ),
    "no type": (["UPDATE resource SET tid = 77 WHERE rid = 1"], "without a text"),
}


@pytest.mark.parametrize(("statements", "text"), TABLES.values(), ids=TABLES.keys())
async def test_tables_that_disagree_are_found_and_left_alone(
    path: Path, statements: list[str], text: str
) -> None:
    await (await filled(path)).close()
    plant(path, *statements)
    store = SqliteStore.open(path, extract=extract)
    found = await examined(store)
    assert any(text in each.text for each in found.findings), found
    assert set((await examined(store, fix=True)).findings) >= {
        each for each in found.findings if text in each.text
    }
    await store.close()


CONTENTS = {
    "not packed": (b"garbage", "unpacked"),
    "not JSON": (Blobs().compress(b"{"), "JSON"),
    "another resource": (Blobs().compress(b'{"resourceType":"Observation","id":"x"}'), "another resource"),
    "another version": (
        Blobs().compress(b'{"resourceType":"Observation","id":"o0","meta":{"versionId":"7"}}'),
        "another version",
    ),
}


@pytest.mark.parametrize(("blob", "text"), CONTENTS.values(), ids=CONTENTS.keys())
async def test_a_version_that_cannot_be_right_is_named(path: Path, blob: bytes, text: str) -> None:
    await (await filled(path)).close()
    plant(path, "UPDATE resource SET content = ? WHERE id = 'o0'", values=(blob,))
    store = SqliteStore.open(path, extract=extract)
    (found, *_) = (await examined(store)).findings
    assert found.place == "Observation/o0, version 1, write 1"
    assert text in found.text
    assert "backup" in found.text
    await store.close()


async def test_a_page_that_is_damaged_while_the_store_is_used_is_found(path: Path) -> None:
    await (await filled(path)).close()
    plant(path, "PRAGMA wal_checkpoint(TRUNCATE)")
    with closing(sqlite3.connect(path)) as connection:
        (root,) = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'composite'").fetchone()
        (size,) = connection.execute("PRAGMA page_size").fetchone()
    store = SqliteStore.open(path, extract=extract)
    with path.open("r+b") as file:
        file.seek((root - 1) * size + 8)
        file.write(b"\xff" * 64)
    found = (await examined(store)).findings
    assert found
    assert all(each.place == "the file" and "backup" in each.text for each in found)
    await store.close()


async def test_arms_that_are_being_built_are_left_out(path: Path) -> None:
    store = await filled(path)
    keys = parameter("Observation", "code").keys
    async with store.transaction() as transaction:
        assert await transaction.unindex(frozenset(keys), 100) > 0
    assert (await examined(store)).findings
    store.unfinished.hold(keys, Progress("Observation"))
    assert await examined(store) == Examination(3, ())
    await store.close()


async def test_an_index_by_other_rules_is_told(path: Path) -> None:
    store = await filled(path)
    (found,) = (await store.examine("others", fix=True, told=lambda count: None)).findings
    assert "other rules" in found.text
    await store.close()
