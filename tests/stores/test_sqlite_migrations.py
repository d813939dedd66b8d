"""Files of older programs: brought to this one's schema, whoever is killed in between."""

from __future__ import annotations

import os
import signal
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from contract_kit import clause, extract, ids, parameter, put, query, record, reference

from fhir_server.stores.sqlite.migrations import MIGRATIONS, migrate
from fhir_server.stores.sqlite.schema import CREATES, INDEXED_BY, VERSION, connect, prepare, read_version
from fhir_server.stores.sqlite.store import SqliteStore

LATER = {"link": 2, "log_change": 3}
"""What the first schema had not, and the version that brought it."""


async def make_old(path: Path) -> None:
    """A file of the first version, with a resource."""
    store = SqliteStore.open(path, extract=extract)
    store.index_by("rules")
    await put(store, record("Observation", "o", subject=[["Patient", "p"]]))
    await store.close()
    with closing(sqlite3.connect(path, isolation_level=None)) as older:
        older.execute("DROP INDEX log_change")
        older.execute("DROP TABLE link")
        older.execute("PRAGMA user_version = 1")


def schema_of(path: Path) -> tuple[int, set[str]]:
    """The version, and the names of tables and indexes."""
    with closing(sqlite3.connect(path)) as connection:
        names = {
            name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE sql IS NOT NULL")
        }
        return read_version(connection), names


def migrate_and_die(path: str, statements: int) -> None:
    """What a process does: migrate, and be killed after so many statements."""
    connection = connect(path, "full", 64)
    left = statements

    def count(_: str) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)

    connection.set_trace_callback(count)
    prepare(connection, path)
    migrate(connection)


def run(path: Path, statements: int) -> int:
    """The exit code of a process that migrates; what kills it is negative."""
    child = os.fork()
    if not child:
        try:
            migrate_and_die(str(path), statements)
            os._exit(0)
        finally:
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


async def test_every_step_may_be_cut_off_anywhere(path: Path) -> None:
    await make_old(path)
    original, seen = path.read_bytes(), set()
    for statements in range(100):
        for file in path.parent.glob(f"{path.name}*"):
            file.unlink()
        path.write_bytes(original)
        outcome = run(path, statements)
        version, names = schema_of(path)
        assert names == {name for name in CREATES if LATER.get(name, 1) <= version}
        seen.add(version)
        if outcome == 0:
            break
        assert outcome == -signal.SIGKILL
        await _open_and_use(path)
    assert statements > 10
    assert seen == {1, 2, 3}


async def _open_and_use(path: Path) -> None:
    """The next start goes on to the end."""
    store = SqliteStore.open(path, extract=extract)
    assert schema_of(path) == (VERSION, set(CREATES))
    assert store.index_by("rules") == 1
    subject = parameter("Observation", "subject")
    assert await ids(store, query("Observation", clause(subject, reference("p", "Patient")))) == ["o"]
    await store.close()


async def test_a_file_of_this_version_is_left_alone(path: Path) -> None:
    await SqliteStore.open(path, extract=extract).close()
    with closing(connect(str(path), "full", 64)) as connection:
        statements: list[str] = []
        connection.set_trace_callback(statements.append)
        assert prepare(connection, str(path))
        assert not [each for each in statements if not each.startswith(("PRAGMA", "SELECT"))]


async def test_a_migrated_file_is_like_a_new_one(path: Path) -> None:
    await make_old(path)
    await SqliteStore.open(path, extract=extract).close()
    new = path.with_name("new.db")
    await SqliteStore.open(new, extract=extract).close()
    shapes = []
    for file in (path, new):
        with closing(sqlite3.connect(file)) as connection:
            rows = connection.execute("SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL")
            shapes.append({name: " ".join(sql.split()) for name, sql in rows})
            assert connection.execute(INDEXED_BY).fetchone() == ("",)
    assert shapes[0] == shapes[1]


def test_there_is_a_step_to_every_version() -> None:
    assert [migration.version for migration in MIGRATIONS] == list(range(2, VERSION + 1))


@pytest.mark.parametrize("name", sorted(LATER))
def test_what_came_later_is_told_apart(name: str) -> None:
    assert name in CREATES
