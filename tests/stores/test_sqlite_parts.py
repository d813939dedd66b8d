"""The small parts of the SQLite store."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from itertools import product
from pathlib import Path

import pytest
import zstandard
from contract_kit import (
    clause,
    composite,
    date,
    key,
    pair,
    parameter,
    put,
    quantity,
    query,
    record,
    string,
    token,
)

from fhir_server.errors import InvalidSearch
from fhir_server.search.index import DateRow, IndexValues, StringRow
from fhir_server.search.query import Query
from fhir_server.stores.blobs import FOLDER, Blobs
from fhir_server.stores.cursor import Place, read_cursor, write_cursor
from fhir_server.stores.forms import exact_form, grams
from fhir_server.stores.sqlite import sorting
from fhir_server.stores.sqlite.plan import Plan, candidates
from fhir_server.stores.sqlite.rows import DAY, index_rows, span
from fhir_server.stores.sqlite.sorting import Sorting
from fhir_server.stores.sqlite.store import SqliteStore

ROOT = Path(__file__).parents[2]


# ── blobs ─────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "content", [b"", b"{}", '{"名":"张伟"}'.encode(), b"x" * 3_000_000, random.Random(1).randbytes(5000)]
)
def test_blobs_come_back(content: bytes) -> None:
    blobs = Blobs()
    assert blobs.decompress(blobs.compress(content)) == content


def test_old_dictionaries_are_still_read_and_the_newest_is_used(tmp_path: Path) -> None:
    samples = [
        b'{"resourceType":"Patient","id":"%d","name":"%d"}' % (number, number * 7) for number in range(3000)
    ]
    second = zstandard.train_dictionary(4096, samples, dict_id=2)
    (tmp_path / "1.zstd-dictionary").write_bytes((FOLDER / "1.zstd-dictionary").read_bytes())
    old = Blobs(tmp_path).compress(samples[0])
    (tmp_path / "2.zstd-dictionary").write_bytes(second.as_bytes())
    both = Blobs(tmp_path)
    new = both.compress(samples[0])
    assert [zstandard.get_frame_parameters(blob).dict_id for blob in (old, new)] == [1, 2]
    assert both.decompress(old) == both.decompress(new) == samples[0]
    (tmp_path / "2.zstd-dictionary").unlink()
    with pytest.raises(zstandard.ZstdError, match="dictionary 2 is not installed"):
        Blobs(tmp_path).decompress(new)


def test_the_dictionary_halves_a_resource() -> None:
    sample = (
        b'{"resourceType":"Observation","id":"0197-x","meta":{"versionId":"1","lastUpdated":"2026-03-02T01:12:00.000Z"},'
        b'"status":"final","code":{"coding":[{"system":"http://loinc.org","code":"718-7"}]},"subject":{"reference":"Patient/1"}}'
    )
    plain = zstandard.ZstdCompressor(level=3).compress(sample)
    assert len(Blobs().compress(sample)) < 0.6 * len(plain)


def test_a_dictionary_can_be_made_again(tmp_path: Path) -> None:
    script = ROOT / "scripts" / "train_dictionary.py"
    made = []
    for seed in ("5", "6"):
        run = [sys.executable, str(script), "9", "--into", str(tmp_path)]
        subprocess.run(run, check=True, capture_output=True, env={**os.environ, "PYTHONHASHSEED": seed})
        made.append((tmp_path / "9.zstd-dictionary").read_bytes())
    assert made[0] == made[1]
    assert zstandard.ZstdCompressionDict(made[0]).dict_id() == 9


# ── rows ──────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("张伟", ["张伟", "伟"]),
        ("张", ["张"]),
        ("三丰堂 药店x", ["三丰", "丰堂", "堂", "药店", "店"]),
        ("zhang", []),
        ("𠮷野", ["𠮷野", "野"]),
        ("", []),
    ],
)
def test_grams(text: str, expected: list[str]) -> None:
    assert list(grams(text)) == expected


def test_exact_forms_never_meet() -> None:
    forms = {
        exact_form(text, exact)
        for text, exact in [("a", "a"), ("a", "A"), ("a", ""), ("a", "="), ("=", "=A")]
    }
    assert forms == {"=", "=A", "", "==", "==A"}


@pytest.mark.parametrize(
    ("width", "expected"), [(1, 0), (DAY, 0), (DAY + 1, 1), (366 * DAY, 1), (367 * DAY, 2), (2**62, 2)]
)
def test_spans(width: int, expected: int) -> None:
    assert span(5, 5 + width) == expected


def test_equal_rows_are_kept_once_with_both_edges() -> None:
    values = IndexValues(
        strings=[StringRow(1, "a", "A", 1), StringRow(1, "a", "A", 2), StringRow(1, "a", "a", 0)],
        dates=[DateRow(2, 5, 9, 1), DateRow(2, 5, 9, 2)],
    )
    rows = index_rows(values, 7, {"": 0})
    assert rows.string == {(1, "a", 0, 7, "=A", 3), (1, "a", 0, 7, "=", 0)}
    assert rows.period == {(2, 0, 5, 9, 0, 7, 3)}


async def test_an_update_touches_only_the_rows_that_changed(sqlite: SqliteStore) -> None:
    members = {
        "name": ["张伟", "B"],
        "code": [["s", "c"], ["", "d"]],
        "status": [["", "final"]],
        "value": [[1, "", "mg"]],
    }
    await put(sqlite, record("Patient", "1", **members))
    connection = sqlite._writer.connection
    before = connection.total_changes
    await put(sqlite, record("Patient", "1", 2, **members))
    unchanged = connection.total_changes - before
    await put(sqlite, record("Patient", "1", 3, **members | {"status": [["", "amended"]]}))
    assert connection.total_changes - before - unchanged <= unchanged + 2
    assert unchanged <= 5


# ── cursors ───────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "keys", [[1, 2], [None, 5, 7], ["张\U0010ffff", -(2**62), 1], [float("-inf"), 0.5, 3]]
)
def test_cursors_come_back(keys: list[int | float | str | None]) -> None:
    place = Place(7, 3, None, keys)
    cursor = write_cursor(b"a", place)
    assert read_cursor(b"a", cursor, Place) == place
    with pytest.raises(InvalidSearch):
        read_cursor(b"b", cursor, Place)
    for at in range(len(cursor)):
        with pytest.raises(InvalidSearch):
            read_cursor(b"a", cursor[:at] + ("A" if cursor[at] != "A" else "B") + cursor[at + 1 :], Place)


@pytest.mark.parametrize(
    "body", [[1, 2, None, 3], [2**63, 1, None, [1, 1]], [1, 1, None, [[1], 2]], {}, None]
)
def test_a_cursor_with_a_good_checksum_and_no_place_in_it_is_refused(body: object) -> None:
    with pytest.raises(InvalidSearch):
        read_cursor(b"a", write_cursor(b"a", body), Place)


# ── plans ─────────────────────────────────────────────────────────────────────

T = "Observation"
CLAUSES = {
    "token": clause(parameter(T, "code"), token("1", "s")),
    "any system": clause(parameter(T, "code"), token("1")),
    "many codes": clause(parameter(T, "code"), *(token(str(number)) for number in range(50))),
    "starts": clause(parameter(T, "name"), string("a")),
    "exact": clause(parameter(T, "name"), string("a"), modifier="exact"),
    "contains": clause(parameter(T, "name"), string("张三丰"), modifier="contains"),
    "date": clause(parameter(T, "date"), date("ge", 1, 2)),
    "quantity": clause(parameter(T, "value"), quantity("gt", 1)),
    "composite": clause(composite(T), pair(token("1", "s"), quantity("gt", 1))),
}


def _statement(store: SqliteStore, wanted: Query) -> list[str]:
    reader = store._reader
    text, values = candidates(*Plan(reader.connection, store._writer.symbols, wanted).in_order())
    plan = reader.connection.execute(
        f"EXPLAIN QUERY PLAN {text} ORDER BY date DESC, rid DESC LIMIT 21", values
    )
    return [row[3] for row in plan]


async def test_no_pair_of_clauses_scans_a_table(sqlite: SqliteStore) -> None:
    await put(sqlite, record(T, "1", code=[["s", "1"]]))
    scans = {}
    for first, second in product(CLAUSES, CLAUSES):
        steps = _statement(sqlite, query(T, CLAUSES[first], CLAUSES[second]))
        assert steps
        scans[first, second] = [step for step in steps if step.startswith("SCAN") and "VIRTUAL" not in step]
    assert {pair: found for pair, found in scans.items() if found} == {}


@pytest.mark.parametrize("name", ["token", "any system", "exact", "composite"])
async def test_one_exact_clause_comes_in_order_without_sorting(sqlite: SqliteStore, name: str) -> None:
    await put(sqlite, record(T, "1", code=[["s", "1"]]))
    steps = _statement(sqlite, query(T, CLAUSES[name]))
    assert steps
    assert not any("TEMP B-TREE" in step for step in steps)


@pytest.mark.parametrize("down", [False, True], ids=["up", "down"])
@pytest.mark.parametrize("members", [("name",), ("name", "alias"), ("date",), ("value",)], ids="+".join)
async def test_a_walk_in_sort_order_never_sorts_everything(
    sqlite: SqliteStore, members: tuple[str, ...], down: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sorting, "SORTED_WHOLE", 0)
    await put(sqlite, record(T, "1", date=[[1, 2], [3, 4]]))
    wanted = query(T, sort=[(parameter(T, *members), down)])
    reader = sqlite._reader
    plan = Plan(reader.connection, sqlite._writer.symbols, wanted)
    for text, values in Sorting(plan, wanted.sort).phases(None):
        steps = [row[3] for row in reader.connection.execute(f"EXPLAIN QUERY PLAN {text} LIMIT 21", values)]
        assert steps
        assert "USE TEMP B-TREE FOR ORDER BY" not in steps


def test_keys_differ_between_types() -> None:
    assert key("Observation", "code") != key("Patient", "code")
