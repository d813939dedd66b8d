"""Loading: transactions, single resources, NDJSON, conditional references; what is rejected is named, the rest kept."""

import orjson
import pytest

from fhir_server.cli.load import load_files
from fhir_server.cli.sources import find_files
from fhir_server.cli.targets import StoreTarget

PRACTITIONER = {"resourceType": "Practitioner", "identifier": [{"system": "urn:x", "value": "1"}]}


@pytest.fixture
def target(tmp_path):
    return lambda: StoreTarget.open(f"sqlite:///{tmp_path}/loaded.db")


def write(folder, name, *resources):
    (folder / name).write_bytes(b"\n".join(orjson.dumps(resource) for resource in resources))


async def load(folder, target):
    return await load_files(find_files([folder]), target(), progress=False)


async def test_what_is_sent_is_what_is_kept(tmp_path, target):
    folder = tmp_path / "in"
    folder.mkdir()
    sent = '{"resourceType":"Observation","id":"o","status":"final","code":{"text":"K"},'
    sent += '"valueQuantity":{"value":1.00}}'
    (folder / "o.json").write_text(sent)
    tally = await load(folder, target)
    assert (tally.loaded, tally.rejected) == (1, [])
    async with target() as opened:
        kept = (await opened.server.store.read("Observation", "o")).content
    assert b'"value":1.00' in kept


async def test_conditional_references_of_ndjson_resolve(tmp_path, target):
    folder = tmp_path / "in"
    folder.mkdir()
    reference = {"reference": "Practitioner?identifier=urn:x|1"}
    write(
        folder,
        "Encounter.ndjson",
        encounter := {
            "resourceType": "Encounter",
            "id": "e",
            "status": "finished",
            "class": {"code": "AMB"},
            "participant": [{"individual": reference}],
        },
    )
    write(folder, "Practitioner.ndjson", PRACTITIONER | {"id": "p"})
    tally = await load(folder, target)
    assert (tally.loaded, tally.rejected) == (2, [])
    async with target() as opened:
        kept = orjson.loads((await opened.server.store.read("Encounter", encounter["id"])).content)
    assert kept["participant"][0]["individual"]["reference"] == "Practitioner/p"


async def test_a_faulty_line_is_named_and_the_others_are_loaded(tmp_path, target):
    folder = tmp_path / "in"
    folder.mkdir()
    good = [{"resourceType": "Patient", "id": f"p{n}"} for n in range(3)]
    write(
        folder,
        "Patient.ndjson",
        good[0],
        {"resourceType": "Patient", "id": "bad", "gendre": "male"},
        *good[1:],
    )
    tally = await load(folder, target)
    assert tally.loaded == 3
    [(name, reason)] = tally.rejected
    assert name.endswith("Patient.ndjson:2")
    assert "gendre" in reason


async def test_a_refused_transaction_leaves_nothing(tmp_path, target):
    folder = tmp_path / "in"
    folder.mkdir()
    entries = [
        {
            "resource": {"resourceType": "Patient", "id": "a"},
            "request": {"method": "PUT", "url": "Patient/a"},
        },
        {
            "resource": {"resourceType": "Patient", "id": "b", "active": "no"},
            "request": {"method": "PUT", "url": "Patient/b"},
        },
    ]
    write(folder, "bundle.json", {"resourceType": "Bundle", "type": "transaction", "entry": entries})
    tally = await load(folder, target)
    assert tally.loaded == 0
    assert "active" in tally.rejected[0][1]
    async with target() as opened:
        assert await opened.server.store.read("Patient", "a") is None
