"""A hospital's write of a shared Patient cannot take away what another hospital calls him."""

import orjson
import pytest

from fhir_server.interactions.create import create
from fhir_server.interactions.read import read
from fhir_server.interactions.update import update
from fhir_server.model.resource import Resource
from fhir_server.security.caller import SYSTEM

H1, H2 = "12999001MB0000019A", "12999001MB00000275"
RESIDENT = {"system": "urn:oid:2.16.156.10011.1.3", "value": "999001195803150018"}


def number(uscc, value, kind="patient"):
    return {"system": f"http://cmc.example.org/sid/{uscc}/{kind}", "value": value}


def patient(*identifiers, **more):
    return Resource.of({"resourceType": "Patient", "id": "p", "identifier": list(identifiers), **more})


@pytest.fixture
async def hospitals(server):
    for id, uscc in (("h1", H1), ("h2", H2)):
        known = [{"system": "http://cmc.example.org/sid/uscc", "value": uscc}]
        await update(
            server,
            SYSTEM,
            Resource.of({"resourceType": "Organization", "id": id, "identifier": known}),
            id=id,
        )


ROWS = [
    # who writes, what stood there, what is written, what stands there then
    (
        "h1",
        [RESIDENT, number(H2, "a")],
        [RESIDENT, number(H1, "b")],
        [RESIDENT, number(H1, "b"), number(H2, "a")],
    ),
    ("h1", [number(H1, "b")], [RESIDENT], [RESIDENT]),
    ("h1", [number(H2, "a")], [number(H2, "c")], [number(H2, "c")]),
    ("h2", [number(H1, "b"), number(H1, "k", "card")], [], [number(H1, "b"), number(H1, "k", "card")]),
    ("h1", [RESIDENT], [], []),
]


@pytest.mark.parametrize(("organization", "before", "written", "after"), ROWS)
async def test_local_numbers_of_others_stay(server, caller, hospitals, organization, before, written, after):
    await update(server, SYSTEM, patient(*before), id="p")
    sent = (
        patient(*written) if written else Resource.of({"resourceType": "Patient", "id": "p", "active": True})
    )
    await update(server, caller(organization), sent, id="p")
    kept = orjson.loads((await read(server, SYSTEM, "Patient", "p")).record.content)
    assert kept.get("identifier", []) == after


async def test_nothing_is_added_to_a_new_patient(server, caller, hospitals):
    done = await create(server, caller("h1"), patient(RESIDENT))
    assert orjson.loads(done.record.content)["identifier"] == [RESIDENT]
