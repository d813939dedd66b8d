"""One referral's whole journey, through the doors only: HL7 v2 over MLLP, FHIR over HTTP with each hospital's token.

A township hospital refers a patient with chest pain; the county hospital accepts and admits him, sends results,
discharges and replies; the township reads the reply, and the loop is closed.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from fhir_server.app import App
from fhir_server.cli.county import load_county
from fhir_server.inbound.frames import frame_of
from fhir_server.inbound.mllp import serve_mllp
from fhir_server.mapping import load_mappings
from fhir_server.security.clients import Clients

Json = dict[str, Any]
MAPPINGS = Path(__file__).parents[2] / "mappings"
FHIR_JSON = {"Content-Type": "application/fhir+json"}


class Hospital:
    """A hospital with its HIS's line and its own FHIR client."""

    def __init__(self, http: httpx.AsyncClient, port: int, folder: str) -> None:
        self.http = http
        self.port = port
        self.folder = MAPPINGS / folder / "examples"

    async def send(self, name: str) -> str:
        """Send one of the HIS's example messages; the acknowledgement's code."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(frame_of((self.folder / f"{name}.in.hl7").read_bytes()))
        answer = (await reader.readuntil(b"\x1c\r")).decode("gb18030")
        writer.close()
        await writer.wait_closed()
        return answer.split("MSA|")[1][:2]

    async def search(self, query: str) -> list[Json]:
        answer = await self.http.get(f"/fhir/{query}")
        assert answer.status_code == 200, answer.text
        return [entry["resource"] for entry in answer.json().get("entry", ())]

    async def do(self, task: Json, op: str, *parameters: Json) -> Json:
        now = await self.http.get(f"/fhir/Task/{task['id']}")
        body = {"resourceType": "Parameters", "parameter": list(parameters)}
        headers = FHIR_JSON | {"If-Match": now.headers["ETag"]}
        answer = await self.http.post(f"/fhir/Task/{task['id']}/${op}", json=body, headers=headers)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    async def create(self, data: Json) -> str:
        answer = await self.http.post(f"/fhir/{data['resourceType']}", json=data, headers=FHIR_JSON)
        assert answer.status_code == 201, answer.text
        return f"{data['resourceType']}/{answer.headers['Location'].split('/')[-3]}"


@asynccontextmanager
async def client(app: App, organization: str) -> AsyncIterator[httpx.AsyncClient]:
    known = Clients(app.server.store, app.server.now, app.server.new_id)
    _, secret = await known.add(f"Organization/{organization}", "walk", id=f"walk-{organization}")
    transport = httpx.ASGITransport(app.asgi)
    async with httpx.AsyncClient(transport=transport, base_url="http://fhir.test", trust_env=False) as http:
        form = {"grant_type": "client_credentials"}
        answer = await http.post("/auth/token", data=form, auth=(f"walk-{organization}", secret))
        http.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
        yield http


@pytest.fixture
async def hospitals(app: App) -> AsyncIterator[tuple[Hospital, Hospital]]:
    """The county hospital (Organization/h1) and the township hospital (Organization/h2) of the demo county."""
    await load_county(app.server)
    mappings = load_mappings(MAPPINGS)
    async with (
        serve_mllp(app.server, lambda: mappings, host="127.0.0.1", port=0) as port,
        client(app, "h1") as one,
        client(app, "h2") as two,
    ):
        yield Hospital(one, port, "chenxi-county"), Hospital(two, port, "yunqi-township")


def state(task: Json) -> str:
    return f"{task['status']}/{task['businessStatus']['coding'][0]['code']}"


async def test_a_referral_goes_up_and_its_reply_comes_back(hospitals: tuple[Hospital, Hospital]) -> None:
    county, township = hospitals

    assert await township.send("ref_i12") == "AA"
    (task,) = await county.search("Task?owner=Organization/h1&status=requested,received")
    assert state(task) == "requested/requested"
    assert task["priority"] == "stat"
    (patient,) = await county.search("Patient?identifier=999001195803150018")
    assert patient["name"][0]["text"] == "周瑋"

    task = await county.do(task, "accept")
    assert state(task) == "accepted/accepted"
    assert await county.search("Task?owner=Organization/h1&status=requested,received") == []
    request = task["focus"]["reference"]
    (planned,) = await county.search(f"Encounter?based-on={request}")
    assert planned["status"] == "planned"

    assert await county.send("adt_a01") == "AA"
    (encounter,) = await county.search(f"Encounter?based-on={request}")
    assert encounter["id"] == planned["id"]
    assert encounter["status"] == "in-progress"
    (task,) = await township.search("Task?requester=Organization/h2&status=in-progress")
    assert state(task) == "in-progress/in-progress"

    for name in ("oul_r21", "oru_r01"):
        assert await county.send(name) == "AA"
    place = f"Encounter/{encounter['id']}"
    reports = await township.search(f"DiagnosticReport?encounter={place}")
    assert len(reports) == 2
    observations = await township.search(f"Observation?encounter={place}")
    assert any(observation.get("valueQuantity", {}).get("unit") == "ng/mL" for observation in observations)

    assert await county.send("adt_a03") == "AA"
    (encounter,) = await county.search(f"Encounter?based-on={request}")
    assert encounter["status"] == "finished"

    letter = {
        "resourceType": "DocumentReference",
        "status": "current",
        "subject": {"reference": f"Patient/{patient['id']}"},
        "content": [{"attachment": {"contentType": "text/plain", "title": "出院小结"}}],
        "context": {"encounter": [{"reference": place}]},
    }
    task = await county.do(
        task,
        "complete",
        {"name": "reply", "valueReference": {"reference": await county.create(letter)}},
        {"name": "outcome", "valueCode": "treated"},
        {"name": "next-step", "valueString": "两周后在卫生院随访，继续抗血小板治疗"},
    )
    assert state(task) == "completed/completed"

    (review,) = await township.search("Task?owner=Organization/h2&status=requested")
    assert review["code"]["coding"][0]["code"] == "review-reply"
    await township.do(review, "complete")
    (closed,) = await township.search(f"ServiceRequest?_id={request.removeprefix('ServiceRequest/')}")
    assert closed["status"] == "completed"


async def test_the_same_message_twice_is_one_referral(hospitals: tuple[Hospital, Hospital]) -> None:
    county, township = hospitals
    assert [await township.send("ref_i12") for _ in range(2)] == ["AA", "AA"]
    assert len(await county.search("Task?owner=Organization/h1&status=requested")) == 1


async def test_an_emergency_is_admitted_before_anybody_accepted_it(
    hospitals: tuple[Hospital, Hospital],
) -> None:
    county, township = hospitals
    await township.send("ref_i12")
    assert await county.send("adt_a01") == "AA"
    (task,) = await county.search("Task?owner=Organization/h1&status=in-progress")
    assert state(task) == "in-progress/in-progress"
    (encounter,) = await county.search(f"Encounter?based-on={task['focus']['reference']}")
    assert encounter["status"] == "in-progress"
