"""``fhir-server store``: whole stores, with what people see and the exit codes."""

from __future__ import annotations

import asyncio
import sqlite3
import stat
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from fhir_server.app import opened
from fhir_server.cli import app
from fhir_server.cli.failures import UsageFault
from fhir_server.errors import Conflict, InvalidContent, NotFound, StoreUnavailable
from fhir_server.interactions.delete import delete
from fhir_server.interactions.search import search
from fhir_server.interactions.update import update
from fhir_server.model.resource import Resource
from fhir_server.security.caller import SYSTEM
from fhir_server.settings import Settings
from fhir_server.store import Record

OWN = {
    "resourceType": "SearchParameter", "id": "own", "url": "http://example.org/own", "name": "Own",
    "status": "active", "description": "own", "code": "own", "base": ["Patient"], "type": "token",
    "expression": "Patient.maritalStatus",
}  # fmt: skip


def url(folder: Path, name: str) -> str:
    return f"sqlite:///{folder}/{name}.db"


def patient(id: str, family: str) -> Resource:
    status = {"coding": [{"system": "urn:m", "code": "M"}]}
    data = {"resourceType": "Patient", "id": id, "name": [{"family": family}], "maritalStatus": status}
    return Resource.of(data)


async def run(*arguments: str) -> Result:
    """The command, in a thread: it has an event loop of its own."""
    return await asyncio.to_thread(CliRunner().invoke, app, ["store", *arguments])


async def write(store: str, *names: str, family: str = "张", index: bool = True) -> None:
    async with opened(Settings(store=store)) as server:
        for name in names:
            await update(server, SYSTEM, patient(name, family), id=name)
        if index:
            await update(server, SYSTEM, Resource.of(OWN), id="own")
            assert server.indexer is not None
            await server.indexer.changed()
            await server.indexer.work_off()


async def kept(store: str) -> tuple[list[Record], tuple[int, int]]:
    """All that is in it, and the numbers given out."""
    async with opened(Settings(store=store), reindex=False) as server:
        return await server.store.changes(0, 100_000), await server.store.reached()


async def told(store: str) -> Any:
    """All that is kept, and all that a client can get."""
    before = await kept(store)
    async with opened(Settings(store=store)) as server:
        answers = [
            (await search(server, SYSTEM, "Patient", [(name, value), ("_total", "accurate")])).resource
            for name, value in [("name", "张"), ("own", "M"), ("_sort", "-_lastUpdated")]
        ]
        assert not server.parameters.unfinished
    return before, answers


def assert_done(result: Result, text: str) -> None:
    assert result.exit_code == 0, (result.output, result.exception)
    assert text in result.stdout


async def test_a_copy_answers_as_the_store_itself_and_follows_it(tmp_path: Path) -> None:
    origin, target = url(tmp_path, "a"), url(tmp_path, "b")
    await write(origin, "p1", "p2")
    assert_done(await run("copy", "--from", origin, "--to", target), "2 Patient\n")
    assert await told(target) == await told(origin)
    await write(origin, "p2", "p3", family="李")
    assert_done(await run("copy", "--from", origin, "--to", target), "4 Patient\n")
    assert await told(target) == await told(origin)


async def test_a_copy_moves_from_one_engine_to_another_and_back(tmp_path: Path, mongo_url: str) -> None:
    origin, back = url(tmp_path, "a"), url(tmp_path, "b")
    await write(origin, "p1", "p2")
    await write(origin, "p2", family="李")
    assert_done(await run("copy", "--from", origin, "--to", mongo_url), "3 Patient\n")
    assert await told(mongo_url) == await told(origin)
    assert_done(await run("check", "--store", mongo_url), "0 repaired, 0 things wrong")
    await write(origin, "p3")
    assert_done(await run("copy", "--from", origin, "--to", mongo_url), "4 Patient\n")
    assert_done(await run("copy", "--from", mongo_url, "--to", back), "4 Patient\n")
    assert_done(await run("backup", str(tmp_path / "backup"), "--store", mongo_url), "backed up")
    assert_done(await run("restore", str(tmp_path / "backup"), "--to", url(tmp_path, "c")), "4 Patient\n")
    assert await told(url(tmp_path, "c")) == await told(back) == await told(mongo_url) == await told(origin)


async def test_what_the_source_has_removed_for_good_goes_from_the_copy(tmp_path: Path) -> None:
    origin, target = url(tmp_path, "a"), url(tmp_path, "b")
    await write(origin, "p1", "p2", "p3", "p2", "p3")
    assert_done(await run("copy", "--from", origin, "--to", target), "5 Patient\n")
    async with opened(Settings(store=origin)) as server, server.store.transaction() as transaction:
        await transaction.erase("Patient", "p1")
        await transaction.forget("Patient", "p2")
        await transaction.erase("Patient", "p3")
    await write(origin, "p2", "p3", "p3", family="王")
    assert_done(await run("copy", "--from", origin, "--to", target), "4 Patient\n")
    assert await told(target) == await told(origin)


async def test_a_target_with_something_else_is_left_alone(tmp_path: Path) -> None:
    origin, target = url(tmp_path, "a"), url(tmp_path, "b")
    await write(origin, "p1", "p2")
    await write(target, "p1")
    before = await told(target)
    for arguments in (["copy", "--from", origin], ["restore", str(tmp_path / "backup")]):
        assert_done(await run("backup", str(tmp_path / "backup"), "--store", origin), "backed up")
        result = await run(*arguments, "--to", target)
        assert isinstance(result.exception, Conflict), result.output
        assert "choose an empty store; nothing was changed" in str(result.exception)
    assert await told(target) == before


