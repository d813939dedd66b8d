"""SIGKILL at any moment of writing: what was acknowledged is there, and nothing is half-written."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from pathlib import Path

from fhir_server.search.index import IndexValues
from fhir_server.search.query import Clause, Query
from fhir_server.search.registry import SearchParameter
from fhir_server.search.values import TokenValue
from fhir_server.stores.sqlite.store import SqliteStore

KILLS = 22
WRITER = Path(__file__).with_name("sqlite_writer.py")
SIZE = 3
"""Resources per transaction of the writer."""


def _extract(type: str, content: bytes) -> IndexValues:
    from sqlite_writer import extract

    return extract(type, content)


def _kill_a_writer(path: Path, run: int, after: float) -> set[str]:
    """The transactions that a writer acknowledged before it was killed."""
    with subprocess.Popen(
        [sys.executable, str(WRITER), str(path), str(run)], stdout=subprocess.PIPE
    ) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"ready\n"
        time.sleep(after)
        writer.kill()
        acknowledged = writer.stdout.read().decode().split("\n")[:-1]
    assert writer.returncode == -9
    return set(acknowledged)


async def test_nothing_acknowledged_is_lost_and_nothing_is_half_written(tmp_path: Path) -> None:
    path, acknowledged = tmp_path / "fhir.db", set[str]()
    chance = random.Random(1)
    for run in range(KILLS):
        acknowledged |= _kill_a_writer(path, run, chance.uniform(0.0, 0.12))
        store = SqliteStore.open(path, extract=_extract)
        await _verify(store, acknowledged)
        await store.close()
    assert len(acknowledged) > KILLS


async def _verify(store: SqliteStore, acknowledged: set[str]) -> None:
    changes = await store.changes(0, limit=1_000_000)
    kept: dict[str, list[str]] = {}
    for each in changes:
        kept.setdefault(json.loads(each.content)["transaction"], []).append(f"{each.id}/{each.version}")
    assert acknowledged <= kept.keys()
    assert {len(versions) for versions in kept.values()} <= {SIZE}
    parameter = SearchParameter("Patient", "code", "token", "", "", (1,))
    for transaction in random.Random(2).sample(sorted(kept), min(20, len(kept))):
        query = Query(
            "Patient", (Clause(parameter, None, (TokenValue(None, transaction),)),), total="accurate"
        )
        found = await store.search(query)
        expected = [version for version in kept[transaction] if not version.startswith("counter/")]
        assert sorted(f"{each.id}/{each.version}" for each in found.records) == sorted(expected)
    counter = await store.read("Patient", "counter")
    assert (counter.version if counter else 0) == len(kept)
    from sqlite_writer import EVERYBODY

    assert await store.count(EVERYBODY) == len(kept) * (SIZE - 1)
    assert await store.count(Query("Patient")) == len(kept) * (SIZE - 1) + (1 if kept else 0)
