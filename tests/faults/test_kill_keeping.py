"""Copies, backups and restores in processes that are killed: the same command, run again, ends like an undisturbed one.

Somebody goes on writing to the source meanwhile.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from time import sleep

import msgspec
import pytest
from typer.testing import CliRunner

from fhir_server.app import opened
from fhir_server.interactions.context import Server
from fhir_server.interactions.transaction import transaction
from fhir_server.keeping.folder import Manifest
from fhir_server.model.resource import Resource
from fhir_server.security.caller import SYSTEM
from fhir_server.settings import Settings
from fhir_server.store import Record

RESOURCES = 1200
AT_ONCE = 300
STEP = 100
"""Versions that a command in these tests keeps in one go."""


def command(arguments: list[str], output: str, halt: int) -> None:
    """What a process does: run the command with small steps, and go no further than ``halt``."""
    from fhir_server.cli import app, store
    from fhir_server.keeping import backup, comparing, filling

    @contextmanager
    def halting(what: str, total: int) -> Iterator[Callable[[int], None]]:
        yield lambda sequence: sleep(60 if sequence >= halt else 0)

    comparing.AT_ONCE = filling.AT_ONCE = backup.MOST = STEP
    store._progress = halting
    result = CliRunner().invoke(app, ["store", *arguments])
    Path(output).write_text(result.output + repr(result.exception))
    os._exit(result.exit_code)


def begin(arguments: list[str], output: Path, halt: int = 10**9) -> multiprocessing.process.BaseProcess:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["fhir_server.app", "fhir_server.cli"])
    process = context.Process(target=command, args=(arguments, str(output), halt))
    process.start()
    return process


def kill_between(arguments: list[str], folder: Path, done: Callable[[], int], low: int, high: int) -> int:
    """Run the command until ``done()`` is in ``[low, high)`` and kill it there; what was done then."""
    process = begin(arguments, folder / "output", halt=high - STEP)
    while done() < low:
        assert process.is_alive(), (folder / "output").read_text()
        sleep(0.002)
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    there = done()
    assert low <= there < high
    return there


def finish(arguments: list[str], folder: Path) -> None:
    process = begin(arguments, folder / "output")
    process.join()
    assert process.exitcode == 0, (folder / "output").read_text()


def reached(file: Path) -> int:
    """The greatest sequence in a SQLite file, 0 while it is being made."""
    if not file.exists():
        return 0
    with suppress(sqlite3.Error), closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as connection:
        return int(connection.execute("SELECT ifnull(max(sequence), 0) FROM log").fetchone()[0])
    return 0


def backed_up(folder: Path) -> int:
    with suppress(FileNotFoundError):
        return msgspec.json.decode((folder / "manifest.json").read_bytes(), type=Manifest).last
    return 0


async def write(server: Server, numbers: range, family: str) -> None:
    entries = [
        {
            "resource": {"resourceType": "Patient", "id": f"p{each}", "name": [{"family": family}]},
            "request": {"method": "PUT", "url": f"Patient/p{each}"},
        }
        for each in numbers
    ]
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
    await transaction(server, SYSTEM, Resource.of(bundle))


async def kept(settings: Settings) -> list[Record]:
    async with opened(settings, reindex=False) as server:
        return await server.store.changes(0, 1_000_000)


@pytest.fixture
async def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Of a store with some thousand versions."""
    monkeypatch.setenv("FHIR_PROFILES", str(tmp_path / "no-profiles"))
    monkeypatch.setenv("FHIR_DURABILITY", "normal")
    found = Settings(store=f"sqlite:///{tmp_path}/origin.db")
    async with opened(found) as server:
        for start in range(0, RESOURCES, AT_ONCE):
            await write(server, range(start, start + AT_ONCE), "张")
        await write(server, range(AT_ONCE), "李")
    return found


async def test_a_copy_that_is_killed_goes_on(settings: Settings, tmp_path: Path) -> None:
    target = tmp_path / "copy.db"
    arguments = ["copy", "--from", settings.store, "--to", f"sqlite:///{target}"]
    first = kill_between(arguments, tmp_path, lambda: reached(target), STEP, RESOURCES)
    async with opened(settings) as server:
        await write(server, range(AT_ONCE), "王")
    kill_between(arguments, tmp_path, lambda: reached(target), first + STEP, RESOURCES + AT_ONCE)
    finish(arguments, tmp_path)
    assert await kept(settings.model_copy(update={"store": f"sqlite:///{target}"})) == await kept(settings)


async def test_a_backup_and_a_restore_that_are_killed_go_on(settings: Settings, tmp_path: Path) -> None:
    folder, target = tmp_path / "backup", tmp_path / "restored.db"
    backup = ["backup", str(folder), "--store", settings.store]
    restore = ["restore", str(folder), "--to", f"sqlite:///{target}"]
    kill_between(backup, tmp_path, lambda: backed_up(folder), STEP, RESOURCES + AT_ONCE)
    process = begin(restore, tmp_path / "output")
    process.join()
    assert process.exitcode == 1, "a backup that was cut off is no backup"
    finish(backup, tmp_path)
    before = await kept(settings)
    async with opened(settings) as server:
        writing = asyncio.create_task(write(server, range(AT_ONCE), "王"))
        await asyncio.to_thread(finish, backup, tmp_path)
        await writing
    kill_between(restore, tmp_path, lambda: reached(target), STEP, RESOURCES)
    finish(restore, tmp_path)
    restored = await kept(settings.model_copy(update={"store": f"sqlite:///{target}"}))
    after = await kept(settings)
    assert len(restored) >= len(before) > RESOURCES
    assert restored == after[: len(restored)]
    assert len(restored) in {len(before), len(after)}, "half a transaction"