async def test_a_target_that_is_served_is_refused(tmp_path: Path) -> None:
    origin, target = url(tmp_path, "a"), url(tmp_path, "b")
    await write(origin, "p1")
    async with opened(Settings(store=target)):
        result = await run("copy", "--from", origin, "--to", target)
        assert isinstance(result.exception, StoreUnavailable)


async def test_a_backup_grows_while_the_store_is_used_and_gives_it_back(tmp_path: Path) -> None:
    origin, folder = url(tmp_path, "a"), tmp_path / "backup"
    async with opened(Settings(store=origin)) as server:
        await update(server, SYSTEM, patient("p1", "张"), id="p1")
        assert_done(await run("backup", str(folder), "--store", origin), "backed up")
        await update(server, SYSTEM, patient("p1", "李"), id="p1")
        await delete(server, SYSTEM, "Patient", "p1")
        assert_done(await run("backup", str(folder), "--store", origin), "backed up 2 versions")
        assert_done(await run("backup", str(folder), "--store", origin), "backed up 0 versions")
        await update(server, SYSTEM, patient("later", "王"), id="later")
    assert_done(await run("restore", str(folder), "--to", url(tmp_path, "b")), "3 Patient\n")
    (now, _), (restored, _) = await kept(origin), await kept(url(tmp_path, "b"))
    assert restored == now[:-1]
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()} == {0o600}


async def test_a_moment_of_the_past_is_restored(tmp_path: Path) -> None:
    origin, folder = url(tmp_path, "a"), str(tmp_path / "backup")
    await write(origin, "p1")
    async with opened(Settings(store=origin)) as server:
        before = await server.store.changes(0, 1000)
        moment = server.now()
    await asyncio.sleep(0.01)
    await write(origin, "p2", index=False)
    assert_done(await run("backup", folder, "--store", origin), "backed up")
    result = await run("restore", folder, "--to", url(tmp_path, "b"), "--until", moment.isoformat())
    assert_done(result, "1 Patient\n")
    (restored, _), answers = await told(url(tmp_path, "b"))
    assert restored == before
    assert b'"total":1' in answers[1]
    refused = await run("backup", folder, "--store", url(tmp_path, "b"))
    assert isinstance(refused.exception, Conflict)


async def test_damage_is_found_before_anything_is_written(tmp_path: Path) -> None:
    origin, folder = url(tmp_path, "a"), tmp_path / "backup"
    await write(origin, "p1", "p2")
    assert_done(await run("backup", str(folder), "--store", origin), "backed up")
    (part,) = folder.glob("*.zst")
    whole = part.read_bytes()
    manifest = (folder / "manifest.json").read_text()
    half = len(whole) // 2
    rows: list[tuple[bytes | None, str]] = [
        (whole[:half] + bytes([whole[half] ^ 1]) + whole[half + 1 :], manifest),
        (whole[:half], manifest),
        (None, manifest),
        (whole, manifest.replace('"sha256": "', '"sha256": "0')),
        (whole, manifest[:100]),
        (whole, manifest.replace('"version": 1', '"version": 2')),
    ]
    for content, text in rows:
        part.unlink(missing_ok=True)
        if content is not None:
            part.write_bytes(content)
        (folder / "manifest.json").write_text(text)
        result = await run("restore", str(folder), "--to", url(tmp_path, "b"))
        assert isinstance(result.exception, InvalidContent), (result.output, result.exception)
        assert await kept(url(tmp_path, "b")) == ([], (0, 0))


async def test_a_check_names_what_is_wrong_and_repairs_it(tmp_path: Path) -> None:
    store = url(tmp_path, "a")
    await write(store, "p1", "p2")
    assert_done(await run("check", "--store", store), "0 repaired, 0 things wrong")
    with closing(sqlite3.connect(tmp_path / "a.db")) as connection, connection:
        connection.execute("DELETE FROM string")
    found = await run("check", "--store", store)
    assert found.exit_code == 1
    assert "wrong Patient/p1: 5 index rows are missing and 0 should not be there\n" in found.stdout
    assert_done(await run("check", "--store", store, "--fix"), "repaired Patient/p2: 5 index rows")
    assert_done(await run("check", "--store", store), "0 repaired, 0 things wrong")


async def test_wrong_use_is_told(tmp_path: Path) -> None:
    here = url(tmp_path, "a")
    await write(here, "p1")
    rows: list[tuple[list[str], type[Exception]]] = [
        (["copy", "--from", here, "--to", here], UsageFault),
        (["restore", str(tmp_path), "--to", here], NotFound),
        (["restore", str(tmp_path), "--to", here, "--until", "yesterday"], UsageFault),
        (["restore", str(tmp_path), "--to", here, "--until", "2026-11-25T10:00:00"], UsageFault),
        (["backup", str(tmp_path), "--store", here], Conflict),
        (["backup", str(tmp_path / "new"), "--store", url(tmp_path, "nowhere")], NotFound),
        (["copy", "--from", url(tmp_path, "nowhere"), "--to", here], NotFound),
        (["check", "--store", url(tmp_path, "nowhere")], NotFound),
    ]
    for arguments, error in rows:
        assert isinstance((await run(*arguments)).exception, error), arguments


@pytest.fixture(autouse=True)
def _profiles(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FHIR_PROFILES", str(tmp_path / "no-profiles"))
    monkeypatch.setenv("FHIR_DURABILITY", "normal")
