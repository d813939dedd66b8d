"""What is erased leaves the file: its values are not found in any byte of it, and the index of texts lets go of it."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import orjson
from contract_kit import deletion, put, record

from fhir_server.search.index import CONTENT, IndexValues, TextRow
from fhir_server.stores.sqlite.store import SqliteStore

SECRET = "zhuyuanzhang-the-secret"


def traces(path: Path) -> int:
    return sum(file.read_bytes().count(SECRET.encode()) for file in path.parent.iterdir())


async def many(store: SqliteStore, count: int) -> None:
    """Enough of it to fill and free whole pages."""
    await put(store, *(record("Patient", f"p{n}", name=[f"{SECRET}-{n}-{'x' * 300}"]) for n in range(count)))


async def test_nothing_of_it_stays_in_the_file(path: Path, sqlite: SqliteStore) -> None:
    await many(sqlite, 60)
    await put(sqlite, record("Patient", "p0", 2, name=[SECRET]), deletion("Patient", "p1", 2))
    async with sqlite.transaction() as transaction:
        for number in range(60):
            assert await transaction.erase("Patient", f"p{number}") > 0
    await sqlite.close()
    assert traces(path) == 0


async def test_the_check_can_fail(path: Path, sqlite: SqliteStore) -> None:
    await many(sqlite, 60)
    await put(sqlite, *(deletion("Patient", f"p{number}", 2) for number in range(50)))
    await sqlite.close()
    assert traces(path) > 0


def said(content: bytes) -> IndexValues:
    """Values whose only text is what the content says."""
    words = orjson.loads(content)["said"].split()
    return IndexValues(texts=lambda: [TextRow(CONTENT, words)])


async def test_the_index_of_texts_lets_go_of_it(path: Path) -> None:
    store = SqliteStore.open(path, extract=lambda type, content: said(content))
    first, second = (record("Patient", id, said=f"{id} words") for id in "ab")
    async with store.transaction() as transaction:
        for each in (first, second):
            await transaction.put(each, said(each.content))
        assert await transaction.index_texts(9) == 0
    async with store.transaction() as transaction:
        await transaction.erase("Patient", "a")
    await store.close()
    with sqlite3.connect(path) as connection:
        found = [
            connection.execute("SELECT count(*) FROM fulltext WHERE fulltext MATCH ?", (word,)).fetchone()[0]
            for word in ("a", "b", "words")
        ]
        connection.execute("INSERT INTO fulltext (fulltext) VALUES ('integrity-check')")
    connection.close()
    assert found == [0, 1, 1]


async def test_without_an_index_of_texts_there_is_nothing_to_let_go_of(sqlite: SqliteStore) -> None:
    await put(sqlite, record("Patient", "a", name=["x"]))
    async with sqlite.transaction() as transaction:
        assert await transaction.erase("Patient", "a") == 1
        assert await transaction.index_texts(9) == 0
