"""The benchmark: rows are answered rightly, the generator notices wrong answers, the JSON has the documented shape."""

import asyncio
import re
from contextlib import closing, suppress

import orjson
import pytest
from pymongo import MongoClient
from typer.testing import CliRunner

from fhir_server.app import opened
from fhir_server.cli import app
from fhir_server.cli.bench import generator, large, large_bundle, run, sample
from fhir_server.cli.bench.copying import COPY
from fhir_server.cli.bench.costs import Costs
from fhir_server.cli.bench.generator import Plan
from fhir_server.cli.bench.process import free_port
from fhir_server.cli.bench.rows import ROWS
from fhir_server.cli.bench.searches import SEARCHES
from fhir_server.cli.bench.stores import mongo_databases
from fhir_server.definitions import load_definitions
from fhir_server.interactions.transaction import transaction
from fhir_server.model.resource import Resource
from fhir_server.security.caller import SYSTEM
from fhir_server.settings import Settings
from fhir_server.validation import Validator

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx one one"


def test_the_sample_is_valid():
    validator = Validator(load_definitions())
    made = [
        orjson.dumps(sample.patient(3)),
        orjson.dumps(sample.observation(3, 4)),
        sample.visit(7),
        sample.bundle(0, 2),
    ]
    assert [validator.validate(Resource.parse(raw).data) for raw in made] == [[], [], [], []]
    assert 1200 < len(made[1]) < 1800


def test_a_row_that_does_not_exist_is_refused_before_anything_is_measured():
    done = CliRunner().invoke(app, ["bench", "--only", "raed", "--only", "create"])
    assert done.exit_code == 2
    assert "raed" in done.output
    assert "search-patient-code" in done.output


@pytest.mark.parametrize(
    ("plan", "wrong"),
    [
        (Plan([b"GET / HTTP/1.1\r\n\r\n"], 200, b"one", times=2), False),
        (Plan([b"GET / HTTP/1.1\r\n\r\n"], 200, b"one"), False),
        (Plan([b"GET / HTTP/1.1\r\n\r\n"], 200, b"one", times=1), True),
        (Plan([b"GET / HTTP/1.1\r\n\r\n"], 200, b"two"), True),
        (Plan([b"GET / HTTP/1.1\r\n\r\n"], 201), True),
    ],
)
@pytest.mark.parametrize("wrk", [True, False])
async def test_wrong_answers_are_counted(tmp_path, monkeypatch, plan, wrong, wrk):
    if wrk and not generator.has_wrk():
        pytest.skip("wrk is not installed")
    monkeypatch.setattr(generator, "has_wrk", lambda: wrk)

    writers = []

    async def answer(reader, writer):
        writers.append(writer)
        with closing(writer), suppress(asyncio.IncompleteReadError, ConnectionError):
            while await reader.readuntil(b"\r\n\r\n"):
                writer.write(ANSWER)

    server = await asyncio.start_server(answer, "127.0.0.1", port := free_port())
    measured = await asyncio.to_thread(generator.measure, port, plan, 1.0, tmp_path)
    server.close()
    await asyncio.gather(*(writer.wait_closed() for writer in writers), return_exceptions=True)
    assert measured.rps > 10
    assert (measured.errors > 0) is wrong


def test_costs_are_those_between_two_looks():
    before, after = Costs({1: 1.0, 2: 2.0}, 10), Costs({1: 1.5, 2: 3.5, 3: 0.0}, 30)
    spent = after.since(before)
    assert (spent.cpu_us_per(1000), spent.busiest(), spent.per_commit(100)) == (2000.0, 0.75, 5.0)
    nothing = after.since(after)
    assert (nothing.cpu_us_per(0), nothing.busiest(), nothing.per_commit(0)) == (0.0, 0.0, 0.0)


def test_the_large_bundle_is_valid_and_always_the_same(monkeypatch):
    assert large_bundle.ENTRIES == 27_001
    monkeypatch.setattr(large_bundle, "VISITS", 2)
    monkeypatch.setattr(large_bundle, "ENTRIES", 61)
    raw = large_bundle.large_bundle()
    assert raw == large_bundle.large_bundle()
    bundle = Resource.parse(raw).data
    assert Validator(load_definitions()).validate(bundle) == []
    urns = {entry["fullUrl"] for entry in bundle["entry"]}
    assert len(urns) == 61
    assert set(re.findall(rb'"reference":"(urn:[^"]*)"', raw)) <= {urn.encode() for urn in urns}


def test_the_bench_runs_and_its_answers_are_right(tmp_path, monkeypatch):
    """Every row, the large ones with less of it; with the built-in generator, whose rows may be short."""
    monkeypatch.setattr(generator, "has_wrk", lambda: False)
    monkeypatch.setattr(large_bundle, "VISITS", 5)
    monkeypatch.setattr(large, "FIRST_PAGES", dict.fromkeys(large.FIRST_PAGES, 1_500))
    monkeypatch.setattr(run, "FIRST_PAGES", large.FIRST_PAGES)
    file = tmp_path / "figures.json"
    options = [
        "--seconds",
        "0.3",
        "--patients",
        "60",
        "--packs",
        str(tmp_path),
        "--json",
        str(file),
        "--large",
    ]
    done = CliRunner().invoke(app, ["bench", *options])
    assert done.exit_code == 0, done.output
    figures = orjson.loads(file.read_bytes())
    names = [*ROWS, "import", *SEARCHES, large.LARGE, *large.FIRST_PAGES, COPY, "bare-gathered"]
    assert [row["name"] for row in figures["rows"]] == names
    assert all(row["errors"] == 0 and row["rps"] > 0 and row["ratio"] > 0 for row in figures["rows"])
    costly = [row for row in figures["rows"] if row["name"] in {*ROWS, *SEARCHES}]
    assert all(row["cpu_us"] > 0 and row["busiest"] > 0 and row["limit_rps"] > 0 for row in costly)
    shared = {row["name"]: row["per_commit"] for row in figures["rows"] if row["per_commit"]}
    assert shared.keys() == {"create", "create-32", "update", "transaction"}
    assert all(number >= 1 for number in shared.values())
    assert figures["memory_end_mb"] >= figures["memory_start_mb"] > 20


async def test_a_data_set_has_a_database_of_its_own_that_goes_with_it(tmp_path, mongo_server):
    with mongo_databases(mongo_server)(tmp_path, "own") as url:
        assert url.startswith(mongo_server.partition("/?")[0] + "/fhir_bench_own_")
        assert url.endswith(mongo_server.partition("?")[2])
        async with opened(Settings(store=url)) as server:
            record = await transaction(server, SYSTEM, Resource.parse(sample.bundle(0, 2)))
        assert record.status == 200
    with MongoClient(mongo_server) as client:
        assert not [name for name in client.list_database_names() if name.startswith("fhir_bench_own_")]
